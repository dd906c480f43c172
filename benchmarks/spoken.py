"""Trainings of the benchmarks: each epoch is told on stderr, what is there is not done again."""

from __future__ import annotations

import sys

from riveg.runs.progress import Silence
from riveg.training.config import TrainingConfig
from riveg.training.training import train_model


class Spoken(Silence):
    """Says each epoch on stderr."""

    def note(self, text: str, /) -> None:
        print(text, file=sys.stderr, flush=True)


def train_once(config: TrainingConfig, result: str) -> None:
    """Trains, or goes on with a training that was interrupted.

    Args:
        config: What is trained.
        result: A file of the trained folder; where it is there, there is nothing to do.
    """
    if not (config.out / result).is_file():
        train_model(config, progress=Spoken(), command=" ".join(sys.argv), resume=True)
