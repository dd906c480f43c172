"""CoNLL files with ``IMGID:`` lines: Twitter-GMNER, Twitter-FMNERG, Twitter-2015 and 2017."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from riveg.errors import UserError
from riveg.formats.lines import numbered_lines
from riveg.text.tag_schemes import TagEvidence, TagScheme

HEADER = "IMGID:"
DOCUMENT_MARK = "-DOCSTART-"
"""Begins a line between two documents, which is no sentence."""


@dataclass(frozen=True, slots=True)
class ConllSentence:
    """One sentence.

    Args:
        image_id: What its ``IMGID:`` line says; ``None`` without such a line.
        tokens: Its tokens; any text without tab and line feed, also blank or empty.
        columns: One tuple of tags per column.
        line: Its first line in the file, from 1.
        first_row: The line of its first token.
    """

    image_id: str | None
    tokens: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    line: int
    first_row: int


def read_conll(path: Path) -> Iterator[ConllSentence]:
    """Sentences in file order, one in memory at a time.

    A line of ``-DOCSTART-`` before a sentence, or alone, is left out. Blanks around a tag and tabs
    at the end of a line are not read.

    Raises:
        UserError: If the file is missing or no UTF-8, or a line has another number of columns than
            the first.
    """
    block = _Block()
    for number, line in numbered_lines(path):
        if line.startswith(HEADER) and "\t" not in line.rstrip():
            yield from block.sentences()
            block = _Block(line[len(HEADER) :].strip(), number)
        elif line.strip():
            block.add(line, path, number)
        else:
            yield from block.sentences()
            block = _Block()
    yield from block.sentences()


def column_schemes(
    sentences: Iterable[ConllSentence],
    path: Path,
    columns: Sequence[int],
    *,
    named: TagScheme | None = None,
) -> tuple[TagScheme, ...]:
    """The tag scheme of each of these columns, found from all sentences.

    Args:
        sentences: All of the file's sentences.
        path: The file, for messages.
        columns: Places among the columns of tags, as indexes of a sequence.
        named: The scheme that the user says it is.

    Raises:
        UserError: If tags of a column are of no scheme, of two at once, or not of the named one.
    """
    evidence = [TagEvidence() for _ in columns]
    for sentence in sentences:
        lines = range(sentence.first_row, sentence.first_row + len(sentence.tokens))
        for found, column in zip(evidence, columns, strict=True):
            if sentence.tokens:
                found.add(sentence.columns[column], lines)
    return tuple(found.scheme(path, named) for found in evidence)


class _Block:
    """Lines up to the next blank line or the next ``IMGID:`` line."""

    def __init__(self, image_id: str | None = None, line: int = 0) -> None:
        self._image_id = image_id
        self._line = line
        self._rows: list[list[str]] = []
        self._first_row = 0

    def add(self, line: str, path: Path, number: int) -> None:
        """Takes in one more line."""
        if not self._rows:
            if self._image_id is None and line.split(maxsplit=1)[0] == DOCUMENT_MARK:
                return
            self._first_row = number
        self._rows.append(_row(line, self._rows, path, number))

    def sentences(self) -> Iterator[ConllSentence]:
        """The block's sentence, if it is one."""
        if not self._rows and self._image_id is None:
            return
        tokens, *columns = zip(*self._rows, strict=True) if self._rows else ((),)
        if tokens == (DOCUMENT_MARK,):
            return
        first, line = self._first_row, self._line or self._first_row
        yield ConllSentence(self._image_id, tuple(tokens), tuple(columns), line, first)


def _row(line: str, rows: list[list[str]], path: Path, number: int) -> list[str]:
    fields = _fields(line)
    if len(fields) < 2 or (rows and len(fields) != len(rows[0])):
        expected = len(rows[0]) if rows else "at least 2"
        has_blanks = len(fields) == 1 and len(line.split()) > 1
        hint = "; put tabs in the place of the blanks" if has_blanks else ""
        raise UserError(
            f"{path}:{number}: expected {expected} tab-separated columns, found {len(fields)}{hint}"
        )
    return fields


def _fields(line: str) -> list[str]:
    """The token as it stands, and its tags; a token alone has one field."""
    token, *tags = line.split("\t")
    tags = [tag.strip() for tag in tags]
    while len(tags) > 1 and not tags[-1]:
        tags.pop()
    return [token, *tags]
