"""Plain geometry of boxes."""

from __future__ import annotations

from riveg.types import Box


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union in [0, 1], continuous edges: no pixel is added.

    >>> box_iou(Box(0, 0, 100, 100), Box(0, 0, 100, 50))
    0.5
    """
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one.area + other.area - shared)


def box_text(box: Box) -> str:
    """``x_min,y_min,x_max,y_max`` in whole pixels, for people."""
    return ",".join(f"{edge:.0f}" for edge in (box.x_min, box.y_min, box.x_max, box.y_max))
