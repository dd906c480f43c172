"""A run with one process or several: the same bytes, whatever happens to the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers.marked_processes import command_of, end_marked, gone_within, marked_processes
from helpers.places import ROOT
from helpers.samples_on_the_fly import make_samples, write_samples

from riveg.errors import UserError
from riveg.runs.progress import Silence
from riveg.runs.system import load_system

SMALL = """\
tag: {backend: mini}
rewrite: {backend: template}
observe: {backend: evidence, lettering: never}
entail: {backend: mini}
ground: {backend: evidence}
segment: {backend: grabcut}
run: {part_size: 4, batch_size: 3}
"""


@dataclass
class Heard(Silence):
    """What a run tells of its stages, and its notes."""

    stages: list[list[int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def begin(self, _stage: str, _total: int | None, /) -> None:
        self.stages.append([0, 0, 0])

    def keep(self, samples: int, /) -> None:
        self.stages[-1][0] += samples

    def advance(self, samples: int, issues: int, /) -> None:
        self.stages[-1][1] += samples
        self.stages[-1][2] += issues

    def note(self, text: str, /) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    samples = make_samples(folder, 11)
    (folder / str(samples[-1]["image"])).write_bytes(b"no image")
    (folder / "system.yaml").write_text(SMALL)
    return write_samples(folder / "posts.jsonl", samples)


def run(data: Path, out: Path, workers: int, progress: Heard | None = None) -> dict[str, bytes]:
    """The bytes of all parts and records."""
    system = load_system(data.with_name("system.yaml"), f"run.workers={workers}")
    system.run(data, out=out, progress=progress)
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.jsonl")}


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return run(data, tmp_path_factory.mktemp("alone") / "run", 1)


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_processes_makes_the_same_bytes(
    data: Path, alone: dict[str, bytes], tmp_path: Path, workers: int
) -> None:
    heard = Heard()
    assert run(data, tmp_path / "run", workers, heard) == alone
    # All samples are told, and the Issues of those with one, as from one process.
    one = Heard()
    run(data, tmp_path / "one", 1, one)
    assert heard.stages == one.stages
    assert any(issues for _, _, issues in heard.stages)
    assert not heard.notes


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_done_is_kept(data: Path, tmp_path: Path, workers: int) -> None:
    run(data, tmp_path / "run", 2)
    heard = Heard()
    run(data, tmp_path / "run", workers, heard)
    assert heard.stages[1:] == [[11, 0, 0]] * 6


def workers_of(marker: str) -> list[int]:
    return [one for one in marked_processes(marker) if b"part_process" in command_of(one)]


@pytest.fixture
def marker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    mark = f"RIVEG_TEST_MARK={tmp_path.name}-{os.getpid()}"
    monkeypatch.setenv(*mark.split("=", 1))
    yield mark
    end_marked(mark)


def kill_one(marker: str, out: Path, stop: threading.Event) -> None:
    """Kills a worker as soon as the first part of a stage with images is there."""
    while not stop.is_set():
        if next(out.glob("3-observe/part-*.jsonl"), None) and (found := workers_of(marker)):
            os.kill(found[0], signal.SIGKILL)
            return
        time.sleep(0.01)


def test_a_process_that_is_killed_loses_nothing(
    data: Path, alone: dict[str, bytes], tmp_path: Path, marker: str
) -> None:
    stop = threading.Event()
    heard = Heard()
    killer = threading.Thread(target=kill_one, args=(marker, tmp_path / "run", stop))
    killer.start()
    try:
        made = run(data, tmp_path / "run", 2, heard)
    finally:
        stop.set()
        killer.join()
    assert made == alone
    assert heard.notes == ["a process at work was ended by SIGKILL; others do its part"]
    assert [kept + made for kept, made, _ in heard.stages[1:]] == [11] * 6
    assert not list(tmp_path.rglob("*.partial"))


def test_when_no_process_is_left_the_run_says_so_and_goes_on_later(
    data: Path, alone: dict[str, bytes], tmp_path: Path, marker: str
) -> None:
    stop = threading.Event()

    def kill_all() -> None:
        while not stop.is_set():
            for one in workers_of(marker):
                os.kill(one, signal.SIGKILL)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with pytest.raises(UserError, match=r"SIGKILL; .* --set run\.workers=N; the same command"):
            run(data, tmp_path / "run", 2)
    finally:
        stop.set()
        killer.join()
    assert run(data, tmp_path / "run", 2) == alone


def test_an_error_in_a_process_is_the_one_line_of_a_run_in_one(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(data, out, 2)
    for part in out.glob("2-rewrite/part-*.jsonl"):
        header, *lines = part.read_text().splitlines()
        part.write_text("\n".join([header.replace('"rewrite"', '"caption"'), *lines, ""]))
    with pytest.raises(UserError, match=r"part-0000\d.jsonl:1: holds stage 'caption', expected"):
        run(data, out, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_process_outlives_its_run(
    data: Path, alone: dict[str, bytes], tmp_path: Path, marker: str, sign: int, status: int
) -> None:
    out = tmp_path / "run"
    system = data.with_name("system.yaml")
    command = [sys.executable, "-m", "riveg", "run", str(system), "--data", str(data)]
    command += ["--out", str(out), "--set", "run.workers=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        while not list(out.glob("3-observe/part-*.jsonl")):
            assert process.poll() is None
            time.sleep(0.005)
        workers = workers_of(marker)
        process.send_signal(sign)
        _, stderr = process.communicate()
    assert len(workers) == 2
    assert process.returncode == status, stderr
    assert "Traceback" not in stderr
    # What writes files does not outlive it by half a second: the next run may begin at once.
    assert gone_within(workers, 0.3)
    assert run(data, out, 3) == alone
