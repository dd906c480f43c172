"""Entailment by SigLIP or SigLIP 2."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from riveg.vision.matchers.entailer import MatchingEntailerConfig
from riveg.vision.matchers.loading import DEFAULTS, MatcherName


class SiglipEntailerConfig(MatchingEntailerConfig):
    """SigLIP's sigmoid.

    A published one's probabilities are small, so take ``threshold`` from ``riveg calibrate``.
    """

    name: ClassVar[MatcherName] = "siglip"
    summary: ClassVar[str] = "SigLIP or SigLIP 2: sigmoid of text against picture"

    model: str = Field(default=DEFAULTS["siglip"].model, min_length=1)
    licence: str | None = DEFAULTS["siglip"].licence
