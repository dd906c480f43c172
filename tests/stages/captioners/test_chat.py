from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.chat_cases import HOSTILE, asked_text, hostile_sample, image_sample
from helpers.contracts import check_backend
from helpers.factories import make_context
from helpers.scripted_chat import ScriptedChat

from riveg.errors import UserError
from riveg.llm.conversation import AttachedImage, NoAnswer, Request
from riveg.stages.captioners.chat import ChatCaptioner, ChatCaptionerConfig
from riveg.stages.table import CAPTION
from riveg.types import Issue

POST = image_sample("Ann met Rex", id="a")
OTHER = image_sample("Bob met Ann", id="b")


def scripted(request: Request) -> str:
    return f"A dog beside {request.messages[-1].images[0].image.path}."


def captioner(chat: ScriptedChat, base: Path | None = None, **fields: Any) -> ChatCaptioner:
    return ChatCaptionerConfig(**fields).build(make_context(base, chats={"main": chat}))


@pytest.mark.parametrize(
    ("answer", "requests"),
    [(scripted, 2), (lambda _: " ", 6), (lambda _: NoAnswer("no-answer", "busy"), 2)],
)
def test_contract(answer: Callable[[Request], str], requests: int) -> None:
    chat = ScriptedChat(answer)
    check_backend(CAPTION, captioner(chat), [POST, OTHER])
    assert len(chat.asked) == requests


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        ("A dog runs.", "A dog runs."),
        (' "A dog\n runs." ', "A dog runs."),
        ('A sign says "stop"', 'A sign says "stop"'),
        ("{{ 7*7 }}", "{{ 7*7 }}"),
        ('""', None),
        ("very " * 120, None),
    ],
)
def test_a_caption_is_one_line(answer: str, caption: str | None) -> None:
    (found,) = captioner(ScriptedChat(lambda _: answer)).caption([POST])
    if caption is None:
        assert isinstance(found, Issue)
        assert (found.stage, found.entity_id, found.kind) == ("caption", None, "unparsable-answer")
    else:
        assert found == caption


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_model_never_reads_the_sample(text: str) -> None:
    chat = ScriptedChat(scripted)
    assert captioner(chat).caption([hostile_sample(text), POST])[1] == "A dog beside a.jpg."
    first, second = ([one.text for one in asked.messages] for asked in chat.asked)
    assert first == second


def test_what_is_asked_and_where_it_came_from() -> None:
    (asked,) = captioner(ScriptedChat(scripted)).prepare([POST])
    assert asked_text(asked.request) == ("Describe the picture in one sentence.")
    assert asked.subject == ("a", ())
    assert POST.image is not None
    assert asked.request.messages[-1].images == (AttachedImage(POST.image),)


def test_a_prompt_that_does_not_fit_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block user %}{{ text }}{% endblock %}")
    with pytest.raises(UserError, match="needs a value for 'text'"):
        ChatCaptionerConfig(prompt="mine.jinja").contents(tmp_path)
