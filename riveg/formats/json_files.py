"""JSON files that others have written: regular, of bounded size and depth, checked by a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from riveg.errors import UserError
from riveg.files import read_regular

MOST_NESTED = 64
"""How deep lists and objects of such a file may stand in each other."""

_BLANKS = re.compile(r"\s*")

Schema = TypeVar("Schema", bound=BaseModel)


def read_json(path: Path) -> Any:
    """The document in a file.

    Raises:
        OSError: If it cannot be read, or is no regular file.
        ValueError: If it is not JSON, or :func:`parse_json` refuses it; the message is one line.
    """
    return parse_json(read_regular(path))


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: If it is not JSON, nested more than :data:`MOST_NESTED` deep, or holds a whole
            number that no ``float`` can hold.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _require_bounded(value)
    return value


def json_values(text: str) -> list[Any]:
    """The JSON values of a text that follow each other with nothing but blanks between them.

    Raises:
        ValueError: As :func:`parse_json`.

    >>> json_values('{"a": 1} [2]')
    [{'a': 1}, [2]]
    """
    values: list[Any] = []
    try:
        for value in values_in_a_row(text.strip()):
            _require_bounded(value)
            values.append(value)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return values


def values_in_a_row(text: str) -> Iterator[Any]:
    """The same one by one and of any depth.

    Raises:
        ValueError: If what stands at a value's place is not JSON.
        RecursionError: If it is nested too deeply for Python.
    """
    decoder = json.JSONDecoder()
    position = _behind_blanks(text, 0)
    while position < len(text):
        value, end = decoder.raw_decode(text, position)
        yield value
        position = _behind_blanks(text, end)


def checked(kind: type[Schema], value: object, where: str) -> Schema:
    """A value as its schema reads it.

    Raises:
        UserError: If it is no such value; one line that begins with ``where``.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        parts = (part if str(part).isprintable() else ascii(part) for part in first["loc"])
        key = ".".join(map(str, parts))[:80] or "the document"
        raise UserError(f"{where}: {key}: {first['msg']}") from error


def _require_bounded(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MOST_NESTED + 1):
        if any(type(item) is int and not -1e308 < item < 1e308 for item in level):
            raise ValueError("a number has more than 308 digits")
        level = [item for container in level for item in _inner(container)]
        if not level:
            return
    raise ValueError(f"nested more than {MOST_NESTED} deep")


def _behind_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return found.end() if found else position


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
