"""What every backend of a stage has to keep, as plain functions for the backends' own tests."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar, get_args, get_origin

from riveg.pipeline import PER_ENTITY, Stage
from riveg.protocols import AnswerOrIssue, Extraction, Mention, PartialAnswer, Ranking
from riveg.stages.table import (
    AUGMENT,
    CAPTION,
    ENTAIL,
    EXTRACT,
    GROUND,
    OBSERVE,
    RERANK,
    REVIEW,
    REWRITE,
    SEGMENT,
    TAG,
)
from riveg.types import (
    Entailment,
    Entity,
    Expression,
    ImageRef,
    Issue,
    Mask,
    Observation,
    Region,
    Sample,
)

Backend = TypeVar("Backend")
Item = TypeVar("Item", bound=Sample | Mention)
Answer = TypeVar("Answer")

ANSWER_TYPES = {
    CAPTION.name: str,
    AUGMENT.name: str,
    TAG.name: tuple[Entity, ...],
    EXTRACT.name: Extraction,
    RERANK.name: Ranking,
    REWRITE.name: Expression,
    OBSERVE.name: tuple[Observation, ...],
    ENTAIL.name: Entailment,
    GROUND.name: tuple[Region, ...],
    REVIEW.name: tuple[Entity, ...],
    SEGMENT.name: tuple[Mask, ...],
}
"""Of a whole answer, by stage."""


def check_backend(
    stage: Stage[Backend, Item, Answer], backend: Backend, items: Sequence[Item]
) -> list[AnswerOrIssue[Answer]]:
    """Asserts the contract of a stage on real items; gives the answers for further checks.

    Args:
        stage: The stage.
        backend: The live backend.
        items: At least two samples or mentions, as the stage is asked about.
    """
    assert len(items) >= 2, "a batch of one shows nothing about order"
    assert all(isinstance(item, Mention) == (stage.per is PER_ENTITY) for item in items)
    before = copy.deepcopy(list(items))
    answers = list(stage.ask(backend, items))
    assert len(answers) == len(items), "one answer for each item"
    assert list(items) == before, "what came in is unchanged"
    assert list(stage.ask(backend, [])) == [], "an empty batch has an empty answer"
    assert list(stage.ask(backend, items)) == answers, "the same question has the same answer"
    single = [answer for item in items for answer in stage.ask(backend, [item])]
    assert single == answers, "an item is answered alone as in a batch, in the items' order"
    assert list(stage.ask(backend, items[::-1])) == answers[::-1], "order in, order out"
    for item, answer in zip(items, answers, strict=True):
        check_answer(stage, item, answer)
    return answers


def check_answer(
    stage: Stage[Backend, Item, Answer], item: Item, answer: AnswerOrIssue[Answer]
) -> None:
    """Asserts that one answer is of the stage's type, in range, and in the image's frame."""
    if isinstance(answer, PartialAnswer):
        assert answer.issues, "a partial answer lacks something"
        for part in (answer.answer, *answer.issues):
            assert not isinstance(part, PartialAnswer)
            check_answer(stage, item, part)
    elif isinstance(answer, Issue):
        assert answer.stage == stage.name
        assert answer.kind
        assert answer.message
        if isinstance(item, Mention):
            assert answer.entity_id == item.entity.id
        else:
            assert answer.entity_id in {None, *(one.id for one in item.entities or ())}
    else:
        _check_type(answer, ANSWER_TYPES[stage.name])
        _check_values(item.sample if isinstance(item, Mention) else item, answer)
        assert stage.check(item, answer) == answer, "the pipeline takes all of it"


def _check_type(answer: object, expected: type) -> None:
    if get_origin(expected) is tuple:
        assert isinstance(answer, tuple)
        assert all(isinstance(value, get_args(expected)[0]) for value in answer)
    else:
        assert isinstance(answer, expected)


def _check_values(sample: Sample, answer: object) -> None:
    values = answer if isinstance(answer, tuple) else (answer,)
    if isinstance(answer, Extraction):
        regions = [region for entity in answer.entities for region in entity.regions or ()]
        values = (*answer.entities, *regions)
    for value in values:
        match value:
            case Entailment():
                _check_score(value.probability)
            case Entity():
                assert value.span.end <= len(sample.tokens), "the span lies in the text"
                _check_score(value.score)
            case Mask():
                _check_frame(sample.image, value)
            case Region() | Observation():
                _check_score(value.score)
                _check_inside(sample.image, value)
    ids = [value.id for value in values if isinstance(value, Entity)]
    assert len({*ids}) == len(ids), "ids are unique in a sample"


def _check_score(score: float | None) -> None:
    assert score is None or 0.0 <= score <= 1.0


def _check_frame(image: ImageRef | None, mask: Mask) -> None:
    assert image is None or image.height in {None, mask.height}
    assert image is None or image.width in {None, mask.width}


def _check_inside(image: ImageRef | None, found: Region | Observation) -> None:
    if image is None or image.width is None or image.height is None:
        return
    assert found.box.x_min >= 0
    assert found.box.y_min >= 0
    assert found.box.x_max <= image.width
    assert found.box.y_max <= image.height
