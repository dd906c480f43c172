"""``riveg data check`` and ``riveg data convert``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from riveg.cli.data import app
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError

RUNNER = CliRunner()


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    entity = {"label": "PER", "start": 0, "end": 1, "boxes": [[1, 2, 3, 4]]}
    rows = [{"id": "a", "text": "Tom [red]!", "entities": [entity]}, {"id": "b", "text": "no"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_sound_dataset_exits_with_zero(samples: Path) -> None:
    result = RUNNER.invoke(app, ["check", str(samples)])
    assert result.exit_code == 0, result.output
    assert "no defects" in result.output
    assert "PER" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_defects_exit_with_one_and_are_grouped(samples: Path) -> None:
    bad = {"id": "\x1b[2J[bold]", "text": ""}
    samples.write_text(samples.read_text() + (json.dumps(bad) + "\n") * 3)
    result = RUNNER.invoke(app, ["check", str(samples)])
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    words = result.output.split()
    assert words[words.index("empty-text") + 1] == "3"
    assert words[words.index("duplicate-id") + 1] == "2"
    assert "5 defects" in result.output


def test_json_has_everything(samples: Path) -> None:
    samples.write_text(samples.read_text() + "{\n")
    result = RUNNER.invoke(app, ["check", str(samples), "--json"])
    report = json.loads(result.output)
    assert result.exit_code == 1
    assert report["splits"]["posts"]["by_type"]["PER"] == {"entities": 1, "groundable": 1}
    assert [defect["where"] for defect in report["defects"]] == ["posts.jsonl:3"]


def test_convert_writes_a_copy(samples: Path) -> None:
    copy = samples.with_name("copy.jsonl")
    result = RUNNER.invoke(app, ["convert", str(samples), "--to", "jsonl", "--out", str(copy)])
    assert result.exit_code == 0, result.output
    assert "2 posts" in result.output
    assert list(open_dataset(str(copy)).gold()) == list(open_dataset(str(samples)).gold())


def test_convert_tells_what_it_left_out(samples: Path) -> None:
    samples.write_text(samples.read_text() + "{\n")
    copy = samples.with_name("copy.jsonl")
    result = RUNNER.invoke(app, ["convert", str(samples), "--to", "jsonl", "--out", str(copy)])
    assert result.exit_code == 1
    assert "left out: bad-json" in result.output


@pytest.mark.parametrize("target", ["posts.jsonl", "other.txt", "folder", "link"])
def test_convert_overwrites_nothing(samples: Path, target: str) -> None:
    (samples.parent / "folder").mkdir()
    (samples.parent / "other.txt").write_text("mine")
    (samples.parent / "link").symlink_to("nowhere")
    before = {path: path.read_bytes() for path in samples.parent.iterdir() if path.is_file()}
    out = samples.with_name(target)
    result = RUNNER.invoke(app, ["convert", str(samples), "--to", "jsonl", "--out", str(out)])
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == (f"{out}: is there already; choose another --out, or remove it")
    after = {path: path.read_bytes() for path in samples.parent.iterdir() if path.is_file()}
    assert after == before


def test_a_header_alone_is_a_defect(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("text,image\n")
    result = RUNNER.invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert "no-samples" in result.output
    assert "1 defect; all of them" in result.output


def test_one_sample_is_one_sample(tmp_path: Path) -> None:
    path, copy = tmp_path / "posts.csv", tmp_path / "copy.jsonl"
    path.write_text("text,image\na,\n")
    result = RUNNER.invoke(app, ["convert", str(path), "--to", "jsonl", "--out", str(copy)])
    assert "1 post written" in result.output
