"""What language models were asked for a stage, and what it cost: in the manifest, and by status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import riveg
from helpers.fault_server import Running, fault_server, free_port
from helpers.places import ROOT

from riveg.runs.merging import merge_runs
from riveg.runs.portion import Shard
from riveg.runs.run import RunReport
from riveg.runs.status import run_status
from riveg.runs.system import load_system

pytestmark = [pytest.mark.server, pytest.mark.slow]

POSTS = 8
PART = 4

STAGE_COLUMNS = ["stage", "backend", "parts", "samples", "samples/s", "workers", "left"]
ACCOUNT_COLUMNS = ["asked", "server", "requests", "failed", "sent", "received", "cost"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """Its answers take 10 tokens to ask for and have 5."""
    with fault_server(tmp_path / "counts") as running:
        yield running


def write_system(path: Path, *urls: str, prices: str = "{input: 1.0, output: 2.0}") -> Path:
    path.write_text(
        f"""
name: asking
llm:
  main: {{model: any, base_urls: {json.dumps(urls)}, prices: {prices}, tries: 4}}
augment: {{backend: chat, llm: main, prompt: augment/gem.v1}}
run: {{part_size: {PART}}}
"""
    )
    return path


def write_posts(path: Path, faults: dict[int, str] | None = None, count: int = POSTS) -> Path:
    """Posts that tell the server what happens to the requests about them.

    A 400 belongs behind the first part: before a request has been answered, fields of it that a
    server may not know are left out at the next try.
    """
    lines = []
    for number in range(count):
        fault = (faults or {}).get(number)
        text = f"key=q{number} fault={fault} is a post" if fault else f"key=q{number} is a post"
        lines.append(json.dumps({"id": f"{number}", "text": text}))
    path.write_text("\n".join(lines) + "\n")
    return path


def run(system: Path, posts: Path, out: Path, shard: str | None = None) -> RunReport:
    share = None if shard is None else Shard.parse(shard)
    return load_system(system).run(posts, out=out, shard=share)


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def account_of(folder: Path) -> dict[str, Any]:
    (account,) = manifest_of(folder)["accounts"]["augment"]
    found: dict[str, Any] = account
    return found


def test_requests_tokens_and_cost_are_in_the_manifest_and_a_rerun_leaves_them(
    server: Running, tmp_path: Path
) -> None:
    system = write_system(tmp_path / "system.yaml", server.url)
    posts = write_posts(tmp_path / "posts.jsonl", {1: "500*1", 6: "400*1"})
    out = tmp_path / "run"
    run(system, posts, out)
    first = manifest_of(out)
    assert account_of(out) == {
        "model": "any",
        "server": server.url,
        "currency": "USD",
        "requests": POSTS + 1,
        "retries": 1,
        "failures": 2,
        "uncounted": 0,
        "prompt_tokens": 10 * (POSTS - 1),
        "answer_tokens": 5 * (POSTS - 1),
        "cost": pytest.approx(20 * (POSTS - 1) / 1e6),
        "lost_since": None,
    }
    assert first["workers"] == {"augment": 1}
    run(system, posts, out)
    again = manifest_of(out)
    for key in ("accounts", "seconds", "workers"):
        assert again[key] == first[key]
    assert again["started"] > first["started"]


def test_a_run_that_goes_on_adds_to_them(server: Running, tmp_path: Path) -> None:
    system = write_system(tmp_path / "system.yaml", server.url)
    out = tmp_path / "run"
    run(system, write_posts(tmp_path / "posts.jsonl"), out)
    first = manifest_of(out)
    run(system, write_posts(tmp_path / "posts.jsonl", count=POSTS + 2), out)
    assert account_of(out)["requests"] == POSTS + 2
    assert manifest_of(out)["seconds"]["augment"] > first["seconds"]["augment"]


def test_without_prices_there_is_no_cost(server: Running, tmp_path: Path) -> None:
    out = tmp_path / "run"
    system = write_system(tmp_path / "system.yaml", server.url, prices="null")
    run(system, write_posts(tmp_path / "posts.jsonl"), out)
    account = account_of(out)
    assert (account["cost"], account["currency"]) == (None, None)
    assert account["prompt_tokens"] == 10 * POSTS
    done = riveg("status", out)
    assert "received" in done.stdout
    assert "cost" not in done.stdout


def test_a_killed_run_loses_the_part_in_flight_at_most(tmp_path: Path) -> None:
    out, posts = tmp_path / "run", write_posts(tmp_path / "posts.jsonl", count=40)
    with fault_server(tmp_path / "counts", "--delay-s", "0.3") as server:
        system = write_system(tmp_path / "system.yaml", server.url)
        command = [sys.executable, "-m", "riveg", "run", str(system), "--data", str(posts)]
        with subprocess.Popen(
            [*command, "--out", str(out)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        ) as process:
            while not ((out / "manifest.json").is_file() and manifest_of(out)["accounts"]):
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.02)
            running = run_status(out)
            process.send_signal(signal.SIGKILL)
        assert running.state == "running"
        assert running.accounts["augment"][0].prompt_tokens
        killed, asked = account_of(out), server.counts().total()
        seconds = manifest_of(out)["seconds"]["augment"]
        assert 1 <= killed["requests"] <= asked <= killed["requests"] + 2 * PART
        stopped = run_status(out)
        assert stopped.state == "stopped"
        assert stopped.stages[0].seconds == seconds > 0
        run(system, posts, out)
        assert server.counts().total() - account_of(out)["requests"] <= 2 * PART
    assert account_of(out)["requests"] >= 40 - PART
    assert manifest_of(out)["seconds"]["augment"] > seconds


def test_shards_add_up(server: Running, tmp_path: Path) -> None:
    system = write_system(tmp_path / "system.yaml", server.url)
    posts = write_posts(tmp_path / "posts.jsonl", {6: "500*2"})
    shards = [tmp_path / "one", tmp_path / "two"]
    for number, out in enumerate(shards, 1):
        run(system, posts, out, f"{number}/2")
    merge_runs(shards, tmp_path / "all")
    merge_runs(shards, tmp_path / "all")  # as after an interruption
    merged, parts = account_of(tmp_path / "all"), [account_of(out) for out in shards]
    for key in ("requests", "retries", "failures", "prompt_tokens", "answer_tokens", "cost"):
        assert merged[key] == sum(part[key] for part in parts)
    assert (merged["requests"], merged["retries"]) == (POSTS + 2, 2)
    run(system, posts, tmp_path / "all")
    assert account_of(tmp_path / "all") == merged


def test_a_dead_server_among_living_ones_is_told_at_once_at_the_end_and_later(
    server: Running, tmp_path: Path
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    system = write_system(tmp_path / "system.yaml", dead, server.url)
    posts = write_posts(tmp_path / "posts.jsonl", count=3 * PART)
    out, began = tmp_path / "run", time.time()
    done = riveg("run", system, "--data", posts, "--out", out)
    assert done.returncode == 0, done.stderr
    at_once = " ".join(done.stderr.split())
    assert at_once.count(dead) == 1
    assert f"{dead} cannot be reached" in at_once
    assert "; the other servers of any do its work" in at_once
    accounts = {one["server"]: one for one in manifest_of(out)["accounts"]["augment"]}
    lost, living = accounts[dead], accounts[server.url]
    assert lost["failures"] == lost["requests"] > 0
    assert living["requests"] - living["failures"] == 3 * PART
    assert living["retries"] + lost["retries"] == lost["failures"]
    assert began < lost["lost_since"] < time.time()
    assert living["lost_since"] is None
    (note,) = [line for line in done.stdout.splitlines() if dead in line]
    told = f"augment: {dead} is lost: no response since 20"
    assert note.startswith(f"note      {told}")
    assert note.endswith(f" UTC, requests that failed: {lost['failures']}")
    assert note.removeprefix("note      ") in manifest_of(out)["notes"]
    (logged,) = [
        line
        for line in map(json.loads, (out / "logs" / "riveg.log").read_text().splitlines())
        if line["event"] == "server lost"
    ]
    assert (logged["level"], logged["stage"]) == ("warning", "augment")
    assert logged["message"].startswith(f"{dead} is lost: no response since 20")
    shown = " ".join(riveg("status", out).stdout.split())
    assert f"lost {told}" in shown


def test_a_server_that_answers_again_is_lost_no_more(tmp_path: Path) -> None:
    """Five failures in a row, also of one that can be reached."""
    with fault_server(tmp_path / "counts") as other, fault_server(tmp_path / "more") as server:
        system = write_system(tmp_path / "system.yaml", server.url)
        posts = write_posts(tmp_path / "posts.jsonl", dict.fromkeys(range(5), "500*9"), count=5)
        report = run(system, posts, tmp_path / "run")
        (note,) = report.notes
        assert f"{server.url} is lost" in note
        assert account_of(tmp_path / "run")["failures"] == 20
        system = write_system(tmp_path / "system.yaml", server.url, other.url)
        report = run(system, write_posts(posts, count=9), tmp_path / "run")
        assert report.notes == ()


def test_status_shows_them_in_eighty_columns(server: Running, tmp_path: Path) -> None:
    out = tmp_path / "run"
    posts = write_posts(tmp_path / "posts.jsonl", {6: "400*1"})
    run(write_system(tmp_path / "system.yaml", server.url), posts, out)
    done = riveg("status", out, "--json", tmp_path / "status.json")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == STAGE_COLUMNS
    assert lines[3].split() == ACCOUNT_COLUMNS
    assert lines[4].split() == f"augment {server.url} 8 1 70 35 0.0001 USD".split()
    assert lines[5:] == ["cost      0.0001 USD", "issues    1 augment: no-answer"]
    document = json.loads((tmp_path / "status.json").read_text())
    assert document["accounts"]["augment"] == [account_of(out)]
    assert document["stages"][0]["workers"] == 1
