"""Hits, predicted and gold entities, and what follows from the three."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Count:
    """Hits, predicted and gold entities of one metric; ratios are percentages, 0 for nothing."""

    hits: int
    predicted: int
    gold: int

    def __add__(self, other: Count) -> Count:
        return Count(
            self.hits + other.hits, self.predicted + other.predicted, self.gold + other.gold
        )

    @property
    def precision(self) -> float:
        return 100 * self.hits / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return 100 * self.hits / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        both = self.predicted + self.gold
        return 200 * self.hits / both if both else 0.0


NOTHING = Count(0, 0, 0)
