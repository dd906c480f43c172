"""Masks of people by selfie segmentation, of everything else by GrabCut.

A region of a person (source ``evidence:person`` or ``evidence:face``) is cut by MediaPipe's selfie
segmentation, which looks at the region's box and a tenth more on each side; what lies outside the
box is dropped. The network takes every person in the box, so the pixels of neighbours go:

- Neighbours are people that the observer saw and regions of people of the sample, of at least 2 %
  of the image, if their box overlaps the region's box, but not so far that it is the same person's.
- A pixel inside a neighbour's box goes if it is nearer to the centre of that box
  (:mod:`riveg.vision.plain.neighbours`).

Where what is left fills less than 15 % of the box, and for all other regions, GrabCut cuts
(:mod:`riveg.stages.segmenters.grabcut`): its answer, else the box's ellipse; the box for OCR text.
A mask's source says which: ``selfie``, ``grabcut``, ``ellipse`` or ``box``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.config.threads import ThreadCount, Threads, count_threads
from riveg.files import asset, file_digest
from riveg.geometry.masks import mask_from_array
from riveg.protocols import AnswerOrIssue, ImageSource, Mention, Segmenter
from riveg.reads import Reads, reads
from riveg.stages.mentions import by_sample
from riveg.stages.segmenters.grabcut import GrabCut
from riveg.stages.segmenters.region_masks import cut_regions
from riveg.types import Box, Mask, Region, Sample
from riveg.vision.plain.neighbours import is_neighbour, without_neighbours
from riveg.vision.plain.selfie import Selfie

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels


_PEOPLE = frozenset({"evidence:person", "evidence:face"})
"""Sources of regions that are people."""
_LEAST_NEIGHBOUR = 0.02
"""Least share of the image that a neighbour's box fills."""


class EvidenceSegmenterConfig(BackendConfig[Segmenter]):
    """``margin``: how much around a person's box is looked at, as a share of its side.

    ``least_probability``: pixels that are less probably a person's are left out, in [0, 1] (0.3 and
    not 0.5, because the network leaves out more of a person than it adds). ``least_share``: where a
    person's mask fills less of the box, GrabCut cuts. ``side`` and ``rounds``: GrabCut's.
    ``threads``: images cut at the same time, ``auto`` for one a core; the answers do not depend on
    it.
    """

    stage: ClassVar[str] = "segment"
    name: ClassVar[str] = "evidence"
    summary: ClassVar[str] = "people by selfie segmentation, the rest by GrabCut"
    needs_image: ClassVar[bool] = True
    immaterial: ClassVar[frozenset[str]] = frozenset({"threads"})
    parallel: ClassVar[bool] = True

    margin: float = Field(default=0.1, ge=0, le=1)
    least_probability: float = Field(default=0.3, gt=0, lt=1)
    least_share: float = Field(default=0.15, ge=0, le=1)
    side: int = Field(default=200, ge=32)
    rounds: int = Field(default=3, ge=1)
    threads: Threads = "auto"

    def reads(self) -> Reads:
        return reads("image observations", entity="regions", entities="regions")

    def build(self, context: BuildContext) -> EvidenceSegmenter:
        """Loads the network.

        Raises:
            UserError: If it is not there.
        """
        return EvidenceSegmenter(context.images, **self.model_dump())

    def contents(self, base: Path) -> Mapping[str, str]:  # noqa: ARG002 - no path in it
        """Digest of the network."""
        return {person_network().name: file_digest(person_network())}


def person_network() -> Path:
    """The file of the network that cuts people out."""
    return asset("vision", "mediapipe-selfie-256-fp16w.onnx")


class _Request(NamedTuple):
    """All that shapes a region's mask besides the pixels."""

    box: Box
    source: str | None
    neighbours: tuple[Box, ...] = ()


class EvidenceSegmenter:
    """Cuts regions out of their images.

    Args:
        images: Where images come from.
        margin: How much around a person's box is looked at, as a share of its side.
        least_probability: Of a person's pixels, in [0, 1].
        least_share: Least share of the box that a person's mask fills, or GrabCut cuts.
        side: Longer side of the copy that GrabCut cuts, in pixels.
        rounds: Rounds of GrabCut.
        threads: Images at the same time; ``auto``: one a core.
    """

    def __init__(
        self,
        images: ImageSource,
        *,
        margin: float = 0.1,
        least_probability: float = 0.3,
        least_share: float = 0.15,
        side: int = 200,
        rounds: int = 3,
        threads: ThreadCount = "auto",
    ) -> None:
        self._images = images
        self._selfie = Selfie(person_network(), margin, least_probability)
        self._least_share = least_share
        self._grabcut = GrabCut(images, side=side, rounds=rounds, threads=1)
        self._pool = ThreadPoolExecutor(count_threads(threads))

    def segment(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Mask, ...]]]:
        """A mask inside each region's box, of the whole image's size; equal ones are cut once."""
        people = {id(sample): _people(sample) for sample, _ in by_sample(mentions)}

        def request_of(mention: Mention, region: Region) -> _Request:
            return _request(region, people[id(mention.sample)])

        return cut_regions(mentions, self._images, request_of, self._mask, self._pool)

    def _mask(self, pixels: Pixels, request: _Request) -> Mask:
        if request.source in _PEOPLE:
            people = self._selfie.cut(pixels, request.box)
            person = without_neighbours(people, request.box, request.neighbours)
            if person.sum() >= self._least_share * request.box.area:
                return mask_from_array(person, "selfie")
        return self._grabcut.mask(pixels, request.box, request.source)


def _request(region: Region, people: Iterable[Box]) -> _Request:
    if region.source not in _PEOPLE:
        return _Request(region.box, region.source)
    neighbours = (one for one in people if is_neighbour(one, region.box))
    return _Request(region.box, region.source, tuple(neighbours))


def _people(sample: Sample) -> Sequence[Box]:
    """Boxes of people in the image, but for those too small to count; some may be one person's."""
    size = None if sample.image is None else sample.image.size
    least = 0.0 if size is None else _LEAST_NEIGHBOUR * size.width * size.height
    seen = [one.box for one in sample.observations or () if one.kind == "person"]
    named = [
        region.box
        for entity in sample.entities or ()
        for region in entity.regions or ()
        if region.source in _PEOPLE
    ]
    distinct = dict.fromkeys((*seen, *named))
    return sorted((box for box in distinct if box.area >= least), key=_edges)


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.x_min, box.y_min, box.x_max, box.y_max
