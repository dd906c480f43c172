"""E2E-GMNER's counting: answers as text, an optimal matching, all boxes, integer pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from riveg.evaluation.cases import Case
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
DECIMALS = 6
"""Decimals of predicted edges: they undo what scaling there and back adds to a number."""
METRICS = ("mner", "eeg", "gmner")


def leaves_out(case: Case) -> bool:
    """Whether the sample counts on neither side.

    So it is if it has gold, and its image is too small or too narrow, or no gold entity can be read
    from the answer's text.
    """
    if not case.gold:
        return False
    return (case.size is not None and not _is_usable(case.size)) or not _gold_triples(case)


def score(case: Case) -> Mapping[str, Count]:
    """Counts as E2E-GMNER's ``metrics.py`` does, after both sides went through its text format."""
    if leaves_out(case):
        return dict.fromkeys(METRICS, NOTHING)
    predicted, gold = _predicted_triples(case), _gold_triples(case)
    hits = {
        "mner": (_kinds(predicted) & _kinds(gold)).total(),
        "eeg": _most_pairs(predicted, gold, typed=False),
        "gmner": _most_pairs(predicted, gold, typed=True),
    }
    return {name: Count(hits[name], len(predicted), len(gold)) for name in METRICS}


def _is_usable(size: ImageSize) -> bool:
    return min(size) >= FACTOR and max(size) / min(size) <= MOST_ASPECT


def _gold_triples(case: Case) -> tuple[Triple, ...]:
    """The gold as the program reads it: boxes in whole pixels, within the resized image."""
    shares, sides = _scale(case.size)
    limits = None if sides is None else np.array([*sides, *sides])

    def corners(box: Box) -> Corners:
        edges = _edges(box) * shares
        return _corners(edges if limits is None else np.clip(np.round(edges), 0, limits))

    return _read_again(
        Triple(entity.text, entity.label, tuple(map(corners, entity.boxes or ())))
        for entity in case.gold
    )


def _predicted_triples(case: Case) -> tuple[Triple, ...]:
    """The predictions as the program reads them: boxes in the resized image, with decimals."""
    shares, _ = _scale(case.size)

    def corners(box: Box) -> Corners:
        return _corners(np.round(_edges(box) * shares, DECIMALS))

    return _read_again(
        Triple(
            entity.text,
            entity.label,
            None
            if entity.regions is None
            else tuple(corners(region.box) for region in entity.regions),
        )
        for entity in case.predicted
    )


def _scale(size: ImageSize | None) -> tuple[NDArray[np.float64], ImageSize | None]:
    """What edges are multiplied by, and the sides of the resized image, if the size is known."""
    if size is None or not _is_usable(size):
        return np.ones(4), None
    sides = ImageSize(*map(int, RESIZE(ImageSize(*size))))
    shares = np.array(sides) / np.array(size)
    return np.array([*shares, *shares]), sides


def original_shares(size: ImageSize) -> tuple[float, float]:
    """What edges in the resized image are multiplied by, across and down, to be original pixels."""
    shares, _ = _scale(size)
    across, down = (1 / shares[:2]).tolist()
    return across, down


def _edges(box: Box) -> NDArray[np.float64]:
    return np.array([box.x_min, box.y_min, box.x_max, box.y_max])


def _corners(edges: NDArray[np.float64]) -> Corners:
    x_min, y_min, x_max, y_max = edges.tolist()
    return x_min, y_min, x_max, y_max


def _read_again(triples: Iterable[Triple]) -> tuple[Triple, ...]:
    return parse_answer(format_answer(triples)).triples


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
    summary="strings, optimal matching, any box, IoU >= 0.5 in resized pixels",
    metrics=METRICS,
    build=lambda: score,
    leaves_out=leaves_out,
    notes=(
        "entities are compared as strings: the right words at the wrong place count",
        "of several predicted boxes the best counts: a list of guesses costs nothing",
        "gold boxes are rounded to whole pixels of the resized picture, predicted ones are not",
        "a semicolon in a name cuts it, in gold too: its tail remains",
        "annotated samples under 28 pixels on a side, or longer than 200 to 1, are left out",
        "so are samples whose gold names all fall to pieces at a semicolon",
    ),
)
