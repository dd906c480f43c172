"""Tasks for Label Studio: text spans and image regions of one sample, joined by relations."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from riveg.exports.entity_ids import distinct_ids
from riveg.exports.guesses import NOTE, must_mark
from riveg.exports.images import confined_box, in_order, measured_size
from riveg.exports.mask_faults import mask_fault
from riveg.exports.source import ExportReport, ExportSource
from riveg.files import make_folder, write_atomically
from riveg.formats.brush import mask_to_brush
from riveg.images.loader import ImageLoader
from riveg.images.palette import type_colours
from riveg.text.spans import character_range
from riveg.types import Box, Entity, ImageRef, ImageSize, Region, Sample

NO_IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
"""An empty pixel: Label Studio wants an image in every task."""

_Result = dict[str, Any]


def export_labelstudio(source: ExportSource, out: Path) -> ExportReport:
    """Writes ``tasks.json`` to import, ``config.xml`` to label with, and ``README.txt``.

    Args:
        source: The run.
        out: An empty folder.

    Returns:
        Numbers of tasks, spans, boxes, masks and relations, and of what the format cannot hold.
    """
    make_folder(out)
    writer = _TaskWriter(source)
    tasks, config, readme = out / "tasks.json", out / "config.xml", out / "README.txt"
    write_atomically(tasks, _json_list(map(writer.task, source.records())))
    write_atomically(config, [writer.config().encode()])
    write_atomically(readme, [_README.format(root=shlex.quote(str(writer.document_root))).encode()])
    return ExportReport((tasks, config, readme), dict(writer.counts), +writer.left_out)


def labeling_config(labels: Iterable[str], fine_labels: Iterable[str] = ()) -> str:
    """The labeling interface: a sample and its image, with the same labels for both.

    Where there are fine labels, one of them is chosen for each text span.
    """
    names = [*dict.fromkeys(map(fit_for_xml, labels))]
    colours = type_colours(names)
    tags = "\n".join(
        f"    <Label value={quoteattr(name)} background={quoteattr(colours[name])}/>"
        for name in names
    )
    choices = "".join(
        f"    <Choice value={quoteattr(name)}/>\n"
        for name in dict.fromkeys(map(fit_for_xml, fine_labels))
    )
    return _CONFIG.format(labels=tags, fine=choices and _FINE_CONFIG.format(choices=choices))


_FINE_CONFIG = """  <Choices name="fine" toName="text" perRegion="true" whenTagName="label">
{choices}  </Choices>
"""

_CONFIG = """<View>
  <Labels name="label" toName="text">
{labels}
  </Labels>
{fine}  <Text name="text" value="$text"/>
  <RectangleLabels name="box" toName="image">
{labels}
  </RectangleLabels>
  <BrushLabels name="mask" toName="image">
{labels}
  </BrushLabels>
  <Image name="image" value="$image" zoom="true"/>
</View>
"""

_README = """Label Studio: new project, Settings > Labeling Interface > Code: paste config.xml.
Then Import: tasks.json. The entities come as predictions, to be accepted or corrected.

Pictures are not copied. Start Label Studio where they lie:

  LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
  LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root} \\
  label-studio start

