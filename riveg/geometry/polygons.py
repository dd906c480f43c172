"""Masks as polygons along the pixels' edges.

Frame: pixel ``(0, 0)`` covers ``[0, 1] x [0, 1]``; points are ``(x, y)`` in pixels. Without a
tolerance the polygons are exact: their area is the number of pixels, and rasterising them with
``pycocotools.mask.frPyObjects`` gives exactly the same mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riveg.types import Mask

Point = tuple[float, float]
Ring = tuple[Point, ...]
"""Corners in order, the first not repeated at the end."""


@dataclass(frozen=True, slots=True)
class Polygon:
    """One part of a mask: pixels that are connected by their sides.

    Args:
        exterior: The outer boundary, clockwise on the screen.
        holes: The boundaries of its holes, counter-clockwise on the screen.
    """

    exterior: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def area(self) -> float:
        """In pixels; never negative for polygons of :func:`mask_to_polygons`."""
        return ring_area(self.exterior) + sum(map(ring_area, self.holes))


def ring_area(ring: Ring) -> float:
    """Signed area: positive clockwise on the screen, negative for holes.

    >>> ring_area(((0, 0), (3, 0), (3, 2), (0, 2)))
    6.0
    """
    if not ring:
        return 0.0
    following = (*ring[1:], ring[0])
    doubled = sum(x * v - u * y for (x, y), (u, v) in zip(ring, following, strict=True))
    return doubled / 2


def mask_to_polygons(mask: Mask, tolerance: float = 0.0) -> tuple[Polygon, ...]:
    """The mask's parts, top to bottom; ``()`` for a mask without a pixel.

    Pixels that touch only at a corner belong to different parts. No ring meets itself; a hole may
    meet its exterior at a corner.

    Args:
        mask: The pixels.
        tolerance: How far, in pixels, a simplified boundary may lie from the exact one. Parts
            never vanish; a hole that would vanish is filled.

    Raises:
        ValueError: If the mask's run lengths are damaged.
    """
    array, left, top = _cropped(mask.to_numpy())
    rings = [ring for cycle in _cycles(array) for ring in _simple_rings(cycle)]
    polygons = _with_holes(array, rings, left, top)
    return tuple(_simplified(polygon, tolerance) for polygon in polygons) if tolerance else polygons


def joined_ring(rings: Sequence[Ring]) -> Ring:
    """Several rings as one, joined by bridges that run there and back.

    For formats with one ring an object. Bridges have no area, so filling the ring, by the even-odd
    or the non-zero rule, fills the parts and leaves the holes. Each ring is joined to the next at
    their nearest corners.
    """
    if not rings:
        return ()
    joined = list(rings[-1])
    for ring, following in zip(rings[-2::-1], rings[:0:-1], strict=True):
        here, there = _nearest(ring, following)
        at = joined.index(following[there])
        joined = [*ring[: here + 1], *joined[at:], *joined[: at + 1], *ring[here:]]
    return tuple(joined)


def flat(ring: Ring) -> list[float]:
    """``[x1, y1, x2, y2, ...]``, as COCO writes polygons."""
    return [edge for point in ring for edge in point]


def _nearest(one: Ring, other: Ring) -> tuple[int, int]:
    gaps = np.asarray(one)[:, None] - np.asarray(other)[None]
    first, second = np.unravel_index(np.argmin((gaps**2).sum(axis=2)), (len(one), len(other)))
    return int(first), int(second)


def _cropped(array: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int, int]:
    """The smallest rectangle that holds all pixels of the mask, and its left and top edge."""
    rows, columns = np.flatnonzero(array.any(axis=1)), np.flatnonzero(array.any(axis=0))
    if not len(rows):
        return array[:0, :0], 0, 0
    left, top = int(columns[0]), int(rows[0])
    return array[top : rows[-1] + 1, left : columns[-1] + 1], left, top


def _cycles(array: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Closed paths along the boundary, corner by corner, with the mask's pixels on the right.

    A boundary turns at a grid point if one or three of the four pixels around it are inside. If two
    diagonal ones are inside, it turns twice, around each of the two. Along a row of grid points the
    first corner is joined to the second, the third to the fourth; along a column likewise.
    """
    padded = np.pad(array, 1)
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    crossing = (upper_left == lower_right) & (upper_right == lower_left)
    crossing &= upper_left != upper_right
    turns = upper_left ^ upper_right ^ lower_left ^ lower_right
    rows, columns = np.nonzero(turns | crossing)
    times = 1 + crossing[rows, columns]
    rows, columns = np.repeat(rows, times), np.repeat(columns, times)
    rank = np.zeros(len(rows), dtype=np.intp)
    rank[np.cumsum(times)[times == 2] - 1] = 1
    # The left edge continues with the upper one around the upper left pixel, else with the lower.
    rank ^= crossing[rows, columns] & ~upper_left[rows, columns]
    down = np.lexsort((rank, rows, columns))
    after = np.empty(len(rows), dtype=np.intp)
    left, right = np.arange(0, len(rows), 2), np.arange(1, len(rows), 2)
    _link(after, left, right, lower_right[rows[left], columns[left]])
    top, bottom = down[0::2], down[1::2]
    _link(after, top, bottom, lower_left[rows[top], columns[top]])
    return _follow(after.tolist(), list(zip(columns.tolist(), rows.tolist(), strict=True)))


