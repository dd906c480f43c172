"""``ground: chat``: an entity becomes one request, its boxes the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from riveg.config.backend import BuildContext
from riveg.evaluation.counts import Count
from riveg.geometry.frames import Resize
from riveg.pipeline import AnyStageRunner, StageRunner
from riveg.protocols import ImageSource, Mention
from riveg.stages.grounders.answers import write_boxes
from riveg.stages.grounders.chat import ChatGrounder
from riveg.stages.table import GROUND
from riveg.training.vlm.answer_boxes import AnswerBoxes, BoxPlaces
from riveg.training.vlm.dev_scores import GMNER, DevScores
from riveg.training.vlm.questions import (
    ALL,
    Question,
    Unusable,
    annotated_entities,
    places_of,
    require_label,
)
from riveg.training.vlm.settings import VlmSettings
from riveg.types import Gold, Sample


@dataclass(frozen=True, slots=True)
class Grounding:
    """``ground: chat``: an entity becomes one request, its boxes the answer.

    Args:
        backend: The stage's.
        boxes: How boxes are stated.
        labels: Names of the types.
        scores: Counts what is found in dev.
    """

    backend: ChatGrounder
    boxes: AnswerBoxes
    labels: tuple[str, ...]
    scores: DevScores
    metric: str = GMNER
    needs_image: bool = True

    @classmethod
    def of(
        cls, config: VlmSettings, context: BuildContext, resize: Resize, scores: DevScores
    ) -> Grounding:
        """From a configuration with the block ``ground``."""
        assert config.ground is not None
        backend = config.ground.build(context)
        labels = tuple(label.name for label in config.labels)
        return cls(backend, AnswerBoxes(backend.boxes, resize, config.jitter), labels, scores)

    def questions(self, sample: Sample, gold: Gold) -> Iterator[Question | Unusable]:
        found = self.asked(sample, gold)
        for annotated, entity in zip(gold.entities, found.entities or (), strict=True):
            require_label(sample, annotated, self.labels)
            (prepared,) = self.backend.prepare([Mention(found, entity)])
            try:
                places = places_of(sample, [annotated], f"{sample.id}/{entity.id}")
            except Unusable as fault:
                yield fault
            else:
                yield Question(prepared.request, partial(self._answer, places))

    def asked(self, sample: Sample, gold: Gold) -> Sample:
        return replace(sample, entities=tuple(annotated_entities(sample, gold)))

    def runner(self, images: ImageSource) -> AnyStageRunner:
        return StageRunner(
            GROUND, self.backend, images, needs_image=True, batch_size=ALL, gated=False
        )

    def counts(self, found: Sample, gold: Gold) -> Mapping[str, Count]:  # noqa: ARG002
        return self.scores.counts(found)

    def remarks(self) -> Sequence[str]:
        return ()

    def _answer(self, places: BoxPlaces, visit: str | None) -> str:
        return write_boxes(self.boxes.written(places, visit))
