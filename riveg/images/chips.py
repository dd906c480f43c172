"""Where the labels over boxes lie: within the image, and none over another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from riveg.types import ImageSize

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; all of them belong to it."""


def chip_place(
    frame: Rectangle,
    size: ImageSize,
    canvas: ImageSize,
    placed: Sequence[Rectangle],
    frames: Sequence[Rectangle],
) -> Rectangle | None:
    """Where a chip covers no other chip, and then the fewest pixels of small frames.

    Among equally good places the first is taken: above the frame, in its upper corners, below it,
    beside it, in its lower corners, then on a grid, the nearest first: near the frame where a
    quarter of the chip would else cover small frames, anywhere where it would cover another chip.

    Args:
        frame: What the chip belongs to.
        size: The chip's size.
        canvas: The image's size.
        placed: The chips that are there.
        frames: All frames.

    Returns:
        A place inside the image; ``None`` where no place is free.
    """
    if size.width > canvas.width or size.height > canvas.height:
        return None

    def cost(place: Rectangle) -> tuple[int, int]:
        hidden = sum(_overlap(place, other) for other in placed)
        small = (other for other in frames if area(other) < canvas.width * canvas.height / 10)
        return hidden, sum(_overlap(place, other) for other in small)

    near = [_inside(corner, size, canvas) for corner in _corners(frame, size)]
    best = min(near, key=cost)
    covered = cost(best)
    if covered[0] == 0 and covered[1] <= size.width * size.height / 4:
        return best
    rows = range(0, max(1, canvas.height - size.height), size.height + 1)
    columns = range(0, max(1, canvas.width - size.width), max(1, size.width // 3))
    grid = [_inside(corner, size, canvas) for corner in product(columns, rows)]
    grid.sort(key=lambda place: _distance(place, frame))
    if covered[0] == 0:
        reach = 2 * size.height
        return min([best, *(one for one in grid if _distance(one, frame) <= reach)], key=cost)
    return _first_free(grid, placed) or _first_free(_gaps(frame, size, canvas, placed), placed)


def area(frame: Rectangle) -> int:
    """Its number of pixels."""
    return (frame[2] - frame[0] + 1) * (frame[3] - frame[1] + 1)


def _gaps(
    frame: Rectangle, size: ImageSize, canvas: ImageSize, placed: Sequence[Rectangle]
) -> list[Rectangle]:
    """Places that touch chips or the image's sides, the nearest first: if any is free, one is."""
    lefts = {0, canvas.width - size.width}
    tops = {0, canvas.height - size.height}
    for left, top, right, bottom in placed:
        lefts |= {right + 1, left - size.width}
        tops |= {bottom + 1, top - size.height}
    corners = product(
        _within(lefts, canvas.width - size.width), _within(tops, canvas.height - size.height)
    )
    places = [_inside(corner, size, canvas) for corner in corners]
    return sorted(places, key=lambda place: _distance(place, frame))


def _first_free(places: Sequence[Rectangle], placed: Sequence[Rectangle]) -> Rectangle | None:
    """The first place that meets no chip."""
    left, top, right, bottom = np.array(places).T
    free = np.ones(len(places), dtype=bool)
    for other in placed:
        across = (left <= other[2]) & (right >= other[0])
        free &= ~(across & (top <= other[3]) & (bottom >= other[1]))
    return places[int(free.argmax())] if free.any() else None


def _within(values: Iterable[int], most: int) -> list[int]:
    return sorted(value for value in values if 0 <= value <= most)


def _corners(frame: Rectangle, size: ImageSize) -> list[tuple[int, int]]:
    left, top, right, bottom = frame
    width, height = size
    return [
        (left, top - height),
        (right - width + 1, top - height),
        (left, top),
        (right - width + 1, top),
        (left, bottom + 1),
        (right - width + 1, bottom + 1),
        (right + 1, (top + bottom - height) // 2),
        (left - width, (top + bottom - height) // 2),
        (left, bottom - height + 1),
        (right - width + 1, bottom - height + 1),
    ]


def _inside(corner: tuple[int, int], size: ImageSize, canvas: ImageSize) -> Rectangle:
    left = max(0, min(corner[0], canvas.width - size.width))
    top = max(0, min(corner[1], canvas.height - size.height))
    return left, top, left + size.width - 1, top + size.height - 1


def _distance(place: Rectangle, frame: Rectangle) -> int:
    """How far the gap between two rectangles is, in pixels along both axes."""
    across = max(place[0] - frame[2], frame[0] - place[2], 0)
    down = max(place[1] - frame[3], frame[1] - place[3], 0)
    return across + down


def _overlap(one: Rectangle, other: Rectangle) -> int:
    width = min(one[2], other[2]) - max(one[0], other[0]) + 1
    height = min(one[3], other[3]) - max(one[1], other[1]) + 1
    return width * height if width > 0 and height > 0 else 0
