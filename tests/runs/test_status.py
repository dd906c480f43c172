"""``riveg status``: of a run under way, of one that was killed, of one that has ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.command_line import riveg
from helpers.places import ROOT
from helpers.samples_on_the_fly import make_samples, write_samples, write_system

from riveg.errors import UserError
from riveg.llm.cached_response import CachedResponse
from riveg.llm.conversation import Response
from riveg.llm.response_cache import Asked, ResponseCache
from riveg.runs.building import ANSWERS
from riveg.runs.folder import RunFolder
from riveg.runs.status import RunStatus, run_status
from riveg.runs.system import load_system

POSTS = 24


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Posts with pictures, one of which is missing, and a finished run over them."""
    folder = tmp_path_factory.mktemp("work")
    samples = make_samples(folder, POSTS)
    missing = next(sample["image"] for sample in samples if sample.get("image"))
    (folder / missing).unlink()
    write_samples(folder / "posts.jsonl", samples)
    system = load_system(write_system(folder / "system.yaml"), "observe.lettering=never")
    system.run(folder / "posts.jsonl", out=folder / "run")
    return folder


def test_a_finished_run(work: Path) -> None:
    found = run_status(work / "run")
    assert (found.state, found.process, found.system) == ("finished", None, "small-parts")
    assert (found.samples, found.parts) == (POSTS, 3)
    assert [(stage.parts, stage.samples) for stage in found.stages] == [(3, POSTS)] * 6
    assert all(stage.seconds_left == 0 and stage.rate for stage in found.stages)
    assert found.asked == ()
    (missing,) = [
        number for kind, number in found.issues.items() if kind.endswith(": missing-image")
    ]
    assert missing == 1


def test_what_it_prints(work: Path, tmp_path: Path) -> None:
    done = riveg("status", work / "run", "--json", tmp_path / "status.json")
    assert done.returncode == 0, done.stderr
    first, heads, *stages, last = done.stdout.splitlines()
    assert first == f"finished: small-parts on posts, {POSTS} samples"
    assert heads.split() == ["stage", "backend", "parts", "samples", "samples/s", "workers", "left"]
    assert stages[0].split()[:4] == ["tag", "mini", "3/3", "24"]
    assert last.startswith("issues    1 ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "finished"


def test_other_settings_begin_anew(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "run", tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    manifest["stages"]["entail"]["fingerprint"] = "other"
    manifest["finished"] = None
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest))
    found = run_status(tmp_path / "run")
    assert found.state == "stopped"
    assert [stage.parts for stage in found.stages] == [3, 3, 3, 0, 3, 3]
    entail = found.stages[3]
    assert (entail.rate, entail.seconds_left) == (None, None)


def test_tokens_are_counted_by_model(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "run", tmp_path / "run")
    with ResponseCache(tmp_path / "run" / ANSWERS) as cache:
        for key, model, tokens in (("a", "m", 10), ("b", "m", 5), ("c", "n", None)):
            response = Response("x", "stop")
            cache.put(key, CachedResponse(response, "plain", model, tokens, tokens, requests=2))
        # Also while a run holds the file.
        assert run_status(tmp_path / "run").asked == (
            Asked("m", 2, 4, 15, 15),
            Asked("n", 1, 2, None, None),
        )
    done = riveg("status", tmp_path / "run")
    assert "asked     m: 4 requests, 2 answers, 15 tokens sent, 15 received" in done.stdout
    (tmp_path / "run" / ANSWERS).write_text("no answers " * 99)
    with pytest.raises(UserError, match="its answers cannot be counted"):
        run_status(tmp_path / "run")


@pytest.mark.timeout(20)
def test_as_many_samples_as_the_manifest_says_are_not_looked_for(
    work: Path, tmp_path: Path
) -> None:
    shutil.copytree(work / "run", tmp_path / "run")
    path = tmp_path / "run" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "samples": 2**53}))
    found, before = run_status(tmp_path / "run"), run_status(work / "run")
    assert [stage.samples for stage in found.stages] == [stage.samples for stage in before.stages]
    assert found.issues == before.issues


def test_what_holds_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        run_status(tmp_path / "nothing")
    (tmp_path / "0-input").mkdir()
    (tmp_path / "0-input" / "part-00000.jsonl").write_text("")
    with pytest.raises(UserError, match="only input has been read, and no run is at work"):
        run_status(tmp_path)
    with (
        RunFolder(tmp_path).lock(),
        pytest.raises(UserError, match="is still reading the input, parts so far: 1"),
    ):
        run_status(tmp_path)


def test_who_watches_waits_until_the_input_is_read(work: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(work / "run", out)
    (out / "manifest.json").rename(tmp_path / "later.json")
    with RunFolder(out).lock():
        watching = subprocess.Popen(
            [sys.executable, "-m", "riveg", "status", str(out), "--watch"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert watching.stderr is not None
        assert "is still reading the input" in watching.stderr.readline()
        (tmp_path / "later.json").rename(out / "manifest.json")
    printed, more = watching.communicate(timeout=60)
    assert printed.splitlines()[-1].startswith("issues"), more
    assert (watching.returncode, more) == (0, "")


def test_looking_never_keeps_a_run_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.process() is None
    with folder.lock():
        assert folder.process() == os.getpid()
    for _ in range(50):
        assert folder.process() is None
        with folder.lock():
            pass


@pytest.mark.slow
def test_a_run_under_way_and_one_that_was_killed(work: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "riveg", "run", str(work / "system.yaml")]
    command += ["--data", str(work / "posts.jsonl"), "--out", str(out), "--max-error-rate", "1"]
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        found = _wait_for_a_part(process, out)
        process.send_signal(signal.SIGSTOP)  # else it may come to its end meanwhile
        watching = subprocess.Popen(
            [sys.executable, "-m", "riveg", "status", str(out), "--watch", "--json", "-"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        time.sleep(2)  # it has looked once
        process.kill()
    assert (found.state, found.process) == ("running", process.pid)
    assert 0 < found.stages[0].parts <= found.parts
    found = run_status(out)
    assert (found.state, found.process) == ("stopped", None)
    assert json.loads(watching.communicate()[0])["state"] == "stopped"
    done = riveg("status", out)
    assert done.stdout.startswith(
        "stopped: small-parts on posts, 24 samples; give the same command"
    )
    shown = riveg("show", "run", out)
    assert shown.stdout == done.stdout, "how far it is"
    assert shown.returncode == 2
    again = riveg("eval", out)
    assert "`riveg status` says how far it is" in again.stderr.replace("\n", " ")


def _wait_for_a_part(process: subprocess.Popen[bytes], out: Path) -> RunStatus:
    while process.poll() is None:
        if (out / "manifest.json").is_file():
            found = run_status(out)
            if found.stages[0].parts:
                return found
        time.sleep(0.01)
    raise AssertionError("the run ended before it was looked at")
