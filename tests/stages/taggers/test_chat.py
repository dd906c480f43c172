from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers.answers import whole
from helpers.chat_cases import HOSTILE, OWN_TYPES, asked_text, hostile_sample
from helpers.contracts import check_answer, check_backend
from helpers.factories import make_context, make_sample
from helpers.scripted_chat import ScriptedChat
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.llm.borders import without_marks
from riveg.llm.conversation import NoAnswer, Request, Response
from riveg.llm.json_schema import fault_in
from riveg.protocols import PartialAnswer
from riveg.stages.table import TAG
from riveg.stages.taggers.chat import ChatTagger, ChatTaggerConfig
from riveg.text.tokenise import join_tokens
from riveg.types import Entity, Issue, Sample, Span

POST = make_sample("Ever Given meets Ever Green near York", id="a", caption="a ship", entities=None)
OTHER = make_sample("Ann met Bob and Ann", id="b", entities=None)


def said(*items: tuple[str, str, int]) -> str:
    entities = [
        {"text": text, "label": label, "occurrence": occurrence}
        for text, label, occurrence in items
    ]
    return json.dumps({"entities": entities})


ANSWERS: Mapping[str, str] = {
    POST.text: said(("York", "LOC", 1), ("Ever Given", "OTHER", 1), ("Ever Green", "OTHER", 1)),
    OTHER.text: said(("Ann", "PER", 2), ("Bob", "PER", 1)),
}


def sample_of(request: Request) -> str:
    return asked_text(request).partition("Text: ")[2].partition("\n")[0]


def scripted(request: Request) -> str:
    return ANSWERS.get(sample_of(request), said())


def answer_always(response: Response, _: Request) -> Response:
    return response


def tagger(chat: ScriptedChat, base: Path | None = None, **fields: Any) -> ChatTagger:
    return ChatTaggerConfig(**fields).build(make_context(base, chats={"main": chat}))


def tag(answer: str | Callable[[Request], str], sample: Sample, **fields: Any) -> Any:
    chat = ScriptedChat(answer if callable(answer) else lambda _: answer)
    context = make_context(chats={"main": chat}, **fields)
    return ChatTaggerConfig().build(context).tag([sample])[0]


def spans_of(entities: tuple[Entity, ...]) -> list[tuple[str, str, int]]:
    return [(entity.text, entity.label, entity.span.start) for entity in entities]


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (scripted, 2),
        (lambda _: "no JSON", 6),
        (lambda _: NoAnswer("no-answer", "busy"), 2),
        (lambda _: said(("Ann", "PER", 1), ("Eve", "PER", 1), ("Ever", "LOC", 1)), 6),
    ],
)
def test_contract(answer: Callable[[Request], str], requests: int) -> None:
    chat = ScriptedChat(answer)
    check_backend(TAG, tagger(chat), [POST, OTHER])
    assert len(chat.asked) == requests


def test_entities_stand_in_the_order_of_the_text_with_their_tokens() -> None:
    entities = tag(scripted, POST)
    assert entities == (
        Entity("e0", "Ever Given", "OTHER", Span(0, 2)),
        Entity("e1", "Ever Green", "OTHER", Span(3, 5)),
        Entity("e2", "York", "LOC", Span(6, 7)),
    )
    assert spans_of(tag(scripted, OTHER)) == [("Bob", "PER", 2), ("Ann", "PER", 4)]


def test_nothing_found_is_an_answer() -> None:
    assert tag(said(), POST) == ()


def test_own_types_reach_the_model_and_bind_its_answer() -> None:
    chat = ScriptedChat(lambda _: said(("Ever Given", "VESSEL", 1), ("York", "sponsor", 1)))
    context = make_context(chats={"main": chat}, labels=OWN_TYPES)
    entities = ChatTaggerConfig().build(context).tag([POST])[0]
    assert spans_of(whole(entities)) == [("Ever Given", "VESSEL", 0), ("York", "SPONSOR", 6)]
    opening = chat.asked[0].messages[0].text
    assert "- VESSEL: a ship or boat by name (such as Titanic, Ever Given)\n" in opening
    assert "- SPONSOR: who pays for an event\n" in opening
    assert "PER" not in opening
    schema = chat.asked[0].schema or {}
    label = schema["properties"]["entities"]["items"]["properties"]["label"]
    assert label["enum"] == ["VESSEL", "SPONSOR"]
    good = {"entities": [{"text": "Ever Given", "label": "VESSEL", "occurrence": 1}]}
    assert fault_in(good, schema) is None
    good["entities"][0]["label"] = "PER"
    assert fault_in(good, schema)


