"""Entailment by BLIP's image-text matching head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.models.query_text import QueryTemplate
from riveg.models.text_matching import USUAL, load_matcher
from riveg.models.torch_loading import EXTRA, model_contents, model_folder, worker_count
from riveg.models.torch_options import TorchOptions
from riveg.protocols import BackendConfig, BuildContext
from riveg.stages.picture_texts import PictureTexts


class ItmEntailerConfig(TorchOptions, BackendConfig):
    """``query``: the text that is held against the picture, as a template.

    It may hold ``{mention}``, ``{label}``, ``{expression}`` and ``{description}``.

    GEM's published template is ``{mention} is belong {label}``.

    ``threshold``: groundable from this probability on, in [0, 1].
    """

    stage: ClassVar[str] = "entail"
    name: ClassVar[str] = "itm"
    summary: ClassVar[str] = "BLIP's image-text matching head"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_picture: ClassVar[bool] = True

    model: str = Field(default=USUAL["itm"].model, min_length=1)
    licence: str | None = USUAL["itm"].licence
    query: QueryTemplate = "{expression}"
    threshold: float = Field(default=USUAL["itm"].threshold, ge=0.0, le=1.0)

    def build(self, context: BuildContext) -> PictureTexts:
        """Loads the network.

        Raises:
            UserError: If the model is not there, or is another.
        """
        return PictureTexts(
            context.images,
            load_matcher("itm", model_folder(self, context.base), self),
            query=self.query,
            threshold=self.threshold,
            source=self.name,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self, base)
