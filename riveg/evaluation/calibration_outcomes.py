"""What a run would have answered at other thresholds, as far as its records tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from riveg.errors import UserError
from riveg.evaluation.canonical import AGREEMENTS, CanonicalScorer, Rules
from riveg.evaluation.cases import Case, PredictedEntity
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.threshold_search import Axis, Rectangle, Surface
from riveg.pipeline import is_image_broken
from riveg.runs.reading import read_records
from riveg.types import Region, Sample


@dataclass(frozen=True, slots=True)
class OwnThresholds:
    """The thresholds a run was made with; ``None`` where the backend has none to set."""

    entail: float | None
    ground: float | None


@dataclass(frozen=True, slots=True)
class Post:
    """A sample beside its gold, and each entity's probability where the gate decides by it."""

    case: Case
    probabilities: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Every outcome that a run's records tell.

    Args:
        samples: The annotated samples of the run, in its order.
        surface: GMNER hits for every pair of thresholds.
        own: The run's own pair; the lowest of an axis where the backend has no threshold.
        without_gold: Samples of the run that are not annotated.
        shut_out: Entities that the gate held back: where they are, nobody has looked.
        without_probability: Entities that the gate decided on without telling a probability.
        without_score: Regions without a score, which no detector threshold drops.
    """

    posts: tuple[Post, ...]
    surface: Surface
    own: tuple[float, float]
    without_gold: int
    shut_out: int
    without_probability: int
    without_score: int

    @property
    def sizes(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Predicted and gold entities of each sample, *shape* ``(samples, 2)``."""
        sizes = [(len(post.case.predicted), len(post.case.gold)) for post in self.posts]
        return np.array(sizes, dtype=np.int64).reshape(-1, 2)


@dataclass(slots=True)
class _Gate:
    """The probabilities at which a run's gate said yes and no."""

    lowest_yes: float = np.inf
    highest_no: float = -np.inf
    shut_out: int = 0

    def saw(self, probability: float, *, is_open: bool) -> None:
        if is_open:
            self.lowest_yes = min(self.lowest_yes, probability)
        else:
            self.highest_no = max(self.highest_no, probability)
            self.shut_out += 1

    def axis(self, folder: Path, own: float | None, seen: Iterable[float]) -> Axis:
        """The thresholds whose outcome is in the records."""
        if own is None:
            return Axis.since(0.0, ())
        if not self.highest_no < own <= self.lowest_yes:
            raise UserError(
                f"{folder}: the gate is no threshold of {own:g} on its probabilities: it said no "
                f"at {self.highest_no:g} and yes at {self.lowest_yes:g}; calibrate a run whose "
                "records and config.yaml are of one making"
            )
        return Axis.above(self.highest_no, seen) if self.shut_out else Axis.since(0.0, seen)


def read_outcomes(folder: Path, gold: GoldSet, own: OwnThresholds, rules: Rules) -> Outcomes:
    """Reads a run's records beside the gold.

    Raises:
        UserError: If no sample is annotated, or the gate did not go by the threshold.
    """
    posts: list[Post] = []
    gate = _Gate()
    tuned = own.entail is not None
    without_gold = without_probability = 0
    for sample in read_records(folder):
        case = gold.case_of(sample)
        if case is None:
            without_gold += 1
            continue
        tuned = own.entail is not None
        probabilities = _probabilities(sample, gate) if tuned else [None] * len(case.predicted)
        without_probability += _unexplained(sample) if tuned else 0
        posts.append(Post(_light(case), tuple(probabilities)))
    if not posts:
        raise UserError(f"{folder}: none of its samples is annotated in {gold.name}")
    entail = gate.axis(
        folder, own.entail, (one for post in posts for one in post.probabilities if one is not None)
    )
    regions = [one for post in posts for entity in post.case.predicted for one in _regions(entity)]
    scores = [] if own.ground is None else [one.score for one in regions if one.score is not None]
    ground = Axis.since(own.ground or 0.0, scores)
    scorer = CanonicalScorer(rules, {"gmner": AGREEMENTS["gmner"]}, masks=False)
    rectangles = [
        rectangle
        for number, post in enumerate(posts)
        for rectangle in _Plane(entail, ground, scorer).rectangles(number, post)
    ]
    return Outcomes(
        tuple(posts),
        Surface.of(entail, ground, rectangles),
        (own.entail or 0.0, own.ground or 0.0),
        without_gold,
        gate.shut_out,
        without_probability,
        0 if own.ground is None else sum(one.score is None for one in regions),
    )


