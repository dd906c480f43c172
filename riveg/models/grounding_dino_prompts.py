"""Phrases as GroundingDINO reads them: lower case, each closed by a full stop, in BERT's tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from riveg.models.query_text import cut_to_fit

_FRAME = 2
"""[CLS] before and [SEP] behind the phrases."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase with its full stop, without [CLS] and [SEP].

    ``text`` is what was read; ``was_cut`` says that there was more than the network reads.
    """

    tokens: tuple[int, ...]
    text: str
    was_cut: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text for the network; ``phrases`` are half-open token ranges, without the full stops."""

    tokens: tuple[int, ...]
    phrases: tuple[tuple[int, int], ...]


def phrase_text(text: str) -> str:
    """A phrase without what would end it early: the network parts phrases at ``.`` and ``?``.

    >>> phrase_text("St. Louis,  the City?")
    'st louis, the city'
    """
    return " ".join(re.sub(r"[.?]", " ", text.lower()).split())


def read_phrase(text: str, tokenizer: Any, most_tokens: int) -> Phrase | None:
    """A phrase's tokens, cut at a word where they are too many; ``None`` where there are none.

    Args:
        text: As :func:`phrase_text` gives it.
        tokenizer: BERT's.
        most_tokens: What the network reads, [CLS] and [SEP] included.
    """
    room = most_tokens - _FRAME - 1
    cut = cut_to_fit(text, room, lambda part: len(_tokens(part, tokenizer)))
    tokens = _tokens(cut.text, tokenizer)
    if not tokens:
        return None
    return Phrase((*tokens, tokenizer.convert_tokens_to_ids(".")), cut.text, cut.was_cut)


def join_phrases(phrases: Sequence[Phrase], tokenizer: Any) -> Prompt:
    """One prompt of phrases, "a. b. c."."""
    tokens = [tokenizer.cls_token_id]
    ranges = []
    for phrase in phrases:
        ranges.append((len(tokens), len(tokens) + len(phrase.tokens) - 1))
        tokens += phrase.tokens
    return Prompt((*tokens, tokenizer.sep_token_id), tuple(ranges))


def fill_prompts(phrases: Sequence[Phrase], most_tokens: int) -> list[list[int]]:
    """Which phrases stand together so that each prompt is short enough, in order.

    >>> five = Phrase((7, 7, 7, 7, 9), "a b c d", was_cut=False)
    >>> fill_prompts([five, five, five], 12)
    [[0, 1], [2]]
    """
    groups: list[list[int]] = []
    left = 0
    for number, phrase in enumerate(phrases):
        if not groups or len(phrase.tokens) > left:
            groups.append([])
            left = most_tokens - _FRAME
        groups[-1].append(number)
        left -= len(phrase.tokens)
    return groups


def _tokens(text: str, tokenizer: Any) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
