"""``riveg export`` as a person gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from helpers.small_runs import trap_samples, write_run
from typer.testing import CliRunner

from riveg.cli.export import export
from riveg.errors import UserError

app = typer.Typer()
app.command()(export)


def run(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, [str(folder), *arguments], catch_exceptions=True)
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_says_what_was_written_and_what_was_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path, trap_samples()).folder
    printed = run(folder, "--format", "coco", "--out", str(tmp_path / "out"))
    lines = [line.rstrip() for line in printed.splitlines()]
    assert lines[0] == f"coco: {folder} written to {tmp_path / 'out'}"
    assert "       2  masks" in lines
    assert lines.index("          left out") < lines.index("     1 x  post not answered")
    assert all(len(line) <= 80 for line in lines[2:])


def test_the_summary_as_json(tmp_path: Path) -> None:
    folder = write_run(tmp_path, trap_samples()).folder
    out = tmp_path / "out"
    words = ("--format", "png", "--out", str(out), "--per-entity", "--json")
    document = json.loads(run(folder, *words))
    assert document["schema"] == "riveg-export-1"
    assert document["files"] == [str(out / name) for name in ("legend.json", "masks", "entities")]
    assert document["counts"] == {"images": 3, "entities": 2}
    assert document["left_out"]["post not answered"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "ymner"], "did you mean smner"),
        (["--format", "coco", "--mask", "brush"], "expected rle or polygon"),
        (["--format", "jsonl", "--per-entity"], "format jsonl: has no option --per-entity"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    folder = write_run(tmp_path, trap_samples()).folder
    with pytest.raises(UserError, match=message):
        run(folder, *arguments, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
