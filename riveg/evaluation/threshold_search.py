"""The best pair of thresholds, searched over every one that makes a difference.

The hits of a part of a sample change only at its own probabilities and scores, so they are a few
rectangles in the plane of the two thresholds. All rectangles together are summed without a grid
being chosen: the cells lie between the values that were observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_CELLS = 4_000_000
"""Cells of the plane that are in memory at once."""

Curve = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Axis:
    """The cells of one threshold, within which it makes no difference where it lies.

    Cell ``i`` are the thresholds in ``(edges[i], edges[i + 1]]``: what scores at least the
    threshold passes. Edges ascend from the bound that thresholds must exceed to 1; ``floor`` is
    that bound for people: just above it, where the lowest threshold itself is one.
    """

    edges: NDArray[np.float64]
    floor: float

    @classmethod
    def above(cls, bound: float, values: Iterable[float]) -> Axis:
        """The axis of the thresholds above a bound, cut at the values that were observed."""
        inner = {value for value in values if bound < value < 1.0}
        return cls(np.array([bound, *sorted(inner), 1.0]), bound)

    @classmethod
    def since(cls, lowest: float, values: Iterable[float]) -> Axis:
        """The axis of the thresholds from the lowest one on."""
        axis = cls.above(float(np.nextafter(lowest, -1.0)), values)
        return replace(axis, floor=lowest)

    @property
    def cells(self) -> int:
        return len(self.edges) - 1

    def cell_of(self, threshold: float) -> int:
        """The cell of a threshold.

        Raises:
            ValueError: If it is not above the bound, or above 1.
        """
        cell = int(np.searchsorted(self.edges, threshold, side="left")) - 1
        if not 0 <= cell < self.cells:
            raise ValueError(f"{threshold} is not in ({self.edges[0]}, {self.edges[-1]}]")
        return cell

    def passed_until(self, value: float) -> int:
        """How many cells, from the first, have thresholds that a value reaches."""
        return int(np.searchsorted(self.edges[1:], value, side="right"))

    def bounds(self, cells: range) -> tuple[float, float]:
        """From where to where neighbouring cells reach, within [0, 1]."""
        low, high = self.edges[cells.start], self.edges[cells.stop]
        return max(self.floor, float(low)), float(high)


class Rectangle(NamedTuple):
    """Hits of one sample for thresholds in ``[first, stop)`` cells of both axes."""

    sample: int
    entail_first: int
    entail_stop: int
    ground_first: int
    ground_stop: int
    hits: int


@dataclass(frozen=True, slots=True)
class Plateau:
    """A threshold from the middle of neighbouring cells that are equally good, and their bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Best:
    """The best pair of thresholds and its hits."""

    hits: int
    entail: Plateau
    ground: Plateau


