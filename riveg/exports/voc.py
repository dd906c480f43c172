"""PASCAL VOC files as Twitter-GMNER has them: an object's name is the entity's text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from riveg.exports.guesses import must_mark
from riveg.exports.images import (
    ImageFolder,
    ImageWithEntities,
    LeftOut,
    PlacedRegion,
    confined_box,
    placed_regions,
    samples_with_images,
)
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import make_folder, writing
from riveg.types import Box

_END = "</annotation>\n"
_GUESS = "    <guess>1</guess>\n"
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def export_voc(source: ExportSource, out: Path, /, *, copy_images: bool = False) -> ExportReport:
    """Writes ``Annotations/``, ``JPEGImages/`` and ``ImageSets/Main/``.

    Args:
        source: The run.
        out: An empty folder.
        copy_images: Whether ``JPEGImages/`` gets copies and not links.
    """
    images = ImageFolder(out / "JPEGImages", source.image_roots, copy_images)
    counts, left_out = Counter({"images": 0, "boxes": 0}), LeftOut()
    split = _split_file(out, source.manifest.get("split"))
    for folder in (out / "Annotations", images.folder, split.parent):
        make_folder(folder)
    with writing(split), split.open("w", encoding="utf-8") as names:
        for image in samples_with_images(source, left_out):
            name = images.name(image.path)
            path = out / "Annotations" / f"{Path(name).stem}.xml"
            objects = [
                _object(placed, edges, counts, left_out)
                for placed, edges in _boxes(image, left_out)
            ]
            counts["boxes"] += len(objects)
            if not path.exists():
                counts["images"] += 1
                names.write(f"{path.stem}\n")
                _write(path, _head(name, image) + _END)
            _append(path, objects)
            if not images.place(image.path):
                left_out["picture that is not there any more"] += 1
    files = (out / "Annotations", images.folder, split)
    return ExportReport(files, dict(counts), dict(left_out))


def _boxes(
    image: ImageWithEntities, left_out: LeftOut
) -> Iterator[tuple[PlacedRegion, tuple[int, int, int, int]]]:
    """Regions with words and their edges in the image, in whole pixels."""
    for placed in placed_regions(image.sample, left_out):
        if not placed.entity.text.strip():
            left_out["region of an entity without words"] += 1
            continue
        if placed.region.mask is not None:
            left_out["mask (VOC files hold boxes; see coco and png)"] += 1
        inside = confined_box(placed.region.box, image.size, left_out)
        if inside is not None:
            yield placed, nearest_edges(inside)


def _split_file(out: Path, split: object) -> Path:
    is_name = isinstance(split, str) and re.fullmatch(r"[\w-]{1,80}", split)
    return out / "ImageSets" / "Main" / f"{split if is_name else 'all'}.txt"


def _append(path: Path, objects: list[str]) -> None:
    # Another sample may have the same image: its objects go into the same file.
    if objects:
        text = path.read_text(encoding="utf-8").removesuffix(_END)
        _write(path, "".join([text, *objects, _END]))


def _write(path: Path, text: str) -> None:
    with writing(path):
        path.write_text(text, encoding="utf-8", newline="\n")


def _head(name: str, image: ImageWithEntities) -> str:
    width, height = image.size
    return (
        "<annotation>\n  <folder>JPEGImages</folder>\n"
        f"  <filename>{_text(name)}</filename>\n"
        "  <source>\n    <database>riveg</database>\n  </source>\n"
        f"  <size>\n    <width>{width}</width>\n    <height>{height}</height>\n"
        "    <depth>3</depth>\n  </size>\n  <segmented>0</segmented>\n"
    )


def _object(
    placed: PlacedRegion,
    edges: tuple[int, int, int, int],
    counts: Counter[str],
    left_out: LeftOut,
) -> str:
    entity, region = placed.entity, placed.region
    if _NOT_IN_XML.search(entity.text):
        left_out["character that XML cannot hold (a replacement mark stands for it)"] += len(
            _NOT_IN_XML.findall(entity.text)
        )
    score = "" if region.score is None else f"    <score>{region.score}</score>\n"
    fine_label = entity.fine_label
    fine = "" if fine_label is None else f"    <fine_type>{_text(fine_label)}</fine_type>\n"
    guess = must_mark(region, counts)
    named_edges = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
    return (
        f"  <object>\n    <name>{_text(entity.text)}</name>\n"
        f"    <type>{_text(entity.label)}</type>\n{fine}"
        f"    <entity>{_text(entity.id)}</entity>\n"
        f"{score}{_GUESS if guess else ''}    <pose>Unspecified</pose>\n"
        # Scorers pass over what is difficult, and trainers may.
        f"    <truncated>0</truncated>\n    <difficult>{guess:d}</difficult>\n    <bndbox>\n"
        + "".join(f"      <{name}>{edge}</{name}>\n" for name, edge in named_edges)
        + "    </bndbox>\n  </object>\n"
    )


def nearest_edges(box: Box) -> tuple[int, int, int, int]:
    """The nearest whole pixels; a side is one pixel at least.

    >>> nearest_edges(Box(0.4, 2.6, 10.5, 2.7))
    (0, 2, 11, 3)
    """
    x_min, x_max = _whole_side(box.x_min, box.x_max)
    y_min, y_max = _whole_side(box.y_min, box.y_max)
    return x_min, y_min, x_max, y_max


def _whole_side(low: float, high: float) -> tuple[int, int]:
    near = math.floor(low + 0.5), math.floor(high + 0.5)
    return near if near[0] < near[1] else (math.floor(low), math.floor(low) + 1)


def _text(text: str) -> str:
    # A carriage return would be read back as a line feed.
    return escape(_NOT_IN_XML.sub("\ufffd", text), {"\r": "&#13;"})
