r"""In which dialect a CSV file is written: what ends its lines, separates columns, escapes quotes.

The same bytes mean different rows in different dialects. What a file is written in is taken from
its header; what it says of itself further down (line feeds within lines that end with CR and LF,
blanks before quotes, backslashes before quotes of cells without quotes) counts where the reading
that follows from it fits. Other ways to write quotes are tried where the usual one does not fit,
and taken only where they fit the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from riveg.datasets.column_names import ColumnChoice, known_columns
from riveg.datasets.csv_rows import CsvDialect, CsvRow, NotCsv, csv_rows, text_lines
from riveg.datasets.encoding import one_line_errors, open_utf_8

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""What may separate columns, by name; of several that fit a header, the first is taken."""

_TABBED = {".tsv", ".tab"}
"""Endings of files whose columns tabs separate, if the header fits that."""

_HEAD = 1 << 16

_SEPARATOR_LINE = re.compile(r'\s*("?)sep=(.)\1\s*', re.IGNORECASE)
"""What Excel writes before the header."""

_ESCAPED_QUOTE = re.compile(r'(?<!")\\"(?!")')
"""A backslash and a quote that is not doubled."""


def recognise_dialect(
    path: Path, *, delimiter: str | None = None, chosen: ColumnChoice | None = None
) -> CsvDialect:
    """The dialect of a file.

    Args:
        path: The file.
        delimiter: What separates the columns, if the user said so.
        chosen: What the user said which column is which; known columns tell the delimiter.

    Raises:
        UserError: If the file cannot be read.
    """
    line_break = _line_break(path)
    usual = CsvDialect(line_break="\r" if line_break == "\r" else "\n")
    with one_line_errors(path):
        first = next(text_lines(path, usual), "")
    separator = _SEPARATOR_LINE.fullmatch(first)
    if separator is not None:
        usual = replace(usual, skipped=1)
        delimiter = delimiter or separator[2]
    if delimiter is None:
        delimiter = _delimiter_of(path, usual, chosen)
    reading = _Reading.of(path, replace(usual, delimiter=delimiter))
    if line_break == "\r\n":
        reading = _with_own_line_ends(reading)
    return _with_own_quotes(_with_own_blanks(reading)).dialect


@dataclass(slots=True)
class _Reading:
    """What a file looks like in a dialect.

    Args:
        path: The file.
        dialect: The dialect.
        rows: Its rows, without the header.
        misfits: Rows that are no CSV, or have another number of cells than the header.
        crlf: Rows that CR and LF end.
        lf: Rows that LF ends alone.
        has_quoted_header: Whether there are quotes in the header.
        has_blanks: Whether a quote follows a delimiter and blanks.
        has_escapes: Whether a cell without quotes has a quote behind a backslash.
        has_breaks: Whether a cell has a line break.
        has_lines: Whether a cell has a line break and the delimiter, as if it were several rows.
    """

    path: Path
    dialect: CsvDialect
    rows: int = 0
    misfits: int = 0
    crlf: int = 0
    lf: int = 0
    has_quoted_header: bool = False
    has_blanks: bool = False
    has_escapes: bool = False
    has_breaks: bool = False
    has_lines: bool = False

    @classmethod
    def of(cls, path: Path, dialect: CsvDialect) -> _Reading:
        reading = cls(path, dialect)
        rows = csv_rows(path, dialect)
        header = next(rows, CsvRow(1, (), ""))
        reading.has_quoted_header = '"' in header.written
        width = -1 if isinstance(header.cells, NotCsv) else len(header.cells)
        blank_quote = re.compile(f'{re.escape(dialect.delimiter)} +"')
        for row in rows:
            reading._add(row, width, blank_quote)
        return reading

    def _add(self, row: CsvRow, width: int, blank_quote: re.Pattern[str]) -> None:
        self.rows += 1
        self.crlf += row.written.endswith("\r\n")
        self.lf += row.written.endswith("\n") and not row.written.endswith("\r\n")
        if isinstance(row.cells, NotCsv):
            self.misfits += 1
            return
        self.misfits += len(row.cells) != width
        if '"' not in row.written:
            return
        if ' "' in row.written and blank_quote.search(row.written):
            self.has_blanks |= any(cell.lstrip(" ")[:1] == '"' != cell[:1] for cell in row.cells)
        if '\\"' in row.written and _ESCAPED_QUOTE.search(row.written):
            self.has_escapes |= any('\\"' in cell for cell in row.cells)
        if not row.has_breaks:
            return
        broken = [cell for cell in row.cells if "\n" in cell or "\r" in cell]
        self.has_breaks |= bool(broken)
        self.has_lines |= any(self.dialect.delimiter in cell for cell in broken)

    def another(self, dialect: CsvDialect) -> _Reading:
        """The same file in another dialect."""
        return _Reading.of(self.path, dialect)

    def rather_than(self, other: _Reading) -> _Reading:
        """This reading, which remembers that another fits as well, but has other rows."""
        if self.misfits or other.misfits or self.rows == other.rows:
            return self
        return replace(self, dialect=replace(self.dialect, doubt=(self.rows, other.rows)))


