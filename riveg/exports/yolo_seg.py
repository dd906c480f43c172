"""YOLO segmentation labels: a text file per image, a line per outline, and ``data.yaml``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import yaml

from riveg.exports.images import (
    ImageFolder,
    ImageWithEntities,
    LeftOut,
    MaskedRegion,
    labels_of,
    masked_regions,
    samples_with_images,
)
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import make_folder, write_atomically, writing
from riveg.geometry.polygons import joined_ring, mask_to_polygons

_FINE = "fine type of a mask (classes are types)"
_NO_NEGATIVE = "picture with places of which none could be written (no file: it is no negative)"


def export_yolo_seg(
    source: ExportSource,
    out: Path,
    /,
    *,
    tolerance: float = 0.0,
    copy_images: bool = False,
) -> ExportReport:
    """Writes ``data.yaml``, ``labels/`` and ``images/``.

    Args:
        source: The run.
        out: An empty folder.
        tolerance: How far, in pixels, outlines may lie from the exact boundary.
        copy_images: Whether ``images/`` gets copies and not links.
    """
    labels = labels_of(source)
    indices = {label: number for number, label in enumerate(labels)}
    images = ImageFolder(out / "images", source.image_roots, copy_images)
    counts, left_out = Counter({"images": 0, "outlines": 0, "classes": len(labels)}), LeftOut()
    for folder in ("images", "labels"):
        make_folder(out / folder)
    no_negatives: dict[Path, Path] = {}
    for image in samples_with_images(source, left_out):
        name = images.name(image.path)
        path = out / "labels" / f"{Path(name).stem}.txt"
        counts["images"] += not path.exists()
        if _may_show_something(image):
            no_negatives[path] = images.folder / name
        lines = []
        for masked in masked_regions(image, left_out):
            entity = masked.placed.entity
            if entity.fine_label is not None:
                left_out[_FINE] += 1
            lines.append(_line(indices[entity.label], masked, image, tolerance))
        counts["outlines"] += len(lines)
        with writing(path), path.open("a", encoding="ascii") as handle:
            handle.writelines(lines)  # another sample may have the same image
        if not images.place(image.path):
            left_out["picture that is not there any more"] += 1
    removed = _remove_empty(no_negatives)
    counts["images"] -= removed
    if removed:
        left_out[_NO_NEGATIVE] += removed
    _write_data(out / "data.yaml", labels)
    files = tuple(out / name for name in ("data.yaml", "labels", "images"))
    return ExportReport(files, dict(counts), dict(left_out))


def _may_show_something(image: ImageWithEntities) -> bool:
    """Whether an entity has a place, of whatever kind, or nobody has looked for it."""
    return any(entity.regions != () for entity in image.sample.entities or ())


def _remove_empty(images: Mapping[Path, Path]) -> int:
    """Removes empty label files with their images, for an empty file is a negative to trainers.

    Args:
        images: The image of each label file.

    Returns:
        How many there were.
    """
    empty = [path for path in images if not path.stat().st_size]
    for path in empty:
        path.unlink()
        images[path].unlink(missing_ok=True)
    return len(empty)


def _line(index: int, masked: MaskedRegion, image: ImageWithEntities, tolerance: float) -> str:
    polygons = mask_to_polygons(masked.mask, tolerance)
    ring = joined_ring([ring for part in polygons for ring in (part.exterior, *part.holes)])
    edges = (f"{x / image.size.width:.6f} {y / image.size.height:.6f}" for x, y in ring)
    return f"{index} {' '.join(edges)}\n"


def _write_data(path: Path, labels: tuple[str, ...]) -> None:
    # Loaders insist on train and val; there is one set of images, so both are that.
    values = {"train": "images", "val": "images", "nc": len(labels), "names": [*labels]}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    write_atomically(path, [text.encode()])
