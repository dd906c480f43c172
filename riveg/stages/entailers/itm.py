"""Entailment by BLIP's image-text matching head."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from riveg.vision.matchers.entailer import ImageTextConfig
from riveg.vision.matchers.loading import USUAL, MatcherName


class ItmEntailerConfig(ImageTextConfig):
    """BLIP's head, which reads text and image together.

    GEM's published template is ``{mention} is belong {label}``.
    """

    name: ClassVar[MatcherName] = "itm"
    summary: ClassVar[str] = "BLIP's image-text matching head"

    model: str = Field(default=USUAL["itm"].model, min_length=1)
    licence: str | None = USUAL["itm"].licence
    threshold: float = Field(default=USUAL["itm"].threshold, ge=0.0, le=1.0)
