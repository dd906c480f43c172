"""Whole runs that ask a server: nothing is asked twice, whatever ends them."""

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from helpers.fault_server import Running, fault_server
from helpers.places import ROOT
from helpers.real_servers import ENVIRONMENT, VLLM_ARGUMENTS, tiny_model, vllm_command

from riveg.errors import install_command
from riveg.formats.reasoning import read_reasoning

pytestmark = [pytest.mark.server, pytest.mark.slow]

EMBEDDED = [
    word
    for choice in ("observe=evidence", "entail=mini", "ground=evidence", "segment=grabcut")
    for word in ("--set", choice)
]
"""What riveg is asked about here is its language model: the models that it ships do the rest."""
PUBLISHED_FORM = 'rewrite.form="{mention}({label})-{expression}"'


def command(system: str, folder: Path, server: Running, *more: str) -> list[str]:
    where = ["--set", "llm.main.serve=null", "--set", f"llm.main.base_urls=[{server.url}]"]
    rest = EMBEDDED if system == "riveg" else []
    words = ["run", system, "--out", str(folder), *where, *rest, *more]
    return [sys.executable, "-m", "riveg", *words]


def run(system: str, folder: Path, server: Running, *more: str) -> subprocess.CompletedProcess[str]:
    return run_words(command(system, folder, server, *more), timeout_s=300)


def run_words(
    words: list[str], *, timeout_s: float, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        timeout=timeout_s,
    )


def entities_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "records.jsonl").read_text().splitlines()
    return [entity for line in lines for entity in json.loads(line).get("entities", [])]


def questions_about(folder: Path) -> int:
    """How many different names there are: one that a sample says twice is asked about once."""
    lines = map(json.loads, (folder / "records.jsonl").read_text().splitlines())
    return len(
        {
            (sample["id"], entity["text"], entity["label"])
            for sample in lines
            for entity in sample.get("entities", [])
        }
    )


