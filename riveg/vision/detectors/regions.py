"""From a detector's many boxes to regions that lie in the image, differ, and stand best first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from riveg.geometry.boxes import pairwise_iou
from riveg.types import Box, ImageSize, Region

_BOX_DIGITS = 1
_SCORE_DIGITS = 4
"""Further digits depend on what else was in the batch."""


def choose_regions(
    boxes: NDArray[np.floating[Any]],
    scores: NDArray[np.float32] | None,
    *,
    size: ImageSize,
    threshold: float,
    overlap: float,
    most: int,
    source: str,
) -> tuple[Region, ...]:
    """Regions above a threshold, best first; edges outside the image are moved to the image's.

    Boxes are given to a tenth of a pixel, scores to four digits.

    Args:
        boxes: xyxy in [0, 1] of the image, *shape* ``(n, 4)``.
        scores: In [0, 1], *shape* ``(n,)``; ``None`` where the detector gives none: its boxes keep
            their order, and the threshold does not apply.
        size: Of the upright image.
        threshold: A score must be above it.
        overlap: Highest intersection over union of two regions; the worse box is dropped.
        most: Highest number of regions.
        source: Source of each region.
    """
    limits = np.array([*size, *size], dtype=np.float64)
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
    """Rows that non-maximum suppression keeps, best first (greedy).

    Args:
        boxes: xyxy, *shape* ``(n, 4)``.
        order: Rows to choose from, best first.
        overlap: Highest intersection over union of two boxes that are kept.
        most: Highest number of rows.
    """
    kept: list[int] = []
    for one in order:
        if len(kept) == most:
            break
        if not kept or pairwise_iou(boxes[[one]], boxes[kept]).max() <= overlap:
            kept.append(one)
    return kept
