"""Fine labels in every format: told where there are some, and no byte more where there are none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.small_runs import answered, named, region, ring, trap_samples, write_run
from helpers.xml_files import read_xml

from riveg.exports.registry import FORMATS, export_run
from riveg.exports.source import ExportReport
from riveg.formats.conll import read_conll
from riveg.formats.smner import read_smner
from riveg.types import Sample

ANN = replace(
    named("Ann", 0, region(mask=ring())),
    fine_label="actor & <b>",
    fine_label_scores={"actor & <b>": 0.75, "city": 0.25},
)
BOB = named("Bob", 1, region(30, 10, 8, ring(30, 10, 8)), id="e1")
SAMPLES = (answered("Ann Bob", ANN, BOB), answered("Ann", ANN, id="2", image="turned.jpg"))


def exported(folder: Path, name: str, samples: tuple[Sample, ...] = SAMPLES) -> ExportReport:
    folder.mkdir(exist_ok=True)
    return export_run(write_run(folder, samples), name, folder / "out")


def files(folder: Path) -> Mapping[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_smner_keeps_records_and_writes_both_levels_as_tags(tmp_path: Path) -> None:
    exported(tmp_path, "smner")
    assert [*read_smner(tmp_path / "out")] == [*SAMPLES]
    assert json.loads((tmp_path / "out" / "index.json").read_text())["conll_fine"]
    tags = {
        name: [sentence.columns for sentence in read_conll(tmp_path / "out" / name)]
        for name in ("predicted.conll", "predicted-fine.conll")
    }
    assert tags == {
        "predicted.conll": [(("B-PER", "B-PER"),), (("B-PER",),)],
        "predicted-fine.conll": [(("B-actor & <b>", "O"),), (("B-actor & <b>",),)],
    }


def test_lines_have_a_column_of_fine_labels(tmp_path: Path) -> None:
    exported(tmp_path, "jsonl")
    rows = [*map(json.loads, (tmp_path / "out" / "entities.jsonl").read_text().splitlines())]
    assert [row["fine_label"] for row in rows] == ["actor & <b>", None, "actor & <b>"]
    assert len({tuple(row) for row in rows}) == 1


def test_parquet_has_a_column_of_fine_labels(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    pytest.importorskip("datasets", reason="needs datasets")
    exported(tmp_path, "parquet")
    rows = parquet.read_table(tmp_path / "out" / "records.parquet").to_pylist()
    assert [entity["fine_label"] for entity in rows[0]["entities"]] == ["actor & <b>", None]


def test_masks_have_their_fine_labels(tmp_path: Path) -> None:
    exported(tmp_path / "coco", "coco")
    document = json.loads((tmp_path / "coco" / "out" / "instances.json").read_text())
    told = [each.get("fine_label") for each in document["annotations"]]
    assert told == ["actor & <b>", None, "actor & <b>"]
    assert "actor & <b>" not in {each["name"] for each in document["categories"]}
    exported(tmp_path / "png", "png")
    legend = json.loads((tmp_path / "png" / "out" / "legend.json").read_text())
    told = [each.get("fine_label") for each in legend["pictures"][0]["entities"]]
    assert told == ["actor & <b>", None]


def test_voc_has_an_element_for_it(tmp_path: Path) -> None:
    exported(tmp_path, "voc")
    root = read_xml(tmp_path / "out" / "Annotations" / "a.xml")
    assert [each.findtext("type") for each in root.iter("object")] == ["PER", "PER"]
    assert [each.findtext("fine_type") for each in root.iter("object")] == ["actor & <b>", None]


def test_yolo_counts_what_it_cannot_hold(tmp_path: Path) -> None:
    left_out = exported(tmp_path, "yolo-seg").left_out
    assert left_out["fine type of a mask (classes are types)"] == 2


def test_triples_tell_both(tmp_path: Path) -> None:
    exported(tmp_path, "triples")
    document = json.loads((tmp_path / "out" / "graph.jsonld").read_text())
    assert document["@context"]["fineLabel"] == "urn:riveg:fine-label"
    told = [
        (node["label"], node.get("fineLabel")) for node in document["@graph"] if "label" in node
    ]
    assert told == [("PER", "actor & <b>"), ("PER", None), ("PER", "actor & <b>")]


def test_label_studio_has_a_choice_for_each_span(tmp_path: Path) -> None:
    exported(tmp_path, "labelstudio")
    (task, _) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    found = [each for each in task["predictions"][0]["result"] if each["type"] == "choices"]
    assert found == [
        {
            "id": "e0:text",
            "from_name": "fine",
            "to_name": "text",
            "type": "choices",
            "value": {"start": 0, "end": 3, "text": "Ann", "choices": ["actor & <b>"]},
        }
    ]
    config = read_xml(tmp_path / "out" / "config.xml")
    assert [each.get("value") for each in config.iter("Choice")] == ["actor & <b>"]
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="needs label-studio-sdk")
    interface = sdk.LabelInterface((tmp_path / "out" / "config.xml").read_text())
    interface.validate()
    assert interface.validate_prediction(task["predictions"][0], return_errors=True) == []


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_said_of_them_where_there_are_none(name: str, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("datasets", reason="needs datasets")
    exported(tmp_path, name, tuple(trap_samples()))
    for path, content in files(tmp_path / "out").items():
        assert not any(word in content for word in (b"fine_", b"fineLabel", b'"fine"')), path
        assert "fine" not in path
