"""Runs in processes of their own that are killed, interrupted, met by others, or out of room."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.samples_on_the_fly import (
    STAGE_FOLDERS,
    make_samples,
    make_tiny_samples,
    write_samples,
    write_system,
)

from riveg.processes import CORES

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}

Process = subprocess.Popen[str]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "riveg", *map(str, arguments)]


def riveg(
    *arguments: str | Path, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        check=False,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=before,
    )


@contextmanager
def started(*arguments: str | Path) -> Iterator[Process]:
    """A riveg at work; it hears Ctrl-C even if the tests themselves run in the background."""
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=partial(  # noqa: PLW1509 - no thread is there that could hold a lock
            signal.signal, signal.SIGINT, signal.SIG_DFL
        ),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


class Work:
    """Samples, the system, and what an unbroken run makes of them."""

    def __init__(self, folder: Path, count: int, *settings: str) -> None:
        self.folder = folder
        self.parts = -(-count // 8)
        data = write_samples(folder / "posts.jsonl", make_samples(folder, count))
        system = write_system(folder / "system.yaml")
        self._arguments: tuple[str | Path, ...] = (
            "run", system, "--data", data, *settings, "--out",
        )  # fmt: skip
        self.unbroken = folder / "unbroken"
        done = riveg(*self.run(self.unbroken))
        assert done.returncode == 0, done.stderr

    def run(self, out: Path, *more: str) -> Sequence[str | Path]:
        return (*self._arguments, out, *more)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    # Without reading, which takes seconds to load and has no part in what is tested with this.
    return Work(tmp_path_factory.mktemp("work"), 16, "--set", "observe.lettering=never")


def outcome(folder: Path) -> dict[str, bytes]:
    """Every part, the records and the failed ones: what must not depend on how it was made."""
    files = sorted(folder.rglob("*.jsonl"))
    assert len(files) > len(STAGE_FOLDERS) + 1
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def own_lines(stderr: str) -> list[str]:
    """What riveg says apart from a line a stage; anything that is neither fails the test."""
    lines = [line for line in stderr.splitlines() if " samples in " not in line]
    assert all(line.startswith("riveg: ") for line in lines), stderr
    return lines


def count_parts(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*/part-*.jsonl"))


def wait_for_parts(process: Process, folder: Path, count: int) -> None:
    """Returns when the run has so many parts, or is over."""
    while process.poll() is None and count_parts(folder) < count:
        time.sleep(0.004)


def is_within_a_stage(folder: Path, parts: int) -> bool:
    counts = (len(list((folder / name).glob("part-*.jsonl"))) for name in STAGE_FOLDERS)
    return any(0 < count < parts for count in counts)


def run_until_killed(work: Work, out: Path, parts: int, seconds: float) -> bool:
    """Kills a run ``seconds`` after it has so many parts; false if it came to its end before."""
    with started(*work.run(out)) as process:
        wait_for_parts(process, out, parts)
        time.sleep(seconds)
        process.kill()
        _, stderr = process.communicate()
    assert process.returncode in {-signal.SIGKILL, 0}, stderr
    return process.returncode != 0


@pytest.mark.slow
def test_a_run_killed_at_20_moments_ends_with_the_bytes_of_an_unbroken_one(tmp_path: Path) -> None:
    work = Work(tmp_path, 200)
    total = work.parts * len(STAGE_FOLDERS)
    chance = random.Random(2)
    kills = starts = within = 0
    for out, wanted in ((tmp_path / "often", 14), (tmp_path / "again", 20)):
        # Some at once, some at a moment of the start, the others all over the run.
        moments = [(0, chance.uniform(0.0, 1.5)) for _ in range(2)]
        goals = sorted(chance.sample(range(total - work.parts // 3), wanted - kills - 2))
        moments += [(goal, chance.choice((0.0, chance.uniform(0.0, 0.3)))) for goal in goals]
        for goal, seconds in moments:
            before = count_parts(out)
            if not run_until_killed(work, out, goal, seconds):
                break
            kills += 1
            starts += count_parts(out) == before
            within += is_within_a_stage(out, work.parts)
        done = riveg(*work.run(out))
        assert done.returncode == 0, done.stderr
        assert outcome(out) == outcome(work.unbroken)
        assert not list(out.rglob("*.partial"))
    assert kills == 20
    assert starts >= 1
    assert within >= 1  # how many depends on how fast the machine is


_KILLED_WHILE_IT_WRITES = """
import os, signal, sys
from pathlib import Path
from riveg.files import write_atomically

def chunks():
    yield b"x" * 1_000_000
    os.kill(os.getpid(), signal.SIGKILL)

