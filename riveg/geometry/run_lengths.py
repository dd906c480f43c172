"""COCO run lengths as text: how masks are kept in records."""

from __future__ import annotations

import numpy as np

from riveg.geometry.arrays import Bitmap


def run_lengths(counts: str, height: int, width: int) -> list[int]:
    """Run lengths down the columns, outside first.

    Read here and not by ``pycocotools.mask.decode``, which gives uninitialised memory where the
    runs are too short for the image, and warns under numpy 2. A character holds five bits, least
    significant first, as an offset from ``"0"``; bit 5 says that more bits follow; from the fourth
    run on, a value is the difference from the run two before (``rleFrString``).

    Raises:
        ValueError: If the run lengths do not fill ``height * width`` pixels exactly.
    """
    damage = f"the run lengths do not fill a mask of {height}x{width} pixels"
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(damage)
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift or sum(runs) != height * width or min(runs, default=0) < 0:
        raise ValueError(damage)
    return runs


def bitmap(counts: str, height: int, width: int) -> Bitmap:
    """The pixels of run lengths, C-contiguous. *Shape:* ``(height, width)``.

    Raises:
        ValueError: If the run lengths do not fill the mask exactly.
    """
    runs = run_lengths(counts, height, width)
    inside = np.arange(len(runs)) % 2 == 1
    columns = np.repeat(inside, runs).reshape(width, height)
    return np.ascontiguousarray(columns.T)
