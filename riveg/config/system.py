"""A checked system: its steps, its settings, and what they mean together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from riveg.config.backend import BackendConfig
from riveg.config.calibrated import ArtifactValue
from riveg.config.llm_blocks import (
    LanguageModels,
    no_language_models,
    resolved_blocks,
)
from riveg.config.threads import Threads
from riveg.errors import UserError, suggest
from riveg.files import shipped
from riveg.labels import Label
from riveg.llm.endpoint import Endpoint
from riveg.pipeline import AnyStage
from riveg.reads import Reads
from riveg.stages.table import stage_named

LLM_FIELD = "llm"
"""The field by which a backend's configuration names a language model."""

ExecutorName = Literal["local", "ray"]
"""What maps the jobs of a run over their parts."""


class RunSettings(BaseModel):
    """How a run is cut up and when it counts as failed.

    ``part_size``: samples a part file; ``batch_size``: samples a call of a backend;
    ``max_error_rate``: the exit code is 1 above this share of samples with an Issue, in [0, 1];
    ``workers``: processes that make parts of stages that only compute, ``auto`` for one a core;
    ``gpus``: GPUs of this machine that each have a process with the network of a stage, ``auto``
    for all, 1 for the one of riveg's own process;
    ``overlays``: on so many images, from the first, a run draws its answers;
    ``first_images``: a run does not begin if so many images, from the first, are all missing, 0 for
    a run that begins in any case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part_size: int = Field(default=64, ge=1)
    batch_size: int = Field(default=16, ge=1)
    max_error_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    workers: Threads = "auto"
    gpus: Threads = 1
    overlays: int = Field(default=0, ge=0)
    first_images: int = Field(default=20, ge=0)


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of a system together with its backend's configuration."""

    stage: AnyStage
    config: BackendConfig[object]

    def settled(self, base: Path) -> Step:
        """The same, with what the backend's model says where nobody else has said it.

        Raises:
            UserError: If the model is not there, or its settings cannot be read.
        """
        return Step(self.stage, self.config.settled(base))

    @property
    def reads(self) -> Reads | None:
        """What of a record its answers depend on; ``None``: on anything."""
        own, backends = self.stage.reads, self.config.reads()
        return None if own is None or backends is None else own | backends

    def __reduce__(self) -> tuple[Callable[..., Step], tuple[object, ...]]:
        """A stage is code: another process takes its own of the same name."""
        return _step, (self.stage.name, self.config)


def _step(stage: str, config: BackendConfig[object]) -> Step:
    known = stage_named(stage)
    if known is None:
        raise LookupError(f"this riveg has no stage {stage!r}")
    return Step(known, config)


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """A checked system.

    Args:
        name: Its name; run folders are named for it.
        description: What it is, for people.
        steps: Its stages, in the order in which they run.
        run: How a run is cut up and when it counts as failed.
        data: A dataset's name, or a path that is complete.
        base: Where all other relative paths start.
        file: The YAML file that it was read from.
        artifacts: The numbers that were given as ``@NAME``; in ``steps`` they are numbers.
        models: The language models and the labels.
        executor: What maps jobs over parts.
    """

    name: str
    description: str
    steps: tuple[Step, ...]
    run: RunSettings
    data: str | None
    base: Path
    file: str
    artifacts: tuple[ArtifactValue, ...] = ()
    models: LanguageModels = field(default_factory=no_language_models)
    executor: ExecutorName = "local"

    @property
    def llm(self) -> Mapping[str, Endpoint]:
        """Language models by the name that stages ask for."""
        return self.models.endpoints

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of entities."""
        return self.models.labels

    @property
    def is_gated(self) -> bool:
        """Whether a stage decides what is grounded."""
        return any("groundability" in step.stage.gives for step in self.steps)

    def endpoint_of(self, step: Step) -> Endpoint | None:
        """The language model that a step asks; ``None`` where it asks none."""
        return self.llm.get(str(getattr(step.config, LLM_FIELD, None)))

    @property
    def command_name(self) -> str:
        """What a command line calls it: its name if riveg ships it, else its file."""
        shipped = shipped_systems().get(self.name)
        return self.name if shipped is not None and str(shipped) == self.file else self.file

    def until(self, stage: str | None) -> tuple[Step, ...]:
        """The steps up to and with ``stage``; all for ``None``.

        Raises:
            UserError: If the system has no such stage.
        """
        names = [step.stage.name for step in self.steps]
        if stage is None:
            return self.steps
        if stage not in names:
            raise UserError(
                f"--until {stage}: {self.name} has no such stage; {suggest(stage, names)}"
            )
        return self.steps[: names.index(stage) + 1]

    def with_steps(self, steps: Sequence[Step]) -> SystemConfig:
        """The same with these steps in the places of those of the same stages."""
        by_stage = {step.stage.name: step for step in steps}
        return replace(
            self, steps=tuple(by_stage.get(step.stage.name, step) for step in self.steps)
        )

    def resolved(self) -> dict[str, Any]:
        """The configuration with every default filled in, as plain data."""
        steps = {
            step.stage.name: {"backend": step.config.name, **step.config.model_dump(mode="json")}
            for step in self.steps
        }
        return {
            "name": self.name,
            "description": self.description,
            "data": self.data,
            "executor": self.executor,
            "run": self.run.model_dump(),
            **dict(resolved_blocks(self.models)),
            **steps,
        }


def shipped_systems() -> dict[str, Path]:
    """Name and file of every system that comes with riveg."""
    return {path.stem: path for path in sorted(shipped("configs", "systems").glob("*.yaml"))}
