"""Why a mask of a record cannot be exported."""

from __future__ import annotations

from riveg.geometry.masks import mask_area
from riveg.types import ImageSize, Mask


def mask_fault(mask: Mask, size: ImageSize | None = None) -> str | None:
    """What is wrong with a mask, in the words of an export's report; ``None``: nothing.

    Args:
        mask: Of a region.
        size: Of the image, where known.
    """
    if size is not None and (mask.width, mask.height) != size:
        return "mask of another size than its picture"
    try:
        return None if mask_area(mask) else "mask with no pixel"
    except ValueError:
        return "mask whose run lengths are damaged"
