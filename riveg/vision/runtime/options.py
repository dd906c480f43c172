"""Options that every backend on torch has, about its weights and where they run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from riveg.checkpoints.folders import ModelFiles, model_folder


def _known_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ValueError("it has to be auto, cpu, mps, cuda or cuda:N")
    return name


def _known_count(value: Any) -> Any:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ValueError("it has to be auto or a number of processes, 0 for none")
    return value


Device = Annotated[str, AfterValidator(_known_device)]
Workers = Annotated[int | Literal["auto"], BeforeValidator(_known_count)]
DType = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2"]


class TorchOptions(BaseModel):
    """Fields that configurations of torch backends share; data only, imports no torch.

    ``model``: hub id or local folder; ``revision``: pinned commit of a hub id; ``licence``,
    ``gated``: shown by ``riveg show models``; ``trained_by``: the command that makes the model,
    where it is one of your own; ``device``: ``auto``, ``cpu``, ``cuda``, ``cuda:N``
    or ``mps``; ``dtype``: ``auto`` is bfloat16 on a GPU that has it and float32 elsewhere;
    ``attention``: the implementation inside transformers; ``compile``: whether torch compiles what
    sees the image, which takes minutes once; ``batch_size``: at most so many items in one
    forward, halved where memory does not suffice; ``workers``: processes that open and resize
    images ahead of the network, 0 none, ``auto`` none on a CPU, which the network itself fills,
    and at most 8 on a GPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    immaterial: ClassVar[frozenset[str]] = frozenset({"batch_size", "workers", "trained_by"})
    places: ClassVar[frozenset[str]] = frozenset({"model"})
    """Fields that may name a file or folder, or else something of the hub."""

    model: str = Field(min_length=1)
    revision: str | None = None
    licence: str | None = None
    gated: bool = False
    trained_by: str | None = None
    device: Device = "auto"
    dtype: DType = "auto"
    attention: Attention = "auto"
    compile: bool = False
    batch_size: int = Field(default=8, ge=1)
    workers: Workers = "auto"

    def own_files(self) -> tuple[ModelFiles, ...]:
        """What the fields themselves name."""
        return (
            ModelFiles(
                self.model, self.revision, self.licence, self.gated, trained_by=self.trained_by
            ),
        )

    def folder(self, base: Path) -> Path:
        """The folder of the model that the fields themselves name.

        Args:
            base: Where a relative folder starts.

        Raises:
            UserError: If the model is not there; says how to get it.
        """
        return model_folder(self.own_files()[0], base)

    def model_files(self) -> tuple[ModelFiles, ...]:
        """Every model that the backend loads: its own, and those of options inside its options."""
        inside = [
            replace(files, setting=f"{name}.{files.setting}")
            for name, value in self
            if isinstance(value, TorchOptions)
            for files in value.model_files()
        ]
        return (*self.own_files(), *inside)
