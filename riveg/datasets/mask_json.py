"""One JSON an image with masks by entity name, in whichever form it comes.

The format of Twitter-SMNER is not published, so what annotation tools write is read: labelme's
shapes, COCO's polygons and run lengths, and plain lists or mappings of either by entity name. The
forms that were met are reported, and what fits none of them is a defect.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pycocotools import mask as coco

from riveg.datasets.annotations import ImageAnnotation, NamedObject, annotation_file
from riveg.datasets.dataset import Defect, quoted
from riveg.geometry.masks import mask_area
from riveg.types import Box, Mask

_MOST_PIXELS = 50_000_000
"""As the image loader has it."""

_NAME_KEYS = ("entity", "entity_name", "name", "mention", "text", "phrase", "label", "category")
_SHAPE_KEYS = ("segmentation", "mask", "masks", "rle", "polygon", "polygons", "points")
_LIST_KEYS = ("shapes", "annotations", "objects", "entities", "regions", "instances")
_HEIGHT_KEYS = ("imageHeight", "image_height", "height")
_WIDTH_KEYS = ("imageWidth", "image_width", "width")
_ABOUT_IMAGE = {
    *_HEIGHT_KEYS, *_WIDTH_KEYS, "version", "flags", "imagePath", "imageData", "filename",
    "file_name", "image", "image_id", "id", "size", "info", "licenses", "categories", "images",
    "text", "caption", "tokens",
}  # fmt: skip

Size = tuple[int, int]
"""Height and width, as masks have it."""


@dataclass(frozen=True, slots=True)
class MaskJsonFolder:
    """A folder of ``<id>.json``; an object's box is its mask's tight box."""

    folder: Path
    suffix: ClassVar[str] = ".json"
    has_masks: ClassVar[bool] = True

    def read(self, image_id: str) -> ImageAnnotation | None:
        """The image's masks in whichever form they come."""
        path = annotation_file(self.folder, image_id, self.suffix)
        return None if path is None else read_mask_json(path)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """An object as it stands in the file: its polygons, or its run lengths."""

    form: str
    polygons: tuple[tuple[float, ...], ...] = ()
    rle: Mapping[str, Any] | None = None


class _UnreadableError(ValueError):
    """An object that fits no form; the message says why."""


