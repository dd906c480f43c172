"""What a run would have answered at other thresholds, as far as its records show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riveg.errors import UserError
from riveg.evaluation.annotated_runs import AnnotatedRun
from riveg.evaluation.bootstrap import resampled_f1
from riveg.evaluation.calibration_run import RunThresholds
from riveg.evaluation.canonical import AGREEMENTS, CanonicalScorer, Rules
from riveg.evaluation.cases import Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.threshold_search import Axis, Rectangle, Surface
from riveg.pipeline import is_image_broken
from riveg.types import Sample, Span

Hits = NDArray[np.int64]
"""GMNER hits of each sample. *Shape:* ``(samples,)``."""


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """Numbers of predicted and gold entities, and the probabilities that the gate decided by."""

    predicted: int
    gold: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Every outcome that the records of a run show.

    Args:
        samples: The annotated samples of the run, in its order.
        surface: GMNER hits for every pair of thresholds.
        own: The run's own pair; 0 where the backend has no threshold.
        without_gold: Samples of the run that are not annotated.
        shut_out: Entities that the gate stopped: no stage has looked for their regions.
        without_probability: Entities that the gate decided about without a probability.
        without_score: Regions without a score, which no detector threshold drops.
        notes: What else looks wrong with the gold, or between it and the run; one line each.
    """

    samples: tuple[SampleCounts, ...]
    surface: Surface
    own: tuple[float, float]
    without_gold: int
    shut_out: int
    without_probability: int
    without_score: int
    notes: tuple[str, ...] = ()

    def hits(self, entail: float, ground: float) -> Hits:
        """Hits at a pair of thresholds."""
        return self.surface.hits_by_sample(entail, ground, len(self.samples))

    def count(self, hits: Hits) -> Count:
        """Hits, predicted and gold entities of all samples."""
        predicted = sum(one.predicted for one in self.samples)
        return Count(int(hits.sum()), predicted, sum(one.gold for one in self.samples))

    def resampled_f1(self, columns: Sequence[Hits], resamples: int) -> NDArray[np.float64]:
        """F1 in [0, 100] of each column of hits over resampled samples.

        *Shape:* ``(resamples, columns)``.
        """
        sizes = np.array([(one.predicted, one.gold) for one in self.samples], dtype=np.int64)
        totals = np.hstack([np.column_stack([hits, sizes]) for hits in columns])
        return resampled_f1(totals, resamples)


def read_outcomes(folder: Path, gold: GoldSet, own: RunThresholds, rules: Rules) -> Outcomes:
    """Reads a run's records beside the gold.

    Raises:
        UserError: If no sample is annotated, or the gate did not decide by the threshold.
    """
    reader = _Reader(own, CanonicalScorer(rules, {"gmner": AGREEMENTS["gmner"]}, masks=False))
    run = AnnotatedRun(folder, gold)
    for sample, case in run.cases():
        reader.add(sample, case)
    pair = own.entail.value if own.entail else 0.0, own.ground.value if own.ground else 0.0
    return Outcomes(
        tuple(reader.samples),
        reader.surface(reader.entail_axis(folder), Axis.since(pair[1], reader.scores)),
        pair,
        run.joined.without_gold,
        len(reader.stopped),
        reader.without_probability,
        reader.without_score,
        run.notes(),
    )


ThresholdRange = tuple[float, float]
"""The thresholds above the first number, up to the second."""


