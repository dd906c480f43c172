"""JSON objects of a file: one a line, all of them in one array, or one behind the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.files import read_regular
from riveg.formats.json_files import json_values
from riveg.formats.lines import numbered_lines


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An object and its place.

    Args:
        values: By key.
        where: The words that errors begin with.
        number: Of its line, or of its entry where the file is read as a whole, from 1.
    """

    values: dict[str, Any]
    where: str
    number: int


def read_objects(path: Path) -> Iterator[PlacedObject]:
    """The objects in file order; blank lines are left out.

    Where the first line is no object, the file is read as a whole: one array, or objects over
    several lines, or several on one.

    Raises:
        UserError: If the file cannot be read, is not JSON, or a value is no object.
    """
    _, first = next(_filled(path), (0, "{}"))
    values = None if _is_object(first) else _document(path, first)
    if values is not None:
        for number, value in enumerate(values, start=1):
            yield _object(value, f"{path}: entry {number}", number)
        return
    for number, line in _filled(path):
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            message = f"{where}: is not JSON ({error}); expected one object a line"
            raise UserError(message) from error
        yield _object(value, where, number)


def _filled(path: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in numbered_lines(path) if line.strip())


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _document(path: Path, first: str) -> list[Any] | None:
    """The values of a whole file; ``None`` where it is none and its lines tell more."""
    try:
        values = json_values(read_regular(path).decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        if not first.lstrip().startswith("["):
            return None
        raise UserError(
            f"{path}: begins as an array and is none ({error}); expected one array of objects, or "
            "one object a line"
        ) from error
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


def _object(value: object, where: str, number: int) -> PlacedObject:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object, found {quoted(json.dumps(value))}")
    return PlacedObject(value, where, number)
