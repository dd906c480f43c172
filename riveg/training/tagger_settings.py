"""How a tagger is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from riveg.text.bio import OUTSIDE


class TaggerTrainingConfig(BaseModel):
    """What to train on, from which encoder, how.

    ``data``: a dataset with the splits train and dev; if it has fine labels, they are a side task.
    ``base``: a folder with a BERT encoder, or ``package:NAME`` for a Python package with a function
    ``get_model_path``. ``out``: the folder for the model; ``work``: the folder for checkpoints.
    ``swap_rates``: for each seed, the probability to replace a mention by another of its fine label
    (different seeds average better); ``mask_rate``: the probability to mask a word piece.
    ``consistency_weight``: R-Drop (Liang et al. 2021), 0 for none. ``average_decay``: decay of the
    moving average of the weights, which is evaluated and kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    base: str
    out: Path
    work: Path
    labels: tuple[str, ...] = ("PER", "LOC", "ORG", "OTHER")
    seeds: tuple[int, ...] = (1, 2)
    epochs: int = Field(default=8, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    head_learning_rate: float = Field(default=5e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.1, ge=0, le=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    fine_weight: float = Field(default=0.5, ge=0)
    consistency_weight: float = Field(default=0.0, ge=0)
    swap_rates: tuple[float, ...] = (0.0, 0.2)
    mask_rate: float = Field(default=0.1, ge=0, lt=1)
    average_decay: float = Field(default=0.998, ge=0, lt=1)
    max_pieces: int = Field(default=128, ge=16, le=512)
    threads: int | None = Field(default=None, ge=1)

    @property
    def tags(self) -> tuple[str, ...]:
        """``O``, then ``B-`` and ``I-`` of every label."""
        return (OUTSIDE, *(f"{prefix}-{label}" for label in self.labels for prefix in "BI"))

    @property
    def seed_plan(self) -> tuple[tuple[int, float], ...]:
        """Each seed with its swap rate."""
        return tuple(zip(self.seeds, self.swap_rates, strict=True))

    @model_validator(mode="after")
    def _check_swap_rates(self) -> Self:
        if len(self.swap_rates) != len(self.seeds):
            raise ValueError(f"swap_rates needs one value a seed ({len(self.seeds)})")
        if not all(0 <= rate <= 1 for rate in self.swap_rates):
            raise ValueError("swap_rates must lie in [0, 1]")
        return self
