"""Texts made equal where only their case and their blanks differ."""

from __future__ import annotations


def fold(text: str) -> str:
    """The text with its case folded and one space for each run of blanks.

    >>> fold(" Eileen  COLLINS ")
    'eileen collins'
    """
    return fold_blanks(text.casefold())


def fold_blanks(text: str) -> str:
    r"""The text with one space for each run of blanks of any kind, and none at its ends.

    >>> fold_blanks(" New\n  York\u00a0")
    'New York'
    """
    return " ".join(text.split())


def drop_blanks(text: str) -> str:
    """The text without any blank.

    >>> drop_blanks("@ NASA ")
    '@NASA'
    """
    return "".join(text.split())
