"""CoNLL files that a tagger wrote: one of their columns holds the predicted tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from riveg.errors import UserError
from riveg.formats.conll import ConllSentence, read_conll
from riveg.text.bio import OUTSIDE
from riveg.text.tag_schemes import is_tag

OUTSIDE_TOO = "X"
"""RiVEG's tagger writes it for words that are no part of the post."""


def read_predicted_tags(path: Path, column: int = -1) -> Iterator[ConllSentence]:
    """The file's sentences with this column only, and ``O`` where it says ``X``.

    Args:
        path: The file.
        column: Counted from 0 behind the tokens, or from -1 at the end.

    Raises:
        UserError: As :func:`~riveg.formats.conll.read_conll`, or if a sentence has no such column,
            or what stands in it is no tag.
    """
    for sentence in read_conll(path):
        tags = _column(sentence, column, path) if sentence.tokens else ()
        for line, tag in enumerate(tags, start=sentence.first_row):
            if not is_predicted_tag(tag):
                where = "the last column" if column == -1 else f"tag column {column}"
                raise UserError(
                    f"{path}:{line}: expected a tag such as O, B-PER, I-PER, E-PER or S-PER in "
                    f"{where}, found {tag[:60]!r}"
                )
        plain = tuple(OUTSIDE if tag == OUTSIDE_TOO else tag for tag in tags)
        yield replace(sentence, columns=(plain,))


def is_predicted_tag(text: str) -> bool:
    """Whether a text is a tag in a file of predictions.

    >>> is_predicted_tag("E-PER"), is_predicted_tag("X"), is_predicted_tag("[SEP]")
    (True, True, False)
    """
    return text == OUTSIDE_TOO or is_tag(text)


def _column(sentence: ConllSentence, column: int, path: Path) -> tuple[str, ...]:
    try:
        return sentence.columns[column]
    except IndexError as error:
        found = len(sentence.columns)
        raise UserError(
            f"{path}:{sentence.line}: no tag column {column}, there are {found}"
        ) from error
