"""What a language model says names look like: the forms of its answer, and how they are read.

A prompt's block ``answer`` names the form: ``phrase``, one noun phrase a name; ``visual``, whether
an image could show the name, a phrase and a description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from riveg.llm.answer_text import one_line, phrase_of
from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.json_schema import fault_in

MOST_OF_PHRASE = 120
"""Characters of a phrase: detectors read some 30 words at most."""

MOST_OF_DESCRIPTION = 400
"""Characters of a description."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a name looks; without a phrase it is to be seen in no image."""

    phrase: str | None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What is said of one name.

    Args:
        schema: JSON schema of the value.
        read: Makes a look of a value that keeps to the schema, or raises
            :class:`~riveg.llm.conversation.Unparsable`.
        bare: Whether the answer about a single name is no JSON but the words themselves.
    """

    schema: Mapping[str, Any]
    read: Callable[[Any], Look]
    bare: bool


def _read_phrase(value: str) -> Look:
    return Look(phrase_of(value, "the phrase", MOST_OF_PHRASE))


def _read_visual(value: Mapping[str, Any]) -> Look:
    if not value["visible"]:
        return Look(None)
    phrase = phrase_of(value["phrase"], '"phrase"', MOST_OF_PHRASE)
    return Look(phrase, one_line(value["description"]) or None)


FORMS: Mapping[str, AnswerForm] = {
    "phrase": AnswerForm(
        {"type": "string", "minLength": 1, "maxLength": MOST_OF_PHRASE}, _read_phrase, bare=True
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
        bare=False,
    ),
}
"""The forms by the name that a prompt gives in its block ``answer``."""


def answer_schema(ids: Sequence[str], form: AnswerForm) -> dict[str, Any]:
    """JSON schema of an answer about several names: an object with exactly their ids as keys."""
    return {
        "type": "object",
        "properties": dict.fromkeys(ids, form.schema),
        "required": list(ids),
        "additionalProperties": False,
    }


def read_looks(response: Response, ids: Sequence[str], form: AnswerForm) -> dict[str, Look]:
    """How each name looks, by id.

    Raises:
        Unparsable: If the answer lacks an id, has one that was not asked for, or says of a name
            what cannot be used.
    """
    value = parse_json(response, answer_schema(ids, form))
    return {name: _read_of(name, value[name], form) for name in ids}


def read_bare_phrase(response: Response) -> Look:
    """How one name looks, from an answer of words alone.

    Raises:
        Unparsable: If it has no words, several lines, or is too long for a phrase.
    """
    lines = [line for line in response.text.splitlines() if line.strip()]
    if len(lines) > 1:
        raise Unparsable("Answer with one noun phrase on one line, without any explanation.")
    words = (lines or [""])[0].strip()
    return _read_phrase(words.removeprefix("Answer:"))


def usable_looks(response: Response, ids: Sequence[str], form: AnswerForm) -> dict[str, Look]:
    """What can be kept of an answer that was given up: the names it does say something of."""
    try:
        value = parse_json(response, {"type": "object"})
    except Unparsable:
        return {}
    found: dict[str, Look] = {}
    for name in ids:
        if name in value and fault_in(value[name], form.schema) is None:
            try:
                found[name] = form.read(value[name])
            except Unparsable:
                continue
    return found


def _read_of(name: str, value: Any, form: AnswerForm) -> Look:
    try:
        return form.read(value)
    except Unparsable as fault:
        raise Unparsable(f"In {name!r}: {fault}.") from fault
