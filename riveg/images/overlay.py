"""One image that shows the whole answer: boxes, masks and labels, and the sample below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from riveg.geometry.arrays import Pixels
from riveg.geometry.masks import mask_to_array
from riveg.images.fonts import PAPER, Sizes, font, shorten, showable
from riveg.images.palette import INK, ink_on, type_colours
from riveg.images.text_strip import draw_strip, entity_note
from riveg.types import Entity, ImageSize, Mask, Region, Sample

_SIDES = (640, 1600)
"""The overlay's longer side lies between these, so that labels are legible."""

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Marked:
    """A region on the canvas, with its entity and its rank among the entity's regions."""

    entity: Entity
    region: Region
    rank: int
    colour: str
    frame: Rectangle


def draw_overlay(
    pixels: Pixels, sample: Sample, colours: Mapping[str, str] | None = None
) -> Image.Image:
    """The image with every region of the sample's entities, and a strip with the sample below.

    A region and the entity's words in the strip have the colour of the entity's type. The number
    beside an entity is the probability that the image shows it, where a stage has said it. A guess,
    which nothing in the image supports, is dashed and says so.

    Args:
        pixels: The upright image; it is not changed.
        sample: A sample whose boxes and masks are in that image's pixels.
        colours: The colour of each label; ``None`` for ``type_colours`` of this sample's labels,
            which are the same in every sample only for the usual labels.

    Returns:
        An RGB image; small images are enlarged and large ones reduced, so that labels are legible.
    """
    canvas, scale = _canvas(pixels)
    sizes = Sizes.of_image(max(canvas.size))
    entities = sample.entities or ()
    if colours is None:
        colours = type_colours(entity.label for entity in entities)
    size = ImageSize(*canvas.size)
    marked = list(_marked(entities, colours, scale, size))
    marked.sort(key=lambda mark: -_area(mark.frame))
    for mark in marked:
        if mark.region.mask is not None:
            _paint_mask(canvas, mark.region.mask, mark.colour, sizes)
    pen = ImageDraw.Draw(canvas)
    for mark in marked:
        _paint_box(pen, mark, sizes)
    _paint_chips(pen, marked, size, sizes)
    return _stacked(canvas, draw_strip(sample, colours, canvas.width, sizes))


def _canvas(pixels: Pixels) -> tuple[Image.Image, float]:
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    longest = max(image.size)
    scale = min(max(longest, _SIDES[0]), _SIDES[1]) / longest
    if scale == 1:
        return image, scale
    sides = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(sides, Image.Resampling.LANCZOS), scale


def _marked(
    entities: Iterable[Entity],
    colours: Mapping[str, str],
    scale: float,
    canvas: ImageSize,
) -> Iterator[_Marked]:
    seen = set()
    for entity in entities:
        for rank, region in enumerate(entity.regions or ()):
            key = (entity.text, entity.label, region.box)
            if key in seen:  # the same name twice in the sample, one place in it
                continue
            seen.add(key)
            colour = colours[entity.label]
            yield _Marked(entity, region, rank, colour, _frame(region, scale, canvas))


def _frame(region: Region, scale: float, canvas: ImageSize) -> Rectangle:
    """The box on the canvas, kept inside it and at least two pixels wide."""
    box, (width, height) = region.box, canvas
    left = min(max(0, round(box.x_min * scale)), width - 3)
    top = min(max(0, round(box.y_min * scale)), height - 3)
    right = min(max(left + 2, round(box.x_max * scale) - 1), width - 1)
    bottom = min(max(top + 2, round(box.y_max * scale) - 1), height - 1)
    return left, top, right, bottom


