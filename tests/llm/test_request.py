import json

import pytest

from riveg.llm.conversation import AttachedImage, Message, Request, Response
from riveg.llm.endpoint import Endpoint, Prices
from riveg.llm.images import SentImage
from riveg.llm.request import refused_fields, request_body, request_key, without_fields
from riveg.types import ImageRef, ImageSize

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
IMAGE = AttachedImage(ImageRef("a.jpg"))
ENDPOINT = Endpoint(model="m", base_urls=("http://127.0.0.1:1/v1",))


def parse(response: Response) -> str:
    return response.text


QUESTION = Request((Message("system", "See."), Message("user", "What?", (IMAGE,))), parse, SCHEMA)
SENT = {IMAGE: SentImage("data:image/jpeg;base64,AAAA", "d1", ImageSize(10, 20))}


def test_a_body() -> None:
    body = request_body(ENDPOINT, QUESTION, QUESTION.messages, SENT)
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "See."},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
                    {"type": "text", "text": "What?"},
                ],
            },
        ],
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "max_tokens": 256,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
        },
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_what_is_not_wanted_is_not_sent() -> None:
    loose = ENDPOINT.model_copy(update={"structured": False, "thinking": True})
    body = request_body(loose, QUESTION, QUESTION.messages, SENT)
    assert not {"response_format", "chat_template_kwargs", "logprobs"} & body.keys()


def test_half_a_surrogate_pair_can_be_sent() -> None:
    body = request_body(ENDPOINT, QUESTION, (Message("user", "a\ud83d b"),), {})
    assert body["messages"][0]["content"] == "a\ufffd b"
    json.dumps(body, ensure_ascii=False).encode()


def test_the_body_of_a_text_to_complete() -> None:
    request = Request((Message("completion", "a\ud83d\nAnswer:"),), parse, stop=("\n",))
    assert request_body(ENDPOINT, request, request.messages, {}) == {
        "model": "m",
        "prompt": "a\ufffd\nAnswer:",
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "max_tokens": 256,
        "stop": ["\n"],
    }


KEY = request_key(ENDPOINT, QUESTION, SENT)


def test_the_keys_of_turns_are_those_of_earlier_versions() -> None:
    plain = Request((Message("user", "What?"),), parse)
    assert request_key(ENDPOINT, plain, {}) == "82da14756707a6afe13e0f1cc7909018"


@pytest.mark.parametrize(
    "fields",
    [
        {"base_urls": ("http://127.0.0.1:2/v1",)},
        {"api_key_variable": "KEY"},
        {"concurrency": 1, "tries": 1, "timeout_s": 1.0, "requests_per_minute": 1.0},
        {"prices": Prices(input=1, output=1)},
    ],
)
def test_the_key_does_not_hang_on_where_and_how_fast(fields: dict[str, object]) -> None:
    assert request_key(ENDPOINT.model_copy(update=fields), QUESTION, SENT) == KEY


@pytest.mark.parametrize(
    ("fields", "has_ids"),
    [
        ({"base_urls": ["http://127.0.0.1:1/v1"]}, False),
        ({"base_urls": ["http://127.0.0.1:1/v1"], "picture_ids": True}, True),
        ({"serve": "vllm"}, True),
        ({"serve": "vllm", "picture_ids": False}, False),
        ({"serve": "transformers"}, False),
        ({"engine": "vllm-offline"}, True),
    ],
)
def test_only_vllm_gets_the_ids_of_pictures_and_no_key_hangs_on_them(
    fields: dict[str, object], has_ids: bool
) -> None:
    made = Endpoint.model_validate({"model": "m", **fields})
    body = request_body(made, QUESTION, QUESTION.messages, SENT)
    pictures = [
        part
        for message in body["messages"]
        for part in message["content"]
        if isinstance(part, dict) and part["type"] == "image_url"
    ]
    ids = [part.get("uuid") for part in pictures]
    assert ids == ([SENT[IMAGE].digest] if has_ids else [None])
    assert request_key(made, QUESTION, SENT) == KEY


def changed_question(**fields: object) -> Request:
    kept = {name: getattr(QUESTION, name) for name in ("messages", "parse", "schema")}
    return Request(**{**kept, **fields})


def test_the_key_hangs_on_all_that_shapes_the_answer() -> None:
    other_image = {IMAGE: SentImage("data:", "d2", ImageSize(10, 20))}
    turned = {"type": "object", "properties": dict(reversed(SCHEMA["properties"].items()))}  # type: ignore[attr-defined]
    keys = {
        KEY,
        request_key(ENDPOINT.model_copy(update={"model": "n"}), QUESTION, SENT),
        request_key(ENDPOINT.model_copy(update={"temperature": 0.5}), QUESTION, SENT),
        request_key(ENDPOINT, QUESTION, other_image),
        request_key(ENDPOINT, changed_question(schema=None), SENT),
        request_key(ENDPOINT, changed_question(schema=turned), SENT),
        request_key(ENDPOINT, changed_question(max_tokens=9), SENT),
        request_key(ENDPOINT, changed_question(first_tokens=9), SENT),
        request_key(ENDPOINT, changed_question(messages=QUESTION.messages[1:]), SENT),
        request_key(ENDPOINT, changed_question(stop=("\n",)), SENT),
        request_key(ENDPOINT, changed_question(messages=(Message("completion", "What?"),)), {}),
        request_key(ENDPOINT, changed_question(messages=(Message("user", "What?"),)), {}),
    }
    assert len(keys) == 12
    assert request_key(ENDPOINT, changed_question(parse=str), SENT) == KEY


BODY = request_body(ENDPOINT, changed_question(first_tokens=5), QUESTION.messages, SENT)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            "Unexpected fields in the request: {'chat_template_kwargs', 'response_format'}",
            {"chat_template_kwargs", "response_format"},
        ),
        ("Unsupported value: 'temperature' does not support 0", {"temperature"}),
        ("top_logprobs must be at most 5", {"logprobs", "top_logprobs"}),
        ("'max_tokens' is not supported, use 'max_completion_tokens' instead", {"max_tokens"}),
        ("max_tokens is too large", set()),
        ("the messages are too long", set()),
    ],
)
def test_fields_that_a_refusal_names(words: str, named: set[str]) -> None:
    assert refused_fields(BODY, words) == named
    left = without_fields(BODY, named)
    assert not named & left.keys()
    assert ("max_completion_tokens" in left) == ("max_tokens" in named)
