"""The one loop in which riveg trains: transformers' ``Trainer``, asked for what a trainee needs.

Devices, precision, accumulation, clipping, schedules, checkpoints and several processes are the
Trainer's. Added here: batches that only the seed decides, learning rates by parameter, averaged
weights, the best epoch's weights as safetensors, checkpoints that a kill cannot spoil.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
import transformers
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from riveg.errors import UserError
from riveg.files import make_folder
from riveg.runs.progress import Progress
from riveg.training.batches import BatchesByLength, Chance, Pick
from riveg.training.checkpoints import (
    is_finished,
    last_whole,
    mark_finished,
    reading_checkpoint,
    seconds_in_all,
    seconds_until,
    step_of,
    writing_checkpoint,
)
from riveg.training.loop_arguments import trainer_arguments
from riveg.training.loop_callbacks import Averaging, EpochsAndCheckpoints, not_finite
from riveg.training.loop_progress import LoopProgress
from riveg.training.loop_settings import LoopSettings
from riveg.training.trainee import Row, Trainee
from riveg.training.weights import load_weights, read_figures, save_weights

_BEST = "best.safetensors"
_WEIGHTS = "model.safetensors"
_AVERAGED = "averaged.safetensors"
_STATE = "trainer_state.json"
_FAULT = "fault"
"""In the place of a batch, why there is none: what a worker raises comes with its traceback."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to.

    Args:
        weights: Path of the best epoch's weights, safetensors.
        figures: What the trainee measured then.
        epoch: The best epoch, from 1.
        seconds: How long it trained, interruptions left out.
    """

    weights: Path
    figures: Mapping[str, float]
    epoch: int
    seconds: float

    def load_into(self, network: nn.Module) -> None:
        """Gives a fresh network of the trainee the best weights."""
        load_weights(network, self.weights)


def train(
    trainee: Trainee[Row],
    settings: LoopSettings,
    folder: Path,
    *,
    progress: Progress,
    name: str = "",
) -> Trained:
    """Trains to the last epoch, from the last whole checkpoint in ``folder`` if there is one.

    Args:
        trainee: What to train.
        settings: How.
        folder: For checkpoints, the best weights and ``training.log``; only one training's.
        progress: Hears of every batch.
        name: Said before each epoch, where several trainings follow each other.

    Raises:
        UserError: If the device or a tracker is not there, the loss is not finite, or the
            trainee's metric never was a number.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    # Of several processes the first has by then looked at the folder that this one lies in.
    arguments = trainer_arguments(settings, folder, trainee.metric)
    make_folder(folder)
    transformers.set_seed(settings.seed)
    module = _LossOf(trainee, trainee.network())
    if not is_finished(folder):
        with arguments.main_process_first():
            start = last_whole(folder)
        before = 0.0
        if start is not None:
            with reading_checkpoint(start):
                before = seconds_until(start)
                transformers.TrainerState.load_from_json(str(start / _STATE))
        log = folder / "training.log"
        watcher = LoopProgress(
            progress,
            log,
            name=name,
            metric=trainee.metric,
            rows=len(trainee.rows()),
            before=before,
        )
        trainer = _Trainer(module, arguments, trainee, settings, folder, watcher)
        if trainer.is_world_process_zero():
            if start is not None:
                watcher.note(f"goes on after step {step_of(start)}")
            if told := settings.slow_average(len(trainee.rows()), arguments.world_size):
                watcher.note(told)
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
        if trainer.is_world_process_zero():
            mark_finished(folder, watcher.seconds)
        trainer.accelerator.wait_for_everyone()
    return _result(trainee, folder)


def _result(trainee: Trainee[Any], folder: Path) -> Trained:
    weights = folder / _BEST
    if not weights.is_file():
        raise UserError(
            f"{folder}: has no {_BEST}: {trainee.metric} on dev was never a number, or the file "
            f"was removed; then remove {folder}, and go on with --resume"
        )
    figures = read_figures(weights)
    epoch = round(figures.pop("epoch"))
    return Trained(weights, figures, epoch, seconds_in_all(folder))


