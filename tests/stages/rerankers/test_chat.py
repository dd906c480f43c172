from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.chat_cases import HOSTILE, OWN_TYPES, asked_text, hostile_sample, image_sample
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, mentions_of
from helpers.scripted_chat import ScriptedChat
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.labels import Label
from riveg.llm.conversation import AttachedImage, NoAnswer, Request, Response, Unparsable
from riveg.protocols import PartialAnswer, Ranking
from riveg.stages.rerankers.answers import read_label
from riveg.stages.rerankers.chat import (
    ChatReranker,
    ChatRerankerConfig,
    entropy,
    marked_behind,
    marked_text,
)
from riveg.stages.table import RERANK
from riveg.text.tokenise import join_tokens, tokenise
from riveg.types import Entity, Issue, Sample, Span

SURE = {"PER": 0.98, "ORG": 0.02}
UNSURE = {"PER": 0.5, "ORG": 0.3, "LOC": 0.2}


def scored(sample: Sample, *scores: dict[str, float] | None) -> Sample:
    pairs = zip(sample.entities or (), scores, strict=True)
    return replace(
        sample, entities=tuple(replace(entity, label_scores=one) for entity, one in pairs)
    )


POST = scored(
    image_sample("Golden State beats Ann", [(0, 2, "PER"), (3, 4, "PER")], id="a"), UNSURE, SURE
)
OTHER = scored(image_sample("Rex met Bob", [(0, 1, "PER")], id="b"), UNSURE)


def says(label: str) -> Callable[[Request], str]:
    return lambda _: json.dumps({"label": label})


def reranker(chat: ScriptedChat, base: Path | None = None, **fields: Any) -> ChatReranker:
    return ChatRerankerConfig(**fields).build(make_context(base, chats={"main": chat}))


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (says("ORG"), 2),
        (says("CITY"), 6),
        (lambda _: NoAnswer("no-answer", "busy"), 2),
    ],
)
def test_contract(answer: Callable[[Request], str], requests: int) -> None:
    chat = ScriptedChat(answer)
    check_backend(RERANK, reranker(chat), mentions_of(POST, OTHER))
    assert len(chat.asked) == requests


def test_only_unsure_types_are_asked_about_and_the_distribution_stays() -> None:
    chat = ScriptedChat(says("ORG"))
    answers = reranker(chat).rerank(mentions_of(POST))
    assert answers == [Ranking("ORG", UNSURE), Ranking("PER", SURE)]
    assert len(chat.asked) == 1
    assert chat.asked[0].schema == {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": ["PER", "ORG", "LOC"]}},
        "required": ["label"],
        "additionalProperties": False,
    }
    assert len(reranker(chat).prepare(mentions_of(POST))) == 1


@pytest.mark.parametrize(
    ("gamma", "asked"),
    [(0.0, 2), (0.09, 2), (0.1, 1), (1.02, 1), (1.03, 0)],
)
def test_the_gate_is_the_entropy_in_nats(gamma: float, asked: int) -> None:
    assert entropy(SURE) == pytest.approx(0.0980, abs=1e-4)
    assert entropy(UNSURE) == pytest.approx(1.0297, abs=1e-4)
    chat = ScriptedChat(says("PER"))
    assert len(reranker(chat, gamma=gamma).prepare(mentions_of(POST))) == asked


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=6))
def test_entropy_is_that_of_a_distribution(weights: dict[str, float]) -> None:
    total = sum(weights.values())
    if total < 1e-6:
        return
    scores = {name: weight / total for name, weight in weights.items()}
    assert -1e-9 <= entropy(scores) <= math.log(len(scores)) + 1e-9


def test_the_likeliest_candidates_are_offered_and_no_more() -> None:
    chat = ScriptedChat(says("ORG"))
    reranker(chat, candidates=2).rerank(mentions_of(OTHER))
    assert "Candidates: PER, ORG\n" in asked_text(chat.asked[0])


