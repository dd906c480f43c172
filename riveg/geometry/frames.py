"""The frames in which models state boxes, and the way back to the pixels of the image.

Each family of models was trained with its own frame: pixels of the image as its processor resizes
it, or numbers up to a fixed maximum whatever the image's size. A box read in the wrong frame looks
plausible, so the frame is declared, never guessed, and a number beyond the maximum is an error; it
is never clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from types import MappingProxyType
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from riveg.geometry.boxes import whole_edges
from riveg.types import Box, ImageSize

FrameName = Literal["pixels-sent", "norm1000", "norm1000-yx", "norm999", "norm1"]


class OutsideFrame(ValueError):
    """Raised for a number outside the frame: most likely the frame is the wrong one."""


class InsideOut(ValueError):
    """Raised for edges in the wrong order, or a box without area."""


class Resize(BaseModel):
    """How a model's processor resizes what it is sent; the defaults are those of Qwen2.5-VL.

    ``multiple``: both sides become multiples of it (1: nothing is resized); ``min_pixels``,
    ``max_pixels``: bounds of the area, for a server that was started with other bounds than the
    model's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    multiple: int = Field(default=28, ge=1)
    min_pixels: int = Field(default=4 * 28 * 28, ge=1)
    max_pixels: int = Field(default=16384 * 28 * 28, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_pixels > self.max_pixels:
            raise ValueError(
                f"min_pixels ({self.min_pixels}) is above max_pixels ({self.max_pixels})"
            )
        return self

    def __call__(self, sent: ImageSize) -> ImageSize:
        """The size after the resizing, by the rule of the Qwen2-VL image processor."""
        if self.multiple == 1:
            return sent
        width, height = (round(side / self.multiple) * self.multiple for side in sent)
        area = sent.width * sent.height
        if width * height > self.max_pixels:
            shrink = math.sqrt(area / self.max_pixels)
            width, height = (
                max(self.multiple, math.floor(side / shrink / self.multiple) * self.multiple)
                for side in sent
            )
        elif width * height < self.min_pixels:
            grow = math.sqrt(self.min_pixels / area)
            width, height = (
                math.ceil(side * grow / self.multiple) * self.multiple for side in sent
            )
        return ImageSize(width, height)


Extent = Callable[[ImageSize, Resize], ImageSize]
"""The numbers at the right and the lower edge, from the size of the image that is sent."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame; 0 is at the left and the upper edge in each of them.

    Args:
        families: Models that state their boxes in it, for people to read.
        extent: The numbers at the right and the lower edge.
        is_sized: Whether the size of the image that is sent matters.
        rows_first: Whether a box is y, x, y, x.
        is_whole: Whether its numbers are integers.
    """

    families: str
    extent: Extent
    is_sized: bool = False
    rows_first: bool = False
    is_whole: bool = True

    def box(self, numbers: Sequence[float], extent: ImageSize, image: ImageSize) -> Box:
        """A stated box in pixels of the upright image.

        Args:
            numbers: Four, in the frame's order.
            extent: What :attr:`extent` gives for this image.
            image: The size of the upright image.

        Raises:
            OutsideFrame: If a number is below 0 or above the extent.
            InsideOut: If the right edge is not right of the left, or the lower not below the upper.
        """
        x_min, y_min, x_max, y_max = self.edges(numbers)
        for number, end in zip((x_min, y_min, x_max, y_max), (*extent, *extent), strict=True):
            if not 0 <= number <= end:
                raise OutsideFrame(f"{_shown(numbers)}: {_brief(number)} is not in [0, {end:g}]")
        self.check_order(numbers)
        return Box(
            x_min / extent.width * image.width,
            y_min / extent.height * image.height,
            x_max / extent.width * image.width,
            y_max / extent.height * image.height,
        )

    def numbers(self, box: Box, extent: ImageSize, image: ImageSize) -> tuple[float, ...]:
        """A box as a model states it: the way back from :meth:`box`.

        Args:
            box: In pixels of the upright image, within it.
            extent: What :attr:`extent` gives for this image.
            image: The size of the upright image.

        Returns:
            Four numbers in the frame's order. Whole ones are the nearest, and a side is one at
            least; others have four decimals.
        """
        across, down = extent.width / image.width, extent.height / image.height
        stated = Box(box.x_min * across, box.y_min * down, box.x_max * across, box.y_max * down)
        edges: tuple[float, ...] = whole_edges(stated, extent)
        if not self.is_whole:
            edges = tuple(round(edge, 4) for edge in astuple(stated))
        x_min, y_min, x_max, y_max = edges
        return (y_min, x_min, y_max, x_max) if self.rows_first else edges

    @property
    def order(self) -> str:
        """The order of a box's numbers, for a prompt."""
        names = ("x_min", "y_min", "x_max", "y_max")
        return ", ".join(names[index] for index in ((1, 0, 3, 2) if self.rows_first else range(4)))

    def check_order(self, numbers: Sequence[float]) -> None:
        """Makes sure that a box has an area, whatever the image's size.

        Raises:
            InsideOut: If it has none, or so little that nothing is left of it once it is rounded.
        """
        x_min, y_min, x_max, y_max = self.edges(numbers)
        if not all(-_SHOWABLE < number < _SHOWABLE for number in numbers):
            raise InsideOut(f"{_shown(numbers)} is no box")
        if x_max - x_min < _SMALLEST or y_max - y_min < _SMALLEST:
            raise InsideOut(f"{_shown(numbers)} is inside out or has no area")

    def edges(self, numbers: Sequence[float]) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge of four numbers in the frame's order."""
        first, second, third, fourth = numbers
        if self.rows_first:
            return second, first, fourth, third
        return first, second, third, fourth


def _up_to(end: int) -> Extent:
    return lambda _sent, _resize: ImageSize(end, end)


FRAMES: Mapping[FrameName, Frame] = MappingProxyType(
    {
        "pixels-sent": Frame(
            "Qwen2.5-VL; with multiple: 1 models that see the picture as it is sent",
            lambda sent, resize: resize(sent),
            is_sized=True,
        ),
        "norm1000": Frame("Qwen2-VL, Qwen3-VL, Qwen3.5, GLM-4.xV, InternVL", _up_to(1000)),
        "norm1000-yx": Frame("Gemini", _up_to(1000), rows_first=True),
        "norm999": Frame("models with a thousand bins from 0 to 999, such as CogVLM", _up_to(999)),
        "norm1": Frame(
            "models that answer in shares of the width and height", _up_to(1), is_whole=False
        ),
    }
)
"""Every frame by its name in configurations."""


def _shown(numbers: Sequence[float]) -> str:
    return f"[{', '.join(map(_brief, numbers))}]"


def _brief(number: float) -> str:
    # An integer of JSON may be too large for a float.
    return f"{number:g}" if -_SHOWABLE < number < _SHOWABLE else "a number out of all bounds"


_SMALLEST = 1e-6
"""A shorter side, in the numbers of a frame, is none."""

_SHOWABLE = 10**12
