"""One JSON file for each image with masks by entity name, in whichever form it comes.

The format of Twitter-SMNER is not published, so the forms that annotation tools write are read. An
object stands in one of these containers:

===================  =======================================================================
labelme              ``shapes``: polygons and rectangles; ``group_id`` joins several to one
coco                 ``annotations``: objects with a name, or a number among ``categories``
list                 the document, or one of :data:`_LISTS`: objects with a name
by-name              the document: drawing by entity name
===================  =======================================================================

and is drawn as COCO run lengths, compressed or not, or as one or several polygons, each a flat list
of numbers or a list of points. The forms that are found are reported; whatever fits none of them is
a defect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pycocotools import mask as coco

from riveg.datasets.annotations import ImageAnnotation, NamedObject
from riveg.datasets.dataset import Defect, quoted
from riveg.formats.json_files import read_json
from riveg.geometry.masks import mask_area
from riveg.images.headers import ImageLimits
from riveg.text.folding import fold_blanks
from riveg.types import Box, ImageSize, Mask

_MOST_PIXELS = ImageLimits().max_pixels

_NAME_KEYS = ("entity", "entity_name", "name", "mention", "text", "phrase", "label", "category")
_DRAWING_KEYS = ("segmentation", "mask", "masks", "rle", "polygon", "polygons", "points")
_LISTS = ("objects", "entities", "regions", "instances")
_HEIGHT_KEYS = ("imageHeight", "image_height", "height")
_WIDTH_KEYS = ("imageWidth", "image_width", "width")
_ABOUT_IMAGE = {
    *_HEIGHT_KEYS, *_WIDTH_KEYS, "version", "flags", "imagePath", "imageData", "filename",
    "file_name", "image", "image_id", "id", "size", "info", "licenses", "categories", "images",
    "text", "caption", "tokens",
}  # fmt: skip
"""Keys beside entity names that are none themselves."""


class _Entry(NamedTuple):
    """An object as it stands in the file; neither its name nor its drawing is checked yet."""

    name: object
    drawing: object


class _UnreadableError(ValueError):
    """An object that fits no form; the message says why."""


def read_mask_json(path: Path) -> ImageAnnotation:
    """One file's objects; what cannot be read is among its defects."""
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        defect = Defect("bad-json", path.name, f"cannot be read as JSON ({error})")
        return ImageAnnotation(path.name, defects=(defect,))
    size = _size(document)
    container, entries = _entries(document)
    objects: list[NamedObject] = []
    defects: list[Defect] = []
    forms: list[str] = []
    for number, entry in enumerate(entries, start=1):
        try:
            found, form = _named_object(entry, size)
        except _UnreadableError as error:
            shown = quoted(entry.name) if isinstance(entry.name, str) else "no name"
            message = f"object {number} ({shown}): {error}"
            defects.append(Defect("bad-mask", path.name, message))
        else:
            objects.append(found)
            forms.append(f"{container} {form}")
    return ImageAnnotation(path.name, size, tuple(objects), tuple(defects), tuple(forms))


def _size(document: object) -> ImageSize | None:
    """The size that the document declares, or the first of its ``images``."""
    if not isinstance(document, dict):
        return None
    images = document.get("images")
    places = [document, *(images[:1] if isinstance(images, list) else [])]
    sizes = (
        _size_of(_first(place, _HEIGHT_KEYS), _first(place, _WIDTH_KEYS))
        for place in places
        if isinstance(place, dict)
    )
    return next((size for size in sizes if size), None)


def _size_of(height: object, width: object) -> ImageSize | None:
    if type(height) is int and type(width) is int and height > 0 and width > 0:
        return ImageSize(width, height)
    return None


def _entries(document: object) -> tuple[str, Iterable[_Entry]]:
    """The document's container, and its objects."""
    if isinstance(document, list):
        return "list", _listed(document, {})
    if not isinstance(document, dict):
        return "unknown", [_Entry(None, document)]
    for key, (container, read) in _CONTAINERS.items():
        if isinstance(document.get(key), list):
            return container, read(document[key], _categories(document))
    return "by-name", (
        _Entry(name, drawing)
        for name, value in document.items()
        if name not in _ABOUT_IMAGE
        for drawing in _drawings(value)
    )


def _drawings(value: object) -> Sequence[object]:
    """The drawings of one name: a list of JSON objects is several."""
    is_several = isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return value if is_several and isinstance(value, list) else [value]


def _listed(items: Sequence[object], categories: Mapping[object, object]) -> Iterator[_Entry]:
    for item in items:
        if not isinstance(item, dict):
            yield _Entry(None, item)
            continue
        name = _first(item, _NAME_KEYS)
        if name is None and isinstance(item.get("category_id"), int | str):
            name = categories.get(item["category_id"])
        for drawing in _drawings(item if "counts" in item else _first(item, _DRAWING_KEYS)):
            yield _Entry(name, drawing)


def _categories(document: Mapping[str, Any]) -> dict[object, object]:
    categories = document.get("categories")
    return {
        item["id"]: item.get("name")
        for item in (categories if isinstance(categories, list) else [])
        if isinstance(item, dict) and isinstance(item.get("id"), int | str)
    }