def _with_own_line_ends(reading: _Reading) -> _Reading:
    """The reading of a file whose header ends with CR and LF, as the other lines end, too.

    Either LF ends rows, also alone, or it stands in cells. What most rows tell comes first.
    """
    if not reading.crlf or not reading.lf:
        return reading
    strict = reading.another(replace(reading.dialect, line_break="\r\n"))
    if reading.crlf < reading.lf and (strict.misfits or not reading.misfits):
        return reading
    if reading.crlf >= reading.lf and strict.misfits and not reading.misfits:
        return reading
    return strict.rather_than(reading)


def _with_own_blanks(reading: _Reading) -> _Reading:
    if not reading.has_blanks:
        return reading
    other = reading.another(replace(reading.dialect, has_blanks=True))
    if other.misfits <= reading.misfits:
        return other
    return replace(reading, dialect=replace(reading.dialect, has_blank_quotes=True))


def _with_own_quotes(reading: _Reading) -> _Reading:
    """The reading with quotes written in the way that fits the whole file."""
    usual = reading.dialect
    if (reading.misfits or reading.has_escapes) and _has_only_escapes(reading):
        other = reading.another(replace(usual, has_backslashes=True))
        if not other.misfits:
            return other
    if usual.delimiter != "\t" or reading.has_quoted_header:
        return reading
    if not reading.misfits and not reading.has_breaks:
        return reading
    plain = reading.another(replace(usual, has_quotes=False))
    if not plain.misfits and (reading.misfits or reading.has_lines):
        return plain.rather_than(reading)
    return reading.rather_than(plain)


def _line_break(path: Path) -> str:
    """What the first line ends with."""
    with one_line_errors(path), open_utf_8(path) as handle:
        while chunk := handle.read(_HEAD):
            found = re.search(rb"\r\n|\n|\r(?=.)|\r\Z", chunk, re.DOTALL)
            if found is None:
                continue
            if found[0] == b"\r" and found.end() == len(chunk) and handle.read(1) == b"\n":
                return "\r\n"
            return found[0].decode()
    return "\n"


def _delimiter_of(path: Path, dialect: CsvDialect, chosen: ColumnChoice | None) -> str:
    """What cuts the header into the most columns, known ones before others."""

    def fit(delimiter: str) -> tuple[bool, int, int]:
        header = next(csv_rows(path, replace(dialect, delimiter=delimiter)), CsvRow(1, (), ""))
        if isinstance(header.cells, NotCsv):
            return (False, -1, 0)
        known = known_columns(header.cells, chosen)
        return bool({"text", "tokens"} & {*known.values()}), len(known), len(header.cells)

    is_tabbed = {suffix.lower() for suffix in path.suffixes} & _TABBED
    signs = [*DELIMITERS.values()]
    return max(sorted(signs, key="\t".__ne__) if is_tabbed else signs, key=fit)


def _has_only_escapes(reading: _Reading) -> bool:
    r"""Whether every backslash stands before a quote, a delimiter or another backslash.

    Then ``\t`` and ``C:\new`` stay what they are.
    """
    delimiter = re.escape(reading.dialect.delimiter)
    escape, other = re.compile(rf'\\["{delimiter}]'), re.compile(rf'\\(?!["\\{delimiter}])')
    has_escapes = False
    for line in _lines(reading):
        if "\\" in line:
            rest = line.replace("\\\\", "")
            if other.search(rest):
                return False
            has_escapes = has_escapes or escape.search(rest) is not None
    return has_escapes


def _lines(reading: _Reading) -> Iterator[str]:
    with one_line_errors(reading.path):
        yield from text_lines(reading.path, reading.dialect)
