"""From a detector's many boxes to regions: in the image, distinct, best first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from riveg.types import Box, Region

_BOX_DIGITS = 1
_SCORE_DIGITS = 4
"""What is behind these digits depends on what shared a batch."""


def choose_regions(
    boxes: NDArray[np.floating[Any]],
    scores: NDArray[np.float32] | None,
    *,
    size: tuple[int, int],
    threshold: float,
    overlap: float,
    most: int,
    source: str,
) -> tuple[Region, ...]:
    """Regions above a threshold, best first; a detector's edges beyond the image end at its own.

    Boxes are given to a tenth of a pixel, scores to four digits.

    Args:
        boxes: xyxy in [0, 1] of the image, *shape* ``(n, 4)``.
        scores: In [0, 1], *shape* ``(n,)``; ``None`` of a detector that gives none: its boxes keep
            their order, and no threshold holds.
        size: The image's height and width in pixels.
        threshold: A score must be above it.
        overlap: A box whose intersection over union with a better one is above it is dropped.
        most: At most so many.
        source: Said of each region.
    """
    height, width = size
    limits = np.array([width, height, width, height], dtype=np.float64)
    pixels = np.clip(np.nan_to_num(boxes.astype(np.float64)) * limits, 0.0, limits)
    pixels = np.round(pixels, _BOX_DIGITS)
    sides = pixels[:, 2:] - pixels[:, :2]
    usable: NDArray[np.bool_] = sides.min(axis=1) > 0
    ranks = np.arange(len(boxes))
    if scores is not None:
        usable &= scores > threshold
        ranks = np.argsort(-scores, kind="stable")
    order = [int(one) for one in ranks if usable[one]]
    return tuple(
        Region(
            Box(*map(float, pixels[one])),
            None if scores is None else round(float(scores[one]), _SCORE_DIGITS),
            source=source,
        )
        for one in keep_distinct(pixels, order, overlap, most)
    )


def keep_distinct(
    boxes: NDArray[np.float64], order: list[int], overlap: float, most: int
) -> list[int]:
    """Greedy non-maximum suppression.

    Args:
        boxes: xyxy, *shape* ``(n, 4)``.
        order: Rows to choose from, best first.
        overlap: Highest intersection over union with one that is kept.
        most: At most so many.
    """
    kept: list[int] = []
    for one in order:
        if len(kept) == most:
            break
        if not kept or overlaps(boxes[one], boxes[kept]).max() <= overlap:
            kept.append(one)
    return kept


def overlaps(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a box with others, of which none may be empty along with it.

    Args:
        one: xyxy, *shape* ``(4,)``.
        others: xyxy, *shape* ``(n, 4)``.
    """
    low = np.maximum(one[:2], others[:, :2])
    high = np.minimum(one[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    own = (one[2:] - one[:2]).prod()
    shares: NDArray[np.float64] = common / (
        own + (others[:, 2:] - others[:, :2]).prod(axis=1) - common
    )
    return shares
