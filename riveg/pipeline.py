"""How a stage is asked and its answers are joined to the samples: in memory, by id.

The rules that hold for every backend stand here once: who is asked at all, what a sample without an
image means, how one bad item is kept from spoiling its batch, what an answer must look like.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from riveg.config.system import Step
from riveg.errors import IMAGE_FAULTS, ImageFault, RivegError
from riveg.protocols import ImagesAhead, ImageSource, Mention, Partly
from riveg.types import Box, Entailment, Entity, ImageRef, Issue, Mask, Region, Sample

log = logging.getLogger(__name__)

NO_IMAGE = "no-picture"
"""``source`` of the answer about a sample without an image: nothing of it can be shown."""

_EDGE_TOLERANCE = 0.5
"""Pixels that a box may stick out by rounding before it counts as outside."""

Ask = Callable[[Sequence[Any]], Sequence[Any]]


class StageRunner:
    """Asks one backend about batches of samples.

    Args:
        step: The stage and its backend's configuration.
        backend: The live backend.
        images: Opens each image once before a backend that needs it is asked.
        batch_size: Samples a call.
        gated: Whether an entail stage decides what is grounded.
    """

    def __init__(
        self, step: Step, backend: object, images: ImageSource, *, batch_size: int, gated: bool
    ) -> None:
        self._stage = step.stage
        self._needs_image = step.config.needs_image
        self._ask: Ask = getattr(backend, step.stage.name)
        decoded = getattr(backend, "pictures", None)
        self._ahead = decoded if isinstance(decoded, ImagesAhead) else None
        self._probe = images.probe if self._ahead is None else self._ahead.probe
        self._batch_size = batch_size
        self._gated = gated

    def __call__(self, samples: Sequence[Sample]) -> Iterator[Sample]:
        """The samples with this stage's answers, in order; nothing that came in is changed."""
        batches = [
            samples[start : start + self._batch_size]
            for start in range(0, len(samples), self._batch_size)
        ]
        if self._ahead is not None:
            self._ahead.expect([image for batch in batches for image in self._looked_at(batch)])
        for coming in batches:
            batch = [self._prepared(sample) for sample in coming]
            if self._stage.asks_about == "sample":
                yield from self._answer_samples(batch)
            else:
                yield from self._answer_entities(batch)

    def close(self) -> None:
        """Lets go of what the backend holds besides memory."""
        if self._ahead is not None:
            self._ahead.close()

    def _looked_at(self, batch: Sequence[Sample]) -> Iterable[ImageRef]:
        """Each image once that the backend will be asked about, as far as can be told now."""
        distinct: dict[str, ImageRef] = {}
        for sample in batch:
            if sample.image is not None and self._asks_about(sample):
                distinct.setdefault(sample.image.path, sample.image)
        return distinct.values()

    def _asks_about(self, sample: Sample) -> bool:
        if self._stage.asks_about == "sample":
            return self._asks_sample(sample)
        return any(self._asks_entity(sample, entity) for entity in sample.entities or ())

    def _prepared(self, sample: Sample) -> Sample:
        image = sample.image
        if not self._needs_image or image is None or image.width or is_image_broken(sample):
            return sample
        try:
            return replace(sample, image=self._probe(image))
        except ImageFault as fault:
            return _with_issues(sample, [Issue(self._stage.name, None, fault.kind, str(fault))])

    def _answer_samples(self, batch: Sequence[Sample]) -> Iterator[Sample]:
        asked = [sample for sample in batch if self._asks_sample(sample)]
        answers = {
            sample.id: answer for sample, answer in zip(asked, self._answers(asked), strict=True)
        }
        for sample in batch:
            answer = answers.get(sample.id)
            if answer is None:
                yield sample
                continue
            answer, issues = _parted(answer)
            answer = _checked_sample_answer(self._stage.name, sample, answer)
            if isinstance(answer, Issue):
                yield _with_issues(sample, (answer, *issues))
            else:
                answered = replace(sample, **{_SAMPLE_FIELDS[self._stage.name]: answer})
                yield _with_issues(answered, issues)

    def _asks_sample(self, sample: Sample) -> bool:
        if any(issue.stage == "input" for issue in sample.issues):
            return False
        return not self._needs_image or (sample.image is not None and not is_image_broken(sample))

    def _answer_entities(self, batch: Sequence[Sample]) -> Iterator[Sample]:
        mentions = [
            Mention(sample, entity)
            for sample in batch
            for entity in sample.entities or ()
            if self._asks_entity(sample, entity)
        ]
        answers = {
            (mention.sample.id, mention.entity.id): answer
            for mention, answer in zip(mentions, self._answers(mentions), strict=True)
        }
        for sample in batch:
            yield self._joined(sample, answers) if sample.entities else sample

    def _asks_entity(self, sample: Sample, entity: Entity) -> bool:
        stage = self._stage.name
        if stage not in _SHOWN_STAGES:
            return True
        if sample.image is None or is_image_broken(sample):
            return False
        if stage == "ground" and self._gated:
            return entity.entailment is not None and entity.entailment.groundable
        return stage != "segment" or bool(entity.regions)

    def _joined(self, sample: Sample, answers: dict[tuple[str, str], Any]) -> Sample:
        entities: list[Entity] = []
        issues: list[Issue] = []
        for entity in sample.entities or ():
            answer = answers.get((sample.id, entity.id))
            if answer is None:
                entities.append(self._unasked(sample, entity))
                continue
            answer, missing = _parted(answer)
            issues += missing
            answer = _checked_entity_answer(sample, entity, answer)
            if isinstance(answer, Issue):
                issues.append(answer)
                entities.append(entity)
            else:
                entities.append(_ENTITY_JOINS[self._stage.name](entity, answer))
        return replace(sample, entities=tuple(entities), issues=(*sample.issues, *issues))

    def _unasked(self, sample: Sample, entity: Entity) -> Entity:
        if is_image_broken(sample):
            return entity
        if self._stage.name == "entail" and sample.image is None:
            return replace(entity, entailment=Entailment(None, False, NO_IMAGE))
        ungroundable = entity.entailment is not None and not entity.entailment.groundable
        if self._stage.name == "ground" and (sample.image is None or ungroundable):
            return replace(entity, regions=())
        return entity

    def _answers(self, items: Sequence[Any]) -> Sequence[Any]:
        if not items:
            return ()
        try:
            answers = self._ask(items)
        except (RivegError, MemoryError):
            raise
        except Exception as error:
            if len(items) == 1:
                return (self._fault(items[0], error),)
            log.info("%s: a batch failed (%s), asking one by one", self._stage.name, error)
            return [answer for item in items for answer in self._answers([item])]
        if len(answers) != len(items):
            raise RivegError(
                f"{self._stage.name}: the backend gave {len(answers)} answers to {len(items)} "
                "questions; this is a fault of the backend"
            )
        return answers

    def _fault(self, item: Sample | Mention, error: Exception) -> Issue:
        log.warning("%s: %s", self._stage.name, error, exc_info=error)
        entity_id = item.entity.id if isinstance(item, Mention) else None
        return Issue(
            self._stage.name, entity_id, "backend-error", f"{type(error).__name__}: {error}"
        )


