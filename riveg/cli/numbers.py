"""Numbers that options take."""

from __future__ import annotations

import math

import typer

MOST_COUNTED = 2**53
"""Of anything that an option counts; more than there is of anything."""

MOST_RESAMPLES = 100_000
"""Of a bootstrap: each metric and type takes memory for every one; more digits tell nothing."""


def finite(value: float | None) -> float | None:
    """The value of an option, which a smallest or largest number alone does not keep from NaN.

    Raises:
        typer.BadParameter: If it is NaN or infinite.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to compare with")
    return value
