"""Masks by Segment Anything 3 (Carion et al. 2025, arXiv:2511.16719), prompted with box or text.

``prompt: box`` asks transformers' ``Sam3TrackerModel`` for one mask for each box, as SAM 2 does.
``prompt: text`` asks ``Sam3Model`` for every instance of the entity's text; a region gets the mask
of the instance whose box overlaps its own best. Where none does, the region stays and its box
stands for the mask: the source is then ``sam3:box``, and a warning says so. Both networks are in
one published checkpoint; each takes its own weights. The image is encoded once, however many
regions or texts it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from riveg.checkpoints.folders import model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Segmenter
from riveg.reads import NAMED, Reads, reads
from riveg.vision.queries import QueryTemplate, TextReader
from riveg.vision.segmenters.prompted import PromptOptions


class Sam3Config(PromptOptions, BackendConfig[Segmenter]):
    """``prompt``: what the network is asked about, ``box`` or ``text``.

    ``batch_size``: images encoded together. ``boxes_at_once``: regions decoded together. For
    texts: ``query``: the text, a template; ``threshold``: an instance's score must be above it;
    ``overlap``: least intersection over union of an instance's box and the region's.
    """

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "sam3"
    summary: ClassVar[str] = "Segment Anything 3 from the box or the text (transformers)"
    extra: ClassVar[str | None] = "models"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="facebook/sam3", min_length=1)
    licence: str | None = "SAM License"
    gated: bool = True
    prompt: Literal["box", "text"] = "box"
    query: QueryTemplate = "{expression}"
    threshold: float = Field(default=0.3, ge=0, lt=1)
    overlap: float = Field(default=0.5, gt=0, le=1)

    def reads(self) -> Reads:
        return reads("image", entity="regions" if self.prompt == "box" else f"regions {NAMED}")

    def build(self, context: BuildContext) -> Segmenter:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If the model is not there or is none of this kind.
        """
        folder = self.folder(context.base)
        from riveg.vision.segmenters.sam3 import load_sam3_for_boxes, load_sam3_for_texts

        if self.prompt == "box":
            return self.segmenter(load_sam3_for_boxes(folder, self), context, source=self.name)
        network = load_sam3_for_texts(folder, self, threshold=self.threshold, overlap=self.overlap)
        reader = TextReader(self.query, network.most_tokens, network.count_tokens)
        return self.segmenter(network, context, source=self.name, reader=reader)

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the model's files."""
        return model_contents(self.folder(base))
