"""Gaussian Risk-aware Box Perturbation: the boxes of a training's answers, moved a little.

A model that learns to write boxes as text is told one string of numbers a box, whatever the box's
size. E2E-GMNER moves and scales each gold box at random before it is written, in proportion to its
sides, and keeps the new one only if it still overlaps the gold one enough. Every visit of a sample
draws anew.
"""

from __future__ import annotations

import math
import random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from riveg.geometry.boxes import box_iou
from riveg.types import Box, ImageSize

_SHORTEST = 2.0
"""Pixels: a box with a shorter side is not accepted."""


class Jitter(BaseModel):
    """How far boxes are moved; the names are those of the released program, its defaults too.

    ``beta``: of the centre, ``gamma``: of the sides, both in shares of the box's sides; 0 and 0
    move nothing. ``iou_min``: the least overlap with the gold box (the paper's tau); ``tries``:
    draws before the gold box stays. ``min_area``: a box with fewer square pixels has ``beta`` and
    ``gamma`` multiplied by ``small_box_scale``. ``dist``: ``gauss``, of deviation ``a / sqrt(3)``
    for an ``a`` of beta or gamma, cut off at ``trunc_k`` deviations and at ``a``; ``uniform``,
    between ``-a`` and ``a``. ``scale_min``, ``scale_max``: bounds of the factor of a side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    beta: float = Field(default=0.1, ge=0)
    gamma: float = Field(default=0.1, ge=0)
    iou_min: float = Field(default=0.6, ge=0, le=1)
    tries: int = Field(default=5, ge=1)
    min_area: float = Field(default=1024, ge=0)
    small_box_scale: float = Field(default=0.5, ge=0)
    dist: Literal["gauss", "uniform"] = "gauss"
    trunc_k: float = Field(default=2.0, gt=0)
    scale_min: float = Field(default=0.2, gt=0)
    scale_max: float = Field(default=5.0, gt=0)

    @property
    def moves(self) -> bool:
        """Whether any box is moved."""
        return bool(self.beta or self.gamma)

    def __call__(self, box: Box, image: ImageSize, chance: random.Random) -> Box | None:
        """A box near another; ``None`` where no draw overlaps it enough, and it stays as it is.

        Args:
            box: In pixels of the image as the model sees it.
            image: The sides of that image.
            chance: What is drawn comes from it.
        """
        share = self.small_box_scale if box.area < self.min_area else 1.0
        beta, gamma = share * self.beta, share * self.gamma
        for _ in range(self.tries):
            x = (box.x_min + box.x_max) / 2 + self._draw(beta, chance) * box.width
            y = (box.y_min + box.y_max) / 2 + self._draw(beta, chance) * box.height
            width = max(_SHORTEST, box.width * self._factor(gamma, chance))
            height = max(_SHORTEST, box.height * self._factor(gamma, chance))
            moved = _within(x, y, width, height, image) or box
            if box_iou(moved, box) >= self.iou_min:
                return moved
        return None

    def _draw(self, most: float, chance: random.Random) -> float:
        if self.dist == "uniform":
            return chance.uniform(-most, most)
        deviation = most / math.sqrt(3)
        cap = min(most, self.trunc_k * deviation)
        return min(cap, max(-cap, chance.gauss(0, deviation)))

    def _factor(self, most: float, chance: random.Random) -> float:
        return min(self.scale_max, max(self.scale_min, 1 + self._draw(most, chance)))


def visit_chance(visit: str, sample_id: str, number: int) -> random.Random:
    """What is drawn for one box at one visit of its sample, whatever is drawn for others.

    Args:
        visit: Names the training's seed and the epoch.
        sample_id: The sample.
        number: The box's, among those of the sample.
    """
    return random.Random(f"{visit}/{sample_id}/{number}")


def _within(x: float, y: float, width: float, height: float, image: ImageSize) -> Box | None:
    """The box about a centre, cut at the image's edges; ``None`` where too little is left."""
    x_min, x_max = max(0.0, x - width / 2), min(float(image.width), x + width / 2)
    y_min, y_max = max(0.0, y - height / 2), min(float(image.height), y + height / 2)
    if x_max - x_min < _SHORTEST or y_max - y_min < _SHORTEST:
        return None
    return Box(x_min, y_min, x_max, y_max)
