"""What a reviewed run would have answered at other gates, as far as its records show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riveg.errors import UserError
from riveg.evaluation.annotated_runs import AnnotatedRun
from riveg.evaluation.bootstrap import resampled_f1
from riveg.evaluation.canonical import AGREEMENTS, CanonicalScorer, Rules
from riveg.evaluation.cases import Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.reviewing import undone
from riveg.evaluation.threshold_search import Axis, Curve
from riveg.geometry.arrays import Floats
from riveg.types import REVIEW_KINDS, Review, ReviewKind

Gates = Mapping[ReviewKind, float]
"""The uncertainty from which on each kind is asked; above 1: never."""

Changes = frozenset[tuple[int, ReviewKind]]
"""What is changed in a sample: the number of an entity, and the kind of the review."""


@dataclass(slots=True)
class ReviewedCase:
    """One sample, with its hits for every set of changes that was asked for."""

    case: Case
    scorer: CanonicalScorer
    metric: str
    _hits: dict[Changes, int] = field(default_factory=dict)

    @property
    def looks(self) -> list[tuple[int, Review]]:
        """Every second look, with the number of its entity."""
        return [
            (number, review)
            for number, entity in enumerate(self.case.predicted)
            for review in entity.reviews or ()
        ]

    def changes(self, gates: Gates) -> Changes:
        """What is changed at these gates."""
        return frozenset(
            (number, review.kind)
            for number, review in self.looks
            if review.outcome == "changed" and review.uncertainty >= gates[review.kind]
        )

    def hits(self, gates: Gates) -> int:
        """Hits at these gates."""
        changes = self.changes(gates)
        if changes not in self._hits:
            predicted = tuple(
                _without_others(entity, number, changes)
                for number, entity in enumerate(self.case.predicted)
            )
            case = replace(self.case, predicted=predicted)
            self._hits[changes] = self.scorer(case)[self.metric].hits
        return self._hits[changes]

    def is_entangled(self, gates: Gates) -> bool:
        """Whether a look was at the outcome of an earlier one that these gates leave out."""
        changes = self.changes(gates)
        for number, entity in enumerate(self.case.predicted):
            is_other = False
            for review in entity.reviews or ():
                if is_other and review.uncertainty >= gates[review.kind]:
                    return True
                is_other |= review.outcome == "changed" and (number, review.kind) not in changes
        return False


def _without_others(entity: PredictedEntity, number: int, changes: Changes) -> PredictedEntity:
    """The entity without the changes that are not among these."""
    return undone(entity, [kind for kind in REVIEW_KINDS if (number, kind) not in changes])


@dataclass(frozen=True, slots=True)
class ReviewOutcomes:
    """A run's samples at any gates from its own upwards.

    Args:
        samples: The annotated samples of the run, in its order.
        axes: The gates of each kind, cut at the uncertainties in the records.
        entities: How many entities were reviewed.
        without_gold: Samples of the run that are not annotated.
        notes: What looks wrong with the gold, or between it and the run; one line each.
    """

    samples: tuple[ReviewedCase, ...]
    axes: Mapping[ReviewKind, Axis]
    entities: int
    without_gold: int
    notes: tuple[str, ...] = ()

    def hits(self, gates: Gates) -> Curve:
        """Hits of each sample. *Shape:* ``(samples,)``."""
        return np.array([one.hits(gates) for one in self.samples], dtype=np.int64)

    def along(self, kind: ReviewKind, gates: Gates, is_wanted: NDArray[np.bool_]) -> Curve:
        """Hits of some samples in every cell of one gate, the others as given.

        *Shape:* ``is_wanted (samples,)``; result ``(cells,)``.
        """
        axis = self.axes[kind]
        changes = np.zeros(axis.cells + 1, dtype=np.int64)
        for sample, wanted in zip(self.samples, is_wanted, strict=True):
            if not wanted:
                continue
            values = {
                one.uncertainty
                for _, one in sample.looks
                if one.kind == kind and one.outcome == "changed"
            }
            first = 0
            for value in sorted({axis.passed_until(value) for value in values} | {axis.cells}):
                if first < value:
                    gate = float(axis.edges[first + 1])
                    found = sample.hits({**gates, kind: gate})
                    changes[first] += found
                    changes[value] -= found
                first = value
        return changes.cumsum()[:-1]

    def share(self, kind: ReviewKind, gates: Gates) -> float:
        """Of the reviewed entities, those that are asked about, in [0, 100]."""
        asked = sum(
            one.kind == kind and one.uncertainty >= gates[kind]
            for sample in self.samples
            for _, one in sample.looks
        )
        return 100 * asked / self.entities if self.entities else 0.0

    def count(self, hits: Curve) -> Count:
        """Hits, predicted and gold entities of all samples."""
        predicted, gold = self._sizes().sum(axis=0)
        return Count(int(hits.sum()), int(predicted), int(gold))

    def _sizes(self) -> NDArray[np.int64]:
        sizes = [(len(one.case.predicted), len(one.case.gold)) for one in self.samples]
        return np.array(sizes, dtype=np.int64).reshape(-1, 2)

    def resampled_f1(self, columns: list[Curve], resamples: int) -> Floats:
        """F1 in [0, 100] of each column of hits over resampled samples.

        *Shape:* ``(resamples, columns)``.
        """
        totals = np.hstack([np.column_stack([hits, self._sizes()]) for hits in columns])
        return resampled_f1(totals, resamples)


def read_review_outcomes(folder: Path, gold: GoldSet, own: Gates, metric: str) -> ReviewOutcomes:
    """Reads a run's records beside the gold.

    Args:
        folder: The run.
        gold: The annotation.
        own: The run's gates, by kind.
        metric: ``gmner`` or ``mner``.

    Raises:
        UserError: If no sample is annotated, or no second look is in the records.
    """
    scorer = CanonicalScorer(Rules(), {metric: AGREEMENTS[metric]}, masks=False)
    run = AnnotatedRun(folder, gold)
    samples = tuple(ReviewedCase(case, scorer, metric) for _, case in run.cases())
    looks = [review for sample in samples for _, review in sample.looks]
    if not looks:
        raise UserError(f"{folder}: nothing was reviewed; run it with the gates at 0")
    predicted = (entity for sample in samples for entity in sample.case.predicted)
    return ReviewOutcomes(
        samples,
        {
            kind: Axis.since(gate, [one.uncertainty for one in looks if one.kind == kind])
            for kind, gate in own.items()
        },
        sum(entity.reviews is not None for entity in predicted),
        run.joined.without_gold,
        run.notes(),
    )
