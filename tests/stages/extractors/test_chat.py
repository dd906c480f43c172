from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from helpers.answers import issue_of, partial, whole
from helpers.chat_cases import HOSTILE, asked_text, hostile_sample, image_sample
from helpers.contracts import check_answer, check_backend
from helpers.factories import make_context
from helpers.scripted_chat import ScriptedChat

from riveg.errors import UserError
from riveg.geometry.frames import FRAMES
from riveg.labels import Label
from riveg.llm.conversation import NoAnswer, Request, Response
from riveg.llm.endpoint import Endpoint
from riveg.protocols import AnswerOrIssue, Extraction
from riveg.stages.extractors.answers import FORMS, StatedEntity
from riveg.stages.extractors.chat import ChatExtractor, ChatExtractorConfig
from riveg.stages.table import EXTRACT
from riveg.types import Box, ImageRef, Sample, Span

POST = image_sample("Ann met Rex and Ann", id="a", entities=None)
OTHER = image_sample("Bob met nobody", id="b", entities=None)
ENDPOINT = Endpoint(model="any", base_urls=("http://127.0.0.1:9/v1",), picture_side=1024)
LABELS = (Label(name="PER", description="a person"), Label(name="OTHER"))
E2E = "extract/e2e-gmner.v1"
SAKE = "extract/sake.v1"


def stated(*items: tuple[Any, ...]) -> str:
    entities = [
        {
            "text": text,
            "label": label,
            "occurrence": occurrence,
            "boxes": [{"bbox_2d": box} for box in boxes],
        }
        for text, label, occurrence, boxes in items
    ]
    return json.dumps({"entities": entities})


def listed(*items: tuple[str, str, list[Any]]) -> str:
    entities = [{"entity": words, "type": kind, "box2d": box} for words, kind, box in items]
    return f"<answer>{json.dumps(entities)}</answer>"


GOOD = stated(("Ann", "PER", 2, [[0, 0, 500, 500]]), ("Rex", "OTHER", 1, []))


def extractor(
    chat: ScriptedChat,
    prompt: str = "extract/json.v1",
    **fields: Any,
) -> ChatExtractor:
    context = make_context(chats={"main": chat}, endpoints={"main": ENDPOINT}, labels=LABELS)
    if prompt == SAKE:
        fields = {"label_map": {"MISC": "OTHER"}, **fields}
    return ChatExtractorConfig(**{"frame": "norm1000", "prompt": prompt, **fields}).build(context)


def extract(
    answer: str | Response, prompt: str = "extract/json.v1", sample: Sample = POST, **fields: Any
) -> AnswerOrIssue[Extraction]:
    return extractor(ScriptedChat(lambda _: answer), prompt, **fields).extract([sample])[0]


def scripted(request: Request) -> str:
    return GOOD if "Ann" in asked_text(request) else stated()


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (scripted, 2),
        (lambda _: stated(("Bob", "PER", 1, [[9, 9, 5, 5]]), ("Zoe", "PER", 1, [])), 6),
        (lambda _: NoAnswer("no-answer", "busy"), 2),
    ],
)
def test_contract(answer: Callable[[Request], str], requests: int) -> None:
    chat = ScriptedChat(answer)
    check_backend(EXTRACT, extractor(chat), [POST, OTHER])
    assert len(chat.asked) == requests


def test_entities_come_by_position_with_regions_in_pixels() -> None:
    rex, ann = whole(extract(GOOD)).entities
    assert (rex.text, rex.label, rex.regions) == ("Rex", "OTHER", ())
    assert (ann.span, ann.label) == (Span(4, 5), "PER")
    assert [region.box for region in ann.regions or ()] == [Box(0, 0, 600, 400)]
    assert [region.source for region in ann.regions or ()] == ["chat:schema"]
    assert ann.score is None, "the server gave no tokens"


