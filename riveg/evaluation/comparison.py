"""Compares two systems on the same samples: is the difference real, and which entities make it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from riveg.errors import UserError, suggest
from riveg.evaluation.bootstrap import RESAMPLES
from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import Case, Detail, least_detail
from riveg.evaluation.differences import Difference, differences
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.joining import JoinCounts, join
from riveg.evaluation.notes import fine_notes, join_notes, lacking_note
from riveg.evaluation.pair_outcomes import PairOutcome
from riveg.evaluation.predictions import Predictions
from riveg.evaluation.protocol_notes import detail_notes, mask_note
from riveg.evaluation.scoring import (
    fine_not_scored,
    is_fine,
    mask_metrics,
    metrics_left_out,
    rules_for,
    scorer_of,
    with_comparable_masks,
    with_places,
)
from riveg.evaluation.verdicts import Verdict, verdicts

SCHEMA = "riveg-comparison-1"
OUTCOMES = tuple(
    outcome.in_comparison
    for outcome in (PairOutcome.FIXED, PairOutcome.BROKEN, PairOutcome.STILL_WRONG)
)
"""Outcomes of entities that are not right under both systems."""

ABSENT = "not predicted"
"""In place of a verdict: a spurious entity of the other system that this system does not have."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one entity under both systems.

    A gold entity has one verdict under each system. A spurious entity, which has no gold, is known
    by its words and label; for the system without it the verdict is ``not predicted``, which is
    right.

    Args:
        outcome: One of :data:`OUTCOMES`.
        sample_id: The sample of the entity.
        text: Its words.
        label: Its gold label; the predicted label of a spurious entity.
        start: Its first token, where known.
        before: The verdict of the first system.
        after: The verdict of the second.
        stage: The stage at fault in the second system; of a fixed entity, in the first system.
    """

    outcome: str
    sample_id: str
    text: str
    label: str
    start: int | None
    before: str
    after: str
    stage: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything ``riveg compare`` says.

    Args:
        schema: Name and version of this document.
        a: The first system's predictions.
        b: The second's.
        data: The gold's name.
        data_version: The publisher's version.
        split: The split.
        samples: Samples that both predicted and that have gold: only these are compared.
        only_a: Samples with gold that only the first has.
        only_b: Samples with gold that only the second has.
        without_gold: Samples without gold, of the first and of the second.
        oracle_stages: Stages that looked at gold, of the first and of the second.
        resamples: Bootstrap resamples.
        rules: What counts as the right place.
        detail: What both say of an entity: the verdicts are of that.
        metrics: By name; ``None``: not scored, as one of them says too little.
        notes: What a reader should know.
        counts: How many entities are right under both, fixed, broken and still wrong.
        by_type: Of fixed, broken and still wrong, how many of each type.
        by_stage: The same by the stage at fault.
        entities: Fixed, broken and still wrong ones, in the gold's order.
    """

    schema: str
    a: str
    b: str
    data: str
    data_version: str | None
    split: str | None
    samples: int
    only_a: int
    only_b: int
    without_gold: tuple[int, int]
    oracle_stages: tuple[tuple[str, ...], tuple[str, ...]]
    resamples: int
    rules: Rules
    detail: Detail
    metrics: Mapping[str, Difference | None]
    counts: Mapping[str, int]
    by_type: Mapping[str, Mapping[str, int]]
    by_stage: Mapping[str, Mapping[str, int]]
    entities: tuple[Change, ...]
    notes: tuple[str, ...] = ()


