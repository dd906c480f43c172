"""Records and manifest belong together: no command takes those of one run for those of another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers.places import ROOT
from typer.testing import CliRunner

from riveg.cli import app
from riveg.errors import UserError
from riveg.evaluation.reading import open_predictions
from riveg.evaluation.reruns import run_settings
from riveg.exports.source import ExportSource
from riveg.formats.run_records import DIGEST
from riveg.runs.reading import read_records, stage_answers

ORACLE = """\
name: changing
tag: {backend: gold}
entail: {backend: gold}
ground: {backend: gold}
"""

ASKING = """\
name: changing
llm: {main: {model: m, base_urls: ["http://127.0.0.1:9/v1"], tries: 1}}
tag: {backend: chat, llm: main}
entail: {backend: mini}
ground: {backend: gold}
"""
"""Nobody listens there."""

READING: Sequence[Sequence[str]] = (
    ("eval", "{run}"),
    ("eval", "{run}", "--json", "-"),
    ("compare", "{run}", "{good}"),
    ("compare", "{good}", "{run}"),
    ("report", "{run}", "--out", "{out}.html"),
    ("export", "{run}", "--format", "jsonl", "--out", "{out}"),
    ("export", "{run}", "--format", "coco", "--out", "{out}"),
    ("calibrate", "{run}", "--gold", "quickstart", "--out", "{out}.json"),
    ("show", "run", "{run}"),
)

pytestmark = pytest.mark.slow  # runs and processes take seconds


def riveg(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "riveg", *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of oracles."""
    folder = tmp_path_factory.mktemp("good")
    system = written(folder / "changing.yaml", ORACLE)
    done = riveg("run", system, "--data", "quickstart", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def failed(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The oracles' records below the manifest of a run whose server is down."""
    folder = tmp_path_factory.mktemp("failed")
    copy_of(good, folder / "run")
    system = written(folder / "changing.yaml", ASKING)
    done = riveg("run", system, "--data", "quickstart", "--out", folder / "run")
    assert done.returncode == 2, done.stdout
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    assert (manifest["oracle_stages"], manifest["finished"]) == (["ground"], None)
    assert (folder / "run" / "records.jsonl").is_file()
    return folder / "run"


def copy_of(run: Path, target: Path) -> Path:
    subprocess.run(["cp", "-r", run, target], check=True)
    return target


def filled(arguments: Sequence[str], run: Path, good: Path, out: Path) -> list[str]:
    return [word.format(run=run, good=good, out=out) for word in arguments]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_old_records_are_not_taken_under_a_new_manifest(
    arguments: Sequence[str], failed: Path, good: Path, tmp_path: Path
) -> None:
    words = filled(arguments, failed, good, tmp_path / "out")
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UserError), done.output
    assert f"{failed}: its run has not come to its end" in str(done.exception)
    assert not [*tmp_path.iterdir()]
    assert "100.00" not in done.output


def test_a_program_is_refused_as_well(failed: Path) -> None:
    for read in (lambda: open_predictions(failed), lambda: ExportSource.of_run(failed)):
        with pytest.raises(UserError, match="has not come to its end"):
            read()
    with pytest.raises(UserError, match="has not come to its end"):
        next(read_records(failed))


@pytest.mark.parametrize("arguments", [one for one in READING if one[0] != "calibrate"])
def test_records_of_another_run_are_refused(
    arguments: Sequence[str], good: Path, tmp_path: Path
) -> None:
    run = copy_of(good, tmp_path / "run")
    lines = (run / "records.jsonl").read_bytes().splitlines(keepends=True)
    (run / "records.jsonl").write_bytes(b"".join(lines[:-1]))
    done = CliRunner().invoke(app, filled(arguments, run, good, tmp_path / "out"))
    assert isinstance(done.exception, UserError), done.output
    assert "records.jsonl: is not what the run of manifest.json has written" in str(done.exception)
    assert [*tmp_path.iterdir()] == [run]


def with_manifest(run: Path, **values: object) -> Path:
    """The run with other values in its manifest; ``None`` takes a key away."""
    path = run / "manifest.json"
    manifest = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: one for key, one in manifest.items() if one is not None}))
    return run


def test_a_run_of_schema_1_has_no_digest_and_is_read(good: Path, tmp_path: Path) -> None:
    run = with_manifest(copy_of(good, tmp_path / "run"), **{DIGEST: None, "schema": 1})
    assert [*read_records(run)] == [*read_records(good)]


def test_an_end_that_was_written_into_a_manifest_is_none(failed: Path, tmp_path: Path) -> None:
    run = with_manifest(copy_of(failed, tmp_path / "run"), finished=1.0)
    with pytest.raises(UserError, match="has not come to its end"):
        open_predictions(run)


def test_settings_of_another_run_are_refused(good: Path, tmp_path: Path) -> None:
    run = copy_of(good, tmp_path / "run")
    assert run_settings(run)["ground"] == {"backend": "gold"}
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("name: changing", "name: another"))
    with pytest.raises(UserError) as error:
        run_settings(run)
    assert str(error.value) == f"{path}: is not what the run had; give the run again"


def test_a_run_given_again_while_its_records_are_read_changes_nothing(
    good: Path, tmp_path: Path
) -> None:
    run = copy_of(good, tmp_path / "run")
    expected = [*read_records(good)]
    records: Iterator[object] = read_records(run)
    first = next(records)
    written(run / "other", "").replace(run / "records.jsonl")
    assert [first, *records] == expected
    predictions = open_predictions(good)
    held = predictions.manifest
    with pytest.raises(UserError, match="is not what the run"):
        next(read_records(run, held))


def test_answers_of_another_run_are_not_shown_as_those_of_this_one(
    failed: Path, good: Path
) -> None:
    some = next(read_records(good)).id
    assert [one.stage for one in stage_answers(good, some)] == ["input", "tag", "entail", "ground"]
    assert [one.stage for one in stage_answers(failed, some)] == ["input"]
    done = CliRunner().invoke(app, ["show", "run", str(failed), "--id", some])
    assert done.exit_code == 0
    assert "no answer of this run yet: tag, entail, ground" in done.stdout


def test_answers_to_what_is_not_said_any_more_are_not_shown(good: Path, tmp_path: Path) -> None:
    run = copy_of(good, tmp_path / "run")
    some = next(read_records(good)).id
    part = run / "0-input" / "part-00000.jsonl"
    header, first, *rest = part.read_bytes().split(b"\n")
    part.write_bytes(b"\n".join((header, first.replace(b'"text":"', b'"text":"Not '), *rest)))
    assert [one.stage for one in stage_answers(run, some)] == ["input"]


def test_a_run_killed_over_a_finished_one_is_refused_until_it_ends(
    good: Path, tmp_path: Path
) -> None:
    run = copy_of(good, tmp_path / "run")
    system = written(tmp_path / "changing.yaml", ORACLE.replace("ground: {backend: gold}", ""))
    command = ("run", system, "--data", "quickstart", "--set", "observe.backend=evidence")
    arguments = [sys.executable, "-m", "riveg", *map(str, command), "--out", str(run)]
    before = (run / "manifest.json").read_bytes()
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as going:
        while (run / "manifest.json").read_bytes() == before:
            assert going.poll() is None
            time.sleep(0.002)
        going.send_signal(signal.SIGKILL)
    with pytest.raises(UserError, match="has not come to its end"):
        open_predictions(run)
    assert riveg(*command, "--out", run).returncode == 0
    assert open_predictions(run).stages == ("tag", "observe", "entail")
