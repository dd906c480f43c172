"""Boxes by GroundingDINO (Liu et al. 2023, arXiv 2303.05499) and checkpoints of its kind.

Each image goes through the backbone once. Separately, each phrase is a text of its own, and the
answer is what the network alone would give to that image and phrase; jointly, all phrases of an
image are one text ("a. b. c."), which is faster, but phrases then influence each other: a box
goes to the phrase of its strongest token.

Batches change the order in which numbers are added, so that scores differ by some 1e-6; answers are
rounded to four digits, boxes to a tenth of a pixel. In bfloat16 and float16 products are that
coarse, boxes are not. Edges that a box has outside the image are moved to the image's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import Field, model_validator

from riveg.checkpoints.folders import EXTRA, model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.protocols import Grounder
from riveg.vision.detectors.crop_recheck import RegionOptions
from riveg.vision.detectors.grounding_dino_prompts import (
    Phrase,
    Prompt,
    count_tokens,
    fill_prompts,
    join_phrases,
    phrase_text,
    read_phrase,
)
from riveg.vision.detectors.phrase_search import Found, PhraseSearch
from riveg.vision.queries import QueryTemplate, TextReader
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.image_worker import Prepared
from riveg.vision.runtime.loading import worker_count
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    from torch import Tensor

    from riveg.vision.detectors.grounding_dino import Detections, Features
    from riveg.vision.runtime.tensors import Resizer

    class PhraseNetwork(Protocol):
        """GroundingDINO in two halves, as one of its libraries has it."""

        tokenizer: Any
        most_tokens: int

        pixels: Resizer

        def features(self, pixels: Sequence[Tensor]) -> list[Features]: ...
        def detect(
            self, features: Sequence[Features], prompts: Sequence[Prompt]
        ) -> list[Detections]: ...


_MOST_PADDING = 1.15
"""Resizer computed for a group of images, padding included, against those they have."""


class GroundingDinoConfig(RegionOptions, TorchOptions, BackendConfig):
    """``query``: the phrase, a template.

    ``phrases``: ``separate`` asks for each on its own and is exact, ``joined`` for all of an image
    at once. ``box_threshold``: a box's score must be above it. ``text_threshold``: where phrases
    are joined, the score of a phrase's strongest token must be above it too. ``overlap``: of two
    boxes with a higher intersection over union the worse is dropped; 1 keeps all.
    ``shortest_edge``, ``longest_edge``: what the image is resized to, in pixels; half of both is
    a quarter of the work.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "grounding-dino"
    summary: ClassVar[str] = "GroundingDINO, MM-Grounding-DINO or LLMDet: boxes for a phrase"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

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
        folder = self.folder(context.base)
        from riveg.vision.detectors.grounding_dino import GroundingDinoNetwork

        return self.build_on(GroundingDinoNetwork(folder, self), context)

    def build_on(self, network: PhraseNetwork, context: BuildContext) -> Grounder:
        """The live backend on any network of this kind."""
        finder = GroundingDino(
            network,
            query=self.query,
            phrases=self.phrases,
            text_threshold=self.text_threshold,
            shortest_edge=self.shortest_edge,
            longest_edge=self.longest_edge,
            batch_size=self.batch_size,
        )
        detector = PhraseSearch(
            context.images,
            finder,
            source=self.name,
            most_regions=self.most_regions,
            threshold=self.box_threshold,
            overlap=self.overlap,
            workers=worker_count(self),
        )
        return self.rechecked(detector, context)

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the files of the checkpoint, and of the re-check's."""
        return {**model_contents(self.folder(base)), **self.recheck_contents(base)}


@dataclass(frozen=True, slots=True)
class _Question:
    """A prompt about an image, and the texts of its phrases."""

    path: str
    prompt: Prompt
    texts: tuple[str, ...]


class GroundingDino:
    """Asks a network for the boxes of phrases.

    Args:
        network: The checkpoint.
        query: Template of the phrase.
        phrases: ``separate`` or ``joined``.
        text_threshold: A joined phrase's score must be above it.
        shortest_edge: Of the input, in pixels.
        longest_edge: Of the input, in pixels.
        batch_size: Images or phrases in one forward, at most.
    """

    def __init__(
        self,
        network: PhraseNetwork,
        *,
        query: str = "{expression}",
        phrases: str = "separate",
        text_threshold: float = 0.25,
        shortest_edge: int = 800,
        longest_edge: int = 1333,
        batch_size: int = 8,
    ) -> None:
        self.reader = TextReader(
            query,
            network.most_tokens,
            partial(count_tokens, tokenizer=network.tokenizer),
            clean=phrase_text,
            what="the phrase",
        )
        self.prepare = partial(network.pixels, shortest=shortest_edge, longest=longest_edge)
        self.batch_size = batch_size
        self._network = network
        self._joined = phrases == "joined"
        self._text_threshold = text_threshold

    def read(self, texts: Sequence[str]) -> Mapping[str, Phrase]:
        """The tokens of each text that has some."""
        read = {text: read_phrase(text, self._network.tokenizer) for text in texts}
        return {text: phrase for text, phrase in read.items() if phrase is not None}

    def find(
        self, images: Mapping[str, Prepared[Tensor]], asked: Mapping[str, Mapping[str, Phrase]]
    ) -> Iterator[Found]:
        """The queries' boxes; where phrases are joined, those that are a phrase's own."""
        pixels = {path: one.value for path, one in images.items()}
        features = self._features(pixels)
        sides = {path: (one.shape[1], one.shape[2]) for path, one in pixels.items()}
        for paths in padded_together(sides):
            questions = [one for path in paths for one in self._questions(path, asked[path])]
            for question, detections in self._detected(questions, features):
                yield from self._found(question, detections)

    def _detected(
        self, questions: Sequence[_Question], features: Mapping[str, Features]
    ) -> Iterator[tuple[_Question, Detections]]:
        answers = in_batches(
            questions,
            self.batch_size,
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
                [pixels[path] for path in paths], self.batch_size, self._network.features
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

    def _found(self, question: _Question, detections: Detections) -> Iterator[Found]:
        """Boxes of each phrase of a prompt."""
        from riveg.vision.detectors.grounding_dino import phrase_owners

        boxes, scores = detections.boxes, detections.scores
        if not self._joined:
            yield Found(question.path, question.texts[0], boxes, scores)
            return
        owners = phrase_owners(detections, self._text_threshold)
        for number, text in enumerate(question.texts):
            own = owners == number
            yield Found(question.path, text, boxes[own], scores[own])


def padded_together(sides: Mapping[str, tuple[int, int]]) -> list[list[str]]:
    """Images in groups of such like sides that little is computed for padding.

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
