"""Anchors: usual sizes of boxes at every cell of grids over an image (YOLOv3, arXiv 1804.02767).

Boxes are shares of the image's sides in [0, 1]. Letters: S scales, A anchors a scale, K anchors of
all cells of all scales.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from riveg.geometry.arrays import Floats

Sides = tuple[float, float]
"""Width and height, each a share of the image's in (0, 1]."""

_ROUNDS = 300
_LONGEST = 4.0
"""Bound of the logarithm of a box's side over its anchor's: a box has finite sides."""


def cluster_anchors(sizes: Sequence[Sides], count: int, seed: int = 0) -> tuple[Sides, ...]:
    """The usual sizes of boxes, by k-means whose distance is 1 - IoU, smallest area first.

    Of fewer distinct sizes than asked for, scaled copies of them fill the rest.

    Args:
        sizes: Of the boxes to learn from; at least one.
        count: How many are wanted.
        seed: Of the first choice.

    >>> cluster_anchors([(0.1, 0.1), (0.1, 0.1), (0.5, 0.5), (0.5, 0.5)], 2)
    ((0.1, 0.1), (0.5, 0.5))
    """
    found = np.array(sorted(sizes), dtype=np.float64)
    distinct = sorted({*map(tuple, found.tolist())})
    scale = 1.0
    while len(distinct) < count:
        scale *= 0.8
        distinct += [(width * scale, height * scale) for width, height in sorted({*distinct})]
    chosen = random.Random(seed).sample(distinct[: max(count, len(distinct))], count)
    centres = np.array(chosen, dtype=np.float64)
    for _ in range(_ROUNDS):
        nearest = size_iou(found, centres).argmax(axis=1)
        moved = centres.copy()
        for number in range(count):
            if (nearest == number).any():
                moved[number] = np.median(found[nearest == number], axis=0)
        if np.array_equal(moved, centres):
            break
        centres = moved
    order = sorted(range(count), key=lambda one: (centres[one].prod(), *centres[one]))
    return tuple(
        (round(float(width), 5), round(float(height), 5)) for width, height in centres[order]
    )


def size_iou(sizes: Floats, others: Floats) -> Floats:
    """Intersection over union of boxes that share their centre.

    *Shape:* ``sizes (n, 2)``, ``others (m, 2)``, positive; result ``(n, m)``.
    """
    common = np.minimum(sizes[:, None], others[None]).prod(axis=-1)
    union = sizes.prod(axis=-1)[:, None] + others.prod(axis=-1)[None] - common
    iou: Floats = common / union
    return iou


@dataclass(frozen=True, slots=True)
class AnchorTargets:
    """What the anchors should say of the boxes of a type.

    Args:
        numbers: The anchor of each box, in [0, K).
        offsets: Where the box lies from there, *shape* ``(boxes, 4)``: of its centre in the cell
            in [0, 1], and logarithms of its sides over the anchor's.
    """

    numbers: tuple[int, ...]
    offsets: tuple[tuple[float, float, float, float], ...]


class AnchorGrid:
    """All anchors, numbered scale by scale, row by row, cell by cell.

    Args:
        grids: Cells along a side of each scale, for example ``(32, 16, 8)``.
        anchors: The sizes of each scale, as many in each.
    """

    def __init__(self, grids: Sequence[int], anchors: Sequence[Sequence[Sides]]) -> None:
        self._grids = tuple(grids)
        self._anchors = [np.array(sizes, dtype=np.float64) for sizes in anchors]
        self._each = len(self._anchors[0])
        starts = np.cumsum([0, *(grid * grid * self._each for grid in self._grids)])
        self._starts = [int(start) for start in starts]
        cells, sizes = zip(*map(self._laid_out, self._grids, self._anchors), strict=True)
        self._cells = torch.from_numpy(np.concatenate(cells)).float()
        self._sizes = torch.from_numpy(np.concatenate(sizes)).float()

    def __len__(self) -> int:
        """K."""
        return self._starts[-1]

    def targets(self, boxes: Sequence[tuple[float, float, float, float]]) -> AnchorTargets:
        """The anchor of each box: of the size that fits best, at the cell with its centre.

        Args:
            boxes: xyxy, shares of the image's sides, of positive area.
        """
        numbers, offsets = [], []
        sizes = np.concatenate(self._anchors)
        for x_min, y_min, x_max, y_max in boxes:
            side = np.array([[x_max - x_min, y_max - y_min]])
            best = int(size_iou(side, sizes).argmax())
            scale, anchor = divmod(best, self._each)
            grid = self._grids[scale]
            across, down = (x_min + x_max) / 2 * grid, (y_min + y_max) / 2 * grid
            column, row = min(int(across), grid - 1), min(int(down), grid - 1)
            numbers.append(self._starts[scale] + (row * grid + column) * self._each + anchor)
            width, height = np.log(side[0] / sizes[best])
            offsets.append((across - column, down - row, float(width), float(height)))
        return AnchorTargets(tuple(numbers), tuple(offsets))

    def boxes(self, numbers: Tensor, offsets: Tensor) -> Tensor:
        """The boxes that anchors mean, xyxy, shares of the image's sides in [0, 1], float32.

        *Shape:* ``numbers (n,)``, ``offsets (n, 4)`` as the network gives them: the first two
        before the sigmoid; result ``(n, 4)``.
        """
        cells, sizes = self._cells[numbers], self._sizes[numbers]
        offsets = offsets.float()
        centres = (cells[:, :2] + offsets[:, :2].sigmoid()) * cells[:, 2:]
        sides = sizes * offsets[:, 2:].clamp(-_LONGEST, _LONGEST).exp()
        return torch.cat([centres - sides / 2, centres + sides / 2], dim=1).clamp(0, 1)

    def _laid_out(
        self, grid: int, anchors: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each anchor of a scale: column, row and a cell's side; width and height."""
        rows, columns = np.divmod(np.arange(grid * grid), grid)
        cells = np.stack([columns, rows, np.full(grid * grid, 1 / grid)], axis=1)
        return cells.repeat(self._each, axis=0), np.tile(anchors, (grid * grid, 1))


def scaled_apart(anchors: Sequence[Sides], scales: int) -> tuple[tuple[Sides, ...], ...]:
    """Anchors, smallest first, dealt to scales, finest first; as many to each."""
    each = math.ceil(len(anchors) / scales)
    return tuple(tuple(anchors[each * at : each * (at + 1)]) for at in range(scales))
