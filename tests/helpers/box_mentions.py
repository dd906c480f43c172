"""Images of awkward sizes, and mentions with boxes in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.answers import whole
from riveg.images.headers import ImageLimits
from riveg.images.loader import ImageLoader
from riveg.protocols import AnswerOrIssue, Mention, Segmenter
from riveg.types import Box, Entity, ImageRef, Issue, Mask, Region, Sample, Span
from riveg.vision.segmenters.prompted import PromptedSegmenter

SIZES = (
    (91, 37),  # odd sides, wider than high
    (33, 130),  # higher than wide, larger than what a tiny network sees
    (64, 64),  # just what a tiny network sees
    (1, 40),  # one pixel wide
    (57, 1),  # one pixel high
    (50, 3),  # three rows: not three colours
    (9, 5),  # smaller than a patch
    (300, 4),  # long and thin
)
"""``(width, height)`` of the images that :func:`save_images` makes, named ``{w}x{h}.png``."""


def save_images(folder: Path) -> ImageLoader:
    """One smooth image of each size, one that lies on its side, one that is broken."""
    for number, (width, height) in enumerate(SIZES):
        image(width, height, number).save(folder / f"{width}x{height}.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image(50, 80, 99).save(folder / "turned.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return ImageLoader([folder], limits=ImageLimits(min_side=1))


def image(width: int, height: int, seed: int) -> Image.Image:
    """Blobs of colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def boxes_in(width: int, height: int) -> tuple[Box, ...]:
    """All of the image, its left upper part, a piece between pixels."""
    return (
        Box(0, 0, width, height),
        Box(0, 0, width * 0.6, height * 0.5),
        Box(width * 0.31, height * 0.27, width * 0.93, height * 0.88),
    )


def box_mention(name: str, *boxes: Box, entity: str = "e0", sample: str | None = None) -> Mention:
    """An entity with one region for each box."""
    found = Entity(entity, "x", "PER", Span(0, 1), regions=tuple(Region(box, 0.5) for box in boxes))
    return Mention(Sample(sample or name, "", (), (), ImageRef(name), entities=(found,)), found)


def mixed_mentions() -> list[Mention]:
    """Mentions of every image, some of one image, an image that is broken, none of regions."""
    mentions = [box_mention(f"{w}x{h}.png", *boxes_in(w, h)) for w, h in SIZES]
    turned = boxes_in(80, 50)
    return [
        *mentions,
        box_mention("turned.jpg", turned[0]),
        box_mention("turned.jpg", turned[2], turned[1], entity="e1"),
        box_mention("broken.jpg", Box(0, 0, 9, 9)),
        box_mention("gone.jpg"),
        box_mention("91x37.png", Box(5, 5, 60, 30), sample="another post"),
    ]


def assert_alike(
    some: Sequence[AnswerOrIssue[tuple[Mask, ...]]],
    others: Sequence[AnswerOrIssue[tuple[Mask, ...]]],
) -> None:
    """The same answers, but for two pixels a mask: on its edge, rounding decides."""
    for one, other in zip(some, others, strict=True):
        if isinstance(one, Issue) or isinstance(other, Issue):
            assert one == other
            continue
        for mask, same in zip(whole(one), whole(other), strict=True):
            assert mask.source == same.source
            assert (mask.to_numpy() != same.to_numpy()).sum() <= 2


def masks_of(segmenter: Segmenter, name: str, *boxes: Box) -> tuple[Mask, ...]:
    """The masks of one image's boxes."""
    (answer,) = segmenter.segment([box_mention(name, *boxes)])
    return whole(answer)


def network_of(segmenter: PromptedSegmenter) -> Any:
    """riveg's wrap of a network; ``Any``: the library has no types for what is within it."""
    return segmenter._network


def assert_same(found: Sequence[Mask], expected: Sequence[Mask], source: str) -> None:
    """Masks are equal to the pixel; of another source only where no pixel is expected."""
    for mask, wanted in zip(found, expected, strict=True):
        assert (mask.height, mask.width) == (wanted.height, wanted.width)
        if mask.source == source:
            assert (mask.to_numpy() == wanted.to_numpy()).all()
        else:
            assert not wanted.to_numpy().any()
