"""Scores as an evaluation publishes them: rounded, percentages from 0 to 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from riveg.evaluation.bootstrap import Interval, Score
from riveg.evaluation.breakdown import BoxAccuracy, Breakdown
from riveg.evaluation.counts import Count
from riveg.evaluation.protocols.protocol import Protocol
from riveg.evaluation.slices import NAMES, Slices

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class MetricScore:
    """One metric: counts, percentages (0 to 100) and their 95 % bootstrap intervals over samples.

    ``interval`` is F1's.
    """

    hits: int
    predicted: int
    gold: int
    precision: float
    recall: float
    f1: float
    interval: tuple[float, float]
    precision_interval: tuple[float, float]
    recall_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class TypeScore:
    """One metric of one type, or of one slice of the data."""

    hits: int
    predicted: int
    gold: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class BoxFit:
    """How well boxes fit.

    ``gold``: groundable gold entities; ``found``: the percentage of them that is found with words,
    type and box; ``compared``: those found with words and type whose boxes can be compared, of
    which ``accuracy_50`` and ``accuracy_75`` percent reach that IoU; ``mean_iou`` in [0, 1].
    """

    gold: int
    found: float
    compared: int
    accuracy_50: float | None
    accuracy_75: float | None
    mean_iou: float | None


def metric_score(score: Score, protocol: Protocol) -> MetricScore:
    """One metric as the protocol's released program would print it."""
    count = score.count
    shares = [(count.precision, score.precision), (count.recall, score.recall)]
    if protocol.swapped:
        shares.reverse()
    digits = _DIGITS if protocol.decimals is None else protocol.decimals
    return MetricScore(
        count.hits,
        count.predicted,
        count.gold,
        round(shares[0][0], digits),
        round(shares[1][0], digits),
        round(count.f1, digits),
        _ends(score.f1),
        _ends(shares[0][1]),
        _ends(shares[1][1]),
    )


def _ends(interval: Interval) -> tuple[float, float]:
    return round(interval.low, _DIGITS), round(interval.high, _DIGITS)


def type_scores(breakdown: Breakdown, left_out: set[str]) -> dict[str, dict[str, TypeScore]]:
    """Scores by type and metric, the most frequent type in gold first; without some metrics."""

    def most_first(label: str) -> tuple[int, str]:
        return -max(count.gold for count in breakdown.by_type[label].values()), label

    types = {}
    for label in sorted(breakdown.by_type, key=most_first):
        counts = breakdown.by_type[label].items()
        kept = {metric: _type_score(count) for metric, count in counts if metric not in left_out}
        if label and any(score.gold or score.predicted for score in kept.values()):
            types[label] = kept
    return types


def slice_scores(slices: Slices, left_out: set[str]) -> dict[str, dict[str, TypeScore]]:
    """Scores by slice and metric, without some metrics."""
    found = {
        name: {
            metric: _type_score(count)
            for metric, count in slices.counts.get(name, {}).items()
            if metric not in left_out
        }
        for name in NAMES
    }
    return {name: scores for name, scores in found.items() if scores}


def _type_score(count: Count) -> TypeScore:
    return TypeScore(
        count.hits,
        count.predicted,
        count.gold,
        round(count.precision, _DIGITS),
        round(count.recall, _DIGITS),
        round(count.f1, _DIGITS),
    )


def confusion_table(breakdown: Breakdown) -> dict[str, dict[str, int]]:
    """Numbers of entities: gold ``shown`` or ``not shown``, then what the system said."""
    table: dict[str, dict[str, int]] = {}
    for (shown, said), number in sorted(breakdown.confusion.items(), reverse=True):
        table.setdefault(shown, {})[said] = number
    return table


def box_fits(table: Mapping[str, BoxAccuracy], names: Sequence[str]) -> dict[str, BoxFit]:
    """How well boxes fit, for each of the names that the table has."""
    return {name: box_fit(table[name]) for name in names if name in table}


def box_fit(boxes: BoxAccuracy) -> BoxFit:
    """How well boxes fit, as percentages."""

    def share(part: int, whole: int) -> float | None:
        return round(100 * part / whole, _DIGITS) if whole else None

    return BoxFit(
        boxes.gold,
        share(boxes.hits, boxes.gold) or 0.0,
        boxes.boxes,
        share(boxes.at_half, boxes.boxes),
        share(boxes.at_three_quarters, boxes.boxes),
        None if boxes.mean_iou is None else round(boxes.mean_iou, _DIGITS),
    )
