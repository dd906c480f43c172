import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import (
    first_spoken_token,
    is_json,
    parse_json,
    whole_characters,
    without_thoughts,
    yes_probability,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "seen": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def parsed(text: str) -> dict[str, Any]:
    return parse_json(Response(text, "stop"), SCHEMA)


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ('{"name": "a"}', {"name": "a"}, "as asked for"),
        (' \n{"name": "a"}\n  ', {"name": "a"}, "blanks around"),
        ('```json\n{"name": "a"}\n```', {"name": "a"}, "a fence"),
        ('```\n{"name": "a"}```', {"name": "a"}, "a fence without a language"),
        ('Here: {"name": "a"} - right?', {"name": "a"}, "words around"),
        ('{"name": "a", "seen": [1, 2,],}', {"name": "a", "seen": [1, 2]}, "trailing commas"),
        ('{"name": "a", "seen": [1]', {"name": "a", "seen": [1]}, "one brace is missing"),
        ('Sure: {"name": "a",', {"name": "a"}, "words before, a comma and no brace"),
        ('{"name": "a\nb"}', {"name": "a\nb"}, "a line end within a string"),
        ('{"name": "a, } b"}', {"name": "a, } b"}, "marks within a string"),
        ('{"name": "a", }', {"name": "a"}, "a comma and a blank"),
        ('{"thought": 1} {"name": "a"}', {"name": "a"}, "the object that fits, not the first"),
        (r'{"name": "\ud83d\ude00"}', {"name": "\U0001f600"}, "a pair of surrogates"),
        (r'{"name": "\ud83d"}', {"name": "\ufffd"}, "half a pair, which no file can hold"),
        ("{'name': 'a', 'seen': [1]}", {"name": "a", "seen": [1]}, "Python's quotes"),
        (r"""{"name": "a\'s"}""", {"name": "a's"}, "an escape that is none"),
        ('[{"name": "a"}]', {"name": "a"}, "in a list of one"),
        ('{"name": "a", "seen": null}', {"name": "a"}, "null for what may be left out"),
        ('{"name": "a", "seen": ["1"]}', {"name": "a", "seen": [1]}, "a number in quotes"),
        ('"{\\"name\\": \\"a\\"}"', {"name": "a"}, "JSON in a JSON string"),
        ('{"name": "a"}\n{"name": "a"}', {"name": "a"}, "twice the same"),
        ('{"name": "<|im_end|>"}<|im_end|>', {"name": "<|im_end|>"}, "marks within and after"),
        ('<answer>{"name": "a"}</answer>', {"name": "a"}, "answer tags"),
        ('The form is {"name": "x"}. Answer: {"name": "a"}', {"name": "a"}, "after the mark"),
        ('Draft {"name": "x"}\n<answer>{"name": "a"}</answer>', {"name": "a"}, "within tags"),
        (
            '<|channel|>analysis<|message|>{"name": "x"}?<|end|><|start|>assistant'
            '<|channel|>final<|message|>{"name": "a"}',
            {"name": "a"},
            "the final channel",
        ),
        ('analysis{"name": "x"} hmassistantfinal{"name": "a"}', {"name": "a"}, "its words alone"),
    ],
)
def test_what_is_forgiven(text: str, value: dict[str, Any], why: str) -> None:
    assert parsed(text) == value, why


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON object"),
        ("I cannot say.", "not a JSON object"),
        ('["a"]', "not a JSON object"),
        ('{"name": "a', "not a JSON object"),
        ('{"name": "a", "seen": [1', "not a JSON object"),
        ('{"name": "a", "seen": [1}', "not a JSON object"),
        ('{"name": "a", "name": "b"}', "not a JSON object"),
        ('{"name": "a", "seen": [NaN]}', "item 1 of 'seen' must be of type integer, not NaN"),
        ('{"name": "a", "seen": [1e999]}', "must be of type integer, not 1e999"),
        ("{" * 100_000, "not a JSON object"),
        ('{"a":' * 100_000, "not a JSON object"),
        ('{"name": ' + "[" * 500 + "]" * 500 + "}", "not a JSON object"),
        ('{"name": "far too long a name"}', "'name' must have at most 12 characters"),
        ('{"seen": [1]}', "the object has no key 'name'"),
        ('{"name": "a", "more": 1}', "the object has a key 'more' that was not asked for"),
        ('{"name": null}', "'name' must be of type string, not None"),
        ('{"name": "a", "seen": [1, "x"]}', "item 2 of 'seen' must be of type integer"),
        ('{"name": "a", "seen": [true]}', "must be of type integer"),
        ('{"name": "a", "seen": [1, 2, 3, 4]}', "'seen' must have at most 3 items"),
        ('{"name": "x"} {"name": "a"}', "several JSON objects that differ"),
        ('First {"name": "x"}, corrected: {"name": "a"}', "several JSON objects that differ"),
        ('{"name": "a"} Answer: {"name": "x"}', "several JSON objects that differ"),
        ('It says {"name": "x"}, so {"name": 1}', "'name' must be of type string, not 1"),
        ('It says {"name": "x"}, so {"name": "a', "not a JSON object: .* character 36"),
        ('{"name": "a\\', "unterminated string at character 10, near"),
        (r"""{"name": "a\'s", "seen": [NaN]}""", "invalid escape at character 12, near"),
        ('{"name": "a", "name": "b"}', "'name' stands twice"),
        ("I'm sorry, I can't do that.", "a refusal, not a JSON object"),
    ],
)
def test_what_is_not(text: str, message: str) -> None:
    with pytest.raises(Unparsable, match=message):
        parsed(text)