def read_mask_json(path: Path) -> ImageAnnotation:
    """One file's objects; what cannot be read is among its defects."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        defect = Defect("bad-json", path.name, f"cannot be read as JSON ({error})")
        return ImageAnnotation(path.name, defects=(defect,))
    size = _size(document)
    objects: list[NamedObject] = []
    defects: list[Defect] = []
    forms: list[str] = []
    for number, (name, container, value) in enumerate(_entries(document), start=1):
        try:
            drawing = _drawing(value)
            objects.append(_named_object(name, drawing, size))
            forms.append(f"{container} {drawing.form}")
        except _UnreadableError as error:
            shown = quoted(name) if isinstance(name, str) else "no name"
            message = f"object {number} ({shown}): {error}"
            defects.append(Defect("bad-mask", path.name, message))
    declared = None if size is None else (size[1], size[0])
    return ImageAnnotation(path.name, declared, tuple(objects), tuple(defects), tuple(forms))


def _size(document: object) -> Size | None:
    if not isinstance(document, dict):
        return None
    places: list[object] = [document]
    if isinstance(document.get("images"), list):
        places += document["images"][:1]
    for place in places:
        if isinstance(place, dict):
            height, width = _first(place, _HEIGHT_KEYS), _first(place, _WIDTH_KEYS)
            if type(height) is int and type(width) is int and height > 0 and width > 0:
                return height, width
    return None


def _entries(document: object) -> Iterator[tuple[object, str, object]]:
    """Name, kind of container and drawing of each object."""
    if isinstance(document, list):
        yield from _listed(document, "list", {})
        return
    if not isinstance(document, dict):
        yield None, "unknown", document
        return
    key = next((key for key in _LIST_KEYS if isinstance(document.get(key), list)), None)
    if key == "shapes":
        yield from _labelme(document["shapes"])
    elif key is not None:
        kind = "coco" if key == "annotations" else "list"
        yield from _listed(document[key], kind, _categories(document))
    else:
        for name, value in document.items():
            if name not in _ABOUT_IMAGE:
                yield from ((name, "by-name", item) for item in _several(value))


def _several(value: object) -> Sequence[object]:
    is_list_of_objects = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return value if is_list_of_objects and isinstance(value, list) else [value]


def _listed(
    items: Sequence[object], container: str, categories: Mapping[object, object]
) -> Iterator[tuple[object, str, object]]:
    for item in items:
        if not isinstance(item, dict):
            yield None, container, item
            continue
        name = _first(item, _NAME_KEYS)
        if name is None and isinstance(item.get("category_id"), int | str):
            name = categories.get(item["category_id"])
        for drawing in _several(_first(item, _SHAPE_KEYS) if "counts" not in item else item):
            yield name, container, drawing


def _categories(document: Mapping[str, Any]) -> dict[object, object]:
    categories = document.get("categories")
    return {
        item["id"]: item.get("name")
        for item in (categories if isinstance(categories, list) else [])
        if isinstance(item, dict) and isinstance(item.get("id"), int | str)
    }


def _labelme(shapes: Sequence[object]) -> Iterator[tuple[object, str, object]]:
    """Shapes that share a label and a group are one object, as labelme means it."""
    groups: dict[tuple[str, str], list[object]] = {}
    for number, shape in enumerate(shapes):
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            yield None, "labelme", shape
            continue
        group = shape.get("group_id")
        key = (shape["label"], f"group {group}" if group is not None else f"shape {number}")
        kind = shape.get("shape_type") or "polygon"
        points = shape.get("points")
        groups.setdefault(key, []).append(
            points if kind == "polygon" else _corners(points) if kind == "rectangle" else kind
        )
    for (name, _), drawings in groups.items():
        yield name, "labelme", drawings if len(drawings) > 1 else drawings[0]


def _corners(points: Any) -> Any:
    if not _is_points(points, 2) or len(points) != 2:
        return points
    (left, top), (right, bottom) = points
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def _drawing(value: object) -> _Drawing:
    if isinstance(value, dict):
        if "counts" in value:
            return _Drawing("rle", rle=value)
        inner = _first(value, _SHAPE_KEYS)
        if inner is None:
            raise _UnreadableError(f"none of {', '.join(_SHAPE_KEYS)} among its keys")
        return _drawing(inner)
    if _is_flat(value) or _is_points(value, 3):
        return _Drawing("polygon", (_flat(value),))
    several: list[object] = value if isinstance(value, list) else []
    if several and all(_is_flat(item) or _is_points(item, 3) for item in several):
        return _Drawing("polygon", tuple(_flat(item) for item in several))
    raise _UnreadableError(f"neither polygons nor run lengths: {quoted(json.dumps(value))}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_flat(value: object) -> bool:
    if not isinstance(value, list) or len(value) < 6 or len(value) % 2:
        return False
    return all(map(_is_number, value))


def _is_points(value: object, least: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= least
        and all(isinstance(p, list) and len(p) == 2 and all(map(_is_number, p)) for p in value)
    )


def _flat(value: Any) -> tuple[float, ...]:
    if isinstance(value[0], list):
        return tuple(float(number) for point in value for number in point)
    return tuple(map(float, value))


def _first(mapping: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((mapping[key] for key in keys if mapping.get(key) is not None), None)


def _named_object(name: object, drawing: _Drawing, size: Size | None) -> NamedObject:
    if not isinstance(name, str) or not name:
        raise _UnreadableError("it has no entity name")
    rle = _run_lengths(drawing, size)
    if not coco.area(rle):
        raise _UnreadableError("its mask is empty")
    x_min, y_min, width, height = map(float, coco.toBbox(rle))
    rows, columns = rle["size"]
    mask = Mask(rows, columns, rle["counts"].decode("ascii"), source="gold")
    return NamedObject(name, Box(x_min, y_min, x_min + width, y_min + height), mask)


def _run_lengths(drawing: _Drawing, size: Size | None) -> dict[str, Any]:
    """Compressed COCO run lengths, sizes checked before anything is allotted."""
    if drawing.rle is not None:
        size = _rle_size(drawing.rle)
    if size is None:
        raise _UnreadableError("polygons need the picture's height and width, the file has none")
    height, width = size
    if height * width > _MOST_PIXELS:
        raise _UnreadableError(f"{width} x {height} pixels are more than {_MOST_PIXELS}")
    if drawing.rle is None:
        # A point far outside would make pycocotools walk an endless edge.
        if any(not -width - height <= value <= 2 * (width + height) for value in _all(drawing)):
            raise _UnreadableError(f"points far outside the picture of {width} x {height}")
        parts = coco.frPyObjects([list(polygon) for polygon in drawing.polygons], height, width)
        return dict(coco.merge(parts))
    return _compressed(drawing.rle["counts"], height, width)


def _all(drawing: _Drawing) -> Iterator[float]:
    return (value for polygon in drawing.polygons for value in polygon)


def _rle_size(rle: Mapping[str, Any]) -> Size:
    size = rle.get("size")
    if not (
        isinstance(size, list)
        and len(size) == 2
        and all(type(side) is int and side > 0 for side in size)
    ):
        raise _UnreadableError("run lengths need 'size': [height, width]")
    return size[0], size[1]


def _compressed(counts: object, height: int, width: int) -> dict[str, Any]:
    if isinstance(counts, str):
        try:
            mask_area(Mask(height, width, counts))  # pycocotools itself would trust them
        except ValueError as error:
            raise _UnreadableError(str(error)) from error
        return {"size": [height, width], "counts": counts.encode("ascii")}
    if not isinstance(counts, list) or any(type(run) is not int or run < 0 for run in counts):
        raise _UnreadableError("'counts' is neither a string nor a list of numbers")
    if sum(counts) != height * width:
        raise _UnreadableError(f"run lengths of {sum(counts)} pixels for {width} x {height}")
    return dict(coco.frPyObjects({"size": [height, width], "counts": counts}, height, width))
