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
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    entity = {"label": "PER", "start": 0, "end": 1, "boxes": [[1, 2, 3, 4]]}
    rows = [{"id": "a", "text": "Tom [red]!", "entities": [entity]}, {"id": "b", "text": "no"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_sound_dataset_exits_with_zero(posts: Path) -> None:
    result = RUNNER.invoke(app, ["check", str(posts)])
    assert result.exit_code == 0, result.output
    assert "no defects" in result.output
    assert "PER" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_defects_exit_with_one_and_are_grouped(posts: Path) -> None:
    bad = {"id": "\x1b[2J[bold]", "text": ""}
    posts.write_text(posts.read_text() + (json.dumps(bad) + "\n") * 3)
    result = RUNNER.invoke(app, ["check", str(posts)])
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    words = result.output.split()
    assert words[words.index("empty-text") + 1] == "3"
    assert words[words.index("duplicate-id") + 1] == "2"
    assert "5 defects" in result.output


def test_json_has_everything(posts: Path) -> None:
    posts.write_text(posts.read_text() + "{\n")
    result = RUNNER.invoke(app, ["check", str(posts), "--json"])
    report = json.loads(result.output)
    assert result.exit_code == 1
    assert report["splits"]["posts"]["by_type"]["PER"] == {"entities": 1, "groundable": 1}
    assert [defect["where"] for defect in report["defects"]] == ["posts.jsonl:3"]


def test_convert_writes_a_copy(posts: Path) -> None:
    copy = posts.with_name("copy.jsonl")
    result = RUNNER.invoke(app, ["convert", str(posts), "--to", "jsonl", "--out", str(copy)])
    assert result.exit_code == 0, result.output
    assert "2 posts" in result.output
    assert list(open_dataset(str(copy)).gold()) == list(open_dataset(str(posts)).gold())


def test_convert_tells_what_it_left_out(posts: Path) -> None:
    posts.write_text(posts.read_text() + "{\n")
    copy = posts.with_name("copy.jsonl")
    result = RUNNER.invoke(app, ["convert", str(posts), "--to", "jsonl", "--out", str(copy)])
    assert result.exit_code == 1
    assert "left out: bad-json" in result.output


@pytest.mark.parametrize("target", ["posts.jsonl", "other.txt", "folder", "link"])
def test_convert_overwrites_nothing(posts: Path, target: str) -> None:
    (posts.parent / "folder").mkdir()
    (posts.parent / "other.txt").write_text("mine")
    (posts.parent / "link").symlink_to("nowhere")
    before = {path: path.read_bytes() for path in posts.parent.iterdir() if path.is_file()}
    out = posts.with_name(target)
    result = RUNNER.invoke(app, ["convert", str(posts), "--to", "jsonl", "--out", str(out)])
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == (f"{out}: is there already; choose another --out, or remove it")
    after = {path: path.read_bytes() for path in posts.parent.iterdir() if path.is_file()}
    assert after == before


def test_a_header_alone_is_a_defect(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("text,image\n")
    result = RUNNER.invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert "no-samples" in result.output
    assert "1 defect; all of them" in result.output


def test_one_post_is_one_post(tmp_path: Path) -> None:
    path, copy = tmp_path / "posts.csv", tmp_path / "copy.jsonl"
    path.write_text("text,image\na,\n")
    result = RUNNER.invoke(app, ["convert", str(path), "--to", "jsonl", "--out", str(copy)])
    assert "1 post written" in result.output