LIST = {
    "type": "object",
    "properties": {
        "names": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "at": {"type": "integer"}},
                "required": ["name"],
            },
        }
    },
    "required": ["names"],
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"names": [{"name": "a"}]}', [{"name": "a"}]),
        ('[{"name": "a"}, {"name": "b"}]', [{"name": "a"}, {"name": "b"}]),
        ('```json\n[\n\t{"name": "a", "more": 1}\n]\n```', [{"name": "a", "more": 1}]),
        ('{"name": "a", "at": null}', [{"name": "a"}]),
        ('[{"names": [{"name": "a"}]}]', [{"name": "a"}]),
        ("[{'name': 'a', 'at': None}]", [{"name": "a"}]),
        ("[]", []),
        ('{"answer": {"names": [{"name": "a"}]}}', [{"name": "a"}]),
        (
            '<tool_call>{"name": "f", "arguments": {"names": [{"name": "a"}]}}</tool_call>',
            [{"name": "a"}],
        ),
        ('{"names": "[{\\"name\\": \\"a\\"}]"}', [{"name": "a"}]),
        ('{"Names": [{"NAME": "a", "At": 2.0}]}', [{"name": "a", "at": 2}]),
        ("{u'names': [{u'name': u'a'}]}", [{"name": "a"}]),
        (
            '{"names"\uff1a[{"name"\uff1a"a\uff0cb"\uff0c"at"\uff1a1}]}',
            [{"name": "a\uff0cb", "at": 1}],
        ),
        ('{\\"names\\": [{\\"name\\": \\"a\\"}]}', [{"name": "a"}]),
        ("{&quot;names&quot;: [{&quot;name&quot;: &quot;a&amp;b&quot;}]}", [{"name": "a&amp;b"}]),
        ('{"name": "a"}\n{"name": "b", "at": 1}', [{"name": "a"}, {"name": "b", "at": 1}]),
        ('```json\n{"name": "a"},\n{"name": "b"}\n```', [{"name": "a"}, {"name": "b"}]),
        ('{"names": {"name": "a"}}', [{"name": "a"}]),
    ],
)
def test_a_list_may_come_without_the_object_around_it(text: str, names: list[Any]) -> None:
    assert parse_json(Response(text, "stop"), LIST) == {"names": names}


@pytest.mark.parametrize(
    "text",
    [
        '{"names": null}',
        "{}",
        '{"name": 1}',
        '[{"name": "a"}, {"na',
        '{"names": [{"name": "a"}, {"name": "b',
        '{"name": "a"} {"name": "b"}',
        '{"names": [{"name": "a"}]} and [{"name": "b"}]',
        "None",
        '{"draft": {"names": []}, "final": {"names": [{"name": "a"}]}}',
        '{"post": {"names": [{"name": "a"}]}}',
        '{"names": []}\n{"names": [{"name": "a"}]}',
    ],
)
def test_what_is_no_such_list(text: str) -> None:
    with pytest.raises(Unparsable):
        parse_json(Response(text, "stop"), LIST)


@given(
    st.dictionaries(st.sampled_from(["name", "other"]), st.text("ab{}\"'", max_size=5)),
    st.sampled_from(["The post says {}, so: ", "{}\n", "Draft: {} ", "Format: {}; mine: "]),
)
def test_quoted_json_never_takes_the_place_of_the_answer(
    quoted: dict[str, str], before: str
) -> None:
    own = {"name": "own"}
    text = before.replace("{}", json.dumps(quoted)) + json.dumps(own)
    if "name" in quoted:
        with pytest.raises(Unparsable):
            parsed(text)
    else:
        assert parsed(text) == own


