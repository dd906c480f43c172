"""Boxes by GroundingDINO (Liu et al. 2023, arXiv 2303.05499) and checkpoints of its kind.

Each picture goes through the backbone once. Separately, each phrase is a text of its own, and the
answer is what the network alone would give to that picture and phrase; jointly, all phrases of a
picture are one text ("a. b. c."), which is faster, but phrases then influence each other: a box
goes to the phrase of its strongest token.

Batches change the order in which numbers are added, so that scores differ by some 1e-6; answers are
rounded to four digits, boxes to a tenth of a pixel. In bfloat16 and float16 products are that
coarse, boxes are not. Edges that a box has outside the picture are moved to the picture's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import Field, model_validator

from riveg.errors import ImageFault
from riveg.models.grounding_dino_prompts import (
    Phrase,
    Prompt,
    fill_prompts,
    join_phrases,
    phrase_text,
    read_phrase,
)
from riveg.models.prepared_pictures import PreparedPictures
from riveg.models.query_text import QueryTemplate, query_text
from riveg.models.torch_batches import in_batches
from riveg.models.torch_loading import (
    EXTRA,
    model_contents,
    model_folder,
    worker_count,
)
from riveg.models.torch_options import TorchOptions
from riveg.protocols import BackendConfig, BuildContext, Grounder, Mention, Partly, PictureSource
from riveg.stages.crop_recheck import RegionOptions
from riveg.types import WARNING, ImageRef, Issue, Region

if TYPE_CHECKING:
    from torch import Tensor

    from riveg.models.grounding_dino_network import Detections, Features
    from riveg.models.picture_tensors import Pixels

    class PhraseNetwork(Protocol):
        """GroundingDINO in two halves, as one of its libraries has it."""

        tokenizer: Any
        most_tokens: int

        pixels: Pixels

        def features(self, pixels: Sequence[Tensor]) -> list[Features]: ...
        def detect(
            self, features: Sequence[Features], prompts: Sequence[Prompt]
        ) -> list[Detections]: ...


Answer = tuple[Region, ...] | Partly[tuple[Region, ...]] | Issue
SOURCE = "grounding-dino"

_BATCHES_AHEAD = 4
"""Pictures that are kept as maps at a time, in batches: 18 MB each at 800 x 1066 pixels."""

_MOST_PADDING = 1.15
"""Pixels computed for a group of pictures, padding included, against those they have."""


class GroundingDinoConfig(RegionOptions, TorchOptions, BackendConfig):
    """``query``: the phrase, a template.

    ``phrases``: ``separate`` asks for each on its own and is exact, ``joined`` for all of a picture
    at once. ``box_threshold``: a box's score must be above it. ``text_threshold``: where phrases
    are joined, the score of a phrase's strongest token must be above it too. ``overlap``: of two
    boxes with a higher intersection over union the worse is dropped; 1 keeps all.
    ``shortest_edge``, ``longest_edge``: what the picture is resized to, in pixels; half of both is
    a quarter of the work.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "grounding-dino"
    summary: ClassVar[str] = "GroundingDINO, MM-Grounding-DINO or LLMDet: boxes for a phrase"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_picture: ClassVar[bool] = True

    model: str = Field(default="IDEA-Research/grounding-dino-base", min_length=1)
    licence: str | None = "apache-2.0"
    query: QueryTemplate = "{expression}"
    phrases: Literal["separate", "joined"] = "separate"
    box_threshold: float = Field(default=0.25, ge=0, lt=1)
    text_threshold: float = Field(default=0.25, ge=0, lt=1)
    overlap: float = Field(default=0.7, gt=0, le=1)
    shortest_edge: int = Field(default=800, ge=32)
    longest_edge: int = Field(default=1333, ge=32)

    @model_validator(mode="after")
    def _edges_in_order(self) -> GroundingDinoConfig:
        if self.shortest_edge > self.longest_edge:
            raise ValueError("shortest_edge must not be above longest_edge")
        return self

    def build(self, context: BuildContext) -> Grounder:
        """The live backend."""
        folder = model_folder(self, context.base)
        from riveg.models.grounding_dino_network import GroundingDinoNetwork

        return self.build_on(GroundingDinoNetwork(folder, self), context, SOURCE)

    def build_on(self, network: PhraseNetwork, context: BuildContext, source: str) -> Grounder:
        """The live backend on any network of this kind; ``source`` is said of its regions."""
        detector = GroundingDino(
            context.images,
            network,
            source=source,
            query=self.query,
            phrases=self.phrases,
            most_regions=self.most_regions,
            box_threshold=self.box_threshold,
            text_threshold=self.text_threshold,
            overlap=self.overlap,
            shortest_edge=self.shortest_edge,
            longest_edge=self.longest_edge,
            batch_size=self.batch_size,
            workers=worker_count(self),
        )
        return self.rechecked(detector, context)

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the files of the checkpoint, and of the re-check's."""
        return {**model_contents(self, base), **self.recheck_contents(base)}


