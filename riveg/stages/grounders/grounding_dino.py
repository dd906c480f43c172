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
from riveg.types import ImageSize
from riveg.vision.detectors.crop_recheck import RegionOptions
from riveg.vision.detectors.grounding_dino_prompts import (
    Phrase,
    PhrasePrompt,
    count_tokens,
    fill_prompts,
    join_phrases,
    phrase_text,
    read_phrase,
)
from riveg.vision.detectors.phrase_search import PhraseBoxes
from riveg.vision.detectors.phrase_settings import PhraseSettings
from riveg.vision.queries import QueryTemplate, TextReader
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.loading import worker_count
from riveg.vision.trained import AskedAsTrained

if TYPE_CHECKING:
    from torch import Tensor

    from riveg.vision.detectors.grounding_dino import Detections
    from riveg.vision.detectors.grounding_dino_padding import FeatureMaps
    from riveg.vision.runtime.tensors import Resizer

    class PhraseNetwork(Protocol):
        """GroundingDINO in two halves, from transformers or from its authors' package."""

        tokenizer: Any
        most_tokens: int

        prepare: Resizer

        def encode_images(self, pixels: Sequence[Tensor]) -> list[FeatureMaps]: ...
        def detect(
            self, features: Sequence[FeatureMaps], prompts: Sequence[PhrasePrompt]
        ) -> list[Detections]: ...


_MOST_PADDING = 1.15
"""Highest number of pixels of a group of images with padding, as a multiple of those without."""


class GroundingDinoConfig(RegionOptions, AskedAsTrained[PhraseSettings], BackendConfig[Grounder]):
    """``query``: the phrase, a template.

    ``phrases``: ``separate`` asks for each on its own and is exact, ``joined`` for all of an image
    at once. ``box_threshold``: a box's score must be above it. ``text_threshold``: where phrases
    are joined, the score of a phrase's strongest token must be above it too. ``overlap``: of two
    boxes with a higher intersection over union the worse is dropped; 1 keeps all.
    ``shortest_edge``, ``longest_edge``: what the image is resized to, in pixels; half of both is
    a quarter of the work. Where the system states none, template and edges are those that the model
    was trained with (``riveg train grounder``), or of a published one ``{expression}``, 800 and
    1333.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "grounding-dino"
    summary: ClassVar[str] = "GroundingDINO, MM-Grounding-DINO or LLMDet: boxes for a phrase"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default="IDEA-Research/grounding-dino-base", min_length=1)
    licence: str | None = "apache-2.0"
    query: QueryTemplate | None = None
    phrases: Literal["separate", "joined"] = "separate"
    box_threshold: float = Field(default=0.25, ge=0, lt=1)
    text_threshold: float = Field(default=0.25, ge=0, lt=1)
    overlap: float = Field(default=0.7, gt=0, le=1)
    shortest_edge: int | None = Field(default=None, ge=32)
    longest_edge: int | None = Field(default=None, ge=32)

    @model_validator(mode="after")
    def _edges_in_order(self) -> GroundingDinoConfig:
        if self.shortest_edge and self.longest_edge and self.shortest_edge > self.longest_edge:
            raise ValueError("shortest_edge must not be above longest_edge")
        return self

    def build(self, context: BuildContext) -> Grounder:
        """The live backend.

        Raises:
            UserError: If the folder is no such model's, or the shortest edge is above the longest.
        """
        folder, asked = self.folder(context.base), self.asked(context.base)
        from riveg.vision.detectors.grounding_dino import GroundingDinoNetwork

        return self.build_on(GroundingDinoNetwork(folder, self), context, asked)

    def build_on(
        self, network: PhraseNetwork, context: BuildContext, asked: PhraseSettings | None = None
    ) -> Grounder:
        """The live backend on any network of this kind.

        Args:
            network: It, loaded.
            context: Where images come from.
            asked: How it is asked; ``None``: as a published one.

        Raises:
            UserError: If the shortest edge is above the longest.
        """
        finder = GroundingDino(
            network,
            asked or self.over(self.usual()),
            phrases=self.phrases,
            text_threshold=self.text_threshold,
            batch_size=self.batch_size,
        )
        return self.grounder(
            finder,
            context,
            source=self.name,
            threshold=self.box_threshold,
            overlap=self.overlap,
            workers=worker_count(self),
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the files of the checkpoint, and of the re-check's."""
        return {**model_contents(self.folder(base)), **self.recheck_contents(base)}

    def usual(self) -> PhraseSettings:
        """How a published model is asked."""
        return PhraseSettings()


@dataclass(frozen=True, slots=True)
class _Question:
    """A prompt about an image, and the texts of its phrases."""

    path: str
    prompt: PhrasePrompt
    texts: tuple[str, ...]


