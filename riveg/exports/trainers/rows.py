"""What a model is to learn as rows: the messages of a lesson's questions, and the right answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from riveg.config.system import SystemConfig
from riveg.errors import UserError
from riveg.images.loader import ImageLoader
from riveg.lessons.making import SEED, StageBlock, TaskName, make_lesson
from riveg.lessons.questions import Lesson, Question, StatedObject, Unusable, opened
from riveg.llm.conversation import Message
from riveg.runs.building import build_context, open_models
from riveg.types import Gold, ImageSize, Issue, Sample

SYSTEMS: Mapping[TaskName, str] = {
    "extract": "e2e-gmner",
    "ground": "one-vlm",
    "rerank": "one-vlm",
    "rewrite": "one-vlm",
}
"""Each task with the system whose stage is learnt unless another is named."""

_AS_STORED = 1_000_000
"""``picture_side`` of a trainer: it opens the files themselves."""


@dataclass(frozen=True, slots=True)
class RowImage:
    """The image of a row.

    Args:
        path: Its file.
        size: Of the upright image.
        is_turned: Whether it is upright only for programs that heed its EXIF.
    """

    path: Path
    size: ImageSize
    is_turned: bool


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One question with its answer.

    Args:
        id: The sample's id; behind it the entities that it is about, unless it is about the sample.
        messages: What a run would send.
        image: What the last of them shows.
        answer: The assistant's turn.
        objects: What the answer states boxes of, in its order.
    """

    id: str
    messages: tuple[Message, ...]
    image: RowImage | None
    answer: str
    objects: tuple[StatedObject, ...]


class RowMaker:
    """Makes rows of annotated samples; :func:`open_rows` opens one.

    Args:
        block: What the system says of the stage.
        lesson: Makes the questions.
        images: Opens images.
    """

    def __init__(self, block: StageBlock, lesson: Lesson, images: ImageLoader) -> None:
        self.block = block
        self.lesson = lesson
        self._images = images

    def rows(self, sample: Sample, gold: Gold, where: str) -> Iterator[TrainingRow | Issue]:
        """The rows of a sample, or why one of them cannot be made.

        Args:
            sample: The sample.
            gold: Its annotation.
            where: Its place in the data, for messages.

        Raises:
            UserError: If the system does not know a type, or its prompt fails.
        """
        try:
            seen = opened(sample, self._images, needs_image=self.lesson.needs_image)
            for question in self.lesson.questions(seen, gold):
                if isinstance(question, Unusable):
                    yield self._issue(question, where)
                else:
                    yield self._row(sample.id, question)
        except Unusable as fault:
            yield self._issue(fault, where)

    def _issue(self, fault: Unusable, where: str) -> Issue:
        return Issue(self.block.stage, None, fault.kind, f"{where}: {fault}")

    def _row(self, sample_id: str, question: Question) -> TrainingRow:
        request = question.request
        about = f"#{','.join(question.about)}" if question.about else ""
        image = None
        if request.images:
            (attached,) = request.images
            size = attached.image.size
            assert size is not None, "it was opened"
            path = self._images.locate(attached.image.path)
            image = RowImage(path, size, self._images.is_turned(attached.image))
        row_id, answer = f"{sample_id}{about}", question.answer(None)
        return TrainingRow(row_id, request.messages, image, answer, question.objects)


@contextmanager
def open_rows(
    config: SystemConfig,
    task: TaskName,
    image_roots: Sequence[Path],
    *,
    seed: int = SEED,
    expressions: Sequence[Path] = (),
) -> Iterator[RowMaker]:
    """A maker of rows for a task; no language model is asked.

    Args:
        config: The system.
        task: The stage.
        image_roots: Where images are looked for.
        seed: As in :func:`~riveg.lessons.making.make_lesson`.
        expressions: As there.

    Raises:
        UserError: If the system has no such stage, or it asks no language model; and as there.
    """
    block = next((step.config for step in config.steps if step.stage.name == task), None)
    if not isinstance(block, StageBlock):
        raise UserError(
            f"{config.command_name}: has no {task}: chat; name a --system that has it, or add it: "
            f"--set {task}.backend=chat"
        )
    endpoints = {
        name: one.model_copy(update={"picture_side": _AS_STORED})
        for name, one in config.llm.items()
    }
    config = replace(config, models=replace(config.models, endpoints=endpoints))
    images = ImageLoader(image_roots)
    with open_models(config.llm, None, images) as (chats, _):
        context = build_context(config, images, chats=chats)
        lesson = make_lesson(block, context, seed=seed, expressions=expressions)
        yield RowMaker(block, lesson, images)
