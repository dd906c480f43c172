"""How far probabilities can be trusted: accuracy, Brier score, calibration error with its bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from riveg.training.logistic import Floats


@dataclass(frozen=True, slots=True)
class Bin:
    """Mentions whose probability lies in ``[low, high)``: how many, mean said, share shown."""

    low: float
    high: float
    count: int
    mean: float
    shown: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Figures of ``count`` mentions; all in [0, 1]. ``calibration_error`` is the expected one."""

    count: int
    accuracy: float
    brier: float
    calibration_error: float
    bins: tuple[Bin, ...]


def measure_reliability(
    probabilities: Sequence[float] | Floats,
    shown: Sequence[bool] | Floats,
    *,
    bins: int = 10,
    threshold: float = 0.5,
) -> Reliability:
    """Compares probabilities with what was so.

    Args:
        probabilities: In [0, 1].
        shown: Whether the image showed it, in the same order; at least one.
        bins: Of equal width.
        threshold: Taken for shown from here on.
    """
    said = np.asarray(probabilities, dtype=np.float64)
    was = np.asarray(shown, dtype=np.float64)
    numbers = np.minimum((said * bins).astype(int), bins - 1)
    filled = tuple(
        Bin(
            number / bins,
            (number + 1) / bins,
            int((numbers == number).sum()),
            float(said[numbers == number].mean()),
            float(was[numbers == number].mean()),
        )
        for number in np.unique(numbers)
    )
    return Reliability(
        count=len(said),
        accuracy=float(((said >= threshold) == (was > 0.5)).mean()),
        brier=float(((said - was) ** 2).mean()),
        calibration_error=sum(one.count * abs(one.mean - one.shown) for one in filled) / len(said),
        bins=filled,
    )
