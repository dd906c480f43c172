"""Drawings in which everything is known: a coloured square, or rectangles and a printed word.

Their sides are chosen so that frames differ. Rounding to multiples of 28 and of 32 moves the short
sides of 100 and 108 pixels by 4 to 12 %, and no side is near 1000. Both roundings stay within the
areas that Qwen2.5-VL and Qwen3-VL leave as they are, so that their bounds do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from riveg.images.fonts import font
from riveg.types import Box, ImageRef, ImageSize

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels

COLOURS: Mapping[str, str] = {
    "red": "#d81e1e",
    "green": "#1d8a34",
    "blue": "#1f4fd8",
    "yellow": "#f5dc1e",
    "orange": "#f28a14",
    "purple": "#7a2aa8",
    "pink": "#f59ac0",
    "black": "#000000",
}
"""Every colour that is drawn, as people name it."""

_PAPER = "#ffffff"
_SQUARE = ImageSize(280, 280)

Shares = tuple[float, float, float, float]
"""Edges of a box as shares of the sides, xyxy."""

# Off the diagonal: a box with x and y swapped lies elsewhere.
_SIDE_BY_SIDE: tuple[Shares, Shares, Shares] = (
    (0.07, 0.55, 0.33, 0.94),
    (0.61, 0.06, 0.95, 0.38),
    (0.42, 0.58, 0.93, 0.86),
)
_MIRRORED: tuple[Shares, Shares, Shares] = (
    (0.66, 0.05, 0.94, 0.45),
    (0.05, 0.64, 0.47, 0.95),
    (0.07, 0.10, 0.56, 0.36),
)
_STACKED: tuple[Shares, Shares, Shares] = (
    (0.08, 0.62, 0.60, 0.78),
    (0.38, 0.04, 0.94, 0.30),
    (0.06, 0.84, 0.94, 0.96),
)
_IN_A_ROW: tuple[Shares, Shares, Shares] = (
    (0.04, 0.30, 0.22, 0.90),
    (0.70, 0.08, 0.96, 0.66),
    (0.36, 0.14, 0.62, 0.88),
)

_PLANS = (
    (ImageSize(640, 480), _SIDE_BY_SIDE, ("red", "blue"), "TIGER"),
    (ImageSize(420, 740), _MIRRORED, ("green", "orange"), "LEMON"),
    (ImageSize(268, 268), _SIDE_BY_SIDE, ("purple", "green"), "ROBOT"),
    (ImageSize(820, 156), _MIRRORED, ("blue", "pink"), "PIANO"),
    (ImageSize(900, 100), _IN_A_ROW, ("red", "green"), "CLOUD"),
    (ImageSize(108, 900), _STACKED, ("blue", "red"), "HORSE"),
)
"""Size, places of two rectangles and a word, the rectangles' colours, the word."""


@dataclass(frozen=True, slots=True)
class Target:
    """A thing in a drawing; ``name`` says which, ``box`` is in pixels of the drawing."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """An image and what is in it.

    Args:
        image: Its name and its sides.
        pixels: What is drawn.
        answer: The colour of its square, or its word.
        targets: The things with boxes; none where there is only a square.
    """

    image: ImageRef
    pixels: Pixels
    answer: str
    targets: tuple[Target, ...] = ()

    @property
    def size(self) -> ImageSize:
        """Width and height in pixels."""
        height, width, _ = self.pixels.shape
        return ImageSize(width, height)


class Drawings:
    """All drawings, as a source of images; the same bytes each time."""

    @cached_property
    def squares(self) -> tuple[Drawing, ...]:
        """A square of each colour on white."""
        return tuple(map(_square, COLOURS))

    @cached_property
    def scenes(self) -> tuple[Drawing, ...]:
        """Two rectangles and a word each, in several sizes and aspects."""
        return tuple(_scene(*plan) for plan in _PLANS)

    @property
    def things(self) -> tuple[tuple[Drawing, Target], ...]:
        """Everything with a box, in the scenes' order."""
        return tuple((scene, target) for scene in self.scenes for target in scene.targets)

    def load(self, image: ImageRef) -> Pixels:
        """The pixels of a drawing."""
        return self._by_path[image.path].pixels

    def probe(self, image: ImageRef) -> ImageRef:
        """The drawing's own reference, with its sides."""
        return self._by_path[image.path].image

    def stamp(self, image: ImageRef) -> str:
        """The name: a drawing never changes."""
        return image.path

    @cached_property
    def _by_path(self) -> Mapping[str, Drawing]:
        every: Iterable[Drawing] = (*self.squares, *self.scenes)
        return {drawing.image.path: drawing for drawing in every}


def _square(colour: str) -> Drawing:
    image = Image.new("RGB", _SQUARE, _PAPER)
    place = _edges((0.25, 0.25, 0.75, 0.75), _SQUARE)
    _fill(image, place, colour)
    return Drawing(ImageRef(f"square-{colour}", *_SQUARE), np.asarray(image), colour)


def _scene(
    size: ImageSize, places: tuple[Shares, Shares, Shares], colours: tuple[str, str], word: str
) -> Drawing:
    image = Image.new("RGB", size, _PAPER)
    *boxes, cell = (_edges(place, size) for place in places)
    for box, colour in zip(boxes, colours, strict=True):
        _fill(image, box, colour)
    targets = [
        Target(f"{colour} rectangle", Box(*box)) for box, colour in zip(boxes, colours, strict=True)
    ]
    targets.append(Target(f"printed word {word}", _print(image, cell, word)))
    reference = ImageRef(f"scene-{size.width}x{size.height}", *size)
    return Drawing(reference, np.asarray(image), word, tuple(targets))


Edges = tuple[int, int, int, int]
"""Whole pixels, xyxy with exclusive ends."""


def _edges(place: Shares, size: ImageSize) -> Edges:
    left, top, right, bottom = place
    width, height = size
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


def _fill(image: Image.Image, edges: Edges, colour: str) -> None:
    image.paste(COLOURS[colour], edges)


def _print(image: Image.Image, cell: Edges, word: str) -> Box:
    """Prints a word as large as a cell allows; the box of its ink."""
    left, top, right, bottom = cell
    width, height = right - left, bottom - top
    for size in range(2 * height, 1, -1):
        x_min, y_min, x_max, y_max = font(size).getbbox(word)
        if x_max - x_min <= width and y_max - y_min <= height:
            break
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).text((left - x_min, top - y_min), word, fill=255, font=font(size))
    image.paste(COLOURS["black"], mask=mask)
    ink = mask.point(lambda value: 255 * (value > _FAINT)).getbbox()
    assert ink is not None
    return Box(*ink)


_FAINT = 64
"""Of 255: the soft edge of a letter below it is no ink."""
