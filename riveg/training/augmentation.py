"""Pictures changed at random, and their boxes with them: cropped, mirrored, of other sizes."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from riveg.geometry.arrays import Pixels
from riveg.geometry.boxes import box_around, touched_edges
from riveg.types import Box, ImageSize

_SIDES = re.compile(
    r"\b(left|right)(most|ward|wards|hand)?\b|\b(anti|counter)?-?clockwise\b", re.IGNORECASE
)
"""Words that a mirrored picture makes untrue."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a picture: the window is cut out, then mirrored, then resized.

    Args:
        window: xyxy in whole pixels of the picture, ends outside.
        flipped: Whether left and right change places.
        scale: What the sides that pictures are resized to are multiplied with.
    """

    window: tuple[int, int, int, int]
    flipped: bool = False
    scale: float = 1.0

    @property
    def size(self) -> ImageSize:
        """Of what is cut out."""
        left, top, right, bottom = self.window
        return ImageSize(right - left, bottom - top)

    def pixels(self, pixels: Pixels) -> Pixels:
        """The window of a picture, mirrored where that is asked for.

        *Shape:* ``(height, width, 3)``.
        """
        left, top, right, bottom = self.window
        part = pixels[top:bottom, left:right]
        return np.ascontiguousarray(part[:, ::-1] if self.flipped else part)

    def box(self, box: Box) -> Box:
        """Where a box of the picture, which lies in the window, lies in it."""
        left, top, right, _ = self.window
        x_min, x_max = box.x_min - left, box.x_max - left
        if self.flipped:
            x_min, x_max = right - left - x_max, right - left - x_min
        return Box(x_min, box.y_min - top, x_max, box.y_max - top)


class Cropping(BaseModel):
    """How pictures are cropped; the default changes nothing.

    ``crop``: the share of visits in which a part is cut out; all boxes of the row stay whole.
    ``least_crop``: the least share of each side that is kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    crop: float = Field(default=0.0, ge=0, le=1)
    least_crop: float = Field(default=0.5, gt=0, le=1)

    def cropped(self, size: ImageSize, boxes: tuple[Box, ...], chance: random.Random) -> Change:
        """The part of a picture that is seen at one visit.

        Args:
            size: Of the upright picture.
            boxes: Within it; they stay whole.
            chance: What is drawn comes from it.
        """
        draws = [chance.random() for _ in range(5)]
        return Change(self._window(size, boxes, draws))

    def _window(
        self, size: ImageSize, boxes: tuple[Box, ...], draws: list[float]
    ) -> tuple[int, int, int, int]:
        """By five numbers in [0, 1), the first of which says whether anything is cut off."""
        if draws[0] >= self.crop:
            return 0, 0, size.width, size.height
        edges = touched_edges(box_around(boxes), size) if boxes else None
        left, top, right, bottom = edges or (None,) * 4
        columns = self._part(size.width, left, right, draws[1:3])
        rows = self._part(size.height, top, bottom, draws[3:])
        return columns[0], rows[0], columns[1], rows[1]

    def _part(
        self, side: int, low: int | None, high: int | None, draws: list[float]
    ) -> tuple[int, int]:
        """A part of a side that holds ``low`` to ``high``, in whole pixels."""
        kept = 0 if low is None or high is None else high - low
        least = max(1, kept, round(self.least_crop * side))
        length = min(side, least + int(draws[0] * (side - least + 1)))
        first = 0 if high is None else max(0, high - length)
        last = side - length if low is None else min(low, side - length)
        start = min(last, first + int(draws[1] * (last - first + 1)))
        return start, start + length


class Augmentation(Cropping):
    """How pictures are changed; the default changes nothing.

    ``flip``: the share of visits in which a picture is mirrored. Only pictures in which a run with
    ``observe`` found no words are, and only for phrases without words such as "left".
    ``crop``, ``least_crop``: as everywhere. ``scale``: least and largest factor of the sides that
    pictures are resized to.
    """

    flip: float = Field(default=0.0, ge=0, le=1)
    scale: tuple[float, float] = (1.0, 1.0)

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        if not 0.1 <= self.scale[0] <= self.scale[1] <= 4:
            raise ValueError("scale: expected two factors from 0.1 to 4, the smaller one first")
        return self

    def draw(
        self, size: ImageSize, boxes: tuple[Box, ...], chance: random.Random, *, mirrors: bool
    ) -> Change:
        """The change of a picture at one visit.

        The same numbers are drawn whatever comes of them, so that one setting does not change what
        another does.

        Args:
            size: Of the upright picture.
            boxes: Within it; they stay whole.
            chance: What is drawn comes from it.
            mirrors: Whether the picture may be mirrored.
        """
        crops, flips, factor, *draws = (chance.random() for _ in range(7))
        window = self._window(size, boxes, [crops, *draws])
        least, largest = self.scale
        return Change(window, flips < self.flip and mirrors, least + factor * (largest - least))


def names_a_side(text: str) -> bool:
    """Whether a phrase is untrue of the mirrored picture.

    >>> names_a_side("the man on the left"), names_a_side("a leftover cake")
    (True, False)
    """
    return _SIDES.search(text) is not None
