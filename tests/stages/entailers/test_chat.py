from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.answers import issue_of
from helpers.chat_cases import HOSTILE, OWN_TYPES, asked_text, hostile_sample, image_sample
from helpers.contracts import check_backend
from helpers.factories import make_context, mentions_of
from helpers.scripted_chat import ScriptedChat
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.labels import Label
from riveg.llm.conversation import AttachedImage, NoAnswer, Request, Response, Unparsable
from riveg.protocols import AnswerOrIssue
from riveg.stages.entailers.chat import (
    ChatEntailer,
    ChatEntailerConfig,
    YesNo,
    read_yes_no,
)
from riveg.stages.table import ENTAIL
from riveg.types import Entailment, Issue

POST = image_sample("Ever Given meets Rex", [(0, 2, "VESSEL"), (3, 4, "PER")], id="a")
OTHER = image_sample("Ann met Bob", [(0, 1, "PER"), (2, 3, "PER")], id="b")

YES_80 = (("Yes", math.log(0.5)), (" yes", math.log(0.1)), ("No", math.log(0.15)), ("It", -1.4))


def scripted(request: Request) -> Response:
    shown = "Does the picture show Rex?" not in asked_text(request)
    return Response("Yes" if shown else "No.", "stop", YES_80 if shown else (("No", -0.1),))


def entailer(chat: ScriptedChat, base: Path | None = None, **fields: Any) -> ChatEntailer:
    return ChatEntailerConfig(**fields).build(make_context(base, chats={"main": chat}))


def entail(answer: str | Response, **fields: Any) -> AnswerOrIssue[Entailment]:
    return entailer(ScriptedChat(lambda _: answer), **fields).entail(mentions_of(OTHER))[0]


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (scripted, 4),
        (lambda _: "no", 4),
        (lambda _: "perhaps", 12),
        (lambda _: NoAnswer("no-answer", "busy"), 4),
    ],
)
def test_contract(answer: Callable[[Request], str], requests: int) -> None:
    chat = ScriptedChat(answer)
    check_backend(ENTAIL, entailer(chat), mentions_of(POST, OTHER))
    assert len(chat.asked) == requests


def test_the_first_token_gives_the_probability_and_the_threshold_decides() -> None:
    source = "chat:log-probability"
    answer = Response("Yes", "stop", YES_80)
    assert entail(answer) == Entailment(0.8, True, source)
    assert entail(answer, threshold=0.8) == Entailment(0.8, True, source)
    assert entail(answer, threshold=0.81) == Entailment(0.8, False, source)


@pytest.mark.parametrize(
    ("answer", "entailment"),
    [
        ("yes", Entailment(None, True, "chat:word")),
        ("**No**, it does not.", Entailment(None, False, "chat:word")),
    ],
)
def test_without_log_probabilities_the_word_decides(answer: str, entailment: Entailment) -> None:
    assert entail(answer, threshold=0.99) == entailment


@pytest.mark.parametrize(
    ("text", "first_token", "verdict", "reason"),
    [
        ("Yes", YES_80, (True, 0.8), "the plain case"),
        (" yes.", (("\u0120yes", -0.1), ("\u2581No", -40.0)), (True, 1.0), "byte-level marks"),
        ("Yes, a man in", YES_80, (True, 0.8), "a talkative model that was stopped"),
        ("", YES_80, (None, 0.8), "log-probabilities alone"),
        ("The answer is no.", (("The", -0.1), (" Yes", -9.0)), (False, None), "another first word"),
        ("Yes", (("Y", -0.1),), (True, None), "a word in two tokens"),
        ('"YES"', (), (True, None), "quotation marks and case"),
    ],
)
def test_what_an_answer_says(
    text: str,
    first_token: tuple[tuple[str, float], ...],
    verdict: tuple[bool | None, float | None],
    reason: str,
) -> None:
    found = read_yes_no(Response(text, "stop", first_token))
    assert found.says_yes == verdict[0], reason
    assert found.probability == pytest.approx(verdict[1]), reason


@pytest.mark.parametrize("stop", ["", ".", ",", "!", "\n", " - ", ": ", ";"])
@pytest.mark.parametrize("word", ["no", "No", "NO"])
def test_no_is_a_word_of_its_own(word: str, stop: str) -> None:
    text = f"{word}{stop}" + (" it does not" if stop else "")
    assert read_yes_no(Response(text, "stop")).says_yes is False


@pytest.mark.parametrize("follows", ["doubt, it is visible.", "idea", "comment", "image provided"])
def test_no_before_another_word_says_something_else(follows: str) -> None:
    for first_token in ((), (("No", -0.1),)):
        with pytest.raises(Unparsable):
            read_yes_no(Response(f"No {follows}", "stop", first_token))


@pytest.mark.parametrize(
    "text", ["yes or no: no", "Yes and no", "Yes/No", "No or yes?", "It is not a yes", "not yes"]
)
def test_both_words_are_no_answer(text: str) -> None:
    with pytest.raises(Unparsable):
        read_yes_no(Response(text, "stop", YES_80))


