"""Requests that a stage would send, and a model that answers from the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.debugged_samples import SAMPLES, answer, write_system
from helpers.factories import make_context
from helpers.scripted_chat import ScriptedChat

from riveg.llm.conversation import ChatAnswer, NoAnswer, Request
from riveg.runs.llm_requests import asks_model, cached_chats, identity, request_maker


def requests(tmp_path: Path) -> list[Request]:
    config = write_system(tmp_path)
    step = config.steps[-1]
    context = make_context(tmp_path, chats={"main": ScriptedChat(answer)}, labels=config.labels)
    prepared = request_maker(config, step, context)(SAMPLES)
    assert [one.subject for one in prepared] == [
        ("one", ("e0",)),
        ("one", ("e1",)),
        ("two", ("e0",)),
    ]
    assert not request_maker(config, step, context)(SAMPLES[2:]), "no names, no questions"
    assert asks_model(step)
    assert not asks_model(config.steps[0])
    return [one.request for one in prepared]


def test_a_request_is_sent_once_and_only_where_asking_is_wanted(tmp_path: Path) -> None:
    asked = requests(tmp_path)
    chat = ScriptedChat(answer)
    quiet = cached_chats({"main": chat}, asks=False)["main"]
    assert all(isinstance(one, NoAnswer) and one.kind == "not-asked" for one in quiet.ask(asked))
    assert not chat.asked
    loud = cached_chats({"main": chat}, asks=True)["main"]
    first = loud.ask([*asked, asked[0]])
    assert all(isinstance(one, ChatAnswer) for one in first)
    assert len(chat.asked) == 3
    assert list(loud.ask(asked)) == list(first[:3])
    assert all(isinstance(one, ChatAnswer) for one in quiet.ask(asked))


def test_a_failed_request_is_not_sent_again(tmp_path: Path) -> None:
    asked = requests(tmp_path)
    chat = ScriptedChat(lambda _: NoAnswer("no-answer", "gone"))
    loud = cached_chats({"main": chat}, asks=True)["main"]
    loud.ask(asked)
    again = [one.kind for one in loud.ask(asked) if isinstance(one, NoAnswer)]
    assert again == ["no-answer"] * 3
    assert len(chat.asked) == 3


def test_the_parser_does_not_tell_requests_apart(tmp_path: Path) -> None:
    first, second, _ = requests(tmp_path)
    assert identity(first) == identity(replace(first, parse=str))
    assert identity(first) != identity(second)
