"""What each stage's model is asked in a training, and what it should answer.

Nothing is asked in words of its own: the backend of the stage makes the requests, exactly those of
a run, and reads the answers on dev.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Protocol

from riveg.config.backend import BuildContext
from riveg.errors import NO_IMAGE, ImageFault, UserError, suggest
from riveg.geometry.boxes import clip_box
from riveg.geometry.frames import Resize
from riveg.labels import Label
from riveg.llm.conversation import Chat, Request, Response
from riveg.llm.endpoint import Endpoint
from riveg.llm.json_answers import thoughts_in, without_thoughts
from riveg.pipeline import AnyStageRunner, StageRunner
from riveg.protocols import ImageSource, Mention
from riveg.runs.building import build_context
from riveg.stages.box_lists import written_boxes
from riveg.stages.extractors.answers import StatedEntity
from riveg.stages.extractors.chat import IMAGE_SHAPE, ChatExtractor, image_shape_fault
from riveg.stages.grounders.chat import ChatGrounder
from riveg.stages.named_spans import UNALIGNED
from riveg.stages.stated_boxes import WrittenBoxes
from riveg.stages.table import EXTRACT, GROUND
from riveg.text.alignment import TokenAligner, Unaligned
from riveg.text.spans import span_text
from riveg.training.vlm.answer_boxes import AnswerBoxes, BoxPlaces
from riveg.training.vlm.settings import VlmSettings
from riveg.types import Box, Entity, Gold, GoldEntity, ImageSize, Sample, Span


class Unusable(ValueError):
    """Raised for a question that nothing can be learnt from.

    Args:
        kind: As an Issue's.
        message: What is wrong.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Question:
    """One request of a training, and its right answer.

    Args:
        request: What a run would send.
        places: The boxes of the answer.
        write: The answer with these boxes, as the model states them.
    """

    request: Request
    places: BoxPlaces
    write: Callable[[WrittenBoxes], str]


