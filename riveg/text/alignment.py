"""Finds the tokens that words copied from a text stand for.

A language model names an entity by its words and the number of their occurrence. Its copy may
differ from the text in case, accents, quotation marks and blanks. The words are searched exactly
first, then more and more loosely; a place counts only if it begins and ends with a token.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from riveg.types import Span

_ZERO_WIDTH = frozenset("\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe0e\ufe0f")
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′´`＇", "'"),
        **dict.fromkeys("“”„‟″«»＂", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
    }
)


class Unaligned(ValueError):
    """Raised when words are no tokens of a text; the message tells their writer the reason."""


class HasSpan(Protocol):
    """Anything with a span."""

    @property
    def span(self) -> Span: ...


Spanned = TypeVar("Spanned", bound=HasSpan)


@dataclass(frozen=True, slots=True)
class _Folded:
    """A simplified text, and for each of its characters the range in the original text."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def places(self, words: str) -> Iterator[tuple[int, int]]:
        """Ranges of the original text that simplify to ``words``, overlapping ones too."""
        found = self.text.find(words)
        while found >= 0:
            yield self.starts[found], self.ends[found + len(words) - 1]
            found = self.text.find(words, found + 1)


class TokenAligner:
    """Finds copied words among the tokens of one text.

    Args:
        text: The text that was copied from.
        offsets: The tokens' half-open character ranges in it.

    >>> aligner = TokenAligner("NASA likes nasa", ((0, 4), (5, 10), (11, 15)))
    >>> aligner.find("NASA"), aligner.find("Nasa", occurrence=2)
    (Span(start=0, end=1), Span(start=2, end=3))
    """

    def __init__(self, text: str, offsets: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._offsets = tuple(offsets)
        self._token_at = {start: number for number, (start, _) in enumerate(offsets)}
        self._token_to = {end: number for number, (_, end) in enumerate(offsets)}
        self._folded: dict[_Fold, _Folded] = {}

    def find(self, words: str, occurrence: int = 1) -> Span:
        """The tokens that ``words`` stands for.

        Args:
            words: The copied words.
            occurrence: The number of their place, from the left, beginning at 1. It is ignored
                where there is only one place.

        Raises:
            Unaligned: If the words are not in the text, not so often, or only inside a token.
        """
        for fold in _FOLDINGS:
            places = self._places(words, fold)
            if len(places) == 1:
                return places[0]
            if places and 1 <= occurrence <= len(places):
                return places[occurrence - 1]
            if places:
                raise Unaligned(
                    f"{words!r} stands {len(places)} times in the text, "
                    f"there is no occurrence {occurrence}"
                )
        raise Unaligned(self._reason(words))

    def _places(self, words: str, fold: _Fold) -> list[Span]:
        looked_for = fold(words.strip()).text
        if not looked_for.strip():
            return []
        found = (
            (self._token_at.get(start), self._token_to.get(end))
            for start, end in self._fold(fold).places(looked_for)
        )
        return [
            Span(first, last + 1)
            for first, last in found
            if first is not None and last is not None and first <= last
        ]

    def _fold(self, fold: _Fold) -> _Folded:
        if fold not in self._folded:
            self._folded[fold] = fold(self._text)
        return self._folded[fold]

    def _reason(self, words: str) -> str:
        if not _unspaced(words).text:
            return "an entity needs words"
        for fold in _FOLDINGS:
            for start, end in self._fold(fold).places(fold(words.strip()).text):
                whole = self._tokens_around(start, end)
                if whole:
                    return f"{words!r} is only a part of {whole!r} there, copy whole words"
        return f"{words!r} does not stand in the text"

    def _tokens_around(self, start: int, end: int) -> str:
        touched = [one for one in self._offsets if one[0] < end and start < one[1]]
        return self._text[touched[0][0] : touched[-1][1]] if touched else ""


def without_overlaps(
    found: Sequence[Spanned],
) -> tuple[tuple[Spanned, ...], tuple[Spanned, ...]]:
    """Spans that do not overlap, and the others that are dropped for them, both by position.

    The longest span is kept; of two equally long ones the left one, of two equal ones the first.
    """
    kept: list[Spanned] = []
    dropped: list[Spanned] = []
    for one in sorted(found, key=lambda it: (it.span.start - it.span.end, it.span.start)):
        meets = any(one.span.start < it.span.end and it.span.start < one.span.end for it in kept)
        (dropped if meets else kept).append(one)
    by_position = sorted(kept, key=lambda it: it.span.start)
    return tuple(by_position), tuple(sorted(dropped, key=lambda it: it.span.start))


_Fold = Callable[[str], _Folded]


def _exact(text: str) -> _Folded:
    count = len(text)
    return _Folded(text, tuple(range(count)), tuple(range(1, count + 1)))


def _spaced(text: str) -> _Folded:
    return _collect(text, _plain)


def _unaccented(text: str) -> _Folded:
    return _collect(text, _bare)


def _unspaced(text: str) -> _Folded:
    return _collect(text, lambda cluster: _bare(cluster).strip())


_FOLDINGS: tuple[_Fold, ...] = (_exact, _spaced, _unaccented, _unspaced)
"""From strict to loose: exact; without case and punctuation; without accents; without blanks."""


def _collect(text: str, smooth: Callable[[str], str]) -> _Folded:
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(text):
        smoothed = smooth(text[start:end])
        characters.append(smoothed)
        starts += [start] * len(smoothed)
        ends += [end] * len(smoothed)
    return _Folded("".join(characters), tuple(starts), tuple(ends))


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    # A letter and the accents after it stay together (accents come in any order), blanks too.
    start = 0
    for position in range(1, len(text) + 1):
        if position < len(text) and _continues(text[position - 1], text[position]):
            continue
        yield start, position
        start = position


def _continues(before: str, character: str) -> bool:
    if character.isspace():
        return before.isspace()
    return unicodedata.combining(character) != 0 or character in _ZERO_WIDTH


def _plain(cluster: str) -> str:
    visible = "".join(character for character in cluster if character not in _ZERO_WIDTH)
    if visible.isspace():
        return " "
    decomposed = unicodedata.normalize("NFKD", visible.translate(_PLAIN))
    return unicodedata.normalize("NFKD", decomposed.casefold())


def _bare(cluster: str) -> str:
    plain = _plain(cluster)
    return "".join(mark for mark in plain if unicodedata.category(mark) != "Mn") or plain
