"""What every training configuration holds, and what a training is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from riveg.runs.progress import Progress

if TYPE_CHECKING:
    from riveg.training.data import AnnotatedSplit


@dataclass(frozen=True)
class Course:
    """One training under way.

    Args:
        config: What is trained.
        out: An empty folder for the model; its files go where the configuration says at the end.
        work: A folder for checkpoints, which outlives an interruption.
        progress: What the user sees.
    """

    config: TrainingConfig
    out: Path
    work: Path
    progress: Progress

    @cached_property
    def train(self) -> AnnotatedSplit:
        """What is learnt from."""
        from riveg.training.data import read_annotated

        return read_annotated(self.config.data, self.config.train_split)

    @cached_property
    def dev(self) -> AnnotatedSplit:
        """What the best epoch and the calibration are chosen on."""
        from riveg.training.data import read_annotated

        return read_annotated(self.config.data, self.config.dev_split)

    @cached_property
    def others(self) -> tuple[AnnotatedSplit, ...]:
        """What else is learnt from, in the order of :meth:`TrainingConfig.other_data`."""
        from riveg.training.data import read_annotated

        return tuple(read_annotated(*each) for each in self.config.other_data())


class TrainingConfig(BaseModel, ABC):
    """A trainee's configuration: importing it imports nothing heavy.

    ``name`` is the word after ``riveg train``; ``extra`` brings ``packages`` (import names).

    ``data``: a dataset's name or YAML file. ``out``: the folder for the model. ``work``: the folder
    for checkpoints, ``OUT.training`` by default. ``train_split``, ``dev_split``: what is learnt
    from and chosen by; ``test`` only where it is named here. ``preset``: which block of the file's
    ``presets`` is laid over the rest of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    summary: ClassVar[str]
    extra: ClassVar[str] = "train"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "accelerate")

    data: str
    out: Path
    work: Path | None = None
    train_split: str = "train"
    dev_split: str = "dev"
    preset: str | None = None

    def other_data(self) -> tuple[tuple[str, str], ...]:
        """Datasets that are learnt from beside ``data``, each with a split."""
        return ()

    def learnt_from(self, course: Course) -> tuple[Path, ...]:  # noqa: ARG002  # see subclasses
        """The files, run folders and models that are learnt from beside the posts themselves."""
        own = {"out", "work"}
        return tuple(
            path
            for name in type(self).model_fields
            if name not in own
            for path in _paths(getattr(self, name))
        )

    @abstractmethod
    def train(self, course: Course) -> str:
        """Trains, writes the model's files into ``course.out``, and gives the text of its card.

        A course whose ``work`` holds checkpoints goes on from there.

        Raises:
            UserError: If the data or a base model cannot be used.
        """


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _paths(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from _paths(one)
