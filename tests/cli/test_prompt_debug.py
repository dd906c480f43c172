"""What looks at prompts and models, as a person gives the commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.debugged_samples import OTHER, PROMPT, SYSTEM, write_system
from helpers.fault_server import fault_server
from helpers.places import ROOT
from typer.testing import CliRunner

from riveg.cli import app
from riveg.errors import UserError

HOSTILE = "\x1b[31mEve\u202e in [bold]Paris[/bold] {{ 7*7 }}"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def riveg(*arguments: str) -> Done:
    """The command in this process; a user's mistake ends it as ``main`` tells of one."""
    found = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    if isinstance(found.exception, UserError):
        return Done(2, found.stdout, str(found.exception))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return Done(found.exit_code, found.stdout, found.stderr)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_system(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_one_prompt_over_samples(folder: Path) -> None:
    done = riveg("prompt-debug", "system.yaml", "--data", "quickstart", "--sample", "2")
    assert done.returncode == 0, done.stderr
    for words in ("not asked yet", "the same for all questions", "sample.text", "mine.jinja"):
        assert words in done.stdout
    assert "\x1b" not in done.stdout
    assert widest(done.stdout) <= 80
    assert not (folder / "runs").exists(), "nothing is written without --ask"


def test_hostile_text_stays_text(folder: Path) -> None:
    done = riveg("prompt-debug", "system.yaml", "--text", HOSTILE)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "[bold]Paris[/bold]" in done.stdout.replace("\n", "")
    assert "{{ 7*7 }}" in " ".join(done.stdout.split())


def test_json_is_a_document(folder: Path) -> None:
    done = riveg(
        "prompt-debug", "system.yaml", "--text", "Ada in Paris", "--diff", "other.jinja",
        "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["schema"] == "riveg-prompt-debug-1"
    assert found["sides"][0]["prompt"]["name"] == "mine.jinja"
    assert {row["state"] for row in found["compared"]} == {"unasked"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--text", "Ada", "--data", "quickstart"), "say one of --data, --run and --text"),
        ((), "names no data"),
        (("--text", "Ada", "--prompt", "gone.jinja"), "gone.jinja"),
        (("--text", "Ada", "--stage", "entail"), "no such stage"),
        (("--run", "nowhere"), "is it a run folder"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    done = riveg("prompt-debug", "system.yaml", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.server
@pytest.mark.slow
def test_asking_two_prompts_once_each(folder: Path) -> None:
    with fault_server(folder / "counts") as server:
        (folder / "system.yaml").write_text(SYSTEM.replace("http://127.0.0.1:9/v1", server.url))
        command = ("prompt-debug", "system.yaml", "--data", "quickstart", "--diff", "other.jinja")
        for _ in range(2):
            done = riveg(*command, "--ask", "--html", "page.html")
            assert done.returncode == 0, done.stderr
        asked = sum(server.counts().values())
        assert asked == 20, "two prompts, ten names, once"
    done = riveg(*command)
    assert "answered on file" in done.stdout, "the server is gone, the answers are not"
    assert "0 changed, 10 same" in done.stdout
    assert "{+with colours+}" in done.stdout.replace(" +}", "+}").replace("{+ ", "{+")
    assert widest(done.stdout) <= 80
    assert (folder / "page.html").stat().st_size > 10_000


@pytest.mark.slow
def test_watching_shows_each_save_and_survives_a_mistake(folder: Path) -> None:
    prompt = folder / "mine.jinja"
    command = [
        sys.executable,
        "-m",
        "riveg",
        "prompt-debug",
        "system.yaml",
        "--text",
        "Ada",
        "--watch",
    ]
    with subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        stderr = process.stderr
        assert stderr is not None

        def next_look() -> str:
            lines = []
            for line in stderr:
                lines.append(line.decode())
                if "Ctrl-C" in lines[-1]:
                    break
            return "".join(lines)

        assert "mine.jinja" in next_look()
        prompt.write_text(PROMPT.replace("{{ text }}", "{{ tetx }}"))
        assert "mine.jinja:9: block 'user' needs a value for 'tetx'" in next_look()
        prompt.write_text(OTHER)
        assert "needs a value" not in next_look()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0
    assert "Say with colours what" in output.decode()


def test_show_prompts_of_one(folder: Path) -> None:
    done = riveg("show", "prompts", "mine.jinja")
    assert done.returncode == 0, done.stderr
    for words in ("A prompt of the tests.", "entities, text", "fingerprint", "{% block user %}"):
        assert words in done.stdout
    assert riveg("show", "prompts", "gone/prompt").returncode == 2


def test_show_models(folder: Path) -> None:
    done = riveg("show", "models")
    assert "apache-2.0" in done.stdout
    lines = [line for line in done.stdout.splitlines() if "make it with: riveg" not in line]
    assert widest("\n".join(lines)) <= 80
    done = riveg("show", "models", "system.yaml")
    assert "tiny/model" in done.stdout
    assert "not said" in done.stdout
    assert "main is asked by rewrite" in done.stdout
    done = riveg("show", "models", "quickstart")
    assert done.stdout == "quickstart needs no model but those that come with riveg\n"


def test_dry_run_is_a_table(folder: Path) -> None:
    command = ("run", "system.yaml", "--data", "quickstart", "--out", "out", "--dry-run")
    done = riveg(*command)
    assert done.returncode == 0, done.stderr
    assert "nothing was sent" in done.stdout
    assert "tag: kept in out" in done.stdout
    assert "USD" in done.stdout
    assert widest(done.stdout) <= 80


def test_a_dry_run_never_reports_less_than_its_cost(folder: Path) -> None:
    """Nor is a stage left out whose cost nobody can tell yet."""
    system = SYSTEM.replace("input: 1.0, output: 2.0", "input: 0.0001, output: 0.0002")
    system = system.replace("tag: {backend: mini}", "tag: {backend: chat}")
    (folder / "system.yaml").write_text(system)
    done = riveg("run", "system.yaml", "--data", "quickstart", "--out", "out", "--dry-run")
    assert "at most 0.01 USD, and what rewrite will cost" in done.stdout


@pytest.mark.parametrize(
    ("form", "roles"),
    [("turns", ["user", "assistant"] * 6 + ["user"]), ("completion", ["completion"])],
)
def test_the_form_that_is_sent_is_shown(folder: Path, form: str, roles: list[str]) -> None:
    changes = {"prompt": "rewrite/riveg.v2", "batch": "entity", "prompt_form": form}
    options = [f"--set=rewrite.{key}={value}" for key, value in changes.items()]
    done = riveg("prompt-debug", "system.yaml", "--text", "Ada in Paris", "--json", *options)
    (side,) = json.loads(done.stdout)["sides"]
    said = [*side["shared"], *side["rows"][0]["messages"]]
    assert [one["role"] for one in said if one["role"] != "system"] == roles
    assert said[-1]["text"].startswith("Background: ")
    shown = riveg("prompt-debug", "system.yaml", "--text", "Ada in Paris", *options).stdout
    assert f"\n{roles[-1]}\n" in shown
    assert "a Colombian pop singer" in shown
