"""Regions as the candidate-based programs have them: indices of a detector's boxes."""

from __future__ import annotations

from dataclasses import dataclass

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.geometry.boxes import box_iou
from riveg.types import Box

COVERING_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Candidates:
    """The boxes that an answer may choose from."""

    boxes: tuple[Box, ...]

    @classmethod
    def of(cls, case: Case, most: int) -> Candidates:
        """The first ``most`` proposals; without proposals, every predicted box."""
        if case.proposals is not None:
            return cls(case.proposals[:most])
        answers = (entity.regions or () for entity in case.predicted)
        return cls(tuple(region.box for regions in answers for region in regions))

    def index_of(self, predicted: PredictedEntity) -> int | None:
        """The index of the candidate that equals the best region, else that overlaps it most.

        The first of equals; ``None`` where there is no region, or it touches no candidate.
        """
        if not predicted.regions or not self.boxes:
            return None
        box = predicted.regions[0].box
        if box in self.boxes:
            return self.boxes.index(box)
        overlaps = [box_iou(box, candidate) for candidate in self.boxes]
        best = max(overlaps)
        return overlaps.index(best) if best > 0 else None

    def overlaps(self, annotated: AnnotatedEntity) -> list[float]:
        """For each candidate its largest IoU with one of the entity's gold boxes."""
        gold = annotated.boxes or ()
        return [max((box_iou(box, other) for other in gold), default=0.0) for box in self.boxes]

    def covering(self, annotated: AnnotatedEntity) -> frozenset[int]:
        """The candidates that overlap a gold box by more than half."""
        overlaps = enumerate(self.overlaps(annotated))
        return frozenset(index for index, overlap in overlaps if overlap > COVERING_IOU)
