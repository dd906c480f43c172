"""Knowledge from a language model: the forms of its answer, and how they are read.

A prompt's block ``answer`` names the form: ``text``, the words as they are; ``explanation``, a JSON
object with that key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from riveg.llm.answer_text import text_of
from riveg.llm.conversation import Response
from riveg.llm.json_answers import parse_json

MOST_OF_KNOWLEDGE = 2_000
"""Characters of knowledge: taggers read about 300 word pieces after the text."""


@dataclass(frozen=True, slots=True)
class KnowledgeForm:
    """JSON schema of an answer, ``None`` where it is no JSON, and its parser."""

    schema: Mapping[str, Any] | None
    read: Callable[[Response], str]


EXPLANATION_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "explanation": {"type": "string", "minLength": 1, "maxLength": MOST_OF_KNOWLEDGE}
    },
    "required": ["explanation"],
    "additionalProperties": False,
}
"""JSON schema of the form ``explanation``."""


def read_text(response: Response) -> str:
    """The words of a response on one line.

    Raises:
        Unparsable: If there are none, or too many.
    """
    return text_of(response.text, "The answer", MOST_OF_KNOWLEDGE)


def read_explanation(response: Response) -> str:
    """The explanation on one line.

    Raises:
        Unparsable: If the response is no such object.
    """
    value = parse_json(response, EXPLANATION_SCHEMA)
    return text_of(value["explanation"], '"explanation"', MOST_OF_KNOWLEDGE)


FORMS: Mapping[str, KnowledgeForm] = {
    "text": KnowledgeForm(None, read_text),
    "explanation": KnowledgeForm(EXPLANATION_SCHEMA, read_explanation),
}
"""The forms by the name that a prompt gives in its block ``answer``."""
