"""E2E-GMNER's answer text: ``mention|type|region`` separated by semicolons, both ways."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

Corners = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max, perhaps without an area."""

_BLOCK = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_AFTER_THOUGHT = "</think>"
_SEGMENT_ENDS = re.compile("[;\uff1b\n]")
# Full-width, light and heavy box-drawing, broken, and mathematical bar.
_BARS = str.maketrans(dict.fromkeys("\uff5c\u2502\u2503\u00a6\u2223", "|"))
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NOWHERE = frozenset({"none", "n/a"})
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Triple:
    """An entity of an answer; ``boxes`` is ``()`` for nowhere and ``None`` where unreadable."""

    mention: str
    label: str
    boxes: tuple[Corners, ...] | None


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """The triples of an answer, and how many of its pieces are none."""

    triples: tuple[Triple, ...]
    dropped: int


def answer_text(generated: str) -> str:
    """The answer in a generated text: its first answer block, or what follows the thinking."""
    block = _BLOCK.search(generated)
    if block is not None:
        return block[1]
    return generated.rpartition(_AFTER_THOUGHT)[2]


def parse_answer(text: str) -> ParsedAnswer:
    """Triples in their order; a piece with fewer than three parts is dropped and counted.

    >>> parse_answer("Ann Lee|PER|[1,2,30,40]; Paris|LOC|None").triples[1]
    Triple(mention='Paris', label='LOC', boxes=())
    """
    triples = []
    dropped = 0
    for piece in _SEGMENT_ENDS.split(text):
        parts = [part.strip() for part in piece.translate(_BARS).split("|")]
        if len(parts) >= 3:
            triples.append(Triple("|".join(parts[:-2]), parts[-2], _parse_boxes(parts[-1])))
        elif parts != [""]:
            dropped += 1
    if text.strip().casefold() in _NOWHERE:
        dropped = 0
    return ParsedAnswer(tuple(triples), dropped)


def format_answer(triples: Iterable[Triple]) -> str:
    """The text of an answer; words are written as they are, without any escaping."""
    return "; ".join(f"{item.mention}|{item.label}|{_boxes_text(item.boxes)}" for item in triples)


def _parse_boxes(text: str) -> tuple[Corners, ...] | None:
    if text.casefold() in _NOWHERE:
        return ()
    numbers = [float(number) for number in _NUMBER.findall(text)]
    boxes = tuple(
        (numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3])
        for at in range(0, len(numbers) - 3, 4)
        if all(map(math.isfinite, numbers[at : at + 4]))
    )
    return boxes or None


def _boxes_text(boxes: tuple[Corners, ...] | None) -> str:
    if boxes is None:
        return _UNKNOWN
    written = [f"[{','.join(map(str, box))}]" for box in boxes]
    if not written:
        return "None"
    return written[0] if len(written) == 1 else f"[{','.join(written)}]"