def _link(
    after: NDArray[np.intp],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    forward: NDArray[np.bool_],
) -> None:
    after[np.where(forward, first, second)] = np.where(forward, second, first)


def _follow(after: list[int], points: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    cycles = []
    seen = bytearray(len(after))
    for start in range(len(after)):
        corner = start
        cycle = []
        while not seen[corner]:
            seen[corner] = 1
            cycle.append(points[corner])
            corner = after[corner]
        if cycle:
            cycles.append(cycle)
    return cycles


def _simple_rings(cycle: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """A path cut where it meets itself, so that no ring meets itself."""
    if len(set(cycle)) == len(cycle):
        return [cycle]
    rings = []
    path: list[tuple[int, int]] = []
    position: dict[tuple[int, int], int] = {}
    for point in cycle:
        if point in position:
            ring = path[position[point] :]
            del path[position[point] :]
            for passed in ring:
                del position[passed]
            rings.append(ring)
        position[point] = len(path)
        path.append(point)
    return [*rings, path]


def _with_holes(
    array: NDArray[np.bool_], rings: Sequence[list[tuple[int, int]]], left: int, top: int
) -> tuple[Polygon, ...]:
    """The rings as polygons, each hole with its part; points are relative to the whole mask."""
    from cv2 import connectedComponents

    real = [tuple((float(x + left), float(y + top)) for x, y in ring) for ring in rings]
    areas = [ring_area(ring) for ring in real]
    if len(real) < 2 or min(areas) > 0:
        return tuple(map(Polygon, real))
    _, parts = connectedComponents(array.astype(np.uint8), connectivity=4)
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring, area, points in zip(real, areas, rings, strict=True):
        part = int(parts[_pixel_inside(points)])
        if area > 0:
            exteriors[part] = ring
        else:
            holes.setdefault(part, []).append(ring)
    return tuple(Polygon(ring, tuple(holes.get(part, ()))) for part, ring in exteriors.items())


def _pixel_inside(ring: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Row and column of a pixel of the mask at the ring: below an edge that runs to the right."""
    following = (*ring[1:], ring[0])
    return next((y, x) for (x, y), (u, _) in zip(ring, following, strict=True) if u > x)


def _simplified(polygon: Polygon, tolerance: float) -> Polygon:
    exterior = _simplified_ring(polygon.exterior, tolerance)
    holes = (_simplified_ring(ring, tolerance) for ring in polygon.holes)
    kept = tuple(ring for ring in holes if ring_area(ring) < 0)
    return Polygon(exterior if ring_area(exterior) > 0 else polygon.exterior, kept)


def _simplified_ring(ring: Ring, tolerance: float) -> Ring:
    from cv2 import approxPolyDP

    points = approxPolyDP(np.asarray(ring, dtype=np.float32)[:, None], tolerance, closed=True)
    return tuple((float(x), float(y)) for x, y in points[:, 0])
