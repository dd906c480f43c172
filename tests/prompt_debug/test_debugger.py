"""What is shown of a prompt, with and without sending requests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.debugged_samples import (
    OTHER,
    PROMPT,
    SAMPLES,
    SYSTEM,
    answer,
    gold_of_samples,
    make_chosen,
    make_debugger,
    with_gate,
    write_system,
)
from helpers.factories import NoImages, make_sample
from helpers.scripted_chat import ScriptedChat

from riveg.errors import UserError
from riveg.llm.conversation import NoAnswer, Request, Response
from riveg.prompt_debug.builder import write_page
from riveg.prompt_debug.counts import downstream_lines
from riveg.prompt_debug.debugger import PromptDebugger
from riveg.prompt_debug.message_diff import message_diff
from riveg.prompt_debug.samples import ChosenSamples
from riveg.types import ImageRef


def test_without_asking_nothing_is_sent_and_all_is_shown(tmp_path: Path) -> None:
    debugger, chat = make_debugger(write_system(tmp_path))
    found = debugger.look(None)
    (side,) = found.sides
    assert not chat.asked
    assert [(row.sample_id, row.entity_ids) for row in side.rows] == [
        ("one", ("e0",)),
        ("one", ("e1",)),
        ("two", ("e0",)),
    ]
    assert side.unanswered == 3
    assert [one.text for one in side.shared] == ["Say what it looks like."]
    assert side.rows[0].messages[0].text == "Ada Lovelace in Paris\ne0: Ada Lovelace"
    values = {one.name: one for one in side.rows[0].variables}
    assert (values["text"].value, values["text"].source) == (SAMPLES[0].text, "sample.text")
    assert values["entities"].used
    assert not values["others"].used
    assert {one.name for one in side.constants} >= {"labels", "caption"}
    assert side.prompt.name == "mine.jinja"
    assert (found.stage, found.llm, found.model) == ("rewrite", "main", "scripted")


EXTRACTION = """
name: made-up
llm:
  main: {model: tiny/model, base_urls: ["http://127.0.0.1:9/v1"]}
