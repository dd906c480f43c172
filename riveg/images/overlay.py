"""One image that shows the whole answer: boxes, masks and labels, and the sample below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from riveg.errors import UserError
from riveg.geometry.arrays import Bitmap, Pixels
from riveg.images.chips import Rectangle, area, chip_place
from riveg.images.fonts import PAPER, Fonts, Sizes
from riveg.images.heat import paint_heat
from riveg.images.lettering import Lettering
from riveg.images.palette import INK, ink_on, type_colours
from riveg.images.text_strip import draw_strip, entity_note
from riveg.types import Entity, ImageSize, Region, Sample

_SIDES = (640, 1600)
"""The overlay's longer side lies between these, so that labels are legible."""


@dataclass(frozen=True, slots=True)
class _Marked:
    """A region on the canvas, with its entity and its rank among the entity's regions."""

    entity: Entity
    region: Region
    rank: int
    colour: str
    frame: Rectangle


@dataclass(frozen=True, slots=True)
class _Chip:
    """The label of a region: the entity's name, and a note."""

    mark: _Marked
    place: Rectangle
    name: str
    note: str


_NAME_SHARES = (0.5, 0.25, 0.1)
"""Shares of the image's width that a name may take, as there is room."""


def draw_overlay(
    pixels: Pixels,
    sample: Sample,
    colours: Mapping[str, str] | None = None,
    fonts: Fonts | None = None,
    *,
    heat: bool = False,
) -> Image.Image:
    """The image with every region of the sample's entities, and a strip with the sample below.

    A region and the entity's words in the strip have the colour of the entity's type. The number
    beside an entity is the probability that the image shows it, where a stage has said it. A guess,
    which nothing in the image supports, is dashed and says so. An entity whose letters no font has
    is shown by its id.

    Args:
        pixels: The upright image; it is not changed.
        sample: A sample whose boxes and masks are in that image's pixels.
        colours: The colour of each label; ``None`` for ``type_colours`` of this sample's labels,
            which are the same in every sample only for the usual labels.
        fonts: What texts are drawn with; ``None`` for the fonts of this machine.
        heat: Whether the heat maps that regions were found by are painted beneath them.

    Returns:
        An RGB image; small images are enlarged and large ones reduced, so that labels are legible.

    Raises:
        UserError: If the run lengths of a mask, or the values of a heat map, are damaged.
    """
    canvas, scale = _canvas(pixels)
    sizes = Sizes.of_image(max(canvas.size))
    entities = sample.entities or ()
    fonts = Fonts() if fonts is None else fonts
    if colours is None:
        colours = type_colours(entity.label for entity in entities)
    size = ImageSize(*canvas.size)
    marked = list(_marked(entities, colours, scale, size))
    marked.sort(key=lambda mark: -area(mark.frame))
    for mark in marked if heat else ():
        if mark.region.heat is not None:
            with _naming(sample, mark, "heat map"):
                paint_heat(canvas, mark.region.heat, mark.colour, sizes.line * 2)
    for mark in marked:
        if mark.region.mask is not None:
            with _naming(sample, mark, "mask"):
                inside = mark.region.mask.to_numpy()
            _paint_mask(canvas, inside, mark.colour, sizes)
    pen = ImageDraw.Draw(canvas)
    for mark in marked:
        _paint_box(pen, mark, sizes)
    chips = list(_chips(marked, size, sizes, fonts))
    for chip in chips:
        _paint_chip(pen, chip, sizes, fonts)
    named = {chip.mark.entity.id for chip in chips}
    unnamed = [one for one in entities if one.regions and one.id not in named]
    return _stacked(canvas, draw_strip(sample, colours, canvas.width, sizes, fonts, unnamed))


@contextmanager
def _naming(sample: Sample, mark: _Marked, what: str) -> Iterator[None]:
    """Says whose mask or heat map it is that is damaged."""
    try:
        yield
    except ValueError as error:
        raise UserError(
            f"sample {sample.id!r:.80}: the {what} of {mark.entity.text!r:.80} is damaged: {error}"
        ) from error


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


def _paint_mask(canvas: Image.Image, mask: Bitmap, colour: str, sizes: Sizes) -> None:
    inside = Image.fromarray(mask.astype(np.uint8) * 255)
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


def _chips(
    marked: Sequence[_Marked], canvas: ImageSize, sizes: Sizes, fonts: Fonts
) -> Iterator[_Chip]:
    """Labels in their places: shortened where there is no room, left out where there is none."""
    placed: list[Rectangle] = []
    frames = [mark.frame for mark in marked]
    # Small frames come first: a large one has more places for its chip.
    for mark in sorted(marked, key=lambda mark: (mark.rank > 0, area(mark.frame))):
        for share in _NAME_SHARES:
            name, note = _chip_text(mark, canvas.width * share, sizes, fonts)
            size = _chip_size(name, note, sizes, fonts)
            place = chip_place(mark.frame, size, canvas, placed, frames)
            if place is not None:
                placed.append(place)
                yield _Chip(mark, place, name, note)
                break


def _chip_text(mark: _Marked, width: float, sizes: Sizes, fonts: Fonts) -> tuple[str, str]:
    shown = fonts.showable(mark.entity.text) or mark.entity.id
    name = Lettering(fonts, sizes.text).shorten(shown, width)
    note = entity_note(mark.entity, fonts) if mark.rank == 0 else f"({mark.rank + 1})"
    note = f"{note} guess" if mark.region.guess else note
    return name, Lettering(fonts, sizes.small).shorten(note, width)


def _chip_size(name: str, note: str, sizes: Sizes, fonts: Fonts) -> ImageSize:
    written = Lettering(fonts, sizes.text).length(name) + Lettering(fonts, sizes.small).length(note)
    return ImageSize(round(written) + 3 * sizes.gap, sizes.text + 2 * (sizes.gap // 2) + 2)


def _paint_chip(pen: ImageDraw.ImageDraw, chip: _Chip, sizes: Sizes, fonts: Fonts) -> None:
    ink = ink_on(chip.mark.colour)
    left, top, _, bottom = chip.place
    middle = (top + bottom) / 2
    # The rim keeps chips of one colour apart where they touch.
    pen.rounded_rectangle(chip.place, radius=sizes.gap, fill=chip.mark.colour, outline=PAPER)
    face = Lettering(fonts, sizes.text)
    face.draw(pen, (left + sizes.gap, middle), chip.name, ink)
    start = left + 2 * sizes.gap + face.length(chip.name)
    Lettering(fonts, sizes.small).draw(pen, (start, middle + 0.5), chip.note, ink)


def _stacked(upper: Image.Image, lower: Image.Image) -> Image.Image:
    both = Image.new("RGB", (upper.width, upper.height + lower.height), PAPER)
    both.paste(upper, (0, 0))
    both.paste(lower, (0, upper.height))
    return both
