"""The boxes of OFA: four numbers of a thousand bins along the sides of a padded square.

OFA (arXiv 2202.03052) resizes an image until its longer side has 512 pixels, keeps the rest of the
square empty, and states edges as ``<bin_0>`` to ``<bin_999>`` of that square's side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from riveg.types import Box, ImageSize

SQUARE = 512
"""Side of the square, in pixels."""

LAST_BIN = 999
"""The bin at the right and at the lower edge of the square."""

_ANSWER = re.compile(r"\s*" + r"\s*".join([r"<bin_(\d{1,3})>"] * 4) + r"\s*")


def resized(image: ImageSize) -> ImageSize:
    """The image's size inside the square, by the rule of OFA's own transform.

    >>> resized(ImageSize(1200, 675))
    ImageSize(width=512, height=288)
    """
    short = round(SQUARE * min(image) / max(image)) or 1
    long = int(short * max(image) / min(image))
    return ImageSize(long, short) if image.width >= image.height else ImageSize(short, long)


def read_bins(answer: str) -> tuple[int, ...] | None:
    """The numbers of an answer of four bins; ``None`` where it is none.

    >>> read_bins("<bin_0> <bin_12> <bin_500> <bin_999>")
    (0, 12, 500, 999)
    """
    found = _ANSWER.fullmatch(answer)
    return None if found is None else tuple(map(int, found.groups()))


def box_of_bins(bins: Sequence[int], image: ImageSize) -> Box | None:
    """The box in pixels of the upright image; ``None`` where it encloses nothing.

    Args:
        bins: x_min, y_min, x_max, y_max, each 0 to 999.
        image: The image's size.
    """
    inside = resized(image)
    across = SQUARE / LAST_BIN / inside.width * image.width
    down = SQUARE / LAST_BIN / inside.height * image.height
    x_min, y_min, x_max, y_max = bins
    if x_min >= x_max or y_min >= y_max:
        return None
    return Box(x_min * across, y_min * down, x_max * across, y_max * down)
