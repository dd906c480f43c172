"""CSV files with a header; ``tokens``, ``offsets`` and ``entities`` hold JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from riveg.datasets.column_names import known_columns, separation
from riveg.datasets.columns import ColumnRules, Fault, row_of_columns
from riveg.datasets.dataset import Row
from riveg.datasets.encoding import open_utf_8
from riveg.errors import UserError

_LONGEST_CELL = 16 * 1024 * 1024
"""Characters. The csv module allows 131 072 by default, less than a long sample may have."""

_JSON_COLUMNS = ("tokens", "offsets", "entities")


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Reads ``.csv`` files; a row that does not fit the header is a sample with an Issue."""

    files: Mapping[str, Path]
    rules: ColumnRules = field(default_factory=ColumnRules)

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows of a split, named by the line they begin in.

        Raises:
            UserError: If the file cannot be read or has no usable header.
        """
        path = self.files[split]
        lines = _lines(path)
        header = _header(next(lines, (1, [])), path)
        for number, cells in lines:
            columns = cells if isinstance(cells, Fault) else _columns(header, cells)
            place = f"{path.name}:{number}"
            yield row_of_columns(columns, place, f"line-{number}", self.rules, annotated=annotated)

    def columns(self, split: str) -> tuple[str, ...]:
        """The header."""
        path = self.files[split]
        return tuple(_header(next(_lines(path), (1, [])), path))


def _lines(path: Path) -> Iterator[tuple[int, Sequence[str] | Fault]]:
    # The limit holds for the whole process, so it is only raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    try:
        # Bytes that are not UTF-8 become lone surrogates, so that only their own row is unusable.
        with io.TextIOWrapper(
            open_utf_8(path), encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as handle:
            # Strict: otherwise a quote that is never closed takes in all rows after it.
            reader = csv.reader(handle, strict=True)
            while True:
                number = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    lines = f"lines {number} to {reader.line_num}"
                    yield number, Fault("bad-csv", f"{lines} are not CSV ({error})")
                else:
                    if cells:
                        yield number, cells
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _header(first: tuple[int, Sequence[str] | Fault], path: Path) -> Sequence[str]:
    number, cells = first
    if isinstance(cells, Fault):
        # Quoted names with another separator than commas are not CSV.
        with path.open(encoding="utf-8-sig", errors="replace") as handle:
            problem = separation(handle.readline())
        raise UserError(f"{path}:{number}: {problem or cells.message}")
    if not cells:
        raise UserError(f"{path}: is empty; expected a header line")
    if not all(map(_is_utf_8, cells)):
        raise UserError(f"{path}:{number}: is not UTF-8; save it as UTF-8")
    twice = [name for name in cells if cells.count(name) > 1]
    if twice:
        raise UserError(f"{path}:{number}: the column {twice[0]!r} stands twice in the header")
    return cells


def _columns(header: Sequence[str], cells: Sequence[str]) -> Mapping[str, object] | Fault:
    if len(cells) != len(header):
        return Fault("bad-csv", f"expected {len(header)} cells, found {len(cells)}")
    columns: dict[str, object] = dict(zip(header, cells, strict=True))
    for own, name in known_columns(header).items():
        cell = str(columns[own])
        if not _is_utf_8(cell):
            columns[own] = Fault("bad-encoding", "is not UTF-8; save the file as UTF-8")
        elif name in _JSON_COLUMNS:
            columns[own] = _json(cell)
    return columns


def _is_utf_8(cell: str) -> bool:
    """Whether no byte of the cell was read as a lone surrogate."""
    return cell.isascii() or not any("\udc80" <= character <= "\udcff" for character in cell)


def _json(cell: str) -> object:
    """The cell's value; what is not JSON stays a string, which is refused where it is used."""
    if not cell:
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
