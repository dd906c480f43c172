"""Explains one sample: what every protocol counts, and what became of each entity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from riveg.errors import UserError
from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import AnnotatedEntity, Case, CaseScorer, PredictedEntity
from riveg.evaluation.counts import NOTHING, Count
from riveg.evaluation.verdicts import Verdict, verdicts


@dataclass(frozen=True, slots=True)
class EntityExplanation:
    """One entity, predicted or missed.

    Args:
        verdict: What became of it under the canonical protocol.
        predicted: What the system said.
        gold: The gold entity that the predicted one is compared with.
        marks: By protocol: ``hit``, ``miss``, ``not counted`` (dropped, or merged with another
            entity), or ``hit lost`` where it overwrites an entity that was a hit.
    """

    verdict: Verdict
    predicted: PredictedEntity | None
    gold: AnnotatedEntity | None
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A sample's entities, and its counts under each protocol and metric."""

    case: Case
    entities: tuple[EntityExplanation, ...]
    counts: Mapping[str, Mapping[str, Count]]


def explain_sample(
    cases: Iterator[Case],
    sample_id: str,
    scorers: Mapping[str, CaseScorer],
    rules: Rules,
    stages: Sequence[str],
    *,
    places: bool = True,
) -> Explanation:
    """The entities of one sample with their verdicts and their marks.

    Raises:
        UserError: If the sample is not among the cases.
    """
    case = next((case for case in cases if case.id == sample_id), None)
    if case is None:
        raise UserError(f"--why {sample_id}: no such sample among those scored")
    marks = {name: _marks(case, scorer) for name, scorer in scorers.items()}
    entities = tuple(
        EntityExplanation(
            verdict,
            None if verdict.predicted is None else case.predicted[verdict.predicted],
            None if verdict.gold is None else case.gold[verdict.gold],
            {}
            if verdict.predicted is None
            else {name: given[verdict.predicted] for name, given in marks.items()},
        )
        for verdict in verdicts(case, rules, stages, places=places)
    )
    return Explanation(case, entities, {name: scorer(case) for name, scorer in scorers.items()})


_MARKS = {1: "hit", 0: "miss", -1: "hit lost"}


def _marks(case: Case, scorer: CaseScorer) -> list[str]:
    """What each predicted entity adds to the counts of the entities before it.

    The marks of a sample add up to its hits, whatever entities a protocol merges or drops.
    """
    marks = []
    before = _strictest(scorer(replace(case, predicted=())))
    for number in range(1, len(case.predicted) + 1):
        now = _strictest(scorer(replace(case, predicted=case.predicted[:number])))
        gained = now.hits - before.hits
        is_counted = gained or now.predicted > before.predicted or number == 1
        marks.append(_MARKS[gained] if is_counted else "not counted")
        before = now
    return marks


def _strictest(counts: Mapping[str, Count]) -> Count:
    """The strictest metric that the protocol has: GMNER before MNER."""
    return next((counts[name] for name in ("gmner", "mner") if name in counts), NOTHING)
