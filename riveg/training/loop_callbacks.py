"""What the loop does between the Trainer's steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from torch import nn
from torch.optim.swa_utils import AveragedModel

from riveg.errors import UserError
from riveg.training.batches import BatchesByLength
from riveg.training.checkpoints import mark_whole
from riveg.training.loop_progress import LoopProgress
from riveg.training.loop_settings import LoopSettings


def not_finite(what: str) -> UserError:
    """The error where numbers of a training are none any more; ``what``: which, and "is"."""
    return UserError(
        f"{what} not a finite number; a lower loop.learning_rate or loop.precision=fp32 may help"
    )


class EpochsAndCheckpoints(transformers.TrainerCallback):  # type: ignore[misc]
    """Tells the sampler its epoch, asks for checkpoints, and marks them when they are whole."""

    def __init__(
        self, batches: BatchesByLength, settings: LoopSettings, watcher: LoopProgress
    ) -> None:
        self._batches = batches
        self._save_steps = settings.save_steps
        self._watcher = watcher

    def on_epoch_begin(self, _: object, state: Any, __: object, **___: object) -> None:
        self._batches.epoch = int(state.epoch or 0)

    def on_step_end(self, arguments: Any, state: Any, control: Any, **_: object) -> None:
        # An epoch's last step is saved when dev has been measured: what goes on from a checkpoint
        # before that would never measure it.
        ends_epoch = state.global_step % (state.max_steps // arguments.num_train_epochs) == 0
        if self._save_steps is not None and not ends_epoch:
            control.should_save |= state.global_step % self._save_steps == 0

    def on_log(
        self, _: object, state: Any, __: object, logs: Mapping[str, float], **___: object
    ) -> None:
        if not math.isfinite(logs.get("loss", 0.0)):
            raise not_finite(f"step {state.global_step}: the loss is")

    def on_save(self, arguments: Any, state: Any, _: object, **__: object) -> None:
        if state.is_world_process_zero:
            checkpoint = Path(arguments.output_dir) / f"checkpoint-{state.global_step}"
            mark_whole(checkpoint, self._watcher.seconds)


class Averaging(transformers.TrainerCallback):  # type: ignore[misc]
    """Moves the averaged weights after each step."""

    def __init__(self, average: AveragedModel, network: nn.Module) -> None:
        self._average = average
        self._network = network

    def on_train_begin(self, *_: object, **__: object) -> None:
        device = next(self._network.parameters()).device
        self._average.to(device)

    def on_step_end(self, *_: object, **__: object) -> None:
        self._average.update_parameters(self._network)
