"""What the formats of images share: the samples, regions and masks to write, and image files."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from riveg.errors import ImageFault
from riveg.exports.guesses import must_leave_out
from riveg.exports.source import ExportSource
from riveg.files import make_folder, writing
from riveg.geometry.boxes import clip_box
from riveg.geometry.masks import mask_area
from riveg.images.loader import ImageLoader
from riveg.images.paths import leads_out
from riveg.labels import USUAL_LABELS
from riveg.types import Box, Entity, ImageRef, ImageSize, Mask, Region, Sample

_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)([. ]|$)", re.IGNORECASE)

LeftOut = Counter[str]
"""Reasons, counted."""


@dataclass(frozen=True, slots=True)
class ImageWithEntities:
    """An answered sample with the size of its upright image.

    ``position`` counts the run's samples from 0, ``path`` starts at an image folder.
    """

    position: int
    sample: Sample
    path: str
    size: ImageSize


@dataclass(frozen=True, slots=True)
class PlacedRegion:
    """A region of an entity.

    ``number`` counts the sample's entities from 0, ``rank`` the entity's regions, best first.
    """

    number: int
    entity: Entity
    region: Region
    rank: int


@dataclass(frozen=True, slots=True)
class MaskedRegion:
    """A region's pixels: a mask of the image's size with ``area`` pixels, at least one."""

    placed: PlacedRegion
    mask: Mask
    area: int


def samples_with_images(source: ExportSource, left_out: LeftOut) -> Iterator[ImageWithEntities]:
    """The answered samples with an image, in input order; why others are left out is counted."""
    loader = ImageLoader(source.image_roots, cache_bytes=0)
    for position, sample in enumerate(source.records()):
        if sample.entities is None:
            left_out["post not answered"] += 1
        elif sample.image is None:
            left_out["post without a picture"] += 1
        elif not is_confined(sample.image.path):
            left_out["post whose picture's path leads out of the picture folder"] += 1
        elif (size := measured_size(sample.image, loader)) is None:
            left_out["post whose picture's size is not known"] += 1
        else:
            yield ImageWithEntities(position, sample, sample.image.path, size)


def placed_regions(sample: Sample, left_out: LeftOut) -> Iterator[PlacedRegion]:
    """Every region of every entity; entities without one are counted."""
    for number, entity in enumerate(sample.entities or ()):
        if entity.regions is None:
            left_out["entity not looked for in the picture"] += 1
        elif not entity.regions:
            left_out["entity that the picture does not show"] += 1
        for rank, region in enumerate(entity.regions or ()):
            yield PlacedRegion(number, entity, region, rank)


def masked_regions(image: ImageWithEntities, left_out: LeftOut) -> Iterator[MaskedRegion]:
    """Every region with pixels that is no guess; the others are counted."""
    for placed in placed_regions(image.sample, left_out):
        if must_leave_out(placed.region, left_out):
            continue
        mask = placed.region.mask
        if mask is None:
            left_out["region without a mask"] += 1
            continue
        if (mask.width, mask.height) != image.size:
            left_out["mask of another size than its picture"] += 1
            continue
        try:
            area = mask_area(mask)
        except ValueError:
            left_out["damaged mask"] += 1
            continue
        if area:
            yield MaskedRegion(placed, mask, area)
        else:
            left_out["mask with no pixel"] += 1


def confined_box(box: Box, size: ImageSize, left_out: LeftOut) -> Box | None:
    """The part of a box in its image; ``None`` where it has none. What is cut off is counted."""
    inside = clip_box(box, size)
    if inside is None:
        left_out["box outside its picture"] += 1
    elif min(box.x_min, box.y_min) < 0 or box.x_max > size.width or box.y_max > size.height:
        left_out["part of a box beyond its picture"] += 1
    return inside


def is_confined(path: str) -> bool:
    r"""Whether a path stays below the folder that it starts from, on any system.

    >>> is_confined("a/b.jpg"), is_confined("../b.jpg"), is_confined("C:\\b.jpg")
    (True, False, False)
    """
    return bool(path) and "\0" not in path and not leads_out(path)


def labels_of(source: ExportSource) -> tuple[str, ...]:
    """The classes of a run: :func:`in_order` of all its labels; one pass over the records."""
    return in_order(
        {entity.label for sample in source.records() for entity in sample.entities or ()}, source
    )


def in_order(labels: Iterable[str], source: ExportSource) -> tuple[str, ...]:
    """The labels that the run declares, in its order, whether they occur or not; then others.

    So every export of the same system numbers classes alike, for each split of a dataset.

    Args:
        labels: Those that occur; which of them are not declared follow in sorted order.
        source: The run; one of an earlier version declares the usual labels.
    """
    usual = [label.name for label in USUAL_LABELS]
    declared = dict.fromkeys(map(str, source.manifest.get("labels", usual)))
    return (*declared, *sorted({*labels} - declared.keys()))


def measured_size(image: ImageRef, loader: ImageLoader) -> ImageSize | None:
    """The size of the upright image, from its file where the record does not have it.

    ``None`` where the file cannot be read.
    """
    if image.width is None or image.height is None:
        try:
            image = loader.probe(image)
        except ImageFault:
            return None
    return ImageSize(image.width, image.height) if image.width and image.height else None


def digest(text: str) -> int:
    """64 bits of a text, to tell many texts apart in little memory."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