class Task(Protocol):
    """A stage whose model is trained."""

    @property
    def boxes(self) -> AnswerBoxes:
        """How boxes are stated."""

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question]:
        """The requests about a post whose image was opened.

        Raises:
            Unusable: If nothing can be learnt from it.
        """

    def asked(self, sample: Sample, gold: Gold) -> Sample:
        """What the stage is given on dev: the post, with what stages before it have found."""

    def runner(self, images: ImageSource) -> AnyStageRunner:
        """The stage at work."""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What a system would say around its stage."""

    llm: Mapping[str, Endpoint]
    labels: tuple[Label, ...]
    base: Path = Path()


def make_task(
    config: VlmSettings,
    chat: Chat,
    images: ImageSource,
    *,
    resize: Resize,
    thoughts: Mapping[str, str],
) -> Task:
    """The task that a configuration names.

    Args:
        config: The configuration.
        chat: Is asked on dev, and nothing before.
        images: Those of dev.
        resize: What the model's processor does to images.
        thoughts: What stands before the answers, by post.

    Raises:
        UserError: If the prompt or the frame cannot be used.
    """
    block = getattr(config, config.task)
    # Never opened: it says how large images are sent, as the endpoint of a system would.
    endpoint = Endpoint(model=config.model, engine="vllm-offline", picture_side=config.picture_side)
    around = _Surroundings({block.llm: endpoint}, config.labels)
    context = build_context(around, images, chats={block.llm: chat})
    names = tuple(label.name for label in config.labels)
    if config.task == "ground":
        return Grounding.of(config, context, resize, names)
    return Extracting.of(config, context, resize, names, thoughts)


@dataclass(frozen=True, slots=True)
class Extracting:
    """``extract: chat``: a post becomes one request, its entities the answer.

    Args:
        backend: The stage's.
        boxes: How boxes are stated.
        labels: Names of the types.
        thoughts: What stands before the answers, by post.
    """

    backend: ChatExtractor
    boxes: AnswerBoxes
    labels: tuple[str, ...]
    thoughts: Mapping[str, str]

    @classmethod
    def of(
        cls,
        config: VlmSettings,
        context: BuildContext,
        resize: Resize,
        labels: tuple[str, ...],
        thoughts: Mapping[str, str],
    ) -> Extracting:
        """From a configuration with the block ``extract``."""
        assert config.extract is not None
        backend = config.extract.build(context)
        if thoughts and not backend.form.takes_thoughts:
            raise UserError(
                f"reasoning: answers of the prompt {config.extract.prompt} hold no thought; leave "
                "reasoning out, or take extract/e2e-gmner.v1"
            )
        return cls(backend, AnswerBoxes(backend.boxes, resize, config.jitter), labels, thoughts)

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question]:
        entities = sorted(gold.entities, key=lambda one: (one.span.start, one.span.end))
        stated = [self._stated(sample, entity) for entity in entities]
        places = _places(sample, entities)
        ends = [0, *accumulate(len(entity.boxes or ()) for entity in entities)]
        thoughts = self.thoughts.get(sample.id, "")

        def write(boxes: WrittenBoxes) -> str:
            placed = [
                replace(one, boxes=boxes[start:end])
                for one, (start, end) in zip(stated, pairwise(ends), strict=True)
            ]
            return self.backend.form.write(placed, thoughts)

        self._require_readable(write(self.boxes.written(places, None)), stated, thoughts)
        (prepared,) = self.backend.prepare([sample])
        yield Question(prepared.request, places, write)

    def asked(self, sample: Sample, gold: Gold) -> Sample:  # noqa: ARG002
        return sample

    def runner(self, images: ImageSource) -> AnyStageRunner:
        return StageRunner(
            EXTRACT, self.backend, images, needs_image=True, batch_size=_ALL, gated=False
        )

    def _stated(self, sample: Sample, entity: GoldEntity) -> StatedEntity:
        require_label(sample, entity, self.labels)
        words = span_text(sample.text, sample.offsets, entity.span)
        return StatedEntity(words, entity.label, _occurrence(sample, words, entity.span), (), _SPAN)

    def _require_readable(self, text: str, stated: Sequence[StatedEntity], thoughts: str) -> None:
        """Makes sure that what is learnt would be read as what was annotated."""
        frame = self.boxes.stated.frame
        read = self.backend.form.read(Response(without_thoughts(text), "stop"), frame)
        found = [(one.words, one.label, one.boxes is not None) for one in read.entities]
        if read.faults or found != [(one.words, one.label, True) for one in stated]:
            raise Unusable(
                "unreadable-answer",
                "a name holds a sign that the form of the answer needs for itself, so that it "
                "would be read otherwise",
            )
        if thoughts_in(text) != thoughts:
            raise Unusable("unreadable-answer", "the reasoning holds the end of a thought")


@dataclass(frozen=True, slots=True)
class Grounding:
    """``ground: chat``: an entity becomes one request, its boxes the answer.

    Args:
        backend: The stage's.
        boxes: How boxes are stated.
        labels: Names of the types.
    """

    backend: ChatGrounder
    boxes: AnswerBoxes
    labels: tuple[str, ...]

    @classmethod
    def of(
        cls, config: VlmSettings, context: BuildContext, resize: Resize, labels: tuple[str, ...]
    ) -> Grounding:
        """From a configuration with the block ``ground``."""
        assert config.ground is not None
        backend = config.ground.build(context)
        return cls(backend, AnswerBoxes(backend.boxes, resize, config.jitter), labels)

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question]:
        found = self.asked(sample, gold)
        for annotated, entity in zip(gold.entities, found.entities or (), strict=True):
            require_label(sample, annotated, self.labels)
            (prepared,) = self.backend.prepare([Mention(found, entity)])
            places = _places(sample, [annotated], f"{sample.id}/{entity.id}")
            yield Question(
                prepared.request,
                places,
                lambda boxes: json.dumps({"boxes": written_boxes(boxes)}),
            )

    def asked(self, sample: Sample, gold: Gold) -> Sample:
        return replace(sample, entities=tuple(annotated_entities(sample, gold)))

    def runner(self, images: ImageSource) -> AnyStageRunner:
        return StageRunner(
            GROUND, self.backend, images, needs_image=True, batch_size=_ALL, gated=False
        )


_ALL = 1 << 30
"""Samples a call: the network makes its own batches of them."""

_SPAN = (0, 0)
"""Nobody asks where a stated gold entity stands in the answer."""


def annotated_entities(sample: Sample, gold: Gold) -> Iterator[Entity]:
    """The gold entities as a tagger that makes no mistake would give them."""
    for number, one in enumerate(gold.entities):
        words = span_text(sample.text, sample.offsets, one.span)
        yield Entity(f"e{number}", words, one.label, one.span, fine_label=one.fine_label)


def opened(sample: Sample, images: ImageSource) -> Sample:
    """The post with the size of its image.

    Raises:
        Unusable: If it has none, or one that no model takes.
    """
    if sample.image is None:
        raise Unusable(NO_IMAGE, "the post has no picture")
    try:
        image = images.probe(sample.image)
    except ImageFault as fault:
        raise Unusable(fault.kind, str(fault)) from fault
    size = image.size
    if size is not None and (fault_of := image_shape_fault(size)) is not None:
        raise Unusable(IMAGE_SHAPE, fault_of)
    return replace(sample, image=image)


def require_label(sample: Sample, entity: GoldEntity, labels: Sequence[str]) -> None:
    """Makes sure that the prompt tells the type that is to be answered.

    Raises:
        UserError: If it does not; the data and the configuration do not belong together.
    """
    if entity.label not in labels and labels:
        raise UserError(
            f"labels: {sample.id!r:.80} has an entity of the type {entity.label!r:.60}, which is "
            f"none of them; {suggest(entity.label, labels)}"
        )


def _places(sample: Sample, entities: Sequence[GoldEntity], name: str | None = None) -> BoxPlaces:
    """All boxes of entities, in their order, within the image."""
    image = sample.image
    assert image is not None
    size = image.size
    assert size is not None
    boxes = tuple(_clipped(box, size) for one in entities for box in one.boxes or ())
    return BoxPlaces(name or sample.id, boxes, size)


def _clipped(box: Box, size: ImageSize) -> Box:
    found = clip_box(box, size)
    if found is None:
        raise Unusable("box-outside-picture", "a box lies outside of the picture")
    return found


def _occurrence(sample: Sample, words: str, span: Span) -> int:
    """Which of the places with these words a span is, from 1."""
    aligner = TokenAligner(sample.text, sample.offsets)
    with suppress(Unaligned):
        for number in range(1, len(sample.tokens) + 1):
            if aligner.find(words, number) == span:
                return number
    raise Unusable(UNALIGNED, f"{words!r:.80} is not found again in the text")
