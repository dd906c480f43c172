"""``riveg report`` from the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import typer
from helpers.report_runs import make_run, story
from typer.testing import CliRunner

from riveg.cli.report import report
from riveg.datasets.opening import open_dataset
from riveg.runs.reading import read_records
from riveg.types import Entity

app = typer.Typer()
app.command()(report)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The quickstart's samples with the tags of its gold."""
    samples = []
    for sample, gold in open_dataset("quickstart", split="test").annotated_samples():
        entities = tuple(
            Entity(f"e{number}", entity.text, entity.label, entity.span, regions=())
            for number, entity in enumerate(gold.entities)
        )
        samples.append(replace(sample, entities=entities))
    (root,) = open_dataset("quickstart").image_roots
    return make_run(tmp_path / "run", samples, images=root, data="quickstart", data_version="1")


def test_a_run_with_gold(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    done = CliRunner().invoke(app, [str(run), "--gold", "quickstart", "--out", str(page)])
    assert done.exit_code == 0, done.output
    assert "12 samples" in done.output
    assert "MNER 100.00" in done.output
    assert page.read_bytes().startswith(b"<!doctype html>")


def test_a_partial_page_says_so(run: Path) -> None:
    done = CliRunner().invoke(app, [str(run), "--max-samples", "5"])
    assert done.exit_code == 0, done.output
    assert "partial: the first 5 of 12 samples; totals are of all (--max-samples)" in done.output
    assert (run / "report.html").is_file()


def test_two_runs(run: Path, tmp_path: Path) -> None:
    samples, _ = story(tmp_path / "pictures")
    shared = next(read_records(run))
    other = make_run(tmp_path / "other", [shared, *samples], images=tmp_path / "pictures")
    done = CliRunner().invoke(app, [str(run), "--compare", str(other)])
    assert done.exit_code == 0, done.output
    assert "47 samples only in the second run" in done.output
