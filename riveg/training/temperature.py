"""Temperature scaling: one number that makes probabilities honest (Guo et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from riveg.geometry.arrays import Floats
from riveg.nn.calibration import log_odds

_COLDEST, _HOTTEST = 0.05, 20.0
_STEPS = 60
_GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(probabilities: Sequence[float], right: Sequence[bool]) -> float:
    """The temperature of least log-loss, in [0.05, 20]; 1 where there is nothing to learn from.

    Args:
        probabilities: In [0, 1].
        right: Whether what each of them is about was true.
    """
    if not probabilities:
        return 1.0
    scores = log_odds(np.array(probabilities, dtype=np.float64))
    signs = np.where(np.array(right, dtype=bool), 1.0, -1.0)
    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    # The loss is convex in 1 / T, so it has one minimum in log T: a golden-section search.
    for _ in range(_STEPS):
        left, right_end = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _loss(scores * signs, left) < _loss(scores * signs, right_end):
            high = right_end
        else:
            low = left
    return math.exp((low + high) / 2)


def _loss(margins: Floats, log_temperature: float) -> float:
    return float(np.logaddexp(0.0, -margins / math.exp(log_temperature)).mean())
