"""``ground: chat``: an entity becomes one request, its boxes the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from riveg.config.backend import BuildContext
from riveg.geometry.frames import Resize
from riveg.geometry.jitter import Jitter
from riveg.lessons.answer_boxes import AnswerBoxes, BoxPlaces
from riveg.lessons.questions import (
    Question,
    Unusable,
    annotated_entities,
    objects_of,
    places_of,
    require_label,
)
from riveg.protocols import Mention
from riveg.stages.grounders.answers import write_boxes
from riveg.stages.grounders.chat import ChatGrounder, ChatGrounderConfig
from riveg.types import Gold, Sample


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
    needs_image: bool = True

    @classmethod
    def of(
        cls,
        config: ChatGrounderConfig,
        context: BuildContext,
        resize: Resize,
        jitter: Jitter | None,
    ) -> Grounding:
        """From what a system says of the stage; the rest as in :func:`make_lesson`."""
        backend = config.build(context)
        labels = tuple(label.name for label in context.labels)
        return cls(backend, AnswerBoxes(backend.boxes, resize, jitter), labels)

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question | Unusable]:
        found = self.asked(sample, gold)
        for annotated, entity in zip(gold.entities, found.entities or (), strict=True):
            require_label(sample, annotated, self.labels)
            (prepared,) = self.backend.prepare([Mention(found, entity)])
            try:
                places = places_of(sample, [annotated], f"{sample.id}/{entity.id}")
                objects = objects_of(self.boxes, places, [annotated], [None])
            except Unusable as fault:
                yield fault
            else:
                answer = partial(self._answer, places)
                yield Question(prepared.request, answer, (entity.id,), objects)

    def asked(self, sample: Sample, gold: Gold) -> Sample:
        return replace(sample, entities=tuple(annotated_entities(sample, gold)))

    def remarks(self) -> Sequence[str]:
        return ()

    def _answer(self, places: BoxPlaces, visit: str | None) -> str:
        return write_boxes(self.boxes.written(places, visit))
