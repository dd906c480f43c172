from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.answers import whole
from helpers.chat_cases import HOSTILE, asked_text, hostile_sample, image_sample
from helpers.contracts import check_answer, check_backend
from helpers.factories import make_context, make_sample, mentions_of
from helpers.scripted_chat import ScriptedChat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from riveg.errors import UserError
from riveg.geometry.frames import FRAMES, FrameName
from riveg.llm.conversation import AttachedImage, NoAnswer, Request
from riveg.llm.endpoint import Endpoint
from riveg.protocols import AnswerOrIssue, PartialAnswer
from riveg.stages.grounders.answers import answer_schema
from riveg.stages.grounders.chat import ChatGrounder, ChatGrounderConfig
from riveg.stages.table import GROUND
from riveg.types import Box, Issue, Region

POST = image_sample("Ann met Rex", [(0, 1, "PER"), (2, 3, "OTHER")], id="a")
OTHER = image_sample("Bob met Ann", [(0, 1, "PER"), (2, 3, "PER")], id="b")

ENDPOINT = Endpoint(model="any", base_urls=("http://127.0.0.1:9/v1",), picture_side=1024)


def boxes(*stated: tuple[float, ...]) -> str:
    return json.dumps({"boxes": [{"bbox_2d": list(numbers)} for numbers in stated]})


def scripted(request: Request) -> str:
    name = asked_text(request).partition("Name: ")[2].partition(" [")[0]
    answers = {"Ann": boxes((0, 0, 500, 500), (500, 500, 1000, 1000)), "Bob": boxes()}
    return answers.get(name, boxes((100, 100, 200, 300)))


def grounder(
    chat: ScriptedChat, base: Path | None = None, frame: FrameName = "norm1000", **fields: Any
) -> ChatGrounder:
    context = make_context(base, chats={"main": chat}, endpoints={"main": ENDPOINT})
    return ChatGrounderConfig(frame=frame, **fields).build(context)


def ground(
    answer: str, frame: FrameName = "norm1000", **fields: Any
) -> AnswerOrIssue[tuple[Region, ...]]:
    live = grounder(ScriptedChat(lambda _: answer), frame=frame, **fields)
    return live.ground(mentions_of(POST))[0]


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (scripted, 4),
        (lambda _: boxes((9, 9, 5, 5)), 12),
        (lambda _: boxes((0, 0, 5, 1200)), 4),
        (lambda _: NoAnswer("no-answer", "busy"), 4),
    ],
)
def test_contract(answer: Callable[[Request], str], requests: int) -> None:
    chat = ScriptedChat(answer)
    check_backend(GROUND, grounder(chat), mentions_of(POST, OTHER))
    assert len(chat.asked) == requests


def test_boxes_come_in_pixels_of_the_image_and_in_the_models_order() -> None:
    (bob, ann) = grounder(ScriptedChat(scripted)).ground(mentions_of(OTHER))
    assert bob == ()
    assert ann == (
        Region(Box(0, 0, 600, 400), source="chat:schema"),
        Region(Box(600, 400, 1200, 800), source="chat:schema"),
    )


@pytest.mark.parametrize(
    ("frame", "numbers", "coordinates"),
    [
        (
            "norm1000",
            (250, 500, 500, 750),
            "whole numbers, x from 0 at the left edge of the "
            "picture to 1000 at the right edge, y from 0 at the upper edge to 1000",
        ),
        ("norm1000-yx", (500, 250, 750, 500), "to 1000 at the right edge"),
        (
            "norm1",
            (0.25, 0.5, 0.5, 0.75),
            "decimal numbers, x from 0 at the left edge of the picture to 1 at the right edge",
        ),
        (
            "pixels-sent",
            (259, 336, 518, 504),
            "picture to 1036 at the right edge, y from 0 at the upper edge to 672 at",
        ),
    ],
)
def test_the_frame_is_told_and_kept_to(
    frame: FrameName, numbers: tuple[float, ...], coordinates: str
) -> None:
    chat = ScriptedChat(lambda _: boxes(numbers))
    (region,) = whole(grounder(chat, frame=frame).ground(mentions_of(POST))[0])
    assert region.box == Box(300, 400, 600, 600)
    assert coordinates in asked_text(chat.asked[0])
    order = "y_min, x_min" if frame == "norm1000-yx" else "x_min, y_min"
    assert f"[{order}," in chat.asked[0].messages[0].text


def test_a_model_that_sees_the_image_as_it_is_sent() -> None:
    (region,) = whole(ground(boxes((512, 0, 1024, 683)), "pixels-sent", resize={"multiple": 1}))
    assert region.box == Box(600, 0, 1200, 800)