def test_a_tagger_without_scores_leaves_nothing_to_be_sure_by() -> None:
    chat = ScriptedChat(says("SPONSOR"))
    context = make_context(chats={"main": chat}, labels=OWN_TYPES)
    sample = image_sample("Ever Given sails", [(0, 2, "VESSEL")], id="c")
    assert ChatRerankerConfig().build(context).rerank(mentions_of(sample)) == [
        Ranking("SPONSOR", None)
    ]
    assert "Candidates: VESSEL, SPONSOR\n" in asked_text(chat.asked[0])
    assert "- SPONSOR: who pays for an event\n" in chat.asked[0].messages[0].text


FINE_TYPES = (
    Label(name="PER", fine=("actor", "musician")),
    Label(name="ORG", fine=("band",)),
    Label(name="LOC"),
)
BANDS = {"band": 0.5, "musician": 0.3, "actor": 0.2}


def with_fine(label: str | None, scores: dict[str, float] | None) -> Sample:
    entities = OTHER.entities or ()
    fine = (replace(one, fine_label=label, fine_label_scores=scores) for one in entities)
    return replace(OTHER, entities=tuple(fine))


def decide(answer: str, *samples: Sample) -> tuple[ScriptedChat, list[Any]]:
    chat = ScriptedChat(says(answer))
    context = make_context(chats={"main": chat}, labels=FINE_TYPES)
    live = ChatRerankerConfig(candidates=2).build(context)
    return chat, [*live.rerank(mentions_of(*samples))]


def test_fine_labels_are_decided_where_the_system_has_them_and_the_label_follows() -> None:
    chat, answers = decide("band", with_fine("musician", BANDS))
    assert answers == [Ranking("ORG", UNSURE, "band", BANDS)]
    assert "Candidates: band, musician\n" in asked_text(chat.asked[0])
    (mention,) = mentions_of(with_fine("musician", BANDS))
    joined = RERANK.join(mention, answers[0]).entity
    assert (joined.label, joined.fine_label, joined.fine_label_scores) == ("ORG", "band", BANDS)


def test_a_sure_fine_label_stays_however_unsure_the_label_is() -> None:
    sure = {"musician": 1.0, "band": 0.0}
    chat, answers = decide("band", with_fine("musician", sure))
    assert not chat.asked
    assert answers == [Ranking("PER", UNSURE, "musician", sure)]


def test_without_fine_scores_every_fine_label_is_a_candidate() -> None:
    chat, answers = decide("actor", with_fine("musician", None))
    assert answers == [Ranking("PER", UNSURE, "actor", None)]
    assert "Candidates: musician, actor, band\n" in asked_text(chat.asked[0])


def test_a_fine_label_goes_with_its_label() -> None:
    (mention,) = mentions_of(with_fine("musician", BANDS))
    kept = RERANK.join(mention, Ranking("PER", UNSURE)).entity
    assert (kept.fine_label, kept.fine_label_scores) == ("musician", BANDS)
    gone = RERANK.join(mention, Ranking("LOC", UNSURE)).entity
    assert (gone.label, gone.fine_label, gone.fine_label_scores) == ("LOC", None, None)


def test_an_answer_that_names_no_candidate_leaves_the_favourite_and_says_so() -> None:
    answers = reranker(ScriptedChat(says("CITY"))).rerank(mentions_of(POST))
    first = answers[0]
    assert isinstance(first, PartialAnswer)
    assert first.answer == Ranking("PER", UNSURE)
    (issue,) = first.issues
    assert (issue.stage, issue.entity_id, issue.kind) == ("rerank", "e0", "unmatched-label")
    assert "the label stays PER" in issue.message
    assert answers[1] == Ranking("PER", SURE)


def test_a_server_without_an_answer_is_an_issue() -> None:
    answers = reranker(ScriptedChat(lambda _: NoAnswer("no-answer", "busy"))).rerank(
        mentions_of(POST)
    )
    assert answers[0] == Issue("rerank", "e0", "no-answer", "busy")


