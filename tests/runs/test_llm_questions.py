"""Questions that a stage would ask, and a model that is only asked where somebody wants that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.debugged_samples import SAMPLES, answer, write_system
from helpers.factories import make_context
from helpers.scripted_chat import ScriptedChat

from riveg.llm.conversation import NoReply, Reply
from riveg.runs.llm_questions import FiledChat, asks_model, identity, questions_of


def questions(tmp_path: Path) -> list[object]:
    config = write_system(tmp_path)
    step = config.steps[-1]
    context = make_context(tmp_path, chats={"main": ScriptedChat(answer)}, labels=config.labels)
    prepared = questions_of(config, step, context, SAMPLES)
    assert [one.subject for one in prepared] == [
        ("one", ("e0",)),
        ("one", ("e1",)),
        ("two", ("e0",)),
    ]
    assert not questions_of(config, step, context, SAMPLES[2:]), "no names, no questions"
    assert asks_model(step)
    assert not asks_model(config.steps[0])
    return [one.question for one in prepared]


def test_a_question_is_sent_once_and_only_where_asking_is_wanted(tmp_path: Path) -> None:
    asked = questions(tmp_path)
    chat = ScriptedChat(answer)
    quiet = FiledChat(chat, asks=False)
    assert all(
        isinstance(one, NoReply) and one.kind == "not-asked"
        for one in quiet.ask(asked)  # type: ignore[arg-type]
    )
    assert not chat.asked
    loud = FiledChat(chat, asks=True)
    first = loud.ask([*asked, asked[0]])  # type: ignore[list-item]
    assert all(isinstance(one, Reply) for one in first)
    assert len(chat.asked) == 3
    assert list(loud.ask(asked)) == list(first[:3])  # type: ignore[arg-type]
    assert all(isinstance(one, Reply) for one in quiet.ask(asked))  # type: ignore[arg-type]


def test_a_failed_question_is_not_sent_again(tmp_path: Path) -> None:
    asked = questions(tmp_path)
    chat = ScriptedChat(lambda _: NoReply("no-answer", "gone"))
    loud = FiledChat(chat, asks=True)
    loud.ask(asked)  # type: ignore[arg-type]
    assert [one.kind for one in loud.ask(asked)] == ["no-answer"] * 3  # type: ignore[arg-type, union-attr]
    assert len(chat.asked) == 3


def test_the_parser_does_not_tell_questions_apart(tmp_path: Path) -> None:
    first, second, _ = questions(tmp_path)
    assert identity(first) == identity(replace(first, parse=str))  # type: ignore[arg-type, type-var]
    assert identity(first) != identity(second)  # type: ignore[arg-type]
