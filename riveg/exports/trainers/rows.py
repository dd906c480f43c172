"""What a model is to learn: the messages that a stage of a system sends, and the right answer.

The messages are made by the stage itself, so that a model is asked later what it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

from riveg.config.system import SystemConfig
from riveg.datasets.dataset import quoted
from riveg.errors import ImageFault, RivegError, UserError, suggest
from riveg.geometry.boxes import clip_box
from riveg.geometry.frames import InsideOut
from riveg.images.loader import ImageLoader
from riveg.llm.conversation import PreparedRequest, Response, Unparsable
from riveg.llm.prompts import load_prompt
from riveg.protocols import Mention
from riveg.runs.building import build_context, open_models
from riveg.runs.llm_requests import prepare_of
from riveg.stages.chat_backend import answer_form
from riveg.stages.extractors.answers import FORMS, AnswerForm, StatedEntity
from riveg.stages.extractors.chat import ChatExtractorConfig, shape_issue
from riveg.stages.grounders.answers import write_boxes
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.stages.stated_boxes import StatedBoxes, WrittenBoxes, image_size, stated_boxes
from riveg.text.alignment import TokenAligner, Unaligned
from riveg.types import Box, Entity, Gold, GoldEntity, ImageRef, ImageSize, Issue, Sample, Span

Task = Literal["extract", "ground"]

SYSTEMS: Mapping[Task, str] = {"extract": "e2e-gmner", "ground": "one-vlm"}
"""Each task, which is the stage of that name, with the system that has it unless one is named."""

UNWRITABLE = "unwritable-answer"
"""Kind of the Issue for an answer that its own reader would read as another."""

_AS_STORED = 1_000_000
"""``picture_side`` of a trainer: it opens the files themselves."""


@dataclass(frozen=True, slots=True)
class StatedObject:
    """An object of an answer.

    Args:
        words: The entity's words as the answer has them; ``None`` where it has none.
        boxes: Its boxes in pixels of the upright image.
        stated: The same in the numbers of the answer.
    """

    words: str | None
    boxes: tuple[Box, ...]
    stated: WrittenBoxes


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One question with its answer.

    Args:
        id: The sample's id; for an entity with its number behind it.
        instructions: The system's turn; empty where there is none.
        question: The user's turn, without its image.
        image: The image's file.
        size: Of the upright image.
        is_turned: Whether it is upright only for programs that heed its EXIF.
        answer: The assistant's turn.
        objects: In the order of the answer.
    """

    id: str
    instructions: str
    question: str
    image: Path
    size: ImageSize
    is_turned: bool
    answer: str
    objects: tuple[StatedObject, ...]


