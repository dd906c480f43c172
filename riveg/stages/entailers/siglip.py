"""Entailment by SigLIP or SigLIP 2."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from riveg.vision.matchers.entailer import ImageTextConfig
from riveg.vision.matchers.loading import USUAL, MatcherName


class SiglipEntailerConfig(ImageTextConfig):
    """SigLIP's sigmoid.

    Its probabilities are small, so take ``threshold`` from ``riveg calibrate``.
    """

    name: ClassVar[MatcherName] = "siglip"
    summary: ClassVar[str] = "SigLIP or SigLIP 2: sigmoid of text against picture"

    model: str = Field(default=USUAL["siglip"].model, min_length=1)
    licence: str | None = USUAL["siglip"].licence
    threshold: float = Field(default=USUAL["siglip"].threshold, ge=0.0, le=1.0)
