"""JSON: one object a line, or one document with an array of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from riveg.datasets.column_names import known_columns
from riveg.datasets.columns import ColumnRules, Fault
from riveg.datasets.dataset import Row, quoted
from riveg.datasets.encoding import one_line_errors, open_utf_8
from riveg.datasets.made_of import digest_of_files
from riveg.datasets.standard_input import shown
from riveg.errors import UserError
from riveg.formats.json_files import values_in_a_row

_HEAD_LINES = 100
"""Objects that are read to learn which keys a file has."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


_Item = Mapping[str, object] | Fault


@dataclass(frozen=True, slots=True)
class JsonlReader:
    """Reads ``.jsonl`` and ``.json`` files; a line that does not parse is a sample with an Issue.

    A file that is one array of objects, or objects over several lines, is read as a whole.
    """

    files: Mapping[str, Path]
    rules: ColumnRules = field(default_factory=ColumnRules)

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows of a split; blank lines are skipped.

        Raises:
            UserError: If the file cannot be read, or is one document that is no array of objects.
        """
        path = self.files[split]
        items = _document(path)
        unit = "line" if items is None else "row"
        for number, columns in _lines(path) if items is None else enumerate(items, start=1):
            yield self.rules.row(columns, path, number, annotated=annotated, unit=unit)

    def digest(self, split: str) -> str | None:
        """Of the file and the rules."""
        return digest_of_files(self.rules, [self.files[split]])

    def columns(self, split: str) -> tuple[str, ...]:
        """The keys of the first objects, and of more until every chosen column has occurred."""
        path = self.files[split]
        items = _document(path)
        found: dict[str, None] = {}
        chosen = [*self.rules.columns.values(), *self.rules.wished.values()]
        wanted = {own for own in chosen if own is not None}
        heads = [*islice(_items(path) if items is None else items, 2)]
        if len(heads) == 1 and not isinstance(heads[0], Fault):
            _require_row(heads[0], path, self.rules)
        for number, item in enumerate(_items(path) if items is None else items):
            if number >= _HEAD_LINES and wanted <= found.keys():
                break
            if not isinstance(item, Fault):
                found |= dict.fromkeys(item)
        return tuple(found)


def _require_row(only: Mapping[str, object], path: Path, rules: ColumnRules) -> None:
    """Makes sure that the only object of a file is a row, and no table of another form.

    Raises:
        UserError: If it is one.
    """
    records = 'write an array with an object for each row (in pandas, orient="records")'
    known = known_columns(only, rules.columns)
    if any(isinstance(only[own], dict | list) for own, name in known.items() if name == "text"):
        raise UserError(f"{shown(path)}: its one object holds whole columns; {records}")
    if {"text", "tokens"} & {*known.values()}:
        return
    if isinstance(only.get("columns"), list) and isinstance(only.get("data"), list):
        raise UserError(f"{shown(path)}: its one object holds names and cells apart; {records}")
    for name, value in only.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            raise UserError(f"{shown(path)}: its rows stand in {name!r}; save that array as a file")


def _items(path: Path) -> Iterator[_Item]:
    return (item for _, item in _lines(path))


def _lines(path: Path) -> Iterator[tuple[int, _Item]]:
    for number, line in _raw_lines(path):
        yield number, _parsed(line)


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, counted from 1 with the blank ones."""
    with one_line_errors(path), open_utf_8(path) as handle:
        for number, raw in enumerate(handle, start=1):
            line = raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw
            if line.strip():
                yield number, line


def _parsed(line: bytes) -> _Item:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return Fault(
            "bad-encoding", f"not UTF-8 at byte {error.start} of the line; save the file as UTF-8"
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = _too_much_hint(text)
        return Fault("bad-json", f"not JSON ({error}): {quoted(text.strip())}{hint}")
    return _object(value)


def _too_much_hint(line: str) -> str:
    """What to say of a line that does not end where its object does."""
    if re.search(r"\}\r\s*\{", line):
        return "; CR alone ends no line: save the file with LF"
    if re.search(r"\}[ \t]*\{", line):
        return "; one object a line: a line break is missing between } and {"
    if line.rstrip().endswith("},"):
        return "; no comma ends a line of JSON lines"
    return ""


def _object(value: object) -> _Item:
    if isinstance(value, dict):
        return value
    return Fault("bad-json", f"expected an object, found {type(value).__name__}")


def _document(path: Path) -> list[_Item] | None:
    """The objects of a file that is read as a whole; ``None`` for one with an object a line.

    Raises:
        UserError: If it begins as an array and is none, or is not UTF-8.
    """
    _, first = next(_raw_lines(path), (1, b""))
    start = _start(first)
    if start == "line":
        return None
    with one_line_errors(path), open_utf_8(path) as handle:
        content = handle.read()
    try:
        values = [*values_in_a_row(content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8"))]
    except UnicodeDecodeError as error:
        raise UserError(
            f"{shown(path)}: is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from error
    except (ValueError, RecursionError) as error:
        if start == "value":
            return None
        raise UserError(
            f"{shown(path)}: begins as an array and is none ({error}); expected one array of "
            "objects, or one object a line"
        ) from error
    if start == "value" and len(values) > 1 and any(isinstance(one, list) for one in values):
        return None
    items = (one for value in values for one in (value if isinstance(value, list) else [value]))
    return [*map(_object, items)]


def _start(line: bytes) -> Literal["line", "value", "array"]:
    """What a first line is.

    ``line``: an object, or no JSON. ``value``: a list, or the beginning of an object, which may be
    the whole file. ``array``: the beginning of an array.
    """
    text = line.decode("utf-8", "replace").strip()
    try:
        return "value" if isinstance(json.loads(text), list) else "line"
    except json.JSONDecodeError as error:
        if text.startswith("["):
            return "array"
        return "value" if text.startswith("{") and error.pos >= len(text) else "line"
    except (ValueError, RecursionError):
        return "line"
