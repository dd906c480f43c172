"""Regions for phrases by a network that looks at an image once and then answers any number."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from riveg.errors import ImageFault
from riveg.protocols import ImageSource, Mention, Partly
from riveg.types import ImageRef, Issue, Region
from riveg.vision.detectors.regions import choose_regions
from riveg.vision.queries import Cut, TextReader
from riveg.vision.runtime.image_queue import ImageQueue
from riveg.vision.runtime.image_worker import Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Answer = tuple[Region, ...] | Partly[tuple[Region, ...]] | Issue
_Look = Mapping[str, tuple[Region, ...]] | ImageFault
"""Regions by text, or why the image cannot be looked at."""

_BATCHES_AHEAD = 4
"""Images that are kept as a network sees them at a time, in batches: 2 to 18 MB each."""


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes for a text in an image.

    ``boxes``: xyxy in [0, 1] of the image, *shape* ``(n, 4)``. ``scores``: in [0, 1], *shape*
    ``(n,)``; ``None`` where the network gives none and the boxes stand in their order.
    """

    path: str
    text: str
    boxes: NDArray[np.floating[Any]]
    scores: NDArray[np.float32] | None


class PhraseFinder(Protocol):
    """What one network does: reads texts, looks at images, finds the ones in the others."""

    reader: TextReader

    batch_size: int
    """Images or texts in one forward, at most."""

    @property
    def prepare(self) -> Callable[[Any], Any]:
        """Makes of an upright image what is looked at; ``pickle`` can send it to a worker."""

    def read(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """What the network makes of distinct texts; one with nothing to look for is left out."""

    def find(
        self, images: Mapping[str, Prepared[Any]], asked: Mapping[str, Mapping[str, Any]]
    ) -> Iterable[Found]:
        """The boxes of every text about every image.

        Args:
            images: By path.
            asked: Texts, and what was made of them, by the path of the image they are about.
        """


class PhraseSearch:
    """Asks about mentions: each image once, each text about an image once.

    Args:
        images: Where images come from.
        finder: The network.
        source: Said of the regions.
        most_regions: Of one mention.
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
        self.images = ImageQueue(images, finder.prepare, workers=workers)
        self._finder = finder
        self._source = source
        self._most_regions = most_regions
        self._threshold = threshold
        self._overlap = overlap

    def ground(self, mentions: Sequence[Mention]) -> Sequence[Answer]:
        """Regions of each mention, best first; ``()`` where no box is good enough."""
        cuts = self._finder.reader.read([mention.entity for mention in mentions])
        read = self._finder.read(list(dict.fromkeys(cut.text for cut in cuts)))
        images: dict[str, ImageRef] = {}
        asked: dict[str, dict[str, Any]] = {}
        for mention, cut in zip(mentions, cuts, strict=True):
            if (image := mention.sample.image) is not None and cut.text in read:
                images.setdefault(image.path, image)
                asked.setdefault(image.path, {})[cut.text] = read[cut.text]
        looks: dict[str, _Look] = {}
        rest = iter(images.values())
        while part := list(islice(rest, _BATCHES_AHEAD * self._finder.batch_size)):
            looks.update(self._look(part, asked))
        return [
            self._answer(mention, cut, read, looks)
            for mention, cut in zip(mentions, cuts, strict=True)
        ]

    def _look(
        self, images: Sequence[ImageRef], asked: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, _Look]:
        """Answers all texts about some images."""
        faults: dict[str, ImageFault] = {}
        opened: dict[str, Prepared[Any]] = {}
        for path, one in self.images.distinct(images).items():
            if isinstance(one, ImageFault):
                faults[path] = one
            else:
                opened[path] = one
        regions: dict[str, dict[str, tuple[Region, ...]]] = {path: {} for path in opened}
        for found in self._finder.find(opened, asked):
            regions[found.path][found.text] = choose_regions(
                found.boxes,
                found.scores,
                size=opened[found.path].size,
                threshold=self._threshold,
                overlap=self._overlap,
                most=self._most_regions,
                source=self._source,
            )
        return {**faults, **regions}

    def _answer(
        self, mention: Mention, cut: Cut, read: Container[str], looks: Mapping[str, _Look]
    ) -> Answer:
        image, entity = mention.sample.image, mention.entity
        if image is None:
            return Issue("ground", entity.id, "no-picture", "the post has no picture to look at")
        if cut.text not in read:
            return Issue("ground", entity.id, "empty-phrase", "the phrase has nothing to look for")
        look = looks[image.path]
        if isinstance(look, ImageFault):
            return Issue("ground", entity.id, look.kind, str(look))
        warnings = self._finder.reader.warnings("ground", entity, cut)
        return Partly(look[cut.text], warnings) if warnings else look[cut.text]
