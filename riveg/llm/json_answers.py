"""From a model's words to values: tolerant of what is around JSON, strict about the JSON itself."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from riveg.llm.answer_marks import after_answer_mark, spoken_part
from riveg.llm.conversation import AnswerPath, Refused, Response, Unparsable
from riveg.llm.disowned_json import is_disowned, is_refused
from riveg.llm.json_forms import as_asked, holds_one_list, keys_of
from riveg.llm.json_schema import fault_in
from riveg.llm.json_values import FoundValue, items_by_line, load_strictly, values_in
from riveg.llm.refusals import refuses

_TAGS = "think|thinking|thought|reasoning|reason"
_THOUGHTS_BEGIN = re.compile(
    rf"\s*(?:<(?:seed:)?(?:{_TAGS})>|\[THINK\]|\u25c1think\u25b7)", re.IGNORECASE
)
_THOUGHTS_END = re.compile(
    rf"</(?:seed:)?(?:{_TAGS})>|\[/THINK\]|\u25c1/think\u25b7", re.IGNORECASE
)
_LONGEST_TAG = len("</seed:reasoning>")

_NO_OBJECT = "The answer is not a JSON object{}. Answer with one JSON object and nothing else."
_REFUSED = (
    "The answer is a refusal, not a JSON object. Answer with one JSON object and nothing else."
)
SEVERAL = (
    "The answer holds several JSON objects that differ. "
    "Answer with the final JSON object alone and nothing else."
)
"""What is wrong with an answer that quotes JSON, or holds drafts."""

_NOT_OWN = (
    "The answer holds a JSON object that it says is quoted, wrong or an example. "
    "Answer with one JSON object of your own and nothing else."
)

_SIGNS = re.compile(r"(?:</\w+>|[\s`*_.])*")
_DOUBLED_ESCAPE = re.compile(r"\\\\u[0-9a-fA-F]{4}")


def parse_json(response: Response, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object in a response, valid by the schema.

    Code fences, words and marks around it, faults of form that a repair can mend without guessing
    (:mod:`riveg.llm.json_repairs`), and another form of the same (:mod:`riveg.llm.json_forms`) are
    accepted; a string that was cut off, a repeated key or a value that breaks the schema is not. Of
    several different objects the one behind the last mark of an answer is read.

    Args:
        response: The response.
        schema: JSON schema of an object, in the keywords of :mod:`riveg.llm.json_schema`.

    Raises:
        Unparsable: Says what is wrong, so that the model can correct it.
    """
    text = _spoken(response.text)
    found = _readings(text, schema)
    if found.is_ambiguous and (marked := after_answer_mark(text)) is not None:
        text = marked
        found = _readings(text, schema)
        if found.values and not found.ends_text:
            raise Unparsable(SEVERAL)
    if found.is_ambiguous:
        raise Unparsable(found.clash or SEVERAL)
    if found.values:
        _require_own(found)
        return found.values[0]
    if found.fault is None and refuses(text):
        raise Refused(_REFUSED)
    raise Unparsable(found.clash or found.fault or _NO_OBJECT.format(""))


def _require_own(found: _Readings) -> None:
    """Checks that the words around the only object do not say that it is no answer."""
    if is_refused(found.before, found.after):
        raise Refused(_REFUSED)
    if is_disowned(found.before, found.after):
        raise Unparsable(_NOT_OWN)


def reading_path(text: str, schema: Mapping[str, Any] | None) -> AnswerPath:
    """How an answer is read: bound by the schema, after a repair, or with leniency."""
    if schema is None:
        return "plain"
    is_whole = is_json(text)
    if _DOUBLED_ESCAPE.search(text) or (
        not is_whole and any(one.is_repaired for one in values_in(_spoken(text)))
    ):
        return "repaired"
    is_bound = is_whole and fault_in(load_strictly(text), schema) is None
    return "schema" if is_bound else "lenient"


