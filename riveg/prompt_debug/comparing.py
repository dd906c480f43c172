"""Two prompts on the same samples: which answers differ, and what that changes downstream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from riveg.evaluation.canonical import Rules
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.verdicts import verdicts
from riveg.pipeline import PER_ENTITY, AnyStage
from riveg.prompt_debug.document import (
    CHANGED,
    SAME,
    UNASKED,
    Compared,
    Consequence,
    Effect,
    Parsed,
    Side,
    States,
)
from riveg.protocols import Mention
from riveg.report.judging import Judgement
from riveg.report.pairing import Item, items
from riveg.stages.table import STAGES
from riveg.stages.words import NOT_ANSWERED
from riveg.types import Entity, Sample

_ORDER: dict[str, int] = {CHANGED: 0, UNASKED: 1, SAME: 2}

_Subject = tuple[str, str | None]
"""Ids of a sample and an entity; ``None``: the answer is about the sample."""


def compared(sides: Sequence[Side]) -> tuple[Compared, ...]:
    """The answers about each entity, or sample, under both prompts: changed ones first."""
    first, second = map(_by_subject, sides)
    rows = [
        _compared(subject, first.get(subject), second.get(subject))
        for subject in dict.fromkeys([*first, *second])
    ]
    return tuple(sorted(rows, key=lambda row: _ORDER[row.state]))


def _by_subject(side: Side) -> dict[_Subject, Parsed | None]:
    """The answer about each subject; ``None``: its request has no answer yet."""
    answers: dict[_Subject, Parsed | None] = {}
    for row in side.rows:
        for entity_id in row.entity_ids or (None,):
            answers[row.sample_id, entity_id] = None
        if row.answer is not None:
            answers.update({(row.sample_id, one.entity_id): one for one in row.parsed})
    return answers


def _compared(subject: _Subject, first: Parsed | None, second: Parsed | None) -> Compared:
    state: States = CHANGED
    if first is None or second is None:
        state = UNASKED
    elif first.text == second.text and bool(first.issue) == bool(second.issue):
        state = SAME
    return Compared(
        *subject,
        state,
        first.text if first else None,
        second.text if second else None,
        (first.issue if first else None, second.issue if second else None),
    )


def consequences(
    both: tuple[Sequence[Sample], Sequence[Sample]],
    stages: Sequence[str],
    gold: GoldSet | None,
    ran: Sequence[str],
) -> Iterator[Consequence]:
    """What each later stage answers about each entity under both prompts.

    Args:
        both: The same samples under the first and the second prompt, after all later stages.
        stages: The later stages.
        gold: The annotation; ``None``: nothing is judged.
        ran: All stages; a wrong entity is blamed on one of them.
    """
    compared = [stage for stage in STAGES if stage.name in stages and _tells_entities(stage)]
    if not compared:
        return
    for pair in zip(*both, strict=True):
        judgements = [_judged(sample, gold, ran) for sample in pair]
        for item in items(pair, judgements):
            yield _consequence(pair, judgements, item, compared)


def _judged(sample: Sample, gold: GoldSet | None, ran: Sequence[str]) -> Judgement:
    case = gold.case_of(sample) if gold else None
    if case is None:
        return Judgement()
    return Judgement(case.gold, verdicts(case, Rules(), ran))


def _consequence(
    pair: Sequence[Sample], judgements: Sequence[Judgement], item: Item, stages: Sequence[AnyStage]
) -> Consequence:
    entities = [
        None
        if verdict is None or verdict.predicted is None
        else (sample.entities or ())[verdict.predicted]
        for sample, verdict in zip(pair, item.verdicts, strict=True)
    ]
    effects = tuple(
        Effect(
            stage.name,
            *(_answer_text(stage, *one) for one in zip(pair, entities, strict=True)),
        )
        for stage in stages
    )
    entity = next(filter(None, entities), None)
    gold = judgements[0].gold
    text = entity.text if entity else ""
    if entity is None and gold is not None and item.gold is not None:
        text = gold[item.gold].text
    kinds = [None if verdict is None else verdict.kind for verdict in item.verdicts]
    return Consequence(
        pair[0].id,
        entity.id if entity else None,
        text,
        effects,
        None if gold is None else (kinds[0], kinds[1]),
        None if gold is None else item.outcome,
    )


def _tells_entities(stage: AnyStage) -> bool:
    """Whether a stage's answers about entities are compared: masks are not."""
    return stage.per is PER_ENTITY and "masks" not in stage.gives


def _answer_text(stage: AnyStage, sample: Sample, entity: Entity | None) -> str:
    if entity is None:
        return "no such entity"
    text = stage.tell(Mention(sample, entity))
    return NOT_ANSWERED if text is None else text.partition("\n")[0]
