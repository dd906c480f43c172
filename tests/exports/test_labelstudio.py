"""Label Studio tasks: places that are right to the pixel, ids that hold, what is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from defusedxml import ElementTree
from helpers.small_runs import (
    IMAGES,
    SIDES,
    answered,
    boxes,
    named,
    region,
    ring,
    trap_samples,
    write_run,
)
from helpers.xml_files import read_xml
from hypothesis import given
from hypothesis import strategies as st

from riveg.exports.labelstudio import (
    box_in_percent,
    export_labelstudio,
    fit_for_xml,
    image_address,
    labeling_config,
)
from riveg.formats.brush import brush_to_mask
from riveg.geometry.masks import mask_from_array
from riveg.types import Box, Entity, ImageRef, ImageSize, Mask, Region, Sample, Span


def exported(folder: Path, *samples: Sample) -> tuple[list[dict[str, Any]], Any]:
    report = export_labelstudio(write_run(folder, samples), folder / "out")
    return json.loads((folder / "out" / "tasks.json").read_bytes()), report


def results(task: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [result for result in task["predictions"][0]["result"] if result["type"] == kind]


def test_a_task_joins_text_and_image(tmp_path: Path) -> None:
    (task, *_), _ = exported(tmp_path, *trap_samples())
    assert [each["id"] for each in task["predictions"][0]["result"] if "id" in each] == [
        "e0:text",
        "e0:box:0",
        "e0:mask:0",
        "e0:box:1",
        "e1:text",
        "e1:box:0",
        "e1:mask:0",
        "e2:text",
    ]
    joined = [(each["from_id"], each["to_id"]) for each in results(task, "relation")]
    assert joined == [
        ("e0:text", "e0:box:0"),
        ("e0:text", "e0:mask:0"),
        ("e0:text", "e0:box:1"),
        ("e1:text", "e1:box:0"),
        ("e1:text", "e1:mask:0"),
    ]
    assert {each["direction"] for each in results(task, "relation")} == {"right"}
    assert task["predictions"][0]["model_version"] == "riveg quick"
    assert task["predictions"][0]["score"] == 0.75


def test_spans_are_code_points_of_the_text_that_is_shown(tmp_path: Path) -> None:
    (task, *_), _ = exported(tmp_path, *trap_samples())
    text = task["data"]["text"]
    values = [each["value"] for each in results(task, "labels")]
    assert [text[value["start"] : value["end"]] for value in values] == ["Ann", "Ann", "Łódź"]
    assert [value["text"] for value in values] == ["Ann", "Ann", "Łódź"]
    assert [value["labels"] for value in values] == [["PER"], ["PER"], ["LOC"]]
    assert values[0]["start"] != values[1]["start"]


def test_masks_are_brushes_of_the_same_pixels(tmp_path: Path) -> None:
    (task, *_), _ = exported(tmp_path, *trap_samples())
    brush = results(task, "brushlabels")[0]
    assert ImageSize(brush["original_width"], brush["original_height"]) == SIDES
    assert brush["image_rotation"] == 0
    assert brush["value"]["format"] == "rle"
    assert brush["value"]["brushlabels"] == ["PER"]
    assert brush_to_mask(brush["value"]["rle"], SIDES, "grabcut") == ring()


@given(boxes())
def test_percent_comes_back_to_the_pixel(box: Box) -> None:
    width, height = SIDES
    value = box_in_percent(box, ImageSize(width, height))
    assert all(0 <= number <= 100 for number in value.values())
    left, top = value["x"] * width / 100, value["y"] * height / 100
    back = (left, top, left + value["width"] * width / 100, top + value["height"] * height / 100)
    assert back == pytest.approx((box.x_min, box.y_min, box.x_max, box.y_max), abs=1e-9)


@pytest.mark.parametrize(
    ("box", "expected", "reason"),
    [
        (Box(-10, -10, 32, 24), (0, 0, 50, 50), "part of a box beyond its picture"),
        (Box(32, 24, 99, 99), (50, 50, 50, 50), "part of a box beyond its picture"),
        (Box(64, 0, 70, 10), None, "box outside its picture"),
        (Box(0, -9, 10, 0), None, "box outside its picture"),
    ],
)
def test_boxes_that_reach_out(
    box: Box, expected: tuple[int, ...] | None, reason: str, tmp_path: Path
) -> None:
    (task,), report = exported(tmp_path, answered("Ann", named("Ann", 0, Region(box))))
    values = [each["value"] for each in results(task, "rectanglelabels")]
    found = [tuple(value[name] for name in ("x", "y", "width", "height")) for value in values]
    assert found == ([expected] if expected else [])
    assert report.left_out == {reason: 1}


def test_images_are_named_as_the_server_reads_them(tmp_path: Path) -> None:
    (first, *_, last), _ = exported(tmp_path, *trap_samples())
    address = urlparse(first["data"]["image"])
    assert address.path == "/data/local-files/"
    assert parse_qs(address.query)["d"] == [f"pictures/{IMAGES[1]}"]
    assert last["data"]["image"].startswith("data:image/gif")
    readme = (tmp_path / "out" / "README.txt").read_text()
    assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={tmp_path}" in readme


@given(st.text(min_size=1).filter(lambda name: not {*"./\0"} & {*name}))
def test_any_file_name_is_read_as_it_was_written(name: str) -> None:
    address = image_address(Path("/posts/pictures"), name * 20, Path("/posts"))
    assert parse_qs(urlparse(address).query)["d"] == [f"pictures/{name * 20}"]


def test_a_name_too_long_for_the_disk_is_no_crash(tmp_path: Path) -> None:
    (task,), _ = exported(tmp_path, answered("Ann", image="x" * 5000))
    assert task["data"]["image"].endswith("xxx")


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    tasks, report = exported(tmp_path, *trap_samples())
    assert len(tasks) == 6
    assert tasks[0]["data"]["id"] == "ünï/ ../:1"
    assert tasks[1]["predictions"][0]["result"] == []
    assert tasks[2]["predictions"] == []
    assert report.counts == {"tasks": 6, "spans": 6, "boxes": 4, "masks": 2, "relations": 6}
    assert report.left_out == {
        "sample that was not tagged": 1,
        "region in a picture that cannot be read": 1,
        "that an entity's place was not answered": 1,
        "picture outside its folder": 1,
        "part of a box beyond its picture": 1,
    }


def test_a_mask_that_cannot_be_painted_is_counted(tmp_path: Path) -> None:
    width, height = SIDES
    empty = mask_from_array(np.zeros((height, width), dtype=bool))
    masks = [empty, Mask(1, 1, "01"), Mask(height, width, "8")]
    regions = [region(mask=mask) for mask in masks]
    sample = answered("Ann", named("Ann", 0, *regions, region(70)))
    (task,), report = exported(tmp_path, sample)
    assert not results(task, "brushlabels")
    assert report.left_out == {
        "mask with no pixel": 1,
        "mask of another size than its picture": 1,
        "mask whose run lengths are damaged": 1,
        "box outside its picture": 1,
    }


def test_repeated_entity_ids_and_hostile_ones_stay_distinct(tmp_path: Path) -> None:
    names = ["e{}", "e{}", "e{}~2", "", "{0}:text"]
    everyone = [named("Ann", 0, region(mask=ring()), id=name) for name in names]
    (task,), _ = exported(tmp_path, answered("Ann", *everyone))
    ids = [each["id"] for each in task["predictions"][0]["result"] if "id" in each]
    assert len(set(ids)) == len(ids) == 15
    known = {*ids}
    assert all({each["from_id"], each["to_id"]} <= known for each in results(task, "relation"))


def test_a_span_beyond_the_tokens_leaves_its_regions(tmp_path: Path) -> None:
    stray = Entity("e0", "Ann", "PER", Span(7, 8), regions=(region(),))
    (task,), report = exported(tmp_path, answered("Bob", stray))
    assert [each["type"] for each in task["predictions"][0]["result"]] == ["rectanglelabels"]
    assert report.left_out == {"span beyond the post's tokens": 1}


def test_unknown_sides_are_measured_upright(tmp_path: Path) -> None:
    sample = replace(answered("Ann", named("Ann", 0, region())), image=ImageRef("turned.jpg"))
    (task,), _ = exported(tmp_path, sample)
    (box,) = results(task, "rectanglelabels")
    assert (box["original_width"], box["original_height"]) == SIDES


def test_the_labels_of_all_controls_are_the_declared_and_those_of_the_records(
    tmp_path: Path,
) -> None:
    exported(tmp_path, *trap_samples())
    config = read_xml(tmp_path / "out" / "config.xml")
    for tag in ("Labels", "RectangleLabels", "BrushLabels"):
        (control,) = config.iter(tag)
        assert [each.get("value") for each in control] == [
            "PER",
            "LOC",
            "ORG",
            "OTHER",
            "SHIP & CO",
        ]
        assert {each.get("background") for each in control} >= {"#0072B2", "#009E73"}


@given(st.sets(st.text(min_size=1), max_size=5))
def test_any_label_fits_the_configuration(labels: set[str]) -> None:
    fitted = {fit_for_xml(label) for label in labels}
    config = ElementTree.fromstring(labeling_config(fitted))
    assert {each.get("value") for each in config.iter("Label")} == fitted


def test_no_samples_and_no_entities_are_still_a_project(tmp_path: Path) -> None:
    tasks, _ = exported(tmp_path)
    assert tasks == []
    assert 'value="PER"' in (tmp_path / "out" / "config.xml").read_text()


def test_nul_never_reaches_the_database(tmp_path: Path) -> None:
    sample = answered("A\0nn", named("A\0nn", 0, id="e\0"), id="\0")
    exported(tmp_path, sample)
    assert b"u0000" not in (tmp_path / "out" / "tasks.json").read_bytes()


def test_exports_repeat_byte_by_byte(tmp_path: Path) -> None:
    source = write_run(tmp_path, trap_samples())
    contents = []
    for name in ("one", "two"):
        export_labelstudio(source, tmp_path / name)
        contents.append((tmp_path / name / "tasks.json").read_bytes())
    assert contents[0] == contents[1]


def test_label_studio_accepts_it(tmp_path: Path) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="needs label-studio-sdk")
    tasks, _ = exported(tmp_path, *trap_samples())
    interface = sdk.LabelInterface((tmp_path / "out" / "config.xml").read_text())
    interface.validate()
    for task in tasks:
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []
