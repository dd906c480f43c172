"""Words of messages, as several formats need them."""

from __future__ import annotations


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun.

    >>> counted(1, "line is", "lines are"), counted(2, "line is", "lines are")
    ('1 line is', '2 lines are')
    """
    return f"{number} {one if number == 1 else many}"