class GroundingDino:
    """Asks a network for the boxes of phrases.

    Args:
        network: The checkpoint.
        settings: Template of the phrase, and sides of the input.
        phrases: ``separate`` or ``joined``.
        text_threshold: A joined phrase's score must be above it.
        batch_size: Highest number of images or phrases in one forward.
    """

    def __init__(
        self,
        network: PhraseNetwork,
        settings: PhraseSettings,
        *,
        phrases: str = "separate",
        text_threshold: float = 0.25,
        batch_size: int = 8,
    ) -> None:
        self.reader = TextReader(
            settings.query,
            network.most_tokens,
            partial(count_tokens, tokenizer=network.tokenizer),
            clean=phrase_text,
            what="the phrase",
        )
        self.prepare = partial(
            network.prepare, shortest=settings.shortest_edge, longest=settings.longest_edge
        )
        self.batch_size = batch_size
        self._network = network
        self._is_joined = phrases == "joined"
        self._text_threshold = text_threshold

    def encode_texts(self, texts: Sequence[str]) -> Mapping[str, Phrase]:
        """The tokens of each text that has some."""
        phrases = {text: read_phrase(text, self._network.tokenizer) for text in texts}
        return {text: phrase for text, phrase in phrases.items() if phrase is not None}

    def find_boxes(
        self,
        images: Mapping[str, PreparedImage[Tensor]],
        texts: Mapping[str, Mapping[str, Phrase]],
    ) -> Iterator[PhraseBoxes]:
        """The boxes of the network's queries; of joined phrases, those that are a phrase's own.

        *Shape:* each prepared image ``(3, height, width)``.
        """
        pixels = {path: image.value for path, image in images.items()}
        features = self._encode(pixels)
        sizes = {path: ImageSize(one.shape[2], one.shape[1]) for path, one in pixels.items()}
        for paths in group_by_size(sizes):
            questions = [one for path in paths for one in self._questions(path, texts[path])]
            for question, detections in self._detect(questions, features):
                yield from self._phrase_boxes(question, detections)

    def _detect(
        self, questions: Sequence[_Question], features: Mapping[str, FeatureMaps]
    ) -> Iterator[tuple[_Question, Detections]]:
        detections = in_batches(
            questions,
            self.batch_size,
            lambda batch: self._network.detect(
                [features[one.path] for one in batch], [one.prompt for one in batch]
            ),
        )
        return zip(questions, detections, strict=True)

    def _encode(self, pixels: Mapping[str, Tensor]) -> dict[str, FeatureMaps]:
        """The feature maps of each image, by path; only images of one size share a batch."""
        by_shape: dict[tuple[int, ...], list[str]] = {}
        for path in sorted(pixels, key=lambda path: tuple(pixels[path].shape)):
            by_shape.setdefault(tuple(pixels[path].shape), []).append(path)
        features: dict[str, FeatureMaps] = {}
        for paths in by_shape.values():
            maps = in_batches(
                [pixels[path] for path in paths], self.batch_size, self._network.encode_images
            )
            features.update(zip(paths, maps, strict=True))
        return features

    def _questions(self, path: str, phrases: Mapping[str, Phrase]) -> Iterator[_Question]:
        texts, tokens = list(phrases), list(phrases.values())
        groups = (
            fill_prompts(tokens, self._network.most_tokens)
            if self._is_joined
            else [[number] for number in range(len(tokens))]
        )
        for group in groups:
            prompt = join_phrases([tokens[number] for number in group], self._network.tokenizer)
            yield _Question(path, prompt, tuple(texts[number] for number in group))

    def _phrase_boxes(self, question: _Question, detections: Detections) -> Iterator[PhraseBoxes]:
        """Boxes of each phrase of a prompt."""
        from riveg.vision.detectors.grounding_dino import phrase_owners

        boxes, scores = detections.boxes, detections.scores
        if not self._is_joined:
            yield PhraseBoxes(question.path, question.texts[0], boxes, scores)
            return
        owners = phrase_owners(detections, self._text_threshold)
        for number, text in enumerate(question.texts):
            own = owners == number
            yield PhraseBoxes(question.path, text, boxes[own], scores[own])


def group_by_size(sizes: Mapping[str, ImageSize]) -> list[list[str]]:
    """Paths of images in groups of so similar sizes that little is computed for padding.

    >>> wide, tall, wider = ImageSize(1066, 800), ImageSize(800, 1066), ImageSize(1100, 800)
    >>> group_by_size({"wide": wide, "tall": tall, "wider": wider})
    [['wide', 'wider'], ['tall']]

    Args:
        sizes: Of the prepared images, by path.
    """
    groups: list[list[str]] = []
    pixels, height, width = 0, 0, 0
    for path in sorted(sizes, key=lambda path: sizes[path][::-1]):
        size = sizes[path]
        height, width = max(height, size.height), max(width, size.width)
        pixels += size.height * size.width
        if not groups or height * width * (len(groups[-1]) + 1) > _MOST_PADDING * pixels:
            groups.append([])
            pixels, height, width = size.height * size.width, size.height, size.width
        groups[-1].append(path)
    return groups
