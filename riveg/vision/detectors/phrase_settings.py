"""What ``riveg train grounder`` keeps beside a detector: how it wants to be asked."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from riveg.vision.queries import QueryTemplate
from riveg.vision.trained import TrainedSettings


class PhraseSettings(TrainedSettings):
    """The template of the phrase, and the sides that pictures are resized to, in pixels.

    The defaults are for published models, which nobody has trained on one template.
    """

    file: ClassVar[str] = "grounder.json"
    trainee: ClassVar[str] = "grounder"
    taught: ClassVar[tuple[str, ...]] = ("query", "shortest_edge", "longest_edge")

    query: QueryTemplate = "{expression}"
    shortest_edge: int = Field(default=800, ge=32)
    longest_edge: int = Field(default=1333, ge=32)

    @model_validator(mode="after")
    def _edges_in_order(self) -> Self:
        if self.shortest_edge > self.longest_edge:
            raise ValueError("shortest_edge must not be above longest_edge")
        return self
