"""What each format promises its readers, whatever a run holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.any_samples import runs
from helpers.small_runs import SIDES, answered, named, region, ring, write_run
from helpers.xml_files import read_xml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from riveg.exports.registry import export_run
from riveg.geometry.masks import mask_box, mask_from_array
from riveg.types import Box, Region, Sample

WIDTH, HEIGHT = SIDES


def far_reaching() -> st.SearchStrategy[list[Sample]]:
    """Samples whose boxes and masks disagree, with boxes that reach beyond the image."""
    edges = st.floats(-30, 90, width=16)
    boxes = st.tuples(edges, edges, st.floats(0.25, 90), st.floats(0.25, 90)).map(
        lambda it: Box(it[0], it[1], it[0] + it[2], it[1] + it[3])
    )
    places = st.builds(Region, boxes, st.none(), st.just(ring()) | st.just(ring(30, 20, 5)))
    return st.lists(places, min_size=1, max_size=3).map(
        lambda found: [answered("Ann", named("Ann", 0, *found))]
    )


def check_coco(out: Path) -> None:
    document = json.loads((out / "instances.json").read_text())
    images = {each["id"]: each for each in document["images"]}
    for each in document["annotations"]:
        image = images[each["image_id"]]
        x, y, width, height = each["bbox"]
        assert 0 <= x < x + width <= image["width"]
        assert 0 <= y < y + height <= image["height"]
        rows, columns = np.nonzero(coco.decode(_rle(each["segmentation"], image)))
        assert x <= columns.min() < columns.max() + 1 <= x + width
        assert y <= rows.min() < rows.max() + 1 <= y + height
        assert each["area"] == len(rows)
        assert each["category_id"] in {item["id"] for item in document["categories"]}


def _rle(segmentation: Any, image: dict[str, Any]) -> Any:
    if isinstance(segmentation, dict):
        return segmentation
    return coco.merge(coco.frPyObjects(segmentation, image["height"], image["width"]))


def check_yolo_seg(out: Path) -> None:
    classes = yaml.safe_load((out / "data.yaml").read_text())["nc"]
    stems = {path.stem for path in (out / "images").iterdir()}
    for path in (out / "labels").iterdir():
        assert path.stem in stems or not path.read_text() or "missing" in path.stem
        for line in path.read_text().splitlines():
            index, *edges = line.split(" ")
            assert 0 <= int(index) < classes
            assert len(edges) >= 6
            assert len(edges) % 2 == 0
            assert all(0 <= float(edge) <= 1 for edge in edges)


def check_voc(out: Path) -> None:
    listed = next((out / "ImageSets" / "Main").iterdir()).read_text(encoding="utf-8").splitlines()
    files = [*(out / "Annotations").iterdir()]
    assert {path.stem for path in files} == {*listed}
    for path in files:
        root = read_xml(path)
        width, height = (int(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
        for box in root.iter("bndbox"):
            x_min, y_min, x_max, y_max = (int(edge.text or "") for edge in box)
            assert 0 <= x_min < x_max <= width
            assert 0 <= y_min < y_max <= height


def check_labelstudio(out: Path) -> None:
    config = read_xml(out / "config.xml")
    controls = {part.get("name"): part for part in config if part.get("toName")}
    for task in json.loads((out / "tasks.json").read_text()):
        for prediction in task["predictions"]:
            shapes = [each for each in prediction["result"] if each["type"] != "relation"]
            names = [each["id"] for each in shapes if each["type"] != "choices"]
            assert len(names) == len({*names})
            for each in shapes:
                known = {label.get("value") for label in controls[each["from_name"]]}
                assert {*each["value"][each["type"]]} <= known
                if each["type"] == "rectanglelabels":
                    value = each["value"]
                    assert 0 <= value["x"] < value["x"] + value["width"] <= 100.0001
                    assert 0 <= value["y"] < value["y"] + value["height"] <= 100.0001
            for each in prediction["result"]:
                if each["type"] == "relation":
                    assert {each["from_id"], each["to_id"]} <= {*names}


def check_png(out: Path) -> None:
    for each in json.loads((out / "legend.json").read_text())["pictures"]:
        with Image.open(out / each["file"]) as image:
            assert image.size == (each["width"], each["height"])
            used = {*np.unique(np.asarray(image)).tolist()} - {0}
        assert used <= {entity["index"] for entity in each["entities"]}


def check_lines(out: Path) -> None:
    (path,) = out.glob("*.jsonl")
    for line in path.read_bytes().split(b"\n")[:-1]:
        json.loads(line)


CHECKS: dict[str, Callable[[Path], None]] = {
    "coco": check_coco,
    "yolo-seg": check_yolo_seg,
    "voc": check_voc,
    "labelstudio": check_labelstudio,
    "png": check_png,
    "jsonl": check_lines,
}


def written(samples: list[Sample], name: str, **options: object) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        export_run(write_run(Path(folder), samples), name, out, options)
        yield out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.parametrize("name", CHECKS)
@settings(max_examples=25, deadline=None)
@given(st.one_of(runs(), far_reaching()))
def test_the_formats_rules_are_kept(name: str, samples: list[Sample]) -> None:
    for out in written(samples, name):
        CHECKS[name](out)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(far_reaching(), st.sampled_from([0.0, 1.5]))
def test_polygons_keep_them_too(samples: list[Sample], tolerance: float) -> None:
    for out in written(samples, "coco", mask="polygon", tolerance=tolerance):
        document = json.loads((out / "instances.json").read_text())
        for each in document["annotations"]:
            x, y, width, height = each["bbox"]
            points = np.concatenate([np.reshape(ring, (-1, 2)) for ring in each["segmentation"]])
            assert (points.min(axis=0) == (x, y)).all()
            assert np.allclose(points.max(axis=0), (x + width, y + height))


def test_no_pixel_of_a_mask_lies_beyond_its_coco_box(tmp_path: Path) -> None:
    """A segmenter that is asked with a box may paint beyond it, and readers cut masks at bbox."""
    pixels = np.zeros((HEIGHT, WIDTH), dtype=bool)
    pixels[3:40, 2:60] = True
    beyond = region(10, 10, 20, mask=mask_from_array(pixels))
    out = tmp_path / "out"
    export_run(write_run(tmp_path, [answered("Ann", named("Ann", 0, beyond))]), "coco", out)
    (annotation,) = COCO(str(out / "instances.json")).anns.values()
    assert annotation["bbox"] == [2, 3, 58, 37]
    assert annotation["region_box"] == [10, 10, 20, 20]


@given(st.integers(0, 2**40 - 1))
def test_the_box_of_a_mask_is_the_smallest(bits: int) -> None:
    pixels = np.array([bits >> number & 1 for number in range(40)], dtype=bool).reshape(5, 8)
    mask = mask_from_array(pixels)
    if not pixels.any():
        return
    rows, columns = np.nonzero(pixels)
    expected = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert mask_box(mask) == expected
