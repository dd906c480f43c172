"""Guesses in every format: marked or left out, counted once, and known to those who read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.small_runs import answered, named, region, ring, write_run
from helpers.xml_files import read_xml
from pycocotools.coco import COCO

from riveg.datasets.voc import read_voc
from riveg.exports.registry import FORMATS, export_run
from riveg.exports.source import ExportReport
from riveg.formats.smner import read_smner
from riveg.types import Region, Sample

MARKED = ("smner", "voc", "jsonl", "labelstudio", "parquet", "triples")
LEFT_OUT = ("coco", "png", "yolo-seg")


def guess(left: float = 30) -> Region:
    return replace(region(left, 10, 8), score=0.46, source="evidence:prior", guess=True)


def run() -> list[Sample]:
    """A place that was found, with a guess beside it, and an image with a guess alone."""
    found = named("Ann", 0, region(mask=ring()), guess())
    return [
        answered("Ann", found),
        answered("Bob", named("Bob", 0, guess(40)), id="2", image="turned.jpg"),
    ]


def exported(folder: Path, name: str, samples: list[Sample] | None = None) -> ExportReport:
    if name == "parquet":
        pytest.importorskip("datasets", reason="needs the extra data")
    return export_run(write_run(folder, samples or run()), name, folder / "out")


def test_every_format_has_decided() -> None:
    assert {*MARKED, *LEFT_OUT} == {*FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_guesses_are_counted_once_either_way(name: str, tmp_path: Path) -> None:
    report = exported(tmp_path, name)
    told = report.left_out.get("guess (a box that nothing in the picture supports)", 0)
    assert (report.counts.get("guesses", 0), told) == ((2, 0) if name in MARKED else (0, 2))
    assert "region without a mask" not in report.left_out


@pytest.mark.parametrize("name", FORMATS)
def test_a_run_without_guesses_says_nothing_of_them(name: str, tmp_path: Path) -> None:
    report = exported(tmp_path, name, [answered("Ann", named("Ann", 0, region(mask=ring())))])
    assert "guess" not in " ".join([*report.counts, *report.left_out])


def test_smner_is_read_back_with_the_mark(tmp_path: Path) -> None:
    exported(tmp_path, "smner")
    assert [*read_smner(tmp_path / "out")] == run()


def test_voc_marks_them_difficult_and_they_are_no_annotation(tmp_path: Path) -> None:
    exported(tmp_path, "voc")
    path = tmp_path / "out" / "Annotations" / "a.xml"
    told = [
        (each.findtext("difficult"), each.findtext("guess"))
        for each in read_xml(path).iter("object")
    ]
    assert told == [("0", None), ("1", "1")]
    annotation = read_voc(path)
    assert [each.box for each in annotation.objects] == [region().box]
    assert [each.kind for each in annotation.defects] == ["guess"]


@pytest.mark.parametrize(
    "read",
    [
        lambda path: [json.loads(line) for line in path.read_text().splitlines()],
        lambda path: pytest.importorskip("pandas").read_json(path, lines=True).to_dict("records"),
    ],
    ids=["json", "pandas"],
)
def test_jsonl_has_a_column(tmp_path: Path, read: Callable[[Path], list[dict[str, Any]]]) -> None:
    exported(tmp_path, "jsonl", [*run(), answered("Cy", named("Cy", 0), id="3")])
    ann, bob, cy = read(tmp_path / "out" / "entities.jsonl")
    assert (ann["guess"], bob["guess"]) == (False, True)
    assert cy["guess"] is None or cy["guess"] != cy["guess"]  # pandas: not a number
    assert [each["guess"] for each in ann["more_regions"]] == [True]


def test_labelstudio_notes_it_on_the_box(tmp_path: Path) -> None:
    exported(tmp_path, "labelstudio")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_bytes())
    notes = {
        (task["data"]["id"], each["id"]): each.get("meta")
        for task in tasks
        for each in task["predictions"][0]["result"]
        if each.get("to_name") == "image"
    }
    said = {"text": ["guess: nothing in the picture supports this box"]}
    assert notes == {
        ("1", "e0:box:0"): None,
        ("1", "e0:mask:0"): None,
        ("1", "e0:box:1"): said,
        ("2", "e0:box:0"): said,
    }


def test_label_studio_takes_the_note(tmp_path: Path) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="needs label-studio-sdk")
    exported(tmp_path, "labelstudio")
    interface = sdk.LabelInterface((tmp_path / "out" / "config.xml").read_text())
    for task in json.loads((tmp_path / "out" / "tasks.json").read_bytes()):
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []


def test_parquet_has_a_column(tmp_path: Path) -> None:
    report = exported(tmp_path, "parquet")
    datasets = pytest.importorskip("datasets")
    rows = datasets.load_dataset(
        "parquet",
        data_files=str(report.files[0]),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    found = [each["guess"] for row in rows for each in row["entities"][0]["regions"]]
    assert found == [False, True, True]


# rdflib's own reader still uses its old name for a data set.
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_triples_depict_what_was_found_only(tmp_path: Path) -> None:
    rdflib = pytest.importorskip("rdflib", reason="needs rdflib")
    exported(tmp_path, "triples")
    with (tmp_path / "out" / "graph.jsonld").open("rb") as handle:
        graph = rdflib.Graph().parse(handle, format="json-ld")
    depicted = [
        *map(str, graph.objects(None, rdflib.URIRef("http://xmlns.com/foaf/0.1/depiction")))
    ]
    assert [name.rpartition("post:")[2] for name in depicted] == ["1:entity:e0:region:0"]
    marked = graph.subjects(rdflib.URIRef("urn:riveg:guess"), rdflib.Literal(True))
    assert sorted(str(name).rpartition("post:")[2] for name in marked) == [
        "1:entity:e0:region:1:annotation",
        "2:entity:e0:region:0:annotation",
    ]


def test_coco_keeps_the_image_and_not_the_guess(tmp_path: Path) -> None:
    exported(tmp_path, "coco")
    found = COCO(str(tmp_path / "out" / "instances.json"))
    assert sorted(found.getImgIds()) == [1, 2]
    assert [each["image_id"] for each in found.loadAnns(found.getAnnIds())] == [1]


def test_png_and_yolo_hold_what_was_found_only(tmp_path: Path) -> None:
    (tmp_path / "png").mkdir()
    exported(tmp_path / "png", "png")
    legend = json.loads((tmp_path / "png" / "out" / "legend.json").read_text())
    assert [len(each["entities"]) for each in legend["pictures"]] == [1, 0]
    (tmp_path / "yolo").mkdir()
    exported(tmp_path / "yolo", "yolo-seg")
    assert [each.name for each in (tmp_path / "yolo" / "out" / "labels").iterdir()] == ["a.txt"]