def compare(
    a: Predictions,
    b: Predictions,
    gold: GoldSet,
    *,
    rules: Rules | None = None,
    metric: str | None = None,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compares two systems by a paired bootstrap over samples (Efron, 1979).

    In each resample both are scored on the same samples. ``p`` of systems that answer alike is 1.

    Args:
        a: The first system.
        b: The second one.
        gold: The annotation.
        rules: What counts as the right place.
        metric: Only this one; ``None``: all.
        resamples: How many; always drawn from the same seed.

    Raises:
        UserError: If they share no annotated sample, or there is no such metric.
    """
    both = with_places(a, gold), with_places(b, gold)
    compared = partial(_compared, both, rules or Rules(), metric, resamples)
    return with_comparable_masks(compared, gold)


def _compared(
    both: tuple[Predictions, Predictions],
    rules: Rules,
    metric: str | None,
    resamples: int,
    gold: GoldSet,
) -> Comparison:
    a, b = both
    have_fine = is_fine(a, gold), is_fine(b, gold)
    fine = all(have_fine)
    rules = rules_for(gold, rules, fine=fine)
    (of_a, joined_a), (of_b, joined_b) = (_cases(one, gold) for one in (a, b))
    shared = [sample_id for sample_id in of_a if sample_id in of_b]
    if not shared:
        raise UserError(f"{a.name} and {b.name} share no sample that {gold.name} has gold for")
    pairs = [(of_a[sample_id], of_b[sample_id]) for sample_id in shared]
    # One rule for both systems: what both of them say.
    detail = least_detail(one.detail for one in (a, b))
    scorer = scorer_of(gold, rules)
    said = any(entity.fine_label for pair in pairs for case in pair for entity in case.predicted)
    not_scored = (*mask_metrics(gold), *fine_not_scored(gold, fine=fine, said=said))
    names = _metrics((*scorer(pairs[0][0]), *not_scored), metric)
    left_out = {*metrics_left_out(detail, gold), *not_scored}
    scored = [name for name in names if name not in left_out]
    if not scored:
        told = "; ".join((*_said(both, gold, have_fine, said=said), *mask_note(gold)))
        raise UserError(f"--metric {metric}: not scored here; {told}")
    stages = a.stages, b.stages
    changes = [one for pair in pairs for one in _changes(pair, rules, stages, detail=detail)]
    wrong = tuple(one for one in changes if one.outcome in OUTCOMES)
    numbers = Counter(one.outcome for one in changes)
    return Comparison(
        schema=SCHEMA,
        a=a.name,
        b=b.name,
        data=gold.name,
        data_version=gold.version,
        split=gold.split,
        samples=len(shared),
        only_a=len(of_a) - len(shared),
        only_b=len(of_b) - len(shared),
        without_gold=(joined_a.without_gold, joined_b.without_gold),
        oracle_stages=(_oracles(a), _oracles(b)),
        resamples=resamples,
        rules=rules,
        detail=detail,
        metrics=dict.fromkeys(names) | differences(pairs, scored, scorer, resamples),
        counts={outcome: numbers[outcome] for outcome in (_RIGHT, *OUTCOMES)},
        by_type=_counted(wrong, "label"),
        by_stage=_counted(wrong, "stage"),
        entities=wrong,
        notes=(
            *gold.notes,
            *_said(both, gold, have_fine, said=said),
            *mask_note(gold),
            *_join_notes((joined_a, joined_b)),
            *lacking_note(_lacking(both, gold, {*of_a, *of_b})),
        ),
    )


_RIGHT = PairOutcome.BOTH_RIGHT.in_comparison


def _oracles(predictions: Predictions) -> tuple[str, ...]:
    return tuple(predictions.manifest.get("oracle_stages", ()))


def _cases(predictions: Predictions, gold: GoldSet) -> tuple[dict[str, Case], JoinCounts]:
    """The cases of the samples that a system has predictions for, by sample id."""
    joined = JoinCounts()
    cases = list(join(predictions, gold, joined))
    # Samples without a prediction come last, as unanswered cases.
    predicted = cases[: len(cases) - joined.without_prediction]
    return {case.id: case for case in predicted}, joined


def _metrics(scored: Iterable[str], wanted: str | None) -> tuple[str, ...]:
    names = list(scored)
    if wanted is None:
        return tuple(names)
    if wanted not in names:
        raise UserError(f"--metric {wanted}: not scored here; {suggest(wanted, names)}")
    return (wanted,)


def _join_notes(both: tuple[JoinCounts, JoinCounts]) -> Iterator[str]:
    """What looks wrong between each of both and the gold."""
    for joined, who in zip(both, "AB", strict=True):
        yield from (f"{who}: {note}" for note in join_notes(joined))


def _lacking(both: tuple[Predictions, Predictions], gold: GoldSet, predicted: set[str]) -> int:
    """How many samples of the gold neither has; 0 where one is over a part of them by wish."""
    if any(one.manifest.get("limit") for one in both):
        return 0
    return len(gold.samples.keys() - predicted)


def _said(
    both: tuple[Predictions, Predictions],
    gold: GoldSet,
    have_fine: tuple[bool, bool],
    *,
    said: bool,
) -> Iterator[str]:
    """Which of both say too little for some metrics."""
    for one, fine, who in zip(both, have_fine, "AB", strict=True):
        notes = (*detail_notes(one, gold), *fine_notes(gold, fine=fine, said=said))
        yield from (f"{who}: {note}" for note in notes)


def _changes(
    pair: tuple[Case, Case],
    rules: Rules,
    stages: tuple[Sequence[str], Sequence[str]],
    *,
    detail: Detail,
) -> Iterator[Change]:
    """The changes of one sample: of its gold entities, then of the spurious ones."""
    found = [
        verdicts(case, rules, ran, detail=detail) for case, ran in zip(pair, stages, strict=True)
    ]
    by_gold = [{one.gold: one for one in side if one.gold is not None} for side in found]
    for number, gold in enumerate(pair[0].gold):
        before, after = by_gold[0][number], by_gold[1][number]
        start = None if gold.span is None else gold.span.start
        yield _change(pair[0].id, gold.text, gold.label, start, (before, after))
    spurious = [_spurious(case, side) for case, side in zip(pair, found, strict=True)]
    for key in dict.fromkeys([*spurious[0], *spurious[1]]):
        start, text, label = key
        # The same words twice are two entities: the side with fewer has no verdict on the rest.
        many = max(len(side.get(key, ())) for side in spurious)
        for place in range(many):
            sides = [side.get(key, ())[place : place + 1] for side in spurious]
            both = tuple(side[0] if side else None for side in sides)
            yield _change(pair[0].id, text, label, start, (both[0], both[1]))


_Key = tuple[int | None, str, str]


def _spurious(case: Case, found: Sequence[Verdict]) -> dict[_Key, list[Verdict]]:
    table: dict[_Key, list[Verdict]] = {}
    for one in found:
        if one.gold is None and one.predicted is not None:
            entity = case.predicted[one.predicted]
            start = None if entity.span is None else entity.span.start
            table.setdefault((start, entity.text, entity.label), []).append(one)
    return table


def _change(
    sample_id: str,
    text: str,
    label: str,
    start: int | None,
    pair: tuple[Verdict | None, Verdict | None],
) -> Change:
    before, after = pair
    outcome = PairOutcome.of(
        before=before is None or before.kind == "right",
        after=after is None or after.kind == "right",
    )
    at_fault = before if outcome is PairOutcome.FIXED else after
    return Change(
        outcome.in_comparison,
        sample_id,
        text,
        label,
        start,
        ABSENT if before is None else before.kind,
        ABSENT if after is None else after.kind,
        None if at_fault is None else at_fault.stage,
    )


def _counted(changes: Sequence[Change], by: str) -> dict[str, dict[str, int]]:
    """Numbers by label or by stage, then by outcome; the most first."""

    def value(change: Change) -> Any:
        return getattr(change, by) or ""

    rows = Counter(value(change) for change in changes)
    cells = Counter((value(change), change.outcome) for change in changes)
    return {
        name: {outcome: cells[name, outcome] for outcome in OUTCOMES}
        for name, _ in sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    }
