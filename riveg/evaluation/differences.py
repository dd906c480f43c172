"""F1 of two systems on the same samples: how much they differ, and whether by chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riveg.evaluation.bootstrap import SEED, interval_of, percentages, resampled
from riveg.evaluation.cases import Case, CaseScorer
from riveg.evaluation.counts import Count


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of both systems, F1 from 0 to 100.

    Args:
        a: Counts of the first.
        b: Counts of the second.
        a_f1: F1 of the first.
        b_f1: F1 of the second.
        difference: ``b_f1`` less ``a_f1``.
        interval: The range of the difference in 95 % of the resamples.
        p: Two-sided: twice the share of resamples at 0 or on the other side of it, at most 1.
    """

    a: Count
    b: Count
    a_f1: float
    b_f1: float
    difference: float
    interval: tuple[float, float]
    p: float


def differences(
    pairs: Sequence[tuple[Case, Case]],
    names: Sequence[str],
    scorer: CaseScorer,
    resamples: int,
) -> dict[str, Difference]:
    """The differences of these metrics by a paired bootstrap over samples (Efron, 1979).

    Args:
        pairs: Each sample as the first and as the second system answered it.
        names: The metrics.
        scorer: What counts them.
        resamples: How many; always drawn from the same seed.
    """
    # Samples with the same counts under both are interchangeable: one multinomial draw over the
    # distinct rows is the bootstrap over samples.
    rows: Counter[tuple[int, ...]] = Counter()
    for pair in pairs:
        counts = [scorer(case) for case in pair]
        rows[tuple(number for name in names for one in counts for number in _three(one[name]))] += 1
    table = np.array(list(rows), dtype=np.int64)
    often = list(rows.values())
    totals = np.array(often) @ table
    f1 = percentages(resampled(list(rows), often, resamples, SEED), np.nan)[2]
    return {
        name: _difference(
            Count(*map(int, totals[6 * place : 6 * place + 3])),
            Count(*map(int, totals[6 * place + 3 : 6 * place + 6])),
            f1[:, 2 * place + 1] - f1[:, 2 * place],
        )
        for place, name in enumerate(names)
    }


def _three(count: Count) -> tuple[int, int, int]:
    return count.hits, count.predicted, count.gold


def _difference(a: Count, b: Count, drawn: NDArray[np.float64]) -> Difference:
    interval = interval_of(drawn)
    drawn = drawn[~np.isnan(drawn)]
    least = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    # One more of each: no finite number of resamples shows a p of 0.
    p = min(1.0, 2 * (least + 1) / (len(drawn) + 1))
    ends = round(interval.low, 4), round(interval.high, 4)
    return Difference(a, b, a.f1, b.f1, b.f1 - a.f1, ends, p)
