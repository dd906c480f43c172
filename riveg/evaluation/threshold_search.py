"""Searches the best pair of thresholds, over every pair that makes a difference.

The hits of a part of a sample change only at its own probabilities and scores, so they are a few
rectangles in the plane of the two thresholds. The sum of all rectangles is exact: the cells of the
plane lie between the observed values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from riveg.geometry.arrays import Floats

Curve = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Axis:
    """One threshold in cells: all thresholds in a cell have the same outcome.

    Cell ``i`` holds the thresholds in ``(edges[i], edges[i + 1]]``, since a score passes that is at
    least the threshold. Edges ascend to 1 from the bound that thresholds must exceed. ``floor`` is
    that bound as it is shown; where the lowest threshold is allowed too, it is that threshold.
    """

    edges: NDArray[np.float64]
    floor: float

    @classmethod
    def above(cls, bound: float, values: Iterable[float]) -> Axis:
        """The axis of the thresholds above a bound, cut at the observed values."""
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
        """How many cells, from the first on, a value passes."""
        return int(np.searchsorted(self.edges[1:], value, side="right"))

    def bounds(self, cells: range) -> tuple[float, float]:
        """The lowest and the highest threshold of neighbouring cells, within [0, 1]."""
        low, high = self.edges[cells.start], self.edges[cells.stop]
        return max(self.floor, float(low)), float(high)


class Scored(NamedTuple):
    """A score in [0, 1], and whether it is right that it passes, and right that it does not."""

    score: float
    is_right_above: bool
    is_right_below: bool


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
        """The surface of some of the samples.

        Args:
            is_wanted: Whether a sample is among them. *Shape:* ``(samples,)``.
        """
        return replace(self, rectangles=self.rectangles[is_wanted[self.rectangles[:, 0]]])

    def hits_by_sample(self, entail: float, ground: float, samples: int) -> Curve:
        """Hits of each sample at a pair of thresholds. *Shape:* ``(samples,)``."""
        row, column = self.entail.cell_of(entail), self.ground.cell_of(ground)
        sample, first, stop, left, right, hits = self.rectangles.T
        covers = (first <= row) & (row < stop) & (left <= column) & (column < right)
        counts = np.bincount(sample[covers], weights=hits[covers], minlength=samples)
        return counts.astype(np.int64)

    def along_entail(self, ground_cell: int) -> Curve:
        """Hits in every cell of the entailment threshold. *Shape:* ``(entail.cells,)``."""
        return np.array([row[ground_cell] for row in self.rows()])

    def along_ground(self, entail_cell: int) -> Curve:
        """Hits in every cell of the detector threshold. *Shape:* ``(ground.cells,)``."""
        return next(islice(self.rows(), entail_cell, None)).copy()

    def rows(self) -> Iterator[Curve]:
        """The plane row by row, along the entailment threshold.

        One array of *shape* ``(ground.cells,)`` is changed from row to row: copy what is kept.
        """
        changes: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for _, first, stop, left, right, hits in self.rectangles.tolist():
            changes[first].append((left, right, hits))
            changes[stop].append((left, right, -hits))
        row = np.zeros(self.ground.cells, dtype=np.int64)
        for number in range(self.entail.cells):
            for left, right, change in changes[number]:
                row[left:right] += change
            yield row

    def best(self) -> Best:
        """The pair with the most hits, from the middle of the widest plateau of such pairs.

        The detector threshold stays at its lowest, where nothing more is dropped, unless a higher
        one makes more hits.
        """
        columns = np.zeros(self.ground.cells, dtype=np.int64)
        for row in self.rows():
            np.maximum(columns, row, out=columns)
        most = int(columns.max())
        drops_nothing = columns[0] == most
        cells = range(1) if drops_nothing else _widest(self.ground, columns)
        column = 0 if drops_nothing else self.ground.cell_of(_plateau(self.ground, cells).value)
        entail = widest_plateau(self.entail, self.along_entail(column))
        if drops_nothing:
            low, high = self.ground.bounds(cells)
            return Best(most, entail, Plateau(low, low, high))
        # With the entailment threshold chosen, more or fewer neighbours may be as good.
        curve = self.along_ground(self.entail.cell_of(entail.value))
        around = next(cells for cells in _runs(curve == curve[column]) if column in cells)
        return Best(most, entail, _plateau(self.ground, around))


def best_threshold(scored: Sequence[Scored]) -> Plateau:
    """The threshold at which most scores are on their right side, in [0, 1].

    It is from the middle of the widest run of such thresholds.

    >>> best_threshold([Scored(0.2, False, True), Scored(0.6, True, False)])
    Plateau(value=0.4, low=0.2, high=0.6)
    """
    axis = Axis.since(0.0, [one.score for one in scored])
    hits = np.zeros(axis.cells, dtype=np.int64)
    for one in scored:
        passed = axis.passed_until(one.score)
        hits[:passed] += one.is_right_above
        hits[passed:] += one.is_right_below
    return widest_plateau(axis, hits)


def widest_plateau(axis: Axis, curve: Curve | Floats) -> Plateau:
    """A threshold from the middle of the widest run of neighbouring cells with the highest value.

    Args:
        axis: The thresholds.
        curve: A value in every cell. *Shape:* ``(axis.cells,)``.
    """
    return _plateau(axis, _widest(axis, curve))


def highest_plateau(axis: Axis, curve: Curve | Floats) -> Plateau:
    """A threshold from the highest run of neighbouring cells with the highest value.

    Where that run reaches the end of the axis, it is the end itself: the fewest values pass there.
    """
    cells = _runs(curve == curve.max())[-1]
    found = _plateau(axis, cells)
    return found if cells.stop < axis.cells else replace(found, value=found.high)


def _runs(is_in: NDArray[np.bool_]) -> list[range]:
    padded = np.concatenate([[False], is_in, [False]]).astype(np.int8)
    turns = np.flatnonzero(np.diff(padded))
    return [range(int(a), int(b)) for a, b in zip(turns[::2], turns[1::2], strict=True)]


def _widest(axis: Axis, curve: Curve | Floats) -> range:
    """The widest run of neighbouring cells with the highest value; the lower one of two alike."""

    def width(cells: range) -> float:
        low, high = axis.bounds(cells)
        return high - low

    return max(_runs(curve == curve.max()), key=width)


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
