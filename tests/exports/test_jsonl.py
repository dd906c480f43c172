"""One line an entity, the same keys in each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from helpers.small_runs import SIDES, answered, named, region, ring, trap_samples, write_run

from riveg.exports.jsonl import export_jsonl


def test_every_entity_has_a_line_with_the_same_keys(tmp_path: Path) -> None:
    report = export_jsonl(write_run(tmp_path, trap_samples()), tmp_path)
    lines = (tmp_path / "entities.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    rows = [json.loads(line) for line in lines]
    assert len({tuple(row) for row in rows}) == 1
    assert [row["entity"] for row in rows] == ["Ann", "Ann", "Łódź", '"Bob"', "Ghost", "Climber"]
    assert report.counts == {"posts": 4, "entities": 6}
    assert report.left_out == {"post without an entity": 1, "post not answered": 1}
    for row in rows:
        start, end = row["characters"]
        assert row["text"][start:end] == row["entity"]


def test_a_line_holds_the_best_place_and_then_the_others(tmp_path: Path) -> None:
    mask = ring()
    found = named("Ann", 0, region(mask=mask), region(30, 10, 8))
    export_jsonl(write_run(tmp_path, [answered("Ann", found)]), tmp_path)
    row = json.loads((tmp_path / "entities.jsonl").read_text())
    assert (row["box"], row["box_score"], row["box_source"]) == (
        [4, 6, 24, 26],
        0.5,
        "evidence:face",
    )
    assert row["mask"] == {"size": [SIDES[1], SIDES[0]], "counts": mask.counts}
    assert [each["box"] for each in row["more_regions"]] == [[30, 10, 38, 18]]
    assert (row["groundable"], row["probability"], row["grounded"]) == (True, 0.9, True)


def test_no_region_and_not_answered_are_different(tmp_path: Path) -> None:
    found = named("Ann", 0)
    samples = [answered("Ann", found), answered("Ann", replace(found, regions=None), id="2")]
    export_jsonl(write_run(tmp_path, samples), tmp_path)
    lines = (tmp_path / "entities.jsonl").read_text().splitlines()
    assert [json.loads(line)["grounded"] for line in lines] == [False, None]
