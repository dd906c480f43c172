"""How ``riveg train vlm`` trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from riveg.geometry.jitter import Jitter
from riveg.labels import USUAL_LABELS, Label, label_levels
from riveg.lessons.making import StageBlock, TaskName
from riveg.stages.extractors.chat import ChatExtractorConfig
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.stages.rerankers.chat import ChatRerankerConfig
from riveg.stages.rewriters.chat import ChatRewriterConfig
from riveg.training.config import TrainingConfig
from riveg.training.loop_settings import LoopSettings


class Lora(BaseModel):
    """Low-rank matrices beside the frozen ones of the language half (Hu et al. 2022).

    ``modules``: ends of the names of the layers that get them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rank: int = Field(default=32, ge=1)
    alpha: float = Field(default=64, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    modules: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
    )


class VlmSettings(TrainingConfig):
    """From which vision-language model, for which stage, and how.

    ``model``: a folder, or a fetched id of the hub; ``revision`` pins its commit. ``task``: the
    stage. The block of its name, ``labels`` and ``picture_side`` say what a system says there
    (``picture_side`` in ``llm:``): prompt, frame and resizing are then the same at work.

    ``reasoning``: files with the thoughts that stand before the answers, by post.
    ``expressions``: runs whose expressions a rewriter learns, of train and of dev. ``jitter``: how
    boxes of answers are moved (GRBP); ``null``: not at all. ``lora``: the matrices; ``adapter``: a
    trained adapter of this model to go on from, a folder or a fetched id. ``merge``: whole weights
    are written instead of an adapter. ``max_length``: of a row in tokens, those of its image among
    them; a longer one is left out and told. ``dtype``: of the frozen weights.
    ``gradient_checkpointing``: less memory for more time. ``dev_batch_size``: answers on
    dev that are generated together.
    """

    name: ClassVar[str] = "vlm"
    summary: ClassVar[str] = "vision-language model with LoRA (extract, ground, rerank, rewrite)"
    packages: ClassVar[tuple[str, ...]] = (*TrainingConfig.packages, "peft")

    model: str = Field(min_length=1)
    revision: str | None = None
    task: TaskName = "extract"
    extract: ChatExtractorConfig | None = None
    ground: ChatGrounderConfig | None = None
    rerank: ChatRerankerConfig | None = None
    rewrite: ChatRewriterConfig | None = None
    labels: tuple[Label, ...] = Field(default=USUAL_LABELS, min_length=1)
    picture_side: int = Field(default=1024, ge=28)
    reasoning: tuple[Path, ...] = ()
    expressions: tuple[Path, ...] = ()
    jitter: Jitter | None = None
    lora: Lora = Lora()
    adapter: str | None = None
    merge: bool = False
    max_length: int = Field(default=2048, ge=64)
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = True
    dev_batch_size: int = Field(default=8, ge=1)
    loop: LoopSettings = LoopSettings()

    @field_validator("labels", mode="before")
    @classmethod
    def _label_by_name(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"name": one} if isinstance(one, str) else one for one in value]

    @field_validator("labels")
    @classmethod
    def _each_once(cls, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        names = [label.name for label in labels]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the type {twice!r} is named twice")
        label_levels({label.name: label.fine for label in labels})
        return labels

    @model_validator(mode="after")
    def _check_blocks(self) -> Self:
        if getattr(self, self.task) is None:
            raise ValueError(
                f"task: {self.task} needs the block {self.task}: of a system, without its backend "
                "(prompt, frame, resize ...)"
            )
        others = {*get_args(TaskName)} - {self.task}
        if given := sorted(name for name in others if getattr(self, name) is not None):
            raise ValueError(f"{given[0]}: has no effect with task: {self.task}; leave it out")
        if self.jitter is not None and self.task in {"rerank", "rewrite"}:
            raise ValueError(f"jitter: answers of task: {self.task} hold no boxes")
        if bool(self.expressions) != (self.task == "rewrite"):
            raise ValueError("expressions: runs to learn from; task: rewrite needs some, no other")
        if self.reasoning and self.task != "extract":
            raise ValueError(f"reasoning: answers of task: {self.task} hold no thought")
        return self


def stage_block(config: VlmSettings) -> StageBlock:
    """What a system says of the stage that is trained."""
    block: StageBlock | None = getattr(config, config.task)
    assert block is not None, "settings without it are refused"
    return block