def test_the_released_form_is_read_and_its_thought_is_kept() -> None:
    items = (
        "Ann|PER|[0,0,518,336]",
        "Ann|PER|[[518,336,1036,672],[0,0,28,28]]",
        "Rex|other|None",
    )
    text = f"<answer>{'; '.join(items)}</answer>"
    response = Response(text, "stop", thoughts="Ann is a singer.")
    found = whole(extract(response, E2E, frame="pixels-sent"))
    assert found.reasoning == "Ann is a singer."
    assert [(one.span.start, one.label) for one in found.entities] == [
        (0, "PER"),
        (2, "OTHER"),
        (4, "PER"),
    ]
    boxes = [[region.box for region in one.regions or ()] for one in found.entities]
    assert boxes[0] == [Box(0, 0, 600, 400)]
    assert boxes[1] == []
    assert boxes[2][0] == Box(600, 400, 1200, 800)


@pytest.mark.parametrize("nowhere", ["[]", "null", "[0, 0, 0, 0]"])
def test_sake_says_nowhere_in_several_ways(nowhere: str) -> None:
    text = listed(("Rex", "MISC", [])).replace("[]", nowhere)
    (rex,) = whole(extract(text, SAKE)).entities
    assert rex.regions == ()


def test_what_is_written_for_training_is_read_back() -> None:
    boxes = ((1, 2, 30, 40), (5, 6, 70, 80))
    entities = [
        StatedEntity("Ann", "PER", 1, boxes, (0, 0)),
        StatedEntity("Rex", "MISC", 1, (), (0, 0)),
        StatedEntity("Ann", "PER", 2, boxes, (0, 0)),
    ]
    form = FORMS["entity-lists"]
    text = form.write(entities)
    assert text.startswith('<reason></reason><answer>[{"entity": "Ann", "type": "PER", "box2d": [1')
    found = form.read(Response(text, "stop"), FRAMES["norm1000"]).entities
    assert [replace(one, part=(0, 0)) for one in found] == entities


def test_the_lists_of_sake_are_read_and_their_reason_is_kept() -> None:
    text = listed(
        ("Ann", "PER", [0, 0, 518, 336]),
        ("Rex", "MISC", []),
        ("Ann", "PER", [518, 336, 1036, 672]),
        ("Ann", "PER", []),
    )
    response = Response(text, "stop", thoughts="Ann is a singer.")
    found = whole(extract(response, SAKE, frame="pixels-sent"))
    assert found.reasoning == "Ann is a singer."
    first, rex, second = found.entities
    assert [one.label for one in found.entities] == ["PER", "OTHER", "PER"]
    assert [region.box for region in first.regions or ()] == [
        Box(0, 0, 600, 400),
        Box(600, 400, 1200, 800),
    ]
    assert (second.span, second.regions, rex.regions) == (Span(4, 5), (), ())


def test_the_model_may_call_a_type_otherwise() -> None:
    chat = ScriptedChat(lambda _: listed(("Rex", "misc", []), ("Ann", "PER", [])))
    ann, rex = whole(extractor(chat, SAKE).extract([POST])[0]).entities
    assert (ann.label, rex.label) == ("PER", "OTHER")
    assert "Types: PER (a person), MISC." in chat.asked[0].messages[0].text
    chat = ScriptedChat(lambda _: stated(("Rex", "MISC", 1, [])))
    (rex,) = whole(extractor(chat, label_map={"MISC": "OTHER"}).extract([POST])[0]).entities
    assert rex.label == "OTHER"
    assert '"enum": ["PER", "MISC"]' in json.dumps(chat.asked[0].schema)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"MISC": "OTHR"}, "OTHR is no type of the system; did you mean OTHER"),
        ({"PER": "OTHER"}, "PER: OTHER: each type has one name for the model"),
        ({"A": "OTHER", "B": "OTHER"}, "A: OTHER: each type has one name"),
    ],
)
def test_a_map_of_types_that_would_confuse_them_is_refused(
    names: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=rf"extract\.label_map: {message}"):
        extractor(ScriptedChat(scripted), label_map=names)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('<text_search>[{"query": "Rex"}]</text_search>', "unparsable-answer"),
        ('<answer>[{"entity": "Ann", "type": "PER", "box2d": [0, 0', "unparsable-answer"),
        ("<answer>Ann is at the left.</answer>", "unparsable-answer"),
        (Response('<answer>[{"entity": "Ann"', "length"), "truncated-answer"),
    ],
)
def test_a_damaged_list_is_asked_again_and_then_told(text: str | Response, kind: str) -> None:
    chat = ScriptedChat(lambda _: text)
    (answer,) = extractor(chat, SAKE).extract([POST])
    assert issue_of(answer).kind == kind
    assert len(chat.asked) == (2 if kind == "truncated-answer" else 3)
    if "search" in str(text):
        assert "there is none" in chat.asked[1].messages[-1].text


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (E2E, "None"),
        (E2E, "<answer>None</answer>"),
        ("extract/json.v1", stated()),
        (SAKE, listed()),
        (SAKE, "[]"),
    ],
)
def test_an_answer_may_say_that_there_is_nothing(prompt: str, text: str) -> None:
    assert whole(extract(text, prompt)) == Extraction(())