@pytest.mark.parametrize(
    "bad",
    ['{"text": "York"}', '"York"', "null", '{"text": "York", "label": 1}', "[1]", "NaN", "{}"],
)
def test_a_good_entity_stays_beside_an_item_that_is_none(bad: str) -> None:
    answer = tag(f'{{"entities": [{{"text": "Ever Given", "label": "OTHER"}}, {bad}]}}', POST)
    assert isinstance(answer, PartialAnswer)
    assert spans_of(answer.answer) == [("Ever Given", "OTHER", 0)]
    assert [issue.kind for issue in answer.issues] == ["bad-entity"]
    assert answer.issues[0].message.startswith(("item 2 of 'entities'", "'label'"))


@pytest.mark.parametrize("occurrence", ["1", "1.0", '"1"', "null"])
def test_an_occurrence_may_be_written_otherwise(occurrence: str) -> None:
    item = f'{{"text": "Ever Given", "label": "OTHER", "occurrence": {occurrence}}}'
    assert spans_of(tag(f'{{"entities": [{item}]}}', POST)) == [("Ever Given", "OTHER", 0)]


@pytest.mark.parametrize("occurrence", ['"first"', "1.5", "[1]"])
def test_an_occurrence_that_is_none_costs_its_entity_alone(occurrence: str) -> None:
    bad = f'{{"text": "York", "label": "LOC", "occurrence": {occurrence}}}'
    answer = tag(f'{{"entities": [{{"text": "Ever Given", "label": "OTHER"}}, {bad}]}}', POST)
    assert isinstance(answer, PartialAnswer)
    assert len(answer.answer) == len(answer.issues) == 1


def test_a_fault_is_shown_to_the_model_and_its_better_answer_counts() -> None:
    def better_later(request: Request) -> str:
        wrong = said(("Ever", "OTHER", 9), ("Ann", "PERSON", 1))
        return ANSWERS[POST.text] if len(request.messages) > 2 else wrong

    chat = ScriptedChat(better_later)
    assert len(whole(tagger(chat).tag([POST])[0])) == 3
    shown = chat.asked[1].messages[-1].text
    assert "'Ever' stands 2 times in the text, there is no occurrence 9" in shown
    assert "'Ann' has the label 'PERSON', which is not one of PER, LOC, ORG, OTHER" in shown


@pytest.mark.parametrize(
    ("items", "kind", "message"),
    [
        (("Bob", "PER", 1), "unaligned-entity", "'Bob' does not stand in the text"),
        (("reen", "PER", 1), "unaligned-entity", "'reen' is only a part of 'Green' there"),
        (("Ever", "PER", 3), "unaligned-entity", "there is no occurrence 3"),
        (("York", "CITY", 1), "unknown-label", "'York' has the label 'CITY'"),
    ],
)
def test_the_good_entities_are_kept_and_the_bad_one_is_an_issue(
    items: tuple[str, str, int], kind: str, message: str
) -> None:
    answer = tag(said(items, ("Ever Given", "OTHER", 1)), POST)
    assert isinstance(answer, PartialAnswer)
    assert spans_of(answer.answer) == [("Ever Given", "OTHER", 0)]
    (issue,) = answer.issues
    assert (issue.stage, issue.entity_id, issue.kind) == ("tag", None, kind)
    assert message in issue.message
    alone = tag(said(items), POST)
    assert isinstance(alone, Issue)
    assert alone.kind == kind


def test_of_overlapping_entities_the_longest_stands_and_that_is_told() -> None:
    items = (("Ever", "PER", 2), ("Ever Green", "OTHER", 1), ("Ever Green", "OTHER", 1))
    chat = ScriptedChat(lambda _: said(*items))
    answer = tagger(chat).tag([POST])[0]
    assert isinstance(answer, PartialAnswer)
    assert spans_of(answer.answer) == [("Ever Green", "OTHER", 3)]
    assert [issue.kind for issue in answer.issues] == ["overlapping-entity"]
    assert answer.issues[0].message.startswith("'Ever' [PER], tokens [3, 4), stands within")
    assert len(chat.asked) == 1  # the next answer would have it as well


def test_a_full_list_may_not_be_all() -> None:
    chat = ScriptedChat(lambda _: said(("Ann", "PER", 1), ("Bob", "PER", 1)))
    answer = tagger(chat, most_entities=2).tag([OTHER])[0]
    assert isinstance(answer, PartialAnswer)
    assert len(answer.answer) == 2
    assert [issue.kind for issue in answer.issues] == ["many-entities"]


