"""Run folders that come from others, or that a killed run left: nothing is written out of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.privileges import WITHOUT_PRIVILEGES, needs_setpriv

from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.llm.cached_response import CachedResponse
from riveg.llm.conversation import Response
from riveg.llm.response_cache import ResponseCache
from riveg.runs.overlays import write_overlays
from riveg.runs.reading import read_records
from riveg.runs.sources import Samples, make_sample
from riveg.runs.system import load_system

pytestmark = pytest.mark.slow  # runs and processes take seconds


def some() -> Samples:
    return Samples("posts", (), lambda: (make_sample("Rain in Paris", id="1"),))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run that only tags."""
    load_system("quickstart").run(some(), out=tmp_path / "run", until="tag")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "name",
    [".lock", "overlays", "logs", "logs/main.log", "answers.sqlite", "1-tag", "2-rewrite"],
)
def test_a_link_out_of_a_run_folder_is_not_followed(run: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = outside / "file" if Path(name).suffix or name == ".lock" else outside
    if target != outside:
        target.write_text("mine")
    link = run / name
    if link.exists():
        link.rename(tmp_path / "aside")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)
    with pytest.raises(UserError, match="is a link that leads out of the run folder"):
        load_system("quickstart").run(some(), out=run)
    with pytest.raises(UserError, match="is a link that leads out of the run folder"):
        write_overlays(run, 1)
    assert [path.read_text() for path in outside.iterdir()] == ["mine"] * (target != outside)


@pytest.mark.parametrize("name", [".lock", "overlays", "logs", "answers.sqlite", "2-rewrite"])
def test_a_link_to_where_nothing_lies_yet_is_not_followed(
    run: Path, tmp_path: Path, name: str
) -> None:
    if (run / name).exists():
        (run / name).rename(tmp_path / "aside")
    (run / name).symlink_to(tmp_path / "not-yet")
    with pytest.raises(UserError, match="is a link that leads out of the run folder"):
        load_system("quickstart").run(some(), out=run)
    assert not (tmp_path / "not-yet").exists()


def test_files_that_are_replaced_are_replaced_links_and_all(run: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("records.jsonl", "records.jsonl.partial", "config.yaml", "failed.jsonl"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(precious)
    load_system("quickstart").run(some(), out=run, until="tag")
    assert precious.read_text() == "mine"
    assert not (run / "records.jsonl").is_symlink()


def test_the_next_run_removes_what_a_killed_one_left(run: Path) -> None:
    left = [run / "1-tag" / "part-00000.jsonl.0123.partial", run / "manifest.json.0123.partial"]
    others = [run / "page.html.0123.partial"]  # a report that is just being written
    for path in (*left, *others):
        path.write_text("half")
    load_system("quickstart").run(some(), out=run, until="tag")
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_temporary_file(tmp_path: Path, number: signal.Signals) -> None:
    data, out = tmp_path / "posts.jsonl", tmp_path / "out"
    data.write_text("".join(f'{{"id": "{n}", "text": "Rain in Paris"}}\n' for n in range(200_000)))
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "riveg", "data", "convert", str(data), "--out", out / "all.jsonl"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=partial(  # noqa: PLW1509 - no thread is there that could hold a lock
            signal.signal, number, signal.SIG_DFL
        ),
    )
    with process:
        while not [*out.iterdir()]:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "riveg: interrupted\n")
    assert not [*out.iterdir()]


@pytest.mark.parametrize("name", ["x/../../..", "..", "a\\b", "a\nb", "n" * 101])
def test_names_of_datasets_and_splits_lead_nowhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "posts.jsonl").write_text('{"id": "1", "text": "Rain in Paris"}\n')
    path = tmp_path / "data.yaml"
    for key, split in ((name, "test"), ("posts", name)):
        path.write_text(f"name: {key!r}\nformat: jsonl\ntext: {{{split!r}: posts.jsonl}}\n")
        with pytest.raises(UserError, match="expected a name for folders"):
            open_dataset(path)


@needs_setpriv
def test_a_read_only_run_folder_can_be_looked_at(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    load_system("quickstart").run("quickstart", out=run)
    with ResponseCache(run / "answers.sqlite") as cache:
        cache.put("key", CachedResponse(Response("yes", "stop"), "plain", "m"))
    some_id = next(read_records(run)).id
    for path in (run, *run.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    for words in (
        ("show", "run", run),
        ("show", "run", run, "--id", some_id),
        ("show", "run", run, "--id", some_id, "--image", tmp_path / "one.png"),
        ("eval", run, "--why", some_id),
        ("compare", run, run),
        ("report", run, "--out", tmp_path / "page.html"),
        ("export", run, "--format", "jsonl", "--out", out),
        ("prompt-debug", "one-vlm", "--run", run),
    ):
        done = subprocess.run(
            [*WITHOUT_PRIVILEGES, sys.executable, "-m", "riveg", *map(str, words)],
            capture_output=True,
            check=False,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert (done.returncode, done.stderr) == (0, ""), words
    run.chmod(0o755)
