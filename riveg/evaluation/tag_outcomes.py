"""What a run's tagger would have answered at other thresholds, as far as its records show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riveg.evaluation.annotated_runs import AnnotatedRun
from riveg.evaluation.bootstrap import percentages, resampled_f1
from riveg.evaluation.canonical import AGREEMENTS, CanonicalScorer, Rules
from riveg.evaluation.cases import Case
from riveg.evaluation.counts import Count
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.threshold_search import Axis, Plateau, widest_plateau
from riveg.geometry.arrays import Floats

METRIC = "mner"

Counts = NDArray[np.int64]
"""Hits and predicted entities of each sample. *Shape:* ``(samples, 2)``."""


class _Stretch(NamedTuple):
    """Thresholds ``(above, until]`` at which a sample has so many hits and predicted entities."""

    sample: int
    above: float
    until: float
    hits: int
    predicted: int


@dataclass(frozen=True, slots=True)
class TagOutcomes:
    """MNER's counts at every threshold of the tagger from the run's own upwards.

    Args:
        axis: The thresholds.
        stretches: Rows of sample, first cell, cell behind the last, hits, predicted entities.
        gold: Gold entities of each sample, *shape* ``(samples,)``.
        without_gold: Samples of the run that are not annotated.
        without_score: Entities that the tagger gave no score, which no threshold drops.
        notes: What else looks wrong with the gold, or between it and the run; one line each.
    """

    axis: Axis
    stretches: NDArray[np.int64]
    gold: NDArray[np.int64]
    without_gold: int
    without_score: int
    notes: tuple[str, ...]

    def at(self, threshold: float) -> Counts:
        """The counts of each sample at a threshold."""
        cell = self.axis.cell_of(threshold)
        sample, first, stop, *counts = self.stretches.T
        covers = (first <= cell) & (cell < stop)
        found = np.zeros((len(self.gold), 2), dtype=np.int64)
        found[sample[covers]] = np.stack(counts, axis=1)[covers]
        return found

    def f1(self, is_wanted: NDArray[np.bool_] | None = None) -> Floats:
        """F1 in [0, 100] of all or some samples in every cell. *Shape:* ``(cells,)``."""
        wanted = np.ones(len(self.gold), dtype=np.bool_) if is_wanted is None else is_wanted
        rows = self.stretches[wanted[self.stretches[:, 0]]]
        changes = np.zeros((self.axis.cells + 1, 2), dtype=np.int64)
        np.add.at(changes, rows[:, 1], rows[:, 3:])
        np.subtract.at(changes, rows[:, 2], rows[:, 3:])
        counts = changes.cumsum(axis=0)[:-1]
        gold = np.full((len(counts), 1), self.gold[wanted].sum())
        return percentages(np.hstack([counts, gold]))[2]

    def best(self, is_wanted: NDArray[np.bool_] | None = None) -> Plateau:
        """The threshold with the best F1, from the middle of the widest stretch of such."""
        return widest_plateau(self.axis, self.f1(is_wanted))

    def count(self, counts: Counts) -> Count:
        """Hits, predicted and gold entities of all samples."""
        hits, predicted = counts.sum(axis=0)
        return Count(int(hits), int(predicted), int(self.gold.sum()))

    def resampled_f1(self, columns: list[Counts], resamples: int) -> Floats:
        """F1 in [0, 100] of each column of counts over resampled samples.

        *Shape:* ``(resamples, columns)``.
        """
        totals = np.hstack([np.column_stack([counts, self.gold]) for counts in columns])
        return resampled_f1(totals, resamples)


def read_tag_outcomes(folder: Path, gold: GoldSet, own: float) -> TagOutcomes:
    """Reads a run's records beside the gold.

    Args:
        folder: The run.
        gold: The annotation.
        own: The run's threshold.

    Raises:
        UserError: If no sample is annotated.
    """
    reader, run = _Reader(), AnnotatedRun(folder, gold)
    for sample, case in run.cases():
        reader.add(case, [entity.score for entity in sample.entities or ()])
    axis = Axis.since(own, reader.scores)
    return TagOutcomes(
        axis,
        reader.rows(axis),
        np.array(reader.gold, dtype=np.int64),
        run.joined.without_gold,
        reader.without_score,
        run.notes(),
    )


@dataclass(slots=True)
class _Reader:
    """Collects scores, and the counts of each sample for all thresholds."""

    gold: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    stretches: list[_Stretch] = field(default_factory=list)
    without_score: int = 0
    _scorer: CanonicalScorer = field(
        default_factory=lambda: CanonicalScorer(Rules(), {METRIC: AGREEMENTS[METRIC]}, masks=False)
    )

    def add(self, case: Case, scores: list[float | None]) -> None:
        """Counts a sample at every threshold that makes a difference to it."""
        known = [score for score in scores if score is not None]
        self.scores += known
        self.without_score += len(scores) - len(known)
        for above, until in pairwise([-math.inf, *sorted({*known} - {1.0}), 1.0]):
            kept = tuple(
                entity
                for entity, score in zip(case.predicted, scores, strict=True)
                if score is None or score >= until
            )
            count = self._scorer(replace(case, predicted=kept))[METRIC]
            self.stretches.append(
                _Stretch(len(self.gold), above, until, count.hits, count.predicted)
            )
        self.gold.append(len(case.gold))

    def rows(self, axis: Axis) -> NDArray[np.int64]:
        """The stretches in cells."""
        rows = list(self._cells(axis))
        return np.array(rows, dtype=np.int64).reshape(-1, len(_Stretch._fields))

    def _cells(self, axis: Axis) -> Iterator[tuple[int, ...]]:
        for sample, above, until, hits, predicted in self.stretches:
            first, stop = axis.passed_until(above), axis.passed_until(until)
            if first < stop:
                yield sample, first, stop, hits, predicted
