"""Which pixels of a person's box belong to the people beside, told by the boxes alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from riveg.geometry.boxes import box_iou, common_area, whole_edges
from riveg.geometry.masks import box_pixels
from riveg.types import Box, ImageSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from riveg.geometry.arrays import Bitmap

_SAME_PERSON = 0.5


def is_neighbour(other: Box, box: Box) -> bool:
    """Whether another box overlaps a person's box and is not the same person's.

    Boxes with an intersection over union of at least 0.5 are taken for one person's.

    >>> box = Box(0, 0, 10, 20)
    >>> [is_neighbour(Box(x, 0, x + 10, 20), box) for x in (2, 8, 10)]
    [False, True, False]
    """
    return common_area(other, box) > 0 and box_iou(other, box) < _SAME_PERSON


def without_neighbours(person: Bitmap, box: Box, neighbours: Iterable[Box]) -> Bitmap:
    """Without the pixels inside a neighbour's box that are nearer to its centre.

    Nearer than to the centre of the person's own box: distances across are measured in widths of
    the box they are measured from, distances down in its heights, so that a small person in front
    of a large one gets no more than the middle of its box. Pixels as near to both stay.

    Args:
        person: Pixels taken for the person's, *shape* ``(height, width)`` of the image.
        box: Of the person.
        neighbours: Boxes of others.

    Returns:
        *Shape* ``(height, width)``.
    """
    height, width = person.shape
    size = ImageSize(width, height)
    window = whole_edges(box, size)
    own = _distances(box, window)
    kept = person.copy()
    left, top, right, bottom = window
    for other in neighbours:
        theirs = box_pixels(other, size)[top:bottom, left:right]
        kept[top:bottom, left:right] &= ~(theirs & (_distances(other, window) < own))
    return kept


def _distances(box: Box, window: tuple[int, int, int, int]) -> NDArray[np.float64]:
    """Squares of the distances of a window's pixels from a box's centre, in sides of the box.

    Args:
        box: The box.
        window: Whole pixels, xyxy with exclusive ends.

    Returns:
        *Shape* ``(height, width)`` of the window.
    """
    left, top, right, bottom = window
    across = (np.arange(left, right) + 0.5 - (box.x_min + box.x_max) / 2) / box.width
    down = (np.arange(top, bottom) + 0.5 - (box.y_min + box.y_max) / 2) / box.height
    distances: NDArray[np.float64] = across[None, :] ** 2 + down[:, None] ** 2
    return distances
