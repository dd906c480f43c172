"""Boxes by OWLv2 (Minderer et al. 2023, arXiv 2306.09683): each patch of the picture proposes one.

Each picture and each text is encoded once; phrases never influence each other. Answers are rounded
to four digits, boxes to a tenth of a pixel: what is behind depends on what shared a batch. Edges
that a box has outside the picture are moved to the picture's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from riveg.errors import ImageFault
from riveg.models.prepared_pictures import PreparedPictures
from riveg.models.query_text import Cut, QueryTemplate, query_text
from riveg.models.torch_batches import in_batches
from riveg.models.torch_loading import EXTRA, model_contents, model_folder, worker_count
from riveg.models.torch_options import TorchOptions
from riveg.protocols import BackendConfig, BuildContext, Grounder, Mention, Partly, PictureSource
from riveg.stages.crop_recheck import RegionOptions
from riveg.types import WARNING, ImageRef, Issue, Region

if TYPE_CHECKING:
    from torch import Tensor

    from riveg.models.owlv2_network import Owlv2Network

Answer = tuple[Region, ...] | Partly[tuple[Region, ...]] | Issue
SOURCE = "owlv2"

_BATCHES_AHEAD = 4
"""Pictures that are kept encoded at a time, in batches: 11 MB each at 960 pixels."""


class Owlv2Config(RegionOptions, TorchOptions, BackendConfig):
    """``query``: the text, a template.

    ``box_threshold``: a box's score must be above it. ``overlap``: of two boxes with a higher
    intersection over union the worse is dropped; 1 keeps all.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "owlv2"
    summary: ClassVar[str] = "OWLv2: boxes for a text of up to 16 tokens"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors", "scipy")
    needs_picture: ClassVar[bool] = True

    model: str = Field(default="google/owlv2-base-patch16-ensemble", min_length=1)
    licence: str | None = "apache-2.0"
    query: QueryTemplate = "a photo of {expression}"
    box_threshold: float = Field(default=0.1, ge=0, lt=1)
    overlap: float = Field(default=0.7, gt=0, le=1)

    def build(self, context: BuildContext) -> Grounder:
        """The live backend."""
        folder = model_folder(self, context.base)
        from riveg.models.owlv2_network import Owlv2Network

        detector = Owlv2(
            context.images,
            Owlv2Network(folder, self),
            query=self.query,
            most_regions=self.most_regions,
            box_threshold=self.box_threshold,
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


class Owlv2:
    """Asks a network for the boxes of texts.

    Args:
        images: Where pictures come from.
        network: The checkpoint.
        query: Template of the text.
        most_regions: Of one mention.
        box_threshold: A box's score must be above it.
        overlap: Highest intersection over union of two regions.
        batch_size: Pictures or texts in one forward, at most.
        workers: Processes that prepare pictures.
    """

    def __init__(
        self,
        images: PictureSource,
        network: Owlv2Network,
        *,
        query: str = "a photo of {expression}",
        most_regions: int = 1,
        box_threshold: float = 0.1,
        overlap: float = 0.7,
        batch_size: int = 8,
        workers: int = 0,
    ) -> None:
        self.pictures = PreparedPictures(images, network.pixels, workers=workers)
        self._network = network
        self._query = query
        self._most_regions = most_regions
        self._box_threshold = box_threshold
        self._overlap = overlap
        self._batch_size = batch_size

    def ground(self, mentions: Sequence[Mention]) -> Sequence[Answer]:
        """Regions of each mention, best first; ``()`` where no box is good enough."""
        whole = [query_text(self._query, mention.entity) for mention in mentions]
        by_text = {text: self._network.cut(text) for text in dict.fromkeys(whole)}
        cuts = [by_text[text] for text in whole]
        texts = list(dict.fromkeys(cut.text for cut in cuts))
        read = dict(
            zip(texts, in_batches(texts, self._batch_size, self._network.read), strict=True)
        )
        asked: dict[str, tuple[ImageRef, dict[str, Tensor]]] = {}
        for mention, cut in zip(mentions, cuts, strict=True):
            if (image := mention.sample.image) is not None:
                asked.setdefault(image.path, (image, {}))[1][cut.text] = read[cut.text]
        found: Found = {}
        faults: dict[str, ImageFault] = {}
        for paths in _parts(list(asked), _BATCHES_AHEAD * self._batch_size):
            self._look({path: asked[path] for path in paths}, found, faults)
        return [
            self._answer(mention, cut, found, faults)
            for mention, cut in zip(mentions, cuts, strict=True)
        ]

    def _look(
        self,
        pictures: Mapping[str, tuple[ImageRef, dict[str, Tensor]]],
        found: Found,
        faults: dict[str, ImageFault],
    ) -> None:
        """Answers all texts of some pictures."""
        from riveg.models.region_choice import choose_regions

        pixels: dict[str, Tensor] = {}
        sizes: dict[str, tuple[int, int]] = {}
        for path, one in self.pictures.distinct(image for image, _ in pictures.values()).items():
            if isinstance(one, ImageFault):
                faults[path] = one
            else:
                sizes[path], pixels[path] = one.size, one.value
        seen = in_batches(list(pixels.values()), self._batch_size, self._network.see)
        for (path, (height, width)), patches in zip(sizes.items(), seen, strict=True):
            texts = pictures[path][1]
            # From shares of the square that the picture was padded to, to shares of the picture.
            side = max(height, width)
            boxes = patches.boxes * ([side / width, side / height] * 2)
            for text, scores in zip(
                texts, self._network.scores(patches, [*texts.values()]), strict=True
            ):
                found[path, text] = choose_regions(
                    boxes,
                    scores,
                    size=(height, width),
                    threshold=self._box_threshold,
                    overlap=self._overlap,
                    most=self._most_regions,
                    source=SOURCE,
                )

    def _answer(
        self, mention: Mention, cut: Cut, found: Found, faults: Mapping[str, ImageFault]
    ) -> Answer:
        image, entity_id = mention.sample.image, mention.entity.id
        if image is None:
            return Issue("ground", entity_id, "no-picture", "the post has no picture to look at")
        if image.path in faults:
            fault = faults[image.path]
            return Issue("ground", entity_id, fault.kind, str(fault))
        regions = found[image.path, cut.text]
        if not cut.was_cut:
            return regions
        message = (
            f"the text has more than the {self._network.most_tokens} tokens that are read; "
            f"cut to {cut.text!r}"
        )
        return Partly(regions, (Issue("ground", entity_id, WARNING, message),))


def _parts(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]
