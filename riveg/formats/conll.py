"""CoNLL files with ``IMGID:`` lines: Twitter-GMNER, Twitter-FMNERG, Twitter-2015 and 2017."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from riveg.errors import UserError

HEADER = "IMGID:"


@dataclass(frozen=True, slots=True)
class ConllSentence:
    """One sentence: its image id, tokens, one tuple of tags per column, and its first line."""

    image_id: str | None
    tokens: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    line: int


def read_conll(path: Path) -> Iterator[ConllSentence]:
    """Sentences in file order, one in memory at a time.

    Raises:
        UserError: If the file is missing or no UTF-8, or a line has another number of columns than
            the first.
    """
    try:
        handle = path.open(encoding="utf-8", newline=None)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    with handle:
        try:
            yield from _sentences(handle, path)
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: is not UTF-8 text ({error})") from error


def _sentences(lines: Iterator[str], path: Path) -> Iterator[ConllSentence]:
    image_id: str | None = None
    rows: list[list[str]] = []
    first = 1
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip("\r\n")
        if line.startswith(HEADER) and "\t" not in line:
            if rows or image_id is not None:
                yield _sentence(image_id, rows, first)
            image_id, rows, first = line[len(HEADER) :].strip(), [], number
        elif line.strip():
            if not rows and image_id is None:
                first = number
            rows.append(_row(line, rows, path, number))
        elif rows or image_id is not None:
            yield _sentence(image_id, rows, first)
            image_id, rows = None, []
    if rows or image_id is not None:
        yield _sentence(image_id, rows, first)


def _row(line: str, rows: list[list[str]], path: Path, number: int) -> list[str]:
    fields = line.split("\t")
    if len(fields) < 2 or (rows and len(fields) != len(rows[0])):
        expected = len(rows[0]) if rows else "at least 2"
        raise UserError(
            f"{path}:{number}: expected {expected} tab-separated columns, found {len(fields)}"
        )
    return fields


def _sentence(image_id: str | None, rows: list[list[str]], line: int) -> ConllSentence:
    tokens, *columns = zip(*rows, strict=True) if rows else ((),)
    return ConllSentence(image_id, tuple(tokens), tuple(columns), line)
