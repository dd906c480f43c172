"""What the cards of all that learns on the loop say alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from riveg.training.config import TrainingConfig
from riveg.training.loop_settings import LoopSettings

if TYPE_CHECKING:
    from riveg.training.loop import Trained


def pinned(model: str, revision: str | None) -> str:
    """A model, and its commit where one is pinned."""
    return f"{model} at {revision}" if revision else model


def best_epoch(trained: Trained, loop: LoopSettings, metric: str) -> str:
    """Which epoch was kept, and by what."""
    return f"Best epoch: {trained.epoch} of {loop.epochs}, by {metric}; one seed, {loop.seed}."


def settings_lines(config: TrainingConfig) -> Iterator[str]:
    """The settings as a block of JSON, without the folders; an empty line before it."""
    yield ""
    yield "```json"
    yield config.model_dump_json(indent=2, exclude={"out", "work"})
    yield "```"
