"""Why a mask of a record cannot be exported."""

from __future__ import annotations

from riveg.geometry.masks import mask_area
from riveg.types import Mask


def mask_fault(mask: Mask, sides: tuple[int, int] | None = None) -> str | None:
    """What is wrong with a mask, as an export counts it; ``None`` where nothing is.

    Args:
        mask: Of a region.
        sides: Width and height of the image, where they are known.
    """
    if sides is not None and (mask.width, mask.height) != sides:
        return "mask of another size than its picture"
    try:
        return None if mask_area(mask) else "mask with no pixel"
    except ValueError:
        return "mask whose run lengths are damaged"
