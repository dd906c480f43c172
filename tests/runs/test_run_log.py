"""What a run tells its user is in ``logs/riveg.log`` as well, run after run."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers.fault_server import free_port

from riveg import __version__
from riveg.errors import ServerGone, UserError
from riveg.runs.system import load_system

SYSTEM = """
name: small
tag: {backend: mini}
run: {part_size: 2, workers: 1}
"""


def write_posts(path: Path, count: int) -> Path:
    rows = [{"id": str(number), "text": f"Ann met Tom {number}"} for number in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [*map(json.loads, (out / "logs" / "riveg.log").read_text().splitlines())]


def test_a_run_and_its_rerun_are_logged_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_TOKEN", "hush-93711-hush")
    monkeypatch.setattr(sys, "argv", ["riveg", "run", "--set", "x=hush-93711-hush"])
    (tmp_path / "system.yaml").write_text(SYSTEM)
    posts, out = write_posts(tmp_path / "posts.jsonl", 3), tmp_path / "run"
    load_system(tmp_path / "system.yaml").run(posts, out=out)
    lines = lines_of(out)
    assert [line["event"] for line in lines] == [
        *("run begun", "stage begun", "stage ended"),
        *("stage begun", "part done", "part done", "stage ended", "run ended"),
    ]
    for line in lines:
        ago = datetime.now(UTC) - datetime.fromisoformat(line["time"])
        assert timedelta(0) <= ago < timedelta(minutes=5)
        assert line["level"] == "info"
    first, *_, second_part, stage, last = lines
    assert first["versions"]["riveg"] == __version__
    assert first["command"].startswith("riveg run --set ")
    assert "93711" not in (out / "logs" / "riveg.log").read_text()
    assert {**second_part, "time": ""} == {
        **{"time": "", "level": "info", "event": "part done", "stage": "tag", "part": 1},
        **{"samples": 1, "made": 1, "issues": 0, "workers": 1},
    }
    assert (stage["stage"], stage["made"], stage["kept"], stage["issues"]) == ("tag", 3, 0, 0)
    assert (last["samples"], last["failed"]) == (3, 0)
    load_system(tmp_path / "system.yaml").run(posts, out=out)
    again = lines_of(out)
    assert again[: len(lines)] == lines
    assert [line["event"] for line in again[len(lines) :]] == [
        *("run begun", "stage begun", "stage ended", "stage begun", "stage ended", "run ended")
    ]
    assert (again[-2]["made"], again[-2]["kept"]) == (0, 3)


def test_why_a_run_has_stopped_is_its_last_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    (tmp_path / "system.yaml").write_text(
        f"name: asking\nllm: {{main: {{model: any, base_urls: ['{url}'], tries: 1}}}}\n"
        "augment: {backend: chat, llm: main, prompt: augment/gem.v1}\n"
    )
    posts, out = write_posts(tmp_path / "posts.jsonl", 2), tmp_path / "run"
    with pytest.raises(ServerGone) as caught:
        load_system(tmp_path / "system.yaml").run(posts, out=out)
    *_, last = lines_of(out)
    assert (last["event"], last["level"]) == ("run stopped", "error")
    assert last["message"] == str(caught.value)
    assert url in last["message"]


def test_a_run_that_cannot_begin_leaves_no_log(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text(SYSTEM)
    posts, out = tmp_path / "posts.jsonl", tmp_path / "run"
    posts.write_text("")
    with pytest.raises(UserError, match="no samples"):
        load_system(tmp_path / "system.yaml").run(posts, out=out)
    assert not (out / "logs").exists()
    load_system(tmp_path / "system.yaml").run(write_posts(posts, 1), out=out)
    assert lines_of(out)[0]["event"] == "run begun"


def test_a_line_that_was_cut_off_is_removed_by_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text(SYSTEM)
    posts, out = write_posts(tmp_path / "posts.jsonl", 1), tmp_path / "run"
    load_system(tmp_path / "system.yaml").run(posts, out=out)
    whole = lines_of(out)
    with (out / "logs" / "riveg.log").open("a") as log:
        log.write('{"time": "2026-1')  # as a full disk leaves it
    load_system(tmp_path / "system.yaml").run(posts, out=out)
    assert lines_of(out)[: len(whole)] == whole
    assert lines_of(out)[len(whole)]["event"] == "run begun"
    (out / "logs" / "riveg.log").write_text('{"time": "2026-1')
    load_system(tmp_path / "system.yaml").run(posts, out=out)
    assert lines_of(out)[0]["event"] == "run begun"


def test_a_log_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text(SYSTEM)
    posts, out = write_posts(tmp_path / "posts.jsonl", 1), tmp_path / "run"
    load_system(tmp_path / "system.yaml").run(posts, out=out)
    (out / "logs" / "riveg.log").unlink()
    (out / "logs" / "riveg.log").mkdir()
    with pytest.raises(UserError, match=r"riveg\.log: is there and is no file; move it away"):
        load_system(tmp_path / "system.yaml").run(posts, out=out)
