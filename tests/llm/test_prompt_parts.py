import pytest

from riveg.llm.messages import prompt_parts
from riveg.llm.prompt_parts import Exemplar, PromptParts
from riveg.llm.prompts import load_prompt


@pytest.mark.parametrize(
    ("examples", "exemplars", "why"),
    [
        ("", (), "no examples"),
        (
            "Here are two:\n\nQ\nAnswer: a\n\nR\nAnswer: b",
            (("Q", "a"), ("R", "b")),
            "a line before",
        ),
        ("Q\nAnswer: a\n \nR\nAnswer:  b \n\n", (("Q", "a"), ("R", "b")), "blanks"),
        ("Q\nAnswer: a\nand more", (("Q", "a\nand more"),), "an answer of two lines"),
        (
            "Text: my Answer: no\nAnswer: a",
            (("Text: my Answer: no", "a"),),
            "not at a line's start",
        ),
        ("Text: a dog\nLook: a brown dog", (), "no line of an answer"),
    ],
)
def test_exemplars_are_what_ends_in_an_answer(
    examples: str, exemplars: tuple[tuple[str, str], ...], why: str
) -> None:
    found = PromptParts("", examples, "").exemplars
    assert found == tuple(Exemplar(*one) for one in exemplars), why


@pytest.mark.parametrize(
    ("name", "constants", "answers"),
    [
        (
            "rewrite/riveg.v1",
            {"labels": (), "batch": "entity"},
            ["a football stadium in Liverpool, England", "an English pop and soul singer"],
        ),
        ("rewrite/riveg.v1", {"labels": (), "batch": "sample"}, ['{"e0": "a football']),
        ("rewrite/visual.v1", {"labels": ()}, ['{"e0": {"visible": true, "phrase": "woman']),
    ],
)
def test_the_shipped_prompts_have_exemplars(
    name: str, constants: dict[str, object], answers: list[str]
) -> None:
    entity = {"id": "e0", "text": "Rex", "label": "OTHER"}
    values = {"text": "hi", "caption": "", "knowledge": "", "entities": (entity,), "others": ()}
    parts = prompt_parts(load_prompt(name), constants=constants, values=values)
    assert len(parts.exemplars) == 3
    for exemplar, answer in zip(parts.exemplars, answers, strict=False):
        assert exemplar.answer.startswith(answer)
        assert exemplar.question.startswith(("Background: ", "<post>"))
