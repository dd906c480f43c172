"""The real vLLM, on a CPU, with a tiny model of random weights: one start for the whole file."""

import json
import math
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.factories import NoImages
from helpers.marked_processes import command_of, end_marked, gone_within, marked_processes
from helpers.places import ROOT
from helpers.real_servers import (
    ENVIRONMENT,
    VLLM_ARGUMENTS,
    tiny_model,
    vllm_command,
)

from riveg.errors import RivegError
from riveg.llm.endpoint import Endpoint, Serve
from riveg.llm.local_server import Server
from riveg.llm.pool import Models
from riveg.llm.response_cache import ResponseCache

pytestmark = [pytest.mark.server, pytest.mark.slow]

OWNER = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from helpers.chat_requests import named, visible
from helpers.factories import NoImages
from riveg.llm.response_cache import ResponseCache
from riveg.llm.pool import Models
from riveg.llm.endpoint import Endpoint

yes_or_no = [visible("Nairobi " * number) for number in range(12)]

def summary(answer):
    try:
        return answer.value, answer.path, answer.prompt_tokens
    except AttributeError:
        return repr(answer), None, 0

folder, lines = Path(sys.argv[1]), []
endpoints = {name: Endpoint.model_validate(made) for name, made in json.loads(sys.argv[2]).items()}
with (
    ResponseCache(folder / "answers.sqlite") as cache,
    Models(endpoints, cache=cache, images=NoImages(), say=lines.append, logs=folder) as models,
    ThreadPoolExecutor(2) as stages,
):
    first = stages.submit(models["main"].ask, [named(f"name {n}") for n in range(16)])
    second = stages.submit(models["small"].ask, [named(f"name {n}") for n in range(8)])
    found = {
        "main": [summary(answer) for answer in first.result()],
        "small": [summary(answer) for answer in second.result()],
        "first_tokens": [answer.response.first_token for answer in models["main"].ask(yes_or_no)],
        "again": [one.cached for one in models["main"].ask([named("name 3"), named("name 4")])],
        "lines": lines,
    }
    print(json.dumps(found), flush=True)
    time.sleep(600)
"""


@dataclass
class Asked:
    """A process that has asked a server of its own, and what came of it."""

    process: subprocess.Popen[str]
    found: dict[str, Any]
    folder: Path
    marker: str
    endpoint: Endpoint


def endpoint(model: Path, marker: str, **fields: Any) -> Endpoint:
    serve = Serve(
        command=vllm_command(),
        arguments=VLLM_ARGUMENTS,
        environment={**ENVIRONMENT, "MARKER": marker},
        ready_timeout_s=300,
    )
    return Endpoint(model=str(model), serve=serve, **fields)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def asked(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("owner")
    marker = f"riveg-test-{uuid.uuid4().hex}"
    main = endpoint(model, marker)
    both = {"main": main, "small": endpoint(model, marker, picture_side=512)}
    values = json.dumps({name: made.model_dump(mode="json") for name, made in both.items()})
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, folder, values],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the owner ended without an answer"
        yield Asked(process, json.loads(line), folder, marker, main)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        gone_within(marked_processes(marker), 15)
        end_marked(marker)


def test_answers_keep_to_the_schema(asked: Asked) -> None:
    for name, count in (("main", 16), ("small", 8)):
        answers = asked.found[name]
        assert len(answers) == count
        for value, path, prompt_tokens in answers:
            assert isinstance(value, dict), value
            assert value.keys() == {"expression", "visible"}
            assert isinstance(value["visible"], bool)
            assert len(value["expression"]) <= 20
            assert path == "schema"
            assert prompt_tokens > 20


def test_the_likeliest_first_tokens_come_with_their_probabilities(asked: Asked) -> None:
    # Some begin with a line break, which is not a word, and go on like that.
    spoken = [tokens for tokens in asked.found["first_tokens"] if tokens]
    assert spoken
    for tokens in spoken:
        assert len(tokens) == 20
        scores = [score for _, score in tokens]
        assert scores == sorted(scores, reverse=True)
        assert sum(map(math.exp, scores)) <= 1


def test_two_stages_share_one_server(asked: Asked) -> None:
    assert len([line for line in asked.found["lines"] if "ready in" in line]) == 1
    assert len([*asked.folder.glob("serve-*.log")]) == 1
    lines = [command_of(number) for number in marked_processes(asked.marker)]
    assert len([line for line in lines if b"api_server" in line and b"guard.py" not in line]) == 1


def test_what_is_on_file_is_not_asked_again_whatever_the_engine(asked: Asked) -> None:
    from helpers.chat_requests import named

    assert asked.found["again"] == [True, True]
    offline = Endpoint(model=asked.endpoint.model, engine="vllm-offline")
    with (
        ResponseCache(asked.folder / "answers.sqlite") as cache,
        Models({"main": offline}, cache=cache, images=NoImages(), say=print) as models,
    ):
        (answer,) = models["main"].ask([named("name 3")])
    assert answer.cached  # type: ignore[union-attr]
    assert answer.value == asked.found["main"][3][0]  # type: ignore[union-attr]


def test_no_key_is_in_an_argument_or_a_log(asked: Asked) -> None:
    (log,) = asked.folder.glob("serve-*.log")
    keys = set()
    for number in marked_processes(asked.marker):
        variables = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
        keys |= {item.partition(b"=")[2] for item in variables if item.startswith(b"VLLM_API_KEY=")}
        assert not any(key in command_of(number) for key in keys)
    (key,) = keys
    assert key not in log.read_bytes()


def test_a_killed_owner_leaves_no_process_behind(asked: Asked) -> None:
    started = marked_processes(asked.marker)
    assert len(started) >= 4  # guard, API server, engine, worker
    asked.process.send_signal(signal.SIGKILL)
    asked.process.wait()
    assert gone_within(started, 30)


def test_one_that_cannot_start_shows_why(tmp_path: Path) -> None:
    marker = f"riveg-test-{uuid.uuid4().hex}"
    (tmp_path / "no-model").mkdir()
    with (
        Server(endpoint(tmp_path / "no-model", marker), say=lambda _: None) as server,
        pytest.raises(RivegError) as caught,
    ):
        server.start()
    message = str(caught.value)
    assert "no-model: ended with exit code 1 before it was ready; its last lines:" in message
    assert "config.json" in message
    assert marked_processes(marker) == []
