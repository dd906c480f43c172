"""Entailment by the image-text matching head of BLIP or BLIP-2."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from riveg.vision.matchers.entailer import MatchingEntailerConfig
from riveg.vision.matchers.loading import DEFAULTS, MatcherName


class ItmEntailerConfig(MatchingEntailerConfig):
    """The head of BLIP or BLIP-2, which reads text and image together.

    GEM's published template is ``{mention} is belong {label}``.
    """

    name: ClassVar[MatcherName] = "itm"
    summary: ClassVar[str] = "image-text matching head of BLIP or BLIP-2"

    model: str = Field(default=DEFAULTS["itm"].model, min_length=1)
    licence: str | None = DEFAULTS["itm"].licence
