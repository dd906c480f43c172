"""The parts of a reward, counted by the canonical scorer on one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from riveg.evaluation.canonical import AGREEMENTS, CanonicalScorer, Relation, Rules, related
from riveg.evaluation.cases import Case
from riveg.evaluation.counts import Count
from riveg.evaluation.verdicts import align
from riveg.geometry.boxes import box_iou
from riveg.rewards.reading import Gold, read_answer, read_gold
from riveg.types import Box

_RULES = Rules()

_SCORER = CanonicalScorer(
    _RULES,
    MappingProxyType(
        {
            "span": AGREEMENTS["span"],
            "type": AGREEMENTS["mner"],
            "hit": AGREEMENTS["eeg"],
            "entailment": lambda pair: pair.groundable,
            "gmner": AGREEMENTS["gmner"],
        }
    ),
    masks=False,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of an answer's reward, each in [0, 1]; 1 each for an answer that says the gold.

    All but ``format`` and ``count`` are F1 of the sample: twice what is right of the predicted
    entities, by the predicted and the annotated ones, so that neither silence nor guessing pays.

    Args:
        format: 1 if the answer is written as asked, else 0.
        count: The smaller number of entities by the larger: predicted, annotated.
        span: The words are right.
        type: Words and type are right: MNER.
        location: The words are right, weighed by the IoU with gold; rightly nowhere weighs 1.
        hit: Words and place are right, by IoU >= 0.5: EEG.
        entailment: The words are right, and whether the image shows the entity.
        gmner: Words, type and place are right: GMNER.
    """

    format: float
    count: float
    span: float
    type: float
    location: float
    hit: float
    entailment: float
    gmner: float


NOTHING = Parts(*[0.0] * 8)
"""Of an answer of which nothing can be read."""


@dataclass(frozen=True, slots=True)
class Marked:
    """An answer beside its gold.

    Args:
        parts: What it is worth.
        is_read: Whether anything in it can be read.
        boxes: Of entities with the right words and a box on both sides: the predicted box and the
            gold box that it overlaps most, both as they are written.
    """

    parts: Parts
    is_read: bool
    boxes: tuple[tuple[Box, Box], ...] = ()


def mark(answer: str, gold: Gold) -> Marked:
    """An answer with its parts.

    Raises:
        UserError: If the gold cannot be read.
    """
    annotated = read_gold(gold)
    reading = read_answer(answer)
    if reading is None:
        return Marked(NOTHING, is_read=False)
    case = Case("answer", reading.entities, annotated)
    pairs = list(related(case, _RULES))
    aligned = _aligned(case, pairs)
    shares = {name: _f1(count) for name, count in _SCORER.counts(case, pairs).items()}
    credit = 2 * sum(map(_placed, aligned))
    parts = Parts(
        format=float(reading.is_in_form),
        count=_likeness(len(case.predicted), len(case.gold)),
        location=_share(credit, len(case.predicted) + len(case.gold)),
        **shares,
    )
    found = (_boxes(case, pair) for pair in aligned)
    return Marked(parts, is_read=True, boxes=tuple(both for both in found if both is not None))


def _aligned(case: Case, pairs: list[Relation]) -> list[Relation]:
    """Predicted and gold entities of the same words, each in one pair at most."""
    by_place = {(pair.predicted, pair.gold): pair for pair in pairs}
    partners = enumerate(align(case, pairs))
    found = (by_place.get((index, gold)) for index, gold in partners if gold is not None)
    return [pair for pair in found if pair is not None]


def _placed(pair: Relation) -> float:
    """How right the place is, in [0, 1]."""
    return float(pair.region) if pair.iou is None else pair.iou


def _boxes(case: Case, pair: Relation) -> tuple[Box, Box] | None:
    regions, boxes = case.predicted[pair.predicted].regions, case.gold[pair.gold].boxes
    if not regions or not boxes:
        return None
    said = regions[0].box
    return said, max(boxes, key=lambda box: box_iou(said, box))


def _f1(count: Count) -> float:
    return _share(2 * count.hits, count.predicted + count.gold)


def _share(credit: float, both: int) -> float:
    """1 where there is nothing to find and nothing was found."""
    return credit / both if both else 1.0


def _likeness(predicted: int, gold: int) -> float:
    return min(predicted, gold) / max(predicted, gold) if predicted or gold else 1.0


def weighted(parts: Parts, weights: Mapping[str, float]) -> float:
    """The parts by name, each times its weight, in all."""
    return sum(weight * float(getattr(parts, name)) for name, weight in weights.items())
