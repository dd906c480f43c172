"""How far probabilities can be trusted: accuracy, Brier score, calibration error with its bins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from riveg.evaluation.bootstrap import Interval, Tally
from riveg.evaluation.counts import Count
from riveg.geometry.arrays import Floats


@dataclass(frozen=True, slots=True)
class Bin:
    """Mentions whose probability is in ``[low, high)``: number, mean probability, share shown."""

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
    """Compares probabilities with gold.

    Args:
        probabilities: In [0, 1], *shape* ``(n,)``.
        shown: Whether the image shows the mention, in the same order; at least one.
        bins: How many bins, of equal width.
        threshold: The least probability that counts as shown.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    gold = np.asarray(shown, dtype=np.float64)
    filled = _filled_bins(scores, gold, bins)
    return Reliability(
        count=len(scores),
        accuracy=float(((scores >= threshold) == (gold > 0.5)).mean()),
        brier=float(((scores - gold) ** 2).mean()),
        calibration_error=_weighted_gap(filled),
        bins=filled,
    )


def accuracy_interval(
    probabilities: Floats, shown: Floats, posts: Sequence[int], *, threshold: float = 0.5
) -> Interval:
    """The range of the accuracy, in percent, in 95 % of bootstrap resamples of posts.

    Args:
        probabilities: In [0, 1], *shape* ``(n,)``.
        shown: 0 or 1, *shape* ``(n,)``.
        posts: The number of each mention's post.
        threshold: The least probability that counts as shown.
    """
    right = (probabilities >= threshold) == (shown > 0.5)
    mentions, hits = Counter(posts), Counter(np.asarray(posts)[right].tolist())
    tally = Tally()
    for post, count in mentions.items():
        tally.add({"accuracy": Count(hits[post], count, count)})
    return tally.scores()["accuracy"].precision


def expected_calibration_error(
    probabilities: Sequence[float] | Floats, shown: Sequence[bool] | Floats, *, bins: int = 10
) -> float:
    """Mean gap between probability and accuracy over bins of equal width, weighted by size.

    After Guo et al. (2017); 0 without probabilities. *Shape* of both: ``(n,)``.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    return _weighted_gap(_filled_bins(scores, np.asarray(shown, dtype=np.float64), bins))


def _filled_bins(scores: Floats, gold: Floats, bins: int) -> tuple[Bin, ...]:
    numbers = np.minimum((scores * bins).astype(int), bins - 1)
    return tuple(
        Bin(
            number / bins,
            (number + 1) / bins,
            int((numbers == number).sum()),
            float(scores[numbers == number].mean()),
            float(gold[numbers == number].mean()),
        )
        for number in np.unique(numbers)
    )


def _weighted_gap(filled: Sequence[Bin]) -> float:
    count = sum(one.count for one in filled)
    return sum(one.count * abs(one.mean - one.shown) for one in filled) / max(count, 1)
