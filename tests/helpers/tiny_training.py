"""A small classifier to train: ``python tiny_training.py FOLDER`` goes on with what is there.

With ``--in-children`` each try is a process of its own, whose id is printed; where it is killed the
next one goes on. Python and torch are loaded once for all of them.
"""

import os
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from riveg.runs.progress import Silence
from riveg.training.loop import train
from riveg.training.loop_settings import LoopSettings

SETTINGS = LoopSettings(
    epochs=4,
    batch_size=8,
    accumulate=2,
    learning_rate=1e-2,
    learning_rates={"3": 3e-2},
    average_decay=0.9,
    save_steps=2,
    device="cpu",
    threads=1,
)


class Halves:
    """Which of two halves of space a point lies in; dropout and jitter draw at random."""

    metric = "accuracy"

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._points = torch.randn(200, 6, generator=generator)
        self._sides = (self._points.sum(1) > 0).long()

    def rows(self) -> Sequence[int]:
        return range(160)

    def length(self, row: int, /) -> int:
        return row % 7

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 2))

    def batch(self, rows: Sequence[int], chance: random.Random, /) -> dict[str, Tensor]:
        jitter = torch.tensor([chance.gauss(0, 0.05) for _ in rows])
        return {"points": self._points[rows] + jitter[:, None], "sides": self._sides[rows]}

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor], /) -> Tensor:
        return nn.functional.cross_entropy(network(batch["points"]), batch["sides"])

    def evaluate(self, network: nn.Module, /) -> dict[str, float]:
        right = network(self._points[160:]).argmax(1) == self._sides[160:]
        return {"accuracy": float(right.float().mean())}


def _train(folder: Path) -> None:
    train(Halves(), SETTINGS, folder, progress=Silence())


def _train_in_children(folder: Path) -> None:
    status = -1
    while status:
        child = os.fork()
        if not child:
            _train(folder)
            os._exit(0)
        os.write(1, b"%d\n" % child)
        _, status = os.waitpid(child, 0)


if __name__ == "__main__":
    work = _train_in_children if "--in-children" in sys.argv else _train
    work(Path(sys.argv[1]))
