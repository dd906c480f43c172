"""PASCAL VOC files as Twitter-GMNER has them: an object's name is the entity's text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from riveg.datasets.annotations import ImageAnnotation, NamedObject, annotation_file
from riveg.datasets.dataset import Defect, quoted
from riveg.types import Box

_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class VocFolder:
    """A folder of ``<id>.xml``; an image without a file shows none of the entities."""

    folder: Path
    suffix: ClassVar[str] = ".xml"
    has_masks: ClassVar[bool] = False

    def read(self, image_id: str) -> ImageAnnotation | None:
        """The image's boxes, edges taken as they stand in the file."""
        path = annotation_file(self.folder, image_id, self.suffix)
        return None if path is None else read_voc(path)


def read_voc(path: Path) -> ImageAnnotation:
    """One file's objects; what cannot be read is among its defects."""
    try:
        with path.open("rb") as handle:
            root = fromstring(handle.read())
    except (OSError, ParseError, ValueError, LookupError) as error:
        reason = f"cannot be read as XML ({error})"
        return ImageAnnotation(path.name, defects=(Defect("bad-xml", path.name, reason),))
    found = [
        _named_object(element, path.name, number)
        for number, element in enumerate(root.iter("object"), start=1)
    ]
    return ImageAnnotation(
        path.name,
        _size(root),
        tuple(item for item in found if isinstance(item, NamedObject)),
        tuple(item for item in found if isinstance(item, Defect)),
    )


def _named_object(element: Element, file: str, number: int) -> NamedObject | Defect:
    name = element.findtext("name")
    if not name:
        return Defect("bad-xml", file, f"object {number} has no name")
    texts = [element.findtext(f"bndbox/{edge}") or "" for edge in _EDGES]
    try:
        x_min, y_min, x_max, y_max = map(float, texts)
        return NamedObject(name, Box(x_min, y_min, x_max, y_max))
    except ValueError as error:
        return Defect("bad-box", file, f"object {number} ({quoted(name)}): {error}")


def _size(root: Element) -> tuple[int, int] | None:
    try:
        width = int(root.findtext("size/width") or 0)
        height = int(root.findtext("size/height") or 0)
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None
