"""A second look: who is asked, what an answer changes, and what is left as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.answers import partial, whole
from helpers.chat_cases import HOSTILE, asked_text, hostile_sample, image_sample
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample
from helpers.scripted_chat import ScriptedChat
from pydantic import ValidationError

from riveg.labels import Label
from riveg.llm.conversation import NoAnswer, Request
from riveg.llm.endpoint import Endpoint
from riveg.protocols import AnswerOrIssue, PartialAnswer
from riveg.stages.reviewers.chat import NO_UNCERTAINTY, ChatReviewer, ChatReviewerConfig
from riveg.stages.table import REVIEW
from riveg.types import (
    WARNING,
    Before,
    Box,
    Entailment,
    Entity,
    Issue,
    Region,
    Review,
    Sample,
    Span,
)

ENDPOINT = Endpoint(model="any", base_urls=("http://127.0.0.1:9/v1",), picture_side=1024)
BOX = Box(0, 0, 600, 400)


def sure_of(sample: Sample, *values: float | None, **fields: Any) -> Sample:
    """Entities with the same confidence in words, type and place."""
    return replace(
        sample,
        entities=tuple(
            replace(
                one,
                score=value,
                label_scores=None if value is None else {one.label: value, "LOC": 1 - value},
                regions=(Region(BOX, value),),
                **fields,
            )
            for one, value in zip(sample.entities or (), values, strict=True)
        ),
    )


POST = sure_of(
    image_sample("New York Times met Ann Lee", [(0, 2, "PER"), (4, 5, "PER")], id="a"), 0.4, 0.9
)
OTHER = sure_of(image_sample("Rex met Bob", [(0, 1, "PER")], id="b"), 0.2)


def kind_of(request: Request) -> str:
    """Which kind is asked about, by the schema."""
    (kind,) = {"entity", "label", "shown"} & {*(request.schema or {})["properties"]}
    return {"entity": "span", "label": "type", "shown": "region"}[kind]


def says(**answers: Mapping[str, Any]) -> Callable[[Request], str]:
    return lambda request: json.dumps({"reason": "so", **answers[kind_of(request)]})


RIGHT = says(
    span={"entity": "New York Times"},
    type={"label": "ORG"},
    region={"shown": "yes", "boxes": [{"bbox_2d": [500, 500, 1000, 1000]}]},
)
UNSURE = says(
    span={"entity": "unsure"}, type={"label": "unsure"}, region={"shown": "unsure", "boxes": []}
)


def reviewer(chat: ScriptedChat, base: Path | None = None, **fields: Any) -> ChatReviewer:
    context = make_context(base, chats={"main": chat}, endpoints={"main": ENDPOINT})
    return ChatReviewerConfig(frame="norm1000", **fields).build(context)


ALL: dict[str, Any] = {"span": 0.5, "type": 0.5, "region": 0.5}


def reviewed(
    answer: Callable[[Request], Any], *samples: Sample, **fields: Any
) -> tuple[ScriptedChat, list[AnswerOrIssue[tuple[Entity, ...]]]]:
    chat = ScriptedChat(answer)
    return chat, [*reviewer(chat, **(fields or ALL)).review(samples or (POST,))]


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (RIGHT, 8),  # Rex is no word of "New York Times": asked again twice
        (UNSURE, 6),
        (lambda _: "no idea", 18),
        (lambda _: NoAnswer("no-answer", "busy"), 6),
    ],
)
def test_contract(answer: Callable[[Request], str], requests: int) -> None:
    chat = ScriptedChat(answer)
    check_backend(REVIEW, reviewer(chat, **ALL), [POST, OTHER])
    assert len(chat.asked) == requests


def test_words_then_type_then_box_are_put_right_and_the_record_says_what_was_before() -> None:
    chat, (answer,) = reviewed(RIGHT)
    times, ann = whole(answer)
    assert (times.text, times.span, times.label) == ("New York Times", Span(0, 3), "ORG")
    assert times.regions == (Region(Box(600, 400, 1200, 800), source="review:chat:schema"),)
    assert times.reviews == (
        Review("span", 0.6, "changed", Before(text="New York", span=Span(0, 2))),
        Review("type", 0.6, "changed", Before(label="PER")),
        Review("region", 0.6, "changed", Before(regions=(Region(BOX, 0.4),))),
    )
    assert ann == replace((POST.entities or ())[1], reviews=())
    assert [kind_of(one) for one in chat.asked] == ["span", "type", "region"]
    assert "Name: New York [PER]" in asked_text(chat.asked[0])
    assert "Name: New York Times\nType so far: PER\n" in asked_text(chat.asked[1])
    assert "Name: New York Times [ORG]\nBox so far: [0, 0, 500, 500]\n" in asked_text(chat.asked[2])
    assert all("from 0 to 1: 0.60\n" in asked_text(one) for one in chat.asked)


@pytest.mark.parametrize(
    ("gates", "asked"),
    [
        ({"span": 0.0}, 2),
        ({"span": 0.1, "type": 0.11}, 3),
        ({"span": 0.6}, 1),
        ({"span": 0.6001}, 0),
        ({"type": 1.0, "region": 1.0}, 0),
    ],
)
def test_from_the_gate_on_and_not_below_it(gates: dict[str, Any], asked: int) -> None:
    chat, (answer,) = reviewed(UNSURE, **gates)
    assert len(chat.asked) == asked
    assert sum(len(one.reviews or ()) for one in whole(answer)) == asked
    assert len(reviewer(chat, **gates).prepare([POST])) == asked


def test_unsure_leaves_everything_as_it_is() -> None:
    _, (answer,) = reviewed(UNSURE)
    times = whole(answer)[0]
    assert [one.outcome for one in times.reviews or ()] == ["unsure"] * 3
    assert replace(times, reviews=None) == (POST.entities or ())[0]


def test_what_is_said_again_is_confirmed_and_a_box_keeps_its_score() -> None:
    same = says(
        span={"entity": "New York"},
        type={"label": "PER"},
        region={"shown": "yes", "boxes": [{"bbox_2d": [0, 0, 501, 499]}]},
    )
    _, (answer,) = reviewed(same)
    times = whole(answer)[0]
    assert [one.outcome for one in times.reviews or ()] == ["confirmed"] * 3
    assert times.regions == (Region(BOX, 0.4),)


@pytest.mark.parametrize(
    "said",
    [
        {"shown": "no", "boxes": []},
        {"shown": "no"},
        {"shown": "yes", "boxes": [{"bbox_2d": [0, 0, 1000, 1000]}]},
    ],
    ids=["not shown", "not shown, without a list", "the whole picture"],
)
def test_a_region_is_dropped_where_the_picture_shows_nothing(said: dict[str, Any]) -> None:
    _, (answer,) = reviewed(says(region=said), region=0.5)
    assert whole(answer)[0].regions == ()


def test_an_entity_that_was_found_nowhere_can_get_a_box() -> None:
    lost = sure_of(OTHER, 0.2, entailment=Entailment(0.45, False))
    lost = replace(lost, entities=tuple(replace(e, regions=()) for e in lost.entities or ()))
    chat, (answer,) = reviewed(RIGHT, lost, region=0.4)
    (rex,) = whole(answer)
    assert rex.regions == (Region(Box(600, 400, 1200, 800), source="review:chat:schema"),)
    assert rex.reviews == (Review("region", 0.45, "changed", Before(regions=())),)
    assert "Box so far: none" in asked_text(chat.asked[0])
    assert not reviewed(RIGHT, lost, region=0.46)[0].asked


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("York Times met Ann", "reaches into another name"),
        ("Ann", "is another name"),
        ("New Jersey", "Copy the words from the post"),
    ],
)
def test_words_that_cannot_be_are_asked_again_and_then_an_issue(words: str, reason: str) -> None:
    chat, (answer,) = reviewed(says(span={"entity": words}), span=0.5)
    found = partial(answer)
    assert len(chat.asked) == 3
    assert reason in chat.asked[1].messages[-1].text
    (issue,) = found.issues
    assert (issue.stage, issue.entity_id, issue.kind) == ("review", "e0", "unparsable-answer")
    assert found.answer[0].span == Span(0, 2)
    assert found.answer[0].reviews == ()


def test_two_names_do_not_grow_into_one_another() -> None:
    post = sure_of(image_sample("Ann Lee Bob", [(0, 1, "PER"), (2, 3, "PER")], id="c"), 0.1, 0.1)

    def grow(request: Request) -> str:
        name = asked_text(request).partition("Name: ")[2].partition(" [")[0]
        return json.dumps({"reason": "", "entity": "Ann Lee" if name == "Ann" else "Lee Bob"})

    _, (answer,) = reviewed(grow, post, span=0.5)
    found = partial(answer)
    assert [one.span for one in found.answer] == [Span(0, 2), Span(2, 3)]
    assert [issue.entity_id for issue in found.issues] == ["e1"]


def test_the_place_of_repeated_words_is_the_entitys_own() -> None:
    post = sure_of(image_sample("New York or New York", [(4, 5, "LOC")], id="d"), 0.1)
    _, (answer,) = reviewed(says(span={"entity": "New York"}), post, span=0.5)
    assert whole(answer)[0].span == Span(3, 5)


def test_a_box_beyond_the_frame_is_an_issue_and_changes_nothing() -> None:
    beyond = {"shown": "yes", "boxes": [{"bbox_2d": [0, 0, 500, 1200]}]}
    _, (answer,) = reviewed(says(region=beyond), region=0.5)
    found = partial(answer)
    assert [issue.kind for issue in found.issues] == ["box-outside-frame"]
    assert found.answer[0].regions == (Region(BOX, 0.4),)


def test_what_nobody_has_scored_is_an_issue_and_never_certain() -> None:
    post = image_sample("Ann met Rex", [(0, 1, "PER")], id="e")
    chat, (answer,) = reviewed(RIGHT, post, span=0.0, type=0.0, region=0.0)
    found = partial(answer)
    assert not chat.asked
    assert [issue.kind for issue in found.issues] == [NO_UNCERTAINTY] * 3
    assert [issue.message.partition(":")[0] for issue in found.issues] == ["span", "type", "region"]
    for measure in ("entropy", "dropout"):
        chat, (answer,) = reviewed(RIGHT, post, type=0.0, uncertainty=measure)
        assert partial(answer).issues[0].kind == NO_UNCERTAINTY
        assert not chat.asked


def test_without_a_picture_no_region_is_reviewed_and_a_warning_says_so() -> None:
    post = sure_of(make_sample("Ann met Rex", [(0, 1, "PER")], has_image=False), 0.2)
    chat, (answer,) = reviewed(says(type={"label": "PER"}), post, type=0.5, region=0.5)
    (issue,) = partial(answer).issues
    assert issue == Issue(
        "review", None, WARNING, "the post has no picture: no region was reviewed"
    )
    assert [kind_of(one) for one in chat.asked] == ["type"]
    assert not chat.asked[0].images


@pytest.mark.parametrize(
    ("measure", "kind", "value"),
    [
        ("confidence", "span", 0.3),
        ("confidence", "type", 0.5),
        ("entropy", "span", 0.3),
        ("entropy", "type", 1.0),
        ("entropy", "region", 0.2),
        ("dropout", "span", 0.25),
        ("dropout", "type", 0.75),
        ("dropout", "region", 0.2),
    ],
)
def test_how_uncertain_is_measured_by_choice(measure: str, kind: str, value: float) -> None:
    (entity,) = OTHER.entities or ()
    entity = replace(
        entity,
        score=0.7,
        label_scores={"PER": 0.5, "LOC": 0.5},
        regions=(Region(BOX, 0.8),),
        uncertainty={"span": 0.25, "type": 0.75},
    )
    gates: dict[str, Any] = {kind: 0.0, "uncertainty": measure}
    _, (answer,) = reviewed(UNSURE, replace(OTHER, entities=(entity,)), **gates)
    (looked,) = whole(answer)
    assert [one.uncertainty for one in looked.reviews or ()] == [value]


FINE = (Label(name="PER", fine=("actor", "musician")), Label(name="ORG", fine=("band",)))


def test_fine_types_are_decided_where_there_are_some_and_the_label_follows() -> None:
    chat = ScriptedChat(says(type={"label": "band"}))
    (entity,) = OTHER.entities or ()
    entity = replace(entity, fine_label="actor", fine_label_scores={"actor": 0.4, "band": 0.6})
    live = ChatReviewerConfig(type=0.5).build(make_context(chats={"main": chat}, labels=FINE))
    (looked,) = whole(live.review([replace(OTHER, entities=(entity,))])[0])
    assert (looked.label, looked.fine_label) == ("ORG", "band")
    assert looked.reviews == (
        Review("type", 0.6, "changed", Before(label="PER", fine_label="actor")),
    )
    assert "Candidates: actor, musician, band\n" in asked_text(chat.asked[0])


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_posts_change_nothing_but_by_a_valid_answer(text: str) -> None:
    post = hostile_sample(text)
    post = sure_of(post, *[0.1] * len(post.entities or ()))
    chat = ScriptedChat(UNSURE)
    (answer,) = reviewer(chat, **ALL).review([post])
    found = answer.answer if isinstance(answer, PartialAnswer) else whole(answer)
    assert [replace(one, reviews=None) for one in found] == [*(post.entities or ())]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "nothing is reviewed; give a gate: span, type, region"),
        ({"span": 1.2}, "less than or equal to 1"),
        ({"type": -0.1}, "greater than or equal to 0"),
        ({"region": float("nan")}, "equal to"),
        ({"region": 0.5}, "say the frame"),
        ({"box": 0.5}, "Extra inputs"),
        ({"span": 0.5, "uncertainty": "hunch"}, "'confidence', 'entropy' or 'dropout'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ChatReviewerConfig(**fields)
