from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.llm.conversation import AttachedImage, Message
from riveg.llm.messages import conversation, prompt_parts, require_conversation
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
