"""How ``riveg train grounder`` trains."""

from __future__ import annotations

from pathlib import Path
from string import Formatter
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from riveg.geometry.jitter import Jitter
from riveg.training.config import TrainingConfig
from riveg.training.grounder.augmentation import Augmentation
from riveg.training.loop_settings import LoopSettings
from riveg.vision.detectors.phrase_settings import PhraseSettings
from riveg.vision.queries import QueryTemplate

_PARTS = ("model", "bbox_embed", "class_embed")
"""What the names of the network's parameters begin with."""

Frozen = Literal["text", "image"]

FROZEN: dict[Frozen, str] = {"text": "model.text_backbone.", "image": "model.backbone."}
"""Backbone -> what the names of its parameters begin with."""


class GrounderTrainingSettings(TrainingConfig):
    """From which GroundingDINO a grounder is trained, on what, and how.

    ``model``: a GroundingDINO's or MM-Grounding-DINO's folder, or a fetched id of the hub;
    ``revision`` pins its commit. ``query``: the template of the phrase; ``shortest_edge``,
    ``longest_edge``: what pictures are resized to, in pixels. All three are kept with the weights,
    and ``ground: grounding-dino`` then asks so.

    ``expressions``: runs whose rewriter has called the mentions of train and of dev; needed where
    ``query`` holds ``{expression}`` or ``{description}``. ``boxes``: which gold boxes of a mention
    are right, ``all``, the ``first``, or the ``union`` around all. ``negatives``: so many rows of
    mentions that the picture does not show for each one that it does; their phrase has no box.

    ``augmentation``: how pictures are changed at each visit, their boxes with them.
    ``observations``: runs with the stage ``observe``, which say in which pictures words were found.
    ``jitter``: how boxes are moved (GRBP); ``null``: not at all.

    ``freeze``: backbones that learn nothing. ``every_layer``: whether all layers of the decoder and
    the first stage learn, or only the last layer.
    """

    name: ClassVar[str] = "grounder"
    summary: ClassVar[str] = "GroundingDINO on the boxes of mentions (ground: grounding-dino)"
    packages: ClassVar[tuple[str, ...]] = (*TrainingConfig.packages, "scipy")

    model: str = Field(min_length=1)
    revision: str | None = None
    query: QueryTemplate
    shortest_edge: int = Field(default=800, ge=32, le=4096)
    longest_edge: int = Field(default=1333, ge=32, le=4096)
    expressions: tuple[Path, ...] = ()
    boxes: Literal["all", "first", "union"] = "all"
    negatives: float = Field(default=0.0, ge=0)
    augmentation: Augmentation = Augmentation()
    observations: tuple[Path, ...] = ()
    jitter: Jitter | None = None
    freeze: tuple[Frozen, ...] = ()
    every_layer: bool = True
    loop: LoopSettings = LoopSettings()

    @property
    def asked(self) -> PhraseSettings:
        """What is kept with the weights."""
        return PhraseSettings(
            query=self.query, shortest_edge=self.shortest_edge, longest_edge=self.longest_edge
        )

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        _ = self.asked  # checks the edges
        fields = {field for _, field, *_ in Formatter().parse(self.query)}
        rewritten = next((one for one in ("expression", "description") if one in fields), None)
        if rewritten and not self.expressions:
            raise ValueError(
                f"query: {{{rewritten}}} needs `expressions`, runs over train and dev that have "
                "some; without, write {mention}"
            )
        if self.expressions and not rewritten:
            raise ValueError("expressions have no effect: query holds no {expression}")
        if self.augmentation.flip and not self.observations:
            raise ValueError(
                "augmentation.flip needs `observations`, runs with the stage observe: words in a "
                "picture cannot be read in a mirror, so only pictures without any are flipped"
            )
        return self

    @field_validator("loop")
    @classmethod
    def _check_names_of_rates(cls, loop: LoopSettings) -> LoopSettings:
        return loop.with_rates_of(_PARTS)
