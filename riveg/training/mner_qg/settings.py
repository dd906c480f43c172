"""How ``riveg train mner-qg`` trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from riveg.training.augmentation import Cropping
from riveg.training.config import TrainingConfig
from riveg.training.loop_settings import LoopSettings

_PARTS = (
    *("encoder", "to_width", "image", "interactions", "fusion", "norm"),
    *("existence", "spans", "grounding"),
)
"""What the names of the network's parameters begin with; not each network has all."""

_Weight = Annotated[float, Field(ge=0)]


class LossWeights(BaseModel):
    """What each part of the loss is multiplied with.

    ``existence``: 0 leaves the existence head, and what the tokens hear of it, out of the network.
    ``anchor``: of the cross-entropy over all anchors and no region; 0 leaves out all grounding.
    ``box``: of the positive anchors' boxes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: _Weight = 1.0
    end: _Weight = 1.0
    match: _Weight = 1.0
    existence: _Weight = 1.0
    anchor: _Weight = 1.0
    box: _Weight = 5.0

    @model_validator(mode="after")
    def _some_spans(self) -> Self:
        if not (self.start and self.end and self.match):
            raise ValueError("start, end and match must be above 0: spans need all three")
        return self


class MnerQgTrainingSettings(TrainingConfig):
    """From which encoder and backbone MNER-QG is trained, and how.

    ``model``: a BERT's or RoBERTa's folder, ``package:NAME`` for a Python package with a function
    ``get_model_path``, or a fetched id of the hub; ``revision`` pins its commit. ``backbone``,
    ``backbone_revision``: the same of a ResNet, Swin or ConvNeXt.

    ``queries``: the text that asks for each type; every type of train needs one. ``level``: whether
    types are ``coarse`` or ``fine``. ``max_pieces``: of query and sentence together; longer
    sentences are read in parts. ``image_side``: pictures are resized to so many pixels a side.

    ``width``, ``attention_heads``, ``dropout``: of what is added to encoder and backbone.
    ``cross_modality``: whether text and picture look at each other. ``frozen_norms``: batch norms
    of the backbone keep their statistics, as is usual with pretrained ones.

    ``augmentation``: how pictures are cropped at each visit, their boxes with them.

    ``weights``: of the parts of the loss. ``weak_boxes``: run folders whose regions are learnt in
    the place of gold boxes.
    """

    name: ClassVar[str] = "mner-qg"
    summary: ClassVar[str] = "a query a type, spans and a region in one network (extract: mner-qg)"

    model: str = Field(min_length=1)
    revision: str | None = None
    backbone: str = Field(min_length=1)
    backbone_revision: str | None = None
    queries: dict[str, Annotated[str, Field(min_length=1, max_length=2000)]] = Field(min_length=1)
    level: Literal["coarse", "fine"] = "coarse"
    max_pieces: int = Field(default=128, ge=16)
    image_side: int = Field(default=256, ge=32, le=2048)
    width: int = Field(default=256, ge=8)
    attention_heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    cross_modality: bool = True
    frozen_norms: bool = True
    augmentation: Cropping = Cropping()
    weights: LossWeights = LossWeights()
    weak_boxes: tuple[Path, ...] = ()
    loop: LoopSettings = LoopSettings()

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.weak_boxes and not self.weights.anchor:
            raise ValueError("weak_boxes have no effect with weights.anchor: 0")
        if self.width % self.attention_heads:
            raise ValueError(
                f"width: {self.width} is no multiple of attention_heads, {self.attention_heads}"
            )
        return self

    @property
    def looks(self) -> bool:
        """Whether anything in the network looks at pictures."""
        return self.cross_modality or self.weights.anchor > 0

    @field_validator("loop")
    @classmethod
    def _check_names_of_rates(cls, loop: LoopSettings) -> LoopSettings:
        return loop.with_rates_of(_PARTS)
