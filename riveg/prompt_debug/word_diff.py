"""Which words two texts do not share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

PIECES = re.compile(r"\s+|\w+(?:['’-]\w+)*|[^\w\s]")
"""Spaces, words and signs; together they are the whole text."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a text; ``own``: the other text does not have it here."""

    text: str
    own: bool


def word_diff(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both texts in pieces, which put together are the texts again.

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
    """Own pieces with nothing but a space between them become one."""
    found: list[Piece] = []
    for piece in pieces:
        if len(found) > 1 and piece.own and found[-2].own and found[-1].text.isspace():
            space = found.pop().text
            found[-1] = Piece(found[-1].text + space + piece.text, own=True)
        else:
            found.append(piece)
    return tuple(found)
