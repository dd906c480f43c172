"""Runs in an object store: a real S3 server, real processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.s3_server import BUCKET, names_of, needs_s3, objects_of, put, s3_server

from riveg.stores.lock import FOLDER

pytestmark = [needs_s3, pytest.mark.timeout(1800)]

POSTS = 240
NAMES = ("Ann Lee", "Oslo", "NASA", "Paris", "Bob")
RECORDS = "records.jsonl"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as environment:
        yield environment


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "posts.jsonl"
    posts = (
        {"id": f"p{number}", "text": f"{NAMES[number % 5]} is number {number} today", "image": None}
        for number in range(POSTS)
    )
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    return path


class Machine:
    """A machine: a cache of its own, and the way to the server."""

    def __init__(self, home: Path, server: dict[str, str]) -> None:
        self.environment = {
            **os.environ,
            **server,
            "PYTHONPATH": str(ROOT),
            "RIVEG_CACHE": str(home),
            "COLUMNS": "200",
        }

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "riveg", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def riveg(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=500)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


@pytest.fixture
def here(server: dict[str, str], tmp_path: Path) -> Machine:
    return Machine(tmp_path / "here", server)


@pytest.fixture
def elsewhere(server: dict[str, str], tmp_path: Path) -> Machine:
    return Machine(tmp_path / "elsewhere", server)


def command(data: str | Path, out: str | Path, *more: str) -> tuple[str | Path, ...]:
    settings = ("--until", "tag", "--set", "run.part_size=8", "--set", "run.workers=1")
    return ("run", "quickstart", "--data", data, "--out", out, *settings, *more)


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("unbroken") / "run"
    done = Machine(out.parent / "cache", {}).riveg(*command(data, out))
    assert done.returncode == 0, done.stderr
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.jsonl")}


def lines_of(server: dict[str, str], name: str) -> dict[str, bytes]:
    found = objects_of(server, name)
    assert not [path for path in found if path.endswith(".partial")]
    return {path: content for path, content in found.items() if path.endswith(".jsonl")}


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_a_run_in_a_store_has_the_bytes_of_one_in_a_folder_and_is_read_from_anywhere(
    here: Machine,
    elsewhere: Machine,
    server: dict[str, str],
    data: Path,
    unbroken: dict[str, bytes],
    tmp_path: Path,
) -> None:
    address = f"s3://{BUCKET}/whole"
    done = here.riveg(*command(data, address))
    assert done.returncode == 0, done.stderr
    assert f"stored    {address}\n" in done.stdout
    assert lines_of(server, "whole") == unbroken

    told = elsewhere.riveg("status", address)
    assert (told.returncode, told.stdout.split(":")[0]) == (0, "finished"), told.stderr
    assert elsewhere.riveg("show", "run", address, "--id", "p3").returncode == 0
    out = tmp_path / "exported"
    assert elsewhere.riveg("export", address, "--format", "jsonl", "--out", out).returncode == 0
    assert len(next(out.glob("*.jsonl")).read_text().splitlines()) == POSTS

    again = elsewhere.riveg(*command(data, address))
    assert again.returncode == 0, again.stderr
    assert lines_of(server, "whole") == unbroken
    refused = elsewhere.riveg(*command(data, address, "--limit", "10"))
    assert refused.returncode == 2
    assert "would throw answers away" in refused.stderr


@pytest.mark.slow
def test_a_killed_run_goes_on_here_at_once_and_elsewhere_after_its_lease(
    here: Machine,
    elsewhere: Machine,
    server: dict[str, str],
    data: Path,
    unbroken: dict[str, bytes],
) -> None:
    for name, machine in (("killed-here", here), ("killed-there", elsewhere)):
        address = f"s3://{BUCKET}/{name}"
        with here.start(*command(data, address)) as process:
            wait_until(lambda: bool(names_of(server, name)), process)  # noqa: B023
            process.send_signal(signal.SIGKILL)
        assert RECORDS not in names_of(server, name)
        began = time.monotonic()
        done = machine.riveg(*command(data, address))
        assert done.returncode == 0, done.stderr
        waits = "has not given it back; waits up to 60 s" in done.stderr
        assert waits == (machine is elsewhere)
        assert not waits or time.monotonic() - began > 55
        assert lines_of(server, name) == unbroken


@pytest.mark.slow
def test_two_runs_at_one_address_are_one_run_and_one_line(
    here: Machine,
    elsewhere: Machine,
    server: dict[str, str],
    data: Path,
    unbroken: dict[str, bytes],
) -> None:
    address = f"s3://{BUCKET}/two"
    with here.start(*command(data, address)) as first:
        try:
            wait_until(lambda: bool(names_of(server, "two")), first)
            os.kill(first.pid, signal.SIGSTOP)  # else it may end before the second one is there
            beside = here.riveg(*command(data, address))
            with elsewhere.start(*command(data, address)) as second:
                assert second.stderr is not None
                assert "waits up to 60 s" in second.stderr.readline()
                os.kill(first.pid, signal.SIGCONT)
                _, said = second.communicate(timeout=300)
            stdout, stderr = first.communicate(timeout=300)
        finally:
            first.kill()
    assert beside.returncode == 2
    assert beside.stderr.count("\n") == 1
    assert "another run on this machine is at work on it" in beside.stderr
    if second.returncode != 0:  # else the first one had ended when the second looked again
        assert second.returncode == 2
        assert said.count("\n") == 1
        assert f"{address}: another run (process {first.pid} on " in said
    assert first.returncode == 0, stderr
    assert stdout
    assert lines_of(server, "two") == unbroken


@pytest.mark.slow
def test_a_run_that_was_silent_for_long_writes_nothing_over_the_one_that_took_its_place(
    here: Machine,
    elsewhere: Machine,
    server: dict[str, str],
    data: Path,
    unbroken: dict[str, bytes],
) -> None:
    address = f"s3://{BUCKET}/silent"
    with here.start(*command(data, address)) as first:
        try:
            wait_until(lambda: bool(names_of(server, "silent")), first)
            os.kill(first.pid, signal.SIGSTOP)
            second = elsewhere.riveg(*command(data, address))
            os.kill(first.pid, signal.SIGCONT)
            _, said = first.communicate(timeout=300)
        finally:
            first.kill()
    assert second.returncode == 0, second.stderr
    assert first.returncode == 2
    assert f"{address}: another run has taken it over" in said
    assert lines_of(server, "silent") == unbroken
    locks = [json.loads(c) for n, c in objects_of(server, "silent").items() if n.startswith(FOLDER)]
    assert [(lock["number"], lock["has_ended"]) for lock in locks] == [(1, False), (2, True)]


@pytest.mark.slow
def test_shards_in_a_store_are_merged_into_a_store(
    here: Machine,
    elsewhere: Machine,
    server: dict[str, str],
    data: Path,
    unbroken: dict[str, bytes],
) -> None:
    shards = [f"s3://{BUCKET}/shard-{number}" for number in (1, 2)]
    machines = (here, elsewhere)
    for number, (machine, address) in enumerate(zip(machines, shards, strict=True), start=1):
        done = machine.riveg(*command(data, address, "--shard", f"{number}/2"))
        assert done.returncode == 0, done.stderr
    merged = here.riveg("merge", *shards, "--out", f"s3://{BUCKET}/merged")
    assert merged.returncode == 0, merged.stderr
    assert lines_of(server, "merged") == unbroken


@pytest.mark.parametrize(
    ("changes", "address", "says"),
    [
        ({}, "s3://nowhere/run", "s3://nowhere/run: is not there"),
        ({}, "s3://", "expected s3://BUCKET/NAME"),
        (
            {
                "AWS_ACCESS_KEY_ID": "",
                "AWS_SECRET_ACCESS_KEY": "",
                "AWS_EC2_METADATA_DISABLED": "1",
            },
            f"s3://{BUCKET}/run",
            "credentials",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            f"s3://{BUCKET}/run",
            "cannot be used",
        ),
        ({}, f"s3://{BUCKET}/others", "holds objects and is no run"),
        ({}, "hdfs://name/run", "is no folder of this machine"),
    ],
)
def test_what_keeps_a_run_out_of_a_store_is_one_line(
    here: Machine,
    server: dict[str, str],
    data: Path,
    changes: dict[str, str],
    address: str,
    says: str,
) -> None:
    if address.endswith("others"):
        put(server, "others/holiday.jpg", b"x")
    here.environment.update(changes)
    done = here.riveg(*command(data, address))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert says in done.stderr


def test_posts_and_pictures_of_a_store_are_read_as_those_of_a_folder(
    here: Machine, elsewhere: Machine, server: dict[str, str], tmp_path: Path
) -> None:
    pictures = ROOT / "data" / "quickstart" / "images"
    name = "qs01-astronaut.jpg"
    put(server, "set/pictures/a/face.jpg", (pictures / name).read_bytes())
    rows = [
        {"id": "a", "text": "Eileen Collins smiles", "image": "a/face.jpg"},
        {
            "id": "b",
            "text": "Eileen Collins smiles again",
            "image": f"s3://{BUCKET}/set/pictures/a/face.jpg",
        },
        {"id": "c", "text": "Eileen Collins left", "image": "a/gone.jpg"},
    ]
    put(server, "set/posts.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    records = {}
    for machine in (here, elsewhere):
        done = machine.riveg(
            "run", "quickstart", "--data", f"s3://{BUCKET}/set/posts.jsonl",
            "--images", f"s3://{BUCKET}/set/pictures", "--until", "observe",
            "--set", "observe.lettering=never", "--max-error-rate", "1", "--out", f"s3://{BUCKET}/of-set",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        records[machine] = objects_of(server, "of-set")
    first, second = (records[machine] for machine in (here, elsewhere))
    # Nothing is made anew on another machine: pictures have the times of their objects.
    assert {name: c for name, c in first.items() if name.endswith(".jsonl")} == {
        name: c for name, c in second.items() if name.endswith(".jsonl")
    }
    manifest = json.loads(second["manifest.json"])
    assert manifest["origin"] == [f"s3://{BUCKET}/set/posts.jsonl"]
    assert manifest["image_roots"] == [f"s3://{BUCKET}/set/pictures"]
    a, b, c = map(json.loads, first[RECORDS].splitlines())
    assert a["image"]["path"] == b["image"]["path"] == "a/face.jpg"
    assert a["image"]["width"] == 512
    assert [issue["kind"] for issue in c["issues"]] == ["missing-image"]

    refused = here.riveg("run", "quickstart", "--data", f"s3://{BUCKET}/set/none.jsonl")
    assert (refused.returncode, refused.stderr) == (
        2,
        f"riveg: s3://{BUCKET}/set/none.jsonl: no such object\n",
    )
