"""What a ``chat/completions`` or ``completions`` server sends, read without trust."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from riveg.llm.conversation import Response
from riveg.llm.json_answers import first_spoken_token, whole_characters, without_thoughts

_GAVE_UP = frozenset({"abort", "error"})
"""Finish reasons that tell of a failure of the server, not of the model."""


class NotACompletion(ValueError):
    """Raised for a body that is no completion; says what is wrong."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A response, and tokens as the server counted them (``None``: it did not)."""

    response: Response
    prompt_tokens: int | None
    answer_tokens: int | None


def read_completion(content: str) -> Completion:
    """The first choice of a body.

    Raises:
        NotACompletion: If it is none.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotACompletion("the response is no JSON") from error
    choice = _first(_get(body, "choices"))
    message = _get(choice, "message")
    if message is None and isinstance(text := _get(choice, "text"), str):
        message = {"content": text}
    if not isinstance(message, dict):
        raise NotACompletion("the response holds no message")
    finish_reason = str(_get(choice, "finish_reason") or "stop")
    if finish_reason in _GAVE_UP:
        raise NotACompletion(f"the server gave up ({finish_reason})")
    refusal = _refusal(message)
    text = without_thoughts(whole_characters(_words(message) or refusal))
    first_token = _first_token(_get(choice, "logprobs"))
    refuses = bool(refusal.strip()) or finish_reason == "refusal"
    response = Response(text, finish_reason, first_token, refuses)
    usage = _get(body, "usage")
    return Completion(
        response, _whole_number(usage, "prompt_tokens"), _whole_number(usage, "completion_tokens")
    )


def _words(message: dict[str, Any]) -> str:
    """The content, as text or as parts; a field of its own for reasoning is ignored."""
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    words = content or ""
    if not isinstance(words, str):
        raise NotACompletion("the content of the message is no text")
    return words


def _refusal(message: dict[str, Any]) -> str:
    """The words of a refusal, from its field or a part of the content; empty: there is none."""
    parts = [message, *_list(message.get("content"))]
    found = (_get(part, "refusal") for part in parts)
    return next((words for words in found if isinstance(words, str) and words.strip()), "")


def _first_token(logprobs: Any) -> tuple[tuple[str, float], ...]:
    """Alternatives for the first token after the thoughts, likeliest first."""
    places = [place for place in _list(_get(logprobs, "content")) if isinstance(place, dict)]
    at = first_spoken_token(str(place.get("token", "")) for place in places)
    if at is None:
        return ()
    place = places[at]
    options = _list(place.get("top_logprobs")) or [place]
    found = [
        (whole_characters(option["token"]), float(option["logprob"]))
        for option in options
        if _is_option(option)
    ]
    return tuple(sorted(found, key=lambda option: (-option[1], option[0])))


def _is_option(option: Any) -> bool:
    token, number = _get(option, "token"), _get(option, "logprob")
    return isinstance(token, str) and isinstance(number, int | float) and not math.isnan(number)


def _whole_number(usage: Any, name: str) -> int | None:
    value = _get(usage, name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(value: Any) -> Any:
    return next(iter(_list(value)), None)
