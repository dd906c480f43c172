import pytest

from riveg.llm.conversation import Message, NoReply, Question, RawAnswer, Reply, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.reasking import Interview

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
GOOD = '{"a": "x"}'


def plain(raw: RawAnswer) -> str:
    if raw.text == "bad":
        raise Unparsable("Not that.")
    return raw.text


BOUND = Question((Message("user", "What?"),), lambda raw: parse_json(raw, SCHEMA)["a"], SCHEMA)
FREE = Question((Message("user", "What?"),), plain)
YES_NO = Question((Message("user", "Yes?"),), lambda raw: raw.first_token, first_tokens=5)


@pytest.mark.parametrize(
    ("question", "raw", "path", "why"),
    [
        (BOUND, RawAnswer(GOOD, "stop"), "schema", "as asked for"),
        (BOUND, RawAnswer(f"So: {GOOD}", "stop"), "lenient", "words around"),
        (BOUND, RawAnswer(GOOD + " " * 99, "length"), "schema", "whole, then blanks"),
        (BOUND, RawAnswer(GOOD, "tool_calls"), "schema", "whole, whatever the reason"),
        (FREE, RawAnswer("a ball", "stop"), "plain", "free text"),
        (FREE, RawAnswer("a ball", "eos_token"), "plain", "another word for it"),
        (YES_NO, RawAnswer("Yes", "length", (("Yes", -0.1),)), "plain", "one token was wanted"),
    ],
)
def test_answers_that_are_taken(question: Question, raw: RawAnswer, path: str, why: str) -> None:
    reply = Interview(question, 2).take(raw)
    assert isinstance(reply, Reply), why
    assert (reply.path, reply.asked) == (path, 1)


def test_without_a_schema_sent_the_answer_is_not_bound_by_it() -> None:
    reply = Interview(BOUND, 0, structured=False).take(RawAnswer(GOOD, "stop"))
    assert isinstance(reply, Reply)
    assert reply.path == "plain"


@pytest.mark.parametrize(
    ("question", "raws", "kind", "message"),
    [
        (
            FREE,
            [RawAnswer("bad", "stop")] * 3,
            "unparsable-answer",
            "Not that. The answer was",
        ),
        (FREE, [RawAnswer("  ", "stop")] * 3, "unparsable-answer", "The answer was empty."),
        (FREE, [RawAnswer("a b", "tool_calls")] * 3, "unparsable-answer", "tool_calls"),
        (FREE, [RawAnswer("a b", "length")] * 2, "truncated-answer", "cut off at 256 tokens"),
        (BOUND, [RawAnswer('{"a', "length")] * 2, "truncated-answer", "cut off at 256 tokens"),
        (FREE, [RawAnswer("", "content_filter")], "no-answer", "filter"),
    ],
)
def test_answers_that_are_given_up(
    question: Question, raws: list[RawAnswer], kind: str, message: str
) -> None:
    interview = Interview(question, 2)
    for raw in raws[:-1]:
        assert interview.take(raw) is None
    outcome = interview.take(raws[-1])
    assert isinstance(outcome, NoReply)
    assert outcome.kind == kind
    assert message in outcome.message
    assert outcome.raw == raws[-1]


def test_the_model_is_shown_its_latest_fault_only() -> None:
    interview = Interview(BOUND, 2)
    assert interview.messages == BOUND.messages
    assert interview.take(RawAnswer("no idea " * 999, "stop")) is None
    assert interview.take(RawAnswer('{"b": 1}', "stop")) is None
    first, shown, wrong = interview.messages
    assert first == BOUND.messages[0]
    assert shown == Message("assistant", '{"b": 1}')
    assert wrong.role == "user"
    assert "the object has no key 'a'" in wrong.text
    reply = interview.take(RawAnswer(GOOD, "stop"))
    assert isinstance(reply, Reply)
    assert (reply.value, reply.path, reply.asked) == ("x", "re-asked", 3)


def test_a_long_bad_answer_is_not_shown_whole() -> None:
    interview = Interview(BOUND, 1)
    interview.take(RawAnswer("no idea " * 999, "stop"))
    assert len(interview.messages[1].text) <= 2000


def test_the_reason_shows_the_beginning_of_what_was_answered() -> None:
    outcome = Interview(BOUND, 0).take(RawAnswer("no\nidea " * 999, "stop"))
    assert isinstance(outcome, NoReply)
    assert "The answer was: no idea no idea" in outcome.message
    assert outcome.message.endswith("...")
    assert len(outcome.message) < 200


def test_without_re_asks_the_first_fault_is_final() -> None:
    for raw in (RawAnswer("bad", "stop"), RawAnswer("a", "length")):
        assert isinstance(Interview(FREE, 0).take(raw), NoReply)
