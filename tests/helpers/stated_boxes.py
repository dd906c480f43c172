"""Boxes of drawings as a model would state them that makes no mistake."""

from __future__ import annotations

from riveg.probe.drawings import Drawings
from riveg.probe.verdict import Candidate, Stated
from riveg.types import Box, ImageSize


def stated_box(candidate: Candidate, box: Box, size: ImageSize, side: int) -> tuple[float, ...]:
    """A box in a frame, not rounded, of an image sent with at most so long a side."""
    across, down = candidate.reader(side).extent(size)
    x_min, x_max = (edge / size.width * across for edge in (box.x_min, box.x_max))
    y_min, y_max = (edge / size.height * down for edge in (box.y_min, box.y_max))
    if candidate.frame.rows_first:
        return y_min, x_min, y_max, x_max
    return x_min, y_min, x_max, y_max


def stated_in(candidate: Candidate, drawings: Drawings, side: int) -> list[Stated]:
    """Every box of the drawings in a frame, in whole numbers where the frame has them."""
    found = []
    for scene, target in drawings.things:
        numbers = stated_box(candidate, target.box, scene.size, side)
        if candidate.frame.is_whole:
            numbers = tuple(map(round, numbers))
        found.append(Stated(numbers, target.box, scene.size))
    return found
