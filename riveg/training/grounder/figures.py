"""Figures of a grounder on dev: how good its best box is, and the ranking of all its boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from riveg.evaluation.average_precision import average_precision
from riveg.evaluation.bootstrap import Tally
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.geometry.boxes import box_iou
from riveg.training.grounder.data import BoxedMention
from riveg.types import Region

ACCURACY, MEAN_IOU, BOX_AP, LOSS = "acc_50", "mean_iou", "box_ap", "loss"
"""The best box of a mention that is shown overlaps a gold one by half, in percent; mean of the
overlap in percent; COCO's AP of all boxes; the loss on dev, of pictures as they are."""

_ENOUGH = 0.5

Found = tuple[Region, ...]
"""The regions of a mention, best first."""


def best_overlap(one: BoxedMention, found: Found) -> float:
    """Intersection over union of the best region with the gold box nearest to it, in [0, 1]."""
    if not found:
        return 0.0
    return max(box_iou(found[0].box, box) for box in one.boxes)


def tally(mentions: Sequence[BoxedMention], answers: Sequence[Found]) -> Tally:
    """How many mentions of each post that are shown have a right best box."""
    posts: dict[str, list[bool]] = {}
    for one, found in zip(mentions, answers, strict=True):
        if one.boxes:
            right = best_overlap(one, found) >= _ENOUGH
            posts.setdefault(one.mention.sample.id, []).append(right)
    counted = Tally()
    for hits in posts.values():
        counted.add({ACCURACY: Count(sum(hits), len(hits), len(hits))})
    return counted


def figures(mentions: Sequence[BoxedMention], answers: Sequence[Found]) -> dict[str, float]:
    """All figures but the loss, in percent.

    AP is that of ``riveg eval``: images are posts, categories are types, and the boxes of mentions
    that are not shown are wrong.
    """
    shown = [
        best_overlap(one, found) for one, found in zip(mentions, answers, strict=True) if one.boxes
    ]
    precision = average_precision(_cases(mentions, answers))["box"]
    return {
        ACCURACY: tally(mentions, answers).totals()[ACCURACY].f1,
        MEAN_IOU: 100 * sum(shown) / len(shown),
        BOX_AP: 0.0 if precision is None else precision.ap,
    }


def _cases(mentions: Sequence[BoxedMention], answers: Sequence[Found]) -> list[Case]:
    by_post: Mapping[str, list[tuple[BoxedMention, Found]]] = {}
    posts = dict(by_post)
    for one, found in zip(mentions, answers, strict=True):
        posts.setdefault(one.mention.sample.id, []).append((one, found))
    return [
        Case(
            sample_id,
            tuple(
                PredictedEntity(
                    one.mention.entity.text,
                    one.mention.entity.label,
                    one.mention.entity.span,
                    regions=found,
                )
                for one, found in pairs
            ),
            tuple(
                AnnotatedEntity(
                    one.mention.entity.text,
                    one.mention.entity.label,
                    one.mention.entity.span,
                    boxes=one.boxes,
                )
                for one, _ in pairs
            ),
        )
        for sample_id, pairs in posts.items()
    ]
