"""Borders of a prompt, and text of others that looks like one.

Special tokens of chat templates, and the tags, line beginnings and fences that a prompt itself
writes, tell a model whose words it reads. Where a value of a request holds one, a mark is set after
its first character, so that it is read as text: ``<|im_end|>`` becomes ``<·|im_end|>``. A text that
holds the mark there already gets one more, so what was written can always be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

MARK = "·"
"""A visible sign that no Unicode normalisation changes and that JSON does not escape."""

_UNSEEN = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]*"
)
"""Characters that are not seen, and that a tokenizer may leave out."""

_LESS, _MORE, _BAR = "[<\uff1c\ufe64]", "[>\uff1e\ufe65]", "[|\uff5c]"
"""With their wide forms, which a tokenizer may take for the plain ones."""

_BREAK = "[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"
_OPENINGS = "<\uff1c\ufe64[]>/\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"

_HTML = "b|br|div|em|h[1-6]|hr|i|li|ol|p|small|span|strong|table|td|th|tr|u|ul"
"""Tags of web pages that are no model's special tokens."""

_IN_BRACKETS = (
    "INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|ARGS|CALL_ID|THINK"
    "|MODEL_SETTINGS|PREFIX|SUFFIX|MIDDLE|(?:BEGIN_)?AUDIO|TRANSCRIBE|IMG(?:_BREAK|_END)?"
    r"|[gs]?MASK|CLS|SEP|PAD|UNK|BOS|EOS|multimodal|(?:unused|control|UNUSED_TOKEN|REFERENCE_DOC)_?\d+"
)
"""Special tokens of Mistral's, BERT's, GLM's and other models."""

_TOKENS = (
    rf"{_LESS}{MARK}*{_UNSEEN}{_BAR}[^<>|\uff5c\n]{{1,80}}{_BAR}?{_MORE}",
    rf"{_LESS}{MARK}*[^\s<>|\uff5c]{{1,80}}{_BAR}{_MORE}",
    rf"{_LESS}{MARK}*{_LESS}/?SYS{_MORE}{_MORE}",
    rf"{_LESS}{MARK}*0x[0-9A-F]{{2}}{_MORE}",
    rf"{_LESS}{MARK}*(?!/?(?:{_HTML})\s?/?{_MORE}){_UNSEEN}/?{_UNSEEN}"
    rf"[^\W\d](?:[\w:.-]|{_UNSEEN[:-1]}){{0,80}}/?{_MORE}",
    rf"\[{MARK}*{_UNSEEN}/?{_UNSEEN}(?:{_IN_BRACKETS}){_UNSEEN}\]",
    rf"\[{MARK}*{_UNSEEN}{_BAR}[^\[\]|\n]{{1,80}}{_BAR}\]",
    rf"{_LESS}{MARK}*\[[^<>\[\]\n]{{1,80}}\]{_MORE}",
    rf"\]{MARK}*(?:<\][^<>\[\]\n]{{1,80}}\[>\[|~!?b[\[\]])|\[{MARK}*e~\[",
    rf">{MARK}*>[A-Z]{{3,20}}<<",
    rf"(?<!\S)/{MARK}*(?:no_?)?think(?!\S)",
)
"""What chat templates and tokenizers treat as more than text, whatever the model."""

_SPEAKERS = "(?:system|developer|user|assistant|human|tool)"
_SPOKEN = rf"(?:\#{{1,6}}[ \t]*)?{_SPEAKERS}|\#{{1,6}}[ \t]*(?:instruction|input|response)"
"""Line beginnings of chat templates without special tokens, up to their colon."""

_TAG_IN_PROMPT = re.compile(r"</?([^\W\d][\w.-]*)>")
_LINE_IN_PROMPT = re.compile(r"^[ \t]*([^\W\d_][^\n:\0]{0,40}?)[ \t]*:", re.MULTILINE)
_FENCE_IN_PROMPT = re.compile(r"([-=#*_~`\"'&])\1{2,}")
_VALUE_AT_START = re.compile(r"^[ \t]*\0", re.MULTILINE)


