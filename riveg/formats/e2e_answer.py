"""E2E-GMNER's answer text: ``mention|type|region`` separated by semicolons, both ways."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

Corners = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max, perhaps without an area."""

_BLOCK = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"</think>", re.IGNORECASE)
_SEGMENT_ENDS = re.compile("[;\uff1b\n]")
# Full-width bar, box-drawing bar, the Han radical U+4E28, half-width bar, and "divides".
_BARS = str.maketrans(dict.fromkeys("\uff5c\u2502\u4e28\uffe8\u2223", "|"))
_NUMBER = re.compile(r"[-+]?\d*\.?\d+")
_NOWHERE = frozenset({"none", "n/a"})
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Triple:
    """An entity of an answer; ``boxes`` is ``()`` for nowhere and ``None`` where unreadable.

    ``piece`` is what it was read from.
    """

    mention: str
    label: str
    boxes: tuple[Corners, ...] | None
    piece: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """The triples of an answer, and how many of its pieces are none."""

    triples: tuple[Triple, ...]
    dropped: int


def answer_text(generated: str) -> str:
    """The answer in a generated text: its first answer block, or what follows the first thought."""
    block = _BLOCK.search(generated)
    if block is not None:
        return block[1]
    return _THOUGHT_END.split(generated, maxsplit=1)[-1]


def parse_answer(text: str) -> ParsedAnswer:
    """Triples in their order; a piece with fewer than three filled parts is dropped and counted.

    >>> parse_answer("Ann Lee|PER|[1,2,30,40]; Paris|LOC|None").triples[1]
    Triple(mention='Paris', label='LOC', boxes=())
    """
    triples = []
    dropped = 0
    for piece in _SEGMENT_ENDS.split(text):
        parts = [part.strip() for part in piece.translate(_BARS).split("|") if part.strip()]
        if len(parts) >= 3:
            mention, boxes = "|".join(parts[:-2]), _parse_boxes(parts[-1])
            triples.append(Triple(mention, parts[-2], boxes, piece.strip()))
        elif piece.strip():
            dropped += 1
    if text.strip().casefold() in _NOWHERE:
        dropped = 0
    return ParsedAnswer(tuple(triples), dropped)


def format_answer(triples: Iterable[Triple]) -> str:
    """The text of an answer; words are written as they are, without any escaping.

    >>> format_answer([Triple("Ann Lee", "PER", ((1, 2, 30, 40),)), Triple("Paris", "LOC", ())])
    'Ann Lee|PER|[1,2,30,40]; Paris|LOC|None'
    """
    pieces = [f"{item.mention}|{item.label}|{_boxes_text(item.boxes)}" for item in triples]
    return "; ".join(pieces) or "None"


def _parse_boxes(text: str) -> tuple[Corners, ...] | None:
    if text.casefold() in _NOWHERE:
        return ()
    numbers = _listed_numbers(text)
    if numbers is None:
        numbers = [float(number) for number in _NUMBER.findall(text)]
    if len(numbers) % 4:
        return None
    boxes = tuple(
        (numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3])
        for at in range(0, len(numbers), 4)
        if all(map(math.isfinite, numbers[at : at + 4]))
    )
    return boxes or None


def _listed_numbers(text: str) -> list[float] | None:
    """The numbers of a JSON list of four, or of a list of such lists; ``None``: it is neither."""
    try:
        values = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    boxes = [values] if _is_box(values) else values
    if not isinstance(boxes, list) or not all(map(_is_box, boxes)):
        return None
    return [number for box in boxes for number in box]


def _is_box(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(number, float) for number in value)
    )


def _boxes_text(boxes: tuple[Corners, ...] | None) -> str:
    if boxes is None:
        return _UNKNOWN
    written = [f"[{','.join(map(str, box))}]" for box in boxes]
    if not written:
        return "None"
    return written[0] if len(written) == 1 else f"[{','.join(written)}]"
