"""The label that a language model chooses from candidates: schema of its answer, and reading it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from riveg.llm.answer_marks import without_markup
from riveg.llm.conversation import Refused, Response, Unparsable
from riveg.llm.json_answers import parse_json
from riveg.llm.refusals import refuses

_ASK = "Answer with exactly one of the candidates: {}."
_ACCEPTED = {
    "type": "object",
    "properties": {"label": {"type": "string"}},
    "required": ["label"],
}
"""What is read from any response; the server is asked for one of the candidates."""


def answer_schema(candidates: Sequence[str]) -> dict[str, Any]:
    """JSON schema that the server is given: one of the candidates."""
    return {
        **_ACCEPTED,
        "properties": {"label": {"type": "string", "enum": list(candidates)}},
        "additionalProperties": False,
    }


def read_label(response: Response, *, candidates: Sequence[str]) -> str:
    """The one candidate that a response names, as JSON or in words.

    Raises:
        Refused: If it is a refusal: words of it may be candidates ("the person").
        Unparsable: If it names none, or several.
    """
    try:
        text = without_markup(str(parse_json(response, _ACCEPTED)["label"]))
    except Unparsable:
        text = without_markup(response.text)
    if text not in candidates and refuses(text):
        raise Refused(_ASK.format(", ".join(candidates)))
    named = _candidates_in(text, candidates)
    if len(named) != 1:
        raise Unparsable(_ASK.format(", ".join(candidates)))
    return named.pop()


def _candidates_in(text: str, candidates: Sequence[str]) -> set[str]:
    if text in candidates:
        return {text}
    named: set[str] = set()
    # Longer names first, and removed when found: one name may be a part of another.
    for candidate in sorted(candidates, key=len, reverse=True):
        text, count = re.subn(
            rf"(?<!\w){re.escape(candidate)}(?!\w)", "\n", text, flags=re.IGNORECASE
        )
        if count:
            named.add(candidate)
    return named