and add the picture folder, which lies below that one, to the project as a source storage:
Settings > Cloud Storage > Add Source Storage > Local files (it need not be synchronised).
"""


class _TaskWriter:
    """Makes tasks of samples, and counts what it makes and what it leaves out."""

    def __init__(self, source: ExportSource) -> None:
        self._labels: set[str] = set()
        self._fine_labels: set[str] = set()
        self._source = source
        self.counts = Counter({"tasks": 0, "spans": 0, "boxes": 0, "masks": 0, "relations": 0})
        self.left_out: Counter[str] = Counter()
        self.document_root = _document_root(source.image_roots)
        self._roots = source.image_roots
        self._images = ImageLoader(source.image_roots)
        self._version = f"riveg {source.manifest.get('system', '')}".strip()

    def config(self) -> str:
        """The labeling interface for the labels of the tasks so far."""
        return labeling_config(in_order(self._labels, self._source), sorted(self._fine_labels))

    def task(self, sample: Sample) -> dict[str, Any]:
        self.counts["tasks"] += 1
        data = {"id": sample.id, "text": sample.text, "image": self._image(sample.image)}
        # PostgreSQL, under a Label Studio of more than one user, takes no NUL in a text.
        data = {name: _without_nul(value) for name, value in data.items()}
        return {"data": data, "predictions": self._predictions(sample)}

    def _predictions(self, sample: Sample) -> list[dict[str, Any]]:
        if sample.entities is None:
            self.left_out["sample that was not tagged"] += 1
            return []
        result: list[_Result] = []
        for entity, name in zip(sample.entities, distinct_ids(sample.entities), strict=True):
            result += self._entity(sample, entity, _without_nul(name))
        prediction: dict[str, Any] = {"model_version": self._version, "result": result}
        scores = [entity.score for entity in sample.entities if entity.score is not None]
        if scores:
            prediction["score"] = sum(scores) / len(scores)
        return [prediction]

    def _entity(self, sample: Sample, entity: Entity, name: str) -> Iterator[_Result]:
        place = character_range(sample.offsets, entity.span)
        label = fit_for_xml(entity.label)
        self._labels.add(entity.label)
        text_id = f"{name}:text"
        if place is None:
            self.left_out["span beyond the post's tokens"] += 1
        else:
            self.counts["spans"] += 1
            span = _span(text_id, _without_nul(sample.text), place, label, entity)
            yield span
            if entity.fine_label is not None:
                self._fine_labels.add(entity.fine_label)
                yield _choice(span, entity.fine_label)
        for rank, region, size in self._placed(sample, entity):
            note = {"meta": {"text": [NOTE]}} if must_mark(region, self.counts) else {}
            for control, kind, value in self._shapes(region, size):
                result = {
                    "id": f"{name}:{control}:{rank}",
                    "from_name": control,
                    "to_name": "image",
                    "type": kind,
                    "original_width": size.width,
                    "original_height": size.height,
                    "image_rotation": 0,
                    "value": {**value, kind: [label]},
                    **note,
                }
                yield result if region.score is None else {**result, "score": region.score}
                if place is not None:
                    self.counts["relations"] += 1
                    yield _relation(text_id, f"{name}:{control}:{rank}")

    def _placed(self, sample: Sample, entity: Entity) -> Iterator[tuple[int, Region, ImageSize]]:
        """The entity's regions with their ranks and the size of the image."""
        if entity.regions is None:
            self.left_out["that an entity's place was not answered"] += 1
        if not entity.regions:
            return
        size = measured_size(sample.image, self._images) if sample.image else None
        if size is None:
            self.left_out["region in a picture that cannot be read"] += len(entity.regions)
            return
        for rank, region in enumerate(entity.regions):
            yield rank, region, size

    def _shapes(self, region: Region, size: ImageSize) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """The box and the mask: the name of the control, the type, and the value without label."""
        inside = confined_box(region.box, size, self.left_out)
        if inside is not None:
            self.counts["boxes"] += 1
            yield "box", "rectanglelabels", {**box_in_percent(inside, size)}
        if region.mask is None:
            return
        if fault := mask_fault(region.mask, size):
            self.left_out[fault] += 1
            return
        self.counts["masks"] += 1
        yield "mask", "brushlabels", {"format": "rle", "rle": mask_to_brush(region.mask)}

    def _image(self, image: ImageRef | None) -> str:
        if image is None:
            return NO_IMAGE
        relative = PurePosixPath(image.path)
        if relative.is_absolute() or ".." in relative.parts or "\0" in image.path:
            self.left_out["picture outside its folder"] += 1
            return NO_IMAGE
        holding = (root for root in self._roots if _is_there(root / relative))
        root = next(holding, self._roots[0] if self._roots else Path())
        return image_address(root, image.path, self.document_root)


def image_address(root: Path, name: str, document_root: Path) -> str:
    """The address at which Label Studio serves an image below its ``document_root``.

    >>> image_address(Path("/posts/images"), "a b.jpg", Path("/posts"))
    '/data/local-files/?d=images/a%20b.jpg'
    """
    folder = PurePosixPath(os.path.relpath(root, document_root))
    return f"/data/local-files/?d={quote(str(folder / name))}"


def box_in_percent(box: Box, size: ImageSize) -> dict[str, float]:
    """``x``, ``y``, ``width``, ``height`` of a box in its image, in [0, 100] of the sides.

    >>> box_in_percent(Box(10, 20, 60, 100), ImageSize(200, 100))
    {'x': 5.0, 'y': 20.0, 'width': 25.0, 'height': 80.0, 'rotation': 0}
    """
    return {
        "x": 100 * box.x_min / size.width,
        "y": 100 * box.y_min / size.height,
        "width": 100 * box.width / size.width,
        "height": 100 * box.height / size.height,
        "rotation": 0,
    }


def _span(name: str, text: str, place: tuple[int, int], label: str, entity: Entity) -> _Result:
    start, end = place
    result: _Result = {
        "id": name,
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": start, "end": end, "text": text[start:end], "labels": [label]},
    }
    if entity.score is not None:
        result["score"] = entity.score
    if entity.expression is not None:
        result["meta"] = {"text": [_without_nul(entity.expression)]}
    return result


def _choice(span: _Result, fine_label: str) -> _Result:
    """The fine label of a text span: a choice with the span's id and range."""
    value = {name: span["value"][name] for name in ("start", "end", "text")}
    return {
        "id": span["id"],
        "from_name": "fine",
        "to_name": "text",
        "type": "choices",
        "value": {**value, "choices": [fit_for_xml(fine_label)]},
    }


def _relation(from_id: str, to_id: str) -> _Result:
    return {"type": "relation", "from_id": from_id, "to_id": to_id, "direction": "right"}


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the disk, for one
        return False


def _document_root(roots: Sequence[Path]) -> Path:
    """The folder that holds every image folder: Label Studio serves only what is below it."""
    absolute = [root.absolute().parent for root in roots]
    return Path(os.path.commonpath(absolute)) if absolute else Path("/")


def _json_list(values: Iterable[object]) -> Iterator[bytes]:
    before = b"[\n"
    for value in values:
        yield before + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


def fit_for_xml(text: str) -> str:
    """The text with each character replaced that XML cannot hold.

    >>> fit_for_xml("SHIP" + chr(0))
    'SHIP�'
    """
    return "".join(character if _fits_xml(character) else "\ufffd" for character in text)


def _fits_xml(character: str) -> bool:
    return character in "\t\n\r" or (character >= " " and character not in "\ufffe\uffff")
