r"""How a CSV file is written: what ends its lines, separates its columns, and escapes its quotes.

The same bytes mean different rows in different dialects. What a file is written in is taken from
its header; the other ways to write quotes are tried only where the usual one does not fit, and
taken only where they fit the whole file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from riveg.datasets.column_names import ColumnChoice, known_columns
from riveg.datasets.encoding import one_line_errors, open_utf_8

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""What may separate columns, by name; of several that fit a header, the first is taken."""

_TABBED = {".tsv", ".tab"}
"""Endings of files whose columns tabs separate, if the header fits that."""

_LONGEST_CELL = 16 * 1024 * 1024
"""Characters. The csv module allows 131 072 by default, less than a long sample may have."""

_KEPT_BREAK = "\udc0d"
"""Stands for a line break within a line while the csv module reads it: no byte is read as that."""

_HEAD = 1 << 16

_SEPARATOR_LINE = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)
"""What Excel writes before the header."""


@dataclass(frozen=True, slots=True)
class CsvDialect:
    r"""How a CSV file is written.

    Args:
        delimiter: What separates columns.
        line_break: What ends lines: ``\n`` (also ``\r\n``) or, in old files, ``\r``.
        skipped: Lines before the header.
        has_backslashes: Whether a quote in a quoted cell follows a backslash instead of a quote.
        has_quotes: Whether quotes around a cell are no part of it.
    """

    delimiter: str = ","
    line_break: str = "\n"
    skipped: int = 0
    has_backslashes: bool = False
    has_quotes: bool = True

    @property
    def note(self) -> str | None:
        """What a user should know of an unusual dialect."""
        if self.has_backslashes:
            return "writes quotes in cells with backslashes, and is read so"
        if not self.has_quotes:
            return "has quotes that do not enclose cells, and is read so"
        return None


@dataclass(frozen=True, slots=True)
class NotCsv:
    """Lines that no row can be read from, and why."""

    first: int
    last: int
    reason: str

    def __str__(self) -> str:
        lines = f"lines {self.first} to {self.last} are"
        return f"{f'line {self.first} is' if self.first == self.last else lines} not CSV" + (
            f" ({self.reason})"
        )


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
    usual = CsvDialect(line_break=_line_break(path))
    with one_line_errors(path):
        first = next(_text_lines(path, usual), "")
    separator = _SEPARATOR_LINE.fullmatch(first)
    if separator is not None:
        usual = replace(usual, skipped=1)
        delimiter = delimiter or separator[1]
    if delimiter is None:
        delimiter = _delimiter_of(path, usual, chosen)
    usual = replace(usual, delimiter=delimiter)
    for dialect in (usual, *_others(path, usual)):
        if _fits(path, dialect):
            return dialect
    return usual


def csv_rows(path: Path, dialect: CsvDialect) -> Iterator[tuple[int, Sequence[str] | NotCsv]]:
    """The cells of each row, with the line that it begins in, from 1; empty rows are left out.

    Bytes that are not UTF-8 become lone surrogates, so that only their own row is unusable.

    Raises:
        UserError: If the file cannot be read.
    """
    # The limit holds for the whole process, so it is only raised, never lowered.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    lines = _Lines(path, dialect)
    reader = csv.reader(
        lines,
        # Strict: otherwise a quote that is never closed takes in all rows after it.
        strict=True,
        delimiter=dialect.delimiter,
        doublequote=not dialect.has_backslashes,
        escapechar="\\" if dialect.has_backslashes else None,
        quoting=csv.QUOTE_MINIMAL if dialect.has_quotes else csv.QUOTE_NONE,
    )
    other = "\r" if dialect.line_break == "\n" else "\n"
    with one_line_errors(path):
        while True:
            number = dialect.skipped + reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"{error}{_quote_hint(lines.last)}"
                yield number, NotCsv(number, dialect.skipped + reader.line_num, reason)
            else:
                if cells:
                    yield number, [cell.replace(_KEPT_BREAK, other) for cell in cells]


class _Lines:
    """The lines of a file for the csv module; remembers the last one."""

    def __init__(self, path: Path, dialect: CsvDialect) -> None:
        self._lines = _text_lines(path, dialect)
        self.last = ""
        for _ in range(dialect.skipped):
            next(self._lines, None)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.last = next(self._lines)
        return self.last


def _text_lines(path: Path, dialect: CsvDialect) -> Iterator[str]:
    """Lines with their ends; the other kind of line break does not end a line."""
    other = "\r" if dialect.line_break == "\n" else "\n"
    with (
        open_utf_8(path) as binary,
        io.TextIOWrapper(
            binary, encoding="utf-8-sig", errors="surrogateescape", newline=dialect.line_break
        ) as handle,
    ):
        for line in handle:
            if other not in line:
                yield line
                continue
            body = line.rstrip("\r\n")
            yield body.replace(other, _KEPT_BREAK) + line[len(body) :]


def _line_break(path: Path) -> str:
    """What the first line ends with."""
    with one_line_errors(path), open_utf_8(path) as handle:
        while chunk := handle.read(_HEAD):
            found = re.search(rb"\r\n|\n|\r(?=.)|\r\Z", chunk, re.DOTALL)
            if found is None:
                continue
            at_end = found[0] == b"\r" and found.end() == len(chunk)
            if found[0] == b"\r" and not (at_end and handle.read(1) == b"\n"):
                return "\r"
            return "\n"
    return "\n"


def _delimiter_of(path: Path, dialect: CsvDialect, chosen: ColumnChoice | None) -> str:
    """What cuts the header into the most columns, known ones before others."""

    def fit(delimiter: str) -> tuple[bool, int, int]:
        _, cells = next(csv_rows(path, replace(dialect, delimiter=delimiter)), (1, []))
        if isinstance(cells, NotCsv):
            return (False, -1, 0)
        known = known_columns(cells, chosen)
        return bool({"text", "tokens"} & {*known.values()}), len(known), len(cells)

    is_tabbed = {suffix.lower() for suffix in path.suffixes} & _TABBED
    signs = [*DELIMITERS.values()]
    return max(sorted(signs, key="\t".__ne__) if is_tabbed else signs, key=fit)


def _others(path: Path, usual: CsvDialect) -> Iterator[CsvDialect]:
    """Other ways to write quotes that may be this file's."""
    if _escapes_quotes_only(path, usual):
        yield replace(usual, has_backslashes=True)
    if usual.delimiter == "\t":
        yield replace(usual, has_quotes=False)


def _escapes_quotes_only(path: Path, dialect: CsvDialect) -> bool:
    r"""Whether every backslash stands before a quote or a backslash, so that ``\t`` stays so."""
    has_escapes = False
    with one_line_errors(path):
        for line in _text_lines(path, dialect):
            if "\\" in line:
                if re.search(r'\\(?!["\\])', line.replace("\\\\", "")):
                    return False
                has_escapes = has_escapes or '\\"' in line
    return has_escapes


def _fits(path: Path, dialect: CsvDialect) -> bool:
    """Whether every row of the file has as many cells as its header."""
    rows = csv_rows(path, dialect)
    _, header = next(rows, (1, []))
    if isinstance(header, NotCsv):
        return False
    return all(not isinstance(cells, NotCsv) and len(cells) == len(header) for _, cells in rows)


def _quote_hint(line: str) -> str:
    if '\\"' in line:
        return r'; a quote in a quoted cell is written "", here it is written \"'
    if '"' in line:
        return '; a quote in a quoted cell is written ""'
    return ""
