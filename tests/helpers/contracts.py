"""What every backend of a stage has to keep, as plain functions for the backends' own tests."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from riveg.protocols import Mention, Partly, Ranking
from riveg.stages.table import STAGES
from riveg.types import Entailment, Entity, Expression, Issue, Mask, Observation, Region, Sample

_ANSWERS: dict[str, type | tuple[type, ...]] = {
    "caption": str,
    "augment": str,
    "rerank": Ranking,
    "rewrite": Expression,
    "entail": Entailment,
}
_TUPLES: dict[str, type] = {
    "tag": Entity,
    "extract": Entity,
    "observe": Observation,
    "ground": Region,
    "segment": Mask,
}


def check_backend(stage: str, backend: object, items: Sequence[Sample | Mention]) -> list[Any]:
    """Asserts the contract of a stage on real items; gives the answers for further checks.

    Args:
        stage: The stage's name, which is also the method's.
        backend: The live backend.
        items: At least two samples or mentions, as the stage is asked about.
    """
    assert stage in {one.name for one in STAGES}
    assert len(items) >= 2, "a batch of one shows nothing about order"
    ask: Callable[[Sequence[Any]], Sequence[Any]] = getattr(backend, stage)
    before = copy.deepcopy(list(items))
    answers = list(ask(items))
    assert len(answers) == len(items), "one answer for each item"
    assert list(items) == before, "what came in is unchanged"
    assert list(ask([])) == [], "an empty batch has an empty answer"
    assert list(ask(items)) == answers, "the same question has the same answer"
    single = [answer for item in items for answer in ask([item])]
    assert single == answers, "an item is answered alone as in a batch, in the items' order"
    assert list(ask(list(reversed(items)))) == answers[::-1], "order in, order out"
    for item, answer in zip(items, answers, strict=True):
        check_answer(stage, item, answer)
    return answers


def check_answer(stage: str, item: Sample | Mention, answer: Any) -> None:
    """Asserts that one answer is of the stage's kind, in range, and in the image's frame."""
    sample = item.sample if isinstance(item, Mention) else item
    if isinstance(answer, Partly):
        assert answer.issues, "a whole answer is no part"
        for part in (answer.answer, *answer.issues):
            assert not isinstance(part, Partly)
            check_answer(stage, item, part)
    elif isinstance(answer, Issue):
        assert answer.stage == stage
        assert answer.kind
        assert answer.message
        assert answer.entity_id == (item.entity.id if isinstance(item, Mention) else None)
    elif stage in _TUPLES:
        assert isinstance(answer, tuple)
        assert all(isinstance(one, _TUPLES[stage]) for one in answer)
        _check_parts(sample, answer)
    else:
        assert isinstance(answer, _ANSWERS[stage])
        if isinstance(answer, Entailment):
            _check_score(answer.probability)


def _check_parts(sample: Sample, parts: Sequence[Any]) -> None:
    for part in parts:
        if isinstance(part, Entity):
            assert part.span.end <= len(sample.tokens), "the span lies in the text"
        if isinstance(part, Mask):
            image = sample.image
            assert image is None or image.height in {None, part.height}
            assert image is None or image.width in {None, part.width}
            continue
        _check_score(part.score)
        if isinstance(part, Region | Observation):
            _check_frame(sample, part.box.x_min, part.box.y_min, part.box.x_max, part.box.y_max)
    if parts and isinstance(parts[0], Entity):
        assert len({part.id for part in parts}) == len(parts), "ids are unique in a sample"


def _check_score(score: float | None) -> None:
    assert score is None or 0.0 <= score <= 1.0


def _check_frame(sample: Sample, x_min: float, y_min: float, x_max: float, y_max: float) -> None:
    image = sample.image
    if image is None or image.width is None or image.height is None:
        return
    assert x_min >= 0
    assert y_min >= 0
    assert x_max <= image.width
    assert y_max <= image.height
