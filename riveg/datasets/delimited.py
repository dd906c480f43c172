"""CSV and TSV files with a header; ``tokens``, ``offsets`` and ``entities`` hold JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from riveg.datasets.column_names import known_columns
from riveg.datasets.columns import ColumnRules, Fault
from riveg.datasets.csv_dialect import recognise_dialect
from riveg.datasets.csv_rows import CsvDialect, CsvRow, NotCsv, csv_rows
from riveg.datasets.dataset import Row
from riveg.datasets.frame_values import in_text, number_in_text
from riveg.datasets.made_of import digest_of_files
from riveg.datasets.standard_input import shown
from riveg.errors import UserError


@dataclass(frozen=True, slots=True)
class CsvReader:
    """Reads files with a delimiter; a row that does not fit the header is a sample with an Issue.

    Args:
        files: The file of each split.
        rules: How columns are read.
        dialects: How the file of each split is written.
    """

    files: Mapping[str, Path]
    rules: ColumnRules
    dialects: Mapping[str, CsvDialect]

    def rows(self, split: str, *, annotated: bool) -> Iterator[Row]:
        """Rows of a split, named by the line they begin in.

        Raises:
            UserError: If the file cannot be read or has no usable header.
        """
        path = self.files[split]
        rows = csv_rows(path, self.dialects[split])
        header = self._header(rows, path)
        for row in rows:
            columns = self._columns(header, row.cells, self.dialects[split])
            yield self.rules.row(columns, path, row.number, annotated=annotated)

    def digest(self, split: str) -> str | None:
        """Of the file, how it is written, and the rules."""
        return digest_of_files((self.dialects[split], self.rules), [self.files[split]])

    def columns(self, split: str) -> tuple[str, ...]:
        """The header."""
        path = self.files[split]
        return tuple(self._header(csv_rows(path, self.dialects[split]), path))

    def notes(self) -> Iterator[str]:
        """What a user should know of how the files are written."""
        for split, dialect in self.dialects.items():
            if dialect.note is not None:
                yield f"{self.rules.called or self.files[split].name} {dialect.note}"

    def _header(self, rows: Iterator[CsvRow], path: Path) -> Sequence[str]:
        first = next(rows, CsvRow(1, (), ""))
        number, cells = first.number, first.cells
        if isinstance(cells, NotCsv):
            raise UserError(f"{shown(path)}:{number}: {cells}")
        if not cells:
            raise UserError(f"{shown(path)}: is empty; expected a header line")
        if cells[0].lstrip().startswith(("{", "[")):
            raise UserError(f"{shown(path)}:{number}: is JSON and no header; name the file .jsonl")
        if not all(map(_is_utf_8, cells)):
            raise UserError(f"{shown(path)}:{number}: is not UTF-8; save it as UTF-8")
        read = known_columns(cells, self.rules.columns)
        # Spreadsheets write several columns without a name, which nobody reads.
        twice = [name for name in read if cells.count(name) > 1]
        if twice:
            raise UserError(
                f"{shown(path)}:{number}: the column {twice[0]!r} stands twice in the header"
            )
        return cells

    def _columns(
        self, header: Sequence[str], cells: Sequence[str] | NotCsv, dialect: CsvDialect
    ) -> Mapping[str, object] | Fault:
        if isinstance(cells, NotCsv):
            return Fault("bad-csv", str(cells))
        if len(cells) != len(header):
            return Fault("bad-csv", _other_width(header, cells, dialect))
        columns: dict[str, object] = dict(zip(header, cells, strict=True))
        for own, name in known_columns(header, self.rules.columns).items():
            columns[own] = _value(str(columns[own]), name)
        return columns


def csv_reader(files: Mapping[str, Path], rules: ColumnRules) -> CsvReader:
    """Reads CSV files in the dialect of each.

    Raises:
        UserError: If a file cannot be read.
    """
    chosen = {**rules.columns, **rules.wished}
    dialects = {
        split: recognise_dialect(path, delimiter=rules.delimiter, chosen=chosen)
        for split, path in files.items()
    }
    return CsvReader(files, rules, dialects)


def _value(cell: str, name: str) -> object:
    """What a cell of that column says."""
    if not _is_utf_8(cell):
        return Fault("bad-encoding", "is not UTF-8; save the file as UTF-8")
    # A post may say "NaN" or "None".
    present = cell if name == "text" else in_text(cell)
    return number_in_text(present) if name == "id" and present else present


def _other_width(header: Sequence[str], cells: Sequence[str], dialect: CsvDialect) -> str:
    noun = "cell" if len(header) == 1 else "cells"
    message = f"expected {len(header)} {noun}, found {len(cells)}"
    sign, name = ("\r", "CR") if dialect.line_break == "\n" else ("\n", "LF")
    if not any(sign in cell.replace("\r\n", "") for cell in cells):
        return message
    return f"{message}; {name} alone ends no row here: save the file with one kind of line end"


def _is_utf_8(cell: str) -> bool:
    """Whether no byte of the cell was read as a lone surrogate."""
    return cell.isascii() or not any("\udc80" <= character <= "\udcff" for character in cell)
