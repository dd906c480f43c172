from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from helpers.answers import issue_of, whole
from helpers.chat_cases import HOSTILE, asked_text, hostile_sample, image_sample
from helpers.contracts import check_backend
from helpers.factories import make_context
from helpers.scripted_chat import ScriptedChat

from riveg.llm.conversation import Response, Unparsable
from riveg.registry import backend_config
from riveg.stages.extractors.teacher import Teacher, TeacherConfig, read_reasoning
from riveg.stages.table import EXTRACT
from riveg.types import Box, Gold, GoldEntity, Span

POST = image_sample("Ann met Rex", id="a", entities=None)
EMPTY = image_sample("nobody was there", id="b", entities=None)
UNBOXED = image_sample("Ann alone", id="d", entities=None)
UNKNOWN = image_sample("Bob met nobody", id="c", entities=None)
GOLD = {
    "a": Gold(
        "a",
        (
            GoldEntity("Ann", "PER", Span(0, 1), "singer", boxes=(Box(0, 0, 60, 40),)),
            GoldEntity("Rex", "OTHER", Span(2, 3), boxes=()),
        ),
    ),
    "b": Gold("b", ()),
    "d": Gold("d", (GoldEntity("Ann", "PER", Span(0, 1), boxes=None),)),
}
THOUGHT = "Ann is a singer, so a person. The picture shows a woman with a microphone."


def teacher(answer: Callable[[Any], Any], **fields: Any) -> tuple[Teacher, ScriptedChat]:
    chat = ScriptedChat(answer)
    context = make_context(chats={"main": chat}, gold=GOLD)
    return TeacherConfig(**fields).build(context), chat


def test_contract() -> None:
    live, chat = teacher(lambda _: THOUGHT)
    found, nothing, absent = check_backend(EXTRACT, live, [POST, EMPTY, UNKNOWN])
    ann, rex = whole(found).entities
    assert (ann.text, ann.label, ann.fine_label, ann.span) == ("Ann", "PER", "singer", Span(0, 1))
    assert [region.box for region in ann.regions or ()] == [Box(0, 0, 60, 40)]
    assert rex.regions == ()
    assert whole(found).reasoning == THOUGHT
    assert whole(nothing).entities == ()
    assert issue_of(absent).kind == "no-gold"
    assert len(chat.asked) == 2
    assert backend_config("extract", "teacher").oracle


def test_what_nobody_has_annotated_is_not_said_to_be_hidden() -> None:
    live, chat = teacher(lambda _: THOUGHT)
    unboxed, empty = live.extract([UNBOXED, EMPTY])
    assert issue_of(unboxed).message == "the gold of 'd' says nothing of boxes"
    assert whole(empty).entities == ()
    assert len(chat.asked) == len(live.prepare([UNBOXED, EMPTY])) == 1


def test_the_teacher_is_told_what_is_shown_and_not_where() -> None:
    live, chat = teacher(lambda _: THOUGHT)
    live.extract([POST, EMPTY])
    first, second = (asked_text(request) for request in chat.asked)
    assert "- Ann [PER], shown by the picture" in first
    assert "- Rex [OTHER], not shown by the picture" in first
    assert "40" not in first
    assert "- no named entity" in second
    assert "never say or hint that the result was known" in chat.asked[0].messages[0].text
    assert len(chat.asked[0].images) == 1


@pytest.mark.parametrize(
    "text",
    [
        "As the expert found, Ann is a person.",
        "Ann is annotated as a person.",
        "The entities were given: Ann.",
        "This fits the expected label of a person.",
        "In the ground truth Ann is shown.",
    ],
)
def test_who_betrays_the_gold_is_asked_again(text: str) -> None:
    live, chat = teacher(lambda request: text if len(request.messages) == 2 else THOUGHT)
    (found,) = live.extract([POST])
    assert whole(found).reasoning == THOUGHT
    assert "as if the result was known" in chat.asked[1].messages[-1].text
    stubborn, _ = teacher(lambda _: text)
    assert issue_of(stubborn.extract([POST])[0]).kind == "unparsable-answer"


@pytest.mark.parametrize(
    "text",
    [
        "Ann was given a prize, and she is known to many; the picture shows her.",
        "Her name is provided by the lettering.",
        THOUGHT,
    ],
)
def test_an_innocent_sentence_may_be_kept(text: str) -> None:
    assert read_reasoning(Response(text, "stop")) == text


def test_a_thought_is_one_line_without_the_tags_of_an_answer() -> None:
    text = f"<think>{THOUGHT}\n\n</think> <answer>"
    assert read_reasoning(Response(text, "stop")) == THOUGHT
    with pytest.raises(Unparsable):
        read_reasoning(Response("x" * 5000, "stop"))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_samples_are_data(name: str) -> None:
    sample = hostile_sample(HOSTILE[name])
    chat = ScriptedChat(lambda _: THOUGHT)
    gold = {sample.id: Gold(sample.id, ())}
    live = TeacherConfig().build(make_context(chats={"main": chat}, gold=gold))
    live.extract([sample])
    assert asked_text(chat.asked[0]).count("</post>") == 1
