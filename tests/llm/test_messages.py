from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.llm.conversation import AttachedImage, Message, PromptForm
from riveg.llm.messages import (
    conversation,
    prompt_parts,
    require_conversation,
    require_exemplars,
)
from riveg.llm.prompt_parts import PromptParts
from riveg.llm.prompts import Prompt, load_prompt
from riveg.types import ImageRef

WHOLE = """
{% block examples %}
{{ labels | length }} types
{% endblock %}
{% block user %}
Text: {{ text }} ({{ labels[0] }})
{% endblock %}
{% block system %}
You answer briefly.
{% endblock %}
"""


def prompt_of(folder: Path, source: str) -> Prompt:
    path = folder / "mine.jinja"
    path.write_text(source, encoding="utf-8")
    return load_prompt(str(path))


def test_system_and_examples_are_one_message_before_the_users(tmp_path: Path) -> None:
    image = AttachedImage(ImageRef("1.jpg"))
    parts = prompt_parts(
        prompt_of(tmp_path, WHOLE), constants={"labels": ["PER", "LOC"]}, values={"text": "hi"}
    )
    found = conversation(parts, [image])
    assert found == (
        Message("system", "You answer briefly.\n\n2 types"),
        Message("user", "Text: hi (PER)", (image,)),
    )


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{% block user %}{{ text }}{% endblock %}", id="no constant block"),
        pytest.param(
            "{% block system %}{% endblock %}{% block user %}{{ text }}{% endblock %}",
            id="an empty one",
        ),
    ],
)
def test_without_a_constant_part_there_is_the_users_message_alone(
    tmp_path: Path, source: str
) -> None:
    parts = prompt_parts(prompt_of(tmp_path, source), constants={}, values={"text": "hi"})
    assert conversation(parts) == (Message("user", "hi"),)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(
            "{% block user %}{% endblock %}{% block system %}{{ text }}{% endblock %}",
            "block 'system' uses 'text', which is not the same for all",
            id="a row's value in the constant part",
        ),
        pytest.param(
            "{% block user %}{% endblock %}{% block examples %}{{ text }}{% endblock %}",
            "block 'examples' uses 'text'",
            id="or in the examples",
        ),
        pytest.param("{% block system %}{% endblock %}", "no block 'user'", id="nothing is asked"),
        pytest.param(
            "{% block user %}{{ txt }}{% endblock %}",
            "'user' needs a value for 'txt'; did you mean text",
            id="misspelt",
        ),
        pytest.param(
            "{% block user %}{% endblock %}{% block system %}{{ label }}{% endblock %}",
            "'system' needs a value for 'label'; did you mean labels",
            id="misspelt constant",
        ),
    ],
)
def test_a_prompt_that_cannot_be_a_conversation_is_refused(
    tmp_path: Path, source: str, message: str
) -> None:
    prompt = prompt_of(tmp_path, source)
    with pytest.raises(UserError) as caught:
        require_conversation(prompt, constants=["labels"], values=["text"])
    assert message in str(caught.value)
    assert str(prompt.path) in str(caught.value)
    with pytest.raises(UserError):
        prompt_parts(prompt, constants={"labels": ()}, values={"text": "x"})


@given(st.lists(st.text(max_size=60), min_size=2, max_size=4))
def test_the_constant_part_is_the_same_whatever_the_rows_hold(texts: list[str]) -> None:
    prompt = load_prompt("augment/gem.v1")
    found = [
        conversation(
            prompt_parts(prompt, constants={"labels": ()}, values={"text": text, "caption": text})
        )
        for text in texts
    ]
    assert len({messages[0] for messages in found}) == 1
    assert all(text in messages[1].text for text, messages in zip(texts, found, strict=True))


SOLVED = PromptParts(
    "Answer briefly.",
    "Two examples:\n\nQuestion: what is Rex?\nAnswer: a dog\n\n"
    "Question: what is Tom?\nAnswer: a cat",
    "Question: what is Ann?\nAnswer:",
)


def test_exemplars_as_turns() -> None:
    image = AttachedImage(ImageRef("1.jpg"))
    assert conversation(SOLVED, [image], "turns") == (
        Message("system", "Answer briefly."),
        Message("user", "Question: what is Rex?"),
        Message("assistant", "a dog"),
        Message("user", "Question: what is Tom?"),
        Message("assistant", "a cat"),
        Message("user", "Question: what is Ann?", (image,)),
    )


def test_a_text_to_complete_ends_where_the_answer_begins() -> None:
    assert conversation(SOLVED, form="completion") == (
        Message(
            "completion",
            "Question: what is Rex?\nAnswer: a dog\n\n"
            "Question: what is Tom?\nAnswer: a cat\n\n"
            "Question: what is Ann?\nAnswer:",
        ),
    )


def test_a_text_to_complete_holds_no_images() -> None:
    with pytest.raises(ValueError, match="no images"):
        conversation(SOLVED, [AttachedImage(ImageRef("1.jpg"))], "completion")


@pytest.mark.parametrize("form", ["turns", "completion"])
def test_a_prompt_without_solved_questions_takes_one_form_alone(
    tmp_path: Path, form: PromptForm
) -> None:
    prompt = prompt_of(tmp_path, WHOLE)
    require_exemplars(prompt, {"labels": []}, "chat")
    with pytest.raises(UserError, match=f"the form '{form}' needs solved questions") as caught:
        require_exemplars(prompt, {"labels": []}, form)
    assert str(prompt.path) in str(caught.value)
