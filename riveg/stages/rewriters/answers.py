"""How entities look, by a language model: the forms of its answer, and how they are read.

A prompt's block ``answer`` names the form: ``phrase``, one noun phrase for each entity; ``visual``,
whether an image could show the entity, a phrase and a description.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from riveg.llm.answer_marks import with_single_escapes, without_markup
from riveg.llm.answer_text import one_line, phrase_of
from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.json_schema import fault_in
from riveg.llm.refusals import is_no_answer, require_answer

MOST_OF_PHRASE = 120
"""Characters of a phrase: detectors read about 30 words."""

MOST_OF_DESCRIPTION = 400
"""Characters of a description."""


ONE_LINE = "Answer with one noun phrase on one line, without any explanation."
"""What is wrong with an answer of several lines."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """How an entity looks; ``phrase`` is ``None`` where no image could show it."""

    phrase: str | None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What an answer holds about one entity.

    Args:
        schema: JSON schema of the value.
        read: Makes an appearance of a value that keeps to the schema, or raises
            :class:`~riveg.llm.conversation.Unparsable`.
        write: Makes the value that is read as an appearance.
        is_bare: Whether the answer about a single entity is the words themselves and not JSON.
    """

    schema: Mapping[str, Any]
    read: Callable[[Any], Appearance]
    write: Callable[[Appearance], Any]
    is_bare: bool


def _read_phrase(value: str) -> Appearance:
    return Appearance(phrase_of(value, "the phrase", MOST_OF_PHRASE))


def _read_visual(value: Mapping[str, Any]) -> Appearance:
    if not value["visible"]:
        return Appearance(None)
    phrase = phrase_of(value["phrase"], '"phrase"', MOST_OF_PHRASE)
    return Appearance(phrase, _description(value["description"]))


def _write_phrase(look: Appearance) -> str:
    if look.phrase is None:
        raise ValueError("a form of phrases cannot say that no picture could show it")
    return look.phrase


def _write_visual(look: Appearance) -> Mapping[str, Any]:
    return {
        "visible": look.phrase is not None,
        "phrase": look.phrase or "",
        "description": look.description or "",
    }


def _description(text: str) -> str | None:
    """A description on one line; ``None`` where it says nothing: an entity can do without one."""
    line = one_line(without_markup(with_single_escapes(text)))
    return None if not line or is_no_answer(line) else line


FORMS: Mapping[str, AnswerForm] = {
    "phrase": AnswerForm(
        {"type": "string", "minLength": 1, "maxLength": MOST_OF_PHRASE},
        _read_phrase,
        _write_phrase,
        is_bare=True,
    ),
    "visual": AnswerForm(
        {
            "type": "object",
            "properties": {
                "visible": {"type": "boolean"},
                "phrase": {"type": "string", "maxLength": MOST_OF_PHRASE},
                "description": {"type": "string", "maxLength": MOST_OF_DESCRIPTION},
            },
            "required": ["visible", "phrase", "description"],
            "additionalProperties": False,
        },
        _read_visual,
        _write_visual,
        is_bare=False,
    ),
}
"""The forms by the name that a prompt gives in its block ``answer``."""


def answer_schema(ids: Sequence[str], form: AnswerForm) -> dict[str, Any]:
    """JSON schema of an answer about several entities: an object with exactly their ids as keys."""
    return {
        "type": "object",
        "properties": dict.fromkeys(ids, form.schema),
        "required": list(ids),
        "additionalProperties": False,
    }


def read_appearances(
    response: Response, ids: Sequence[str], form: AnswerForm
) -> dict[str, Appearance]:
    """How each entity looks, by id.

    Raises:
        Unparsable: If the response lacks an id, has an unknown one, or its value for an entity
            cannot be used.
    """
    value = parse_json(response, answer_schema(ids, form))
    return {name: _read_value(name, value[name], form) for name in ids}


def write_appearances(looks: Mapping[str, Appearance], form: AnswerForm, *, is_bare: bool) -> str:
    """The answer that says how entities look, by their ids.

    Args:
        looks: Of one entity, where the answer is bare.
        form: The form.
        is_bare: Whether the answer is the words themselves.

    Raises:
        ValueError: If the form cannot say it.
    """
    values = {name: form.write(look) for name, look in looks.items()}
    if is_bare:
        (words,) = values.values()
        return str(words)
    return json.dumps(values, ensure_ascii=False)


def read_bare_phrase(response: Response) -> Appearance:
    """How one entity looks, from a response that is no JSON.

    Raises:
        Refused: If it is a refusal.
        Unparsable: If it has no words, several lines, or is too long for a phrase.
    """
    words = without_markup(response.text)
    if len([line for line in words.splitlines() if line.strip()]) > 1:
        require_answer(words, "the phrase")
        raise Unparsable(ONE_LINE)
    return _read_phrase(words)


def usable_appearances(
    response: Response, ids: Sequence[str], form: AnswerForm
) -> dict[str, Appearance]:
    """How those entities look whose values can be used, by id; a refused response may hold some."""
    try:
        value = parse_json(response, {"type": "object"})
    except Unparsable:
        return {}
    found: dict[str, Appearance] = {}
    for name in ids:
        if name in value and fault_in(value[name], form.schema) is None:
            try:
                found[name] = form.read(value[name])
            except Unparsable:
                continue
    return found


def _read_value(name: str, value: Any, form: AnswerForm) -> Appearance:
    try:
        return form.read(value)
    except Unparsable as fault:
        raise type(fault)(f"In {name!r}: {fault}.") from fault
