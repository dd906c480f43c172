"""Where a span of tokens stands in its text, and its words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from riveg.text.tokenise import Offsets
from riveg.types import Span


def character_range(offsets: Offsets, span: Span) -> tuple[int, int] | None:
    """The span's half-open range of characters in the text (Unicode code points).

    ``None`` where the span reaches beyond the tokens.

    >>> character_range(((0, 3), (4, 8)), Span(0, 2))
    (0, 8)
    """
    if span.end > len(offsets):
        return None
    return offsets[span.start][0], offsets[span.end - 1][1]


def covering_span(offsets: Offsets, start: int, end: int) -> Span | None:
    """The tokens that share a character with the half-open range ``[start, end)`` of the text.

    ``None`` where the range holds nothing but what stands between tokens.

    >>> covering_span(((0, 3), (4, 8), (9, 12)), 5, 8)
    Span(start=1, end=2)
    """
    first = bisect_right(offsets, start, key=lambda token: token[1])
    stop = bisect_left(offsets, end, key=lambda token: token[0])
    return Span(first, stop) if first < stop else None


def span_text(text: str, offsets: Offsets, span: Span) -> str:
    """The span's words as they stand in the text, with the white space between them.

    Raises:
        IndexError: If the span reaches beyond the tokens.
    """
    return text[offsets[span.start][0] : offsets[span.end - 1][1]]


def joined_tokens(tokens: Sequence[str], span: Span) -> str:
    """The span's tokens, one space between two.

    >>> joined_tokens(["in", "New", "York"], Span(1, 3))
    'New York'
    """
    return " ".join(tokens[span.start : span.end])
