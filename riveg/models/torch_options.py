"""What every backend on torch can be told about its weights and where they run."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Device = str
DType = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2"]


class TorchOptions(BaseModel):
    """Fields that configurations of torch backends share; data only, imports no torch.

    ``model``: hub id or local folder; ``revision``: pinned commit of a hub id; ``licence``,
    ``gated``: shown by ``riveg show models``; ``device``: ``auto``, ``cpu``, ``cuda``, ``cuda:N``
    or ``mps``; ``dtype``: ``auto`` is bfloat16 on a GPU that has it and float32 elsewhere;
    ``attention``: the implementation inside transformers; ``compile``: whether torch compiles the
    network, which takes minutes once; ``batch_size``: at most so many items in one forward, halved
    where memory does not suffice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    revision: str | None = None
    licence: str | None = None
    gated: bool = False
    device: Device = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    dtype: DType = "auto"
    attention: Attention = "auto"
    compile: bool = False
    batch_size: int = Field(default=8, ge=1)
