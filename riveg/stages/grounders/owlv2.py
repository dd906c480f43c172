"""Boxes by OWLv2 (Minderer et al. 2023, arXiv 2306.09683): each patch of the image proposes one.

Each image and each text is encoded once; phrases never influence each other. Answers are rounded
to four digits, boxes to a tenth of a pixel: what is behind depends on what shared a batch. Edges
that a box has outside the image are moved to the image's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from riveg.checkpoints.folders import EXTRA, model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Grounder
from riveg.vision.detectors.crop_recheck import RegionOptions
from riveg.vision.detectors.phrase_search import PhraseBoxes
from riveg.vision.queries import QueryTemplate, TextReader
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.loading import worker_count
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    from torch import Tensor

    from riveg.vision.detectors.owlv2 import Owlv2Network


class Owlv2Config(RegionOptions, TorchOptions, BackendConfig[Grounder]):
    """``query``: the text, a template.

    ``box_threshold``: a box's score must be above it. ``overlap``: of two boxes with a higher
    intersection over union the worse is dropped; 1 keeps all.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "owlv2"
    summary: ClassVar[str] = "OWLv2: boxes for a text of up to 16 tokens"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors", "scipy")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="google/owlv2-base-patch16-ensemble", min_length=1)
    licence: str | None = "apache-2.0"
    query: QueryTemplate = "a photo of {expression}"
    box_threshold: float = Field(default=0.1, ge=0, lt=1)
    overlap: float = Field(default=0.7, gt=0, le=1)

    def build(self, context: BuildContext) -> Grounder:
        """The live backend."""
        folder = self.folder(context.base)
        from riveg.vision.detectors.owlv2 import Owlv2Network

        return self.build_on(Owlv2Network(folder, self), context)

    def build_on(self, network: Owlv2Network, context: BuildContext) -> Grounder:
        """The live backend on a network that is loaded."""
        return self.grounder(
            Owlv2(network, query=self.query, batch_size=self.batch_size),
            context,
            source=self.name,
            threshold=self.box_threshold,
            overlap=self.overlap,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the files of the checkpoint, and of the re-check's."""
        return {**model_contents(self.folder(base)), **self.recheck_contents(base)}


class Owlv2:
    """Asks a network for the boxes of texts.

    Args:
        network: The checkpoint.
        query: Template of the text.
        batch_size: Highest number of images or texts in one forward.
    """

    def __init__(
        self,
        network: Owlv2Network,
        *,
        query: str = "a photo of {expression}",
        batch_size: int = 8,
    ) -> None:
        self.reader = TextReader(query, network.most_tokens, network.count_tokens)
        self.prepare = network.prepare
        self.batch_size = batch_size
        self._network = network

    def encode_texts(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """The encoding of each text.

        *Shape:* each ``(channels,)``.
        """
        encoded = in_batches(texts, self.batch_size, self._network.encode_texts)
        return dict(zip(texts, encoded, strict=True))

    def find_boxes(
        self,
        images: Mapping[str, PreparedImage[Tensor]],
        texts: Mapping[str, Mapping[str, Tensor]],
    ) -> Iterator[PhraseBoxes]:
        """The patches' boxes, and how well each fits each text.

        *Shape:* each prepared image ``(3, side, side)``, each text ``(channels,)``.
        """
        pixels = [image.value for image in images.values()]
        encoded = in_batches(pixels, self.batch_size, self._network.encode_images)
        for (path, image), patches in zip(images.items(), encoded, strict=True):
            # From shares of the square that the image was padded to, to shares of the image.
            side = max(image.size)
            boxes = patches.boxes * ([side / image.size.width, side / image.size.height] * 2)
            scores = self._network.score_boxes(patches, [*texts[path].values()])
            for text, own_scores in zip(texts[path], scores, strict=True):
                yield PhraseBoxes(path, text, boxes, own_scores)
