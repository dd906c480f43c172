"""Values as data frames write them: NaN for a missing one, and whole numbers as floats.

A column of whole numbers in which one is missing becomes a column of floats, so ``7`` is written as
``7.0`` and the missing one as ``NaN``. In a table of text, these are words.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

_FIRST_INEXACT = 2**53
"""From here on, neighbouring whole numbers are the same float."""

_MISSING = frozenset({"NaN", "nan", "NA", "<NA>", "NULL", "null", "None", "\\N"})
"""How data frames and databases write in text that a value is missing."""

_WHOLE_FLOAT = re.compile(r"-?(?:0|[1-9]\d*)\.0")

_ROUNDED = re.compile(r"-?\d(?:[.,]\d+)?[eE]\+\d+")
"""A long number as spreadsheets show it, 1.2942E+18: its last digits are lost."""


def present(value: object) -> object:
    """The value; ``None`` for NaN."""
    if isinstance(value, float | Decimal) and math.isnan(value):
        return None
    return value


def whole_number(value: object) -> object:
    """The whole number that a float stands for; any other value as it is.

    >>> whole_number(7.0), whole_number(7.5), whole_number(2.0**53), whole_number("7")
    (7, 7.5, 9007199254740992.0, '7')
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < _FIRST_INEXACT:
        return int(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return value


def in_text(cell: str) -> str | None:
    """A cell of a table of text; ``None`` where it says that a value is missing.

    >>> in_text("a.jpg"), in_text("NaN"), in_text("")
    ('a.jpg', None, '')
    """
    return None if cell in _MISSING else cell


def number_in_text(cell: str) -> str | float:
    """The float that a cell is, if it is a whole number and written as such; else the cell.

    >>> number_in_text("7.0"), number_in_text("7"), number_in_text("007.0")
    (7.0, '7', '007.0')
    """
    return float(cell) if _WHOLE_FLOAT.fullmatch(cell) else cell


def is_rounded(text: str) -> bool:
    """Whether it is a number in scientific notation, so that digits of it may be lost.

    >>> is_rounded("1.29403047242784E+18"), is_rounded("1e5"), is_rounded("12")
    (True, False, False)
    """
    return _ROUNDED.fullmatch(text) is not None
