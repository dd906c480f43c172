from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel, ValidationError

from riveg.types import Entity, Span
from riveg.vision.queries import CutText, QueryTemplate, cut_to_fit, query_text

ENTITY = Entity("e0", "Ada  Lovelace", "PER", Span(0, 2))
REWRITTEN = replace(ENTITY, expression="the woman", description="a woman in a blue dress")


@pytest.mark.parametrize(
    ("template", "entity", "expected"),
    [
        ("{expression}", REWRITTEN, "the woman"),
        ("{expression}", ENTITY, "Ada Lovelace"),
        ("{description}", REWRITTEN, "a woman in a blue dress"),
        ("{description}", replace(REWRITTEN, description=None), "the woman"),
        ("{description}", ENTITY, "Ada Lovelace"),
        ("{expression}", replace(ENTITY, expression=""), "Ada Lovelace"),
        ("{mention} is belong {label}", REWRITTEN, "Ada Lovelace is belong PER"),
        ("{mention}, {fine_label}", replace(ENTITY, fine_label="author"), "Ada Lovelace, author"),
        ("{mention}, {fine_label}", ENTITY, "Ada Lovelace, PER"),
        ("{mention}", replace(ENTITY, text="{label} {0}"), "{label} {0}"),
    ],
)
def test_templates(template: str, entity: Entity, expected: str) -> None:
    assert query_text(template, entity) == expected


class Holder(BaseModel):
    query: QueryTemplate


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{expresion}", "did you mean expression"),
        ("{mention.__class__}", "no field"),
        ("{}", "no field"),
        ("a picture", "it has to hold"),
        ("{mention", "expected '}'"),
        ("{mention:d}", "write {mention}"),
        ("{mention!r}", "write {mention}"),
        ("{mention:>999999999}", "write {mention}"),
    ],
)
def test_templates_are_checked_before_anything_is_loaded(template: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Holder(query=template)


def test_a_field_alone_needs_no_quotes_in_yaml() -> None:
    read = {"mention": None}  # what YAML makes of {mention}
    assert Holder.model_validate({"query": read}).query == "{mention}"


@pytest.mark.parametrize("value", [{}, {"mention": "x"}, {"mention": None, "label": None}, None])
def test_nothing_else_is_taken_for_a_template(value: object) -> None:
    with pytest.raises(ValidationError, match="valid string"):
        Holder.model_validate({"query": value})


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("one two", 7, CutText("one two", False)),
        ("one two", 6, CutText("one", True)),
        ("one two three", 12, CutText("one two", True)),
        ("stretched", 4, CutText("stre", True)),
    ],
)
def test_cut_at_a_word(text: str, most: int, expected: CutText) -> None:
    assert cut_to_fit(text, most, len) == expected