def _paint_mask(canvas: Image.Image, mask: Mask, colour: str, sizes: Sizes) -> None:
    inside = Image.fromarray(mask_to_array(mask).astype(np.uint8) * 255)
    inside = inside.resize(canvas.size, Image.Resampling.BILINEAR)
    inside = inside.point([255 * (level > 127) for level in range(256)])
    rim = ImageChops.subtract(inside, inside.filter(ImageFilter.MinFilter(sizes.line // 2 * 2 + 1)))
    canvas.paste(colour, (0, 0), inside.point([level * 3 // 10 for level in range(256)]))
    canvas.paste(colour, (0, 0), rim)


def _paint_box(pen: ImageDraw.ImageDraw, mark: _Marked, sizes: Sizes) -> None:
    """A coloured frame with a dark rim, visible on any ground; thinner after the first rank."""
    thickness = sizes.line if mark.rank == 0 else max(1, sizes.line // 2)
    left, top, right, bottom = mark.frame
    if mark.region.guess:
        _paint_dashes(pen, mark, thickness, dash=2 * sizes.gap)
        return
    pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=INK)
    pen.rectangle(mark.frame, outline=mark.colour, width=thickness)


def _paint_dashes(pen: ImageDraw.ImageDraw, mark: _Marked, thickness: int, dash: int) -> None:
    """The frame in dashes with gaps as long; each dash has its dark rim."""
    left, top, right, bottom = mark.frame
    inner = thickness - 1
    pieces = [
        piece
        for start in range(left, right + 1, 2 * dash)
        for end in [min(start + dash, right)]
        for piece in ((start, top, end, top + inner), (start, bottom - inner, end, bottom))
    ]
    pieces += [
        piece
        for start in range(top, bottom + 1, 2 * dash)
        for end in [min(start + dash, bottom)]
        for piece in ((left, start, left + inner, end), (right - inner, start, right, end))
    ]
    for x_min, y_min, x_max, y_max in pieces:
        pen.rectangle((x_min - 1, y_min - 1, x_max + 1, y_max + 1), fill=INK)
    for piece in pieces:
        pen.rectangle(piece, fill=mark.colour)


def _paint_chips(
    pen: ImageDraw.ImageDraw, marked: Sequence[_Marked], canvas: ImageSize, sizes: Sizes
) -> None:
    placed: list[Rectangle] = []
    # Small frames come first: a large one has more places for its chip.
    for mark in sorted(marked, key=lambda mark: (mark.rank > 0, _area(mark.frame))):
        name, note = _chip_text(mark, canvas.width * 0.5, sizes)
        size = _chip_size(name, note, sizes)
        place = _chip_place(mark.frame, size, canvas, placed, [each.frame for each in marked])
        placed.append(place)
        _paint_chip(pen, place, name, note, mark.colour, sizes)


def _chip_text(mark: _Marked, width: float, sizes: Sizes) -> tuple[str, str]:
    name = shorten(showable(mark.entity.text), font(sizes.text), width)
    note = entity_note(mark.entity) if mark.rank == 0 else f"({mark.rank + 1})"
    return name, f"{note} guess" if mark.region.guess else note


def _chip_size(name: str, note: str, sizes: Sizes) -> ImageSize:
    written = font(sizes.text).getlength(name) + font(sizes.small).getlength(note)
    return ImageSize(round(written) + 3 * sizes.gap, sizes.text + 2 * (sizes.gap // 2) + 2)


def _chip_place(
    frame: Rectangle,
    size: ImageSize,
    canvas: ImageSize,
    placed: Sequence[Rectangle],
    frames: Sequence[Rectangle],
) -> Rectangle:
    """Where the chip covers no other chip, and then the fewest pixels of small frames.

    Among equally good places the first is taken: above the frame, in its upper corners, below it,
    beside it, in its lower corners, then on a grid, the nearest first: near the frame where a
    quarter of the chip would else cover small frames, anywhere where it would cover another chip.
    """

    def cost(place: Rectangle) -> tuple[int, int]:
        hidden = sum(_overlap(place, other) for other in placed)
        small = (other for other in frames if _area(other) < canvas.width * canvas.height / 10)
        return hidden, sum(_overlap(place, other) for other in small)

    near = [_inside(corner, size, canvas) for corner in _corners(frame, size)]
    best = min(near, key=cost)
    covered = cost(best)
    if covered[0] == 0 and covered[1] <= size.width * size.height / 4:
        return best
    rows = range(0, max(1, canvas.height - size.height), size.height + 1)
    columns = range(0, max(1, canvas.width - size.width), max(1, size.width // 3))
    grid = [_inside(corner, size, canvas) for corner in product(columns, rows)]
    grid.sort(key=lambda place: _distance(place, frame))
    if covered[0] == 0:
        reach = 2 * size.height
        return min([best, *(one for one in grid if _distance(one, frame) <= reach)], key=cost)
    return min([best, *grid], key=lambda place: cost(place)[0])


def _corners(frame: Rectangle, size: ImageSize) -> list[tuple[int, int]]:
    left, top, right, bottom = frame
    width, height = size
    return [
        (left, top - height),
        (right - width + 1, top - height),
        (left, top),
        (right - width + 1, top),
        (left, bottom + 1),
        (right - width + 1, bottom + 1),
        (right + 1, (top + bottom - height) // 2),
        (left - width, (top + bottom - height) // 2),
        (left, bottom - height + 1),
        (right - width + 1, bottom - height + 1),
    ]


def _inside(corner: tuple[int, int], size: ImageSize, canvas: ImageSize) -> Rectangle:
    left = max(0, min(corner[0], canvas.width - size.width))
    top = max(0, min(corner[1], canvas.height - size.height))
    return left, top, left + size.width - 1, top + size.height - 1


def _area(frame: Rectangle) -> int:
    return (frame[2] - frame[0] + 1) * (frame[3] - frame[1] + 1)


def _distance(place: Rectangle, frame: Rectangle) -> int:
    """How far the gap between two rectangles is, in pixels along both axes."""
    across = max(place[0] - frame[2], frame[0] - place[2], 0)
    down = max(place[1] - frame[3], frame[1] - place[3], 0)
    return across + down


def _overlap(one: Rectangle, other: Rectangle) -> int:
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    return width * height if width > 0 and height > 0 else 0


def _paint_chip(
    pen: ImageDraw.ImageDraw, place: Rectangle, name: str, note: str, colour: str, sizes: Sizes
) -> None:
    ink = ink_on(colour)
    left, top, _, bottom = place
    middle = (top + bottom) / 2
    # The rim keeps chips of one colour apart where they touch.
    pen.rounded_rectangle(place, radius=sizes.gap, fill=colour, outline=PAPER)
    face = font(sizes.text)
    pen.text((left + sizes.gap, middle), name, fill=ink, font=face, anchor="lm")
    start = left + 2 * sizes.gap + face.getlength(name)
    pen.text((start, middle + 0.5), note, fill=ink, font=font(sizes.small), anchor="lm")


def _stacked(upper: Image.Image, lower: Image.Image) -> Image.Image:
    both = Image.new("RGB", (upper.width, upper.height + lower.height), PAPER)
    both.paste(upper, (0, 0))
    both.paste(lower, (0, upper.height))
    return both
