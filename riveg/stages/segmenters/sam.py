"""Masks by Segment Anything (Kirillov et al. 2023, arXiv:2304.02643), prompted with the box.

The image is encoded once, however many regions it has; all its boxes are decoded together. The
masks are those of transformers' ``SamModel`` and ``SamProcessor``, one for each box
(``multimask_output=False``). They are not cut off at the box. Their source is ``sam``, or
``sam:box`` where the network found no pixel and the box stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.checkpoints.folders import model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Segmenter
from riveg.vision.runtime.loading import shared_network
from riveg.vision.segmenters.loading import DEFAULTS
from riveg.vision.segmenters.prompted import PromptOptions


class SamConfig(PromptOptions, BackendConfig[Segmenter]):
    """``batch_size``: images encoded together. ``boxes_at_once``: boxes decoded together."""

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "sam"
    summary: ClassVar[str] = "Segment Anything from the box (transformers)"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default=DEFAULTS["sam"].model, min_length=1)
    licence: str | None = DEFAULTS["sam"].licence

    def build(self, context: BuildContext) -> Segmenter:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the model is not there or is none of this kind.
        """
        folder = self.folder(context.base)
        from riveg.vision.segmenters.sam import load_sam

        return self.segmenter(
            shared_network(context.networks, load_sam, folder, self), context, source=self.name
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self.folder(base))