extract: {backend: chat, prompt: extract/e2e-gmner.v1, frame: norm1000}
"""


class Opened(NoImages):
    """Every image is there."""

    def probe(self, image: ImageRef) -> ImageRef:
        return replace(image, width=640, height=480)


@pytest.mark.parametrize(
    ("text", "shown", "issue", "thoughts"),
    [
        ("Ada Lovelace|PER|None", "She wrote.\nAda Lovelace (PER)", None, None),
        (
            "Ada Lovelace|PER|None; Paris|VESSEL|None; Rome|LOC|None",
            "She wrote.\nAda Lovelace (PER)",
            "unknown-label: 'Paris' has the label 'VESSEL'",
            None,
        ),
        ("She was here.", None, "unparsable-answer: The answer names no entity", "She wrote."),
    ],
)
def test_the_reasoning_of_an_extractor_is_shown(
    tmp_path: Path, text: str, shown: str | None, issue: str | None, thoughts: str | None
) -> None:
    system = write_system(tmp_path, EXTRACTION)
    post = make_sample("Ada Lovelace in Paris", id="one")
    post = replace(post, image=ImageRef("a.jpg"), entities=None)
    chat = ScriptedChat(lambda _: Response(text, "stop", thoughts="She wrote."))
    chosen = ChosenSamples("made-up posts", (post,), (), ())
    debugger = PromptDebugger(system, chosen, {"main": chat}, Opened(), asks=True)
    found = debugger.look(None)
    (row,) = found.sides[0].rows
    assert found.stage == "extract"
    assert row.answer is not None
    assert row.answer.thoughts == "She wrote."
    assert row.parsed[0].text == shown
    told = row.parsed[0].issue
    assert (told or "").startswith(issue) if issue else told is None
    if "Rome" in text:
        assert "; unaligned-entity: " in (told or ""), "every Issue is told"
    assert row.other_thoughts == thoughts
    page = tmp_path / "page.html"
    write_page(found, page, ())
    assert "She wrote." in page.read_text()


def test_asking_sends_each_request_once_and_says_how_the_answer_came(tmp_path: Path) -> None:
    debugger, chat = make_debugger(write_system(tmp_path), asks=True)
    row = debugger.look(None).sides[0].rows[0]
    assert len(chat.asked) == 3
    assert row.answer is not None
    assert row.answer.finish_reason == "stop"
    assert not row.answer.on_file
    assert row.parsed[0].text == "a look\nIt is Ada Lovelace."
    assert (row.parsed[0].source or "").startswith("chat:")
    again, _ = make_debugger(write_system(tmp_path), chat=chat)
    kept = again.look(None).sides[0].rows[0].answer
    assert kept is not None
    assert kept.on_file
    assert len(chat.asked) == 3


def test_an_answer_that_cannot_be_read_is_shown_with_its_reason(tmp_path: Path) -> None:
    debugger, _ = make_debugger(write_system(tmp_path), says=lambda _: "no JSON", asks=True)
    row = debugger.look(None).sides[0].rows[0]
    assert row.answer is not None
    assert row.answer.fault == "unparsable-answer"
    assert row.answer.text == "no JSON"
    assert (row.parsed[0].issue or "").startswith("unparsable-answer")


def test_two_prompts_are_compared_with_changed_answers_first(tmp_path: Path) -> None:
    samples = (SAMPLES[1], SAMPLES[0])
    debugger, _ = make_debugger(write_system(tmp_path), make_chosen(samples), asks=True)
    found = debugger.look(None, str(tmp_path / "other.jinja"))
    assert [(one.sample_id, one.entity_id, one.state) for one in found.compared] == [
        ("one", "e0", "changed"),
        ("two", "e0", "same"),
        ("one", "e1", "same"),
    ]
    changed = found.compared[0]
    assert (changed.before or "").startswith("a look")
    assert (changed.after or "").startswith("a red look")
    diff = message_diff(*found.sides)
    assert diff is not None
    own = [one.text.strip() for change in diff.changes for one in change if one.side]
    assert own == ["with colours"]


def test_answers_that_one_prompt_lacks_are_told_apart(tmp_path: Path) -> None:
    config = write_system(tmp_path)
    asking, chat = make_debugger(config, asks=True)
    asking.look(None)
    debugger, _ = make_debugger(config, chat=chat)
    found = debugger.look(None, str(tmp_path / "other.jinja"))
    assert {one.state for one in found.compared} == {"unasked"}
    assert all(one.before and one.after is None for one in found.compared)
    assert not found.consequences


def test_a_fault_under_one_prompt_is_a_change(tmp_path: Path) -> None:
    def says(request: Request) -> str:
        return "no" if "colours" in request.messages[0].text else answer(request)

    debugger, _ = make_debugger(
        write_system(tmp_path), make_chosen(SAMPLES[1:2]), says=says, asks=True
    )
    (row,) = debugger.look(None, str(tmp_path / "other.jinja")).compared
    assert row.state == "changed"
    assert row.after is None
    assert "unparsable-answer" in (row.faults[1] or "")


def test_later_stages_run_on_both_and_gold_judges_them(tmp_path: Path) -> None:
    chosen = make_chosen(read_gold=gold_of_samples)
    debugger, _ = make_debugger(with_gate(write_system(tmp_path)), chosen, asks=True)
    found = debugger.look(None, str(tmp_path / "other.jinja"))
    assert found.downstream == ("entail",)
    assert found.judged
    ada, paris, nasa = found.consequences
    assert ada.text == "Ada Lovelace"
    (effect,) = ada.effects
    assert (effect.before, effect.after) == ("not shown 0.10", "shown 0.90")
    assert ada.verdicts == ("wrongly-ungrounded", "unanswered")
    assert (paris.differs, paris.outcome) == (False, nasa.outcome)
    assert next(downstream_lines(found)) == "downstream, other answers: 1 of entail"


def test_without_gold_nothing_is_judged(tmp_path: Path) -> None:
    debugger, _ = make_debugger(with_gate(write_system(tmp_path)), asks=True)
    found = debugger.look(None, str(tmp_path / "other.jinja"))
    assert not found.judged
    assert {(one.outcome, one.verdicts) for one in found.consequences} == {(None, None)}


def test_samples_without_all_answers_are_not_followed_downstream(tmp_path: Path) -> None:
    config = with_gate(write_system(tmp_path))
    chat = ScriptedChat(lambda request: NoAnswer("no-answer", "gone"))
    debugger, _ = make_debugger(config, chat=chat)
    assert not debugger.look(None, str(tmp_path / "other.jinja")).downstream


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("tag", "tag: mini asks no language model; those that do: rewrite"),
        ("rewrit", "has no such stage; did you mean rewrite"),
    ],
)
def test_stages_that_cannot_be_looked_at(tmp_path: Path, stage: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_debugger(write_system(tmp_path), stage=stage)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("{{ mentoin }}", r"bad\.jinja:10: block 'user' needs a value for 'mentoin'; .*entities"),
        ("{{ text | lowerr }}", r"bad\.jinja:10: not a prompt: No filter named 'lowerr'"),
        ("{% if text %}", r"bad\.jinja:\d+: not a prompt"),
        ("{{ text.words.first }}", r"bad\.jinja:10: block 'user' fails: .*no attribute 'words'"),
    ],
)
def test_a_mistake_in_a_prompt_tells_file_and_line(
    tmp_path: Path, wrong: str, message: str
) -> None:
    config = write_system(tmp_path)
    (tmp_path / "bad.jinja").write_text(
        PROMPT.replace("{{ text }}\n", f"{{{{ text }}}}\n{wrong}\n")
    )
    debugger, chat = make_debugger(config, asks=True)
    with pytest.raises(UserError, match=message):
        debugger.look(None, str(tmp_path / "bad.jinja"))
    assert not chat.asked, "before anything is paid for"


def test_local_stages_before_it_are_run_and_what_is_missing_is_said(tmp_path: Path) -> None:
    chosen = replace(
        make_chosen([make_sample("Serena Williams plays in Paris", id="one", entities=None)]),
        answered=(),
    )
    system = SYSTEM + "caption: {backend: chat, llm: main}\n"
    debugger, chat = make_debugger(write_system(tmp_path, system), chosen)
    found = debugger.look(None)
    assert [one.text for one in found.posts[0].entities] == ["Serena Williams", "Paris"]
    assert not chat.asked


def test_a_stage_before_it_without_answers_is_a_note(tmp_path: Path) -> None:
    system = SYSTEM.replace("tag: {backend: mini}", "tag: {backend: chat}")
    chosen = replace(make_chosen([replace(one, entities=None) for one in SAMPLES]), answered=())
    debugger, chat = make_debugger(write_system(tmp_path, system), chosen, stage="rewrite")
    found = debugger.look(None)
    assert "tag: chat has no answer on file for 3 of 3 posts (--ask)" in found.notes
    assert any(note.startswith("no entity in these posts") for note in found.notes)
    assert not chat.asked


def test_the_prompt_is_read_anew_each_time(tmp_path: Path) -> None:
    debugger, _ = make_debugger(write_system(tmp_path))
    before = debugger.look(None).sides[0].prompt.fingerprint
    (tmp_path / "mine.jinja").write_text(OTHER)
    after = debugger.look(None).sides[0]
    assert after.prompt.fingerprint != before
    assert "colours" in after.shared[0].text


def test_a_model_that_says_why_it_stopped_is_quoted(tmp_path: Path) -> None:
    chat = ScriptedChat(lambda _: Response('{"e0": {"phr', "length"), re_asks=0)
    debugger, _ = make_debugger(
        write_system(tmp_path), make_chosen(SAMPLES[1:2]), chat=chat, asks=True
    )
    cut = debugger.look(None).sides[0].rows[0].answer
    assert cut is not None
    assert cut.finish_reason == "length"
    assert cut.fault


REVIEWED = """
name: made-up
llm:
  main: {model: tiny/model, base_urls: ["http://127.0.0.1:9/v1"]}
