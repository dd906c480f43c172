"""One sample under every protocol: what counted, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from riveg.counts import NOTHING, Count
from riveg.errors import UserError
from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import Annotated, Case, CaseScorer, Predicted
from riveg.evaluation.verdicts import Verdict, verdicts


@dataclass(frozen=True, slots=True)
class EntityAccount:
    """One entity, predicted or missed.

    Args:
        verdict: What became of it under the canonical protocol.
        predicted: What the system said.
        gold: The gold entity that it is compared with.
        marks: By protocol: ``hit``, ``miss``, ``not counted`` (dropped, or one with another), or
            ``hit lost`` where it took another's place.
    """

    verdict: Verdict
    predicted: Predicted | None
    gold: Annotated | None
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Account:
    """A sample's entities, and its counts under each protocol and metric."""

    case: Case
    entities: tuple[EntityAccount, ...]
    counts: Mapping[str, Mapping[str, Count]]


def account_for(
    cases: Iterator[Case],
    sample_id: str,
    scorers: Mapping[str, CaseScorer],
    rules: Rules,
    stages: Sequence[str],
    *,
    places: bool = True,
) -> Account:
    """The account of one sample.

    Raises:
        UserError: If it is not among the cases.
    """
    case = next((case for case in cases if case.id == sample_id), None)
    if case is None:
        raise UserError(f"--why {sample_id}: no such sample among those scored")
    marks = {name: _marks(case, scorer) for name, scorer in scorers.items()}
    entities = tuple(
        EntityAccount(
            verdict,
            None if verdict.predicted is None else case.predicted[verdict.predicted],
            None if verdict.gold is None else case.gold[verdict.gold],
            {}
            if verdict.predicted is None
            else {name: given[verdict.predicted] for name, given in marks.items()},
        )
        for verdict in verdicts(case, rules, stages, places=places)
    )
    return Account(case, entities, {name: scorer(case) for name, scorer in scorers.items()})


_MARKS = {1: "hit", 0: "miss", -1: "hit lost"}


def _marks(case: Case, scorer: CaseScorer) -> list[str]:
    """What each predicted entity adds to the counts of those before it.

    The marks of a sample add up to its hits, whatever a protocol merges, drops or overwrites.
    """
    marks = []
    before = _widest(scorer(replace(case, predicted=())))
    for number in range(1, len(case.predicted) + 1):
        now = _widest(scorer(replace(case, predicted=case.predicted[:number])))
        gained = now.hits - before.hits
        is_counted = gained or now.predicted > before.predicted or number == 1
        marks.append(_MARKS[gained] if is_counted else "not counted")
        before = now
    return marks


def _widest(counts: Mapping[str, Count]) -> Count:
    """The metric that asks for most of those that the protocol has."""
    return next((counts[name] for name in ("gmner", "mner") if name in counts), NOTHING)
