"""The JSON values in a text: read strictly where that works, else repaired, words kept."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from riveg.llm.json_repairs import repaired

DEEPEST = 100
"""Brackets within brackets; more would exhaust the stack."""

_MOST_VALUES = 32
"""Values that are looked for in a text, so that a long bad response costs little."""

_BEGINS = re.compile(r"""\{(?=\s*(?:["'“‘`}/\#]|\w+\s*:))|\[(?=\s*(?:[\[\]{"'/\#]|-?\d))""")
"""A bracket behind which JSON may stand; others are part of a sentence."""

_FENCED = re.compile(r"\s*```\w*\s*\n(.*?)\n?```\s*\Z", re.DOTALL)
_ESCAPED_JSON = re.compile(r'\{\s*\\"|\{\s*\\n\s*\\"')
_PAGE_JSON = re.compile(r"\{\s*&quot;")

_NEAR = 12
"""Characters shown on both sides of a fault."""


@dataclass(frozen=True, slots=True)
class FoundValue:
    """A piece of a text that begins as a JSON object or list does.

    Args:
        source: The piece.
        value: What it says; ``None``: it cannot be read.
        fault: Why it is no strict JSON, with the place; ``None``: it is.
    """

    source: str
    value: Any
    fault: str | None = None

    @property
    def is_repaired(self) -> bool:
        """Whether it was read after a repair only."""
        return self.fault is not None and self.value is not None


def load_strictly(text: str) -> Any:
    """The value of a text that is JSON and nothing else.

    Raises:
        ValueError: If it is none, repeats a key, or is too deep; also for numbers without end.
    """
    try:
        return _shallow(_STRICT.decode(text.strip()))
    except RecursionError:
        raise ValueError("too many brackets within brackets") from None


def values_in(text: str) -> list[FoundValue]:
    """The objects and lists in a text, in order; not those within others, nor within broken ones.

    Line ends within strings are accepted, and JSON whose every quotation mark is escaped.
    """
    found = _values(text)
    is_read = any(one.value is not None for one in found)
    plain = None if is_read else _with_plain_quotes(text)
    if plain is None:
        return found
    return [
        replace(one, fault=one.fault or "its quotation marks are escaped") for one in _values(plain)
    ]


def items_by_line(text: str) -> list[Any] | None:
    """The objects of a text that has one on each line and nothing else; ``None``: it has not.

    Objects that hold lists or objects are no items.
    """
    fenced = _FENCED.match(text)
    lines = [
        line.strip().removesuffix(",") for line in (fenced[1] if fenced else text).splitlines()
    ]
    try:
        items = [load_strictly(line) for line in lines if line]
    except ValueError:
        return None
    is_list = len(items) > 1 and all(isinstance(item, dict) for item in items)
    return items if is_list and not any(map(_holds_objects, items)) else None


def _holds_objects(item: dict[str, Any]) -> bool:
    return any(
        isinstance(value, dict)
        or (isinstance(value, list) and any(isinstance(one, dict | list) for one in value))
        for value in item.values()
    )


def _with_plain_quotes(text: str) -> str | None:
    """The text of JSON that was written as a part of a string or a page; ``None``: it was not."""
    if _ESCAPED_JSON.search(text):
        try:
            plain = json.loads(f'"{text}"', strict=False)
        except ValueError:
            return None
        return plain if isinstance(plain, str) else None
    return text.replace("&quot;", '"') if _PAGE_JSON.search(text) else None


def _values(text: str) -> list[FoundValue]:
    found: list[FoundValue] = []
    begun = _BEGINS.search(text)
    while begun:
        if len(found) == _MOST_VALUES:
            return [*found, FoundValue(text[begun.start() :], None, "there are too many values")]
        one, end = _value_at(text, begun.start())
        found.append(one)
        begun = _BEGINS.search(text, end)
    return found


def _value_at(text: str, start: int) -> tuple[FoundValue, int]:
    """The value that begins there, and where it ends."""
    try:
        value, end = _LENIENT.raw_decode(text, start)
        return FoundValue(text[start:end], _shallow(value)), end
    except (ValueError, RecursionError) as error:
        end = _piece_end(text, start)
        piece = text[start:end]
        return FoundValue(piece, repaired(piece, deepest=DEEPEST), _in_words(error, text)), end


def _piece_end(text: str, start: int) -> int:
    """Where broken JSON ends: at its last bracket, at the end of a code fence, or of the text."""
    for heeds_strings in (True, False):
        depth = 0
        for at, character in _brackets(text, start, heeds_strings=heeds_strings):
            depth += 1 if character in "{[" else -1
            if depth == 0:
                return at + 1
    fence = text.find("```", start)
    return len(text) if fence < 0 else fence


_BRACKETS = re.compile(r"[\[\]{}]")
_STRINGS_OR_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def _brackets(text: str, start: int, *, heeds_strings: bool) -> Iterator[tuple[int, str]]:
    pattern = _STRINGS_OR_BRACKETS if heeds_strings else _BRACKETS
    for found in pattern.finditer(text, start):
        if not found.group().startswith('"'):
            yield found.start(), found.group()


def _in_words(error: Exception, text: str) -> str:
    """What is wrong, in words that name the place."""
    if isinstance(error, RecursionError):
        return "too many brackets within brackets"
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    what = error.msg.replace("\\escape", "escape").removesuffix(" at").removesuffix(" starting")
    near = text[max(0, error.pos - _NEAR) : error.pos + _NEAR]
    return f"{what[:1].lower()}{what[1:]} at character {error.pos + 1}, near {near!r}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise ValueError(f"key {key!r} stands twice in one object")
        value[key] = item
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large")
    return value


@dataclass(frozen=True, slots=True)
class NoNumber:
    """A number that is none, such as ``NaN`` or ``1e400``: no schema takes it.

    Args:
        written: As it is written.
    """

    written: str

    def __repr__(self) -> str:
        return self.written


def _bounded(digits: str) -> float | NoNumber:
    value = float(digits)
    return value if math.isfinite(value) else NoNumber(digits)


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite
)
_LENIENT = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=NoNumber, parse_float=_bounded, strict=False
)


def _shallow(value: Any, depth: int = 0) -> Any:
    """The value.

    Raises:
        ValueError: If its brackets are too deep.
    """
    if depth > DEEPEST:
        raise ValueError("too many brackets within brackets")
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        _shallow(item, depth + 1)
    return value
