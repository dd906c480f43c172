"""Questions are those of ``ground: chat`` without a frame; only clear answers count."""

import pytest
from helpers.scripted_chat import ScriptedChat

from riveg.config.backend import BuildContext
from riveg.probe.drawings import Drawings
from riveg.probe.questions import BoxQuestions, mention_of, names_colour, names_word
from riveg.stages.grounders.chat import ChatGrounderConfig

DRAWINGS = Drawings()


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("red", True),
        ("The square is **Red**.", True),
        ("red or blue", False),
        ("blue", False),
        ("reddish", False),
        ("", False),
    ],
)
def test_a_colour_is_named_alone(text: str, is_named: bool) -> None:
    assert names_colour(text, "red") is is_named


def test_a_word_may_be_in_any_case() -> None:
    assert names_word('The word is "Tiger".', "TIGER")
    assert not names_word("a lion", "TIGER")


def test_a_box_is_asked_for_as_the_stage_asks_but_for_the_frame() -> None:
    chat = ScriptedChat(lambda _: "{}")
    grounder = ChatGrounderConfig(frame="norm1000").build(
        BuildContext(DRAWINGS, chats={"main": chat})
    )
    mentions = [mention_of(*thing) for thing in DRAWINGS.things]
    for mention, staged in zip(mentions, grounder.prepare(mentions), strict=True):
        asked = BoxQuestions(chat).prepared(mention).request
        assert asked.images == staged.request.images
        assert [one.role for one in asked.messages] == ["system", "user"]
        lines = [one.text.splitlines() for one in asked.messages]
        staged_lines = [one.text.splitlines() for one in staged.request.messages]
        assert lines[0] == staged_lines[0]
        (differs,) = {*lines[1]} - {*staged_lines[1]}
        assert differs.startswith("Coordinates: those in which you were trained")
        assert f"What to look for: {mention.entity.expression}" in lines[1]