def test_riveg_runs_against_a_server_and_asks_nothing_twice(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with fault_server(tmp_path / "counts") as server:
        first = run("riveg", folder, server)
        assert first.returncode == 0, first.stderr
        asked = server.counts()
        again = run("riveg", folder, server, "--set", "entail.threshold=0.4")
        assert again.returncode == 0, again.stderr
        assert server.counts() == asked
        assert {entity["expression"] for entity in entities_of(folder)} == {"a red coat"}
        other = run("riveg", folder, server, "--set", PUBLISHED_FORM)
        assert other.returncode == 0, other.stderr
        assert server.counts() == asked, "another form of the same answers asks nobody"
    entities = entities_of(folder)
    assert asked.total() == questions_about(folder) > 20
    assert {entity["expression_source"] for entity in entities} == {"chat:plain"}
    assert all(entity["expression"].endswith(")-a red coat") for entity in entities)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["models"]["main"]["licence"] == "apache-2.0"


def test_a_key_is_in_no_file_and_not_on_the_terminal(tmp_path: Path) -> None:
    """The server quotes it in answers, errors and status lines; it was mounted with a line end."""
    key = "hush/hush+93711=hush"
    with fault_server(tmp_path / "counts", "--key", key, "--leaks") as server:
        folder = tmp_path / "run"
        words = command("riveg", folder, server, "--limit", "4")
        words += ["--set", "llm.main.api_key_variable=A_KEY"]
        words.insert(words.index("run"), "--debug")
        done = run_words(words, timeout_s=300, A_KEY=f"{key}\n")
    assert done.returncode in {0, 1}, done.stderr
    seen = {"terminal": done.stdout + done.stderr}
    page = tmp_path / "report.html"
    for more in (["report", str(folder), "--out", str(page)], ["show", "run", str(folder)]):
        shown = run_words([sys.executable, "-m", "riveg", *more], timeout_s=100, A_KEY=key)
        assert shown.returncode == 0, shown.stderr
        seen[more[0]] = shown.stdout + shown.stderr
    for path in (page, *(path for path in folder.rglob("*") if path.is_file())):
        seen[path.name] = path.read_bytes().decode("utf-8", "replace")
    for name, text in seen.items():
        for form in (key, "93711", quote(key), base64.b64encode(key.encode()).decode()[4:-4]):
            assert form not in text, name
    assert "[key]" in seen["records.jsonl"]
    assert "[key]" in seen["failed.jsonl"]
    assert (folder / "config.yaml").stat().st_mode & 0o777 == 0o600


def test_the_published_form_of_an_expression(tmp_path: Path) -> None:
    with fault_server(tmp_path / "counts") as server:
        done = run("riveg", tmp_path / "run", server, "--limit", "1", "--set", PUBLISHED_FORM)
    assert done.returncode == 0, done.stderr
    expressions = [entity["expression"] for entity in entities_of(tmp_path / "run")]
    assert "Eileen Collins(PER)-a red coat" in expressions


def test_a_killed_run_goes_on_without_asking_what_is_on_file(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    store = folder / "answers.sqlite"
    with fault_server(tmp_path / "counts", "--delay-s", "0.5") as server:
        words = command("riveg", folder, server, "--set", "llm.main.concurrency=2")
        with subprocess.Popen(
            words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
        ) as process:
            deadline = time.monotonic() + 120
            while answers_in(store) < 6:
                assert process.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        kept = answers_in(store)
        assert not (folder / "records.jsonl").exists()
        resumed = run("riveg", folder, server)
        assert resumed.returncode == 0, resumed.stderr
        counts = server.counts()
    entities = entities_of(folder)
    assert all(entity["expression"] for entity in entities)
    # Only what was in flight when it died, two requests at most, was asked a second time.
    twice = [number for number in counts.values() if number > 1]
    assert len(counts) == questions_about(folder)
    assert len(twice) <= 2
    assert set(twice) <= {2}
    assert kept >= 6


def answers_in(store: Path) -> int:
    if not store.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            (number,) = connection.execute("select count(*) from answers").fetchone()
    except sqlite3.Error:
        return 0
    connection.close()
    return int(number)


def test_a_server_that_goes_away_stops_the_run_and_it_goes_on_later(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with fault_server(tmp_path / "counts", "--die-after", "10") as server:
        stopped = run("riveg", folder, server, "--set", "llm.main.tries=2")
    assert stopped.returncode == 2
    assert stopped.stderr.strip().splitlines()[-1].startswith("riveg: ")
    assert server.url.removesuffix("/v1") in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (folder / "records.jsonl").exists()
    with fault_server(tmp_path / "counts") as server:
        resumed = run("riveg", folder, server)
    assert resumed.returncode == 0, resumed.stderr
    assert all(entity["expression"] for entity in entities_of(folder))


def test_one_model_serves_every_stage(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with fault_server(tmp_path / "counts") as server:
        done = run("one-vlm", folder, server, "--max-error-rate", "1")
        assert done.returncode == 0, done.stderr
        asked = server.counts()
        again = run("one-vlm", folder, server, "--max-error-rate", "1")
        assert again.returncode == 0, again.stderr
        assert server.counts() == asked
    assert asked.total() >= 24  # a caption and tags for each of the twelve samples


def test_one_answer_holds_entities_and_boxes_and_the_thought_before_them(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with fault_server(tmp_path / "counts", "--delay-s", "0.2") as server:
        words = command("e2e-gmner", folder, server, "--set", "llm.main.concurrency=2")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        killed = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        store = folder / "answers.sqlite"
        while answers_in(store) < 4 and killed.poll() is None:
            time.sleep(0.05)
        killed.kill()
        killed.wait()
        assert killed.returncode == -signal.SIGKILL
        done = run("e2e-gmner", folder, server)
        assert done.returncode == 0, done.stderr
        asked = server.counts()
        manifest = json.loads((folder / "manifest.json").read_text())
        assert run("e2e-gmner", folder, server).returncode == 0
    sent = manifest["images_sent"]["extract"]
    assert (sent["resize"]["max_pixels"], sent["sent"]["count"]) == (802816, 12)
    again = json.loads((folder / "manifest.json").read_text())
    assert again["images_sent"] == manifest["images_sent"]
    entities = entities_of(folder)
    assert asked.total() <= len(asked) + 2, "only what was in flight is asked twice"
    assert len(entities) >= 10
    assert all(len(entity["regions"]) == 1 for entity in entities)
    more = [sys.executable, "-m", "riveg"]
    sample = json.loads((folder / "records.jsonl").read_text().splitlines()[0])["id"]
    shown = run_words([*more, "show", "run", str(folder), "--id", sample], timeout_s=100)
    assert "reasoning: I see" in shown.stdout
    for rest in (
        ["eval", str(folder), "--protocol", "all"],
        ["report", str(folder), "--out", str(tmp_path / "report.html")],
    ):
        told = run_words([*more, *rest], timeout_s=200)
        assert told.returncode == 0, told.stderr
    assert "I see" in (tmp_path / "report.html").read_text()


def test_the_lists_of_sake_become_entities_of_the_systems_types(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with fault_server(tmp_path / "counts") as server:
        done = run("sake", folder, server)
    assert done.returncode == 0, done.stderr
    entities = entities_of(folder)
    assert len(entities) >= 10
    assert {entity["label"] for entity in entities} == {"OTHER"}
    assert all(len(entity["regions"]) == 1 for entity in entities)
    assert '"reasoning":"I see ' in (folder / "records.jsonl").read_text()


def test_a_dry_run_asks_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with fault_server(tmp_path / "counts") as server:
        dry = run("riveg", folder, server, "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert not server.counts()
        assert run("riveg", folder, server).returncode == 0
        asked = server.counts()
        after = run("riveg", folder, server, "--dry-run")
        assert server.counts() == asked
    assert str(asked.total()) in dry.stdout
    assert after.returncode == 0


@pytest.mark.timeout(1200)
def test_riveg_runs_with_a_vllm_that_it_starts_itself(tmp_path: Path) -> None:
    folder, model = tmp_path / "run", tiny_model(tmp_path / "model")
    serve = {
        "command": vllm_command(),
        # The tiny tokenizer makes many tokens of a prompt.
        "arguments": [{"2048": "8192"}.get(word, word) for word in VLLM_ARGUMENTS],
        "environment": ENVIRONMENT,
        "ready_timeout_s": 400,
    }
    # A server on busy cores answers late; what is late is asked again, and makes it later still.
    words = [sys.executable, "-m", "riveg", "run", "riveg", "--out", str(folder), *EMBEDDED]
    words += ["--set", f"llm.main.model={model}", "--set", f"llm.main.serve={json.dumps(serve)}"]
    words += ["--set", "rewrite.prompt=rewrite/visual.v1", "--set", "rewrite.fallback=template"]
    words += ["--set", "llm.main.timeout_s=400"]
    first = run_words(words, timeout_s=900)
    assert first.returncode == 0, first.stderr
    assert "vllm" in first.stderr.lower()
    sources = {entity["expression_source"] for entity in entities_of(folder)}
    assert "chat:schema" in sources, first.stderr
    assert sources <= {"chat:schema", "chat:re-asked", "chat:partial", "template:fallback"}
    logs = {path: path.stat().st_mtime_ns for path in (folder / "logs").glob("serve-*.log")}
    assert logs
    again = run_words(words, timeout_s=120)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in (folder / "logs").glob("serve-*.log")} == logs


def test_a_missing_client_is_told_before_anything_runs(tmp_path: Path) -> None:
    # vLLM is not installed beside the tests: its engine in this process cannot be used.
    words = ["--set", "llm.main.serve=null", "--set", "llm.main.engine=vllm-offline"]
    done = subprocess.run(
        [sys.executable, "-m", "riveg", "run", "riveg", "--out", str(tmp_path / "run"), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    command = install_command("vllm", "vllm")
    assert done.stderr.splitlines() == [f"riveg: rewrite: chat needs the package vllm: {command}"]
    assert not (tmp_path / "run" / "0-input").exists()


def test_a_teachers_run_is_reasoning_to_train_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with fault_server(tmp_path / "counts") as server:
        done = run("e2e-reasoning", folder, server)
        assert done.returncode == 0, done.stderr
        assert server.counts().total() == 12
    thoughts = {one.sample_id: one.thoughts for one in read_reasoning(folder)}
    assert len(thoughts) == 12
    assert set(thoughts.values()) == {"a red coat"}
    assert json.loads((folder / "manifest.json").read_text())["oracle_stages"] == ["extract"]
