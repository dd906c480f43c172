"""Masks between boolean arrays and compressed COCO run lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from riveg.geometry.arrays import Bitmap
from riveg.geometry.boxes import whole_edges
from riveg.geometry.run_lengths import run_lengths
from riveg.types import Box, ImageSize, Mask


def mask_from_array(array: Bitmap, source: str | None = None) -> Mask:
    """The run lengths of a bitmap.

    Args:
        array: True where the pixel belongs to the region. *Shape:* ``(height, width)``.
        source: What made the mask.

    Raises:
        ValueError: If the array is not boolean or not of two dimensions.
    """
    if array.ndim != 2 or array.dtype != np.bool_:
        raise ValueError(
            f"expected a boolean (height, width) array, got {array.dtype} {array.shape}"
        )
    runs = coco.encode(np.asfortranarray(array, dtype=np.uint8))
    height, width = array.shape
    return Mask(height, width, runs["counts"].decode("ascii"), source)


def box_pixels(box: Box, size: ImageSize) -> Bitmap:
    """The pixels of an image of this size that a box covers.

    The box is rounded to whole pixels by :func:`~riveg.geometry.boxes.whole_edges`.

    *Shape:* ``(height, width)``.

    >>> box_pixels(Box(0.4, 0, 2.6, 0.2), ImageSize(4, 2)).tolist()
    [[True, True, True, False], [False, False, False, False]]
    """
    left, top, right, bottom = whole_edges(box, size)
    pixels = np.zeros((size.height, size.width), dtype=np.bool_)
    pixels[top:bottom, left:right] = True
    return pixels


def mask_box(mask: Mask) -> Box:
    """The smallest box around the mask's pixels, on whole edges.

    Raises:
        ValueError: If the mask has no pixel, or its run lengths do not fill it exactly.

    >>> mask_box(mask_from_array(np.eye(3, dtype=bool)))
    Box(x_min=0.0, y_min=0.0, x_max=3.0, y_max=3.0)
    """
    _runs(mask)  # what is damaged is refused here
    left, top, width, height = map(float, coco.toBbox(_coco(mask)))
    return Box(left, top, left + width, top + height)


def mask_area(mask: Mask) -> int:
    """How many pixels the mask has.

    Raises:
        ValueError: If the run lengths do not fill the mask exactly.
    """
    return sum(_runs(mask)[1::2])


def mask_iou(one: Mask, other: Mask) -> float:
    """Intersection over union in [0, 1]; 0 where both are empty.

    Raises:
        ValueError: If the masks are of different sizes, or one is damaged.
    """
    if (one.height, one.width) != (other.height, other.width):
        raise ValueError(
            f"masks of different sizes: {one.height}x{one.width} and {other.height}x{other.width}"
        )
    if not mask_area(one) and not mask_area(other):
        return 0.0
    return float(coco.iou([_coco(one)], [_coco(other)], [0])[0, 0])


def mask_union(masks: Sequence[Mask]) -> Mask:
    """All pixels of all masks.

    Raises:
        ValueError: If the masks are of different sizes, or one is damaged.
    """
    sizes = {(mask.height, mask.width) for mask in masks}
    if len(sizes) != 1:
        raise ValueError(f"masks of different sizes: {sorted(sizes)}")
    if len(masks) == 1:
        return masks[0]
    return mask_from_array(np.logical_or.reduce([mask.to_numpy() for mask in masks]))


def _coco(mask: Mask) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": mask.counts.encode("ascii")}


def _runs(mask: Mask) -> list[int]:
    return run_lengths(mask.counts, mask.height, mask.width)
