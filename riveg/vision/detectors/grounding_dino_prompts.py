"""Phrases as GroundingDINO reads them: lower case, each closed by a full stop, in BERT's tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_FRAME = 2
"""[CLS] before and [SEP] behind the phrases."""


Phrase = tuple[int, ...]
"""Tokens of one phrase with its full stop, without [CLS] and [SEP]."""


@dataclass(frozen=True, slots=True)
class PhrasePrompt:
    """One text for the network; ``phrases`` are half-open token ranges, without the full stops."""

    tokens: tuple[int, ...]
    phrases: tuple[tuple[int, int], ...]


def phrase_text(text: str) -> str:
    """A phrase without marks that would end it early: the network splits at ``.`` and ``?``.

    >>> phrase_text("St. Louis,  the City?")
    'st louis, the city'
    """
    return " ".join(re.sub(r"[.?]", " ", text.lower()).split())


def count_tokens(text: str, tokenizer: Any) -> int:
    """Tokens of a prompt of one phrase, with its full stop, [CLS] and [SEP]."""
    return len(_tokens(text, tokenizer)) + 1 + _FRAME


def read_phrase(text: str, tokenizer: Any) -> Phrase | None:
    """A phrase's tokens; ``None`` where there are none.

    Args:
        text: As :func:`phrase_text` gives it.
        tokenizer: BERT's.
    """
    tokens = _tokens(text, tokenizer)
    return (*tokens, tokenizer.convert_tokens_to_ids(".")) if tokens else None


def join_phrases(phrases: Sequence[Phrase], tokenizer: Any) -> PhrasePrompt:
    """One prompt of phrases, "a. b. c."."""
    tokens = [tokenizer.cls_token_id]
    ranges = []
    for phrase in phrases:
        ranges.append((len(tokens), len(tokens) + len(phrase) - 1))
        tokens += phrase
    return PhrasePrompt((*tokens, tokenizer.sep_token_id), tuple(ranges))


def fill_prompts(phrases: Sequence[Phrase], most_tokens: int) -> list[list[int]]:
    """Which phrases share a prompt so that each prompt is short enough, in order.

    >>> five = (7, 7, 7, 7, 9)
    >>> fill_prompts([five, five, five], 12)
    [[0, 1], [2]]
    """
    groups: list[list[int]] = []
    left = 0
    for number, phrase in enumerate(phrases):
        if not groups or len(phrase) > left:
            groups.append([])
            left = most_tokens - _FRAME
        groups[-1].append(number)
        left -= len(phrase)
    return groups


def _tokens(text: str, tokenizer: Any) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
