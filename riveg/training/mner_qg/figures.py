"""Figures of MNER-QG on dev: what is right of its answers, and the thresholds that fit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from riveg.evaluation.bootstrap import Tally
from riveg.evaluation.counts import Count
from riveg.evaluation.threshold_search import Axis, Scored, best_threshold, widest_plateau
from riveg.geometry.boxes import box_iou
from riveg.nn.mner_qg_decoding import GroundedSpan, calibrated, grounded_spans, shown
from riveg.nn.mner_qg_design import MnerQgSettings
from riveg.nn.mner_qg_prediction import FoundRegion, QueryAnswer
from riveg.training.mner_qg.data import QueryPost, label_of, right_boxes
from riveg.training.temperature import fit_temperature
from riveg.types import Box, GoldEntity

F1, GMNER, EXISTENCE, GROUNDING = "f1", "gmner_f1", "existence", "grounding"
"""Figures on dev, in percent: F1 of entities, and of entities with regions; how often existence is
said right; how often the best box of a type that is shown is right."""

_ENOUGH = 0.5
"""Least intersection over union of a right box."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An entity that was found, beside gold.

    Args:
        found: The entity.
        is_one: Whether gold has it, span and type.
        boxes: The right boxes of it; where gold has none, the weak ones of its type; ``()``: the
            picture does not show it; ``None``: nobody knows.
        region_is_right: Whether its region is one of these.
    """

    found: GroundedSpan
    is_one: bool
    boxes: tuple[Box, ...] | None
    region_is_right: bool


def judged(
    post: QueryPost, answers: Sequence[QueryAnswer], settings: MnerQgSettings, level: str
) -> tuple[Judged, ...]:
    """The entities of a post that were found, each beside gold."""
    labels = tuple(settings.queries)
    gold = {(one.span, label_of(one, level)): one for one in post.gold.entities}
    return tuple(
        _judge(post, one, labels[one.query], gold.get((one.span, labels[one.query])))
        for one in grounded_spans(answers, settings)
    )


def _judge(post: QueryPost, found: GroundedSpan, label: str, gold: GoldEntity | None) -> Judged:
    if gold is None:
        return Judged(found, False, None, False)
    boxes = post.boxes.get(label) if gold.boxes is None else gold.boxes
    is_right = found.region is not None and _hits(post, found.region, boxes or ())
    return Judged(found, True, boxes, is_right)


def _hits(post: QueryPost, region: FoundRegion, boxes: Sequence[Box]) -> bool:
    box = region_box(post, region)
    return box is not None and any(box_iou(box, one) >= _ENOUGH for one in boxes)


def region_box(post: QueryPost, region: FoundRegion) -> Box | None:
    """A region in pixels of the post's picture; ``None`` where it has no area there."""
    assert post.size is not None
    width, height = post.size
    left, top, right, bottom = region.edges
    if left >= right or top >= bottom:
        return None
    return Box(left * width, top * height, right * width, bottom * height)


def tally(
    posts: Sequence[QueryPost],
    answers: Sequence[Sequence[QueryAnswer]],
    settings: MnerQgSettings,
    level: str,
) -> Tally:
    """Hits, predicted and gold of each post, by figure; those of regions where it grounds."""
    labels = tuple(settings.queries)
    counted = Tally()
    for post, said in zip(posts, answers, strict=True):
        found = judged(post, said, settings, level)
        gold = {(one.span, label_of(one, level)) for one in post.gold.entities}
        hits = sum(one.is_one for one in found)
        counts = {F1: Count(hits, len(found), len(gold))}
        if settings.design.anchors:
            scores = shown([one.found for one in found], settings, "all")
            right = sum(map(_whole, found, scores))
            counts[GMNER] = Count(right, len(found), len(gold))
            counts[GROUNDING] = _grounding(post, said, labels, level)
        if settings.design.existence:
            counts[EXISTENCE] = _existence(post, said, labels, level)
        counted.add(counts)
    return counted


def _whole(one: Judged, score: float | None) -> bool:
    """Whether entity and region are right; an ungroundable one has no region."""
    return one.is_one and (one.boxes == () if score is None else one.region_is_right)


def _existence(
    post: QueryPost, said: Sequence[QueryAnswer], labels: Sequence[str], level: str
) -> Count:
    there = {label_of(one, level) for one in post.gold.entities}
    right = sum(
        ((answer.existence or 0.0) >= 0.5) == (label in there)
        for label, answer in zip(labels, said, strict=True)
    )
    return Count(right, len(labels), len(labels))


def _grounding(
    post: QueryPost, said: Sequence[QueryAnswer], labels: Sequence[str], level: str
) -> Count:
    """Of the types that the picture shows: how often the best box is right, whatever its score."""
    known = right_boxes(post, level)
    right = asked = 0
    for label, answer in zip(labels, said, strict=True):
        boxes = known.get(label)
        if boxes and answer.region is not None:
            asked += 1
            right += _hits(post, answer.region, boxes)
    return Count(right, asked, asked)


def calibrate(
    posts: Sequence[QueryPost],
    answers: Sequence[Sequence[QueryAnswer]],
    settings: MnerQgSettings,
    level: str,
) -> MnerQgSettings:
    """The settings with temperatures and threshold that fit these posts.

    The threshold of spans is that of the highest F1, that of regions that of most entities whose
    region is right, or rightly not there; each from the middle of the widest run of such
    thresholds.
    """
    lenient = settings.model_copy(update={"span_threshold": 0.0})
    candidates = [
        one
        for post, said in zip(posts, answers, strict=True)
        for one in judged(post, said, lenient, level)
    ]
    scores = [one.found.probability for one in candidates]
    span_temperature = round(fit_temperature(scores, [one.is_one for one in candidates]), 4)
    scores = [calibrated(score, span_temperature) for score in scores]
    span_threshold = settings.span_threshold
    if candidates:
        gold = sum(len(post.gold.entities) for post in posts)
        span_threshold = _threshold_of_f1(scores, [one.is_one for one in candidates], gold)
    found = [one for score, one in zip(scores, candidates, strict=True) if score >= span_threshold]
    grounded = [
        (one, one.found.region.probability)
        for one in found
        if one.found.region is not None and one.boxes is not None
    ]
    regions = fit_temperature(
        [score for _, score in grounded], [one.region_is_right for one, _ in grounded]
    )
    region_temperature = round(regions, 4)
    scored = [
        Scored(calibrated(score, region_temperature), one.region_is_right, not one.boxes)
        for one, score in grounded
    ]
    return settings.model_copy(
        update={
            "span_temperature": span_temperature,
            "span_threshold": span_threshold,
            "region_temperature": region_temperature,
            "threshold": best_threshold(scored).value if scored else settings.threshold,
        }
    )


def _threshold_of_f1(scores: Sequence[float], is_right: Sequence[bool], gold: int) -> float:
    """The threshold in [0, 1] at which what reaches it has the highest F1."""
    axis = Axis.since(0.0, scores)
    hits, kept = np.zeros(axis.cells), np.zeros(axis.cells)
    for score, right in zip(scores, is_right, strict=True):
        passed = axis.passed_until(score)
        hits[:passed] += right
        kept[:passed] += 1
    return widest_plateau(axis, 2 * hits / np.maximum(kept + gold, 1)).value
