"""``riveg report`` from the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import typer
from helpers.report_pages import data_of, rows_of
from helpers.report_runs import make_run, story
from typer.testing import CliRunner

from riveg.cli.report import report
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
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
    assert (
        "partial: the first 5 of 12 samples; totals are of all (--max-samples, --page)"
        in done.output
    )
    assert (run / "report.html").is_file()


def test_every_sample_is_on_one_of_the_pages(run: Path) -> None:
    for number, name, shown in (
        (1, "report.html", "the first 5 of 12"),
        (2, "report-2.html", "samples 6 to 10 of 12"),
        (3, "report-3.html", "samples 11 to 12 of 12"),
    ):
        done = CliRunner().invoke(app, [str(run), "--max-samples", "5", "--page", str(number)])
        assert done.exit_code == 0, done.output
        assert f"partial: {shown} samples" in done.output
        assert name in done.output
    ids = [one.id for one in read_records(run)]
    pages = [rows_of(run / name) for name in ("report.html", "report-2.html", "report-3.html")]
    assert [row["id"] for page in pages for row in page] == ids
    (summary,) = data_of(run / "report-3.html", 'id="summary"')
    assert (summary["samples"], summary["skipped"], summary["shown"]) == (12, 10, 2)
    # The page has the pictures of its own samples.
    assert (run / "report-3.html").read_text().count('id="picture-') == 2


def test_a_page_behind_the_last_is_told(run: Path) -> None:
    done = CliRunner().invoke(app, [str(run), "--max-samples", "6", "--page", "3"])
    assert isinstance(done.exception, UserError)
    assert "has 12 samples, none behind the first 12; give a smaller --page" in str(done.exception)
    assert not (run / "report-3.html").exists()


def test_two_runs(run: Path, tmp_path: Path) -> None:
    samples, _ = story(tmp_path / "pictures")
    shared = next(read_records(run))
    other = make_run(tmp_path / "other", [shared, *samples], images=tmp_path / "pictures")
    done = CliRunner().invoke(app, [str(run), "--compare", str(other)])
    assert done.exit_code == 0, done.output
    assert "47 samples only in the second run" in done.output
