"""From a model's words to values: pure, tolerant of wrapping, strict on what is wrapped."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from riveg.llm.conversation import RawAnswer, Unparsable
from riveg.llm.json_schema import fault_in

_FENCE = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n?(.*?)```", re.DOTALL)

_TAGS = "think|thinking|thought|reasoning"
_THOUGHTS_BEGIN = re.compile(rf"\s*<(?:{_TAGS})>", re.IGNORECASE)
_THOUGHTS_END = re.compile(rf"</(?:{_TAGS})>", re.IGNORECASE)
_LONGEST_TAG = len("</reasoning>")

_MOST_STARTS = 32
"""Opening braces at which an object is looked for, so that a long bad answer costs little."""

_DEEPEST = 100
"""Brackets within brackets; more is no answer, and would exhaust the stack."""


def parse_json(raw: RawAnswer, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object in an answer, true to the schema.

    Code fences, words around, trailing commas, line ends within strings and one missing bracket at
    the end are forgiven; a string that was cut, a key said twice or a value that breaks the schema
    is not.

    Args:
        raw: The answer.
        schema: JSON schema of an object, in the keywords of :mod:`riveg.llm.json_schema`.

    Raises:
        Unparsable: With what is wrong, for the model to mend.
    """
    fault = "The answer is not a JSON object. Answer with one JSON object and nothing else."
    for number, value in enumerate(_objects(raw.text)):
        wrong = fault_in(value, schema)
        if wrong is None:
            return value
        if number == 0:
            fault = f"The JSON is not as asked for: {wrong}."
    raise Unparsable(fault)


def is_json(text: str) -> bool:
    """Whether a text is one JSON value and nothing else but blanks around it."""
    return _load(text) is not None


def without_thoughts(text: str) -> str:
    """The answer without the thinking before it; empty where the thinking never ended.

    Some templates open the thinking within the prompt: then only its end is in the answer.
    """
    if is_json(text):
        return text.strip()
    ends = [found.end() for found in _THOUGHTS_END.finditer(text)]
    spoken = text[ends[-1] :] if ends else text
    return "" if _THOUGHTS_BEGIN.match(spoken) else spoken.strip()


def whole_characters(text: str) -> str:
    """The text with halves of surrogate pairs joined or, where one is alone, replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def yes_probability(first_token: Sequence[tuple[str, float]]) -> float | None:
    """P(yes) from the likeliest first tokens and their natural log-probabilities.

    Sums over every spelling of yes and of no (case, leading blank, byte-level marks, quotes), and
    normalises the two.

    Returns:
        A number in [0, 1]; ``None`` where neither word is among the tokens.
    """
    sums = {"yes": 0.0, "no": 0.0}
    for token, log_probability in first_token:
        word = _bare_word(token)
        if word in sums and not math.isnan(log_probability):
            sums[word] += math.exp(min(log_probability, 0.0))
    total = sums["yes"] + sums["no"]
    return sums["yes"] / total if total > 0 else None


def spoken_token(tokens: Iterable[str]) -> int | None:
    """Position of the first token of the answer itself: after thoughts and blanks."""
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
    # Byte-level and sentence-piece vocabularies write blanks and line ends so.
    return re.sub("[\u0120\u2581\u010a\u0109]", " ", token)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects that an answer may mean, likeliest first."""
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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
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
    object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
)
_LENIENT = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite, strict=False
)


def _load(text: str) -> Any:
    """The value, or ``None`` where the text is no JSON (or is ``null``)."""
    try:
        return _whole(_STRICT.decode(text.strip()))
    except (ValueError, RecursionError):
        return None


def _load_prefix(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at ``start`` and where to look on; ``None`` where there is none."""
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
    """Without trailing commas and with one bracket more where just that is missing.

    ``None`` where a string was cut or the brackets do not match.
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