@pytest.mark.parametrize(
    ("prompt", "text", "kinds"),
    [
        (E2E, "Ann|PER|somewhere; Rex|OTHER|None", ["bad-box"]),
        (E2E, "Ann|PER|[0,0,9,9]; Rex is here", ["bad-entity"]),
        (E2E, "Ann|VESSEL|None; Rex|OTHER|None", ["unknown-label"]),
        (E2E, "Ann|PER|[0,0,2000,9]", ["box-outside-frame"]),
        (E2E, "Zoe|PER|None; Ann|PER|None", ["unaligned-entity"]),
        (SAKE, listed(("Ann", "PER", [9, 9, 1, 1])), ["bad-box"]),
        (SAKE, listed(("Ann", "PER", ["left", 1, 2, 3])), ["bad-box"]),
        (SAKE, listed(("Ann", "PER", [0, 0, 9, 2000])), ["box-outside-frame"]),
        (SAKE, listed(("Ann", "VESSEL", []), ("Rex", "MISC", [])), ["unknown-label"]),
        (SAKE, listed(("Rex", "MISC", []), ("Zoe", "PER", [])), ["unaligned-entity"]),
        (SAKE, listed(("Rex", "MISC", [])).replace("[{", '[{"entity": "Ann"}, {'), ["bad-entity"]),
        (
            SAKE,
            listed(("Rex", "MISC", [])).replace("[{", '[{"entity": "A", "type": "PER"}, {'),
            ["bad-entity"],
        ),
        ("extract/json.v1", stated(("Ann", "PER", 1, [[9, 9, 1, 1]])), ["bad-box"]),
        ("extract/json.v1", stated(("Ann", "PER", 1, [[1, 1, 9]])), ["bad-box"]),
        ("extract/json.v1", GOOD.replace("[{", '[{"text": "Rex"}, {', 1), ["bad-entity"]),
    ],
)
def test_what_is_wrong_is_told_beside_what_is_right(
    prompt: str, text: str, kinds: list[str]
) -> None:
    chat = ScriptedChat(lambda _: text)
    (answer,) = extractor(chat, prompt).extract([POST])
    assert len(chat.asked) == 3
    assert "Not every entity is right" in chat.asked[1].messages[-1].text
    kept = partial(answer)
    assert [issue.kind for issue in kept.issues] == kinds
    assert kept.answer.entities
    check_answer(EXTRACT, POST, answer)
    if "box" in kinds[0]:
        assert kept.answer.entities[0].regions is None, "not read is not the same as not shown"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (E2E, "<answer>Ann|PER|[0,0,9,9]; Re"),
        ("extract/json.v1", GOOD[:-30]),
        (SAKE, '<answer>[{"entity": "Ann", "type": "PER"'),
    ],
)
def test_an_answer_that_is_cut_off_is_no_half_a_list(prompt: str, text: str) -> None:
    issue = issue_of(extract(Response(text, "length"), prompt, max_tokens=77))
    assert issue.kind == "truncated-answer"
    assert issue.message == "the answer was cut off at 77 tokens"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (E2E, "Ann|VESSEL|None"),
        ("extract/json.v1", stated(("Ann", "VESSEL", 1, []))),
        (SAKE, listed(("Ann", "VESSEL", []))),
    ],
)
def test_a_type_that_is_not_known_is_named_with_those_that_are(prompt: str, text: str) -> None:
    issue = issue_of(extract(text, prompt))
    assert issue.kind == "unknown-label"
    other = "MISC" if prompt == SAKE else "OTHER"
    assert issue.message == f"'Ann' has the label 'VESSEL', which is not one of PER, {other}"


