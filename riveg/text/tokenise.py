"""Raw text to tokens in the manner of the Twitter sets, with character offsets.

The sets split ``@`` and ``#`` from what follows, every punctuation mark and emoji from its word,
numbers not at their inner marks, ``&amp;`` into ``&amp`` and ``;``, and a URL behind the first full
stop (``http://t.`` ``co/abc``). So a tagger gets the same tokens in use as in training.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

Offsets = tuple[tuple[int, int], ...]

_TOKEN = re.compile(
    r"""
      (?P<url>https?://[^\s.]*\.?)(?P<path>[^\s]*[^\s.,;:!?'")\]}…])?
    | &\#?\w{1,12}(?=;)
    | \d+(?:[.,:]\d+)+
    | [^\W_]+
    | \S
    """,
    re.VERBOSE,
)
_MARK = re.compile(r"[^\w\s\x00-\x7f]")


def tokenise(text: str) -> tuple[tuple[str, ...], Offsets]:
    """Tokens and their half-open character ranges; white space belongs to none.

    >>> tokenise("RT @NASA: Don't miss #Artemis!")[0]
    ('RT', '@', 'NASA', ':', 'Don', "'", 't', 'miss', '#', 'Artemis', '!')
    >>> tokenise("50,000 at https://t.co/a1B2.")[0]
    ('50,000', 'at', 'https://t.', 'co/a1B2', '.')
    """
    offsets = tuple(_join_marks(text, _ranges(text)))
    return tuple(text[start:end] for start, end in offsets), offsets


def join_tokens(tokens: Sequence[str]) -> tuple[str, Offsets]:
    """The text of given tokens, joined by one space, and their character ranges in it.

    >>> join_tokens(["@", "NASA"])
    ('@ NASA', ((0, 1), (2, 6)))
    """
    offsets: list[tuple[int, int]] = []
    position = 0
    for token in tokens:
        offsets.append((position, position + len(token)))
        position += len(token) + 1
    return " ".join(tokens), tuple(offsets)


def _ranges(text: str) -> Iterable[tuple[int, int]]:
    for match in _TOKEN.finditer(text):
        if match["url"] and match["path"]:
            yield match.span("url")
            yield match.span("path")
        else:
            yield match.span()


def _join_marks(text: str, ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    # To the regular expression, vowel signs and accents are marks and not word characters: they
    # would cut words of Hindi, Thai or decomposed Latin to pieces.
    if not any(unicodedata.category(mark)[0] == "M" for mark in set(_MARK.findall(text))):
        yield from ranges
        return
    held: tuple[int, int] | None = None
    for start, end in ranges:
        if held and held[1] == start and _continues(text[start - 1], text[start]):
            held = (held[0], end)
            continue
        if held:
            yield held
        held = (start, end)
    if held:
        yield held


def _continues(before: str, after: str) -> bool:
    left, right = unicodedata.category(before), unicodedata.category(after)
    if right[0] == "M":
        return left[0] in "LMN" and not _is_selector(after)
    return left[0] == "M" and right[0] == "L" and not _is_selector(before)


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f"