def test_a_schema_that_says_more_than_is_checked_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot say 'oneOf'"):
        parse_json(Response("{}", "stop"), {"oneOf": []})


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": ["string", "null"]}, ["a", None], [1, True]),
        ({"type": "number"}, [1, 1.5], [True, "1"]),
        ({"enum": ["yes", 1]}, ["yes", 1], ["no", True, 1.0]),
        ({"const": "a"}, ["a"], ["b"]),
        ({"minimum": 0, "maximum": 1}, [0, 0.5, 1, "not a number"], [-0.1, 2]),
        ({"minLength": 1, "pattern": "^[a-z]+$"}, ["abc"], ["", "A"]),
        ({"minItems": 1}, [[1]], [[]]),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, [None, "a"], [1]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, [{"a": "b"}], [{"a": 1}]),
        ({"type": "boolean", "title": "t", "description": "d"}, [True], [1]),
    ],
)
def test_keywords_of_a_schema(schema: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    whole = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    for value in good:
        assert parse_json(Response(json.dumps({"x": value}), "stop"), whole) == {"x": value}
    for value in bad:
        with pytest.raises(Unparsable, match="x"):
            parse_json(Response(json.dumps({"x": value}), "stop"), whole)


@given(st.text(alphabet='{}[]",:ab1\\ \n`\ud800', max_size=60))
def test_any_answer_is_read_or_refused(text: str) -> None:
    try:
        value = parsed(text)
    except Unparsable:
        return
    assert set(value) <= {"name", "seen"}


@given(
    st.fixed_dictionaries({"name": st.text(max_size=12)}),
    st.sampled_from(["{}", "```json\n{}\n```", "Yes: {} .", "{}\n\n\n", "<think>x</think>{}"]),
)
def test_an_answer_survives_its_wrapping(value: dict[str, str], wrapping: str) -> None:
    text = without_thoughts(wrapping.replace("{}", json.dumps(value)))
    assert parsed(text) == {"name": whole_characters(value["name"])}


@pytest.mark.parametrize(
    ("text", "spoken", "why"),
    [
        ("<think>hm</think>\n\nred", "red", "thoughts, then the answer"),
        ("<THINK>hm</THINK>red", "red", "in capitals"),
        ("<think>a</think><think>b</think> red", "red", "twice"),
        ('hm, {"a": 1}?\n</think>\nred', "red", "opened in the prompt, with a draft"),
        ("[THINK]hm[/THINK]red", "red", "signs of Mistral"),
        ("\u25c1think\u25b7hm\u25c1/think\u25b7red", "red", "signs of Kimi"),
        ("<seed:think>hm</seed:think>red", "red", "signs of Seed"),
        ("[THINK]hm", "", "never ended"),
        ("<think>hm, so long", "", "never ended"),
        ("hm</think><think>hm again", "", "began again and never ended"),
        ("red <think> blue", "red <think> blue", "the word within an answer"),
        ('{"a": "</think>"}', '{"a": "</think>"}', "the word within JSON"),
        ("</think>" * 3000 + "red", "red", "very many"),
        ("", "", "nothing"),
    ],
)
def test_thoughts_are_left_out(text: str, spoken: str, why: str) -> None:
    assert without_thoughts(text) == spoken, why


@pytest.mark.parametrize(
    ("first", "probability", "why"),
    [
        ([("yes", math.log(0.6)), ("no", math.log(0.2))], 0.75, "normalised"),
        ([("Yes", math.log(0.3)), (" yes", math.log(0.3)), ("NO", math.log(0.2))], 0.75, "summed"),
        ([("\u0120yes", 0.0), ("\u2581no", -9999.0)], 1.0, "marks of blanks"),
        ([('"no', 0.0), ("Yes.", -math.inf)], 0.0, "marks around, a log of zero"),
        ([("yesterday", 0.0), ("not", 0.0), ("maybe", 0.0)], None, "words that only begin so"),
        ([("yes", math.nan)], None, "no number"),
        ([], None, "nothing"),
    ],
)
def test_yes_and_no(first: list[tuple[str, float]], probability: float | None, why: str) -> None:
    found = yes_probability(first)
    assert found == (probability if probability is None else pytest.approx(probability)), why


@given(st.lists(st.tuples(st.text(max_size=5), st.floats()), max_size=20))
def test_a_probability_is_one(first: list[tuple[str, float]]) -> None:
    found = yes_probability([*first, ("yes", -1.0)])
    assert found is not None
    assert 0 <= found <= 1


@pytest.mark.parametrize(
    ("tokens", "at"),
    [
        (["Yes"], 0),
        (["\n", " ", "Yes"], 2),
        (["<think>", "hm", "</th", "ink>", "\n\n", "No"], 5),
        (["\u010a\u010a", "\u0120Yes"], 1),
        ([], None),
        (["<think>", "a</think>"], None),
    ],
)
def test_the_first_token_of_the_answer_itself(tokens: list[str], at: int | None) -> None:
    assert first_spoken_token(tokens) == at


def test_json_is_json() -> None:
    assert is_json(' {"a": 1}\n')
    assert not is_json('{"a": 1} or so')
    assert not is_json("")