def _labelme(shapes: Sequence[object], _categories: object) -> Iterator[_Entry]:
    """Shapes that share a label and a group are one object, as labelme means it."""
    groups: dict[tuple[str, str], list[object]] = {}
    for number, shape in enumerate(shapes):
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            yield _Entry(None, shape)
            continue
        group = shape.get("group_id")
        key = (
            fold_blanks(shape["label"]),
            f"group {group}" if group is not None else f"shape {number}",
        )
        kind, points = shape.get("shape_type") or "polygon", shape.get("points")
        # Another kind, such as a circle, is no drawing and refused as such.
        groups.setdefault(key, []).append(
            points if kind == "polygon" else _corners(points) if kind == "rectangle" else kind
        )
    for (name, _), drawings in groups.items():
        yield _Entry(name, drawings if len(drawings) > 1 else drawings[0])


def _corners(points: Any) -> Any:
    """The four corners of a rectangle that two opposite corners give; other values unchanged."""
    try:
        (left, top), (right, bottom) = points
    except (TypeError, ValueError):
        return points
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


_CONTAINERS: Mapping[
    str, tuple[str, Callable[[Sequence[object], Mapping[object, object]], Iterator[_Entry]]]
] = {
    "shapes": ("labelme", _labelme),
    "annotations": ("coco", _listed),
    **dict.fromkeys(_LISTS, ("list", _listed)),
}
"""Key of the list -> name of the container, and what reads the list."""


def _first(mapping: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((mapping[key] for key in keys if mapping.get(key) is not None), None)


def _named_object(entry: _Entry, size: ImageSize | None) -> tuple[NamedObject, str]:
    """The object, and the form of its drawing."""
    shape = _shape(entry.drawing)
    if not isinstance(entry.name, str) or not entry.name.strip():
        raise _UnreadableError("it has no entity name")
    if isinstance(shape, dict):
        size = _checked(_rle_size(shape))
        runs, form = _compressed(shape["counts"], size), "rle"
    else:
        size = _checked(size)
        runs, form = _rasterised(shape, size), "polygon"
    if not coco.area(runs):
        raise _UnreadableError("its mask is empty")
    x_min, y_min, width, height = map(float, coco.toBbox(runs))
    mask = Mask(size.height, size.width, runs["counts"].decode("ascii"), source="gold")
    return NamedObject(entry.name, Box(x_min, y_min, x_min + width, y_min + height), mask), form


def _shape(drawing: object) -> dict[str, Any] | list[list[float]]:
    """Run lengths as they stand in the file, or polygons."""
    if isinstance(drawing, dict):
        if "counts" in drawing:
            return drawing
        inner = _first(drawing, _DRAWING_KEYS)
        if inner is None:
            raise _UnreadableError(f"none of {', '.join(_DRAWING_KEYS)} among its keys")
        return _shape(inner)
    items = drawing if isinstance(drawing, list) else []
    for rings in ([_ring(items)], [*map(_ring, items)]):
        found = [ring for ring in rings if ring]
        if found and len(found) == len(rings):
            return found
    raise _UnreadableError(f"neither polygons nor run lengths: {quoted(json.dumps(drawing))}")


def _ring(value: object) -> list[float] | None:
    """``x, y, x, y, ...`` of at least three points, which come flat or as pairs, else ``None``."""
    if not isinstance(value, list):
        return None
    is_pairs = all(isinstance(point, list) and len(point) == 2 for point in value)
    numbers = [*chain.from_iterable(value)] if is_pairs else value
    if len(numbers) < 6 or len(numbers) % 2 or any(type(n) not in {int, float} for n in numbers):
        return None
    return [float(number) for number in numbers]


def _checked(size: ImageSize | None) -> ImageSize:
    """The size, if there is one and memory may be allotted for it."""
    if size is None:
        raise _UnreadableError("polygons need the picture's height and width, the file has none")
    if size.height * size.width > _MOST_PIXELS:
        raise _UnreadableError(f"{size.width} x {size.height} pixels are more than {_MOST_PIXELS}")
    return size


def _rle_size(rle: Mapping[str, Any]) -> ImageSize:
    sides = rle.get("size")
    size = _size_of(*sides) if isinstance(sides, list) and len(sides) == 2 else None
    if size is None:
        raise _UnreadableError("run lengths need 'size': [height, width]")
    return size


def _rasterised(polygons: Sequence[list[float]], size: ImageSize) -> dict[str, Any]:
    """Compressed COCO run lengths of polygons."""
    width, height = size
    # A point far outside would make pycocotools walk an endless edge.
    if any(not -width - height <= edge <= 2 * (width + height) for edge in chain(*polygons)):
        raise _UnreadableError(f"points far outside the picture of {width} x {height}")
    return dict(coco.merge(coco.frPyObjects(polygons, height, width)))


def _compressed(counts: object, size: ImageSize) -> dict[str, Any]:
    """Compressed COCO run lengths of compressed or plain ones."""
    width, height = size
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
