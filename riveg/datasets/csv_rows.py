r"""The rows of a CSV file in one dialect: its lines, and the cells that they hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from riveg.datasets.encoding import one_line_errors, open_utf_8

_LONGEST_CELL = 16 * 1024 * 1024
"""Characters. The csv module allows 131 072 by default, less than a long sample may have."""

_KEPT_LF, _KEPT_CR = "\udc0a", "\udc0d"
"""Stand for line breaks within a line while the csv module reads it: no byte is read as these."""

_HIDDEN = str.maketrans({"\n": _KEPT_LF, "\r": _KEPT_CR})
_SHOWN = str.maketrans({_KEPT_LF: "\n", _KEPT_CR: "\r"})


@dataclass(frozen=True, slots=True)
class CsvDialect:
    r"""How a CSV file is written.

    Args:
        delimiter: What separates columns.
        line_break: What ends lines: ``\n`` (also ``\r\n``), only ``\r\n``, or, in old files, ``\r``
            (also ``\r\n``).
        skipped: Lines before the header.
        has_backslashes: Whether a quote in a cell may follow a backslash instead of a quote.
        has_quotes: Whether quotes around a cell are no part of it.
        has_blanks: Whether blanks behind a delimiter are no part of the cell.
        has_blank_quotes: Whether cells begin with blanks and a quote, which stay, because without
            them fewer rows fit.
        doubt: The rows in this dialect and in another that fits as well, if their numbers differ.
    """

    delimiter: str = ","
    line_break: str = "\n"
    skipped: int = 0
    has_backslashes: bool = False
    has_quotes: bool = True
    has_blanks: bool = False
    has_blank_quotes: bool = False
    doubt: tuple[int, int] | None = None

    @property
    def note(self) -> str | None:
        """What a user should know of an unusual dialect, or of one that is not the only one."""
        doubt = "" if self.doubt is None else f" ({self.doubt[0]} rows, not {self.doubt[1]})"
        if self.has_backslashes:
            return f"writes quotes in cells with backslashes, and is read so{doubt}"
        if not self.has_quotes:
            return f"has quotes that do not enclose cells, and is read so{doubt}"
        if self.has_blank_quotes:
            return "has quotes behind blanks that enclose no whole cells; they are read as text"
        if self.doubt is None:
            return None
        if self.line_break == "\r\n":
            return f"has lines that end with CR and LF, others within cells with LF alone{doubt}"
        return f"has quoted cells with line breaks in them, and is read so{doubt}"


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


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A row: the line that it begins in, from 1, its cells, and its lines as they are written."""

    number: int
    cells: Sequence[str] | NotCsv
    written: str

    @property
    def has_breaks(self) -> bool:
        """Whether there are line breaks within it."""
        inner = self.written[:-2]
        return any(sign in inner for sign in ("\n", "\r", _KEPT_LF, _KEPT_CR))


def csv_rows(path: Path, dialect: CsvDialect) -> Iterator[CsvRow]:
    """The rows of a file; empty ones are left out.

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
        escapechar="\\" if dialect.has_backslashes else None,
        quoting=csv.QUOTE_MINIMAL if dialect.has_quotes else csv.QUOTE_NONE,
        skipinitialspace=dialect.has_blanks,
    )
    with one_line_errors(path):
        while True:
            lines.row.clear()
            number = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"{error}{_quote_hint(lines.row[-1])}"
                yield CsvRow(number, NotCsv(number, lines.number, reason), "".join(lines.row))
            else:
                written = "".join(lines.row)
                if _KEPT_LF in written or _KEPT_CR in written:
                    cells = [cell.translate(_SHOWN) for cell in cells]
                if cells:
                    yield CsvRow(number, cells, written)


def text_lines(path: Path, dialect: CsvDialect) -> Iterator[str]:
    """Lines with their ends; line breaks of another kind do not end a line, and are hidden."""
    with (
        open_utf_8(path) as binary,
        io.TextIOWrapper(
            binary, encoding="utf-8-sig", errors="surrogateescape", newline=dialect.line_break
        ) as handle,
    ):
        for line in _with_whole_ends(handle) if dialect.line_break == "\r" else handle:
            body = line.rstrip("\r\n")
            is_plain = "\r" not in body and "\n" not in body
            yield line if is_plain else body.translate(_HIDDEN) + line[len(body) :]


class _Lines:
    """The lines of a file for the csv module.

    Counts them as editors do, and keeps those since ``row`` was cleared.
    """

    def __init__(self, path: Path, dialect: CsvDialect) -> None:
        self._lines = text_lines(path, dialect)
        self._counts_lf = dialect.line_break == "\r\n"
        self.row: list[str] = []
        for _ in range(dialect.skipped):
            next(self._lines, None)
        self.number = dialect.skipped

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.row.append(line)
        within = line.count(_KEPT_LF) if self._counts_lf else 0
        self.number += within + max(1, line.count("\n") if self._counts_lf else 1)
        return line


def _with_whole_ends(lines: Iterable[str]) -> Iterator[str]:
    """Lines that end with CR, but a LF behind it belongs to that end and not to the next line."""
    held = ""
    for line in lines:
        rest = line
        if held.endswith("\r") and line.startswith("\n"):
            held, rest = f"{held}\n", line[1:]
        if held:
            yield held
        held = rest
    if held:
        yield held


def _quote_hint(line: str) -> str:
    if '\\"' in line:
        return r'; a quote in a quoted cell is written "", here it is written \"'
    if '"' in line:
        return '; a quote in a quoted cell is written ""'
    return ""
