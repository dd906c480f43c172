"""Areas and overlaps of boxes. Edges are continuous: no pixel is added to a width."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from riveg.types import Box, ImageSize

Boxes = NDArray[np.float64]
"""Boxes as an array: xyxy, all in one frame, *shape* ``(boxes, 4)``."""


def common_area(one: Box, other: Box) -> float:
    """The area that two boxes share, in square pixels; 0 where they do not touch."""
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    return max(0.0, width) * max(0.0, height)


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union in [0, 1].

    >>> box_iou(Box(0, 0, 100, 100), Box(0, 0, 100, 50))
    0.5
    """
    common = common_area(one, other)
    return common / (one.area + other.area - common)


def pairwise_iou(boxes: Boxes, others: Boxes) -> Boxes:
    """Intersection over union of each box with each of the others, in [0, 1].

    A box without area is allowed; its intersection over union is 0.

    Args:
        boxes: *Shape:* ``(boxes, 4)``.
        others: In the frame of ``boxes``. *Shape:* ``(others, 4)``.

    Returns:
        *Shape:* ``(boxes, others)``.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    union = _areas(boxes)[:, None] + _areas(others)[None] - common
    iou: Boxes = np.divide(common, union, out=np.zeros(union.shape), where=union > 0)
    return iou


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    return areas


def box_text(box: Box) -> str:
    """``x_min,y_min,x_max,y_max`` in whole pixels, for people."""
    return ",".join(f"{edge:.0f}" for edge in (box.x_min, box.y_min, box.x_max, box.y_max))


def grown_box(box: Box, margin: float) -> Box:
    """The box with each edge moved outwards by ``margin`` times the box's side.

    >>> grown_box(Box(10, 0, 20, 4), 0.5)
    Box(x_min=5.0, y_min=-2.0, x_max=25.0, y_max=6.0)
    """
    aside, above = margin * box.width, margin * box.height
    return Box(box.x_min - aside, box.y_min - above, box.x_max + aside, box.y_max + above)


def box_around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of some, of which there is at least one.

    >>> box_around([Box(0, 0, 2, 2), Box(1, 1, 5, 2)])
    Box(x_min=0, y_min=0, x_max=5, y_max=2)
    """
    return Box(
        min(box.x_min for box in boxes),
        min(box.y_min for box in boxes),
        max(box.x_max for box in boxes),
        max(box.y_max for box in boxes),
    )


def whole_edges(box: Box, size: ImageSize) -> tuple[int, int, int, int]:
    """The nearest whole pixels within an image, xyxy with exclusive ends, one pixel at least.

    >>> whole_edges(Box(0.4, 0, 2.6, 0.2), ImageSize(4, 2))
    (0, 0, 3, 1)
    """
    left, right = _nearest(box.x_min, box.x_max, size.width)
    top, bottom = _nearest(box.y_min, box.y_max, size.height)
    return left, top, right, bottom


def _nearest(low: float, high: float, side: int) -> tuple[int, int]:
    start = max(0, min(side - 1, round(low)))
    return start, max(start + 1, min(side, round(high)))


def touched_edges(box: Box, size: ImageSize) -> tuple[int, int, int, int] | None:
    """The pixels of an image that a box touches, xyxy with exclusive ends; ``None``: none.

    >>> touched_edges(Box(0.4, 0, 2.6, 0.2), ImageSize(4, 2))
    (0, 0, 3, 1)
    >>> touched_edges(Box(1.4, 0, 2.3, 9), ImageSize(4, 2))
    (1, 0, 3, 2)
    """
    left, top = max(0, math.floor(box.x_min)), max(0, math.floor(box.y_min))
    right, bottom = min(size.width, math.ceil(box.x_max)), min(size.height, math.ceil(box.y_max))
    return (left, top, right, bottom) if left < right and top < bottom else None


def clip_box(box: Box, size: ImageSize) -> Box | None:
    """The part of a box in the image, to a hundredth of a pixel; ``None`` where it has none."""
    x_min, y_min = (round(max(0.0, edge), 2) for edge in (box.x_min, box.y_min))
    x_max, y_max = (
        round(min(float(size.width), box.x_max), 2),
        round(min(float(size.height), box.y_max), 2),
    )
    return Box(x_min, y_min, x_max, y_max) if x_min < x_max and y_min < y_max else None
