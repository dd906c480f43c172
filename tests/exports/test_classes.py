"""Classes of exports: those that a system declares, in one order, whether they occur or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from helpers.places import ROOT
from helpers.small_runs import answered, named, region, ring, write_run
from helpers.xml_files import read_xml

from riveg import load_system
from riveg.exports.registry import export_run
from riveg.exports.source import ExportSource
from riveg.types import Sample

USUAL = ["PER", "LOC", "ORG", "OTHER"]


def entity_of(label: str) -> Sample:
    return answered("Ann", named("Ann", 0, region(mask=ring()), label=label))


def classes(source: ExportSource, out: Path, name: str) -> list[str]:
    export_run(source, name, out)
    if name == "coco":
        found = json.loads((out / "instances.json").read_text())["categories"]
        assert [each["id"] for each in found] == [*range(1, len(found) + 1)]
        return [each["name"] for each in found]
    if name == "yolo-seg":
        return list(yaml.safe_load((out / "data.yaml").read_text())["names"])
    config = read_xml(out / "config.xml")
    lists = [[label.get("value") for label in part] for part in config if len(part)]
    assert lists[0] == lists[1] == lists[2]
    return [str(each) for each in lists[0]]


def declare(source: ExportSource, labels: list[str]) -> ExportSource:
    path = source.folder / "manifest.json"
    path.write_text(json.dumps({**source.manifest, "labels": labels}))
    return ExportSource.of_run(source.folder)


@pytest.mark.parametrize("name", ["coco", "yolo-seg", "labelstudio"])
def test_splits_number_their_classes_alike(name: str, tmp_path: Path) -> None:
    found = []
    for split, samples in (("dev", [entity_of("ORG")]), ("test", [entity_of("LOC")]), ("no", [])):
        (tmp_path / split).mkdir()
        source = write_run(tmp_path / split, samples)
        found.append(classes(source, tmp_path / split / "out", name))
    assert found == [USUAL, USUAL, USUAL]


@pytest.mark.parametrize("name", ["coco", "yolo-seg", "labelstudio"])
def test_own_types_keep_their_order_and_others_follow(name: str, tmp_path: Path) -> None:
    source = write_run(tmp_path, [entity_of(label) for label in ("ZOO & <B>", "SHIP", "ANT")])
    own = declare(source, ["SHIP", "PORT & CO"])
    assert classes(own, tmp_path / "out", name) == ["SHIP", "PORT & CO", "ANT", "ZOO & <B>"]


@pytest.mark.slow
def test_a_run_says_which_labels_it_may_give(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "name: own\nlabels: [SHIP, PORT]\ntag: {backend: gold}\n", encoding="utf-8"
    )
    with load_system(tmp_path / "own.yaml") as own:
        own.run("quickstart", out=tmp_path / "gold", limit=1)
    with load_system("quickstart") as usual:
        usual.run(ROOT / "data" / "posts.example.jsonl", out=tmp_path / "run", limit=1, until="tag")
    found = [
        json.loads((tmp_path / name / "manifest.json").read_text())["labels"]
        for name in ("gold", "run")
    ]
    assert found == [["SHIP", "PORT", *USUAL], USUAL]
