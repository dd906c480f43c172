"""Compares two systems on the same samples: is the difference real, and which entities make it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riveg.errors import UserError, suggest
from riveg.evaluation.bootstrap import RESAMPLES, SEED, interval_of, percentages, resampled
from riveg.evaluation.canonical import REGION_METRICS, Rules
from riveg.evaluation.cases import Case
from riveg.evaluation.counts import Count
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.joining import JoinCounts, join
from riveg.evaluation.pair_outcomes import PairOutcome
from riveg.evaluation.predictions import Predictions
from riveg.evaluation.scoring import is_fine, rules_for, scorer_of
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
class Difference:
    """One metric of both systems, F1 from 0 to 100.

    Args:
        a: Counts of the first.
        b: Counts of the second.
        a_f1: F1 of the first.
        b_f1: F1 of the second.
        difference: ``b_f1`` less ``a_f1``.
        interval: The range of the difference in 95 % of the resamples.
        p: Two-sided: twice the share of resamples at 0 or on the other side of it, at most 1.
    """

    a: Count
    b: Count
    a_f1: float
    b_f1: float
    difference: float
    interval: tuple[float, float]
    p: float


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
        metrics: By name.
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
    metrics: Mapping[str, Difference]
    counts: Mapping[str, int]
    by_type: Mapping[str, Mapping[str, int]]
    by_stage: Mapping[str, Mapping[str, int]]
    entities: tuple[Change, ...]


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
    fine = is_fine(a, gold) or is_fine(b, gold)
    rules = rules_for(gold, rules or Rules(), fine=fine)
    (of_a, joined_a), (of_b, joined_b) = (_cases(one, gold) for one in (a, b))
    shared = [sample_id for sample_id in of_a if sample_id in of_b]
    if not shared:
        raise UserError(f"{a.name} and {b.name} share no sample that {gold.name} has gold for")
    pairs = [(of_a[sample_id], of_b[sample_id]) for sample_id in shared]
    names = _metrics((a, b), scorer_of(gold, rules)(pairs[0][0]), metric)
    # One rule for both systems: words and types alone where one of them says no more.
    places = all(one.detail != "tags" for one in (a, b))
    stages = a.stages, b.stages
    changes = [one for pair in pairs for one in _changes(pair, rules, stages, places=places)]
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
        metrics=_differences(pairs, names, gold, rules, resamples),
        counts={outcome: numbers[outcome] for outcome in (_RIGHT, *OUTCOMES)},
        by_type=_counted(wrong, "label"),
        by_stage=_counted(wrong, "stage"),
        entities=wrong,
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


def _metrics(
    both: tuple[Predictions, Predictions], scored: Iterable[str], wanted: str | None
) -> tuple[str, ...]:
    """The metrics that both systems have an answer for."""
    names = list(scored)
    if not all(one.detail == "regions" for one in both):
        names = [name for name in names if name not in {*REGION_METRICS, "fmnerg", "smner"}]
    if wanted is None:
        return tuple(names)
    if wanted not in names:
        raise UserError(f"--metric {wanted}: not scored here; {suggest(wanted, names)}")
    return (wanted,)


def _differences(
    pairs: Sequence[tuple[Case, Case]],
    names: Sequence[str],
    gold: GoldSet,
    rules: Rules,
    resamples: int,
) -> dict[str, Difference]:
    scorer = scorer_of(gold, rules)
    # Samples with the same counts under both are interchangeable: one multinomial draw over the
    # distinct rows is the bootstrap over samples.
    rows: Counter[tuple[int, ...]] = Counter()
    for pair in pairs:
        counts = [scorer(case) for case in pair]
        rows[tuple(number for name in names for one in counts for number in _three(one[name]))] += 1
    table = np.array(list(rows), dtype=np.int64)
    often = list(rows.values())
    totals = np.array(often) @ table
    f1 = percentages(resampled(list(rows), often, resamples, SEED))[2]
    return {
        name: _difference(
            Count(*map(int, totals[6 * place : 6 * place + 3])),
            Count(*map(int, totals[6 * place + 3 : 6 * place + 6])),
            f1[:, 2 * place + 1] - f1[:, 2 * place],
        )
        for place, name in enumerate(names)
    }


def _three(count: Count) -> tuple[int, int, int]:
    return count.hits, count.predicted, count.gold


def _difference(a: Count, b: Count, drawn: NDArray[np.float64]) -> Difference:
    interval = interval_of(drawn)
    least = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    # One more of each: no finite number of resamples shows a p of 0.
    p = min(1.0, 2 * (least + 1) / (len(drawn) + 1))
    ends = round(interval.low, 4), round(interval.high, 4)
    return Difference(a, b, a.f1, b.f1, b.f1 - a.f1, ends, p)


def _changes(
    pair: tuple[Case, Case],
    rules: Rules,
    stages: tuple[Sequence[str], Sequence[str]],
    *,
    places: bool,
) -> Iterator[Change]:
    """The changes of one sample: of its gold entities, then of the spurious ones."""
    found = [
        verdicts(case, rules, ran, places=places) for case, ran in zip(pair, stages, strict=True)
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
