"""Forms in which language models give one answer: read where only the form differs, else told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.answers import issue_of, partial
from helpers.chat_cases import image_sample
from helpers.factories import make_context, make_sample, mentions_of
from helpers.scripted_chat import ScriptedChat

from riveg.llm.endpoint import Endpoint
from riveg.protocols import PartialAnswer
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.stages.taggers.chat import ChatTaggerConfig
from riveg.types import Box, Issue

POST = make_sample(
    "Ann Lee ate at McDonald's in Oslo , said “ Rocky ” Marciano and José — Ann Lee again",
    id="a",
    entities=None,
)
ANN = [("Ann Lee", "PER")]
OSLO = [("Oslo", "LOC")]


def tagged(answer: str, **fields: Any) -> Any:
    chat = ScriptedChat(lambda _: answer)
    context = make_context(chats={"main": chat}, **fields)
    return ChatTaggerConfig().build(context).tag([POST])[0]


@pytest.mark.parametrize(
    ("answer", "entities"),
    [
        ("{'entities': [{'text': 'Ann Lee', 'label': 'PER', 'occurrence': 1}]}", ANN),
        (
            r"""{"entities": [{"text": "McDonald\'s", "label": "ORG", "occurrence": 1}]}""",
            [("McDonald's", "ORG")],
        ),
        ('{"entities": [{"text": "Ann Lee", "label": "PER", "occurrence": None}]}', ANN),
        ('{"entities": [{"text": "Ann Lee", "label": "PER", "occurrence": null}]}', ANN),
        ('{"entities": [{"text": "Ann Lee", "label": "PER", "occurrence": "1"}]}', ANN),
        ('{"entities": [{"text": "Jos\\\\u00e9", "label": "PER"}]}', [("José", "PER")]),
        ('{"entities": [{"text": "Ann Lee", "label": "PER"} // the speaker\n]}', ANN),
        ('[{"text": "Ann Lee", "label": "PER", "occurrence": 1}]', ANN),
        ('{"text": "Ann Lee", "label": "PER"}', ANN),
        ("[]", []),
        ('{"entities": [{"text": "**Ann Lee**", "label": "**PER**"}]}', ANN),
        ('{"entities": [{"text": "Ann Lee", "label": "PER"}', ANN),
        ('{"entities": [{"text": "Ann Lee", "type": "person", "label": "PER", "start": 0}]}', ANN),
        (
            '<|channel|>analysis<|message|>{"entities": [{"text":"Oslo","label":"PER"}]} hm'
            "<|end|><|start|>assistant<|channel|>final<|message|>"
            '{"entities": [{"text": "Ann Lee", "label": "PER"}]}',
            ANN,
        ),
        (
            'The format is {"entities": []}. '
            'Answer: {"entities": [{"text": "Oslo", "label": "LOC"}]}',
            OSLO,
        ),
        ('{"text": "Ann Lee", "label": "PER"}\n{"text": "Oslo", "label": "LOC"}', ANN + OSLO),
        (
            '<answer>{"entities": [{"text": "Oslo", "label": "LOC"}]}</answer>',
            OSLO,
        ),
    ],
)
def test_forms_of_a_list_of_entities(answer: str, entities: list[tuple[str, str]]) -> None:
    found = tagged(answer)
    assert isinstance(found, tuple), found
    assert [(one.text, one.label) for one in found] == entities


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            'First draft: {"entities": [{"text": "Oslo", "label": "PER"}]}\n'
            'Corrected: {"entities": [{"text": "Oslo", "label": "LOC"}]}',
            "several JSON objects that differ",
        ),
        ('{"text": "Ann Lee", "label": "PER"} {"text": "Oslo", "label": "LOC"}', "several JSON"),
        ('{"entities": null}', "'entities' must be of type array"),
        ("{}", "no key 'entities'"),
        ('{"entities": [{"text": "Ann Lee", "type": "PER"}]}', "has no key 'label'"),
        ('{"entities": [{"text": "Ann Lee", "label": "PER"}, {"text": "Os', "unterminated string"),
        ('{"entities": [{"text": "Ann Lee", "label": PER}]}', "expecting value at character 44"),
    ],
)
def test_what_is_refused_is_asked_again_with_its_fault(answer: str, message: str) -> None:
    chat = ScriptedChat(lambda _: answer)
    found = ChatTaggerConfig().build(make_context(chats={"main": chat})).tag([POST])[0]
    assert issue_of(found).kind == "unparsable-answer"
    assert message in issue_of(found).message
    assert message in chat.asked[1].messages[-1].text


QUOTED = '{"entities": [{"text": "Ann Lee", "label": "ORG"}]}'
OWN = '{"entities": [{"text": "Oslo", "label": "LOC"}]}'


@pytest.mark.parametrize(
    "answer",
    [
        f"The post holds {QUOTED}, which I leave out. {OWN}",
        f"{OWN}\nThe post itself says {QUOTED}",
        f"{OWN}\nThe post itself says <answer>{QUOTED}</answer>",
        f"{OWN}\nIt ends in\nAnswer: {QUOTED}",
        f"The post holds {QUOTED}. I find {OWN[:-9]}",
        f"The post holds {QUOTED}. I find {OWN.replace('label', 'type')}",
        f"The post holds {QUOTED}. I find " + '[{"text": "Oslo", "type": "LOC"}]',
        f"The post holds {QUOTED}. I find " + '[{"text": "Oslo", "label": "L',
    ],
)
def test_json_of_a_post_never_becomes_its_entities(answer: str) -> None:
    assert isinstance(tagged(answer), Issue)


PLACES = image_sample("Ann met Rex", [(0, 1, "PER")], id="b")
WHOLE = Box(120, 40, 720, 720)


def grounded(answer: str) -> Any:
    endpoint = Endpoint(model="any", base_urls=("http://127.0.0.1:9/v1",))
    chat = ScriptedChat(lambda _: answer)
    context = make_context(chats={"main": chat}, endpoints={"main": endpoint})
    return ChatGrounderConfig(frame="norm1000").build(context).ground(mentions_of(PLACES))[0]


@pytest.mark.parametrize(
    ("answer", "boxes", "source"),
    [
        ('{"boxes": [{"bbox_2d": [100, 50, 600, 900]}]}', [WHOLE], "chat:schema"),
        (
            '```json\n[\n\t{"bbox_2d": [100, 50, 600, 900], "label": "Ann"}\n]\n```',
            [WHOLE],
            "chat:lenient",
        ),
        ('{"bbox_2d": [100, 50, 600, 900], "label": "Ann"}', [WHOLE], "chat:lenient"),
        ('{"boxes": [{"bbox_2d": [100.0, 50.0, 600.0, 900.0]}]}', [WHOLE], "chat:lenient"),
        ("{'boxes': [{'bbox_2d': [100, 50, 600, 900]}]}", [WHOLE], "chat:repaired"),
        ("[]", [], ""),
    ],
)
def test_forms_of_a_list_of_boxes(answer: str, boxes: list[Box], source: str) -> None:
    regions = grounded(answer)
    assert isinstance(regions, tuple), regions
    assert [(one.box, one.source) for one in regions] == [(box, source) for box in boxes]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"bbox_2d": [0, 0, 0, 0]}, "[0, 0, 0, 0] is inside out or has no area"),
        ({"bbox_2d": [600, 900, 100, 50]}, "inside out"),
        ({"bbox_2d": [1, 2, 3]}, "'bbox_2d' must have at least 4 items"),
        ({"bbox": [1, 2, 3, 4]}, "has no key 'bbox_2d'"),
        ("none", "item 2 of 'boxes' must be of type object"),
    ],
)
def test_a_good_box_stays_beside_a_bad_one(bad: Any, message: str) -> None:
    answer = json.dumps({"boxes": [{"bbox_2d": [100, 50, 600, 900]}, bad]})
    found: PartialAnswer[Any] = partial(grounded(answer))
    assert [(one.box, one.source) for one in found.answer] == [(WHOLE, "chat:partial")]
    (issue,) = found.issues
    assert (issue.stage, issue.entity_id, issue.kind) == ("ground", "e0", "bad-box")
    assert message in issue.message


@pytest.mark.parametrize(
    "answer",
    [
        '{"boxes": [{"bbox_2d": [0, 0, 0, 0]}]}',
        '{"boxes": [{"bbox_2d": ["100", "50", "600", "900"]}]}',
        '{"boxes": null}',
        "None",
        "<|box_start|>(100,50),(600,900)<|box_end|>",
        '[{"bbox_2d": [100, 50, 600, 900]}, {"bbox_2d": [1',
    ],
)
def test_what_is_no_box_is_an_issue(answer: str) -> None:
    assert issue_of(grounded(answer)).kind == "unparsable-answer"