class _LossOf(nn.Module):
    """The network with the trainee's loss as its ``forward``, which is what several GPUs need."""

    def __init__(self, trainee: Trainee[Any], network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._trainee = trainee

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._trainee.loss(self.network, batch)


class _Picked(Dataset[tuple[Row, Pick]], Generic[Row]):
    """Rows by the batch sampler's picks."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, pick: Pick) -> tuple[Row, Pick]:
        return self._rows[pick.index], pick


class _Trainer(transformers.Trainer):  # type: ignore[misc]  # transformers has no types
    control: transformers.TrainerControl

    def __init__(
        self,
        module: _LossOf,
        arguments: transformers.TrainingArguments,
        trainee: Trainee[Any],
        settings: LoopSettings,
        folder: Path,
        watcher: LoopProgress,
    ) -> None:
        self._trainee = trainee
        self._settings = settings
        self._folder = folder
        self._rows = trainee.rows()
        if not self._rows:
            raise UserError("there is nothing to train on: no row is left of the data")
        self._batches = BatchesByLength(
            [trainee.length(row) for row in self._rows], settings.batch_size, settings.seed
        )
        super().__init__(
            model=module,
            args=arguments,
            train_dataset=_Picked(self._rows),
            eval_dataset=_Picked(self._rows[:1]),  # Trainer wants one; `evaluate` never reads it
            data_collator=self._collate,
            callbacks=[EpochsAndCheckpoints(self._batches, settings, watcher), watcher],
        )
        self.remove_callback(transformers.PrinterCallback)
        if settings.patience is not None:
            self.add_callback(transformers.EarlyStoppingCallback(settings.patience))
        self._average = (
            AveragedModel(module.network, multi_avg_fn=get_ema_multi_avg_fn(settings.average_decay))
            if settings.average_decay
            else None
        )
        if self._average is not None:
            self.add_callback(Averaging(self._average, module.network))

    def _collate(self, items: Sequence[tuple[Any, Pick]]) -> Mapping[str, Any]:
        rows = [row for row, _ in items]
        try:
            return self._trainee.batch(rows, Chance.of(items[0][1]))
        except UserError as error:
            return {_FAULT: str(error)}

    def get_train_dataloader(self) -> DataLoader[Any]:
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=self._batches,
            collate_fn=self._collate,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.device.type == "cuda",
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def compute_loss(
        self, model: nn.Module, inputs: Mapping[str, Tensor], *_: object, **__: object
    ) -> Tensor:
        if _FAULT in inputs:
            raise UserError(str(inputs[_FAULT]))
        loss: Tensor = model(inputs)
        return loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        model = self.model if model is None else model
        decayed = set(self.get_decay_parameter_names(model))
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                decay = self._settings.weight_decay if name in decayed else 0.0
                rate = _rate_of(name.removeprefix("network."), self._settings)
                groups.setdefault((rate, decay), []).append(parameter)
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, model)
        optimizer: torch.optim.Optimizer = kind(
            [
                {"params": parameters, "lr": rate, "weight_decay": decay}
                for (rate, decay), parameters in groups.items()
            ],
            **options,
        )
        self.optimizer = optimizer
        return optimizer

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        figures = [dict(self._measured())] if self.is_world_process_zero() else [{}]
        if self.args.world_size > 1:
            from accelerate.utils import broadcast_object_list

            broadcast_object_list(figures)
        metrics = {f"eval_{name}": value for name, value in figures[0].items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _measured(self) -> Mapping[str, float]:
        network = self._network if self._average is None else self._average.module
        network.eval()
        epoch = round(self.state.epoch or 0)
        if not all(bool(torch.isfinite(one).all()) for one in network.parameters()):
            raise not_finite(f"epoch {epoch}: a weight is")
        with torch.inference_mode():
            figures = self._trainee.evaluate(network)
        value, best = figures[self._trainee.metric], self.state.best_metric
        if value > (-math.inf if best is None else best):
            save_weights(network, self._folder / _BEST, {**figures, "epoch": epoch})
        return figures

    @property
    def _network(self) -> nn.Module:
        network: nn.Module = self.model.network
        return network

    def _save_checkpoint(self, *arguments: Any) -> None:
        checkpoint = self._folder / f"checkpoint-{self.state.global_step}"
        with writing_checkpoint(checkpoint):
            super()._save_checkpoint(*arguments)

    def _save(self, output_dir: str | None = None, *_: object, **__: object) -> None:
        folder = Path(output_dir or self._folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self._network, folder / _WEIGHTS)
        if self._average is not None:
            save_weights(self._average, folder / _AVERAGED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *_: object) -> None:
        folder = Path(resume_from_checkpoint)
        with reading_checkpoint(folder):
            load_weights(self._network, folder / _WEIGHTS)
            if self._average is not None:
                load_weights(self._average, folder / _AVERAGED)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with reading_checkpoint(Path(checkpoint or "")):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with reading_checkpoint(Path(checkpoint or "")):
            super()._load_rng_state(checkpoint)


def _rate_of(name: str, settings: LoopSettings) -> float:
    fitting = [start for start in settings.learning_rates if name.startswith(start)]
    return settings.learning_rates[max(fitting, key=len)] if fitting else settings.learning_rate
