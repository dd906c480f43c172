"""One request of a training with its right answer, and what the lessons share in making them.

Nothing is asked in words of its own: the backend of the stage makes the requests, exactly those of
a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, Protocol

from riveg.datasets.dataset import quoted
from riveg.errors import NO_IMAGE, ImageFault, UserError, suggest
from riveg.geometry.boxes import clip_box
from riveg.geometry.frames import InsideOut
from riveg.lessons.answer_boxes import AnswerBoxes, BoxPlaces
from riveg.llm.conversation import Request
from riveg.protocols import ImageSource
from riveg.stages.extractors.chat import shape_issue
from riveg.stages.stated_boxes import BAD_BOX, WrittenBoxes, image_size
from riveg.text.spans import span_text
from riveg.types import Box, Entity, Gold, GoldEntity, Sample


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
class StatedObject:
    """An entity of an answer with its boxes, as annotated.

    Args:
        words: Its words as the answer has them; ``None`` where it has none.
        boxes: In pixels of the upright image, within it.
        stated: The same in the numbers of the answer.
    """

    words: str | None
    boxes: tuple[Box, ...]
    stated: WrittenBoxes


@dataclass(frozen=True, slots=True)
class Question:
    """One request of a training, and its right answer.

    Args:
        request: What a run would send.
        answer: What the model should say at a visit, which moves the boxes in it; ``None``: as
            annotated.
        about: Ids of the entities that it is about; none: about the post.
        objects: What the answer states boxes of, in its order.
    """

    request: Request
    answer: Callable[[str | None], str]
    about: tuple[str, ...] = ()
    objects: tuple[StatedObject, ...] = ()


def same_answer(text: str, visit: str | None) -> str:  # noqa: ARG001
    """An answer without boxes, which no visit changes."""
    return text


class Lesson(Protocol):
    """What a model is taught about a stage."""

    @property
    def backend(self) -> Any:
        """The stage's, which makes the requests."""

    @property
    def boxes(self) -> AnswerBoxes | None:
        """How answers state boxes; ``None``: they hold none."""

    @property
    def needs_image(self) -> bool | None:
        """Whether nothing is asked about a post without an image; ``None``: nobody looks at it."""

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question | Unusable]:
        """The requests about a post whose image, where there is one, was opened.

        One that nothing can be learnt from is the reason for that.

        Raises:
            Unusable: If that is so of the whole post.
            UserError: If a type is none of the labels.
        """

    def asked(self, sample: Sample, gold: Gold) -> Sample:
        """What the stage is given: the post, with what stages before it have found."""

    def remarks(self) -> Sequence[str]:
        """What a user should know of the questions, once they are made."""


def annotated_entities(sample: Sample, gold: Gold) -> Iterator[Entity]:
    """The gold entities as a tagger that makes no mistake would give them."""
    for number, one in enumerate(gold.entities):
        words = span_text(sample.text, sample.offsets, one.span)
        yield Entity(f"e{number}", words, one.label, one.span, fine_label=one.fine_label)


def opened(sample: Sample, images: ImageSource, *, needs_image: bool | None) -> Sample:
    """The post with the size of its image, as far as somebody looks at it.

    Args:
        sample: The post.
        images: Where its image is.
        needs_image: As in :class:`Lesson`.

    Raises:
        Unusable: If it lacks one, or has one that no model takes.
    """
    if needs_image is None:
        return sample
    if sample.image is None:
        if not needs_image:
            return sample
        raise Unusable(NO_IMAGE, "the post has no picture")
    try:
        image = images.probe(sample.image)
    except ImageFault as fault:
        raise Unusable(fault.kind, str(fault)) from fault
    size = image.size
    if size is not None and (issue := shape_issue(size)) is not None:
        raise Unusable(issue.kind, issue.message)
    return replace(sample, image=image)


def require_label(sample: Sample, entity: GoldEntity, labels: Sequence[str]) -> None:
    """Makes sure that the prompt tells the type that is to be answered.

    Raises:
        UserError: If it does not; the data and the configuration do not belong together.
    """
    if entity.label not in labels:
        raise UserError(
            f"labels: {sample.id!r:.80} has an entity of the type {entity.label!r:.60}, which is "
            f"none of them; {suggest(entity.label, labels)}"
        )


def places_of(sample: Sample, entities: Sequence[GoldEntity], name: str | None = None) -> BoxPlaces:
    """All boxes of entities, in their order, within the image.

    Args:
        sample: A post whose image was opened.
        entities: Those of the answer.
        name: What chance is drawn by; ``None``: the post's id.

    Raises:
        Unusable: If nobody has annotated them, or one lies outside of the image.
    """
    size = image_size(sample)
    boxes: list[Box] = []
    for entity in entities:
        if entity.boxes is None:
            raise Unusable("no-boxes", f"nobody has annotated where {quoted(entity.text)} is")
        for box in entity.boxes:
            inside = clip_box(box, size)
            if inside is None:
                message = f"a box of {quoted(entity.text)} lies outside of the picture"
                raise Unusable("box-outside-picture", message)
            boxes.append(inside)
    return BoxPlaces(name or sample.id, tuple(boxes), size)


def objects_of(
    boxes: AnswerBoxes,
    places: BoxPlaces,
    entities: Sequence[GoldEntity],
    words: Sequence[str | None],
) -> tuple[StatedObject, ...]:
    """What an answer states of entities.

    Args:
        boxes: How it states boxes.
        places: The boxes of all of them.
        entities: In the order of the answer.
        words: Of each, as the answer has them.

    Raises:
        Unusable: If nothing is left of a box in the model's frame.
    """
    stated = boxes.written(places, None)
    ends = [0, *accumulate(len(entity.boxes or ()) for entity in entities)]
    found = tuple(
        StatedObject(text, places.boxes[start:end], stated[start:end])
        for text, (start, end) in zip(words, pairwise(ends), strict=True)
    )
    for entity, one in zip(entities, found, strict=True):
        for numbers in one.stated:
            try:
                boxes.stated.frame.check_order(numbers)
            except InsideOut as error:
                raise Unusable(BAD_BOX, f"a box of {quoted(entity.text)}: {error}") from error
    return found