write_atomically(Path(sys.argv[1]), chunks())
"""


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"old")
    script = [sys.executable, "-c", _KILLED_WHILE_IT_WRITES, str(path)]
    done = subprocess.run(script, check=False, env=ENVIRONMENT)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_one_line_and_goes_on_later(
    work: Work, tmp_path: Path, number: signal.Signals
) -> None:
    with started(*work.run(tmp_path)) as process:
        wait_for_parts(process, tmp_path, work.parts + 1)
        process.send_signal(number)
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, "")
    (line,) = own_lines(stderr)
    assert line.startswith("riveg: interrupted")
    assert riveg(*work.run(tmp_path)).returncode == 0
    assert outcome(tmp_path) == outcome(work.unbroken)


@pytest.mark.slow
def test_a_second_process_on_a_run_folder_is_refused_and_the_first_goes_on(
    work: Work, tmp_path: Path
) -> None:
    with started(*work.run(tmp_path)) as first:
        wait_for_parts(first, tmp_path, work.parts + 1)
        first.send_signal(signal.SIGSTOP)  # so that it is still there when the second comes
        second = riveg(*work.run(tmp_path))
        first.send_signal(signal.SIGCONT)
        _, stderr = first.communicate()
    assert second.returncode == 2
    assert own_lines(second.stderr) == [
        f"riveg: {tmp_path}: another run (process {first.pid}) is at work on this folder; "
        "wait for it or choose another --out"
    ]
    assert first.returncode == 0, stderr
    assert outcome(tmp_path) == outcome(work.unbroken)


@pytest.mark.slow
def test_a_changed_threshold_makes_its_stage_and_the_later_ones_anew(
    work: Work, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(work.unbroken, out)
    times = partial(_times, out)
    before = times()
    done = riveg(*work.run(out, "--set", "entail.threshold=0.99"))
    assert done.returncode == 0, done.stderr
    kept, made = STAGE_FOLDERS[:4], STAGE_FOLDERS[4:]
    assert {path: time for path, time in times().items() if path.parts[0] in kept} == {
        path: time for path, time in before.items() if path.parts[0] in kept
    }
    for path, time_ns in times().items():
        assert (path.parts[0] in made) == (time_ns > before[path]), path
    assert outcome(out) != outcome(work.unbroken)
    assert riveg(*work.run(out)).returncode == 0
    assert outcome(out) == outcome(work.unbroken)


def _times(folder: Path) -> dict[Path, int]:
    files = folder.glob("*/part-*.jsonl")
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in files}


def limit_file_size(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_without_room_for_a_part_the_run_ends_clearly_and_goes_on_later(
    work: Work, tmp_path: Path
) -> None:
    *earlier, stage = STAGE_FOLDERS
    room = max(path.stat().st_size for name in earlier for path in (work.unbroken / name).iterdir())
    full = riveg(*work.run(tmp_path), before=partial(limit_file_size, room))
    assert full.returncode == 2
    (line,) = own_lines(full.stderr)
    assert f"{stage}/part-0000" in line
    assert "make room, then give the same command again" in line
    assert count_parts(tmp_path) >= len(earlier) * work.parts
    assert not list(tmp_path.rglob("*.partial"))
    assert riveg(*work.run(tmp_path)).returncode == 0
    assert outcome(tmp_path) == outcome(work.unbroken)


@pytest.mark.slow
def test_without_room_for_an_overlay_the_run_ends_clearly(work: Work, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(work.unbroken, out)
    room = (work.unbroken / "records.jsonl").stat().st_size
    full = riveg(*work.run(out, "--overlays", "16"), before=partial(limit_file_size, room))
    assert full.returncode == 2
    (line,) = own_lines(full.stderr)
    assert f"{out}/overlays/0000" in line
    assert "make room" in line
    assert not list(out.rglob("*.partial"))


@pytest.mark.slow
def test_a_full_disk_ends_clearly_and_the_run_goes_on_with_more_room(
    work: Work, tmp_path: Path
) -> None:
    """A small file system of its own, in a mount namespace that ends with the test."""
    script = """
        mount -t tmpfs -o size=64k none "$1" || exit 99
        out="$1/run"; shift
        "$@" "$out"; echo "first $?"
        mount -o remount,size=64m none "$(dirname "$out")" || exit 99
        "$@" "$out" || exit 1
        cp -r "$out" "$COPY"
    """
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(disk), *command(*work.run(Path()))[:-1]],
        capture_output=True,
        check=False,
        text=True,
        env={**ENVIRONMENT, "COPY": str(copy)},
    )
    if done.returncode in {99, 126, 127} or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("first 2\n")
    (line,) = own_lines(done.stderr)
    assert "No space left on device" in line
    assert "then give the same command again" in line
    assert outcome(copy) == outcome(work.unbroken)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_cannot_be_written_is_one_line(work: Work) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(*work.run(work.unbroken)),
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
    assert done.returncode == 2
    (line,) = own_lines(done.stderr)
    assert "output: No space left on device; make room, then" in line


@pytest.mark.slow
def test_a_reader_that_stops_reading_stops_nothing(work: Work, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(work.unbroken, out)
    with started(*work.run(out, "--overlays", "16")) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert own_lines(process.stderr.read()) == []
    assert process.returncode == 0
    assert list((out / "overlays").iterdir())


_WATCH = """
import os, sys
number = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(number, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_memory(*arguments: str | Path) -> int:
    """Peak resident memory of a riveg that does all in one process, in KiB.

    Of several, a short run may not have had each at work. It is started by a small process: Linux
    counts what a process was before it became another.
    """
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, *command(*arguments)],
        capture_output=True,
        check=False,
        text=True,
        env={**ENVIRONMENT, CORES: "1"},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    system = write_system(tmp_path / "system.yaml")
    samples = make_tiny_samples(tmp_path, 1200)
    peaks = {}
    for count in (150, 1200):
        data = write_samples(tmp_path / f"{count}.jsonl", samples[:count])
        out = tmp_path / str(count)
        peaks[count] = peak_memory("run", system, "--data", data, "--out", out)
        manifest = json.loads((out / "manifest.json").read_text())
        assert (manifest["samples"], manifest["failed"]) == (count, 0)
    assert peaks[1200] <= 1.1 * peaks[150], peaks
