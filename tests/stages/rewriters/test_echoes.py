"""Echoes of the request are refused, whatever a model repeats of it; ordinary phrases are not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from helpers.answers import issue_of, whole
from helpers.factories import make_context, make_sample, mentions_of
from helpers.scripted_chat import ScriptedChat
from hypothesis import assume, given
from hypothesis import strategies as st

from riveg.labels import USUAL_LABELS
from riveg.llm.conversation import Message, Request, Response, Unparsable
from riveg.llm.messages import prompt_parts
from riveg.llm.prompt_parts import PromptParts
from riveg.llm.prompts import load_prompt
from riveg.llm.reasking import REMARKS, Dialogue
from riveg.stages.rewriters.answers import FORMS, read_appearances, read_bare_phrase
from riveg.stages.rewriters.chat import ChatRewriter, ChatRewriterConfig
from riveg.stages.rewriters.echoes import (
    ABOUT_THE_ANSWER,
    BARE_NAME,
    COPIED_EXEMPLAR,
    COPIED_PROMPT,
    echo_in,
)
from riveg.types import Entity, Expression, Span

LABELS = tuple(label.model_dump() for label in USUAL_LABELS)
TEXT = "Serena Williams lands in Barcelona before the open"
CAPTION = "A woman in a dark suit stands beside a small plane"
PROMPTS: dict[str, dict[str, object]] = {
    "rewrite/riveg.v1": {"batch": "entity", "labels": LABELS},
    "rewrite/riveg.v2": {"batch": "entity", "labels": LABELS},
    "rewrite/appearance.v1": {"batch": "entity", "labels": LABELS},
    "rewrite/visual.v1": {"labels": LABELS},
}


def entity(text: str, label: str = "LOC", id: str = "e0") -> Entity:
    return Entity(id, text, label, Span(0, 1))


CITY = entity("Barcelona")


def asked(about: Entity, prompt: str = "rewrite/riveg.v1", caption: str = CAPTION) -> PromptParts:
    named = {"id": about.id, "text": about.text, "label": about.label}
    return prompt_parts(
        load_prompt(prompt),
        constants=PROMPTS[prompt],
        values={
            "text": TEXT,
            "caption": caption,
            "knowledge": "",
            "entities": (named,),
            "others": (),
        },
    )


@pytest.mark.parametrize(
    ("phrase", "fault"),
    [
        pytest.param("Barcelona", BARE_NAME, id="the name"),
        pytest.param("  «the BARCELONA»", BARE_NAME, id="the name in other letters"),
        pytest.param("Barcelona(LOC)", BARE_NAME, id="name and label"),
        pytest.param("Barcelona [LOC]", BARE_NAME, id="in other brackets"),
        pytest.param("LOC", BARE_NAME, id="the label"),
        pytest.param("Barcelona, Barcelona", BARE_NAME, id="twice"),
        pytest.param(
            "The answer is: Barcelona", ABOUT_THE_ANSWER, id="an answer that is spoken of"
        ),
        pytest.param(
            "The correct answer is a city in Spain", ABOUT_THE_ANSWER, id="without a colon"
        ),
        pytest.param("Final answer: a city", ABOUT_THE_ANSWER, id="a heading"),
        pytest.param(
            "The phrase has 123 characters, it may have 120", ABOUT_THE_ANSWER, id="a remark"
        ),
        pytest.param(
            "The phrase has 123 characters, including spaces", ABOUT_THE_ANSWER, id="taken further"
        ),
        pytest.param(
            "Your answer was cut off because it was too long", ABOUT_THE_ANSWER, id="too long"
        ),
        pytest.param("one noun phrase on one line", ABOUT_THE_ANSWER, id="a piece of a remark"),
        pytest.param(
            "Background: A woman in a dark suit stands beside a small plane",
            COPIED_PROMPT,
            id="a line of the prompt",
        ),
        pytest.param("Background: A woman sings", COPIED_PROMPT, id="a line like the prompt's"),
        pytest.param("Text: hello", COPIED_PROMPT, id="another"),
        pytest.param(TEXT, COPIED_PROMPT, id="the post"),
        pytest.param("What is Barcelona(LOC)?", COPIED_PROMPT, id="the question"),
        pytest.param("a well-read assistant who tells", COPIED_PROMPT, id="the role"),
        pytest.param("nobody leaves Anfield early tonight", COPIED_PROMPT, id="an example's post"),
        pytest.param("PER: a person", COPIED_PROMPT, id="a type and what it means"),
        pytest.param(
            "a football stadium in Liverpool, England", COPIED_EXEMPLAR, id="an example's phrase"
        ),
        pytest.param("English pop and soul singer", COPIED_EXEMPLAR, id="without its article"),
    ],
)
def test_echoes(phrase: str, fault: str) -> None:
    assert echo_in(phrase, CITY, asked(CITY)) == fault


@pytest.mark.parametrize(
    ("phrase", "about", "why"),
    [
        ("a city in Spain", CITY, "what it is"),
        ("Barcelona's beach at night", CITY, "the name among other words"),
        ("a Barcelona street", CITY, "likewise"),
        (CAPTION, CITY, "the caption may well be how it looks"),
        ("the space agency of the United States", entity("NASA", "ORG"), "the same name's phrase"),
        ("a building", entity("Empire State Building"), "one word of the name says what it is"),
        ("the answer machine on a desk", CITY, "a thing that is called so"),
        (
            "a person",
            entity("Serena Williams", "PER"),
            "two words of the prompt say little, but it",
        ),
        ("a name plate", CITY, "a word of the prompt"),
        ("Star Wars: a poster with a black helmet", CITY, "a colon is no mark of the prompt"),
        ("🚀", CITY, "no words at all"),
    ],
)
def test_phrases_that_are_no_echoes(phrase: str, about: Entity, why: str) -> None:
    assert echo_in(phrase, about, asked(about)) is None, why


def test_a_phrase_of_an_exemplar_is_taken_where_the_caption_says_it() -> None:
    phrase = "woman swinging a tennis racket"
    plain = asked(CITY, "rewrite/visual.v1")
    told = asked(CITY, "rewrite/visual.v1", caption=f"a {phrase} on a court")
    assert echo_in(phrase, CITY, plain) == COPIED_EXEMPLAR
    assert echo_in(phrase, CITY, told) is None


def test_a_name_without_letters_is_no_reason_to_refuse() -> None:
    rocket = entity("🚀")
    assert echo_in("a rocket", rocket, asked(rocket)) is None


def remarks() -> Iterable[str]:
    """What a model can be told about an answer of this stage."""
    yield from (BARE_NAME, COPIED_EXEMPLAR, COPIED_PROMPT, ABOUT_THE_ANSWER)
    yield from REMARKS
    for text in ("a\nb", "x" * 200):
        with pytest.raises(Unparsable) as caught:
            read_bare_phrase(Response(text, "stop"))
        yield str(caught.value)
    for answer in ('{"e1": "a"}', '{"e0": "a", "e9": "b"}', json.dumps({"e0": " "})):
        with pytest.raises(Unparsable) as caught:
            read_appearances(Response(answer, "stop"), ["e0"], FORMS["phrase"])
        yield str(caught.value)


@pytest.mark.parametrize("remark", [*remarks()])
def test_every_remark_is_known_when_it_comes_back(remark: str) -> None:
    assert echo_in(remark[:120], CITY, asked(CITY)) == ABOUT_THE_ANSWER


WORDS = (
    "man woman child crowd dog bus guitar stadium beach tower logo poster suit dress shirt "
    "red blue striped tall old young wearing holding beside behind with without and of on "
    "under a an the two three large small wooden glass metal yellow flag banner microphone "
    "street river harbour mountain singer player captain team agency ship rocket bridge "
    "temple market festival"
)


@pytest.mark.slow  # seconds
@given(
    st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=14),
    st.sampled_from([*PROMPTS]),
    st.sampled_from(["Barcelona", "Serena Williams", "Rex"]),
)
def test_an_ordinary_phrase_that_is_not_in_the_prompt_is_taken(
    words: list[str], prompt: str, name: str
) -> None:
    phrase = " ".join(words)
    about = entity(name)
    parts = asked(about, prompt)
    assume(phrase not in f"{parts.instructions}{parts.examples}{parts.question}".casefold())
    assert echo_in(phrase, about, parts) is None


@pytest.mark.slow  # seconds
@given(st.text(max_size=40), st.text(min_size=1, max_size=20))
def test_any_text_is_judged_and_twice_alike(phrase: str, name: str) -> None:
    about = entity(name)
    parts = asked(about)
    assert echo_in(phrase, about, parts) == echo_in(phrase, about, parts)


POST = make_sample(TEXT, [(0, 2, "PER"), (4, 5, "LOC")], id="a", caption=CAPTION)


def rewriter(chat: ScriptedChat, **options: Any) -> ChatRewriter:
    config = ChatRewriterConfig(prompt="rewrite/riveg.v1", **options)
    return config.build(make_context(chats={"main": chat}))


def test_an_echo_is_asked_again_with_a_plain_reason() -> None:
    def better_later(request: Request) -> str:
        return "a city by the sea" if len(request.messages) > 2 else "The answer is: Barcelona"

    chat = ScriptedChat(better_later)
    answer = rewriter(chat, batch="entity").rewrite(mentions_of(POST)[1:])
    assert answer == [Expression("a city by the sea", None, "chat:re-asked")]
    assert chat.asked[1].messages[-1] == Message("user", ABOUT_THE_ANSWER)


def test_a_model_that_only_echoes_leaves_an_issue() -> None:
    chat = ScriptedChat(lambda request: request.messages[-1].text[:110])
    answers = rewriter(chat, batch="entity").rewrite(mentions_of(POST)[:1])
    assert issue_of(answers[0]).kind == "unparsable-answer"
    assert len(chat.asked) == 3


def test_an_echo_about_one_name_leaves_the_others_of_its_post() -> None:
    chat = ScriptedChat(lambda _: json.dumps({"e0": "a tennis player", "e1": "Barcelona(LOC)"}))
    kept, lost = rewriter(chat).rewrite(mentions_of(POST))
    assert (whole(kept).text, whole(kept).source) == ("a tennis player", "chat:partial")
    assert issue_of(lost).message.startswith(f"In 'e1': {BARE_NAME}.")


def test_an_echo_that_was_kept_before_is_asked_again() -> None:
    (prepared,) = rewriter(ScriptedChat(lambda _: ""), batch="entity").prepare(
        mentions_of(POST)[:1]
    )
    taken = Dialogue(prepared.request, 1).take(Response("Serena Williams (PER)", "stop"))
    assert taken is None
    with pytest.raises(Unparsable, match="only the name"):
        prepared.request.parse(Response("Serena Williams (PER)", "stop"))
