"""Boxes by Florence-2 (Xiao et al. 2023, arXiv 2311.06242), which writes them out as text.

Each image is encoded once; each text about it is then answered by itself, the likeliest token
each time. The network gives no scores: regions stand in the order in which it wrote them. Its
places are thousandths of the image's sides; boxes are given to a tenth of a pixel, where the
library cuts them to whole ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

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

    from riveg.vision.detectors.florence2 import Florence2Network


class Florence2Config(RegionOptions, TorchOptions, BackendConfig[Grounder]):
    """``query``: the text, a template.

    ``task``: ``phrase-grounding`` takes the text for a caption and gives boxes of its phrases, the
    first of which mostly is what the text is about; ``open-vocabulary`` takes it for one thing to
    find. The best box is the one written first. ``overlap``: a box with a higher intersection over
    union with one before it is dropped; 1 keeps all. ``max_new_tokens``: of an answer; a box takes
    four.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "florence2"
    summary: ClassVar[str] = "Florence-2: boxes for a text, written as text; no scores"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="florence-community/Florence-2-base", min_length=1)
    licence: str | None = "mit"
    query: QueryTemplate = "{expression}"
    task: Literal["phrase-grounding", "open-vocabulary"] = "phrase-grounding"
    overlap: float = Field(default=0.7, gt=0, le=1)
    max_new_tokens: int = Field(default=256, ge=1)

    def build(self, context: BuildContext) -> Grounder:
        """The live backend."""
        folder = self.folder(context.base)
        from riveg.vision.detectors.florence2 import Florence2Network

        network = Florence2Network(folder, self, task=self.task, max_new_tokens=self.max_new_tokens)
        return self.build_on(network, context)

    def build_on(self, network: Florence2Network, context: BuildContext) -> Grounder:
        """The live backend on a network that is loaded."""
        return self.grounder(
            Florence2(network, query=self.query, batch_size=self.batch_size),
            context,
            source=self.name,
            overlap=self.overlap,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the files of the checkpoint, and of the re-check's."""
        return {**model_contents(self.folder(base)), **self.recheck_contents(base)}


class Florence2:
    """Asks a network for the boxes of texts.

    Args:
        network: The checkpoint.
        query: Template of the text.
        batch_size: Images, or texts, in one forward at most.
    """

    def __init__(
        self, network: Florence2Network, *, query: str = "{expression}", batch_size: int = 8
    ) -> None:
        self.reader = TextReader(
            query, network.most_tokens, network.count_tokens, clean=phrase_text
        )
        self.prepare = network.prepare
        self.batch_size = batch_size
        self._network = network

    def encode_texts(self, texts: Sequence[str]) -> Mapping[str, None]:
        """The texts that are not empty; the network reads them only together with an image."""
        return dict.fromkeys(text for text in texts if text)

    def find_boxes(
        self,
        images: Mapping[str, PreparedImage[Tensor]],
        texts: Mapping[str, Mapping[str, None]],
    ) -> Iterator[PhraseBoxes]:
        """Boxes in the order in which they were written.

        *Shape:* each prepared image ``(3, height, width)``.
        """
        from riveg.vision.detectors.florence2 import TextInImage

        pixels = [image.value for image in images.values()]
        encoded = in_batches(pixels, self.batch_size, self._network.encode_images)
        tokens = dict(zip(images, encoded, strict=True))
        names = [(path, text) for path in images for text in texts[path]]
        pairs = [TextInImage(tokens[path], text) for path, text in names]
        answers = in_batches(pairs, self.batch_size, self._network.find_boxes)
        for (path, text), boxes in zip(names, answers, strict=True):
            yield PhraseBoxes(path, text, boxes, None)


def phrase_text(text: str) -> str:
    """A text without what the network's own marks are made of: ``<image>`` would be an image.

    >>> phrase_text("the <loc_1> sign")
    'the loc_1 sign'
    """
    return " ".join(re.sub(r"[<>]", " ", text).split())
