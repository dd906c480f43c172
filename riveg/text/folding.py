"""Texts made equal where only their case and their blanks differ."""

from __future__ import annotations


def fold(text: str) -> str:
    """The text with its case folded and one space for each run of blanks.

    >>> fold(" Eileen  COLLINS ")
    'eileen collins'
    """
    return " ".join(text.casefold().split())
