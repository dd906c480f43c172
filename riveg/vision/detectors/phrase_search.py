"""Regions for phrases by a network that encodes an image once and then searches any number."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from riveg.errors import NO_IMAGE, ImageFault
from riveg.protocols import AnswerOrIssue, ImageSource, Mention, PartialAnswer
from riveg.types import HeatMap, ImageRef, ImageSize, Issue, Region
from riveg.vision.detectors.regions import choose_regions
from riveg.vision.queries import CutText, TextReader
from riveg.vision.runtime.image_queue import PreparedImageQueue
from riveg.vision.runtime.image_worker import PreparedImage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RegionsByText = Mapping[str, "tuple[Region, ...] | Unfound"]

_BATCHES_AHEAD = 4
"""Batches of images of which the encodings are kept at a time: 2 to 18 MB an image."""


@dataclass(frozen=True, slots=True)
class PhraseBoxes:
    """Boxes for a text in an image.

    ``boxes``: xyxy in [0, 1] of the image, *shape* ``(n, 4)``. ``scores``: in [0, 1], *shape*
    ``(n,)``; ``None`` where the network gives none and the boxes stand in their order. ``heat``:
    what they were found by, where it is to be kept.
    """

    path: str
    text: str
    boxes: NDArray[np.floating[Any]]
    scores: NDArray[np.float32] | None
    heat: HeatMap | None = None


@dataclass(frozen=True, slots=True)
class Unfound:
    """Why a text was not looked for in an image to the end: an Issue's kind and message."""

    path: str
    text: str
    kind: str
    message: str


class PhraseFinder(Protocol):
    """What one network does: encodes texts and images, and finds the boxes of texts in images."""

    reader: TextReader

    batch_size: int
    """Highest number of images or texts in one forward."""

    @property
    def prepare(self) -> Callable[[Any], Any]:
        """Makes the network's input of an upright image; ``pickle`` can send it to a worker."""

    def encode_texts(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """Each distinct text's encoding; a text without anything to search for is left out."""

    def find_boxes(
        self, images: Mapping[str, PreparedImage[Any]], texts: Mapping[str, Mapping[str, Any]]
    ) -> Iterable[PhraseBoxes | Unfound]:
        """The boxes of every text in its image, or why it has none.

        Args:
            images: Prepared images by path.
            texts: For each path, the encodings of the texts to search for there, by text.
        """


class PhraseSearch:
    """Searches images for the texts of mentions; each image once, each text in an image once.

    Args:
        images: Where images come from.
        finder: The network.
        source: Source of the regions.
        most_regions: Highest number of regions of one mention.
        threshold: A box's score must be above it.
        overlap: Highest intersection over union of two regions.
        workers: Processes that prepare images.
    """

    def __init__(
        self,
        images: ImageSource,
        finder: PhraseFinder,
        *,
        source: str,
        most_regions: int = 1,
        threshold: float = 0.0,
        overlap: float = 0.7,
        workers: int = 0,
    ) -> None:
        self.image_queue = PreparedImageQueue(images, finder.prepare, workers=workers)
        self._finder = finder
        self._source = source
        self._most_regions = most_regions
        self._threshold = threshold
        self._overlap = overlap

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """Regions of each mention, best first; ``()`` where no box is good enough."""
        cuts = self._finder.reader.read([mention.entity for mention in mentions])
        encoded = self._finder.encode_texts(list(dict.fromkeys(cut.text for cut in cuts)))
        images: dict[str, ImageRef] = {}
        texts: dict[str, dict[str, Any]] = {}
        for mention, cut in zip(mentions, cuts, strict=True):
            if (image := mention.sample.image) is not None and cut.text in encoded:
                images.setdefault(image.path, image)
                texts.setdefault(image.path, {})[cut.text] = encoded[cut.text]
        regions: dict[str, _RegionsByText | ImageFault] = {}
        remaining = iter(images.values())
        while group := list(islice(remaining, _BATCHES_AHEAD * self._finder.batch_size)):
            regions.update(self._search(group, texts))
        return [
            self._answer(mention, cut, encoded, regions)
            for mention, cut in zip(mentions, cuts, strict=True)
        ]

    def _search(
        self, images: Sequence[ImageRef], texts: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, _RegionsByText | ImageFault]:
        """The regions of all texts in some images, by path, or why an image cannot be used."""
        faults: dict[str, ImageFault] = {}
        usable: dict[str, PreparedImage[Any]] = {}
        for path, image in self.image_queue.take_distinct(images).items():
            if isinstance(image, ImageFault):
                faults[path] = image
            else:
                usable[path] = image
        regions: dict[str, dict[str, tuple[Region, ...] | Unfound]] = {path: {} for path in usable}
        for found in self._finder.find_boxes(usable, texts):
            chosen = (
                found
                if isinstance(found, Unfound)
                else self._chosen(found, usable[found.path].size)
            )
            regions[found.path][found.text] = chosen
        return {**faults, **regions}

    def _chosen(self, found: PhraseBoxes, size: ImageSize) -> tuple[Region, ...]:
        regions = choose_regions(
            found.boxes,
            found.scores,
            size=size,
            threshold=self._threshold,
            overlap=self._overlap,
            most=self._most_regions,
            source=self._source,
        )
        return tuple(replace(region, heat=found.heat) for region in regions)

    def _answer(
        self,
        mention: Mention,
        cut: CutText,
        encoded: Container[str],
        regions: Mapping[str, _RegionsByText | ImageFault],
    ) -> AnswerOrIssue[tuple[Region, ...]]:
        image, entity = mention.sample.image, mention.entity
        if image is None:
            return Issue("ground", entity.id, NO_IMAGE, "the post has no picture to look at")
        if cut.text not in encoded:
            return Issue("ground", entity.id, "empty-phrase", "the phrase has nothing to look for")
        by_text = regions[image.path]
        if isinstance(by_text, ImageFault):
            return Issue("ground", entity.id, by_text.kind, str(by_text))
        regions_of_text = by_text[cut.text]
        if isinstance(regions_of_text, Unfound):
            return Issue("ground", entity.id, regions_of_text.kind, regions_of_text.message)
        warnings = self._finder.reader.warnings("ground", entity, cut)
        return PartialAnswer(regions_of_text, warnings) if warnings else regions_of_text