CANDIDATES = ("person", "person_other", "film", "Film Festival")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('{"label": "film"}', "film"),
        ('```json\n{"label": "FILM"}\n```', "film"),
        ("film", "film"),
        ("It is a person_other.", "person_other"),
        ("the candidate Film festival, I think", "Film Festival"),
        ('{"label": "person (film)"}', None),
        ("person or film", None),
        ("films", None),
        ('{"e1": "film"}', "film"),
        ("", None),
        ('{"label": ["film"]}', "film"),
    ],
)
def test_one_candidate_by_its_name(text: str, label: str | None) -> None:
    response = Response(text, "stop")
    if label is None:
        with pytest.raises(Unparsable, match="exactly one of the candidates: person, person_other"):
            read_label(response, candidates=CANDIDATES)
    else:
        assert read_label(response, candidates=CANDIDATES) == label


def test_each_word_of_the_name_is_marked() -> None:
    first, second = mentions_of(POST)
    assert marked_text(POST, first.entity) == "&&Golden &&State beats Ann"
    assert marked_text(POST, second.entity) == "Golden State beats &&Ann"
    text = "So #TeamUSA: go!"
    tokens, offsets = tokenise(text)
    entity = Entity("e0", "#TeamUSA", "ORG", Span(1, 3))
    assert marked_text(Sample("d", text, tokens, offsets), entity) == "So &&#&&TeamUSA: go!"


def test_a_text_cannot_mark_words_itself() -> None:
    text, offsets = join_tokens(["Ann", "&&Bob", "&&&"])
    sample = Sample("d", text, ("Ann", "&&Bob", "&&&"), offsets)
    entity = Entity("e0", "Ann", "PER", Span(0, 1))
    assert marked_text(sample, entity) == "&&Ann &·&Bob &·&·&"
    assert marked_behind(sample, entity) == "Ann (&&) &·&Bob &·&·&"


def test_the_second_prompt_has_its_marks_behind_the_words() -> None:
    first, second = mentions_of(POST)
    assert marked_behind(POST, first.entity) == "Golden (&&) State (&&) beats Ann"
    assert marked_behind(POST, second.entity) == "Golden State beats Ann (&&)"


def test_the_image_is_shown_where_there_is_one_that_can_be_used() -> None:
    live = reranker(ScriptedChat(says("ORG")))
    without = scored(make_sample("Rex met Bob", [(0, 1, "PER")], has_image=False), UNSURE)
    broken = replace(OTHER, issues=(Issue("rerank", None, "truncated-image", "b.jpg"),))
    asked = live.prepare(mentions_of(OTHER, without, broken))
    assert OTHER.image is not None
    images = [one.request.messages[-1].images for one in asked]
    assert images == [(AttachedImage(OTHER.image),), (), ()]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_sample_changes_nothing_outside_its_own_row(text: str) -> None:
    sample = scored(hostile_sample(text), UNSURE, UNSURE)
    alone, beside = ScriptedChat(says("ORG")), ScriptedChat(says("ORG"))
    expected = reranker(alone).rerank(mentions_of(OTHER))
    found = reranker(beside).rerank(mentions_of(sample, OTHER))
    assert found[2:] == expected
    assert beside.asked[-1].messages == alone.asked[0].messages
    assert {one.messages[0] for one in beside.asked} == {alone.asked[0].messages[0]}


def test_what_is_asked_and_where_it_came_from() -> None:
    sample = replace(POST, caption="a team cheers")
    (asked,) = reranker(ScriptedChat(says("ORG"))).prepare(mentions_of(sample))
    assert asked_text(asked.request) == (
        "<post>\nText: &&Golden &&State beats Ann\nCaption: a team cheers\n</post>\n"
        "Name: Golden State\nCandidates: PER, ORG, LOC\nWhich of the candidates is it?"
    )
    assert asked.subject == ("a", ("e0",))
    assert asked.values["candidates"].value == ("PER", "ORG", "LOC")


def test_a_prompt_that_does_not_fit_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block user %}{{ candidate }}{% endblock %}")
    with pytest.raises(UserError, match="did you mean candidates"):
        ChatRerankerConfig(prompt="mine.jinja").contents(tmp_path)
