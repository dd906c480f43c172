"""How ``riveg train grounder`` trains."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from riveg.geometry.jitter import Jitter
from riveg.training.augmentation import Augmentation
from riveg.training.loop_settings import LoopSettings
from riveg.training.query_settings import QueryTrainingConfig
from riveg.vision.detectors.phrase_settings import PhraseSettings

_PARTS = ("model", "bbox_embed", "class_embed")
"""What the names of the network's parameters begin with."""

Frozen = Literal["text", "image"]

FROZEN: dict[Frozen, str] = {"text": "model.text_backbone.", "image": "model.backbone."}
"""Backbone -> what the names of its parameters begin with."""


class GrounderTrainingSettings(QueryTrainingConfig):
    """From which GroundingDINO a grounder is trained, on what, and how.

    ``model``: that of a GroundingDINO or MM-Grounding-DINO. ``query``: the phrase;
    ``shortest_edge``, ``longest_edge``: what pictures are resized to, in pixels. All three are kept
    with the weights, and ``ground: grounding-dino`` then asks so.

    ``boxes``: which gold boxes of a mention are right, ``all``, the ``first``, or the ``union``
    around all. ``negatives``: so many rows of mentions that the picture does not show for each one
    that it does; their phrase has no box.

    ``augmentation``: how pictures are changed at each visit, their boxes with them.
    ``observations``: runs with the stage ``observe``, which say in which pictures words were found.
    ``jitter``: how boxes are moved (GRBP); ``null``: not at all.

    ``freeze``: backbones that learn nothing. ``every_layer``: whether all layers of the decoder and
    the first stage learn, or only the last layer.
    """

    name: ClassVar[str] = "grounder"
    summary: ClassVar[str] = "GroundingDINO on the boxes of mentions (ground: grounding-dino)"
    packages: ClassVar[tuple[str, ...]] = (*QueryTrainingConfig.packages, "scipy")

    shortest_edge: int = Field(default=800, ge=32, le=4096)
    longest_edge: int = Field(default=1333, ge=32, le=4096)
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
