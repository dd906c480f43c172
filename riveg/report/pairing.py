"""One line for each entity of a sample: what one run, or each of two, made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from riveg.evaluation.verdicts import Verdict
from riveg.geometry.boxes import box_iou
from riveg.report.judging import Judgement
from riveg.types import Entity, Sample

OUTCOMES = ("fixed", "broken", "still-wrong", "both-right")
"""What became of an entity from the first run to the second, where there is gold."""

AGREEMENTS = ("same", "changed", "only-a", "only-b")
"""The same where there is none: what the two runs say of an entity."""

_SAME_PLACE = 0.5
"""Least overlap of two best boxes that count as one place."""


@dataclass(frozen=True, slots=True)
class Item:
    """An entity of a sample.

    Args:
        verdicts: For each run its verdict; ``None`` where the run has no such entity.
        gold: Its place among the annotated entities; ``None`` where there is none.
        outcome: One of :data:`OUTCOMES` or :data:`AGREEMENTS`; ``None`` for a single run.
    """

    verdicts: tuple[Verdict | None, ...]
    gold: int | None
    outcome: str | None = None


def items(samples: Sequence[Sample | None], judgements: Sequence[Judgement]) -> list[Item]:
    """The entities of one sample as one or two runs have it, in the text's order.

    Args:
        samples: The runs' records of the sample; ``None`` where the second has none.
        judgements: What became of the entities of each.
    """
    if len(samples) == 1:
        own = _answers(samples[0], judgements[0])
        return [Item((verdict,), verdict.gold) for verdict in own]
    first, second = (_answers(*each) for each in zip(samples, judgements, strict=True))
    has_gold = any(judgement.gold is not None for judgement in judgements)
    outcome = _outcome if has_gold else _agreement(samples)
    return [
        Item((one, other), _gold_of(one, other), outcome(one, other))
        for one, other in _paired(samples, first, second)
    ]


def _answers(sample: Sample | None, judgement: Judgement) -> list[Verdict]:
    """The verdicts; without gold a verdict of no kind for each predicted entity."""
    if judgement.gold is not None:
        return list(judgement.verdicts)
    entities = (sample.entities if sample else None) or ()
    return [Verdict("", index, None, None) for index in range(len(entities))]


_Pair = tuple[Verdict | None, Verdict | None]


def _paired(
    samples: Sequence[Sample | None], first: list[Verdict], second: list[Verdict]
) -> Iterator[_Pair]:
    """Those of one gold entity belong together, then those of the same words, then of one type."""
    rest = list(second)
    for one in first:
        key = _key(samples[0], one)
        other = next((each for each in rest if _key(samples[1], each) == key), None)
        if other is not None:
            rest.remove(other)
        yield one, other
    yield from ((None, other) for other in rest)


def _key(sample: Sample | None, verdict: Verdict) -> object:
    if verdict.gold is not None:
        return verdict.gold
    entity = _entity(sample, verdict)
    return (entity.span, entity.text) if entity else None


def _entity(sample: Sample | None, verdict: Verdict | None) -> Entity | None:
    if sample is None or verdict is None or verdict.predicted is None:
        return None
    return (sample.entities or ())[verdict.predicted]


def _gold_of(one: Verdict | None, other: Verdict | None) -> int | None:
    verdict = one or other
    return verdict.gold if verdict else None


def _outcome(one: Verdict | None, other: Verdict | None) -> str:
    """A run without the entity is right if gold has it not either, wrong if it lacks the sample."""
    is_gold = _gold_of(one, other) is not None
    was, now = (
        not is_gold if verdict is None else verdict.kind == "right" for verdict in (one, other)
    )
    if was:
        return "both-right" if now else "broken"
    return "fixed" if now else "still-wrong"


def _agreement(
    samples: Sequence[Sample | None],
) -> Callable[[Verdict | None, Verdict | None], str]:
    def agreement(one: Verdict | None, other: Verdict | None) -> str:
        if one is None or other is None:
            return "only-b" if one is None else "only-a"
        mine, theirs = _entity(samples[0], one), _entity(samples[1], other)
        same = mine is not None and theirs is not None and _say_the_same(mine, theirs)
        return "same" if same else "changed"

    return agreement


def _say_the_same(one: Entity, other: Entity) -> bool:
    if one.label != other.label or (one.regions is None) != (other.regions is None):
        return False
    if not one.regions or not other.regions:
        return bool(one.regions) == bool(other.regions)
    return box_iou(one.regions[0].box, other.regions[0].box) >= _SAME_PLACE
