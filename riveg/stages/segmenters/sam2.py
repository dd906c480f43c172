"""Masks by Segment Anything 2 (Ravi et al. 2024, arXiv:2408.00714), prompted with the box.

The image is encoded once, however many regions it has; all its boxes are decoded together. The
masks are those of transformers' ``Sam2Model`` and ``Sam2Processor``, one for each box
(``multimask_output=False``). They are not cut off at the box. Their source is ``sam2``, or
``sam2:box`` where the network found no pixel and the box stands.
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


class Sam2Config(PromptOptions, BackendConfig[Segmenter]):
    """``batch_size``: images encoded together. ``boxes_at_once``: boxes decoded together."""

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "sam2"
    summary: ClassVar[str] = "Segment Anything 2 from the box (transformers)"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default=DEFAULTS["sam2"].model, min_length=1)
    licence: str | None = DEFAULTS["sam2"].licence

    def build(self, context: BuildContext) -> Segmenter:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the model is not there or is none of this kind.
        """
        folder = self.folder(context.base)
        from riveg.vision.segmenters.sam2 import load_sam2

        return self.segmenter(
            shared_network(context.networks, load_sam2, folder, self), context, source=self.name
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self.folder(base))
