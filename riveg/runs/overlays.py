"""A run's answers drawn over its images."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL.Image import Image

from riveg.errors import ImageFault, UserError
from riveg.files import (
    make_folder,
    numbered_name,
    open_regular,
    write_atomically,
    writing,
)
from riveg.formats.run_records import finished_manifest
from riveg.images.fonts import Fonts
from riveg.images.overlay import draw_overlay
from riveg.images.palette import is_usual, type_colours
from riveg.runs.folder import RunFolder
from riveg.runs.reading import images_of, no_such_sample, read_records
from riveg.types import Sample

OVERLAYS = "overlays"
"""Folder of a run with the images that its answers are drawn over."""


def write_overlays(folder: Path, most: int, fonts: Fonts | None = None) -> int:
    """Draws at most so many answered images into ``overlays/``; how many were drawn.

    ``fonts`` tells afterwards what it could not show; ``None`` for those of this machine.
    """
    fonts = Fonts() if fonts is None else fonts
    images = images_of(finished_manifest(folder))
    RunFolder(folder).refuse_links()
    target = folder / OVERLAYS
    make_folder(target)
    for old in target.glob("[0-9][0-9][0-9][0-9][0-9]-*.png"):
        with writing(old):
            old.unlink()
    colours: dict[str, str] | None = None
    drawn = 0
    for number, sample in enumerate(read_records(folder)):
        if drawn == most:
            break
        if sample.image is None:
            continue
        try:
            pixels = images.load(sample.image)
        except ImageFault:
            continue  # failed.jsonl has said why
        if colours is None and _has_unusual_labels(sample):
            colours = _colours_of(folder)
        overlay = draw_overlay(pixels, sample, colours, fonts)
        path = target / numbered_name(number, sample.id, ".png")
        write_atomically(path, [_png(overlay)], goes_on=True)
        drawn += 1
    return drawn


def write_overlay(
    folder: Path, sample_id: str, path: Path, fonts: Fonts | None = None, *, heat: bool = False
) -> None:
    """Draws one answered image, as ``overlays/`` and the report do, into a PNG file.

    Args:
        folder: A finished run.
        sample_id: Which of its samples.
        path: The file.
        fonts: What texts are drawn with; ``None`` for those of this machine.
        heat: Whether heat maps are painted, too.

    Raises:
        UserError: If the run holds no such sample, it has no image or one that cannot be read, or
            ``path`` is not to be written: its name is not a PNG file's, or it is something else.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: the picture is written as PNG; give a name that ends in .png")
    if path.exists() and not _is_png(path):
        raise UserError(f"{path}: is there and is no PNG file; choose another name")
    write_atomically(path, [_png(draw_sample(folder, sample_id, fonts, heat=heat))])


def draw_sample(
    folder: Path, sample_id: str, fonts: Fonts | None = None, *, heat: bool = False
) -> Image:
    """One sample's image with what the run answered, RGB, in the colours of the whole run.

    Raises:
        UserError: If the run holds no such sample, or it has no image or one that cannot be read,
            or heat maps are wanted and it has none.
    """
    sample = next((each for each in read_records(folder) if each.id == sample_id), None)
    if sample is None:
        raise no_such_sample(folder, sample_id)
    if sample.image is None:
        raise UserError(f"{folder}: sample {sample_id!r} has no picture to draw on")
    if heat and not any(
        region.heat for entity in sample.entities or () for region in entity.regions or ()
    ):
        raise UserError(
            f"{folder}: sample {sample_id!r} has no heat map: `ground: itm-gradcam` makes them, "
            "and keeps them with --set ground.heat=true"
        )
    try:
        pixels = images_of(finished_manifest(folder)).load(sample.image)
    except ImageFault as error:
        raise UserError(
            f"{folder}: the picture of sample {sample_id!r} cannot be used: {error}"
        ) from error
    colours = _colours_of(folder) if _has_unusual_labels(sample) else None
    return draw_overlay(pixels, sample, colours, fonts, heat=heat)


def _has_unusual_labels(sample: Sample) -> bool:
    return not all(is_usual(entity.label) for entity in sample.entities or ())


def _colours_of(folder: Path) -> dict[str, str]:
    """The colour of every label of the run: all records are read."""
    return type_colours(
        entity.label for sample in read_records(folder) for entity in sample.entities or ()
    )


def _png(image: Image) -> bytes:
    content = BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _is_png(path: Path) -> bool:
    try:
        with open_regular(path) as handle:
            return handle.read(8) == b"\x89PNG\r\n\x1a\n"
    except OSError:
        return False
