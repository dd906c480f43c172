"""What holds for every command: encodings, the version, interrupts, numbers in words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

from riveg import __version__
from riveg.cli import how_to_go_on
from riveg.cli.visible import counted
from riveg.files import asset

pytestmark = pytest.mark.slow  # every test starts processes

ASTRONAUT = ROOT / "data" / "quickstart" / "images" / "qs01-astronaut.jpg"


def riveg(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "riveg", *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **environment},
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_that_the_terminal_cannot_show_is_escaped(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "posts.jsonl"
    rows = [{"id": "東京", "text": "東京 ☕ café …" * 30}, {"id": "東京", "text": "ok"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = riveg("data", "check", path, PYTHONIOENCODING=encoding)
    assert done.returncode == 1, done.stderr
    assert "duplicate-id" in done.stdout
    assert "Traceback" not in done.stderr
    assert r"\u6771" in done.stdout
    missing = riveg("data", "check", tmp_path / "東京.csv", PYTHONIOENCODING=encoding)
    assert (missing.returncode, "Traceback" in missing.stderr) == (2, False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_runs_survive_narrow_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps({"id": "東京", "text": "Tom Hanks in 東京 ☕ " * 12}) + "\n")
    folder = tmp_path / "run"
    run = ("run", "quickstart", "--data", path, "--out", folder)
    for command in (run, ("show", "run", folder), ("show", "run", folder, "--id", "東京")):
        done = riveg(*command, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
        assert done.returncode == 0, done.stderr
        assert "Tom Hanks" in done.stdout


def test_version() -> None:
    done = riveg("--version")
    assert (done.returncode, done.stdout) == (0, f"riveg {__version__}\n")


def test_doctor_never_breaks_a_command() -> None:
    done = riveg("doctor", COLUMNS="40")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert lines
    assert all(line.endswith(('"', "riveg")) or "pip install " in line for line in lines)
    assert not any(line.strip().startswith("install") for line in done.stdout.splitlines())
    assert all(line.count('"') % 2 == 0 for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", ["check", "convert"])
def test_help_tells_the_default_split(command: str) -> None:
    done = riveg("data", command, "--help")
    assert "(default: all)" in " ".join(done.stdout.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "quickstart"], "the same command"),
        (["--debug", "run", "quickstart"], "the same command"),
        (["train", "tagger", "x.yaml"], "with --resume"),
        (["predict", "--text", "run"], ""),
        (["show", "run", "folder"], ""),
        (["data", "convert", "run"], ""),
        ([], ""),
    ],
)
def test_only_what_goes_on_may_say_so(arguments: list[str], words: str) -> None:
    said = how_to_go_on(arguments)
    assert words in said
    assert bool(said) is bool(words)


def test_short_memory_is_one_line() -> None:
    script = (
        "import riveg.cli\n"
        "def no_room(): raise MemoryError\n"
        "riveg.cli.app = no_room\n"
        "riveg.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert done.stderr.startswith("riveg: out of memory")
    assert done.stderr.count("\n") == 1


def test_an_image_of_a_former_sample_does_not_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = riveg("predict", "--text", "Eileen Collins", "--image", ASTRONAUT, "--out", out)
    assert done.returncode == 0, done.stderr
    assert (out / "overlay.png").is_file()
    done = riveg("predict", "--text", "Ada Lovelace", "--out", out)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 samples"), (1, "1 sample"), (2, "2 samples")]
)
def test_numbers_and_their_words_agree(number: int, expected: str) -> None:
    assert counted(number, "sample") == expected


def test_a_regular_expression_without_end_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "tagger"
    shutil.copytree(asset("tagger"), folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    endless = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"normalizer": endless}))
    posts = tmp_path / "posts.jsonl"
    posts.write_text(json.dumps({"id": "1", "text": "a" * 60 + "0"}) + "\n")
    run = ("run", "quickstart", "--data", posts, "--out", tmp_path / "run")
    done = riveg(*run, "--set", f"tag.model={folder}", "--until", "tag", RUST_BACKTRACE="0")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("riveg: a library gave up (Onig: Regex search")
