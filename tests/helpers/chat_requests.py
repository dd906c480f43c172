"""Requests like those of the stages, with a schema and with first tokens."""

from __future__ import annotations

import json
from typing import Any

from riveg.llm.conversation import Message, Request, Response, Unparsable

SYSTEM = (
    "Name what a picture would show of an entity, in a short noun phrase. "
    'Example: {"expression": "the woman with a microphone", "visible": true}'
)

SCHEMA = {
    "type": "object",
    "properties": {
        "expression": {"type": "string", "maxLength": 20},
        "visible": {"type": "boolean"},
    },
    "required": ["expression", "visible"],
    "additionalProperties": False,
}


def read(response: Response) -> dict[str, Any]:
    """The object in a response.

    Raises:
        Unparsable: If it breaks the schema.
    """
    try:
        value = json.loads(response.text)
        return {"expression": str(value["expression"]), "visible": bool(value["visible"])}
    except (ValueError, KeyError, TypeError) as error:
        raise Unparsable(f"Expected a JSON object with expression and visible: {error}") from error


def named(text: str, *, max_tokens: int = 192) -> Request:
    """Asks for an object by a schema."""
    messages = (Message("system", SYSTEM), Message("user", f"Entity: {text}"))
    return Request(messages, read, schema=SCHEMA, max_tokens=max_tokens)


def completed(text: str, *, max_tokens: int = 24) -> Request:
    """A text that the model is to continue to its line's end."""
    solved = "Question: what is Rex?\nAnswer: a dog\n\n"
    message = Message("completion", f"{solved}Question: what is {text}?\nAnswer:")
    return Request((message,), lambda response: response.text, max_tokens=max_tokens, stop=("\n",))


def visible(text: str) -> Request:
    """Asks for yes or no by the first token."""
    messages = (Message("user", f"Does the picture show {text}? Answer yes or no."),)
    return Request(messages, lambda response: response.first_token, max_tokens=8, first_tokens=20)