@dataclass(slots=True)
class _Reader:
    """Collects probabilities, scores, and the hits of each sample for all pairs of thresholds."""

    own: RunThresholds
    scorer: CanonicalScorer
    samples: list[SampleCounts] = field(default_factory=list)
    hits: list[tuple[int, ThresholdRange, ThresholdRange, int]] = field(default_factory=list)
    passed: list[float] = field(default_factory=list)
    stopped: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    without_probability: int = 0
    without_score: int = 0

    def add(self, sample: Sample, case: Case) -> None:
        probabilities: list[float | None] = [None] * len(case.predicted)
        if self.own.entail is not None and sample.image is not None:
            probabilities = list(self._decisions(sample))
        if self.own.ground is None:
            case = replace(case, predicted=tuple(map(_without_scores, case.predicted)))
        else:
            scores = [region.score for one in case.predicted for region in one.regions or ()]
            self.scores += [score for score in scores if score is not None]
            self.without_score += scores.count(None)
        for part, known in _by_span(case, probabilities):
            for entail in _intervals(known):
                for ground in _intervals(_scores(part)):
                    # What passes at the upper end passes everywhere in the interval.
                    at_ends = _answered_at(part, known, entail[1], ground[1])
                    if hits := self.scorer(at_ends)["gmner"].hits:
                        self.hits.append((len(self.samples), entail, ground, hits))
        known_ones = tuple(one for one in probabilities if one is not None)
        self.samples.append(SampleCounts(len(case.predicted), len(case.gold), known_ones))

    def _decisions(self, sample: Sample) -> Iterator[float | None]:
        """The probability of each entity; ``None`` where the gate did not decide by one."""
        is_broken = is_image_broken(sample)
        for entity in sample.entities or ():
            decision = entity.entailment
            if decision is not None and decision.probability is None:
                self.without_probability += 1
            decides = not (is_broken or decision is None or decision.is_unseen)
            if decision is None or decision.probability is None or not decides:
                yield None
                continue
            side = self.passed if decision.groundable else self.stopped
            side.append(decision.probability)
            yield decision.probability

    def entail_axis(self, folder: Path) -> Axis:
        """The entailment thresholds whose outcome is in the records."""
        if self.own.entail is None:
            return Axis.since(0.0, ())
        own = self.own.entail.value
        lowest_yes = min(self.passed, default=math.inf)
        highest_no = max(self.stopped, default=-math.inf)
        if not highest_no < own <= lowest_yes:
            raise UserError(
                f"{folder}: the gate is no threshold of {own:g} on its probabilities: it said no "
                f"at {highest_no:g} and yes at {lowest_yes:g}; calibrate a run whose "
                "records and config.yaml are of one making"
            )
        if self.stopped:
            return Axis.above(highest_no, self.passed)
        return Axis.since(0.0, self.passed)

    def surface(self, entail: Axis, ground: Axis) -> Surface:
        """The hits on the plane of both thresholds."""
        rectangles = []
        for number, rows, columns, hits in self.hits:
            first, stop = map(entail.passed_until, rows)
            left, right = map(ground.passed_until, columns)
            if first < stop and left < right:
                rectangles.append(Rectangle(number, first, stop, left, right, hits))
        return Surface.of(entail, ground, rectangles)


def _without_scores(entity: PredictedEntity) -> PredictedEntity:
    regions = entity.regions and tuple(replace(one, score=None) for one in entity.regions)
    return replace(entity, regions=regions)


def _scores(case: Case) -> list[float | None]:
    return [region.score for entity in case.predicted for region in entity.regions or ()]


def _intervals(values: Iterable[float | None]) -> Iterator[ThresholdRange]:
    """The intervals of thresholds between the values."""
    inner = {value for value in values if value is not None and value < 1.0}
    return pairwise([-math.inf, *sorted(inner), 1.0])


def _answered_at(
    case: Case, probabilities: Sequence[float | None], entail: float, ground: float
) -> Case:
    """The sample as a run with these thresholds would have answered it."""

    def answered(entity: PredictedEntity, probability: float | None) -> PredictedEntity:
        if probability is not None and probability < entail:
            return replace(entity, regions=(), groundable=False)
        if not entity.regions:
            return entity
        kept = tuple(one for one in entity.regions if one.score is None or one.score >= ground)
        return replace(entity, regions=kept, groundable=bool(kept))

    predicted = tuple(map(answered, case.predicted, probabilities))
    return replace(case, predicted=predicted)


def _by_span(
    case: Case, probabilities: Sequence[float | None]
) -> Iterator[tuple[Case, Sequence[float | None]]]:
    """The sample in parts that cannot share a hit: the entities of one span each."""
    pairs = list(zip(case.predicted, probabilities, strict=True))
    by_span: dict[Span | None, list[int]] = {entity.span: [] for entity in case.gold}
    if None in by_span or any(entity.span is None for entity in case.predicted):
        yield case, probabilities
        return
    for index, entity in enumerate(case.predicted):
        if entity.span in by_span:
            by_span[entity.span].append(index)
    for span, indexes in by_span.items():
        if indexes:
            gold = tuple(entity for entity in case.gold if entity.span == span)
            predicted = tuple(pairs[index][0] for index in indexes)
            known = [pairs[index][1] for index in indexes]
            yield replace(case, predicted=predicted, gold=gold), known