tag: {backend: mini}
ground: {backend: evidence}
observe: {backend: evidence}
review: {backend: chat, span: 0.0, type: 0.0, region: 0.0, frame: norm1000}
"""


def reviewed_post() -> ChosenSamples:
    post = make_sample("Ada Lovelace in Paris", [(0, 2, "LOC"), (3, 4, "LOC")], id="one")
    entities = tuple(
        replace(one, score=score, label_scores={"LOC": score, "PER": 1 - score}, regions=())
        for one, score in zip(post.entities or (), (0.4, 0.9), strict=True)
    )
    post = replace(post, image=ImageRef("a.jpg", 640, 480), entities=entities)
    return ChosenSamples("made-up posts", (post,), (), ("tag", "observe", "ground"))


@pytest.mark.parametrize("stage", ["review.type", "review"])
def test_of_a_review_one_kind_is_looked_at(tmp_path: Path, stage: str) -> None:
    text = REVIEWED if stage != "review" else REVIEWED.replace("span: 0.0, ", "")
    text = text if stage != "review" else text.replace("region: 0.0, frame: norm1000", "")
    system = write_system(tmp_path, text)
    said = '{"reason": "a woman", "label": "PER"}'
    chat = ScriptedChat(lambda _: said)
    chosen, images = reviewed_post(), NoImages()
    debugger = PromptDebugger(system, chosen, {"main": chat}, images, stage=stage, asks=True)
    (side,) = debugger.look(None).sides
    assert side.prompt.name == "review/type.v1"
    assert [row.entity_ids for row in side.rows] == [("e0",), ("e1",)]
    assert len(chat.asked) == 2
    assert "0.60" in side.rows[0].messages[-1].text
    told = side.rows[0].parsed[0].text or ""
    assert "e0 Ada Lovelace: type (uncertainty 0.60) changed: LOC -> PER" in told


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("review", "say --stage review.span or --stage review.type or --stage review.region"),
        ("review.box", "has a prompt for each kind of question; say --stage review.span"),
        ("tag.type", "asks no language model"),
    ],
)
def test_a_kind_that_is_not_meant_or_not_there_is_told(
    tmp_path: Path, stage: str, reason: str
) -> None:
    system = write_system(tmp_path, REVIEWED)
    with pytest.raises(UserError, match=reason):
        PromptDebugger(system, reviewed_post(), {}, NoImages(), stage=stage)


def test_a_stage_with_one_prompt_has_no_kinds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rewrite has one prompt; say --stage rewrite"):
        PromptDebugger(
            write_system(tmp_path, SYSTEM), reviewed_post(), {}, NoImages(), stage="rewrite.span"
        )
