"""Where the messages of two prompts differ for the same sample."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from riveg.prompt_debug.document import Row, Said, Side
from riveg.prompt_debug.word_diff import PIECES

_CONTEXT = 12
"""Pieces (words, spaces, signs) of the shared text that are shown on each side of a change."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words of both prompts' messages, or of one of them: ``side`` is ``A``, ``B`` or empty."""

    text: str
    side: Literal["", "A", "B"] = ""


@dataclass(frozen=True, slots=True)
class MessageDiff:
    """How two prompts' messages differ.

    Args:
        sample_id: For which sample.
        shared: Share of the words that they have in common, in [0, 1].
        changes: Places where they differ, each with a few shared words around it.
    """

    sample_id: str
    shared: float
    changes: tuple[tuple[Stretch, ...], ...]


def message_diff(first: Side, second: Side) -> MessageDiff | None:
    """The difference for the first sample that both prompts are about; ``None``: there is none."""
    pair = _about_same_subject(first, second)
    if pair is None:
        return None
    texts = (
        _text_of((*first.shared, *pair[0].messages)),
        _text_of((*second.shared, *pair[1].messages)),
    )
    pieces = PIECES.findall(texts[0]), PIECES.findall(texts[1])
    matcher = SequenceMatcher(None, *pieces, autojunk=False)
    return MessageDiff(pair[0].sample_id, matcher.ratio(), tuple(_changes(matcher, *pieces)))


def _about_same_subject(first: Side, second: Side) -> tuple[Row, Row] | None:
    """The first requests about the same entities, or at least about the same sample."""
    pairs = [(one, other) for one in first.rows for other in second.rows]
    for key in (lambda row: (row.sample_id, row.entity_ids), lambda row: row.sample_id):
        for one, other in pairs:
            if key(one) == key(other):
                return one, other
    return None


def _text_of(messages: tuple[Said, ...]) -> str:
    return "\n\n".join("\n".join([f"[{one.role}]", *one.pictures, one.text]) for one in messages)


def _changes(
    matcher: SequenceMatcher[str], first: list[str], second: list[str]
) -> Iterator[tuple[Stretch, ...]]:
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        if all(kind == "equal" for kind, *_ in group):
            continue
        stretches: list[Stretch] = []
        for kind, start, end, other_start, other_end in group:
            if kind == "equal":
                stretches.append(Stretch(_flat(first[start:end])))
                continue
            stretches.append(Stretch("".join(first[start:end]), "A"))
            stretches.append(Stretch("".join(second[other_start:other_end]), "B"))
        yield tuple(stretch for stretch in stretches if stretch.text)


def _flat(pieces: list[str]) -> str:
    return re.sub(r"\s+", " ", "".join(pieces))
