"""Regions as the candidate-based programs have them: indices of a detector's boxes."""

from __future__ import annotations

from dataclasses import dataclass

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity, Proposals
from riveg.geometry.boxes import box_iou
from riveg.types import Box

COVERING_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Candidates:
    """The boxes that an answer may choose from."""

    boxes: Proposals

    @classmethod
    def of(cls, case: Case, most: int) -> Candidates:
        """The first ``most`` proposals; without proposals, every predicted box."""
        if case.proposals is not None:
            return cls(case.proposals[:most])
        answers = (entity.regions or () for entity in case.predicted)
        return cls(tuple(region.box for regions in answers for region in regions))

    def index_of(self, predicted: PredictedEntity) -> int | None:
        """The candidate that the system names, or that equals the best region or overlaps it most.

        The first of equals; ``None`` where there is no region, or it touches no candidate.
        """
        if predicted.candidate is not None:
            return predicted.candidate
        if not predicted.regions or not self.boxes:
            return None
        box = predicted.regions[0].box
        if box in self.boxes:
            return self.boxes.index(box)
        overlaps = [_overlap(candidate, box) for candidate in self.boxes]
        best = max(overlaps)
        return overlaps.index(best) if best > 0 else None

    def accepted(self, annotated: AnnotatedEntity) -> frozenset[int]:
        """The candidates that count as the place of an entity that the image shows.

        Those that overlap one of its gold boxes by more than half. Where the best overlaps one by
        exactly half, the programs divide zero by zero, and the result, which is not a number,
        accepts every candidate.
        """
        overlaps = self._overlaps(annotated)
        if max(overlaps, default=0.0) == COVERING_IOU:
            return frozenset(range(len(overlaps)))
        return frozenset(place for place, iou in enumerate(overlaps) if iou > COVERING_IOU)

    def _overlaps(self, annotated: AnnotatedEntity) -> list[float]:
        """For each candidate its largest IoU with one of the entity's gold boxes."""
        gold = annotated.boxes or ()
        return [max((_overlap(box, other) for other in gold), default=0.0) for box in self.boxes]


def _overlap(candidate: Box | None, box: Box) -> float:
    return 0.0 if candidate is None else box_iou(candidate, box)
