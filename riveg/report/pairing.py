"""Pairs the entities of a sample in two runs, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from riveg.evaluation.pair_outcomes import PairOutcome
from riveg.evaluation.verdicts import Verdict
from riveg.geometry.boxes import box_iou
from riveg.report.judging import Judgement
from riveg.types import Entity, Sample

OUTCOMES = tuple(outcome.in_report for outcome in PairOutcome)
"""What became of an entity from the first run to the second, where there is gold."""

AGREEMENTS = ("same", "changed", "only-a", "only-b")
"""What the two runs say of an entity, where there is no gold."""

_SAME_PLACE = 0.5
"""Least overlap of two best boxes that count as one place."""


@dataclass(frozen=True, slots=True)
class Item:
    """An entity of a sample.

    Args:
        verdicts: The verdict of each run; ``None`` where the run does not have the entity.
        gold: The index of the gold entity in the sample; ``None`` where there is none.
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
    """The verdicts; without gold, a verdict without a kind for each predicted entity."""
    if judgement.gold is not None:
        return list(judgement.verdicts)
    entities = (sample.entities if sample else None) or ()
    return [Verdict("", index, None, None) for index in range(len(entities))]


_Pair = tuple[Verdict | None, Verdict | None]


def _paired(
    samples: Sequence[Sample | None], first: list[Verdict], second: list[Verdict]
) -> Iterator[_Pair]:
    """Pairs verdicts of one gold entity, and spurious entities with the same span and words."""
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
    """A run without the entity is right where gold does not have the entity either."""
    is_gold = _gold_of(one, other) is not None
    before, after = (
        not is_gold if verdict is None else verdict.kind == "right" for verdict in (one, other)
    )
    return PairOutcome.of(before=before, after=after).in_report


def _agreement(
    samples: Sequence[Sample | None],
) -> Callable[[Verdict | None, Verdict | None], str]:
    def agreement(one: Verdict | None, other: Verdict | None) -> str:
        if one is None or other is None:
            return "only-b" if one is None else "only-a"
        own, others = _entity(samples[0], one), _entity(samples[1], other)
        same = own is not None and others is not None and _is_same_answer(own, others)
        return "same" if same else "changed"

    return agreement


def _is_same_answer(one: Entity, other: Entity) -> bool:
    if (one.label, one.fine_label) != (other.label, other.fine_label):
        return False
    if (one.regions is None) != (other.regions is None):
        return False
    if not one.regions or not other.regions:
        return bool(one.regions) == bool(other.regions)
    return box_iou(one.regions[0].box, other.regions[0].box) >= _SAME_PLACE