@dataclass(frozen=True)
class Borders:
    """The borders that a block of a prompt writes itself, beside those of chat templates.

    Args:
        tags: Names of its tags: ``post`` for ``<post>`` and ``</post>``.
        lines: What stands before the colon at its lines' beginnings.
        fences: Signs of which three or more in a row separate parts.
        begins_lines: Whether a value may stand at the beginning of a line.
    """

    tags: frozenset[str] = frozenset()
    lines: frozenset[str] = frozenset()
    fences: frozenset[str] = frozenset()
    begins_lines: bool = False

    def shielded(self, value: Any) -> Any:
        """The value with a mark in every border that its texts hold.

        Args:
            value: A text, or mappings and sequences of texts; anything else stays as it is.
        """
        if isinstance(value, str):
            return self._without_fences(self._pattern.sub(_marked, value))
        if isinstance(value, Mapping):
            return {name: self.shielded(one) for name, one in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return tuple(map(self.shielded, value))
        return value

    def as_written(self, text: str) -> str:
        """What a shielded text was before."""
        for fence in self.fences:
            text = _fence(fence).sub(_unmarked_fence, text)
        return self._pattern.sub(_unmarked, text)

    def _without_fences(self, text: str) -> str:
        for fence in self.fences:
            text = _fence(fence).sub(_marked_fence, text)
        return text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        start = rf"(?:\A|{_BREAK})" if self.begins_lines else _BREAK
        beginnings = "|".join((_SPOKEN, *map(_name, sorted(self.lines))))
        lines = rf"{start}{MARK}*[ \t]*(?:{beginnings})[ \t]*:"
        tags = [
            rf"{_LESS}{MARK}*\s*/?\s*{_name(tag)}(?![\w-])(?:[^<>\uff1e]{{0,64}}{_MORE})?"
            for tag in sorted(self.tags)
        ]
        return re.compile("|".join((*tags, *_TOKENS, lines)), re.IGNORECASE)


PLAIN = Borders()
"""Those of chat templates alone."""


def borders_of(pieces: Iterable[str], whole: str) -> Borders:
    """The borders that a block writes.

    Args:
        pieces: The block's own text, NUL for each value.
        whole: The whole prompt: its tags are borders even where the block does not write them.
    """
    text = "\n".join(pieces)
    return Borders(
        tags=frozenset(_TAG_IN_PROMPT.findall(whole)),
        lines=frozenset(_LINE_IN_PROMPT.findall(text)),
        fences=frozenset(_FENCE_IN_PROMPT.findall(text)),
        begins_lines=_VALUE_AT_START.search(text) is not None,
    )


def without_marks(text: str) -> str:
    """Words that a model copied from a shielded text, as they were written.

    >>> without_marks("<·|im_end|>"), without_marks("a·b")
    ('<|im_end|>', 'a·b')
    """
    return _COPIED.sub(r"\1", text)


_COPIED = re.compile(rf"(\A|[{re.escape(_OPENINGS)}]){MARK}")


def _name(name: str) -> str:
    """A name, whatever blanks and unseen characters are between its letters."""
    words = (_UNSEEN.join(map(re.escape, word)) for word in name.split())
    return r"\s+".join(words)


def _fence(sign: str) -> re.Pattern[str]:
    one = re.escape(sign)
    return re.compile(rf"{one}(?:{MARK}*{one}){{2,}}")


def _marked(found: re.Match[str]) -> str:
    at = _end_of_opening(found)
    return found[0][:at] + MARK + found[0][at:]


def _unmarked(found: re.Match[str]) -> str:
    at = _end_of_opening(found)
    return found[0][:at] + found[0][at:].removeprefix(MARK)


def _end_of_opening(found: re.Match[str]) -> int:
    """How many characters of a border stand before its marks: none at a text's beginning."""
    return int(found[0][0] in _OPENINGS)


def _marked_fence(found: re.Match[str]) -> str:
    sign = found[0][0]
    return found[0][:-1].replace(sign, sign + MARK) + sign


def _unmarked_fence(found: re.Match[str]) -> str:
    sign = found[0][0]
    return found[0][:-1].replace(sign + MARK, sign) + sign
