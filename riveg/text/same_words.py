"""Whether a place that reads like a copy, blanks and case aside, has the copy's words.

"I ran" reads like "Iran", and "us" like "US": they are other words. A blank may be left out or put
in only where case, a hashtag or the script says that a name is written so.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_left, bisect_right
from functools import cached_property

from riveg.text.characters import UNSPACED, is_unseen
from riveg.text.copied_words import Smoothed
from riveg.text.function_words import function_words

_UNSPACED = re.compile(f"[{UNSPACED}]")
_LONGEST = 30
"""Characters that are looked at of the word beside a blank."""
_MOST_JOINED = 200
"""Blanks that a copy may lack; no name has so many."""
_FEWEST = 3
"""Letters of a word that may be joined to another one, in scripts without capitals."""


class Side:
    """A smoothed text, and the text that it was made from."""

    def __init__(self, original: str, smoothed: Smoothed) -> None:
        self.original = original
        self.smoothed = smoothed
        self._camels: dict[int, bool] = {}

    @cached_property
    def gaps(self) -> tuple[int, ...]:
        """Smoothed characters before which something was left out."""
        return tuple(place for place in range(1, len(self.smoothed.text)) if self.gap(place))

    def gap(self, place: int) -> str | None:
        """What was left out before a smoothed character; ``None`` within a letter."""
        end, start = self.smoothed.ends[place - 1], self.smoothed.starts[place]
        return self.original[end:start] if start >= 0 and end >= 0 else None

    def letters(self, place: int) -> tuple[str, str]:
        """The last letter before a gap, and the first one behind it."""
        left, right = self.words(place)
        return _last_letter(left), right[:1]

    def is_camel(self, place: int) -> bool:
        """Whether a capital follows a small letter there, as in ``AnLee``."""
        if place not in self._camels:
            self._camels[place] = _is_camel(*self.letters(place))
        return self._camels[place]

    def words(self, place: int) -> tuple[str, str]:
        """The words that end and begin at a gap, empty where a sign stands there."""
        end, start = self.smoothed.ends[place - 1], self.smoothed.starts[place]
        before = self.original[max(0, end - _LONGEST) : end]
        after = self.original[start : start + _LONGEST]
        return _word(before[::-1])[::-1], _word(after)


class SameWords:
    """Compares places of one smoothed text with copies.

    Args:
        text: The text, and how it was smoothed.
    """

    def __init__(self, text: Side) -> None:
        self._text = text
        self._functions = function_words(text.original)
        self._joins: dict[tuple[int, bool], bool] = {}

    def are_at(self, found: int, copy: Side) -> bool:
        """Whether the copy's words begin at a smoothed character of the text."""
        count = len(copy.smoothed.text)
        start, end = self._text.smoothed.starts[found], self._text.smoothed.ends[found + count - 1]
        if self._is_other_word(copy.original, start, end):
            return False
        gaps = self._text.gaps
        inside = gaps[bisect_right(gaps, found) : bisect_left(gaps, found + count)]
        kept = frozenset(copy.gaps)
        joined = [place for place in inside if place - found not in kept]
        return (
            len(joined) <= _MOST_JOINED
            and all(self._are_joined(place, copy.is_camel(place - found)) for place in joined)
            and all(self._may_split(found + place, copy, place) for place in copy.gaps)
        )

    def _is_other_word(self, copy: str, start: int, end: int) -> bool:
        """Whether the place is a function word that the copy makes a name of."""
        word, copy = _seen(self._text.original[start:end]), _seen(copy)
        if word.casefold() not in self._functions or self._is_tag(start):
            return False
        return word.casefold() != copy.casefold() or any(
            copied.isupper() and not stands.isupper()
            for copied, stands in zip(copy, word, strict=False)
        )

    def _are_joined(self, place: int, camel: bool) -> bool:
        """As :meth:`_may_join`; places of a repeated text ask for the same blanks."""
        if (place, camel) not in self._joins:
            self._joins[place, camel] = self._may_join(place, camel)
        return self._joins[place, camel]

    def _may_join(self, place: int, camel: bool) -> bool:
        """Whether the words around a blank of the text may be one word of the copy.

        Args:
            place: The smoothed character behind the blank.
            camel: Whether the copy has a capital behind a small letter there.
        """
        left, right = self._text.words(place)
        if not left or not right or not _is_blank(self._text.gap(place)):
            return True
        last, first = self._text.letters(place)
        if _UNSPACED.match(last) or _UNSPACED.match(first):
            return True
        if len(left) == len(right) == 1 and left.isupper() and right.isupper():
            return True
        if self._is_function(left) or self._is_function(right):
            return camel and first.isupper()
        if last.isdigit() or first.isdigit():
            return not (last.isdigit() and first.isdigit())
        if not (_has_case(last) and _has_case(first)):
            return min(_letters(left), _letters(right)) >= _FEWEST
        return camel or (first.isupper() and not (left + right).isupper())

    def _may_split(self, place: int, copy: Side, copied: int) -> bool:
        """Whether two words of the copy may be one word of the text."""
        if self._text.gap(place) != "" or not _is_blank(copy.gap(copied)):
            return True
        last, first = self._text.letters(place)
        if _is_camel(last, first) or last.isdigit() != first.isdigit():
            return True
        left, right = copy.words(copied)
        if not (self._is_function(left) or self._is_function(right)):
            return True
        word = self._text.words(place)[0]
        return self._is_tag(self._text.smoothed.ends[place - 1] - len(word))

    def _is_function(self, word: str) -> bool:
        return word.casefold() in self._functions

    def _is_tag(self, start: int) -> bool:
        before = self._text.original[max(0, start - 2) : start]
        return before.rstrip().endswith(("#", "@"))


def _word(text: str) -> str:
    """The letters, digits and marks that a text begins with, those not seen left out."""
    letters = []
    for character in text:
        if not is_unseen(character):
            if unicodedata.category(character)[0] not in "LMN":
                break
            letters.append(character)
    return "".join(letters)


def _last_letter(word: str) -> str:
    return next((one for one in reversed(word) if unicodedata.category(one)[0] != "M"), "")


def _letters(word: str) -> int:
    return sum(unicodedata.category(one)[0] != "M" for one in word)


def _has_case(letter: str) -> bool:
    return letter.lower() != letter.upper()


def _is_camel(last: str, first: str) -> bool:
    return last.islower() and first.isupper()


def _is_blank(gap: str | None) -> bool:
    return bool(gap) and any(one.isspace() for one in html.unescape(gap or ""))


def _seen(text: str) -> str:
    return "".join(one for one in text if not is_unseen(one))
