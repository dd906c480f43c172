"""Broken JSON repaired by ``json_repair``, and checked: a repair may change signs, never words.

The library reads anything, also what was cut off. So what it gives is compared with the text: every
key, string and number has to stand there, in order and whole, with nothing but signs between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LONGEST = 50_000
"""Characters of a text that is repaired."""

_COMMENTS = re.compile(
    r'("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')|//[^\n]*|/\*.*?\*/|(?<![\w"\'])#[^\n]*', re.DOTALL
)
_OTHER_SIGNS = re.compile(
    r'("(?:[^"\\]|\\.)*"|(?<!\w)\'(?:[^\'\\]|\\.)*\')'
    r'|(?<=["\'\]}\w])\s*([\uff1a\uff0c])|(?<=[{\[,:(\s])u(?=["\'])',
    re.DOTALL,
)
_ASCII_SIGNS = {"\uff1a": ":", "\uff0c": ","}
"""Full-width signs, and Python's mark of text."""

_ESCAPES = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_CLOSING_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}
_EMPTY_TEXT = re.compile("\"\"|''|“”|‘’")
_LITERAL = re.compile(r"[-+]?\.?\w[\w.]*(?:(?<=[eE])[-+]\d+)?")
_SPELLINGS = {True: {"true"}, False: {"false"}, None: {"none", "null"}}
_WORD = re.compile(r"\w")
_COLON = re.compile(r"\s*:")
_CLOSING = re.compile(r"[\s,}\])]*\Z")
_EMPTY_BRACKETS = re.compile(r"\{\s*\}|\[\s*\]")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A key, string, number or constant, and the brackets that close around it, inner first."""

    value: Any
    closing: str
    is_key: bool = False


def repaired(text: str, *, deepest: int) -> Any:
    """The value of JSON with faults of form; ``None`` if it cannot be read without guessing.

    Forms are other quotation marks, full-width signs, Python's constants and texts, invalid
    escapes, comments, trailing or missing commas, and missing brackets at the end. What was cut off
    within a string or a number is no value, nor is one whose keys or words a repair would drop.

    Args:
        text: From the first bracket on.
        deepest: Most brackets within brackets.
    """
    if len(text) > _LONGEST or _depth(text) > deepest:
        return None
    import json_repair

    source = _OTHER_SIGNS.sub(_plain_sign, _COMMENTS.sub(lambda found: found[1] or " ", text))
    try:
        value = json_repair.loads(source, skip_json_loads=True)
    except (ValueError, RecursionError):
        return None
    return value if _says_the_same(value, source) else None


def _plain_sign(found: re.Match[str]) -> str:
    return found[1] or _ASCII_SIGNS.get(found[2], "")


def _depth(text: str) -> int:
    """Most brackets that are open at once; an upper bound, brackets within strings count."""
    depth = deepest = 0
    for character in text:
        if character in "{[(":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}])" and depth:
            depth -= 1
    return deepest


def _says_the_same(value: Any, source: str) -> bool:
    """Whether all leaves stand in the source as they are, and the source ends as it should."""
    if isinstance(value, dict) != source.startswith("{"):
        return False
    text, at = _unescaped(source), 0
    leaf = None
    for leaf in _leaves(value):
        end = _end_of(leaf, text, at)
        if end is None:
            return False
        at = end
    return leaf is not None and _ends_whole(leaf, text[at:])


def _leaves(value: Any, closing: str = "") -> Iterator[_Leaf]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield _Leaf(key, "}" + closing, is_key=True)
            yield from _leaves(item, "}" + closing)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, "]" + closing)
    else:
        yield _Leaf(value, closing)


def _end_of(leaf: _Leaf, text: str, start: int) -> int | None:
    """Where a leaf ends that stands in the text from there on; ``None``: it does not."""
    if not isinstance(leaf.value, str):
        found = _LITERAL.search(text, start)
        if not found or not _is_literal(leaf.value, found.group()):
            return None
        return found.end()
    words = leaf.value.replace("\\", "")
    if not words:
        empty = _EMPTY_TEXT.search(text, start)
        return empty.end() if empty and not _WORD.search(text, start, empty.start()) else None
    at = text.find(words, start + 1)
    end = at + len(words)
    if at < 0 or _WORD.search(text, start, at):
        return None
    if _CLOSING_QUOTES.get(text[at - 1]) == text[end : end + 1] != "":
        end += 1
    elif not leaf.is_key or not words.isidentifier():
        return None
    return end if not leaf.is_key or _COLON.match(text, end) else None


def _is_literal(value: Any, word: str) -> bool:
    if value is None or isinstance(value, bool):
        return word.casefold() in _SPELLINGS[value]
    try:
        return math.isfinite(value) and float(word) == value
    except (ValueError, OverflowError):
        return False


def _ends_whole(leaf: _Leaf, tail: str) -> bool:
    """Whether nothing is missing behind the last leaf but closing brackets."""
    tail = _EMPTY_BRACKETS.sub("", tail).removeprefix(":" if leaf.is_key else "").strip()
    if not _CLOSING.match(tail):
        return False
    closed = "".join(sign for sign in tail.replace(")", "]") if sign in "}]")
    if not (closed.startswith(leaf.closing) or leaf.closing.startswith(closed)):
        return False
    missing = len(leaf.closing) - len(closed)
    is_whole = isinstance(leaf.value, str) or "," in tail
    return missing <= 0 or tail.endswith(("}", "]")) or (missing == 1 and is_whole)


def _unescaped(text: str) -> str:
    """The text with its escapes read, and without other backslashes."""

    def character(found: re.Match[str]) -> str:
        code = found[1]
        if len(code) > 1:
            return chr(int(code[1:], 16))
        return "" if code == "\\" else _CONTROLS.get(code, code)

    return _ESCAPES.sub(character, text)
