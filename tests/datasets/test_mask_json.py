"""Masks by entity name in every form that is read, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from riveg.datasets.check import check
from riveg.datasets.mask_json import read_mask_json
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.types import Box

HEIGHT, WIDTH = 8, 10
PIXELS = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
PIXELS[2:6, 3:9] = 1
FLAT = [3, 2, 9, 2, 9, 6, 3, 6]
POINTS = [[3, 2], [9, 2], [9, 6], [3, 6]]
COMPRESSED = coco.encode(np.asfortranarray(PIXELS))["counts"].decode()
RLE = {"size": [HEIGHT, WIDTH], "counts": COMPRESSED}
RUNS = {"size": [HEIGHT, WIDTH], "counts": [26] + [4, 4] * 5 + [4, 10]}
SIDES = {"height": HEIGHT, "width": WIDTH}


def shape(points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": "Tom", "points": points, "shape_type": kind, **more}


def labelme(*shapes: object) -> dict[str, Any]:
    return {
        "version": "5", "flags": {}, "shapes": [*shapes], "imagePath": "x.jpg",
        "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH,
    }  # fmt: skip


FORMS = {
    "labelme polygon": labelme(shape(POINTS)),
    "labelme rectangle": labelme(shape([[3, 2], [9, 6]], "rectangle")),
    "labelme group": labelme(
        shape([[3, 2], [6, 2], [6, 6], [3, 6]], group_id=1),
        shape([[6, 2], [9, 2], [9, 6], [6, 6]], group_id=1),
    ),
    "coco polygon by category": {
        "images": [{"id": 1, "file_name": "x.jpg", **SIDES}],
        "annotations": [{"id": 1, "category_id": 3, "segmentation": [FLAT]}],
        "categories": [{"id": 3, "name": "Tom"}],
    },
    "coco rle by name": {"annotations": [{"name": "Tom", "segmentation": RLE}]},
    "coco uncompressed": {"annotations": [{"name": "Tom", "segmentation": RUNS}]},
    "list of objects": [{"entity": "Tom", "label": "PER", "mask": RLE}],
    "list under a key": {"entities": [{"text": "Tom", "points": POINTS}], **SIDES},
    "run lengths beside the name": [{"entity": "Tom", **RLE}],
    "by name, run lengths": {"Tom": RLE, "filename": "x.jpg"},
    "by name, polygon": {"Tom": POINTS, **SIDES},
    "by name, polygons": {"Tom": [FLAT], **SIDES},
    "by name, object": {"Tom": {"segmentation": [FLAT], "label": "PER"}, **SIDES},
    "by name, list of objects": {"Tom": [{"mask": RLE}]},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_mask(tmp_path: Path, name: str) -> None:
    path = tmp_path / "1.json"
    path.write_text(json.dumps(FORMS[name]))
    found = read_mask_json(path)
    assert found.defects == ()
    (item,) = found.objects
    assert (item.name, item.box) == ("Tom", Box(3, 2, 9, 6))
    assert item.mask is not None
    assert (item.mask.to_numpy() == PIXELS.astype(bool)).all()
    assert len(found.forms) == 1


def test_several_objects_of_one_name_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    path.write_text(json.dumps({"Tom": [RLE, RUNS]}))
    assert [item.name for item in read_mask_json(path).objects] == ["Tom", "Tom"]
    path.write_text(json.dumps(labelme(shape(POINTS), shape(POINTS))))
    assert len(read_mask_json(path).objects) == 2


@pytest.mark.parametrize("name", ["Tom ", "\nTom\n", "\u00a0Tom"])
@pytest.mark.parametrize("form", FORMS)
def test_names_are_compared_with_blanks_folded(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "test.txt").write_text("IMGID:1\nTom\tB-PER\n")
    written = json.dumps(FORMS[form]).replace('"Tom"', json.dumps(name))
    (tmp_path / "json" / "1.json").write_text(written)
    path = tmp_path / "set.yaml"
    path.write_text("name: s\nformat: twitter-smner\ntext: {test: test.txt}\nmasks: json\n")
    (row,) = open_dataset(str(path)).rows()
    assert row.gold is not None
    assert (len(row.gold.entities[0].masks or ()), row.unmatched_objects) == (1, 0)


def test_parts_of_a_group_are_one_object_though_their_blanks_differ(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    parts = [{**shape(POINTS), "group_id": 1}, {**shape(POINTS), "group_id": 1, "label": "Tom "}]
    path.write_text(json.dumps(labelme(*parts)))
    assert len(read_mask_json(path).objects) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("5", "neither polygons nor run lengths"),
        (json.dumps({"Tom": [FLAT]}), "need the picture's height and width"),
        (json.dumps({"Tom": "x", **SIDES}), "neither polygons nor run lengths"),
        (json.dumps({"Tom": [1, 2, 3, 4], **SIDES}), "neither polygons nor run lengths"),
        (json.dumps({"Tom": {"no": 1}, **SIDES}), "among its keys"),
        (json.dumps([{"mask": RLE}]), "no entity name"),
        (json.dumps([{"mask": RLE, "name": " "}]), "no entity name"),
        (json.dumps(labelme(shape([[3, 3], [4, 4]], "circle"))), "neither polygons"),
        (json.dumps({"Tom": [0, 0, 1e9, 0, 1e9, 1e9], **SIDES}), "far outside"),
        (json.dumps({"Tom": [3, 2, 3, 2, 3, 2], **SIDES}), "empty"),
        (json.dumps({"Tom": {**RLE, "size": [8]}}), r"\[height, width\]"),
        (json.dumps({"Tom": {**RLE, "size": [8, True]}}), r"\[height, width\]"),
        (json.dumps({"Tom": {**RLE, "size": [9, 9]}}), "do not fill"),
        (json.dumps({"Tom": {**RLE, "size": [10**6, 10**6]}}), "are more than"),
        (json.dumps({"Tom": {**RLE, "counts": "\x00"}}), "do not fill"),
        (json.dumps({"Tom": {**RLE, "counts": "é"}}), "do not fill"),
        (json.dumps({"Tom": {**RLE, "counts": [80, 1]}}), "81 pixels for 10 x 8"),
        (json.dumps({"Tom": {**RLE, "counts": [81, -1]}}), "neither a string nor"),
        (json.dumps({"Tom": {**RLE, "counts": [40, 39.5]}}), "neither a string nor"),
        (json.dumps({"Tom": {**RLE, "counts": 5}}), "neither a string nor"),
    ],
)
def test_what_fits_no_form_is_a_defect(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "1.json"
    path.write_text(content, encoding="utf-8")
    found = read_mask_json(path)
    assert found.objects == ()
    (defect,) = found.defects
    assert re.search(message, defect.message)
    assert defect.where == "1.json"


def test_a_set_with_masks(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "test.txt").write_text("IMGID:1\nTom\tB-PER\nand\tO\nRita\tB-PER\n")
    (tmp_path / "json" / "1.json").write_text(json.dumps(FORMS["labelme polygon"]))
    path = tmp_path / "set.yaml"
    path.write_text("name: s\nformat: twitter-smner\ntext: {test: test.txt}\nmasks: json\n")
    dataset = open_dataset(str(path))
    (gold,) = dataset.gold()
    tom, rita = gold.entities
    assert tom.boxes == (Box(3, 2, 9, 6),)
    assert tom.masks is not None
    assert (tom.masks[0].to_numpy() == PIXELS.astype(bool)).all()
    assert (rita.boxes, rita.masks) == ((), ())
    assert check(dataset).splits["test"].forms == {"labelme polygon": 1}
    (tmp_path / "json" / "1.json").write_text("{")
    with pytest.raises(UserError, match=r"1\.json: cannot be read as JSON"):
        list(dataset.gold())