def test_a_list_that_was_cut_off_is_never_half_an_answer() -> None:
    whole = said(("Ann", "PER", 1), ("Eve", "PER", 1), ("Bob", "PER", 1))
    for finish_reason, kind in (("length", "truncated-answer"), ("abort", "unparsable-answer")):
        cut = Response(whole[: whole.index(', {"text": "Bob"')] + "]", finish_reason)
        chat = ScriptedChat(partial(answer_always, cut))
        answer = tagger(chat).tag([OTHER])[0]
        assert isinstance(answer, Issue)
        assert answer.kind == kind


def test_samples_of_the_same_words_in_other_tokens_have_their_own_spans() -> None:
    text, offsets = join_tokens(["Ever Given", "meets", "York"])
    coarse = Sample("c", text, ("Ever Given", "meets", "York"), offsets)
    fine_text, fine_offsets = join_tokens(["Ever", "Given", "meets", "York"])
    fine = Sample("d", fine_text, ("Ever", "Given", "meets", "York"), fine_offsets)
    chat = ScriptedChat(lambda _: said(("Ever Given", "OTHER", 1), ("York", "LOC", 1)))
    answers = tagger(chat).tag([coarse, fine])
    assert [[entity.span for entity in whole(answer)] for answer in answers] == [
        [Span(0, 1), Span(2, 3)],
        [Span(0, 2), Span(3, 4)],
    ]
    assert len(chat.asked) == 1


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_sample_changes_nothing_outside_its_own_row(text: str) -> None:
    sample = hostile_sample(text)
    alone, beside = ScriptedChat(scripted), ScriptedChat(scripted)
    expected = tagger(alone).tag([OTHER])
    found = tagger(beside).tag([sample, OTHER])
    assert found[1:] == expected
    assert beside.asked[1].messages == alone.asked[0].messages
    assert beside.asked[0].messages[0] == alone.asked[0].messages[0]
    assert beside.asked[0].schema == alone.asked[0].schema
    assert f"Text: {text}\n" in without_marks(asked_text(beside.asked[0]))


def test_an_entity_is_found_by_words_that_the_prompt_marked() -> None:
    text, offsets = join_tokens(["Ann", "likes", "<|im_end|>"])
    sample = Sample("e", text, ("Ann", "likes", "<|im_end|>"), offsets)
    chat = ScriptedChat(lambda _: said(("<·|im_end|>", "OTHER", 1)))
    (answer,) = tagger(chat).tag([sample])
    assert "Text: Ann likes <·|im_end|>\n" in asked_text(chat.asked[0])
    assert [(one.text, one.span) for one in whole(answer)] == [("<|im_end|>", Span(2, 3))]


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["entities", "text", "label", "occurrence"]), inner)
        ),
        max_leaves=8,
    )
)
def test_any_answer_is_entities_or_an_issue(value: Any) -> None:
    check_answer(TAG, OTHER, tag(json.dumps(value), OTHER))


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Ann", "Bob", "met Bob", "bob and", "Eve", "An", ""]),
            st.sampled_from(["PER", "loc", "ORG", "X"]),
            st.integers(-1, 4),
        ),
        max_size=6,
    )
)
def test_any_list_is_good_entities_side_by_side(items: list[tuple[str, str, int]]) -> None:
    answer = tag(said(*items), OTHER)
    check_answer(TAG, OTHER, answer)
    entities = answer.answer if isinstance(answer, PartialAnswer) else answer
    if isinstance(entities, tuple):
        for one, after in pairwise(entities):
            assert one.span.end <= after.span.start
        for entity in entities:
            assert entity.text == " ".join(OTHER.tokens[entity.span.start : entity.span.end])


def test_what_is_asked_and_where_it_came_from() -> None:
    (full,) = tagger(ScriptedChat(scripted)).prepare([replace(POST, knowledge="Named ships.")])
    assert asked_text(full.request) == (
        "<post>\nText: Ever Given meets Ever Green near York\nCaption: a ship\n"
        "Knowledge: Named ships.\n</post>"
    )
    assert full.subject == ("a", ())
    assert full.values["knowledge"].source == "sample.knowledge"
    assert full.prompt == "tag/entities.v1"


def test_a_prompt_that_does_not_fit_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block user %}{{ txt }}{% endblock %}")
    config = ChatTaggerConfig(prompt="mine.jinja")
    with pytest.raises(UserError, match=r"mine\.jinja.*did you mean text"):
        config.contents(tmp_path)
    with pytest.raises(UserError, match="no language model 'other'"):
        tagger(ScriptedChat(scripted), llm="other")
    assert set(ChatTaggerConfig().contents(tmp_path)) == {"prompt"}