@dataclass(frozen=True, slots=True)
class Surface:
    """Hits over the plane of both thresholds; ``rectangles`` has a row for each, as the record."""

    entail: Axis
    ground: Axis
    rectangles: NDArray[np.int64]

    @classmethod
    def of(cls, entail: Axis, ground: Axis, rectangles: Sequence[Rectangle]) -> Surface:
        """The surface of these rectangles."""
        rows = np.array(rectangles, dtype=np.int64).reshape(-1, len(Rectangle._fields))
        return cls(entail, ground, rows)

    def only(self, is_wanted: NDArray[np.bool_]) -> Surface:
        """The surface of some samples, chosen by their number."""
        return replace(self, rectangles=self.rectangles[is_wanted[self.rectangles[:, 0]]])

    def hits_by_sample(self, entail: float, ground: float, samples: int) -> Curve:
        """Hits of each sample at a pair of thresholds."""
        row, column = self.entail.cell_of(entail), self.ground.cell_of(ground)
        sample, first, stop, left, right, hits = self.rectangles.T
        covers = (first <= row) & (row < stop) & (left <= column) & (column < right)
        counts = np.bincount(sample[covers], weights=hits[covers], minlength=samples)
        return counts.astype(np.int64)

    def along_entail(self, ground_cell: int) -> Curve:
        """Hits in every cell of the entailment threshold."""
        _, first, stop, left, right, hits = self.rectangles.T
        covers = (left <= ground_cell) & (ground_cell < right)
        return _summed(first[covers], stop[covers], hits[covers], self.entail.cells)

    def along_ground(self, entail_cell: int) -> Curve:
        """Hits in every cell of the detector threshold."""
        _, first, stop, left, right, hits = self.rectangles.T
        covers = (first <= entail_cell) & (entail_cell < stop)
        return _summed(left[covers], right[covers], hits[covers], self.ground.cells)

    def blocks(self) -> Iterator[tuple[int, Curve]]:
        """Rows of the plane, block by block: the first row's number, and the hits of its cells."""
        width = self.ground.cells + 1
        size = max(1, _CELLS // width)
        _, first, stop, left, right, hits = self.rectangles.T
        rows = np.concatenate([first, first, stop, stop])
        columns = np.concatenate([left, right, left, right])
        change = np.concatenate([hits, -hits, -hits, hits])
        order = np.argsort(rows, kind="stable")
        rows, columns, change = rows[order], columns[order], change[order]
        carry = np.zeros(width, dtype=np.int64)
        for start in range(0, self.entail.cells, size):
            end = min(start + size, self.entail.cells)
            mine = slice(*np.searchsorted(rows, [start, end]))
            block = np.zeros((end - start, width), dtype=np.int64)
            np.add.at(block, (rows[mine] - start, columns[mine]), change[mine])
            block[0] += carry
            np.cumsum(block, axis=0, out=block)
            carry = block[-1].copy()
            yield start, np.cumsum(block, axis=1)[:, :-1]

    def best(self) -> Best:
        """The pair with the most hits, from the middle of the widest plateau of such pairs.

        The detector threshold stays at its lowest, where nothing more is dropped, unless a higher
        one makes more hits.
        """
        columns = np.zeros(self.ground.cells, dtype=np.int64)
        for _, block in self.blocks():
            np.maximum(columns, block.max(axis=0), out=columns)
        most = int(columns.max())
        drops_nothing = columns[0] == most
        column = 0 if drops_nothing else _middle_cell(self.ground, _widest(self.ground, columns))
        entail_cells = _widest(self.entail, self.along_entail(column))
        entail = _plateau(self.entail, entail_cells)
        if drops_nothing:
            low, high = self.ground.bounds(range(1))
            return Best(most, entail, Plateau(low, low, high))
        row = self.entail.cell_of(entail.value)
        return Best(most, entail, _plateau(self.ground, self._around(row, column)))

    def _around(self, row: int, column: int) -> range:
        """Cells of the detector threshold around one that are as good as it."""
        curve = self.along_ground(row)
        return next(run for run in _runs(curve == curve[column]) if column in run)


def _summed(first: Curve, stop: Curve, hits: Curve, cells: int) -> Curve:
    change = np.zeros(cells + 1, dtype=np.int64)
    np.add.at(change, first, hits)
    np.add.at(change, stop, -hits)
    return np.cumsum(change)[:-1]


def _runs(is_in: NDArray[np.bool_]) -> list[range]:
    padded = np.concatenate([[False], is_in, [False]]).astype(np.int8)
    turns = np.flatnonzero(np.diff(padded))
    return [range(int(a), int(b)) for a, b in zip(turns[::2], turns[1::2], strict=True)]


def _widest(axis: Axis, curve: Curve) -> range:
    """Neighbouring cells with the most hits, as wide as can be; the lower of two alike."""

    def width(cells: range) -> float:
        low, high = axis.bounds(cells)
        return high - low

    return max(_runs(curve == curve.max()), key=width)


def _middle_cell(axis: Axis, cells: range) -> int:
    return axis.cell_of(_plateau(axis, cells).value)


def _plateau(axis: Axis, cells: range) -> Plateau:
    low, high = axis.bounds(cells)
    return Plateau(_short_middle(low, high), low, high)


def _short_middle(low: float, high: float) -> float:
    """A number near the middle, with no more digits than it needs.

    >>> _short_middle(0.4131, 0.4522)
    0.43
    """
    middle = low + (high - low) / 2
    for digits in range(1, 17):
        rounded = round(middle, digits)
        if abs(rounded - middle) <= (high - low) / 4 and low < rounded <= high:
            return rounded
    return middle if middle > low else high
