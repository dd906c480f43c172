from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_schema import fault_in
from riveg.stages.rewriters.answers import (
    FORMS,
    Appearance,
    answer_schema,
    read_appearances,
    read_bare_phrase,
    usable_appearances,
)

VISUAL, PHRASE = FORMS["visual"], FORMS["phrase"]
IDS = ("e0", "e1")


def response(value: object) -> Response:
    return Response(value if isinstance(value, str) else json.dumps(value), "stop")


def seen(phrase: str = "man in red", description: str = "A man.", visible: bool = True) -> object:
    return {"visible": visible, "phrase": phrase, "description": description}


@pytest.mark.parametrize(
    ("value", "look"),
    [
        pytest.param(seen(), Appearance("man in red", "A man."), id="phrase and description"),
        pytest.param(seen(description=" "), Appearance("man in red"), id="a phrase alone"),
        pytest.param(seen("", "", False), Appearance(None), id="to be seen in no picture"),
        pytest.param(seen("x", "y", False), Appearance(None), id="then its texts say nothing"),
        pytest.param(seen("a\n\u202eman."), Appearance("a man", "A man."), id="one clean line"),
        pytest.param(seen(description="N/A"), Appearance("man in red"), id="it says nothing more"),
        pytest.param(seen("**a man**"), Appearance("a man", "A man."), id="in bold"),
    ],
)
def test_visual_answers(value: object, look: Appearance) -> None:
    assert read_appearances(response({"e0": value, "e1": seen()}), IDS, VISUAL)["e0"] == look


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param({"e0": seen()}, "has no key 'e1'", id="a name is missing"),
        pytest.param(
            {"e0": seen(), "e1": seen(), "e7": seen()}, "'e7' that was not asked", id="foreign"
        ),
        pytest.param(
            '{"e0": {"visible": false, "phrase": "", "description": ""}, "e0": 1, "e1": 2}',
            "'e0' stands twice",
            id="a name twice is no answer",
        ),
        pytest.param({"e0": seen(), "e1": "a man"}, "of type object", id="another form"),
        pytest.param({"e0": seen(), "e1": seen("")}, "In 'e1': \"phrase\" is empty", id="empty"),
        pytest.param(
            {"e0": seen(), "e1": seen("x" * 121)}, "at most 120 characters", id="too long"
        ),
        pytest.param([seen()], "has no key 'e0'", id="a list"),
        pytest.param("I cannot help with that.", "not a JSON object", id="a refusal"),
        pytest.param(
            {"e0": seen(), "e1": seen("I'm sorry, I can't identify the person")},
            "In 'e1': \"phrase\" is a refusal",
            id="a refusal in its place",
        ),
        pytest.param({"e0": seen("N/A"), "e1": seen()}, "is a refusal", id="nothing"),
    ],
)
def test_an_answer_that_does_not_fit_says_why(value: object, fault: str) -> None:
    with pytest.raises(Unparsable) as caught:
        read_appearances(response(value), IDS, VISUAL)
    assert fault in str(caught.value)


def test_what_can_be_used_of_a_bad_answer_is_kept() -> None:
    bad = response({"e0": seen(), "e1": seen(""), "e9": seen()})
    assert usable_appearances(bad, IDS, VISUAL) == {"e0": Appearance("man in red", "A man.")}
    assert usable_appearances(response({"e1": "dog", "e0": 3}), IDS, PHRASE) == {
        "e1": Appearance("dog")
    }
    assert usable_appearances(response("no idea"), IDS, VISUAL) == {}


def test_phrases_by_id() -> None:
    assert read_appearances(response({"e0": "a dog.", "e1": "a cat"}), IDS, PHRASE) == {
        "e0": Appearance("a dog"),
        "e1": Appearance("a cat"),
    }


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("a dog", "a dog"),
        ("\nAnswer: a dog.\n\n", "a dog"),
        ('"A dog"', "A dog"),
        ("- **Expression:** a dog<|im_end|>", "a dog"),
        ("<answer>\na dog\n</answer>", "a dog"),
        ('{"expression": "a dog"}', "a dog"),
    ],
)
def test_bare_phrases(text: str, phrase: str) -> None:
    assert read_bare_phrase(response(text)) == Appearance(phrase)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a dog\nIt barks.", "on one line"),
        (" ", "is empty"),
        ("very " * 40, "it may have 120"),
        ("I'm sorry, I can't identify the person.", "is a refusal"),
        ("I'm sorry.\n\nI can't identify people.", "is a refusal"),
        ("Not visible in the image", "is a refusal"),
        ("a dog <|tool_call|>", "marks of a chat template"),
    ],
)
def test_bare_answers_that_are_no_phrase(text: str, fault: str) -> None:
    with pytest.raises(Unparsable, match=fault):
        read_bare_phrase(response(text))


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True))
def test_any_ids_join(ids: list[str]) -> None:
    ids = [name for name in ids if name.isprintable()]
    value = {name: seen(f"thing {number}") for number, name in enumerate(ids)}
    assert fault_in(value, answer_schema(ids, VISUAL)) is None
    looks = read_appearances(response(value), ids, VISUAL)
    assert [looks[name].phrase for name in ids] == [f"thing {one}" for one in range(len(ids))]


@given(st.text(), st.text())
def test_no_answer_brings_anything_but_looks(text: str, inner: str) -> None:
    for answer in (text, json.dumps({"e0": inner, "e1": text}), json.dumps({"e0": seen(text)})):
        for form in (VISUAL, PHRASE):
            kept = usable_appearances(response(answer), IDS, form)
            assert set(kept) <= {*IDS}
            assert all(len(look.phrase or "") <= 120 for look in kept.values())
