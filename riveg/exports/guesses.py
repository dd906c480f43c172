"""Guesses in exports: marked where a format has a place for that, else left out; always counted.

A guess (:attr:`riveg.types.Region.guess`) is a box that nothing in the image supports. Which
format does what is in the table of ``docs/exports.md``; every format asks here.
"""

from __future__ import annotations

from collections import Counter

from riveg.types import Region

NOTE = "guess: nothing in the picture supports this box"
"""What a guess is, for people who look at the export."""

_COUNT = "guesses"
_LEFT_OUT = "guess (a box that nothing in the picture supports)"


def must_mark(region: Region, counts: Counter[str]) -> bool:
    """Whether a region has to be written as a guess; it is then counted among what is written."""
    if region.guess:
        counts[_COUNT] += 1
    return region.guess


def must_leave_out(region: Region, left_out: Counter[str]) -> bool:
    """The same for a format that cannot mark guesses: counted among what is left out."""
    if region.guess:
        left_out[_LEFT_OUT] += 1
    return region.guess
