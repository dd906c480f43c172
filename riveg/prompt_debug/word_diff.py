"""The words that two texts do not share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

PIECES = re.compile(r"\s+|\w+(?:['’-]\w+)*|[^\w\s]")
"""Spaces, words and signs; together they are the whole text."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text; ``own``: the other text does not have it here."""

    text: str
    own: bool


def word_diff(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both texts in pieces; joined, the pieces are the texts again.

    >>> word_diff("a red car", "a car")[0]
    (Piece(text='a ', own=False), Piece(text='red ', own=True), Piece(text='car', own=False))
    """
    words = PIECES.findall(before), PIECES.findall(after)
    matcher = SequenceMatcher(None, *words, autojunk=False)
    sides: tuple[list[Piece], list[Piece]] = [], []
    for kind, *ends in matcher.get_opcodes():
        ranges = ends[:2], ends[2:]
        for side, own_words, (start, end) in zip(sides, words, ranges, strict=True):
            if start != end:
                side.append(Piece("".join(own_words[start:end]), kind != "equal"))
    return _joined(sides[0]), _joined(sides[1])


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    """The pieces, with own pieces joined that only a space separates."""
    joined: list[Piece] = []
    for piece in pieces:
        if len(joined) > 1 and piece.own and joined[-2].own and joined[-1].text.isspace():
            space = joined.pop().text
            joined[-1] = Piece(joined[-1].text + space + piece.text, own=True)
        else:
            joined.append(piece)
    return tuple(joined)
