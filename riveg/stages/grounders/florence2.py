"""Boxes by Florence-2 (Xiao et al. 2023, arXiv 2311.06242), which writes them out as text.

Each picture is encoded once; each text about it is then answered by itself, the likeliest token
each time. The network gives no scores: regions stand in the order in which it wrote them. Its
places are thousandths of the picture's sides; boxes are given to a tenth of a pixel, where the
library cuts them to whole ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from riveg.errors import ImageFault
from riveg.models.prepared_pictures import PreparedPictures
from riveg.models.query_text import Cut, QueryTemplate
from riveg.models.text_reader import TextReader
from riveg.models.torch_batches import in_batches
from riveg.models.torch_loading import EXTRA, model_contents, model_folder, worker_count
from riveg.models.torch_options import TorchOptions
from riveg.protocols import BackendConfig, BuildContext, Grounder, Mention, Partly, PictureSource
from riveg.stages.crop_recheck import RegionOptions
from riveg.types import ImageRef, Issue, Region

if TYPE_CHECKING:
    from riveg.models.florence2_network import Florence2Network

Answer = tuple[Region, ...] | Partly[tuple[Region, ...]] | Issue
SOURCE = "florence2"

_BATCHES_AHEAD = 4
"""Pictures that are kept encoded at a time, in batches: 2 MB each."""


class Florence2Config(RegionOptions, TorchOptions, BackendConfig):
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
    needs_picture: ClassVar[bool] = True

    model: str = Field(default="florence-community/Florence-2-base", min_length=1)
    licence: str | None = "mit"
    query: QueryTemplate = "{expression}"
    task: Literal["phrase-grounding", "open-vocabulary"] = "phrase-grounding"
    overlap: float = Field(default=0.7, gt=0, le=1)
    max_new_tokens: int = Field(default=256, ge=1)

    def build(self, context: BuildContext) -> Grounder:
        """The live backend."""
        folder = model_folder(self, context.base)
        from riveg.models.florence2_network import Florence2Network

        detector = Florence2(
            context.images,
            Florence2Network(folder, self, task=self.task, max_new_tokens=self.max_new_tokens),
            query=self.query,
            most_regions=self.most_regions,
            overlap=self.overlap,
            batch_size=self.batch_size,
            workers=worker_count(self),
        )
        return self.rechecked(detector, context)

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the files of the checkpoint, and of the re-check's."""
        return {**model_contents(self, base), **self.recheck_contents(base)}


Found = dict[tuple[str, str], tuple[Region, ...]]
"""Regions by the picture's path and the text."""


class Florence2:
    """Asks a network for the boxes of texts.

    Args:
        images: Where pictures come from.
        network: The checkpoint.
        query: Template of the text.
        most_regions: Of one mention.
        overlap: Highest intersection over union of two regions.
        batch_size: Pictures, or texts, in one forward at most.
        workers: Processes that prepare pictures.
    """

    def __init__(
        self,
        images: PictureSource,
        network: Florence2Network,
        *,
        query: str = "{expression}",
        most_regions: int = 1,
        overlap: float = 0.7,
        batch_size: int = 8,
        workers: int = 0,
    ) -> None:
        self.pictures = PreparedPictures(images, network.pixels, workers=workers)
        self._network = network
        self._reader = TextReader(query, network.most_tokens, network.count, clean=phrase_text)
        self._most_regions = most_regions
        self._overlap = overlap
        self._batch_size = batch_size

    def ground(self, mentions: Sequence[Mention]) -> Sequence[Answer]:
        """Regions of each mention in the order of writing; ``()`` where no box was written."""
        cuts = [self._reader.read(mention.entity) for mention in mentions]
        asked: dict[str, tuple[ImageRef, dict[str, None]]] = {}
        for mention, cut in zip(mentions, cuts, strict=True):
            if (image := mention.sample.image) is not None and cut.text:
                asked.setdefault(image.path, (image, {}))[1][cut.text] = None
        found: Found = {}
        faults: dict[str, ImageFault] = {}
        paths, ahead = list(asked), _BATCHES_AHEAD * self._batch_size
        for start in range(0, len(paths), ahead):
            part = {path: asked[path] for path in paths[start : start + ahead]}
            self._look(part, found, faults)
        return [
            self._answer(mention, cut, found, faults)
            for mention, cut in zip(mentions, cuts, strict=True)
        ]

    def _look(
        self,
        asked: Mapping[str, tuple[ImageRef, dict[str, None]]],
        found: Found,
        faults: dict[str, ImageFault],
    ) -> None:
        """Answers all texts of some pictures."""
        from riveg.models.florence2_network import Asked
        from riveg.models.region_choice import choose_regions

        pixels, sizes = {}, {}
        for path, one in self.pictures.distinct(image for image, _ in asked.values()).items():
            if isinstance(one, ImageFault):
                faults[path] = one
            else:
                sizes[path], pixels[path] = one.size, one.value
        seen = in_batches(list(pixels.values()), self._batch_size, self._network.see)
        pictures = dict(zip(pixels, seen, strict=True))
        pairs = [(path, text) for path in pictures for text in asked[path][1]]
        questions = [Asked(pictures[path], text) for path, text in pairs]
        answers = in_batches(questions, self._batch_size, self._network.find)
        for (path, text), boxes in zip(pairs, answers, strict=True):
            found[path, text] = choose_regions(
                boxes,
                None,
                size=sizes[path],
                threshold=0.0,
                overlap=self._overlap,
                most=self._most_regions,
                source=SOURCE,
            )

    def _answer(
        self, mention: Mention, cut: Cut, found: Found, faults: Mapping[str, ImageFault]
    ) -> Answer:
        image, entity = mention.sample.image, mention.entity
        if image is None:
            return Issue("ground", entity.id, "no-picture", "the post has no picture to look at")
        if not cut.text:
            return Issue("ground", entity.id, "empty-phrase", "the phrase has nothing to look for")
        if image.path in faults:
            fault = faults[image.path]
            return Issue("ground", entity.id, fault.kind, str(fault))
        regions = found[image.path, cut.text]
        warnings = self._reader.warnings("ground", entity, cut)
        return Partly(regions, warnings) if warnings else regions


def phrase_text(text: str) -> str:
    """A text without what the network's own marks are made of: ``<image>`` would be a picture.

    >>> phrase_text("the <loc_1> sign")
    'the loc_1 sign'
    """
    return " ".join(re.sub(r"[<>]", " ", text).split())