@dataclass(frozen=True, slots=True)
class _Question:
    """A prompt about a picture, and the texts of its phrases."""

    path: str
    prompt: Prompt
    texts: tuple[str, ...]


Found = dict[tuple[str, str], tuple[Region, ...]]
"""Regions by the picture's path and the phrase's text."""


class GroundingDino:
    """Asks a network for the boxes of phrases.

    Args:
        images: Where pictures come from.
        network: The checkpoint.
        source: Said of the regions.
        query: Template of the phrase.
        phrases: ``separate`` or ``joined``.
        most_regions: Of one mention.
        box_threshold: A box's score must be above it.
        text_threshold: A joined phrase's score must be above it.
        overlap: Highest intersection over union of two regions.
        shortest_edge: Of the input, in pixels.
        longest_edge: Of the input, in pixels.
        batch_size: Pictures or phrases in one forward, at most.
        workers: Processes that prepare pictures.
    """

    def __init__(
        self,
        images: PictureSource,
        network: PhraseNetwork,
        *,
        source: str = SOURCE,
        query: str = "{expression}",
        phrases: str = "separate",
        most_regions: int = 1,
        box_threshold: float = 0.25,
        text_threshold: float = 0.25,
        overlap: float = 0.7,
        shortest_edge: int = 800,
        longest_edge: int = 1333,
        batch_size: int = 8,
        workers: int = 0,
    ) -> None:
        prepare = partial(network.pixels, shortest=shortest_edge, longest=longest_edge)
        self.pictures = PreparedPictures(images, prepare, workers=workers)
        self._network = network
        self._source = source
        self._query = query
        self._joined = phrases == "joined"
        self._most_regions = most_regions
        self._box_threshold = box_threshold
        self._text_threshold = text_threshold
        self._overlap = overlap
        self._batch_size = batch_size

    def ground(self, mentions: Sequence[Mention]) -> Sequence[Answer]:
        """Regions of each mention, best first; ``()`` where no box is good enough."""
        texts = [phrase_text(query_text(self._query, mention.entity)) for mention in mentions]
        phrases = {text: self._phrase(text) for text in dict.fromkeys(texts)}
        pictures: dict[str, tuple[ImageRef, dict[str, Phrase]]] = {}
        for mention, text in zip(mentions, texts, strict=True):
            image, phrase = mention.sample.image, phrases[text]
            if image is not None and phrase is not None:
                pictures.setdefault(image.path, (image, {}))[1][text] = phrase
        found: Found = {}
        faults: dict[str, ImageFault] = {}
        for part in _parts(list(pictures), _BATCHES_AHEAD * self._batch_size):
            self._look({path: pictures[path] for path in part}, found, faults)
        return [
            self._answer(mention, text, phrases[text], found, faults)
            for mention, text in zip(mentions, texts, strict=True)
        ]

    def _phrase(self, text: str) -> Phrase | None:
        return read_phrase(text, self._network.tokenizer, self._network.most_tokens)

    def _look(
        self,
        pictures: Mapping[str, tuple[ImageRef, dict[str, Phrase]]],
        found: Found,
        faults: dict[str, ImageFault],
    ) -> None:
        """Answers all phrases of some pictures."""
        pixels: dict[str, Tensor] = {}
        sizes: dict[str, tuple[int, int]] = {}
        for path, one in self.pictures.distinct(image for image, _ in pictures.values()).items():
            if isinstance(one, ImageFault):
                faults[path] = one
            else:
                sizes[path], pixels[path] = one.size, one.value
        features = self._features(pixels)
        sides = {path: (one.shape[1], one.shape[2]) for path, one in pixels.items()}
        for paths in padded_together(sides):
            questions = [one for path in paths for one in self._questions(path, pictures[path][1])]
            for question, detections in self._detected(questions, features):
                regions = self._regions(detections, sizes[question.path], len(question.texts))
                for text, chosen in zip(question.texts, regions, strict=True):
                    found[question.path, text] = chosen

    def _detected(
        self, questions: Sequence[_Question], features: Mapping[str, Features]
    ) -> Iterator[tuple[_Question, Detections]]:
        answers = in_batches(
            questions,
            self._batch_size,
            lambda batch: self._network.detect(
                [features[one.path] for one in batch], [one.prompt for one in batch]
            ),
        )
        return zip(questions, answers, strict=True)

    def _features(self, pixels: Mapping[str, Tensor]) -> dict[str, Features]:
        by_shape: dict[tuple[int, ...], list[str]] = {}
        for path in sorted(pixels, key=lambda path: tuple(pixels[path].shape)):
            by_shape.setdefault(tuple(pixels[path].shape), []).append(path)
        features: dict[str, Features] = {}
        for paths in by_shape.values():
            maps = in_batches(
                [pixels[path] for path in paths], self._batch_size, self._network.features
            )
            features.update(zip(paths, maps, strict=True))
        return features

    def _questions(self, path: str, phrases: Mapping[str, Phrase]) -> Iterator[_Question]:
        texts, read = list(phrases), list(phrases.values())
        groups = (
            fill_prompts(read, self._network.most_tokens)
            if self._joined
            else [[number] for number in range(len(read))]
        )
        for group in groups:
            prompt = join_phrases([read[number] for number in group], self._network.tokenizer)
            yield _Question(path, prompt, tuple(texts[number] for number in group))

    def _regions(
        self, detections: Detections, size: tuple[int, int], count: int
    ) -> list[tuple[Region, ...]]:
        """Regions of each phrase of a prompt."""
        from riveg.models.grounding_dino_network import phrase_owners
        from riveg.models.region_choice import choose_regions

        if not self._joined:
            rows = [slice(None)]
        else:
            owners = phrase_owners(detections, self._text_threshold)
            rows = [owners == number for number in range(count)]
        return [
            choose_regions(
                detections.boxes[row],
                detections.scores[row],
                size=size,
                threshold=self._box_threshold,
                overlap=self._overlap,
                most=self._most_regions,
                source=self._source,
            )
            for row in rows
        ]

    def _answer(
        self,
        mention: Mention,
        text: str,
        phrase: Phrase | None,
        found: Found,
        faults: Mapping[str, ImageFault],
    ) -> Answer:
        image, entity_id = mention.sample.image, mention.entity.id
        if image is None:
            return Issue("ground", entity_id, "no-picture", "the post has no picture to look at")
        if phrase is None:
            return Issue("ground", entity_id, "empty-phrase", "the phrase has nothing to look for")
        if image.path in faults:
            fault = faults[image.path]
            return Issue("ground", entity_id, fault.kind, str(fault))
        regions = found[image.path, text]
        if not phrase.was_cut:
            return regions
        message = (
            f"the phrase has more than the {self._network.most_tokens} tokens that are read; "
            f"cut to {phrase.text!r}"
        )
        return Partly(regions, (Issue("ground", entity_id, WARNING, message),))


def padded_together(sides: Mapping[str, tuple[int, int]]) -> list[list[str]]:
    """Pictures in groups of such like sides that little is computed for padding.

    >>> padded_together({"wide": (800, 1066), "tall": (1066, 800), "wider": (800, 1100)})
    [['wide', 'wider'], ['tall']]

    Args:
        sides: Height and width by path.
    """
    groups: list[list[str]] = []
    whole, height, width = 0, 0, 0
    for path in sorted(sides, key=lambda path: sides[path]):
        high, wide = sides[path]
        height, width = max(height, high), max(width, wide)
        whole += high * wide
        if not groups or height * width * (len(groups[-1]) + 1) > _MOST_PADDING * whole:
            groups.append([])
            whole, height, width = high * wide, high, wide
        groups[-1].append(path)
    return groups


def _parts(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), size):
        yield paths[start : start + size]
