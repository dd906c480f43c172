import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.response import NotACompletion, read_completion


def body(message: Any, finish: Any = "stop", **fields: Any) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish, **fields}]})


@pytest.mark.parametrize(
    ("message", "finish", "text", "reason"),
    [
        ({"content": "red"}, "stop", "red", "stop"),
        ({"content": "<think>hm</think> red"}, None, "red", "stop"),
        ({"content": None, "reasoning_content": "hm"}, "length", "", "length"),
        ({"content": None, "refusal": "I cannot."}, "stop", "I cannot.", "stop"),
        ({"content": [{"type": "text", "text": "re"}, {"text": "d"}, 7]}, "stop", "red", "stop"),
        ({"content": "\ud83d"}, "stop", "\ufffd", "stop"),
    ],
)
def test_words(message: Any, finish: Any, text: str, reason: str) -> None:
    completion = read_completion(body(message, finish))
    assert (completion.response.text, completion.response.finish_reason) == (text, reason)
    assert (completion.prompt_tokens, completion.answer_tokens) == (None, None)


@pytest.mark.parametrize(
    ("message", "finish", "is_refusal"),
    [
        ({"content": None, "refusal": "I cannot."}, "stop", True),
        ({"content": "red", "refusal": "I cannot."}, "stop", True),
        ({"content": [{"type": "refusal", "refusal": "I cannot."}]}, "stop", True),
        ({"content": "No."}, "refusal", True),
        ({"content": "red", "refusal": None}, "stop", False),
        ({"content": "red", "refusal": ""}, "stop", False),
        ({"content": "red", "refusal": {"x": 1}}, "stop", False),
    ],
)
def test_a_field_that_says_that_the_model_refuses(
    message: Any, finish: str, is_refusal: bool
) -> None:
    assert read_completion(body(message, finish)).response.is_refusal == is_refusal


def test_words_of_a_completed_text() -> None:
    choice = {"text": " a dog", "finish_reason": "length"}
    found = read_completion(json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7}}))
    assert (found.response.text, found.response.finish_reason) == ("a dog", "length")
    assert found.prompt_tokens == 7


@pytest.mark.parametrize(
    ("message", "thoughts"),
    [
        ({"content": "<think>a dog\nruns</think> red"}, "a dog\nruns"),
        ({"content": "a dog</think>red"}, "a dog"),
        ({"content": "<reason>a dog</reason><answer>None</answer>"}, "a dog"),
        ({"content": "red", "reasoning_content": " a dog "}, "a dog"),
        ({"content": "red", "reasoning": "a dog"}, "a dog"),
        ({"content": "red", "reasoning": 7}, ""),
        ({"content": '{"a": "<think>b</think>"}'}, ""),
    ],
)
def test_thoughts_are_kept_without_their_tags(message: Any, thoughts: str) -> None:
    assert read_completion(body(message)).response.thoughts == thoughts


def test_a_character_of_several_tokens_is_whole() -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    places = [
        {"token": "caf", "logprob": -0.1},
        {"token": "\ufffd", "logprob": -0.2, "bytes": list(first)},
        {"token": "\ufffd", "logprob": -0.3, "bytes": list(second)},
    ]
    found = read_completion(body({"content": "café"}, logprobs={"content": places})).response
    assert found.tokens == (("caf", -0.1), ("", -0.2), ("é", -0.3))
    places[0]["logprob"] = None
    found = read_completion(body({"content": "café"}, logprobs={"content": places})).response
    assert found.tokens == ()


def test_the_first_token_is_that_of_the_answer() -> None:
    def place(token: str, *options: tuple[Any, Any]) -> dict[str, Any]:
        listed = [{"token": one, "logprob": number} for one, number in options]
        return {"token": token, "logprob": -0.1, "top_logprobs": listed}

    logprobs = {
        "content": [
            place("\n", ("\n", -0.1)),
            place("Yes", ("No", -2.0), ("Yes", -0.2), (None, 0), ("x", "y"), (" yes", -2.0)),
        ]
    }
    found = read_completion(body({"content": "\nYes"}, logprobs=logprobs)).response.first_token
    assert found == (("Yes", -0.2), (" yes", -2.0), ("No", -2.0))


@pytest.mark.parametrize("number", ["-1", str(2**63), str(10**400), "9" * 5_000, "1.5", "true"])
def test_a_count_that_is_none_costs_no_answer(number: str) -> None:
    usage = f'"usage": {{"prompt_tokens": {number}, "completion_tokens": 5}}'
    found = read_completion(f"{body({'content': 'red'})[:-1]}, {usage}}}")
    assert (found.response.text, found.prompt_tokens, found.answer_tokens) == ("red", None, 5)


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 5_000, "1e999", "NaN", "-Infinity", "7"])
def test_a_log_probability_that_is_none_costs_no_answer(number: str) -> None:
    options = [{"token": "No", "logprob": 0.5}, {"token": "Yes", "logprob": -0.5}]
    place = {"token": "Yes", "logprob": -0.5, "top_logprobs": options}
    text = body({"content": "Yes"}, logprobs={"content": [place]})
    found = read_completion(text.replace('"logprob": 0.5', f'"logprob": {number}'))
    assert (found.response.text, found.response.first_token) == ("Yes", (("Yes", -0.5),))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_bytes_of_any_unicode_are_read(encoding: str) -> None:
    content = json.dumps(json.loads(body({"content": "né 日"})), ensure_ascii=False)
    assert read_completion(content.encode(encoding)).response.text == "né 日"


def test_bytes_that_are_no_text_cost_no_answer() -> None:
    content = body({"content": "red"}).encode().replace(b"red", b"r\xff")
    assert read_completion(content).response.text == "r\ufffd"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"choices": null}',
        '{"choices": []}',
        '{"choices": [{}]}',
        '{"choices": [7]}',
        body("red"),
        body({"content": {"a": 1}}),
        body({"content": "x"}, "abort"),
        "[" * 100_000,
    ],
)
def test_what_is_no_completion(content: str) -> None:
    with pytest.raises(NotACompletion):
        read_completion(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "token", "logprob", "top_logprobs"]), inner)
    ),
    max_leaves=8,
)


LOGPROBS = st.fixed_dictionaries({"content": st.lists(JSON, max_size=3) | JSON}) | JSON


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 60))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int, dropped: int) -> None:
    content = body({"content": "red"}, logprobs={"content": [{"token": "r", "logprob": -1}]})
    raw = content.encode()
    for one in (noise, raw[:at] + noise + raw[at + dropped :]):
        with contextlib.suppress(NotACompletion):
            assert isinstance(read_completion(one).response.text, str)


@given(JSON, JSON, LOGPROBS)
def test_any_response_is_read_or_refused(message: Any, finish: Any, logprobs: Any) -> None:
    try:
        completion = read_completion(body(message, finish, logprobs=logprobs, usage=finish))
    except NotACompletion:
        return
    assert isinstance(completion.response.text, str)
