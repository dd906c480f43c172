"""Intervals for scores, by resampling samples (Efron, 1979)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riveg.evaluation.counts import NOTHING, Count

RESAMPLES = 1000
SEED = 0
ENDS = (0.025, 0.975)
"""The quantiles between which 95 % of the resamples lie."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The range of a percentage in 95 % of the resamples."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{self.low:.1f}, {self.high:.1f}]"


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's counts, and the intervals of its three percentages."""

    count: Count
    precision: Interval
    recall: Interval
    f1: Interval


class Tally:
    """Adds up counts per sample, and remembers which samples have the same counts.

    Samples with the same counts are interchangeable, so that a resample is one multinomial draw
    over the distinct rows: exactly the bootstrap over samples, at a cost that does not grow with
    them.
    """

    def __init__(self) -> None:
        self._rows: Counter[tuple[int, ...]] = Counter()
        self._metrics: tuple[str, ...] = ()

    def add(self, counts: Mapping[str, Count]) -> None:
        """One more sample; every sample has the same metrics."""
        self._metrics = tuple(counts)
        self._rows[
            tuple(
                number
                for count in counts.values()
                for number in (count.hits, count.predicted, count.gold)
            )
        ] += 1

    @property
    def samples(self) -> int:
        """How many samples were added."""
        return self._rows.total()

    def totals(self) -> dict[str, Count]:
        """Counts over all samples, by metric."""
        totals = dict.fromkeys(self._metrics, NOTHING)
        for row, often in self._rows.items():
            for position, metric in enumerate(self._metrics):
                hits, predicted, gold = row[3 * position : 3 * position + 3]
                totals[metric] += Count(often * hits, often * predicted, often * gold)
        return totals

    def scores(self, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, Score]:
        """Every metric with its intervals; the same seed gives the same intervals."""
        totals = self.totals()
        if not self._rows:
            return {}
        drawn = resampled(list(self._rows), list(self._rows.values()), resamples, seed)
        return {
            metric: Score(
                totals[metric], *map(interval_of, percentages(drawn[:, position], np.nan))
            )
            for position, metric in enumerate(self._metrics)
        }


def resampled(
    rows: Sequence[tuple[int, ...]], often: Sequence[int], resamples: int, seed: int
) -> NDArray[np.int64]:
    """Totals of each resample.

    Args:
        rows: Distinct rows of numbers, three for each metric.
        often: How many samples have that row.
        resamples: How many times as many samples are drawn, with replacement.
        seed: Of the draws.

    Returns:
        *Shape* ``(resamples, metrics, 3)``: hits, predicted, gold.
    """
    samples = sum(often)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(samples, np.asarray(often) / samples, size=resamples)
    totals = drawn @ np.asarray(rows, dtype=np.int64)
    return totals.reshape(resamples, -1, 3)


def resampled_f1(totals: NDArray[np.int64], resamples: int) -> NDArray[np.float64]:
    """F1 in [0, 100] of each metric over resampled samples, the same draws for all.

    *Shape:* ``totals (samples, 3 * metrics)``: hits, predicted, gold of each metric; result
    ``(resamples, metrics)``.
    """
    rows, often = np.unique(totals, axis=0, return_counts=True)
    drawn = resampled([tuple(row) for row in rows], often.tolist(), resamples, SEED)
    return percentages(drawn)[2]


def percentages(
    totals: NDArray[np.int64], of_nothing: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1 in [0, 100].

    Args:
        totals: Hits, predicted, gold. *Shape:* ``(..., 3)``.
        of_nothing: The value where the divisor is 0.

    Returns:
        Three arrays of *shape* ``(...)``.
    """
    hits, predicted, gold = (totals[..., column].astype(float) for column in range(3))

    def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(100 * part, whole, out=np.full_like(part, of_nothing), where=whole > 0)

    return share(hits, predicted), share(hits, gold), share(2 * hits, predicted + gold)


def interval_of(values: NDArray[np.float64]) -> Interval:
    """The interval that holds 95 % of the values, as much above it as below.

    A resample that holds nothing of what is scored has NaN and says nothing; [0, 0] where all do.

    *Shape:* ``(resamples,)``.
    """
    telling = values[~np.isnan(values)]
    if not len(telling):
        return Interval(0.0, 0.0)
    low, high = np.quantile(telling, ENDS)
    return Interval(float(low), float(high))
