"""Numbers that options take."""

from __future__ import annotations

import math

import typer

MOST_COUNTED = 2**53
"""Of anything that an option counts; more than there is of anything."""

MOST_RESAMPLES = 100_000
"""Of a bootstrap: each metric and type takes memory for every one; more digits tell nothing."""


def short(number: int) -> str:
    """A count in few characters.

    >>> short(9999), short(12_345), short(4_100_000), short(2 * 10**12)
    ('9,999', '12.3k', '4.1M', '2,000G')
    """
    if number < 10_000:
        return f"{number:,}"
    scaled, unit = number / 1e3, "k"
    for unit_above in "MG":
        if scaled < 999.5:
            break
        scaled, unit = scaled / 1e3, unit_above
    return f"{scaled:,.0f}{unit}" if scaled >= 99.95 else f"{scaled:.1f}{unit}"


def money(cost: float, currency: str | None) -> str:
    """A sum that was spent, with its currency.

    >>> money(1234.5, "USD"), money(0.00123, "EUR")
    ('1,234.50 USD', '0.0012 EUR')
    """
    return f"{cost:,.{2 if cost >= 1 else 4}f} {currency or ''}".rstrip()


def finite(value: float | None) -> float | None:
    """The value of an option, which a smallest or largest number alone does not keep from NaN.

    Raises:
        typer.BadParameter: If it is NaN or infinite.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to compare with")
    return value
