"""Draws the architecture of MNER-QG that docs/mner-qg.md shows.

python docs/mner_qg_figure.py [docs/mner-qg.svg]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Literal

WIDTH, HEIGHT = 900, 640
_LINE = 17
_FILLS = {"data": "#ffffff", "pretrained": "#d7e5f5", "new": "#fdeecb", "answer": "#dcefd8"}

Kind = Literal["data", "pretrained", "new", "answer"]


def block(
    left: int, top: int, width: int, height: int, text: str, kind: Kind, *, part: bool = False
) -> str:
    """A box with centred lines; ``part``: dashed, since a setting leaves it out."""
    lines = text.split("\n")
    middle, first = left + width / 2, top + height / 2 - _LINE * (len(lines) - 1) / 2 + 5
    dashes = ' stroke-dasharray="7 4"' if part else ""
    words = "".join(
        f'<text x="{middle:g}" y="{first + _LINE * number:g}">{escape(line)}</text>\n'
        for number, line in enumerate(lines)
    )
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="6" '
        f'fill="{_FILLS[kind]}" stroke="#333"{dashes}/>\n{words}'
    )


def arrow(*points: tuple[int, int], both: bool = False) -> str:
    """A line through points with a head at its end, or at both."""
    path = " ".join(f"{x},{y}" for x, y in points)
    start = ' marker-start="url(#head)"' if both else ""
    return f'<polyline points="{path}" fill="none" stroke="#333"{start} marker-end="url(#head)"/>\n'


def note(x: int, y: int, text: str) -> str:
    """Small words that begin at a point."""
    return f'<text class="note" x="{x}" y="{y}">{escape(text)}</text>\n'


def _text_side() -> Iterator[str]:
    yield block(30, 20, 330, 44, "[CLS] query [SEP] sentence [SEP]", "data")
    yield arrow((195, 64), (195, 94))
    yield block(30, 96, 330, 56, "BERT or RoBERTa\nlinear layer to the common width", "pretrained")
    yield arrow((195, 152), (195, 270))
    yield note(205, 215, "a state for each piece")


def _picture_side() -> Iterator[str]:
    yield block(480, 20, 390, 44, "picture, 256 x 256: once for all queries", "data")
    yield arrow((675, 64), (675, 94))
    yield block(480, 96, 390, 40, "ResNet, Swin or ConvNeXt", "pretrained")
    for left, side in ((480, 32), (620, 16), (760, 8)):
        yield arrow((left + 55, 136), (left + 55, 168))
        yield block(left, 170, 110, 56, f"{side} x {side}\n1 x 1 conv.", "new")
        yield arrow((left + 55, 226), (left + 55, 270))
    for left in (620, 760):
        yield arrow((left, 198), (left - 28, 198))
    yield note(388, 194, "coarser maps")
    yield note(388, 209, "go into finer")


def _meeting() -> Iterator[str]:
    yield block(
        30, 272, 330, 62, "pieces look at positions,\nthree scales are fused", "new", part=True
    )
    yield block(480, 272, 390, 62, "positions look at pieces,\nat each scale", "new", part=True)
    yield arrow((362, 303), (478, 303), both=True)
    yield note(372, 262, "cross-modality")
    yield note(372, 350, "interaction")


def _answers() -> Iterator[str]:
    yield arrow((105, 334), (105, 374))
    yield block(30, 376, 150, 62, "existence:\nfirst piece", "new", part=True)
    yield arrow((180, 407), (218, 407))
    yield arrow((290, 334), (290, 374))
    yield block(220, 376, 140, 62, "its state goes to\nevery piece", "new", part=True)
    yield arrow((105, 438), (105, 558))
    yield arrow((290, 438), (290, 468))
    yield block(190, 470, 170, 56, "mean of a word's pieces:\nstart, end, match", "new")
    yield arrow((275, 526), (275, 558))
    yield arrow((675, 334), (675, 468))
    yield block(
        480,
        470,
        390,
        56,
        "3 anchors a cell, at three scales: logit, box\n“no region”",
        "new",
        part=True,
    )
    yield arrow((360, 420), (430, 420), (430, 510), (478, 510))
    yield note(438, 440, "first piece")
    yield arrow((675, 526), (675, 558))
    yield block(30, 560, 140, 44, "is there one?", "answer")
    yield block(190, 560, 170, 44, "spans of the type", "answer")
    yield block(480, 560, 390, 44, "the region of the type, or none", "answer")
    yield note(
        30,
        630,
        "blue: pretrained; dashed: a setting leaves it out; every answer has a part in the loss",
    )


def figure() -> str:
    """The figure as SVG."""
    parts = [*_text_side(), *_picture_side(), *_meeting(), *_answers()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="14" text-anchor="middle">\n'
        "<title>MNER-QG</title>\n"
        "<style>.note{font-size:12px;text-anchor:start;fill:#333}</style>\n"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto-start-reverse"><path d="M0,0 8,4 0,8z" fill="#333"/>'
        "</marker></defs>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n' + "".join(parts) + "</svg>\n"
    )


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/mner-qg.svg").write_text(figure(), "utf-8")
