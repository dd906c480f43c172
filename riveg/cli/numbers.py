"""Numbers that options take."""

from __future__ import annotations

import math

import typer


def finite(value: float | None) -> float | None:
    """The value of an option, which a smallest or largest number alone does not keep from NaN.

    Raises:
        typer.BadParameter: If it is NaN or infinite.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to compare with")
    return value
