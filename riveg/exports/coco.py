"""COCO instances: every mask of every entity, its label as the category.

``bbox`` is the smallest box around the segmentation, as COCO has it: readers cut masks at it.
The box that the region was found with is ``region_box``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from riveg.exports.fine_labels import fine_label_of
from riveg.exports.images import (
    ImageWithEntities,
    LeftOut,
    MaskedRegion,
    digest,
    find_image,
    labels_of,
    masked_regions,
    place_image,
    samples_with_images,
)
from riveg.exports.json_pieces import compact_json, separated
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import write_atomically
from riveg.geometry.masks import mask_box
from riveg.geometry.polygons import flat, joined_ring, mask_to_polygons
from riveg.types import Box, Mask

FILE = "instances.json"
MaskForm = Literal["rle", "polygon"]


def export_coco(
    source: ExportSource,
    out: Path,
    /,
    *,
    mask: MaskForm = "rle",
    tolerance: float = 0.0,
    copy_images: bool = False,
) -> ExportReport:
    """Writes ``instances.json``.

    Args:
        source: The run.
        out: An empty folder.
        mask: Run lengths, or polygons (holes are kept by bridges of no area).
        tolerance: How far, in pixels, polygons may lie from the exact boundary.
        copy_images: Whether to copy the images into ``images/``.
    """
    writer = _Writer(source, out, mask, tolerance, copy_images)
    write_atomically(out / FILE, writer.pieces())
    files = (out / FILE, out / "images") if copy_images else (out / FILE,)
    return ExportReport(files, dict(writer.counts), dict(writer.left_out))


@dataclass(slots=True)
class _Writer:
    source: ExportSource
    out: Path
    mask: MaskForm
    tolerance: float
    copy_images: bool
    counts: Counter[str] = field(default_factory=Counter)
    left_out: LeftOut = field(default_factory=Counter)
    _image_ids: dict[int, int] = field(default_factory=dict)

    def pieces(self) -> Iterator[bytes]:
        """The document in pieces; the records are read three times rather than kept."""
        labels = labels_of(self.source)
        ids = {label: number for number, label in enumerate(labels, start=1)}
        categories = [{"id": number, "name": label} for label, number in ids.items()]
        self.counts.update({"images": 0, "masks": 0, "categories": len(ids)})
        yield b'{"info":' + compact_json(_info(self.source))
        yield b',"licenses":[],"categories":' + compact_json(categories) + b',"images":['
        yield from separated(self._images())
        yield b'],"annotations":['
        yield from separated(self._annotations(ids))
        yield b"]}\n"

    def _images(self) -> Iterator[bytes]:
        for image in samples_with_images(self.source, self.left_out):
            own = image.position + 1
            if self._image_ids.setdefault(digest(image.path), own) != own:
                continue  # two samples with the same image
            self.counts["images"] += 1
            if self.copy_images:
                self._copy(image.path)
            yield compact_json(
                {
                    "id": own,
                    "file_name": image.path,
                    "width": image.size.width,
                    "height": image.size.height,
                    "sample_id": image.sample.id,
                }
            )

    def _copy(self, path: str) -> None:
        original = find_image(path, self.source.image_roots)
        if original is None:
            self.left_out["picture that is not there any more"] += 1
        else:
            place_image(original, self.out / "images" / path, copy=True)

    def _annotations(self, categories: dict[str, int]) -> Iterator[bytes]:
        for image in samples_with_images(self.source, Counter()):
            for masked in masked_regions(image, self.left_out):
                self.counts["masks"] += 1
                segmentation, box = self._segmentation(masked.mask)
                values = {
                    "id": self.counts["masks"],
                    "image_id": self._image_ids[digest(image.path)],
                    "category_id": categories[masked.placed.entity.label],
                    "segmentation": segmentation,
                    "bbox": _corner_and_sides(box),
                    **_details(image, masked),
                }
                yield compact_json(values)

    def _segmentation(self, mask: Mask) -> tuple[object, Box]:
        """The mask in COCO's form, and the smallest box around it."""
        if self.mask == "rle":
            return {"size": [mask.height, mask.width], "counts": mask.counts}, mask_box(mask)
        rings = [
            joined_ring([part.exterior, *part.holes])
            for part in mask_to_polygons(mask, self.tolerance)
        ]
        xs, ys = zip(*(point for ring in rings for point in ring), strict=True)
        return [flat(ring) for ring in rings], Box(min(xs), min(ys), max(xs), max(ys))


def _details(image: ImageWithEntities, masked: MaskedRegion) -> dict[str, object]:
    entity, region = masked.placed.entity, masked.placed.region
    return {
        "area": masked.area,
        "iscrowd": 0,
        "score": region.score,
        "region_box": _corner_and_sides(region.box),
        "sample_id": image.sample.id,
        "entity_id": entity.id,
        "entity": entity.text,
        **fine_label_of(entity),
        "rank": masked.placed.rank,
    }


def _corner_and_sides(box: Box) -> list[float]:
    return [box.x_min, box.y_min, box.width, box.height]


def _info(source: ExportSource) -> dict[str, Any]:
    keys = ("system", "data", "data_version", "split")
    return {
        "description": "Entities predicted by riveg; boxes and masks in upright pictures",
        **{key: source.manifest.get(key) for key in keys},
    }
