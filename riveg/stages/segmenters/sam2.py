"""Masks by Segment Anything 2 (Ravi et al. 2024, arXiv:2408.00714), prompted with the box.

The image is encoded once, however many regions it has; all its boxes are decoded together. The
masks are those of transformers' ``Sam2Model`` and ``Sam2Processor``, one for each box
(``multimask_output=False``). They are not cut off at the box. Their source is ``sam2``, or
``sam2:box`` where the network found no pixel and the box stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from riveg.checkpoints.folders import model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.vision.runtime.loading import worker_count
from riveg.vision.runtime.square_images import read_preparation
from riveg.vision.segmenters.prompted import PromptedSegmenter, PromptOptions, load_mask_network
from riveg.vision.segmenters.sam2 import Sam2Network


class Sam2Config(PromptOptions, BackendConfig):
    """``batch_size``: images encoded together. ``boxes_at_once``: boxes decoded together."""

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "sam2"
    summary: ClassVar[str] = "Segment Anything 2 from the box (transformers)"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="facebook/sam2.1-hiera-large", min_length=1)
    licence: str | None = "apache-2.0"

    def build(self, context: BuildContext) -> PromptedSegmenter:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the model is not there or is none of this kind.
        """
        from transformers import Sam2Model

        folder = self.folder(context.base)
        preparation = read_preparation(folder)
        network = load_mask_network(Sam2Model, folder, self)
        network.vision_encoder.register_forward_hook(_in_float32)
        return PromptedSegmenter(
            context.images,
            Sam2Network(network, preparation),
            source=self.name,
            batch_size=self.batch_size,
            boxes_at_once=self.boxes_at_once,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self.folder(base))


def _in_float32(_encoder: Any, _inputs: Any, found: Any) -> Any:
    """A hook on the encoder: what follows it stays in float32."""
    found.fpn_hidden_states = tuple(one.float() for one in found.fpn_hidden_states)
    return found
