"""What a training says while it runs: on the terminal, and a line a minute in a file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import transformers

from riveg.runs.progress import Progress

_SECONDS_BETWEEN_LINES = 60.0


class LoopProgress(transformers.TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Follows the loop and its time.

    Args:
        progress: The terminal's.
        log: A text file, which is written on.
        name: Said before each epoch.
        metric: The figure that chooses the epoch.
        rows: Of an epoch.
        before: Seconds that it trained before an interruption.
    """

    def __init__(
        self, progress: Progress, log: Path, *, name: str, metric: str, rows: int, before: float
    ) -> None:
        self._progress = progress
        self._log = log
        self._name = f"{name} " if name else ""
        self._metric = metric
        self._before = before
        self._started = self._line_at = self._epoch_started = time.monotonic()
        self._loss: float | None = None
        self._rows = rows
        self._rows_a_step = 0

    @property
    def seconds(self) -> float:
        """Training so far, earlier parts of it included."""
        return self._before + time.monotonic() - self._started

    def on_epoch_begin(self, arguments: Any, state: Any, _: object, **__: object) -> None:
        epoch = int(state.epoch or 0)
        steps = state.max_steps // round(state.num_train_epochs)
        self._epoch_started = time.monotonic()
        rows = arguments.train_batch_size * arguments.gradient_accumulation_steps
        self._rows_a_step = rows * arguments.world_size
        if state.is_world_process_zero:
            self._progress.begin(self._title(epoch + 1, state), self._rows)
            self._progress.keep(self._rows_by(state.global_step - epoch * steps))

    def on_log(
        self, _: object, __: object, ___: object, logs: Mapping[str, float], **____: object
    ) -> None:
        self._loss = logs.get("loss", self._loss)

    def on_step_end(self, _: object, state: Any, __: object, **___: object) -> None:
        if not state.is_world_process_zero:
            return
        steps = state.max_steps // round(state.num_train_epochs)
        done = (state.global_step - 1) % steps
        self._progress.advance(self._rows_by(done + 1) - self._rows_by(done), 0)
        if self._loss is not None:
            self._progress.remark(f"loss {self._loss:.4f}")
        now = time.monotonic()
        if now - self._line_at >= _SECONDS_BETWEEN_LINES:
            self._line_at = now
            rate = state.global_step / max(self.seconds, 1e-9)
            left = timedelta(seconds=round((state.max_steps - state.global_step) / rate))
            rows = rate * self._rows / steps
            loss = "" if self._loss is None else f", loss {self._loss:.4f}"
            self._write(
                f"{self._title(int(state.epoch or 0) + 1, state)}: step {state.global_step} of "
                f"{state.max_steps}{loss}, {rows:.1f} rows/s, {left} left"
            )

    def on_evaluate(
        self, _: object, state: Any, __: object, metrics: Mapping[str, float], **___: object
    ) -> None:
        if not state.is_world_process_zero:
            return
        self._progress.remark("")
        self._progress.end(time.monotonic() - self._epoch_started)
        figures = ", ".join(
            f"{name.removeprefix('eval_')} {value:.4g}" for name, value in metrics.items()
        )
        best = state.best_metric
        is_best = best is None or metrics[f"eval_{self._metric}"] > best
        loss = "" if self._loss is None else f"loss {self._loss:.4f}, "
        mark = " (best so far)" if is_best else ""
        self.note(f"{self._title(round(state.epoch), state)}: {loss}dev {figures}{mark}")

    def note(self, text: str) -> None:
        """Says something on the terminal and in the log."""
        self._progress.note(text)
        self._write(text)

    def _rows_by(self, steps: int) -> int:
        """Rows of an epoch's first steps; the last step has what is left."""
        return min(steps * self._rows_a_step, self._rows)

    def _title(self, epoch: int, state: Any) -> str:
        return f"{self._name}epoch {epoch}/{round(state.num_train_epochs)}"

    def _write(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as handle:
            handle.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")
