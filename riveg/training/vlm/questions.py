"""One request of a training with its right answer, and what the tasks share in making them.

Nothing is asked in words of its own: the backend of the stage makes the requests, exactly those of
a run, and reads the answers on dev.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from riveg.errors import NO_IMAGE, ImageFault, UserError, suggest
from riveg.evaluation.counts import Count
from riveg.geometry.boxes import clip_box
from riveg.llm.conversation import Request
from riveg.pipeline import AnyStageRunner
from riveg.protocols import ImageSource
from riveg.stages.extractors.chat import shape_issue
from riveg.text.spans import span_text
from riveg.training.vlm.answer_boxes import BoxPlaces
from riveg.types import Box, Entity, Gold, GoldEntity, ImageSize, Sample

ALL = 1 << 30
"""Samples a call of a stage: the network makes its own batches of them."""


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
        answer: What the model should say at a visit, which moves the boxes in it; ``None``: as
            annotated.
    """

    request: Request
    answer: Callable[[str | None], str]


def same_answer(text: str, visit: str | None) -> str:  # noqa: ARG001
    """An answer without boxes, which no visit changes."""
    return text


class Task(Protocol):
    """A stage whose model is trained."""

    @property
    def metric(self) -> str:
        """The key of :meth:`counts` whose F1 chooses the best epoch."""

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
        """What the stage is given on dev: the post, with what stages before it have found."""

    def runner(self, images: ImageSource) -> AnyStageRunner:
        """The stage at work."""

    def counts(self, found: Sample, gold: Gold) -> Mapping[str, Count]:
        """Hits, predicted and gold of a post that the stage was asked about, by figure."""

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
        needs_image: As in :class:`Task`.

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

    Raises:
        Unusable: If nobody has annotated them, or one lies outside of the image.
    """
    image = sample.image
    assert image is not None
    size = image.size
    assert size is not None
    if any(one.boxes is None for one in entities):
        raise Unusable("no-boxes", "nobody has annotated where its entities are")
    boxes = tuple(_clipped(box, size) for one in entities for box in one.boxes or ())
    return BoxPlaces(name or sample.id, boxes, size)


def _clipped(box: Box, size: ImageSize) -> Box:
    found = clip_box(box, size)
    if found is None:
        raise Unusable("box-outside-picture", "a box lies outside of the picture")
    return found
