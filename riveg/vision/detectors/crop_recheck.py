"""Checks what a detector found: the crop of each region is compared with a text.

A detector answers with whatever fits its phrase best; the network of an entailer says whether it
fits at all. Regions whose crop does not fit are dropped. The others keep the detector's order: a
crop does not show its surroundings, which expressions speak of ("left of the man"), so that it
separates right regions from wrong ones better than it ranks right ones.

The ``score`` of a checked region is that of its crop, to which the threshold applies and which
``riveg calibrate`` tunes. Its ``source`` names both, such as ``grounding-dino+siglip``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from riveg.checkpoints.folders import model_contents
from riveg.config.backend import BuildContext
from riveg.errors import ImageFault
from riveg.geometry.boxes import grown_box, whole_edges
from riveg.protocols import AnswerOrIssue, Grounder, ImageSource, Mention, PartialAnswer
from riveg.reads import NAMED, Reads, reads
from riveg.types import Box, ImageRef, ImageSize, Issue, Region
from riveg.vision.detectors.phrase_search import PhraseFinder, PhraseSearch
from riveg.vision.matchers.loading import DEFAULTS, MatcherName, load_matcher
from riveg.vision.matchers.matcher import Pair, TextMatcher, four_digits
from riveg.vision.queries import CutText, QueryTemplate, TextReader
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.tensors import image_tensors

if TYPE_CHECKING:
    from riveg.vision.runtime.tensors import ImageTensors

_Answer = AnswerOrIssue[tuple[Region, ...]]
Order = Literal["detector", "crop"]


class Recheck(TorchOptions):
    """``matcher``: ``siglip`` or ``itm``, which has its usual ``model`` and ``threshold``.

    ``query``: the text that is held against the crop, a template. ``threshold``: regions whose crop
    scores less are dropped, in [0, 1]. ``margin``: before it is cut out, each edge of a box moves
    outwards by this share of the box's side, as far as the image goes. ``order``: of the regions
    that are kept, the ``detector``'s, or by the score of the ``crop``. ``workers`` stays ``auto``:
    crops are not prepared ahead.
    """

    matcher: MatcherName = "siglip"
    model: str = Field(default=DEFAULTS["siglip"].model, min_length=1)
    licence: str | None = DEFAULTS["siglip"].licence
    query: QueryTemplate = "{expression}"
    threshold: float = Field(default=DEFAULTS["siglip"].threshold, ge=0.0, le=1.0)
    margin: float = Field(default=0.1, ge=0.0, le=1.0)
    order: Order = "detector"

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, given: Any) -> Any:
        """The defaults depend on the matcher."""
        if not isinstance(given, Mapping) or str(given.get("matcher")) not in DEFAULTS:
            return given
        return {**DEFAULTS[str(given["matcher"])]._asdict(), **given}

    @field_validator("workers")
    @classmethod
    def _has_no_workers(cls, workers: Any) -> Any:
        if workers != "auto":
            raise ValueError("a re-check has no workers: its crops are not prepared ahead")
        return workers

    def load(self, base: Path) -> TextMatcher:
        """The network.

        Raises:
            UserError: If the model is not there, or is another.
        """
        return load_matcher(self.matcher, self.folder(base), self)


class RegionOptions(BaseModel):
    """Fields that detectors share: which of the found regions are the answer.

    ``regions``: the best one, or ``many``, of which at most ``top_k``. ``recheck``: holds the crops
    of ``top_k`` regions against a text and drops those that do not fit; of the others, the best one
    or all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: Literal["one", "many"] = "one"
    top_k: int = Field(default=5, ge=1)
    recheck: Recheck | None = None

    @property
    def most_regions(self) -> int:
        """How many regions of a mention the detector gives at most: those that are re-checked."""
        return 1 if self.regions == "one" and self.recheck is None else self.top_k

    def reads(self) -> Reads:
        return reads("image", entity=NAMED)

    def grounder(
        self,
        finder: PhraseFinder,
        context: BuildContext,
        *,
        source: str,
        overlap: float,
        threshold: float = 0.0,
        workers: int = 0,
    ) -> Grounder:
        """The live backend on a network that is loaded, with the re-check where there is one.

        Args:
            finder: The network.
            context: Where images come from, and relative folders start.
            source: As of :class:`~riveg.vision.detectors.phrase_search.PhraseSearch`.
            overlap: Likewise.
            threshold: Likewise.
            workers: Likewise.

        Raises:
            UserError: If the re-check's model is not there, or is another.
        """
        search = PhraseSearch(
            context.images,
            finder,
            source=source,
            most_regions=self.most_regions,
            threshold=threshold,
            overlap=overlap,
            workers=workers,
        )
        if self.recheck is None:
            return search
        return RecheckedGrounder(
            search,
            context.images,
            self.recheck.load(context.base),
            source=self.recheck.matcher,
            query=self.recheck.query,
            threshold=self.recheck.threshold,
            margin=self.recheck.margin,
            order=self.recheck.order,
            most_regions=1 if self.regions == "one" else self.top_k,
        )

    def recheck_contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the files of the re-check's model.

        Raises:
            UserError: If the model is not there.
        """
        if self.recheck is None:
            return {}
        found = model_contents(self.recheck.folder(base))
        return {f"recheck/{name}": digest for name, digest in found.items()}


class RecheckedGrounder:
    """Asks a detector for regions, then a network whether the crop of each fits its mention.

    The crops of a batch of mentions are prepared together: each image is opened once, and each
    distinct crop and text is encoded once.

    Args:
        grounder: The detector.
        images: Where images come from.
        matcher: The network.
        source: The matcher's name.
        query: Template of the text.
        threshold: Regions whose crop scores less are dropped.
        margin: Share of a box's sides by which its edges move outwards.
        order: ``detector`` or ``crop``.
        most_regions: Highest number of regions of one mention.
    """

    def __init__(
        self,
        grounder: Grounder,
        images: ImageSource,
        matcher: TextMatcher,
        *,
        source: str,
        query: str = "{expression}",
        threshold: float = 0.1,
        margin: float = 0.1,
        order: Order = "detector",
        most_regions: int = 1,
    ) -> None:
        self._grounder = grounder
        self.image_queue = getattr(grounder, "image_queue", None)
        """The detector's, if it has one."""
        self._images = images
        self._matcher = matcher
        self._source = source
        self._reader = TextReader(
            query, matcher.most_tokens, matcher.count_tokens, what="the re-check's text"
        )
        self._threshold = threshold
        self._margin = margin
        self._order = order
        self._most_regions = most_regions

    def ground(self, mentions: Sequence[Mention]) -> Sequence[_Answer]:
        """Each mention's regions whose crop fits, best first; ``()`` where none does."""
        answers = self._grounder.ground(mentions)
        found = [_regions(answer) for answer in answers]
        texts = self._reader.read([mention.entity for mention in mentions])
        crops = self._crops(mentions, found)
        pairs = [
            [Pair(place, cut.text) for place in crops.places_of(mention, regions)]
            for mention, regions, cut in zip(mentions, found, texts, strict=True)
        ]
        scores = iter(self._matcher.probabilities(crops.tensors, [*chain.from_iterable(pairs)]))
        return [
            self._answer(mention, answer, cut, crops, [*islice(scores, len(own))])
            for mention, answer, cut, own in zip(mentions, answers, texts, pairs, strict=True)
        ]

    def _crops(self, mentions: Sequence[Mention], found: Sequence[Sequence[Region]]) -> _Crops:
        """The crops of all regions; images are opened one by one."""
        boxes_by_image: dict[str, tuple[ImageRef, list[Box]]] = {}
        for mention, regions in zip(mentions, found, strict=True):
            if (image := mention.sample.image) is not None and regions:
                boxes = boxes_by_image.setdefault(image.path, (image, []))[1]
                boxes += [region.box for region in regions]
        crops = _Crops([], {}, {})
        for image, boxes in boxes_by_image.values():
            try:
                pixels = self._images.load(image)
            except ImageFault as fault:
                crops.faults[image.path] = fault
                continue
            places: dict[tuple[int, int, int, int], int] = {}
            size = ImageSize(pixels.shape[1], pixels.shape[0])
            for box in boxes:
                edges = whole_edges(grown_box(box, self._margin), size)
                left, top, right, bottom = edges
                if edges not in places:
                    places[edges] = len(crops.tensors)
                    cut_out = pixels[top:bottom, left:right]
                    crops.tensors.append(image_tensors(self._matcher.processor, cut_out))
                crops.places[image.path, box] = places[edges]
        return crops

    def _answer(
        self,
        mention: Mention,
        answer: _Answer,
        text: CutText,
        crops: _Crops,
        scores: Sequence[float],
    ) -> _Answer:
        regions, image, entity_id = _regions(answer), mention.sample.image, mention.entity.id
        if not regions or image is None:
            return answer
        if image.path in crops.faults:
            fault = crops.faults[image.path]
            return Issue("ground", entity_id, fault.kind, str(fault))
        if any(map(math.isnan, scores)):
            return Issue("ground", entity_id, "no-number", "the re-check gave no probability")
        kept = self._kept(regions, scores)
        issues = answer.issues if isinstance(answer, PartialAnswer) else ()
        issues += self._reader.warnings("ground", mention.entity, text)
        return PartialAnswer(kept, issues) if issues else kept

    def _kept(self, regions: Sequence[Region], scores: Sequence[float]) -> tuple[Region, ...]:
        scored = [
            replace(region, score=four_digits(score), source=f"{region.source}+{self._source}")
            for region, score in zip(regions, scores, strict=True)
        ]
        kept = [region for region in scored if (region.score or 0.0) >= self._threshold]
        if self._order == "crop":
            kept.sort(key=lambda region: region.score or 0.0, reverse=True)
        return tuple(kept[: self._most_regions])


@dataclass(frozen=True, slots=True)
class _Crops:
    """Crops as the network's input, and which of them belongs to a box of an image."""

    tensors: list[ImageTensors]
    places: dict[tuple[str, Box], int]
    faults: dict[str, ImageFault]

    def places_of(self, mention: Mention, regions: Sequence[Region]) -> Iterator[int]:
        """The places of the regions' crops; none where the image cannot be used."""
        image = mention.sample.image
        if image is not None and image.path not in self.faults:
            yield from (self.places[image.path, region.box] for region in regions)


def _regions(answer: _Answer) -> tuple[Region, ...]:
    whole = answer.answer if isinstance(answer, PartialAnswer) else answer
    return () if isinstance(whole, Issue) else whole
