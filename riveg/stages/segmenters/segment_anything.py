"""Masks by Segment Anything (Kirillov et al. 2023, arXiv:2304.02643) in its authors' own package.

For the official checkpoints (``sam_vit_h_4b8939.pth`` and its smaller sisters) as they are. They
are read with ``weights_only=True``, so that a checkpoint cannot bring code, and their sizes are
taken from the weights themselves. The masks are those of the package's ``SamPredictor``, one for
each box (``multimask_output=False``), but an image is encoded once and its boxes together. Their
source is ``segment-anything``, or ``segment-anything:box`` where the network found no pixel and the
box stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from riveg.checkpoints.folders import ModelFiles, model_file
from riveg.config.backend import BackendConfig, BuildContext
from riveg.files import file_digest
from riveg.protocols import Segmenter
from riveg.vision.segmenters.prompted import PromptOptions


class SegmentAnythingConfig(PromptOptions, BackendConfig[Segmenter]):
    """``model``: a hub id or a folder with the ``checkpoint``, or itself that file.

    ``batch_size``: images encoded together. ``boxes_at_once``: boxes decoded together. The
    package has one implementation of attention.
    """

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "segment-anything"
    summary: ClassVar[str] = "Segment Anything from the box (its own package, official .pth)"
    extra: ClassVar[str | None] = "sam"
    packages: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "segment_anything")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="ybelkada/segment-anything", min_length=1)
    checkpoint: str = Field(default="checkpoints/sam_vit_h_4b8939.pth", min_length=1)
    licence: str | None = "apache-2.0"
    attention: Literal["auto"] = "auto"

    def own_files(self) -> tuple[ModelFiles, ...]:
        """The checkpoint alone."""
        files = (self.checkpoint,)
        return (ModelFiles(self.model, self.revision, self.licence, self.gated, files=files),)

    def build(self, context: BuildContext) -> Segmenter:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the checkpoint is not there or is none of this kind.
        """
        checkpoint = model_file(self.own_files()[0], context.base)
        from riveg.vision.segmenters.segment_anything import load_segment_anything

        return self.segmenter(load_segment_anything(checkpoint, self), context, source=self.name)

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the checkpoint."""
        path = model_file(self.own_files()[0], base)
        return {path.name: file_digest(path)}
