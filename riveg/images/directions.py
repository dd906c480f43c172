"""Words of scripts that run from right to left, put into the order in which they are seen."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import groupby

_RIGHT_TO_LEFT = frozenset({"R", "AL"})


def runs_right_to_left(text: str) -> bool | None:
    """Whether its first letter belongs to such a script; ``None`` where it has no letter.

    >>> runs_right_to_left("(محمد)"), runs_right_to_left("1 Ann"), runs_right_to_left("...")
    (True, False, None)
    """
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in _RIGHT_TO_LEFT:
            return True
        if direction == "L":
            return False
    return None


def seen_order(words: Sequence[str], *, right_to_left: bool) -> list[int]:
    """Places of the words of one line, from left to right as they are seen.

    Words without letters go with their neighbours where both run the same way, else with the text.

    Args:
        words: In the order in which they are read.
        right_to_left: Whether the whole text runs so.

    >>> seen_order(["صلاح", "in", "New", "York", "!"], right_to_left=True)
    [4, 1, 2, 3, 0]
    """
    ways = _ways(words, right_to_left=right_to_left)
    runs = [list(run) for _, run in groupby(range(len(words)), key=lambda place: ways[place])]
    seen = [run[::-1] if ways[run[0]] else run for run in runs]
    return [place for run in (reversed(seen) if right_to_left else seen) for place in run]


def _ways(words: Sequence[str], *, right_to_left: bool) -> list[bool]:
    own = [runs_right_to_left(word) for word in words]
    before: list[bool] = []
    way = right_to_left
    for one in own:
        way = way if one is None else one
        before.append(way)
    after: list[bool] = []
    way = right_to_left
    for one in reversed(own):
        way = way if one is None else one
        after.append(way)
    sides = zip(before, reversed(after), strict=True)
    return [left if left == right else right_to_left for left, right in sides]