@dataclass(frozen=True, slots=True)
class _Readings:
    """What a text may say.

    Args:
        values: The different objects that keep to the schema, in order.
        clash: What is wrong with the first piece that looks like such an object and is none.
        fault: What is wrong with the first piece of JSON that is none.
        before: The words before the first of the values.
        after: The words behind the last of them.
    """

    values: tuple[dict[str, Any], ...]
    clash: str | None
    fault: str | None
    before: str = ""
    after: str = ""

    @property
    def ends_text(self) -> bool:
        """Whether nothing but signs follows the values."""
        return _SIGNS.fullmatch(self.after) is not None

    @property
    def is_ambiguous(self) -> bool:
        """Whether nobody can say which object is meant."""
        return len(self.values) > 1 or bool(self.values and self.clash)


def _readings(text: str, schema: Mapping[str, Any]) -> _Readings:
    values: list[dict[str, Any]] = []
    clash = fault = before = None
    after = text
    for one in _whole_or_parts(text, schema):
        words, _, after = after.partition(one.source)
        value = _with_whole_characters(as_asked(one.value, schema))
        wrong = _wrong(one, value, schema)
        if wrong is None:
            before = words if before is None else before
            values += [] if value in values else [value]
            continue
        fault = fault or wrong
        if _looks_like_an_answer(one, schema):
            clash = clash or wrong
    return _Readings(tuple(values), clash, fault, before or "", after)


def _whole_or_parts(text: str, schema: Mapping[str, Any]) -> list[FoundValue]:
    try:
        value = load_strictly(text)
    except ValueError:
        items = items_by_line(text) if holds_one_list(schema) else None
        return values_in(text) if items is None else [FoundValue(text, items)]
    return values_in(value) if isinstance(value, str) else [FoundValue(text, value)]


def _wrong(one: FoundValue, value: Any, schema: Mapping[str, Any]) -> str | None:
    if one.value is None:
        return _NO_OBJECT.format(f": {one.fault}" if one.fault else "")
    if not isinstance(value, dict):
        return _NO_OBJECT.format("")
    wrong = fault_in(value, schema)
    return None if wrong is None else f"The JSON is not as asked for: {wrong}."


def _looks_like_an_answer(one: FoundValue, schema: Mapping[str, Any]) -> bool:
    """Whether a piece that cannot be read has a key of what was asked for."""
    keys = keys_of(schema)
    if one.value is None:
        return any(re.search(rf"\b{re.escape(key)}\b", one.source) for key in keys)
    parts = one.value if isinstance(one.value, list) else [one.value]
    return any(isinstance(part, dict) and not keys.isdisjoint(part) for part in parts)


def _spoken(text: str) -> str:
    return text if is_json(text) else spoken_part(text)


def is_json(text: str) -> bool:
    """Whether a text is one JSON value, with nothing but blanks around it."""
    try:
        return load_strictly(text) is not None
    except ValueError:
        return False


def without_thoughts(text: str) -> str:
    """A response without the thoughts before it; empty if the thoughts never end.

    Some templates open the thoughts within the prompt: then only their end is in the response.
    """
    if is_json(text):
        return text.strip()
    ends = [found.end() for found in _THOUGHTS_END.finditer(text)]
    rest = text[ends[-1] :] if ends else text
    return "" if _THOUGHTS_BEGIN.match(rest) else rest.strip()


def thoughts_in(text: str) -> str:
    """The thoughts before a response, without the tags around them; empty if there are none."""
    if is_json(text):
        return ""
    ends = [found.end() for found in _THOUGHTS_END.finditer(text)]
    begins = _THOUGHTS_BEGIN.match(text) is not None
    thoughts = text[: ends[-1]] if ends else text if begins else ""
    return _THOUGHTS_END.sub("", _THOUGHTS_BEGIN.sub("", thoughts, count=1)).strip()


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


def _with_whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        return [_with_whole_characters(item) for item in value]
    if isinstance(value, dict):
        return {whole_characters(key): _with_whole_characters(item) for key, item in value.items()}
    return value
