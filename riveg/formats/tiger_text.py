"""TIGER's sentences: ``E is a <coarse> and a <fine>, which is in the image``, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

JOINT = "[SSEP]"
KIND = " is a "
FINE_KIND = " and a "
TAIL = ", which"
SHOWN = "is in the image"
NOT_SHOWN = "is not in the image"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a sentence says: words, fine type, and whether the image shows the entity."""

    words: str
    label: str
    shown: bool


def sentences(line: str) -> Iterator[str]:
    """The sentences of a line, readable or not; none of a blank line.

    >>> list(sentences("one[SSEP] two"))
    ['one', 'two']
    """
    if line.strip():
        yield from (sentence.strip() for sentence in line.split(JOINT))


def read_sentence(sentence: str) -> Statement | None:
    """What a sentence says; ``None``: the program cannot read it.

    Words that hold `` is a `` or ``, which`` make it unreadable, and so do kinds that are not two.
    Its end may be cut off behind ``, which``: any part of the end is enough.

    >>> read_sentence("Rome is a location and a city, which is not in the image")
    Statement(words='Rome', label='city', shown=False)
    >>> read_sentence("A and a B is a art and a music, which i")
    Statement(words='A and a B', label='music', shown=True)
    """
    try:
        head, tail = sentence.split(TAIL)
        words, kinds = head.split(KIND)
        _, label = kinds.split(FINE_KIND)
    except ValueError:
        return None
    tail = tail.strip()
    if tail not in SHOWN and tail not in NOT_SHOWN:
        return None
    if not words.strip() or not label.strip():
        return None
    return Statement(words.strip(), label.strip(), tail in SHOWN)


def write_sentence(statement: Statement) -> str:
    """The sentence of an entity, with its fine type in the place of the coarse one too."""
    place = SHOWN if statement.shown else NOT_SHOWN
    label = statement.label
    return f"{statement.words}{KIND}{label}{FINE_KIND}{label}{TAIL} {place}"
