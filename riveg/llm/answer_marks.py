"""What stands around an answer and is no part of it: marks of turns and channels, tags, markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

_FINAL = re.compile(
    r"(?:\A\s*|(?:<\|(?:end|return|call|im_end)\|>|<\|start\|>\s*assistant)\s*)"
    r"<\|channel\|>\s*final\b[^<]{0,40}(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
    r"|\A\s*<channel\|>",
    re.IGNORECASE,
)
"""A mark of the final channel where a template puts it; elsewhere it is quoted."""

_BARE_FINAL = re.compile(r"assistantfinal(?:json)?", re.IGNORECASE)
_BARE_ANALYSIS = re.compile(r"\s*(?:assistant)?analysis(?=\S)|\s*assistantfinal", re.IGNORECASE)
"""The same channels on servers that leave out the marks and keep their words."""

_THOUGHT_CHANNEL = re.compile(r"\s*<\|channel>.*<channel\|>", re.IGNORECASE | re.DOTALL)
_OTHER_CHANNEL = re.compile(
    r"\s*(?:<\|start\|>\s*assistant\s*)?(?:<\|channel\|>\s*(?:analysis|commentary)|<\|channel>)",
    re.IGNORECASE,
)
"""A channel that is for thoughts and tools, not for the answer."""

_TURN_BEGINS = re.compile(
    r"\s*(?:<\|im_start\|>(?:\s*assistant\b)?|<start_of_turn>(?:\s*(?:model|assistant)\b)?"
    r"|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|<\|start\|>\s*assistant\b"
    r"|<\|(?:assistant|begin_of_text|begin_of_box|START_RESPONSE|CHATBOT_TOKEN|message)\|>"
    r"|<\|turn>(?:\s*model\b)?|<\uff5cAssistant\uff5c>|<bos>|<pad>|<s>"
    r"|assistant[ \t]*\n)",
    re.IGNORECASE,
)
_TURN_ENDS = re.compile(
    r"<\|(?:im_end|end|eot_id|eom_id|return|call|endoftext|end_of_text|end_of_turn|end_of_box"
    r"|END_RESPONSE|END_OF_TURN_TOKEN)\|>"
    r"|<end_of_turn>|<turn\|>|<\uff5cend\u2581of\u2581sentence\uff5c>|<eos>|<pad>|</s>",
    re.IGNORECASE,
)
"""Marks of chat templates, as servers leave them in a text now and then."""

_STRINGS_OR_TURN_ENDS = re.compile(
    rf'"(?:[^"\\]|\\.)*"|{_TURN_ENDS.pattern}', re.IGNORECASE | re.DOTALL
)

_LEFT_OVER = re.compile(
    r"<\|[^|<>\s]{1,40}\|?>|<[^|<>\s]{1,40}\|>|<(?:start|end)_of_turn>|\[/?INST\]"
)
_CLOSED_TAG = re.compile(
    r"<(answer|final_answer|final|output|response|result)>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL
)
_OPEN_TAG = re.compile(r"<(?:answer|final_answer)>", re.IGNORECASE)
_SPOKEN_MARK = re.compile(
    r"(?:\A|[\n.!?:>])[ \t]*[*_#]{0,4}[ \t]*(?:(?:my|the|so the)[ \t]+)?"
    r"(?:(?:(?:final|corrected)[ \t]+)?answer|final(?:[ \t]+(?:json|list|output|result))?)"
    r"[*_]{0,2}(?:[ \t]+is)?[ \t]*:[*_]{0,2}",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"\n[ \t]*(?:#{1,6}[ \t]*|\*\*|__)(?:the[ \t]+)?(?:final[ \t]+answer|answer|final):?"
    r"(?:\*\*|__)?:?[ \t]*(?=\n)",
    re.IGNORECASE,
)
"""A mark on a line of its own, which also counts behind JSON: "### Final"."""
_ANY_MARK = re.compile(
    "|".join((_OPEN_TAG.pattern, _SPOKEN_MARK.pattern, _HEADING.pattern)), re.IGNORECASE
)
_TAGS_BEHIND_JSON = re.compile(
    r"[}\]]\s*(?:```\s*)?<(answer|final_answer)>((?:(?!<answer>).)*)</\1\s*>\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_TELLS_OF_A_QUOTE = re.compile(
    r"\b(?:posts?|tweets?|texts?|messages?|captions?|inputs?|users?)\b[^.\n]{0,60}"
    r"\b(?:contains?|says?|reads?|states?|includes?|quotes?|has|had|holds?|claims?|asks?|tells?)\b"
    r"|\b(?:ignor|inject|quot|did not follow)",
    re.IGNORECASE,
)
_BEGINS_WITH_JSON = re.compile(r"\s*(?:```\w*\s*)?[\[{]")

_LONGEST = 4_000
"""Characters of a text that may be a phrase or a few sentences; markup of longer ones stays."""

_FENCE = re.compile(r"\A```(?:[\w-]*[ \t]*\n)?(.*?)\n?```\Z", re.DOTALL)
_WHOLE_TAG = re.compile(r"\A<([a-z][\w-]{0,30})>(.*)</\1\s*>\Z", re.IGNORECASE | re.DOTALL)
_LINE_MARK = re.compile(
    r"\A(?:(?:#{1,6}|[-*+>\u2022\u00b7\u2013\u2014\u25aa\u25cf]"
    r"|\d{1,2}[.)](?=\s+(?:[a-z]|An?\b|The\b)))\s+)+"
)
"""A heading, a quotation, an item of a list; in "1. FC Union" the number is of the name."""

_PAIRS = ("**", "__", "~~", "*", "_")
_BRACKETS = frozenset({"\u300c\u300d", "\u300e\u300f"})
"""Quotation marks of Japanese and Chinese, the opening and the closing one."""

_BOLD_WITHIN = re.compile(r"(?<![\w*])\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*(?![\w*])")
_BOXED = re.compile(r"\A\$*\\boxed\{(?:\\text\{(.*)\}|(.*))\}\$*\Z", re.DOTALL)
_LABEL = re.compile(
    r"\A[*_]{0,3}(?:(?:referring |noun )?(?:expression|phrase)|(?:final )?answer"
    r"|visual description|assistant)[*_]{0,3}\s*:[*_]{0,3}\s*",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"\A(?:(?:sure|certainly|of course|okay|ok|absolutely)[!,.]*\s+)?"
    r"here(?:'s|\u2019s| is| are)\b[^:\n]{0,60}"
    r"\b(?:caption|description|expression|phrase|sentence|answer|explanation|summary)\b"
    r"[^:\n]{0,40}:\s+(?=\S)",
    re.IGNORECASE,
)
"""What a talkative model says before its answer: "Sure! Here is a caption:"."""

_LONE_END = re.compile(r"</(?:answer|final_answer)\s*>\s*\Z", re.IGNORECASE)
_DOUBLED_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def spoken_part(text: str) -> str:
    """The part of a response that is said to the user.

    What stands before the last mark of the final channel is left out, and what follows the end of
    the turn; empty if only another channel is there. A text that begins with JSON holds no channels
    of its own: what looks like one is quoted.

    >>> spoken_part("<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>a dog")
    'a dog'
    """
    is_json = _BEGINS_WITH_JSON.match(text) is not None
    if not is_json:
        if (answer := _in_final_channel(text)) is not None:
            text = answer
        elif _OTHER_CHANNEL.match(text):
            return ""
    while begun := _TURN_BEGINS.match(text):
        text = text[begun.end() :]
    marks = (_STRINGS_OR_TURN_ENDS if is_json else _TURN_ENDS).finditer(text)
    ends = (found.start() for found in marks if not found.group().startswith('"'))
    return text[: next(ends, len(text))].strip()


def _in_final_channel(text: str) -> str | None:
    """What follows the last mark of the final channel; ``None``: there is no such channel."""
    if thought := _THOUGHT_CHANNEL.match(text):
        return text[thought.end() :]
    finals = list(_FINAL.finditer(text))
    if not finals and _BARE_ANALYSIS.match(text):
        finals = list(_BARE_FINAL.finditer(text))
    return text[finals[-1].end() :] if finals else None


def after_answer_mark(text: str) -> str | None:
    """What follows the last mark of an answer: within its tags, or after "Answer:".

    Returns:
        ``None`` where there is no mark, where the text begins with JSON and does not end in answer
        tags directly behind it, or where the words before the mark or behind its tags tell of a
        post: the mark is quoted then, or belongs to a second answer.
    """
    is_json = _BEGINS_WITH_JSON.match(text) is not None
    if is_json and (behind := _TAGS_BEHIND_JSON.search(text)):
        return behind[2].strip()
    tags = [] if is_json else list(_CLOSED_TAG.finditer(text))
    marks = tags or list((_HEADING if is_json else _ANY_MARK).finditer(text))
    if not marks:
        return None
    last = marks[-1]
    before = re.split(r"[}\]]", text[: last.start()])[-1]
    if _TELLS_OF_A_QUOTE.search(before) or (tags and re.search(r"\w", text[last.end() :])):
        return None
    return last[2].strip() if tags else text[last.end() :].strip()


def tagged_answer(text: str) -> str | None:
    """What stands within the last pair of answer tags; ``None``: there are none."""
    closed = list(_CLOSED_TAG.finditer(text))
    if closed:
        return closed[-1][2].strip()
    opened = list(_OPEN_TAG.finditer(text))
    return text[opened[-1].end() :].strip() if opened else None


def without_markup(text: str) -> str:
    """A phrase or sentence without what is around it; the same if it is applied again.

    Marks of turns and channels, answer tags, a code fence, quotation as a JSON string, a heading's,
    list's or quotation's mark, bold and italic signs, and a label such as ``Expression:``.

    >>> without_markup("- **Expression:** a red ball<|im_end|>")
    'a red ball'
    """
    text = spoken_part(text)
    if len(text) > _LONGEST:
        return text
    while True:
        left = text.strip()
        for take_off in _STEPS:
            left = take_off(left).strip()
        if left == text:
            return text
        text = left


def holds_template_marks(text: str) -> bool:
    """Whether a text holds what only a chat template writes."""
    return _LEFT_OVER.search(text) is not None


def with_single_escapes(text: str) -> str:
    r"""The text with escapes that were doubled, ``\u00e9``, read as characters.

    >>> with_single_escapes("Jos\\u00e9")
    'José'
    """

    def character(found: re.Match[str]) -> str:
        units = bytes.fromhex(found.group().replace("\\u", ""))
        return units.decode("utf-16-be", "replace")

    return _DOUBLED_ESCAPES.sub(character, text)


def _in_tags(text: str) -> str:
    tagged = tagged_answer(text)
    if tagged is not None:
        return tagged
    whole = _WHOLE_TAG.match(text)
    return whole[2] if whole else text


def _in_fence(text: str) -> str:
    fenced = _FENCE.match(text)
    return fenced[1] if fenced else text


def _json_text(text: str) -> str:
    """The text that a JSON string, or an object or a list with nothing but one, holds."""
    if text[:1] + text[-1:] not in {'""', "{}", "[]"}:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    return value if isinstance(value, str) else text


def _without_pairs(text: str) -> str:
    if text[:1] + text[-1:] in _BRACKETS and not set(text[1:-1]) & {text[0], text[-1]}:
        return text[1:-1]
    for sign in _PAIRS:
        inner = text[len(sign) : -len(sign)]
        if text == sign + inner + sign and inner.strip() and sign not in inner:
            return inner
    return _BOLD_WITHIN.sub(r"\1", text)


def _unboxed(text: str) -> str:
    boxed = _BOXED.match(text)
    return (boxed[1] or boxed[2] or "") if boxed else text


_STEPS: tuple[Callable[[str], str], ...] = (
    spoken_part,
    _in_tags,
    _in_fence,
    _json_text,
    lambda text: _LINE_MARK.sub("", text),
    _without_pairs,
    _unboxed,
    lambda text: _LEAD_IN.sub("", text),
    lambda text: _LABEL.sub("", text),
    lambda text: _LONE_END.sub("", text),
)
"""What is taken off, each once; none of them makes a text longer."""