@pytest.mark.parametrize(
    "text", ["perhaps", "Either yes or no.", "Nothing", "eyes", "{}", '{"e1": 1}']
)
def test_neither_or_both_is_no_answer(text: str) -> None:
    with pytest.raises(Unparsable, match="one word and nothing else: yes or no"):
        read_yes_no(Response(text, "stop", YES_80))


@given(st.text(max_size=20), st.lists(st.tuples(st.text(max_size=4), st.floats(max_value=1))))
def test_any_answer_is_a_verdict_or_refused(
    text: str, first_token: list[tuple[str, float]]
) -> None:
    try:
        verdict = read_yes_no(Response(text, "stop", tuple(first_token)))
    except Unparsable:
        return
    assert isinstance(verdict, YesNo)
    assert verdict.probability is None or 0 <= verdict.probability <= 1
    assert verdict.says_yes is not None or verdict.probability is not None


def test_a_re_ask_is_told() -> None:
    def better_later(request: Request) -> str:
        return "no" if len(request.messages) > 2 else "hard to say"

    answer = entailer(ScriptedChat(better_later)).entail(mentions_of(OTHER))[0]
    assert answer == Entailment(None, False, "chat:word:re-asked")


def test_without_an_answer_it_is_an_issue_of_its_own() -> None:
    answers = entailer(ScriptedChat(lambda _: "perhaps")).entail(mentions_of(OTHER))
    assert [answer.entity_id for answer in answers if isinstance(answer, Issue)] == ["e0", "e1"]
    assert issue_of(answers[0]).kind == "unparsable-answer"


def test_image_phrase_and_own_types_reach_the_model() -> None:
    first, *rest = POST.entities or ()
    told = replace(first, expression="container ship", description="Green hull, stacked boxes.")
    chat = ScriptedChat(scripted)
    context = make_context(chats={"main": chat}, labels=OWN_TYPES)
    ChatEntailerConfig().build(context).entail(mentions_of(replace(POST, entities=(told, *rest))))
    opening, asked = chat.asked[0].messages
    assert "- VESSEL: a ship or boat by name (such as Titanic, Ever Given)" in opening.text
    assert "- SPONSOR: who pays for an event" in opening.text
    assert POST.image is not None
    assert asked.images == (AttachedImage(POST.image),)
    assert "Name: Ever Given [VESSEL]\nWhat to look for: container ship\n" in asked.text
    assert "How it looks: Green hull, stacked boxes." in asked.text
    assert "What to look for" not in asked_text(chat.asked[1])
    assert chat.asked[0].first_tokens == 20


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_sample_changes_nothing_outside_its_own_row(text: str) -> None:
    alone, beside = ScriptedChat(scripted), ScriptedChat(scripted)
    expected = entailer(alone).entail(mentions_of(OTHER))
    found = entailer(beside).entail(mentions_of(hostile_sample(text), OTHER))
    assert found[2:] == expected
    assert [one.messages for one in beside.asked[-2:]] == [one.messages for one in alone.asked]
    assert {one.messages[0] for one in beside.asked} == {alone.asked[0].messages[0]}


def test_what_is_asked_and_where_it_came_from() -> None:
    (entity, *_) = POST.entities or ()
    told = replace(entity, expression="container ship", description="Green hull.")
    sample = replace(POST, entities=(told,), caption="a ship in a canal")
    (asked,) = entailer(ScriptedChat(scripted)).prepare(mentions_of(sample))
    assert asked_text(asked.request) == (
        "<post>\nText: Ever Given meets Rex\nCaption: a ship in a canal\n</post>\n"
        "Name: Ever Given [VESSEL]\nWhat to look for: container ship\nHow it looks: Green hull.\n"
        "Does the picture show Ever Given? Answer yes or no."
    )
    assert asked.subject == ("a", ("e0",))
    entity_value = asked.values["entity"].value
    assert isinstance(entity_value, Mapping)
    assert entity_value["expression"] == "container ship"


def test_a_prompt_may_use_fine_labels(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text(
        "{% block system %}{% for one in labels %}{{ one.name }}: {{ one.fine | join('/') }};"
        "{% endfor %}{% endblock %}"
        "{% block user %}{{ entity.text }} [{{ entity.fine_label or entity.label }}]{% endblock %}"
    )
    chat = ScriptedChat(lambda _: "no")
    labels = (Label(name="VESSEL", fine=("ferry", "freighter")), Label(name="PER"))
    context = make_context(tmp_path, chats={"main": chat}, labels=labels)
    live = ChatEntailerConfig(prompt="mine.jinja").build(context)
    sample = image_sample("Ever Given meets Rex", [(0, 2, "VESSEL"), (3, 4, "PER")], id="a")
    ship, rex = sample.entities or ()
    entities = (replace(ship, fine_label="freighter"), rex)
    live.entail(mentions_of(replace(sample, entities=entities)))
    assert [*map(asked_text, chat.asked)] == ["Ever Given [freighter]", "Rex [PER]"]
    assert chat.asked[0].messages[0].text == "VESSEL: ferry/freighter;PER: ;"


def test_a_prompt_that_does_not_fit_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block user %}{{ entitty }}{% endblock %}")
    with pytest.raises(UserError, match="did you mean entity"):
        ChatEntailerConfig(prompt="mine.jinja").contents(tmp_path)
