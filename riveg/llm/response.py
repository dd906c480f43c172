"""What a ``chat/completions`` or ``completions`` server sends, read without trust."""

from __future__ import annotations

import json
import math
from codecs import getincrementaldecoder
from dataclasses import dataclass, replace
from typing import Any

from riveg.llm.conversation import Response
from riveg.llm.json_answers import (
    first_spoken_token,
    thoughts_in,
    whole_characters,
    without_thoughts,
)

_GAVE_UP = frozenset({"abort", "error"})
"""Finish reasons that tell of a failure of the server, not of the model."""

_MOST_TOKENS = 2**40
"""A server that counts more tokens does not count."""

_LONGEST_NUMBER = 300
"""Digits of a number; longer ones are without end as a float."""

_THOUGHT_FIELDS = ("reasoning_content", "reasoning")

_MOST_OPTIONS = 100
"""For one token; servers give 20 at most."""

_CHARACTERS_A_TOKEN = 128
"""Of the longest tokens of any model: runs of blanks."""


class NotACompletion(ValueError):
    """Raised for a body that is no completion; says what is wrong."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A response, and tokens as the server counted them (``None``: it did not)."""

    response: Response
    prompt_tokens: int | None
    answer_tokens: int | None


def read_completion(content: str | bytes) -> Completion:
    """The first choice of a body, which is JSON in UTF-8, whatever its header says.

    Raises:
        NotACompletion: If it is none.
    """
    try:
        body = json.loads(_decoded(content), parse_int=_number)
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
    words = whole_characters(_words(message) or refusal)
    logprobs = _get(choice, "logprobs")
    response = Response(
        without_thoughts(words),
        finish_reason,
        _first_token(logprobs),
        is_refusal=bool(refusal.strip()) or finish_reason == "refusal",
        thoughts=_thoughts(message, words),
        tokens=_tokens(logprobs),
    )
    usage = _get(body, "usage")
    return Completion(
        response, _whole_number(usage, "prompt_tokens"), _whole_number(usage, "completion_tokens")
    )


def within(completion: Completion, most_tokens: int) -> Completion:
    """A completion cut off where it is longer than so many tokens can be.

    Args:
        completion: From a server, which may go on although it was told to stop.
        most_tokens: That it was told.
    """
    response = completion.response
    most = most_tokens * _CHARACTERS_A_TOKEN
    if max(len(response.text), len(response.thoughts)) <= most:
        return completion
    cut = replace(
        response,
        text=response.text[:most],
        thoughts=response.thoughts[:most],
        finish_reason="length",
    )
    return replace(completion, response=cut)


def _decoded(content: str | bytes) -> str:
    if isinstance(content, str):
        return content
    return content.decode(json.detect_encoding(content), "replace")


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


def _words(message: dict[str, Any]) -> str:
    """The content, as text or as parts."""
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    words = content or ""
    if not isinstance(words, str):
        raise NotACompletion("the content of the message is no text")
    return words


def _thoughts(message: dict[str, Any], words: str) -> str:
    """From a field of their own, as servers with a parser of thoughts give them, or the words."""
    found = (message.get(field) for field in _THOUGHT_FIELDS)
    own = next((text for text in found if isinstance(text, str) and text.strip()), None)
    return thoughts_in(words) if own is None else whole_characters(own).strip()


def _refusal(message: dict[str, Any]) -> str:
    """The words of a refusal, from its field or a part of the content; empty: there is none."""
    parts = [message, *_list(message.get("content"))]
    found = (_get(part, "refusal") for part in parts)
    return next((words for words in found if isinstance(words, str) and words.strip()), "")


def _tokens(logprobs: Any) -> tuple[tuple[str, float], ...]:
    """All tokens with their log-probabilities; their texts, joined, are the whole response.

    A character may be made of several tokens: it belongs to the last of them.
    """
    places = _list(_get(logprobs, "content"))
    if not places or not all(map(_is_option, places)):
        return ()
    decoder = getincrementaldecoder("utf-8")("replace")
    return tuple((decoder.decode(_bytes(place)), float(place["logprob"])) for place in places)


def _bytes(place: dict[str, Any]) -> bytes:
    numbers = _list(place.get("bytes"))
    if numbers and all(isinstance(one, int) and 0 <= one < 256 for one in numbers):
        return bytes(numbers)
    return whole_characters(place["token"]).encode()


def _first_token(logprobs: Any) -> tuple[tuple[str, float], ...]:
    """Alternatives for the first token after the thoughts, likeliest first."""
    places = [place for place in _list(_get(logprobs, "content")) if isinstance(place, dict)]
    at = first_spoken_token(str(place.get("token", "")) for place in places)
    if at is None:
        return ()
    place = places[at]
    options = _list(place.get("top_logprobs"))[:_MOST_OPTIONS] or [place]
    found = [
        (whole_characters(option["token"]), float(option["logprob"]))
        for option in options
        if _is_option(option)
    ]
    return tuple(sorted(found, key=lambda option: (-option[1], option[0])))


def _is_option(option: Any) -> bool:
    token, number = _get(option, "token"), _get(option, "logprob")
    # What is above 0 is the logarithm of no probability, but rounding is forgiven.
    is_number = isinstance(number, int | float) and math.isfinite(number) and number < 1
    return isinstance(token, str) and is_number


def _whole_number(usage: Any, name: str) -> int | None:
    value = _get(usage, name)
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value <= _MOST_TOKENS else None


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(value: Any) -> Any:
    return next(iter(_list(value)), None)