class _Unusable(RivegError):
    """Raised for what no row can be made of; ``kind`` is the Issue's."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class RowMaker:
    """Makes rows of annotated samples; :func:`open_rows` opens one.

    Args:
        config: Of the stage that asks.
        boxes: How its model states boxes of images as they are stored.
        prepare: From samples or mentions to requests.
        images: Opens images.
        form: The form of an extractor's answer; ``None`` for a grounder.
        labels: The system's types.
    """

    def __init__(
        self,
        config: ChatExtractorConfig | ChatGrounderConfig,
        boxes: StatedBoxes,
        prepare: Callable[[Sequence[Any]], Sequence[PreparedRequest]],
        images: ImageLoader,
        form: AnswerForm | None,
        labels: tuple[str, ...],
    ) -> None:
        self.config = config
        self.boxes = boxes
        self._prepare = prepare
        self._images = images
        self._form = form
        self._labels = labels

    def rows(self, sample: Sample, gold: Gold, where: str) -> Iterator[TrainingRow | Issue]:
        """The rows of a sample, or why one of them cannot be made.

        Args:
            sample: The sample.
            gold: Its annotation.
            where: Its place in the data, for messages.

        Raises:
            UserError: If the system does not know a type, or its prompt fails.
        """
        self._require_labels(gold, where)
        makers: list[Callable[[Sample], TrainingRow]]
        if self._form is not None:
            makers = [partial(self._extracted, form=self._form, gold=gold)]
        else:
            entities = enumerate(gold.entities)
            makers = [
                partial(self._grounded, entity=one, number=number) for number, one in entities
            ]
        try:
            seen = replace(sample, image=self._image(sample))
        except (ImageFault, _Unusable) as fault:
            yield Issue(self.config.stage, None, fault.kind, f"{where}: {fault}")
            return
        for make in makers:
            try:
                yield make(seen)
            except _Unusable as fault:
                yield Issue(self.config.stage, None, fault.kind, f"{where}: {fault}")

    def _require_labels(self, gold: Gold, where: str) -> None:
        for entity in gold.entities:
            if entity.label not in self._labels:
                raise UserError(
                    f"{where}: {quoted(entity.text)} is {entity.label}, which the system does not "
                    f"know; {suggest(entity.label, self._labels)} (labels: in its YAML names them)"
                )

    def _image(self, sample: Sample) -> ImageRef:
        if sample.image is None:
            raise _Unusable("no-image", "has no picture")
        image = self._images.probe(sample.image)
        issue = None if image.size is None else shape_issue(image.size)
        if issue is not None:
            raise _Unusable(issue.kind, issue.message)
        return image

    def _extracted(self, sample: Sample, *, form: AnswerForm, gold: Gold) -> TrainingRow:
        """A sample with all its entities, in the order of the text."""
        aligner = TokenAligner(sample.text, sample.offsets)
        entities = sorted(gold.entities, key=lambda one: (one.span.start, one.span.end))
        objects = tuple(self._object(entity, image_size(sample)) for entity in entities)
        stated = [
            StatedEntity(
                entity.text,
                self._asked_as(entity.label),
                _occurrence(aligner, entity),
                one.stated,
                (0, 0),
            )
            for entity, one in zip(entities, objects, strict=True)
        ]
        answer = form.write(stated)
        try:
            read = form.read(Response(answer, "stop"), self.boxes.frame)
        except Unparsable as error:
            raise _Unusable(UNWRITABLE, str(error)) from error
        if read.faults or [*map(_content, read.entities)] != [*map(_content, stated)]:
            message = (
                f"{quoted(answer, 200)} is read as other entities: a name has signs of its form"
            )
            raise _Unusable(UNWRITABLE, message)
        return self._row(sample, sample, sample.id, answer, objects)

    def _grounded(self, sample: Sample, *, entity: GoldEntity, number: int) -> TrainingRow:
        """One entity of a sample."""
        one = replace(self._object(entity, image_size(sample)), words=None)
        asked = Entity(f"e{number}", entity.text, entity.label, entity.span)
        row_id = f"{sample.id}#{asked.id}"
        return self._row(sample, Mention(sample, asked), row_id, write_boxes(one.stated), (one,))

    def _asked_as(self, label: str) -> str:
        own = self.config
        return own.asked_as(label) if isinstance(own, ChatExtractorConfig) else label

    def _object(self, entity: GoldEntity, size: ImageSize) -> StatedObject:
        if entity.boxes is None:
            raise _Unusable("no-boxes", f"nobody has annotated where {quoted(entity.text)} is")
        cut = [clip_box(box, size) for box in entity.boxes]
        boxes = tuple(box for box in cut if box is not None)
        if len(boxes) < len(cut):
            raise _Unusable("box-outside", f"a box of {quoted(entity.text)} is outside its picture")
        extent = self.boxes.extent(size)
        stated = tuple(self.boxes.frame.numbers(box, extent, size) for box in boxes)
        try:
            for numbers in stated:
                self.boxes.frame.check_order(numbers)
        except InsideOut as error:
            raise _Unusable("bad-box", f"a box of {quoted(entity.text)}: {error}") from error
        return StatedObject(entity.text, boxes, stated)

    def _row(
        self,
        sample: Sample,
        item: Sample | Mention,
        row_id: str,
        answer: str,
        objects: tuple[StatedObject, ...],
    ) -> TrainingRow:
        (prepared,) = self._prepare([item])
        *before, user = prepared.request.messages
        (attached,) = user.images
        return TrainingRow(
            row_id,
            before[0].text if before else "",
            user.text,
            self._images.locate(attached.image.path),
            image_size(sample),
            self._images.is_turned(attached.image),
            answer,
            objects,
        )


@contextmanager
def open_rows(config: SystemConfig, task: Task, image_roots: Sequence[Path]) -> Iterator[RowMaker]:
    """A maker of rows for a task; no language model is asked.

    Raises:
        UserError: If the system has no such stage, or it asks no vision-language model.
    """
    step = next((step for step in config.steps if step.stage.name == task), None)
    kind = ChatExtractorConfig if task == "extract" else ChatGrounderConfig
    if step is None or not isinstance(step.config, kind):
        raise UserError(f"{config.command_name}: has no {task}: chat; name a --system that has it")
    own = step.config
    endpoints = {
        name: one.model_copy(update={"picture_side": _AS_STORED})
        for name, one in config.llm.items()
    }
    config = replace(config, models=replace(config.models, endpoints=endpoints))
    images = ImageLoader(image_roots)
    with open_models(config.llm, None, images) as (chats, _):
        context = build_context(config, images, chats=chats)
        boxes = stated_boxes(own.frame, own.resize, llm=own.llm, stage=task, context=context)
        form = None
        if task == "extract":
            form = answer_form(load_prompt(own.prompt, folder=context.base), FORMS)
        labels = tuple(label.name for label in config.labels)
        yield RowMaker(own, boxes, prepare_of(step, context), images, form, labels)


def _content(stated: StatedEntity) -> tuple[str, str, WrittenBoxes | None]:
    return stated.words, stated.label, stated.boxes


def _occurrence(aligner: TokenAligner, entity: GoldEntity) -> int:
    """Which of the places with the entity's words is the entity's, from 1."""
    before: Span | None = None
    for number in count(1):
        try:
            found = aligner.find(entity.text, number)
        except Unaligned as error:
            raise _Unusable("unaligned-entity", str(error)) from error
        if found == entity.span:
            return number
        if found == before:  # the only place: its number does not matter
            break
        before = found
    message = f"{quoted(entity.text)} is not found at its place in the text"
    raise _Unusable("unaligned-entity", message)
