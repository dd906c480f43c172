"""Finds the tokens that words copied from a text stand for.

A language model names an entity by its words and the number of their occurrence. Its copy may
differ from the text (:mod:`riveg.text.copied_words` says in what). The words are searched exactly
first, then more and more loosely; a place counts only if it begins and ends with a token, and, for
a loose search, if it has the same words (:mod:`riveg.text.same_words`). Last, a word counts that is
the copy with an ending or a prefix (:mod:`riveg.text.affixes`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from riveg.text.affixes import LONGEST_AFFIX, are_affixes, stems
from riveg.text.characters import is_unseen
from riveg.text.copied_words import SMOOTHINGS, Reading, Smoothing, exactly, plainly, without_blanks
from riveg.text.same_words import SameWords, Side
from riveg.types import Span


class Unaligned(ValueError):
    """Raised when words are no tokens of a text; the message tells their writer the reason."""


class HasSpan(Protocol):
    """Anything with a span."""

    @property
    def span(self) -> Span: ...


Spanned = TypeVar("Spanned", bound=HasSpan)


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
        self._reading = Reading(text)
        self._offsets = tuple(offsets)
        self._token_at: dict[int, int] = {}
        self._token_to: dict[int, int] = {}
        # A token may begin or end with what is not seen, which a copy lacks.
        for edges in (self._offsets, [_seen(text, *edges) for edges in self._offsets]):
            for number, (start, end) in enumerate(edges):
                if start < end:
                    self._token_at.setdefault(start, number)
                    self._token_to.setdefault(end, number)
        self._sides: dict[Smoothing, Side] = {}
        self._same: dict[Smoothing, SameWords] = {}

    def find(self, words: str, occurrence: int = 1) -> Span:
        """The tokens that ``words`` stands for.

        Args:
            words: The copied words.
            occurrence: The number of their place, from the left, beginning at 1. It is ignored
                where there is only one place.

        Raises:
            Unaligned: If the words are not in the text, not so often, or only inside a token.
        """
        copy = Reading(words.strip())
        for smoothing in SMOOTHINGS:
            places = self._places(copy, smoothing)
            if places:
                return _chosen(places, words, occurrence)
        inflected = self._inflected(copy)
        if inflected:
            return _chosen(inflected, words, occurrence)
        raise Unaligned(self._reason(words, copy))

    def _places(self, copy: Reading, smoothing: Smoothing) -> list[Span]:
        """Places of the copy's words."""
        copied = Side(copy.text, smoothing(copy))
        return [
            span
            for place, span in self._token_places(copied, smoothing)
            if smoothing is exactly or self._same_words(smoothing).are_at(place, copied)
        ]

    def _token_places(self, copied: Side, smoothing: Smoothing) -> Iterator[tuple[int, Span]]:
        """Tokens that read like the copy, and the smoothed character that they begin with."""
        if copied.smoothed.text.strip():
            for place, start, end in self._side(smoothing).smoothed.places(copied.smoothed.text):
                first, last = self._token_at.get(start), self._token_to.get(end)
                if first is not None and last is not None and first <= last:
                    yield place, Span(first, last + 1)

    def _inflected(self, copy: Reading) -> list[Span]:
        """Words that are the copy with an ending or a prefix written onto it."""
        name = plainly(copy).text
        found: dict[Span, None] = {}
        for looked_for, vowel in stems(name).items() if name else ():
            for _, start, end in self._side(plainly).smoothed.places(looked_for):
                first, last = self._token_with(start), self._token_with(end - 1)
                if first is None or last is None:
                    continue
                left, right = self._offsets[first][0], self._offsets[last][1]
                if max(start - left, right - end) > LONGEST_AFFIX:
                    continue
                before, after = self._text[left:start], self._text[end:right]
                if are_affixes(_plain(before), looked_for, _plain(after), vowel=vowel):
                    found[Span(first, last + 1)] = None
        return sorted(found, key=lambda span: span.start)

    def _token_with(self, place: int) -> int | None:
        """The token that a character belongs to."""
        number = bisect_right(self._offsets, (place, len(self._text))) - 1
        return number if number >= 0 and place < self._offsets[number][1] else None

    def _side(self, smoothing: Smoothing) -> Side:
        if smoothing not in self._sides:
            self._sides[smoothing] = Side(self._text, smoothing(self._reading))
        return self._sides[smoothing]

    def _same_words(self, smoothing: Smoothing) -> SameWords:
        if smoothing not in self._same:
            self._same[smoothing] = SameWords(self._side(smoothing))
        return self._same[smoothing]

    def _reason(self, words: str, copy: Reading) -> str:
        if not without_blanks(copy).text:
            return "an entity needs words"
        for smoothing in SMOOTHINGS:
            for _, span in self._token_places(Side(copy.text, smoothing(copy)), smoothing):
                others = self._text[self._offsets[span.start][0] : self._offsets[span.end - 1][1]]
                return (
                    f"{words!r} does not stand in the text, only {others!r}; "
                    "copy words as they stand there"
                )
        return self._part_of(words, copy) or f"{words!r} does not stand in the text"

    def _part_of(self, words: str, copy: Reading) -> str | None:
        """The reason, if the words stand within tokens."""
        for smoothing in SMOOTHINGS:
            looked_for = smoothing(copy).text
            places = self._side(smoothing).smoothed.places(looked_for) if looked_for else ()
            for _, start, end in places:
                whole = self._tokens_around(start, end)
                if whole:
                    advice = "copy whole words"
                    if self._is_tag(start):
                        advice = (
                            "which is one word: copy all of it if it is an entity, or leave it out"
                        )
                    return f"{words!r} is only a part of {whole!r} there, {advice}"
        return None

    def _is_tag(self, place: int) -> bool:
        """Whether a character belongs to the word of a hashtag or handle."""
        token = self._token_with(place)
        start = place if token is None else self._offsets[token][0]
        before = self._text[max(0, start - 2) : start].rstrip()
        return before.endswith(("#", "@")) or self._text[start] in "#@"

    def _tokens_around(self, start: int, end: int) -> str:
        touched = [one for one in self._offsets if one[0] < end and start < one[1]]
        return self._text[touched[0][0] : touched[-1][1]] if touched else ""


