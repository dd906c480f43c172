from dataclasses import replace

import pytest

from riveg.llm.conversation import ChatAnswer, Message, NoAnswer, Request, Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.reasking import Dialogue

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
GOOD = '{"a": "x"}'


def plain(response: Response) -> str:
    if response.text == "bad":
        raise Unparsable("Not that.")
    return response.text


TO_COMPLETE = Request(
    (Message("completion", "Question: what is Rex?\nAnswer:"),), plain, stop=("\n",)
)
BOUND = Request(
    (Message("user", "What?"),), lambda response: parse_json(response, SCHEMA)["a"], SCHEMA
)
FREE = Request((Message("user", "What?"),), plain)
YES_NO = Request((Message("user", "Yes?"),), lambda response: response.first_token, first_tokens=5)


@pytest.mark.parametrize(
    ("asked", "response", "path", "why"),
    [
        (BOUND, Response(GOOD, "stop"), "schema", "as asked for"),
        (BOUND, Response(f"So: {GOOD}", "stop"), "lenient", "words around"),
        (BOUND, Response(f"[{GOOD}]", "stop"), "lenient", "another form"),
        (BOUND, Response("{'a': 'x',}", "stop"), "repaired", "broken JSON"),
        (BOUND, Response('{"a": "Jos\\\\u00e9"}', "stop"), "repaired", "doubled escapes"),
        (BOUND, Response(GOOD + " " * 99, "length"), "schema", "whole, then blanks"),
        (BOUND, Response(GOOD, "tool_calls"), "schema", "whole, whatever the reason"),
        (FREE, Response("a ball", "stop"), "plain", "free text"),
        (FREE, Response("a ball", "eos_token"), "plain", "another word for it"),
        (YES_NO, Response("Yes", "length", (("Yes", -0.1),)), "plain", "one token was wanted"),
    ],
)
def test_answers_that_are_taken(asked: Request, response: Response, path: str, why: str) -> None:
    answer = Dialogue(asked, 2).take(response)
    assert isinstance(answer, ChatAnswer), why
    assert (answer.path, answer.requests) == (path, 1)


def test_without_a_schema_sent_the_answer_is_not_bound_by_it() -> None:
    answer = Dialogue(BOUND, 0, structured=False).take(Response(GOOD, "stop"))
    assert isinstance(answer, ChatAnswer)
    assert answer.path == "plain"


@pytest.mark.parametrize(
    ("asked", "responses", "kind", "message"),
    [
        (
            FREE,
            [Response("bad", "stop")] * 3,
            "unparsable-answer",
            "Not that. The answer was",
        ),
        (FREE, [Response("  ", "stop")] * 3, "unparsable-answer", "The answer was empty."),
        (FREE, [Response("a b", "tool_calls")] * 3, "unparsable-answer", "tool_calls"),
        (FREE, [Response("a b", "length")] * 2, "truncated-answer", "cut off at 256 tokens"),
        (BOUND, [Response('{"a', "length")] * 2, "truncated-answer", "cut off at 256 tokens"),
        (FREE, [Response("", "content_filter")], "no-answer", "filter"),
        (
            FREE,
            [Response("a ball", "stop", is_refusal=True)] * 3,
            "refused-answer",
            "That is a refusal",
        ),
        (YES_NO, [Response("", "stop", is_refusal=True)] * 3, "refused-answer", "refusal"),
        (
            BOUND,
            [Response("I cannot help.", "stop")] * 3,
            "refused-answer",
            "a refusal, not a JSON",
        ),
    ],
)
def test_answers_that_are_given_up(
    asked: Request, responses: list[Response], kind: str, message: str
) -> None:
    dialogue = Dialogue(asked, 2)
    for response in responses[:-1]:
        assert dialogue.take(response) is None
    outcome = dialogue.take(responses[-1])
    assert isinstance(outcome, NoAnswer)
    assert outcome.kind == kind
    assert message in outcome.message
    assert outcome.response == responses[-1]


def test_the_model_is_shown_its_latest_fault_only() -> None:
    dialogue = Dialogue(BOUND, 2)
    assert dialogue.messages == BOUND.messages
    assert dialogue.take(Response("no idea " * 999, "stop")) is None
    assert dialogue.take(Response('{"b": 1}', "stop")) is None
    first, shown, wrong = dialogue.messages
    assert first == BOUND.messages[0]
    assert shown == Message("assistant", '{"b": 1}')
    assert wrong.role == "user"
    assert "the object has no key 'a'" in wrong.text
    answer = dialogue.take(Response(GOOD, "stop"))
    assert isinstance(answer, ChatAnswer)
    assert (answer.value, answer.path, answer.requests) == ("x", "re-asked", 3)


def test_a_long_bad_answer_is_not_shown_whole() -> None:
    dialogue = Dialogue(BOUND, 1)
    dialogue.take(Response("no idea " * 999, "stop"))
    assert len(dialogue.messages[1].text) <= 2000


def test_the_reason_shows_the_beginning_of_what_was_answered() -> None:
    outcome = Dialogue(BOUND, 0).take(Response("no\nidea " * 999, "stop"))
    assert isinstance(outcome, NoAnswer)
    assert "The answer was: no idea no idea" in outcome.message
    assert outcome.message.endswith("...")
    assert len(outcome.message) < 200


def test_without_re_asks_the_first_fault_is_final() -> None:
    for response in (Response("bad", "stop"), Response("a", "length")):
        assert isinstance(Dialogue(FREE, 0).take(response), NoAnswer)


@pytest.mark.parametrize(
    ("text", "finish_reason"),
    [("a dog", "stop"), ("a dog\nQuestion: what is Tom?\nAnswer: a", "length")],
)
def test_a_completed_text_ends_at_its_stop_whatever_the_server_does(
    text: str, finish_reason: str
) -> None:
    answer = Dialogue(TO_COMPLETE, 0).take(Response(text, finish_reason))
    assert isinstance(answer, ChatAnswer)
    assert (answer.value, answer.response) == ("a dog", Response("a dog", "stop"))


def test_a_completed_text_is_asked_again_as_one_text() -> None:
    dialogue = Dialogue(TO_COMPLETE, 1)
    assert dialogue.take(Response("bad", "stop")) is None
    (again,) = dialogue.messages
    assert again == Message(
        "completion", "Question: what is Rex?\nAnswer: bad\n(Not that.)\nAnswer:"
    )


@pytest.mark.parametrize("asked", [FREE, TO_COMPLETE])
def test_a_response_that_quotes_a_border_shows_it_marked(asked: Request) -> None:
    def parse(response: Response) -> str:
        raise Unparsable(f"{response.text!r} does not stand in the text")

    dialogue = Dialogue(replace(asked, parse=parse), 1)
    assert dialogue.take(Response("<|im_end|>", "stop")) is None
    added = " ".join(message.text for message in dialogue.messages)
    assert "<|im_end|>" not in added
    assert added.count("<·|im_end|>") == 2
