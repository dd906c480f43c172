"""Runs on a real cluster of Ray: the bytes of a local run, though workers and machines are lost."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from helpers.ray_clusters import address_of, kill, ray_cluster, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.server]

POSTS = 240
INTERRUPTIBLE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
del sys.argv[0]
runpy.run_module("riveg", run_name="__main__", alter_sys=True)
"""
SETTINGS = ("--until", "rewrite", "--set", "run.part_size=4")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_cluster(nodes=2) as running:
        yield running


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "posts.jsonl"
    rows = (
        {"id": f"p{i}", "text": f"Lionel Messi left Barcelona {i} days ago"} for i in range(POSTS)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def local(posts: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("local") / "run"
    command = [*riveg_run(posts, out), "--set", "run.workers=1"]
    subprocess.run(command, check=True, capture_output=True)
    return (out / "records.jsonl").read_bytes()


def riveg_run(posts: Path, out: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "riveg", "run", "quickstart", "--data", str(posts)]
    return [*command, "--out", str(out), *SETTINGS, *more]


def on_ray(posts: Path, out: Path, *more: str) -> list[str]:
    return riveg_run(posts, out, "--set", "executor=ray", *more)


def stage_parts(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.glob("[1-9]-*/part-*.jsonl")}


def test_a_cluster_writes_what_one_machine_writes(
    cluster: Any, posts: Path, local: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    subprocess.run(on_ray(posts, out), check=True, env=address_of(cluster), capture_output=True)
    assert (out / "records.jsonl").read_bytes() == local
    assert len(stage_parts(out)) == 2 * POSTS / 4
    again = subprocess.run(
        on_ray(posts, out), check=True, env=address_of(cluster), capture_output=True, text=True
    )
    (tag,) = [line.split() for line in again.stdout.splitlines() if line.startswith("tag ")]
    assert tag[2:4] == ["0", str(POSTS)], "all is kept"


def test_workers_and_a_machine_that_are_lost_lose_nothing(
    cluster: Any, posts: Path, local: bytes, tmp_path: Path
) -> None:
    out, chance = tmp_path / "run", random.Random(1)
    spare = cluster.add_node(num_cpus=1)
    with subprocess.Popen(
        on_ray(posts, out),
        env=address_of(cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as running:
        killed = 0
        while running.poll() is None:
            time.sleep(chance.uniform(0.05, 0.5))
            if killed < 3 and (workers := workers_of(cluster)):
                kill(chance.choice(workers))
                killed += 1
                if killed == 2:
                    cluster.remove_node(spare, allow_graceful=False)
        said = running.stdout.read().decode() if running.stdout else ""
    assert running.returncode == 0, said
    assert killed == 3
    assert "a worker of the cluster was lost" in said
    assert (out / "records.jsonl").read_bytes() == local


def test_a_driver_that_is_interrupted_ends_its_workers_and_goes_on(
    cluster: Any, posts: Path, local: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-c", INTERRUPTIBLE, *on_ray(posts, out)[2:]]
    with subprocess.Popen(
        command, env=address_of(cluster), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        while not stage_parts(out) and running.poll() is None:
            time.sleep(0.05)
        running.send_signal(2)
        said = running.communicate(timeout=120)[0].decode()
    assert "Traceback" not in said, said
    deadline = time.monotonic() + 60
    while workers_of(cluster) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not workers_of(cluster)
    subprocess.run(on_ray(posts, out), check=True, env=address_of(cluster), capture_output=True)
    assert (out / "records.jsonl").read_bytes() == local


def test_a_head_that_is_lost_is_one_line_and_the_run_goes_on(
    posts: Path, local: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with (
        ray_cluster(nodes=1) as short_lived,
        subprocess.Popen(
            on_ray(posts, out, "--set", "run.part_size=1"),
            env=address_of(short_lived),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as running,
    ):
        while not stage_parts(out) and running.poll() is None:
            time.sleep(0.05)
        kill(short_lived.head_node.all_processes["gcs_server"][0].process.pid)
        said = running.communicate(timeout=120)[0].decode()
    assert running.returncode == 2, said
    assert "is gone" in said.splitlines()[-1]
    assert "the same command goes on" in said.splitlines()[-1]
    *_, last = (out / "logs" / "riveg.log").read_text().splitlines()
    assert json.loads(last)["event"] == "run stopped"
    again = [*riveg_run(posts, out), "--set", "run.part_size=1"]
    subprocess.run(again, check=True, capture_output=True)
    assert (out / "records.jsonl").read_bytes() == local


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["--set", "tag.model=/nowhere"], "/nowhere"),
        (["--set", "executor=rai"], "did you mean ray?"),
    ],
)
def test_mistakes_are_one_line(
    cluster: Any, posts: Path, tmp_path: Path, settings: list[str], words: str
) -> None:
    done = subprocess.run(
        [*on_ray(posts, tmp_path / "run"), *settings],
        env=address_of(cluster),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode not in {0, 1}
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_that_is_not_there_is_one_line(posts: Path, tmp_path: Path) -> None:
    done = run_at("127.0.0.1:1", posts, tmp_path / "run")
    assert done.returncode == 2
    assert "no cluster at RAY_ADDRESS=127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_listens_and_is_no_cluster_is_one_line_at_once(posts: Path, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        done = run_at(address, posts, tmp_path / "run", timeout=60)
        server.shutdown()
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert f"no cluster at RAY_ADDRESS={address} (what listens there is no head" in last


def test_a_cluster_is_looked_for_before_the_first_stage(posts: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    system = tmp_path / "system.yaml"
    system.write_text(
        "tag: {backend: chat, llm: main}\n"
        "rewrite: {backend: template}\n"
        "llm: {main: {model: none, base_urls: [http://127.0.0.1:9/v1]}}\n"
    )
    done = run_at("127.0.0.1:1", posts, out, system=str(system))
    assert done.returncode == 2
    assert "no cluster at RAY_ADDRESS=127.0.0.1:1" in done.stderr
    assert not stage_parts(out)


def run_at(
    address: str, posts: Path, out: Path, *, timeout: float = 120, system: str = "quickstart"
) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    return subprocess.run(
        [system if word == "quickstart" else word for word in on_ray(posts, out)],
        env={**os.environ, "RAY_ADDRESS": address},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