def is_image_broken(sample: Sample) -> bool:
    """Whether a stage has found that the sample's image cannot be used."""
    return any(issue.entity_id is None and issue.kind in IMAGE_FAULTS for issue in sample.issues)


def _with_issues(sample: Sample, issues: Sequence[Issue]) -> Sample:
    return replace(sample, issues=(*sample.issues, *issues))


def _parted(answer: Any) -> tuple[Any, tuple[Issue, ...]]:
    """An answer, and Issues for what is missing from it."""
    return (answer.answer, answer.issues) if isinstance(answer, Partly) else (answer, ())


_SHOWN_STAGES = frozenset({"entail", "ground", "segment"})
"""Stages that ask about the image: without one the answer is known."""

_SAMPLE_FIELDS = {
    "caption": "caption",
    "augment": "knowledge",
    "tag": "entities",
    "extract": "entities",
    "observe": "observations",
}


def _join_masks(entity: Entity, masks: Sequence[Mask]) -> Entity:
    regions = entity.regions or ()
    return replace(
        entity,
        regions=tuple(
            replace(region, mask=mask) for region, mask in zip(regions, masks, strict=True)
        ),
    )


_ENTITY_JOINS: dict[str, Callable[[Entity, Any], Entity]] = {
    "rerank": lambda entity, answer: replace(
        entity, label=answer.label, label_scores=answer.label_scores
    ),
    "rewrite": lambda entity, answer: replace(
        entity,
        expression=answer.text,
        description=answer.description,
        expression_source=answer.source,
    ),
    "entail": lambda entity, answer: replace(entity, entailment=answer),
    "ground": lambda entity, answer: replace(entity, regions=tuple(answer)),
    "segment": _join_masks,
}


def _checked_sample_answer(stage: str, sample: Sample, answer: Any) -> Any:
    if isinstance(answer, Issue) or _SAMPLE_FIELDS[stage] != "entities":
        return answer
    entities: tuple[Entity, ...] = tuple(answer)
    if len({entity.id for entity in entities}) != len(entities):
        raise RivegError(f"{stage}: entity ids of sample {sample.id} are not unique")
    for entity in entities:
        if entity.span.end > len(sample.tokens):
            message = f"{entity.text!r} ends at token {entity.span.end} of {len(sample.tokens)}"
            return Issue(stage, None, "span-outside-text", message)
    return entities


def _checked_entity_answer(sample: Sample, entity: Entity, answer: Any) -> Any:
    image = sample.image
    if not isinstance(answer, tuple) or image is None or image.width is None:
        return answer
    for item in answer:
        if isinstance(item, Region) and not _lies_inside(item.box, image.width, image.height or 0):
            message = f"{item.box} of {item.source} in a picture of {image.width}x{image.height}"
            return Issue("ground", entity.id, "box-outside-picture", message)
        if isinstance(item, Mask) and (item.width, item.height) != (image.width, image.height):
            message = f"{item.width}x{item.height} for a picture of {image.width}x{image.height}"
            return Issue("segment", entity.id, "mask-size", message)
    return answer


def _lies_inside(box: Box, width: int, height: int) -> bool:
    return (
        box.x_min >= -_EDGE_TOLERANCE
        and box.y_min >= -_EDGE_TOLERANCE
        and box.x_max <= width + _EDGE_TOLERANCE
        and box.y_max <= height + _EDGE_TOLERANCE
    )
