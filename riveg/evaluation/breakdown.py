"""Counts by type, by what the image shows, and by size and number of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from riveg.evaluation.canonical import AGREEMENTS, Relation, Rules, matched
from riveg.evaluation.cases import AnnotatedEntity, Case
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.verdicts import align
from riveg.types import ImageSize

SMALL = 1 / 50
"""A box is small below this share of the image (GEM's fine-grained visual entities)."""

SHOWN, NOT_SHOWN, UNANSWERED = "shown", "not shown", "not answered"


@dataclass(slots=True)
class BoxAccuracy:
    """How well the boxes of one kind of entity fit.

    ``gold``: groundable gold entities; ``hits``: found with type and box; ``boxes``: found with
    words and type, with a box on both sides; ``at_half``, ``at_three_quarters``: of these, with IoU
    of at least 0.5 and 0.75; ``iou_sum``: sum of their IoUs.
    """

    gold: int = 0
    hits: int = 0
    boxes: int = 0
    at_half: int = 0
    at_three_quarters: int = 0
    iou_sum: float = 0.0

    @property
    def mean_iou(self) -> float | None:
        """Mean IoU in [0, 1]; ``None`` without boxes."""
        return self.iou_sum / self.boxes if self.boxes else None

    def add(self, pair: Relation | None, *, is_right: bool) -> None:
        """Counts one groundable gold entity, and what was predicted for it."""
        self.gold += 1
        self.hits += is_right
        if pair is not None and pair.label and pair.iou is not None:
            self.boxes += 1
            self.at_half += pair.iou >= 0.5
            self.at_three_quarters += pair.iou >= 0.75
            self.iou_sum += pair.iou


@dataclass(slots=True)
class Breakdown:
    """Counts cases; all tables are of one pairing of predicted with gold entities."""

    rules: Rules
    by_type: dict[str, dict[str, Count]] = field(default_factory=dict)
    confusion: dict[tuple[str, str], int] = field(default_factory=dict)
    boxes: BoxAccuracy = field(default_factory=BoxAccuracy)
    by_size: dict[str, BoxAccuracy] = field(default_factory=dict)
    by_boxes: dict[str, BoxAccuracy] = field(default_factory=dict)

    def add(self, case: Case, pairs: Sequence[Relation]) -> None:
        """Counts one more sample.

        Args:
            case: The sample.
            pairs: As :func:`~riveg.evaluation.canonical.related` gives them.
        """
        if not case.predicted and not case.gold:
            return
        self._add_types(case, pairs, fine=False)
        if self.rules.coarse_of:
            self._add_types(case, pairs, fine=True)
        partners = align(case, pairs)
        by_pair = {(pair.predicted, pair.gold): pair for pair in pairs}
        aligned = {
            gold: by_pair.get((index, gold))
            for index, gold in enumerate(partners)
            if gold is not None
        }
        for gold, annotated in enumerate(case.gold):
            pair = aligned.get(gold)
            if pair is not None and pair.label:
                self._add_confusion(case, pair)
            if annotated.boxes:
                self._add_boxes(case, annotated, pair)

    def _add_types(self, case: Case, pairs: Sequence[Relation], *, fine: bool) -> None:
        predicted, gold = (
            [(entity.fine_label or "") if fine else entity.label for entity in side]
            for side in (case.predicted, case.gold)
        )
        for metric in ("fmner", "fmnerg") if fine else ("mner", "gmner"):
            agreeing = [pair for pair in pairs if AGREEMENTS[metric](pair)]
            # Labels agree in a hit, so the hits of one label do not depend on other labels.
            hits = [gold[pair.gold] for pair in matched(agreeing, len(predicted))]
            for label in {*predicted, *gold}:
                counts = self.by_type.setdefault(label, {})
                counts[metric] = counts.get(metric, NOTHING) + Count(
                    hits.count(label), predicted.count(label), gold.count(label)
                )

    def _add_confusion(self, case: Case, pair: Relation) -> None:
        names = {True: SHOWN, False: NOT_SHOWN, None: UNANSWERED}
        cell = (
            SHOWN if pair.shown else NOT_SHOWN,
            names[case.predicted[pair.predicted].groundable],
        )
        self.confusion[cell] = self.confusion.get(cell, 0) + 1

    def _add_boxes(self, case: Case, gold: AnnotatedEntity, pair: Relation | None) -> None:
        add = partial(
            BoxAccuracy.add, pair=pair, is_right=bool(pair and pair.label and pair.region)
        )
        add(self.boxes)
        add(self.by_size.setdefault(_size_name(gold, case.size), BoxAccuracy()))
        add(self.by_boxes.setdefault(_number_name(gold), BoxAccuracy()))


SIZES = ("small", "other", "unknown size")
NUMBERS = ("1 box", "2 boxes", "3 or more")


def _size_name(gold: AnnotatedEntity, size: ImageSize | None) -> str:
    """The size by the largest box."""
    if size is None:
        return SIZES[2]
    largest = max(box.area for box in gold.boxes or ())
    return SIZES[0] if largest < SMALL * size.width * size.height else SIZES[1]


def _number_name(gold: AnnotatedEntity) -> str:
    return NUMBERS[min(len(gold.boxes or ()), 3) - 1]