@pytest.mark.parametrize(
    ("frame", "numbers"),
    [
        ("norm1000", (0, 0, 1100, 10)),
        ("norm1000", (-5, 0, 100, 10)),
        ("norm1", (10, 10, 300, 300)),
        ("pixels-sent", (0, 0, 1200, 800)),
    ],
)
def test_a_box_beyond_the_frame_is_an_issue_and_never_clipped(
    frame: FrameName, numbers: tuple[float, ...]
) -> None:
    chat = ScriptedChat(lambda _: boxes(numbers))
    answer = grounder(chat, frame=frame).ground(mentions_of(POST))[0]
    assert isinstance(answer, Issue)
    assert (answer.entity_id, answer.kind) == ("e0", "box-outside-frame")
    assert "is not in [0, " in answer.message
    assert "does ground.frame fit the model?" in answer.message
    assert len({one.messages for one in chat.asked}) == 2  # asked once a mention, not to bend it


@pytest.mark.parametrize("beside", [(100, 50, 2000, 900), (0.1, 0.05, 0.6, 0.9)])
def test_a_box_in_the_frame_stays_beside_one_that_is_not(beside: tuple[float, ...]) -> None:
    answer = ground(boxes((100, 50, 600, 900), beside))
    assert isinstance(answer, PartialAnswer)
    assert len(answer.answer) == 1
    assert [issue.kind for issue in answer.issues] == ["box-outside-frame"]


@pytest.mark.parametrize("shares", [(0.1, 0.05, 0.6, 0.9), (0.0, 0.0, 1.0, 1.0), (0, 0, 0.5, 1)])
def test_shares_of_the_sides_are_no_boxes_of_whole_numbers(shares: tuple[float, ...]) -> None:
    answer = ground(boxes(shares))
    assert isinstance(answer, Issue)
    assert answer.kind == "box-outside-frame"
    assert answer.message.endswith("does ground.frame fit the model?")
    assert len(whole(ground(boxes(shares), frame="norm1"))) == 1


FORMS = (
    '{"boxes": {"bbox_2d": BOX}}',
    "[BOX]",
    "BOX",
    '{"boxes": BOX}',
    '{"boxes": [BOX]}',
    '{"boxes": [{"bbox_2d": "BOX"}]}',
    '[{"bbox_2d": BOX}]',
    '{"bbox_2d": BOX}',
    "[{'bbox_2d': BOX, 'label': None}]",
)


@pytest.mark.slow
@given(
    st.sampled_from(FORMS),
    st.integers(0, 400),
    st.integers(0, 400),
    st.integers(1, 600),
    st.integers(1, 600),
)
def test_one_box_is_read_in_any_form(form: str, x: int, y: int, width: int, height: int) -> None:
    numbers = (x, y, x + width, y + height)
    found = whole(ground(form.replace("BOX", str(list(numbers)))))
    assert [one.box for one in found] == [one.box for one in whole(ground(boxes(numbers)))]


@pytest.mark.parametrize(
    "bad", ["[1e400, 1, 2, 3]", "[1, 2, 3]", "null", '"none"', "[NaN, 1, 2, 3]"]
)
def test_a_good_box_stays_beside_one_that_is_none(bad: str) -> None:
    good = '{"boxes": [{"bbox_2d": [100, 50, 600, 900]}, {"bbox_2d": BAD}]}'
    answer = ground(good.replace("BAD", bad))
    assert isinstance(answer, PartialAnswer)
    assert len(answer.answer) == 1
    assert [issue.kind for issue in answer.issues] == ["bad-box"]


def test_good_boxes_beside_broken_text_have_an_issue() -> None:
    answer = ground('{"boxes": [{"bbox_2d": [9, 20, 300, 400]}]}"boxes": [{"bbox_2d')
    assert isinstance(answer, PartialAnswer)
    assert len(answer.answer) == 1
    assert [issue.kind for issue in answer.issues] == ["unparsable-answer"]


def test_a_box_inside_out_is_asked_for_again() -> None:
    def better_later(request: Request) -> str:
        return boxes((1, 1, 9, 9)) if len(request.messages) > 2 else boxes((9, 9, 1, 1))

    chat = ScriptedChat(better_later)
    (region,) = whole(grounder(chat).ground(mentions_of(POST)[:1])[0])
    assert region.source == "chat:re-asked"
    shown = chat.asked[1].messages[-1].text
    assert "[9, 9, 1, 1] is inside out or has no area" in shown
    answer = ground(boxes((5, 5, 5, 5)))
    assert isinstance(answer, Issue)
    assert answer.kind == "unparsable-answer"


