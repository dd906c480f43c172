"""PASCAL VOC files as Twitter-GMNER has them: an object's name is the entity's text."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from riveg.datasets.annotations import ImageAnnotation, NamedObject
from riveg.datasets.dataset import Defect, quoted
from riveg.files import read_regular
from riveg.types import Box, ImageSize

_EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: Path) -> ImageAnnotation:
    """One file's objects, edges as they stand there.

    What cannot be read is among its defects, and so are guesses of a run that was exported.
    """
    try:
        root = fromstring(read_regular(path))
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
    if not name or not name.strip():
        return Defect("bad-xml", file, f"object {number} has no name")
    if element.findtext("guess") == "1":
        reason = f"object {number} ({quoted(name)}) is marked as a guess, which is no annotation"
        return Defect("guess", file, reason)
    texts = [element.findtext(f"bndbox/{edge}") or "" for edge in _EDGES]
    try:
        x_min, y_min, x_max, y_max = map(float, texts)
        return NamedObject(name, Box(x_min, y_min, x_max, y_max))
    except ValueError as error:
        return Defect("bad-box", file, f"object {number} ({quoted(name)}): {error}")


def _size(root: Element) -> ImageSize | None:
    try:
        size = ImageSize(
            width=int(root.findtext("size/width") or 0),
            height=int(root.findtext("size/height") or 0),
        )
    except ValueError:
        return None
    return size if min(size) > 0 else None
