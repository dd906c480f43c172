"""``transformers serve``: takes a schema and does not keep to it; riveg must still end right."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.chat_requests import completed, named
from helpers.factories import NoImages
from helpers.marked_processes import end_marked
from helpers.real_servers import ENVIRONMENT, require_package, tiny_model

from riveg.llm.conversation import Chat, ChatAnswer, NoAnswer
from riveg.llm.endpoint import Endpoint, Serve
from riveg.llm.pool import Models
from riveg.llm.response_cache import ResponseCache

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    python = require_package("transformers")
    require_package("uvicorn")
    model = tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    marker = f"riveg-test-{uuid.uuid4().hex}"
    serve = Serve(
        engine="transformers",
        command=(str(Path(python).parent / "transformers"), "serve"),
        arguments=("--device", "cpu"),
        environment={**ENVIRONMENT, "MARKER": marker},
        ready_timeout_s=120,
    )
    endpoint = Endpoint(model=str(model), serve=serve, re_asks=1, concurrency=2)
    try:
        with (
            ResponseCache(None) as cache,
            Models({"main": endpoint}, cache=cache, images=NoImages(), say=print) as models,
        ):
            yield models["main"]
    finally:
        end_marked(marker)


def test_every_request_ends_with_an_answer_or_a_reason(chat: Chat) -> None:
    results = chat.ask([named(f"name {number}", max_tokens=24) for number in range(4)])
    assert len(results) == 4
    for result in results:
        if isinstance(result, ChatAnswer):
            assert result.value.keys() == {"expression", "visible"}
        else:
            assert isinstance(result, NoAnswer)
            assert result.kind in {"truncated-answer", "unparsable-answer"}
            assert result.response is not None  # words of the model, not a refusal of the server


def test_a_text_is_completed_to_its_lines_end(chat: Chat) -> None:
    for result in chat.ask([completed("Ann"), completed("Tom")]):
        if isinstance(result, ChatAnswer):
            assert "\n" not in result.value
        else:
            assert isinstance(result, NoAnswer)
            assert result.kind in {"truncated-answer", "unparsable-answer"}