def test_a_score_is_the_mean_probability_of_the_tokens_of_an_entity() -> None:
    pieces = ["Ann|PER", "|None", "; ", "Rex|OTHER", "|None"]
    sure = [0.9, 0.4, 0.01, 0.8, 0.8]
    text = "".join(pieces)
    thought = "<think>Ann|PER|None</think>"
    tokens = tuple(zip([thought, *pieces], map(math.log, [0.5, *sure]), strict=True))
    ann, rex = whole(extract(Response(text, "stop", tokens=tokens), E2E)).entities
    assert ann.score == pytest.approx(0.6)
    assert rex.score == pytest.approx(0.8)
    others = Response(text, "stop", tokens=(("?", -1.0),))
    assert [one.score for one in whole(extract(others, E2E)).entities] == [None, None]


def test_a_score_of_json_is_of_the_entity_alone() -> None:
    text = stated(("Ann", "PER", 1, []), ("Ann", "PER", 2, []))
    second = text.rindex('"Ann"')
    tokens = ((text[:second], math.log(0.25)), (text[second:], math.log(0.75)))
    one, two = whole(extract(Response(text, "stop", tokens=tokens))).entities
    assert one.score == pytest.approx(0.25)
    assert two.score == pytest.approx(0.75)


@pytest.mark.parametrize(("width", "height"), [(27, 500), (6000, 29), (5600, 28)])
def test_an_image_that_no_model_takes_is_told_and_not_sent(width: int, height: int) -> None:
    chat = ScriptedChat(scripted)
    odd = replace(POST, image=ImageRef("odd.jpg", width, height))
    no, yes = extractor(chat).extract([odd, OTHER])
    assert issue_of(no).kind == "image-shape"
    assert f"the picture has {width} x {height}" in issue_of(no).message
    assert whole(yes).entities == ()
    assert len(chat.asked) == 1
    (prepared,) = extractor(chat).prepare([odd, OTHER])
    assert prepared.request.messages == chat.asked[0].messages, (
        "a dry run and prompt-debug count what is sent"
    )


@pytest.mark.parametrize("prompt", ["extract/json.v1", E2E, SAKE])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_samples_are_data(name: str, prompt: str) -> None:
    sample = replace(hostile_sample(HOSTILE[name]), entities=None)
    chat = ScriptedChat(lambda _: GOOD)
    live = extractor(chat, prompt)
    answers = live.extract([sample])
    check_answer(EXTRACT, sample, answers[0])
    (request, plain) = live.prepare([sample, POST])
    assert request.request.messages[0] == plain.request.messages[0], "the system turn is constant"
    assert asked_text(request.request).count("</post>") == 1


@pytest.mark.parametrize("prompt", [E2E, SAKE])
def test_a_model_that_has_learnt_its_types_need_not_be_told_them(prompt: str) -> None:
    chat = ScriptedChat(lambda _: "None" if prompt == E2E else "[]")
    live = extractor(chat, prompt, list_types=False)
    assert whole(live.extract([POST])[0]).entities == ()
    asked = chat.asked[0].messages[0].text
    assert "Types:" not in asked
    assert "PER" not in asked
    chat = ScriptedChat(lambda _: "Rex|VESSEL|None")
    (answer,) = extractor(chat, E2E, list_types=False).extract([POST])
    assert issue_of(answer).kind == "unknown-label"


def test_any_model_has_to_be_told_the_types() -> None:
    with pytest.raises(UserError, match=r"extract\.list_types: extract/json\.v1"):
        extractor(ScriptedChat(scripted), list_types=False)


def test_the_types_are_told_in_both_prompts_and_the_frame_too() -> None:
    for prompt in ("extract/json.v1", E2E):
        chat = ScriptedChat(lambda _: "None")
        (prepared,) = extractor(chat, prompt).prepare([POST])
        assert "PER" in prepared.request.messages[0].text
        assert "a person" in prepared.request.messages[0].text
        assert "to 1000 at the right edge" in asked_text(prepared.request)
        assert prepared.request.in_full
        assert len(prepared.request.images) == 1
