"""Which rows make a batch: shuffled, of similar length, the same ones for the same seed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch.utils.data import Sampler

_POOL = 50
"""Batches' worth of rows that are sorted by length together."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A row of a batch.

    Args:
        index: The row's number.
        visit: Names the training's seed and the epoch: no row is visited twice in it.
        number: The batch's, within the epoch.
    """

    index: int
    visit: str
    number: int


class Chance(random.Random):
    """What a batch draws at random: the same in every training with the same seed.

    ``visit`` is that of the batch's picks, for what is drawn for a row whatever its batch is.
    """

    visit: str

    @classmethod
    def of(cls, pick: Pick) -> Chance:
        """The chance of the batch that a pick belongs to."""
        chance = cls(f"{pick.visit}/{pick.number}")
        chance.visit = pick.visit
        return chance


class BatchesByLength(Sampler[list[Pick]]):
    """The batches of one epoch after another; :attr:`epoch` says which.

    Args:
        lengths: Of every row.
        batch_size: Rows a batch; the last may have fewer.
        seed: Of the training.
    """

    drop_last = False

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._seed = seed
        self.batch_size = batch_size
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self._lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[Pick]]:
        chance = random.Random(f"{self._seed}/{self.epoch}")
        order = list(range(len(self._lengths)))
        chance.shuffle(order)
        pool = _POOL * self.batch_size
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            rows = sorted(order[start : start + pool], key=self._lengths.__getitem__)
            batches += [
                rows[first : first + self.batch_size]
                for first in range(0, len(rows), self.batch_size)
            ]
        chance.shuffle(batches)
        for number, batch in enumerate(batches):
            yield [Pick(index, f"{self._seed}/{self.epoch}", number) for index in batch]