def longest_first(one: HasSpan) -> tuple[float, ...]:
    """The rank of a span that gives way to longer ones, and to those on its left."""
    return one.span.start - one.span.end, one.span.start


def without_overlaps(
    found: Sequence[Spanned], rank: Callable[[Spanned], tuple[float, ...]] = longest_first
) -> tuple[tuple[Spanned, ...], tuple[Spanned, ...]]:
    """Spans that do not overlap, and the others that are dropped for them, both by position.

    The first in rank is kept, the lowest; of two alike the one that was given first.
    """
    kept: list[Spanned] = []
    dropped: list[Spanned] = []
    for one in sorted(found, key=rank):
        meets = any(one.span.start < it.span.end and it.span.start < one.span.end for it in kept)
        (dropped if meets else kept).append(one)
    by_position = sorted(kept, key=lambda it: it.span.start)
    return tuple(by_position), tuple(sorted(dropped, key=lambda it: it.span.start))


def _chosen(places: Sequence[Span], words: str, occurrence: int) -> Span:
    if len(places) == 1:
        return places[0]
    if 1 <= occurrence <= len(places):
        return places[occurrence - 1]
    raise Unaligned(
        f"{words!r} stands {len(places)} times in the text, there is no occurrence {occurrence}"
    )


def _plain(text: str) -> str:
    return plainly(Reading(text)).text


def _seen(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without what is not seen at its ends; an empty one where nothing is seen."""
    while start < end and is_unseen(text[start]):
        start += 1
    while start < end and is_unseen(text[end - 1]):
        end -= 1
    return start, end
