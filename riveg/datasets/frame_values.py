"""Values as data frames write them: NaN for a missing one, and whole numbers as floats.

A column of whole numbers in which one is missing becomes a column of floats, so ``7`` is written as
``7.0`` and the missing one as ``NaN``.
"""

from __future__ import annotations

import math
from decimal import Decimal

_FIRST_INEXACT = 2**53
"""From here on, neighbouring whole numbers are the same float."""


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