@pytest.mark.parametrize(
    "numbers",
    [(0, 0, 10**400, 10**400), (0, 0, 5e-324, 1), (1, 1, 1.0000000000000002, 2), (0, 0, 1e300, 1)],
)
def test_numbers_that_can_be_no_box_are_asked_for_again(numbers: tuple[float, ...]) -> None:
    def better_later(request: Request) -> str:
        return boxes((1, 1, 9, 9)) if len(request.messages) > 2 else boxes(numbers)

    chat = ScriptedChat(better_later)
    (region,) = whole(grounder(chat).ground(mentions_of(POST)[:1])[0])
    assert region.source == "chat:re-asked"


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ('{"boxes": []}', 0),
        ('```json\n{"boxes": [{"bbox_2d": [0, 0, 9, 9], "label": "Ann"}]}\n```', 1),
        (boxes((0, 0, 9, 9), (0, 0, 9, 9)), 1),
        ('{"boxes": [{"bbox_2d": [0, 0, 9]}]}', None),
        ('{"boxes": [{"bbox_2d": ["0", 0, 9, 9]}]}', None),
        ('{"boxes": [{"bbox_2d": [0, 0, 9, NaN]}]}', None),
        ('{"e1": {"boxes": []}}', None),
        ("There is no such thing.", None),
    ],
)
def test_what_is_read_of_an_answer(answer: str, count: int | None) -> None:
    found = ground(answer)
    if count is None:
        assert isinstance(found, Issue)
        assert found.kind == "unparsable-answer"
    else:
        assert isinstance(found, tuple)
        assert len(found) == count


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(-10, 1010) | st.floats(), max_size=5), max_size=3))
def test_any_answer_is_boxes_in_the_image_or_an_issue(stated: list[list[float]]) -> None:
    answer = ground(boxes(*map(tuple, stated)))
    check_answer(GROUND, mentions_of(POST)[0], answer)


def test_the_schema_leaves_the_numbers_free() -> None:
    box = answer_schema(FRAMES["norm1000"], 3)["properties"]["boxes"]["items"]
    assert box["properties"]["bbox_2d"]["items"] == {"type": "integer"}
    share = answer_schema(FRAMES["norm1"], 3)["properties"]["boxes"]["items"]
    assert share["properties"]["bbox_2d"]["items"] == {"type": "number"}


def test_no_more_regions_than_asked_for() -> None:
    stated = [(number, 0, number + 1, 1) for number in range(5)]
    assert len(whole(ground(boxes(*stated), most_regions=2))) == 2


def test_a_frame_must_be_declared_and_known() -> None:
    with pytest.raises(ValidationError, match="frame"):
        ChatGrounderConfig.model_validate({})
    with pytest.raises(ValidationError, match="'norm1000'"):
        ChatGrounderConfig.model_validate({"frame": "norm100"})
    context = make_context(chats={"main": ScriptedChat(scripted)})
    assert ChatGrounderConfig(frame="norm1").build(context)
    with pytest.raises(UserError, match="pixels-sent depends on picture_side of llm 'main'"):
        ChatGrounderConfig(frame="pixels-sent").build(context)


def test_an_image_that_nobody_has_opened_is_an_issue() -> None:
    sample = make_sample("Ann met Rex", [(0, 1, "PER")], id="c")
    answers = grounder(ScriptedChat(scripted)).ground(mentions_of(sample, POST))
    assert isinstance(answers[0], Issue)
    assert answers[0].message == "sample c: nobody has opened its picture"
    assert len(whole(answers[1])) == 2


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_sample_changes_nothing_outside_its_own_row(text: str) -> None:
    alone, beside = ScriptedChat(scripted), ScriptedChat(scripted)
    expected = grounder(alone).ground(mentions_of(OTHER))
    found = grounder(beside).ground(mentions_of(hostile_sample(text), OTHER))
    assert found[2:] == expected
    assert [one.messages for one in beside.asked[-2:]] == [one.messages for one in alone.asked]
    assert {one.messages[0] for one in beside.asked} == {alone.asked[0].messages[0]}


def test_what_is_asked_and_where_it_came_from() -> None:
    (entity, *_) = POST.entities or ()
    told = replace(entity, expression="woman in a red coat", description="Tall, dark hair.")
    sample = replace(POST, entities=(told,))
    (asked,) = grounder(ScriptedChat(scripted)).prepare(mentions_of(sample))
    assert asked_text(asked.request) == (
        "<post>\nText: Ann met Rex\n</post>\n"
        "Name: Ann [PER]\nWhat to look for: woman in a red coat\nHow it looks: Tall, dark hair.\n"
        "Coordinates: whole numbers, x from 0 at the left edge of the picture to 1000 at the right "
        "edge, y from 0 at the upper edge to 1000 at the lower edge.\n"
        "Where in the picture is it?"
    )
    assert asked.subject == ("a", ("e0",))
    assert POST.image is not None
    assert asked.request.messages[-1].images == (AttachedImage(POST.image),)


def test_a_prompt_that_does_not_fit_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text(
        "{% block system %}{{ text }}{% endblock %}{% block user %}{% endblock %}"
    )
    with pytest.raises(UserError, match="not the same for all requests"):
        ChatGrounderConfig(frame="norm1", prompt="mine.jinja").contents(tmp_path)