@dataclass(slots=True)
class ImageFolder:
    """A flat folder of images, links to the originals or copies.

    Keeps some hundred bytes of each image in memory, to give every image its own name.

    Args:
        folder: Made if it is not there.
        roots: Folders that image paths start from, looked up in order.
        copy: Whether to copy instead of linking; a link breaks when either file moves.
    """

    folder: Path
    roots: tuple[Path, ...]
    copy: bool = False
    _owners: dict[str, int] = field(default_factory=dict)

    def name(self, path: str) -> str:
        """A file name whose stem no other image has.

        A plain name keeps its stem; folders become part of the stem; a stem that another image
        has, on whatever system, gets a digest.
        """
        suffix = PurePosixPath(path).suffix if is_plain(PurePosixPath(path).suffix[1:]) else ""
        stem = path.removesuffix(suffix)
        if not is_plain(stem):
            stem = "-".join(re.findall(r"\w+", stem)).encode()[:80].decode(errors="ignore")
        if _is_device(stem):
            stem = f"image-{stem}"
        own = digest(path)
        if not stem or self._owners.setdefault(_alike(stem), own) != own:
            stem = f"{stem}-{own:016x}"
        return stem + suffix

    def place(self, path: str) -> bool:
        """Puts the image into the folder; false where it is not found."""
        original = find_image(path, self.roots)
        if original is None:
            return False
        place_image(original, self.folder / self.name(path), copy=self.copy)
        return True


def is_plain(name: str) -> bool:
    """Whether a text is fit for a file name as it is, on any system."""
    return (
        len(name.encode()) <= 200 and re.fullmatch(r"\w[\w .()+=@~-]*(?<![ .])", name) is not None
    )


def _is_device(stem: str) -> bool:
    """Whether Windows takes a file of this name for a device, whatever its ending."""
    return _DEVICE.match(stem) is not None


def _alike(stem: str) -> str:
    """What file systems may take for the same name: another case, or accents written apart."""
    return unicodedata.normalize("NFC", stem).casefold()


def place_image(original: Path, target: Path, *, copy: bool) -> None:
    """Links or copies an image; one that is there already stays."""
    make_folder(target.parent)
    if target.exists():
        return
    with writing(target):
        if copy:
            shutil.copyfile(original, target)
        else:
            target.symlink_to(original)


def find_image(path: str, roots: tuple[Path, ...]) -> Path | None:
    """The regular file below the first root that has it, links resolved; ``None``: nowhere."""
    if not is_confined(path):
        return None
    try:
        return ImageLoader(roots, cache_bytes=0).locate(path)
    except ImageFault:
        return None
