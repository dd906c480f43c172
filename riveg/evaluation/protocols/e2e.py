"""E2E-GMNER's counting: answers as text, an optimal matching, all boxes, integer pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.matching import maximum_matching
from riveg.evaluation.protocols.protocol import Protocol
from riveg.formats.e2e_answer import Corners, Triple, format_answer, parse_answer
from riveg.geometry.boxes import pairwise_iou
from riveg.geometry.frames import Resize
from riveg.types import Box, ImageSize

FACTOR = 28
MIN_PIXELS = 256 * FACTOR * FACTOR
MAX_PIXELS = 1024 * FACTOR * FACTOR
RESIZE = Resize(multiple=FACTOR, min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS)
"""Qwen2.5-VL's ``smart_resize`` with the limits of E2E-GMNER."""
MOST_ASPECT = 200
LEAST_IOU = 0.5
METRICS = ("mner", "eeg", "gmner")


def leaves_out(case: Case) -> bool:
    """Whether the sample is not counted: it has gold, but its image is too small or too narrow."""
    return bool(case.gold) and case.size is not None and not _is_usable(case.size)


def score(case: Case) -> Mapping[str, Count]:
    """Counts as E2E-GMNER's ``metrics.py`` does, after both sides went through its text format."""
    if leaves_out(case):
        return dict.fromkeys(METRICS, NOTHING)
    to_frame = _frame(case.size)
    predicted, gold = (_round_trip(side, to_frame) for side in (case.predicted, case.gold))
    hits = {
        "mner": (_kinds(predicted) & _kinds(gold)).total(),
        "eeg": _most_pairs(predicted, gold, typed=False),
        "gmner": _most_pairs(predicted, gold, typed=True),
    }
    return {name: Count(hits[name], len(predicted), len(gold)) for name in METRICS}


def _is_usable(size: ImageSize) -> bool:
    return min(size) >= FACTOR and max(size) / min(size) <= MOST_ASPECT


def _frame(size: ImageSize | None) -> Callable[[Box], Corners]:
    if size is None or not _is_usable(size):
        return lambda box: (box.x_min, box.y_min, box.x_max, box.y_max)
    width, height = map(int, RESIZE(ImageSize(*size)))

    def to_frame(box: Box) -> Corners:
        return (
            _scaled(box.x_min, width / size.width, width),
            _scaled(box.y_min, height / size.height, height),
            _scaled(box.x_max, width / size.width, width),
            _scaled(box.y_max, height / size.height, height),
        )

    return to_frame


def _scaled(edge: float, scale: float, side: int) -> int:
    return min(max(round(edge * scale), 0), side)


def _round_trip(
    entities: Sequence[PredictedEntity | AnnotatedEntity], to_frame: Callable[[Box], Corners]
) -> tuple[Triple, ...]:
    triples = (Triple(entity.text, entity.label, _corners(entity, to_frame)) for entity in entities)
    return parse_answer(format_answer(triples)).triples


def _corners(
    entity: PredictedEntity | AnnotatedEntity, to_frame: Callable[[Box], Corners]
) -> tuple[Corners, ...] | None:
    if isinstance(entity, AnnotatedEntity):
        return None if entity.boxes is None else tuple(map(to_frame, entity.boxes))
    if entity.regions is None:
        return None
    return tuple(to_frame(region.box) for region in entity.regions)


def _kinds(triples: Sequence[Triple]) -> Counter[tuple[str, str]]:
    return Counter((triple.mention, triple.label) for triple in triples)


def _most_pairs(predicted: Sequence[Triple], gold: Sequence[Triple], *, typed: bool) -> int:
    edges = [
        [index for index, wanted in enumerate(gold) if _fits(triple, wanted, typed=typed)]
        for triple in predicted
    ]
    return sum(partner is not None for partner in maximum_matching(edges))


def _fits(triple: Triple, wanted: Triple, *, typed: bool) -> bool:
    if triple.mention != wanted.mention or (typed and triple.label != wanted.label):
        return False
    if triple.boxes is None or wanted.boxes is None:
        return False
    if not triple.boxes or not wanted.boxes:
        return not triple.boxes and not wanted.boxes
    # Arrays, not Box: rounding may leave nothing of a box, which Box refuses.
    iou = pairwise_iou(np.array(triple.boxes), np.array(wanted.boxes))
    return bool(iou.max() >= LEAST_IOU)


E2E = Protocol(
    name="e2e",
    summary="strings, optimal matching, any of several boxes, IoU >= 0.5 in resized pixels",
    metrics=METRICS,
    build=lambda: score,
    leaves_out=leaves_out,
    notes=(
        "entities are compared as strings: the right words at the wrong place count",
        "of several predicted boxes the best counts: a list of guesses costs nothing",
        "boxes are rounded to whole pixels of the resized picture",
        "a semicolon in a name cuts it, in gold too: its tail remains",
        "annotated samples under 28 pixels on a side, or longer than 200 to 1, are left out",
    ),
)
