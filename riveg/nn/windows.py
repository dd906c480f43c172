"""Windows over the words of a long text that overlap, so that no text is cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class WordWindow(NamedTuple):
    """Words that are read at once, and those whose answer is taken from this window."""

    words: range
    owned: range


def word_windows(lengths: Sequence[int], room: int, overlap: int) -> tuple[WordWindow, ...]:
    """Windows in text order; their ``owned`` ranges cover every word exactly once.

    Neighbouring windows share ``overlap`` words, or half of their words where these are fewer; a
    word belongs to the window in which it has most context.

    Args:
        lengths: Pieces of each word, at most ``room``.
        room: Pieces in one window.
        overlap: Words that two neighbours share.

    >>> [window.words for window in word_windows([1] * 6, room=4, overlap=2)]
    [range(0, 4), range(2, 6)]
    >>> [window.owned for window in word_windows([1] * 6, room=4, overlap=2)]
    [range(0, 3), range(3, 6)]
    """
    ranges: list[range] = []
    start, total = 0, len(lengths)
    while start < total:
        stop, used = start, 0
        while stop < total and used + lengths[stop] <= room:
            used += lengths[stop]
            stop += 1
        ranges.append(range(start, stop))
        if stop == total:
            break
        start = max(stop - overlap, (start + stop) // 2, start + 1)
    cuts = [(left.stop + right.start + 1) // 2 for left, right in pairwise(ranges)]
    bounds = [0, *cuts, total]
    return tuple(
        WordWindow(words, range(bounds[index], bounds[index + 1]))
        for index, words in enumerate(ranges)
    )
