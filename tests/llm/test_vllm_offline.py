"""vLLM without a server: run by the Python that has it, which needs riveg's own packages too."""

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from helpers.chat_requests import named
from helpers.factories import NoImages
from helpers.marked_processes import end_marked
from helpers.places import ROOT
from helpers.real_servers import ENVIRONMENT, require_package, tiny_model

from riveg.errors import MissingExtra
from riveg.llm.endpoint import Endpoint
from riveg.llm.pool import Models
from riveg.llm.response_cache import ResponseCache

SCRIPT = """
import json, os, sys
from pathlib import Path
from helpers.chat_requests import completed, named, visible
from helpers.factories import NoImages
from helpers.marked_processes import command_of, members_of
from riveg.llm.response_cache import ResponseCache
from riveg.llm.pool import Models
from riveg.llm.endpoint import Endpoint

folder = Path(sys.argv[1])
endpoint = Endpoint.model_validate_json(sys.argv[2])

def engine_processes():
    # Python's own tracker of shared memory stays until the interpreter's end.
    found = members_of(os.getpid())
    return [number for number in found if b"resource_tracker" not in command_of(number)]

with ResponseCache(folder / "answers.sqlite") as cache:
    models = Models({"main": endpoint}, cache=cache, images=NoImages(), say=print)
    asked = [named("name 1"), named("name 2"), named("word " * 4000), named("name 1")]
    answers = models["main"].ask(asked)
    spoken = models["main"].ask([visible("Nairobi " * number) for number in range(12)])
    again = models["main"].ask(asked[:2])
    (cut,) = models["main"].ask([named("name 3", max_tokens=2)])
    mixed = models["main"].ask([completed("Ann"), named("name 1"), completed("Tom"), visible("x")])
    running = len(engine_processes())
    models.release("main")
    print(json.dumps({
        "values": [getattr(answer, "value", None) for answer in answers],
        "paths": [getattr(answer, "path", None) for answer in answers],
        "requests": [getattr(answer, "requests", None) for answer in answers],
        "refused": [answers[2].kind, answers[2].message],
        "first_tokens": [answer.response.first_token for answer in spoken],
        "cached": [answer.cached for answer in again],
        "cut": cut.kind,
        "mixed": [one.response.text for one in mixed],
        "running": running,
        "left": len(engine_processes()),
    }))
"""

OPTIONS = {
    "dtype": "float32",
    "max_model_len": 2048,
    "enforce_eager": True,
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
}


def endpoint(model: str | Path) -> Endpoint:
    return Endpoint(model=str(model), engine="vllm-offline", options=OPTIONS, re_asks=1)


def test_without_vllm_it_says_what_to_install() -> None:
    with (
        ResponseCache(None) as cache,
        Models({"main": endpoint("m")}, cache=cache, images=NoImages(), say=print) as models,
        pytest.raises(MissingExtra, match=r'pip install "riveg\[vllm\]"'),
    ):
        models["main"].ask([named("x")])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    python = require_package("vllm")
    for package in ("pydantic", "numpy", "PIL"):
        require_package(package)
    model = tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    marker = f"riveg-test-{uuid.uuid4().hex}"
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    folder = tmp_path_factory.mktemp("answers")
    try:
        done = subprocess.run(
            [python, "-c", SCRIPT, folder, endpoint(model).model_dump_json()],
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path, "MARKER": marker},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            start_new_session=True,
        )
    finally:
        end_marked(marker)
    assert done.returncode == 0, done.stderr[-4000:]
    # Nothing but riveg's own words on stdout: vLLM logs elsewhere.
    (line,) = done.stdout.splitlines()
    return json.loads(line)  # type: ignore[no-any-return]


@pytest.mark.server
@pytest.mark.slow
def test_answers_come_by_schema_and_twins_are_asked_once(found: dict[str, Any]) -> None:
    first, second, _, twin = found["values"]
    assert first == twin
    for value in (first, second):
        assert value.keys() == {"expression", "visible"}
        assert len(value["expression"]) <= 20
    assert found["paths"] == ["schema", "schema", None, "schema"]
    assert found["requests"] == [1, 1, None, 0]


@pytest.mark.server
@pytest.mark.slow
def test_one_request_that_does_not_fit_spoils_no_other(found: dict[str, Any]) -> None:
    kind, message = found["refused"]
    assert kind == "no-answer"
    assert "2048" in message
    assert found["cut"] == "truncated-answer"


@pytest.mark.server
@pytest.mark.slow
def test_first_tokens_come_likeliest_first(found: dict[str, Any]) -> None:
    # Some begin with a line break, which is not a word, and go on like that.
    spoken = [tokens for tokens in found["first_tokens"] if tokens]
    assert spoken
    for tokens in spoken:
        scores = [score for _, score in tokens]
        assert len(scores) == 20
        assert scores == sorted(scores, reverse=True)


@pytest.mark.server
@pytest.mark.slow
def test_answers_are_on_file_and_the_memory_is_given_back(found: dict[str, Any]) -> None:
    assert found["cached"] == [True, True]
    assert found["running"] >= 1
    assert found["left"] == 0


@pytest.mark.server
@pytest.mark.slow
def test_texts_to_complete_and_turns_are_asked_together(found: dict[str, Any]) -> None:
    ann, name, tom, _ = found["mixed"]
    assert not {"\n"} & {*ann, *tom}
    assert json.loads(name) == found["values"][0]
