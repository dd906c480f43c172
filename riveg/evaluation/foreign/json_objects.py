"""JSON objects of a file: one a line, or all of them in one array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.formats.json_files import read_json
from riveg.formats.lines import numbered_lines


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An object and its place.

    Args:
        values: By key.
        where: The words that errors begin with.
        number: Of its line, or of its entry in the array, from 1.
    """

    values: dict[str, Any]
    where: str
    number: int


def is_array(path: Path) -> bool:
    """Whether a file begins as a JSON array.

    Raises:
        UserError: If it cannot be read, or is no UTF-8.
    """
    return next(_filled(path), (0, ""))[1].lstrip().startswith("[")


def read_objects(path: Path) -> Iterator[PlacedObject]:
    """The objects in file order; blank lines are left out.

    Raises:
        UserError: If the file cannot be read, is not JSON, or a value is no object.
    """
    if is_array(path):
        for number, value in enumerate(_array(path), start=1):
            yield _object(value, f"{path}: entry {number}", number)
        return
    for number, line in _filled(path):
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{where}: is not JSON ({error}); expected one object a line"
            ) from error
        yield _object(value, where, number)


def _filled(path: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in numbered_lines(path) if line.strip())


def _array(path: Path) -> list[Any]:
    try:
        values = read_json(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(
            f"{path}: begins as an array and is none ({error}); expected one array of objects, or "
            "one object a line"
        ) from error
    return values if isinstance(values, list) else [values]


def _object(value: object, where: str, number: int) -> PlacedObject:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object, found {quoted(json.dumps(value))}")
    return PlacedObject(value, where, number)
