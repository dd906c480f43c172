"""Which name of a text gets which body of the image.

A *body* is the box of a person (:mod:`riveg.vision.plain.people`), or that of an object where names
of things are placed. Names are values that are equal where a name comes twice.

1. Each name gets one body at most, and each body one name.
2. A body goes to the name that is written on it, in full or as the surname alone (a jersey, a name
   tag, a caption); OCR text with the highest score goes first.
3. Where there are more bodies than names, the largest and most central ones are kept: by area times
   a bell curve around the middle of the image's width (deviation 0.17, which is that of the boxes
   of people who are alone in train's images).
4. Bodies from left to right get the names in the order of the text. (In train's samples with
   several people of one box each, that order is right for 54 % of neighbours. That is little, but
   to give the first name the largest body is right for 49 % of pairs.)
5. Where there are more names than bodies, the first names get them: where train shows one of two
   people, it is the first in 72 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from riveg.geometry.boxes import common_area
from riveg.types import Box
from riveg.vision.plain.names_in_ocr import Spelling

_CENTER_DEVIATION = 0.17
_LEAST_SHARE_ON_BODY = 0.6

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Body:
    """A box of a person or a thing, its score in [0, 1], and the evidence for it."""

    box: Box
    score: float
    source: str


def assign_bodies(
    names: Sequence[Name],
    bodies: Sequence[Body],
    spellings: Mapping[Name, Sequence[Spelling]],
    width: int,
) -> dict[Name, Body]:
    """The body of each name that gets one.

    Args:
        names: Distinct, in the order of the text.
        bodies: Of the image.
        spellings: Where the image spells each name.
        width: Of the image, in pixels.
    """
    assigned: dict[Name, Body] = {}
    free = list(bodies)
    for name, body in _written_on_bodies(names, bodies, spellings):
        if name not in assigned and body in free:
            assigned[name] = body
            free.remove(body)
    without_body = [name for name in names if name not in assigned]
    free.sort(key=lambda body: (-_prominence(body.box, width), body.box.x_min, body.box.y_min))
    prominent = free[: len(without_body)]
    prominent.sort(key=lambda body: (body.box.x_min + body.box.x_max, body.box.y_min))
    return assigned | dict(zip(without_body, prominent, strict=False))


def is_written_on(text: Box, body: Box) -> bool:
    """Whether most of an OCR text lies on a body."""
    return common_area(text, body) > _LEAST_SHARE_ON_BODY * text.area


def _written_on_bodies(
    names: Sequence[Name], bodies: Sequence[Body], spellings: Mapping[Name, Sequence[Spelling]]
) -> list[tuple[Name, Body]]:
    """Names with the bodies that they are written on, the highest score first."""
    ranked = [
        (-spelling.score, order, -_largest_share(spellings[name], body.box), name, body)
        for order, name in enumerate(names)
        for spelling in spellings[name]
        for body in bodies
        if is_written_on(spelling.box, body.box)
    ]
    ranked.sort(key=lambda one: one[:3])
    return [(name, body) for *_, name, body in ranked]


def _largest_share(spellings: Sequence[Spelling], body: Box) -> float:
    return max(common_area(one.box, body) / one.box.area for one in spellings)


def _prominence(box: Box, width: int) -> float:
    offset = ((box.x_min + box.x_max) / 2 / width - 0.5) / _CENTER_DEVIATION
    return box.area * math.exp(-offset * offset / 2)
