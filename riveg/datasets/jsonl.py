"""JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from riveg.datasets.columns import ColumnRules, Fault, row_of_columns
from riveg.datasets.dataset import Row, quoted
from riveg.datasets.encoding import open_utf_8
from riveg.errors import UserError

_HEAD_LINES = 100
"""Lines that are read to learn which keys a file has."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class JsonlReader:
    """Reads ``.jsonl`` files; a line that does not parse is a sample with an Issue."""

    files: Mapping[str, Path]
    rules: ColumnRules = field(default_factory=ColumnRules)

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows of a split; blank lines are skipped.

        Raises:
            UserError: If the file cannot be read.
        """
        path = self.files[split]
        for number, columns in _lines(path):
            place = f"{path.name}:{number}"
            yield row_of_columns(columns, place, f"line-{number}", self.rules, annotated=annotated)

    def columns(self, split: str) -> tuple[str, ...]:
        """The keys that occur in the first lines that are objects."""
        objects = (item for _, item in _lines(self.files[split]) if not isinstance(item, Fault))
        return tuple({key: None for item in islice(objects, _HEAD_LINES) for key in item})


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, object] | Fault]]:
    try:
        with open_utf_8(path) as handle:
            for number, raw in enumerate(handle, start=1):
                line = raw.removeprefix(_BYTE_ORDER_MARK) if number == 1 else raw
                if line.strip():
                    yield number, _parsed(line)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _parsed(line: bytes) -> Mapping[str, object] | Fault:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return Fault(
            "bad-encoding", f"not UTF-8 at byte {error.start} of the line; save the file as UTF-8"
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Fault("bad-json", f"not JSON ({error}): {quoted(text.strip())}")
    if not isinstance(value, dict):
        return Fault("bad-json", f"expected an object, found {type(value).__name__}")
    return value
