"""How anything is trained: the settings that every trainee shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

_MOST_UNTRAINED = 0.05
"""Share of averaged weights that may come from before the first step."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Seed = Annotated[int, Field(ge=0, lt=2**32)]


class LoopSettings(BaseModel):
    """One training, from the first step to the best epoch.

    ``learning_rates``: rates of the parameters whose names begin so, for example ``crf: 0.015``;
    the longest beginning that fits counts, all others have ``learning_rate``. ``accumulate``:
    batches a step. ``warmup``: share of all steps. ``clip``: largest norm of the gradient, 0 for
    none. ``precision``: of the activations; weights stay as they are. ``average_decay``: decay of
    the moving average of the weights, which is then what is evaluated and kept; 0 for none.
    ``patience``: epochs without a better one before it stops. ``save_steps``: steps between
    checkpoints; an epoch's end always has one. ``workers``: processes that make batches, at
    most one a core that may be used; the weights do not depend on it. ``trackers``: where the
    curves go, beside ``training.log``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=8, ge=1)
    batch_size: int = Field(default=16, ge=1)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: Rate = 1e-4
    learning_rates: dict[str, Rate] = Field(default_factory=dict)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    clip: float = Field(default=1.0, ge=0)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    threads: int | None = Field(default=None, ge=1, le=1024)
    seed: Seed = 1
    average_decay: float = Field(default=0.0, ge=0, lt=1)
    patience: int | None = Field(default=None, ge=1)
    save_steps: int | None = Field(default=None, ge=1)
    workers: int = Field(default=0, ge=0)
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if device not in {"auto", "cpu", "cuda"}:
            raise ValueError(
                f"{device!r} is not auto, cpu or cuda (CUDA_VISIBLE_DEVICES chooses among GPUs)"
            )
        return device

    def with_rates_of(self, parts: Sequence[str]) -> Self:
        """The same, once every rate is of one of these beginnings of parameters' names.

        Raises:
            ValueError: If one is of no parameter.
        """
        for name in self.learning_rates:
            if name.partition(".")[0] not in parts:
                raise ValueError(
                    f"learning_rates: no parameter's name begins with {name!r}; they begin with "
                    f"{', '.join(parts)}"
                )
        return self

    def steps(self, rows: int, processes: int = 1) -> int:
        """All steps of a training on so many rows.

        >>> LoopSettings(epochs=2, batch_size=8, accumulate=2).steps(rows=20)
        4
        """
        batches = math.ceil(rows / self.batch_size / processes)
        return math.ceil(batches / self.accumulate) * self.epochs

    def slow_average(self, rows: int, processes: int = 1) -> str | None:
        """Told where the averaged weights cannot get away from the untrained ones."""
        steps = self.steps(rows, processes)
        untrained = self.average_decay**steps
        if not steps or untrained < _MOST_UNTRAINED:
            return None
        fitting = math.floor(1000 * _MOST_UNTRAINED ** (1 / steps)) / 1000
        return (
            f"loop.average_decay {self.average_decay:g} is slow for {steps} steps: the averaged "
            f"weights, which are kept, are still {untrained:.0%} those of the untrained network; "
            f"{fitting:g} or 0 fits"
        )
