"""Indexed masks: a palette PNG an image, and a legend that gives the entity of each index."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from riveg.exports.fine_labels import fine_label_of
from riveg.exports.images import ImageWithEntities, LeftOut, masked_regions, samples_with_images
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import make_folder, numbered_name, write_atomically, writing
from riveg.geometry.arrays import Bitmap
from riveg.images.palette import PALETTE
from riveg.types import MOST_MASKED, Entity, Mask

LEGEND = "legend.json"
MASKS = "masks"
ENTITIES = "entities"
_MOST = 255
"""Indices of an eight-bit palette beside the background."""


def export_png(source: ExportSource, out: Path, /, *, per_entity: bool = False) -> ExportReport:
    """Writes ``masks/`` and ``legend.json``.

    Args:
        source: The run.
        out: An empty folder.
        per_entity: Whether each entity gets a two-colour PNG of its own in ``entities/`` as well.
    """
    writer = _Writer(source, out, per_entity)
    for folder in writer.folders:
        make_folder(folder)
    write_atomically(out / LEGEND, writer.pieces())
    files = (out / LEGEND, *writer.folders)
    return ExportReport(files, dict(writer.counts), dict(writer.left_out))


@dataclass(slots=True)
class _Layer:
    """The masks of an entity's regions; an image may have 255, so no bitmap is kept."""

    entity: Entity
    masks: list[Mask]
    area: int = 0
    """Pixels of all masks together."""

    def pixels(self) -> Bitmap:
        """What the masks cover. *Shape:* ``(height, width)``."""
        first, *others = self.masks
        pixels = first.to_numpy()
        for mask in others:
            pixels |= mask.to_numpy()
        return pixels


@dataclass(slots=True)
class _Writer:
    source: ExportSource
    out: Path
    per_entity: bool
    counts: Counter[str] = field(default_factory=lambda: Counter({"images": 0, "entities": 0}))
    left_out: LeftOut = field(default_factory=Counter)

    @property
    def folders(self) -> tuple[Path, ...]:
        names = (MASKS, ENTITIES) if self.per_entity else (MASKS,)
        return tuple(self.out / name for name in names)

    def pieces(self) -> Iterator[bytes]:
        """The legend; each image is written before its part of the legend."""
        yield b'{"background":0,"pictures":['
        for number, image in enumerate(self._images()):
            line = json.dumps(self._image(image), ensure_ascii=False, separators=(",", ":"))
            yield (b",\n" if number else b"\n") + line.encode()
        yield b"]}\n"

    def _images(self) -> Iterator[ImageWithEntities]:
        """Those that can be drawn: a record may claim sides that fit no memory."""
        for image in samples_with_images(self.source, self.left_out):
            if image.size.width * image.size.height > MOST_MASKED:
                self.left_out[f"post whose picture has more than {MOST_MASKED} pixels"] += 1
            else:
                yield image

    def _image(self, image: ImageWithEntities) -> dict[str, Any]:
        layers = self._layers(image)
        indices = np.zeros((image.size.height, image.size.width), dtype=np.uint8)
        order = sorted(range(len(layers)), key=lambda index: -layers[index].area)
        for index in order:  # the smaller ones on top
            indices[layers[index].pixels()] = index + 1
        name = numbered_name(image.position, image.sample.id, ".png")
        drawn = Image.fromarray(indices)
        visible = drawn.histogram()
        drawn.putpalette(_palette())
        _save(drawn, self.out / MASKS / name)
        self.counts["images"] += 1
        self.counts["entities"] += len(layers)
        return {
            "file": f"{MASKS}/{name}",
            "sample_id": image.sample.id,
            "image": image.path,
            "width": image.size.width,
            "height": image.size.height,
            "entities": [
                self._entry(name, index, layer, visible[index])
                for index, layer in enumerate(layers, start=1)
            ],
        }

    def _layers(self, image: ImageWithEntities) -> list[_Layer]:
        """Entities with pixels, in the record's order."""
        found: dict[int, _Layer] = {}
        for masked in masked_regions(image, self.left_out):
            number = masked.placed.number
            if number not in found and len(found) == _MOST:
                self.left_out[f"region of an entity after the {_MOST}th of its picture"] += 1
                continue
            layer = found.setdefault(number, _Layer(masked.placed.entity, []))
            layer.masks.append(masked.mask)
            layer.area = masked.area
        for layer in found.values():
            if len(layer.masks) > 1:
                layer.area = int(np.count_nonzero(layer.pixels()))
        return [*found.values()]

    def _entry(self, name: str, index: int, layer: _Layer, visible: int) -> dict[str, Any]:
        entity = layer.entity
        entry: dict[str, Any] = {
            "index": index,
            "entity_id": entity.id,
            "entity": entity.text,
            "label": entity.label,
            **fine_label_of(entity),
            "span": [entity.span.start, entity.span.end],
            "score": entity.score,
            "pixels": layer.area,
            "visible_pixels": visible,
            "colour": "#{:02x}{:02x}{:02x}".format(*_colour(index)),
        }
        if self.per_entity:
            file = f"{ENTITIES}/{name.removesuffix('.png')}-{index:03d}.png"
            _save(Image.fromarray(layer.pixels()), self.out / file)
            entry["file"] = file
        return entry


def _save(image: Image.Image, path: Path) -> None:
    content = BytesIO()
    image.save(content, "PNG")
    with writing(path):
        path.write_bytes(content.getvalue())


def _colour(index: int) -> tuple[int, int, int]:
    """Black for the background, then the overlay's colours, each round of them darker."""
    if index == 0:
        return 0, 0, 0
    turn, place = divmod(index - 1, len(PALETTE))
    shade = 1 - 0.6 * turn / (_MOST // len(PALETTE))
    code = PALETTE[place]
    red, green, blue = (round(int(code[at : at + 2], 16) * shade) for at in (1, 3, 5))
    return red, green, blue


def _palette() -> bytes:
    return bytes(part for index in range(_MOST + 1) for part in _colour(index))
