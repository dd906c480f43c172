"""Images of awkward shapes, each unlike the others, and samples about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.factories import make_sample
from riveg.config.backend import BuildContext
from riveg.images.headers import ImageLimits
from riveg.images.loader import ImageLoader
from riveg.types import ImageRef, Sample

SIDES = {
    "odd.png": (97, 61),
    "square.png": (64, 64),
    "three-rows.png": (90, 3),
    "one-column.png": (1, 70),
    "wide.png": (300, 5),
    "turned.jpg": (48, 80),
}
"""Width and height of the pixels as stored."""

_TURN = 6
"""EXIF orientation: a quarter turn."""


def save_odd_images(folder: Path) -> Path:
    """Writes them; ``turned.jpg`` stands upright only after its EXIF orientation is heeded."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for name, (width, height) in SIDES.items():
        patches = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        pixels = Image.fromarray(patches).resize((width, height), Image.Resampling.BILINEAR)
        exif = Image.Exif()
        if name == "turned.jpg":
            exif[0x0112] = _TURN
        pixels.save(folder / name, exif=exif)
    return folder


def open_upright(folder: Path, name: str) -> Image.Image:
    """An image as a user of the library would hand it to a processor."""
    with Image.open(folder / name) as stored:
        image = stored.convert("RGB")
    return image.transpose(Image.Transpose.ROTATE_270) if name == "turned.jpg" else image


def image_context(image_folder: Path, base: Path) -> BuildContext:
    """A context that opens images down to one pixel."""
    images = ImageLoader([image_folder], limits=ImageLimits(min_side=1))
    return BuildContext(images=images, base=base)


def samples_about(*names: str) -> list[Sample]:
    """A sample about each image with a person, a team and an expression of many words."""
    return [
        replace(_sample(str(number)), image=ImageRef(name)) for number, name in enumerate(names)
    ]


def _sample(id: str) -> Sample:
    sample = make_sample("Eileen Collins leads Red Team", [(0, 2, "PER"), (3, 5, "ORG")], id=id)
    person, team = sample.entities or ()
    return replace(
        sample, entities=(replace(person, expression="the woman in a red shirt, left"), team)
    )
