"""``riveg eval`` as a person gives it."""

import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import riveg
from rich.console import Console

from riveg.cli.evaluation_sheets import head_lines, sheets
from riveg.cli.tables import print_hanging
from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import AnnotatedEntity, PredictedEntity
from riveg.evaluation.evaluate import EvaluationOptions, evaluate
from riveg.evaluation.gold import GoldSample, gold_set
from riveg.evaluation.predictions import Prediction, Predictions
from riveg.geometry.masks import mask_from_array
from riveg.runs.reading import read_record_lines
from riveg.types import Box, Region, Span

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = riveg("run", "quickstart", "--out", folder, "--limit", "3")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_tables_fit_a_terminal_and_say_what_was_scored(run_folder: Path) -> None:
    done = riveg("eval", run_folder, "--budget", "--protocol", "all", "--average-precision")
    assert done.returncode == 0, done.stderr
    tables = done.stdout.partition("only a run can tell")[0]
    lines = [line for line in tables.splitlines() if not line.startswith("from")]
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    for line in (
        "data      quickstart, version 1, split test",
        "scored    3 samples (partial: --limit)",
        "protocol  canonical: same tokens, best region, IoU >= 0.5",
        "oracle    none",
        "never ground",
        "perfect boxes",
        "boxes of groundable entities",
        "protocol tiger:",
        "--set tag.backend=gold",
        "AP50",
    ):
        assert line in done.stdout, line


def test_the_json_holds_what_the_table_shows(run_folder: Path, tmp_path: Path) -> None:
    done = riveg("eval", run_folder, "--gold", "quickstart", "--json", "-", "--protocol", "riveg")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    score = document["scores"]["canonical"]["gmner"]
    assert score["f1"] == pytest.approx(
        200 * score["hits"] / (score["predicted"] + score["gold"]), abs=1e-3
    )
    assert score["interval"][0] <= score["f1"] <= score["interval"][1]
    assert {"mner", "eeg", "gmner"} <= {*document["scores"]["canonical"]}
    assert {*document["scores"]["riveg"]} == {"eeg", "gmner"}
    target = tmp_path / "deep" / "scores.json"
    markdown = tmp_path / "scores.md"
    done = riveg("eval", run_folder, "--json", target, "--markdown", markdown)
    assert json.loads(target.read_text())["scores"]["canonical"]["gmner"] == score
    assert f"{score['f1']:.2f}" in done.stdout
    assert "| GMNER | " in markdown.read_text()


def test_one_sample_is_explained(run_folder: Path) -> None:
    done = riveg("eval", run_folder, "--why", "qs01-astronaut", "--protocol", "all")
    assert done.returncode == 0, done.stderr
    assert "said  Eileen Collins PER" in done.stdout
    assert "h-index: hit" in done.stdout
    assert "counts of this sample" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gold", "twitter-gmnr"], "did you mean twitter-gmner"),
        (["--why", "nobody"], "--why nobody: no such sample"),
        (["--protocol", "tigger"], "did you mean tiger"),
        (["--masks", "some"], "--masks some: expected any or union"),
        (["--split", "dev"], "no split 'dev'"),
        (["--json", "."], ".: expected the name of a file to write"),
        (["--markdown", "."], ".: expected the name of a file to write"),
    ],
)
def test_a_mistake_is_one_line(run_folder: Path, arguments: list[str], message: str) -> None:
    done = riveg("eval", run_folder, *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    done = riveg("eval", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is in none of the formats" in done.stderr


def test_a_file_is_no_run_folder(run_folder: Path) -> None:
    for command in (["eval", "--format", "run"], ["report"]):
        done = riveg(*command, run_folder / "records.jsonl", "--gold", "quickstart")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "a run folder" in done.stderr


def test_records_that_went_through_an_editor_are_read(run_folder: Path, tmp_path: Path) -> None:
    records = (run_folder / "records.jsonl").read_bytes()
    edited = tmp_path / "edited.jsonl"
    edited.write_bytes(b"\xef\xbb\xbf" + records.replace(b"\n", b"\r\n") + b"\n\n")
    assert [*read_record_lines(edited)] == [*read_record_lines(run_folder / "records.jsonl")]
    done = riveg("eval", edited, "--gold", "quickstart")
    assert done.returncode == 0, done.stderr


def test_what_a_run_of_tags_cannot_have_is_not_scored(tmp_path: Path) -> None:
    done = riveg("run", "quickstart", "--out", tmp_path / "tags", "--limit", "2", "--until", "tag")
    assert done.returncode == 0, done.stderr
    done = riveg("eval", tmp_path / "tags", "--protocol", "all")
    assert done.returncode == 0, done.stderr
    assert "0.00 [0.0, 0.0]" not in done.stdout
    for words in (
        "note      the predictions are tags only, nothing is said of places: MNER is",
        "note      protocol tiger is not scored: to it an entity without a place is no",
    ):
        assert words in done.stdout, words
    for title in ("scores, with 95 % intervals", "protocol riveg", "protocol e2e"):
        table = done.stdout.partition(f"\n{title}")[2].partition("\n\n")[0]
        assert re.search(r"^GMNER +not scored *$", table, re.MULTILINE), title
    document = json.loads(riveg("eval", tmp_path / "tags", "--json", "-").stdout)
    assert document["scores"]["canonical"]["gmner"] is None
    told = riveg("eval", tmp_path / "tags", "--why", "qs01-astronaut", "--protocol", "all").stdout
    assert "riveg: not scored" in told
    assert re.search(r"^canonical +gmner +not scored *$", told, re.MULTILINE)


def test_fine_types_and_masks_are_distinguished_from_coarse_types_and_boxes() -> None:
    mask = mask_from_array(np.ones((10, 10), dtype=bool))
    name = "film_and_television_works"
    words, span, box = "Mulan", Span(0, 1), Box(0, 0, 10, 10)
    gold = gold_set(
        "posts", {"1": GoldSample((AnnotatedEntity(words, "OTHER", span, name, (box,), (mask,)),))}
    )
    predicted = PredictedEntity(words, name, span, True, (Region(box, mask=mask),))
    predictions = Predictions("said", "jsonl", lambda: iter([Prediction("1", (predicted,))]))
    found = evaluate(predictions, gold, EvaluationOptions(rules=Rules(mask_iou=0.7, masks="union")))
    assert "masks     IoU >= 0.7 with the union of the gold masks" in [*head_lines(found)]
    tables = {sheet.title: sheet for sheet in sheets(found)}
    assert [row[0] for row in tables["by type"].rows] == ["OTHER"]
    fine = tables["by fine type: FMNER, then FMNERG"]
    assert fine.rows == ((name, "1", *["100.00"] * 6),)
    widths = [max(map(len, cells)) for cells in zip(fine.columns, *fine.rows, strict=True)]
    assert sum(widths) + 2 * (len(widths) - 1) <= 80


def test_long_notes_go_on_under_their_begin() -> None:
    out = StringIO()
    console = Console(file=out, width=30)
    print_hanging(console, "note      one two three four five six \x1b seven", 10)
    print_hanging(console, "note      " + "x" * 45, 10)
    print_hanging(console, "oracle    none", 10)
    assert out.getvalue().splitlines() == [
        "note      one two three four",
        "          five six \\x1b seven",
        "note      " + "x" * 20,
        "          " + "x" * 20,
        "          " + "x" * 5,
        "oracle    none",
    ]
