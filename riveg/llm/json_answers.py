"""From a model's words to values: tolerant of what is around JSON, strict about the JSON itself."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from riveg.llm.conversation import Response, Unparsable
from riveg.llm.json_schema import fault_in

_FENCE = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n?(.*?)```", re.DOTALL)

_TAGS = "think|thinking|thought|reasoning"
_THOUGHTS_BEGIN = re.compile(rf"\s*<(?:{_TAGS})>", re.IGNORECASE)
_THOUGHTS_END = re.compile(rf"</(?:{_TAGS})>", re.IGNORECASE)
_LONGEST_TAG = len("</reasoning>")

_MOST_STARTS = 32
"""Opening braces at which an object is looked for, so that a long bad response costs little."""

_DEEPEST = 100
"""Brackets within brackets; more would exhaust the stack."""


def parse_json(response: Response, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object in a response, valid by the schema.

    Code fences, words around, trailing commas, line ends within strings and one missing bracket at
    the end are accepted; a string that was cut off, a repeated key or a value that breaks the
    schema is not.

    Args:
        response: The response.
        schema: JSON schema of an object, in the keywords of :mod:`riveg.llm.json_schema`.

    Raises:
        Unparsable: Says what is wrong, so that the model can correct it.
    """
    fault = "The answer is not a JSON object. Answer with one JSON object and nothing else."
    for number, value in enumerate(_objects(response.text)):
        wrong = fault_in(value, schema)
        if wrong is None:
            return value
        if number == 0:
            fault = f"The JSON is not as asked for: {wrong}."
    raise Unparsable(fault)


def is_json(text: str) -> bool:
    """Whether a text is one JSON value, with nothing but blanks around it."""
    return _load(text) is not None


def without_thoughts(text: str) -> str:
    """A response without the thoughts before it; empty if the thoughts never end.

    Some templates open the thoughts within the prompt: then only their end is in the response.
    """
    if is_json(text):
        return text.strip()
    ends = [found.end() for found in _THOUGHTS_END.finditer(text)]
    rest = text[ends[-1] :] if ends else text
    return "" if _THOUGHTS_BEGIN.match(rest) else rest.strip()


def whole_characters(text: str) -> str:
    """The text with halves of surrogate pairs joined; a half without its other is replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def yes_probability(first_token: Sequence[tuple[str, float]]) -> float | None:
    """P(yes) from the likeliest first tokens and their natural log-probabilities.

    Sums over every spelling of yes and of no (case, leading blank, byte-level marks, quotes), and
    normalises the two.

    Returns:
        A number in [0, 1]; ``None`` if neither word is among the tokens.
    """
    sums = {"yes": 0.0, "no": 0.0}
    for token, log_probability in first_token:
        word = _bare_word(token)
        if word in sums and not math.isnan(log_probability):
            sums[word] += math.exp(min(log_probability, 0.0))
    total = sums["yes"] + sums["no"]
    return sums["yes"] / total if total > 0 else None


def first_spoken_token(tokens: Iterable[str]) -> int | None:
    """Position of the first token after thoughts and blanks; ``None``: there is none."""
    texts = list(tokens)
    start, latest = 0, ""
    for position, text in enumerate(texts):
        latest = (latest + text)[-_LONGEST_TAG - len(text) :]
        if _THOUGHTS_END.search(latest):
            start, latest = position + 1, ""
    later = (at for at in range(start, len(texts)) if _unmarked(texts[at]).strip())
    return next(later, None)


def _bare_word(token: str) -> str:
    return re.sub(r"^\W+|\W+$", "", _unmarked(token)).casefold()


def _unmarked(token: str) -> str:
    # How byte-level and sentence-piece vocabularies write blanks and line ends.
    return re.sub("[\u0120\u2581\u010a\u0109]", " ", token)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects that a response may mean, likeliest first."""
    for piece in (text, *(found.group(1) for found in _FENCE.finditer(text))):
        for load in (_load, _load_mended):
            value = load(piece)
            if isinstance(value, dict):
                yield value
    yield from _embedded(text)
    start = text.find("{")
    value = _load_mended(text[start:]) if start > 0 else None
    if isinstance(value, dict):
        yield value


def _embedded(text: str) -> Iterator[dict[str, Any]]:
    """Whole objects among other words, not those within others."""
    start = text.find("{")
    for _ in range(_MOST_STARTS):
        if start < 0:
            return
        value, end = _load_prefix(text, start)
        if isinstance(value, dict):
            yield value
        start = text.find("{", end)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"key {key!r} twice")
        value[whole_characters(key)] = item
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large")
    return value


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite
)
_LENIENT = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite, strict=False
)


def _load(text: str) -> Any:
    """The value; ``None`` if the text is no JSON, or ``null``."""
    try:
        return _whole(_STRICT.decode(text.strip()))
    except (ValueError, RecursionError):
        return None


def _load_prefix(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at ``start`` (``None``: none does), and where to search on."""
    try:
        value, end = _LENIENT.raw_decode(text, start)
        return _whole(value), end
    except (ValueError, RecursionError):
        return None, start + 1


def _load_mended(text: str) -> Any:
    mended = _mended(text.strip())
    if mended is None:
        return None
    try:
        return _whole(_LENIENT.raw_decode(mended)[0])
    except (ValueError, RecursionError):
        return None


def _whole(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError("too deep")
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        return [_whole(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item, depth + 1) for key, item in value.items()}
    return value


_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},"]|[^"\[\]{},]+', re.DOTALL)
_BEFORE_CLOSING = re.compile(r"\s*(?:[\]}]|\Z)")
_CLOSES = {"{": "}", "[": "]"}


def _mended(text: str) -> str | None:
    """The text without trailing commas, and with one bracket more if only that is missing.

    ``None`` if a string is cut off or the brackets do not match.
    """
    if not text.startswith("{"):
        return None
    kept: list[str] = []
    open_brackets: list[str] = []
    for found in _PIECES.finditer(text):
        piece = found.group()
        if piece == '"':
            return None
        if piece in _CLOSES:
            open_brackets.append(_CLOSES[piece])
        elif piece in {"}", "]"}:
            if not open_brackets or open_brackets.pop() != piece:
                return None
        elif piece == "," and _BEFORE_CLOSING.match(text, found.end()):
            continue
        kept.append(piece)
        if not open_brackets or len(open_brackets) > _DEEPEST:
            break
    return "".join(kept) + (open_brackets[0] if len(open_brackets) == 1 else "")