def _probabilities(sample: Sample, gate: _Gate) -> Iterator[float | None]:
    asked = sample.image is not None and not is_image_broken(sample)
    for entity in sample.entities or ():
        said = entity.entailment
        if not asked or said is None or said.probability is None:
            yield None
            continue
        gate.saw(said.probability, is_open=said.groundable)
        yield said.probability


def _unexplained(sample: Sample) -> int:
    if sample.image is None:
        return 0
    said = [entity.entailment for entity in sample.entities or ()]
    return sum(one is not None and one.probability is None for one in said)


def _light(case: Case) -> Case:
    """Without the masks of what was predicted, which are most of a record."""
    return replace(
        case,
        predicted=tuple(
            replace(
                entity,
                regions=entity.regions and tuple(replace(one, mask=None) for one in entity.regions),
            )
            for entity in case.predicted
        ),
    )


def _regions(entity: PredictedEntity) -> Sequence[Region]:
    return entity.regions or ()


@dataclass(frozen=True, slots=True)
class _Plane:
    entail: Axis
    ground: Axis
    scorer: CanonicalScorer

    def rectangles(self, number: int, post: Post) -> Iterator[Rectangle]:
        """The hits of one sample, for every pair of thresholds."""
        for group in _groups(post):
            rows = {self.entail.passed_until(one) for one in group.probabilities if one is not None}
            columns = {
                self.ground.passed_until(region.score)
                for entity in group.case.predicted
                for region in _regions(entity)
                if region.score is not None
            }
            for top, bottom in _intervals(rows, self.entail.cells):
                for left, right in _intervals(columns, self.ground.cells):
                    case = self._at(group, top, left)
                    hits = self.scorer(case)["gmner"].hits
                    if hits:
                        yield Rectangle(number, top, bottom, left, right, hits)

    def _at(self, post: Post, row: int, column: int) -> Case:
        """The sample as it is with thresholds in these cells."""
        entities = zip(post.case.predicted, post.probabilities, strict=True)
        predicted = tuple(
            self._entity(entity, column)
            if probability is None or self.entail.passed_until(probability) > row
            else replace(entity, regions=(), groundable=False)
            for entity, probability in entities
        )
        return replace(post.case, predicted=predicted)

    def _entity(self, entity: PredictedEntity, column: int) -> PredictedEntity:
        if not entity.regions:
            return entity
        kept = tuple(
            one
            for one in entity.regions
            if one.score is None or self.ground.passed_until(one.score) > column
        )
        return replace(entity, regions=kept, groundable=bool(kept))


def _intervals(cuts: set[int], cells: int) -> Iterator[tuple[int, int]]:
    return pairwise(sorted({0, *cuts, cells}))


def _groups(post: Post) -> Iterator[Post]:
    """The entities of a sample that can be matched with the same gold ones: those of one span."""
    case = post.case
    spans = [entity.span for entity in case.predicted] + [entity.span for entity in case.gold]
    if None in spans:
        yield post
        return
    members: Mapping[object, list[int]] = {entity.span: [] for entity in case.gold}
    for index, entity in enumerate(case.predicted):
        if entity.span in members:
            members[entity.span].append(index)
    for span, indexes in members.items():
        if indexes:
            part = replace(
                case,
                predicted=tuple(case.predicted[index] for index in indexes),
                gold=tuple(entity for entity in case.gold if entity.span == span),
            )
            yield Post(part, tuple(post.probabilities[index] for index in indexes))
