"""Explains one sample: what every protocol counts, and what became of each entity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from riveg.errors import UserError
from riveg.evaluation.canonical import MasksDiffer, Rules
from riveg.evaluation.cases import AnnotatedEntity, Case, CaseScorer, Detail, PredictedEntity
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
            entity), ``hit lost`` where it overwrites an entity that was a hit, ``not scored``, or
            ``not marked`` behind the first :data:`MOST_MARKED` of a sample.
    """

    verdict: Verdict
    predicted: PredictedEntity | None
    gold: AnnotatedEntity | None
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A sample's entities, and its counts under each protocol and metric.

    Counts are ``None`` where predictions or gold say too little for a metric; ``notes`` says what a
    reader should know.
    """

    case: Case
    entities: tuple[EntityExplanation, ...]
    counts: Mapping[str, Mapping[str, Count | None]]
    notes: tuple[str, ...] = ()


def explain_sample(
    cases: Iterator[Case],
    sample_id: str,
    scorers: Mapping[str, CaseScorer],
    rules: Rules,
    stages: Sequence[str],
    *,
    detail: Detail = "regions",
    left_out: Mapping[str, Set[str]] | None = None,
) -> Explanation:
    """The entities of one sample with their verdicts and their marks.

    Args:
        cases: Among which the sample is.
        sample_id: Its id.
        scorers: By protocol.
        rules: The canonical protocol's rules.
        stages: The stages that the system ran.
        detail: What the predictions say of an entity.
        left_out: By protocol, the metrics that cannot be scored.

    Raises:
        UserError: If the sample is not among the cases.
        MasksDiffer: If a scorer compares masks and they differ in size.
    """
    case = next((case for case in cases if case.id == sample_id), None)
    if case is None:
        raise UserError(f"--why {sample_id}: no such sample among those scored")
    asked = {
        name: _Asked(scorer, (left_out or {}).get(name, frozenset()))
        for name, scorer in scorers.items()
    }
    counts, notes = _counts(case, asked)
    marks = {name: _marks(case, asked[name], counted) for name, counted in counts.items()}
    entities = tuple(
        EntityExplanation(
            verdict,
            None if verdict.predicted is None else case.predicted[verdict.predicted],
            None if verdict.gold is None else case.gold[verdict.gold],
            {}
            if verdict.predicted is None
            else {name: given[verdict.predicted] for name, given in marks.items()},
        )
        for verdict in verdicts(case, rules, stages, detail=detail)
    )
    if len(case.predicted) > MOST_MARKED:
        notes += (
            f"only the first {MOST_MARKED} of {len(case.predicted)} predicted entities are marked",
        )
    return Explanation(case, entities, counts, notes)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A protocol's scorer, and the metrics that cannot be scored."""

    scorer: CaseScorer
    left_out: Set[str]

    def counts(self, case: Case) -> dict[str, Count | None]:
        return {
            metric: None if metric in self.left_out else count
            for metric, count in self.scorer(case).items()
        }


_Counts = dict[str, dict[str, Count | None]]


def _counts(case: Case, asked: Mapping[str, _Asked]) -> tuple[_Counts, tuple[str, ...]]:
    """The counts by protocol, and why some protocols have none."""
    counts: _Counts = {}
    notes = []
    for name, one in asked.items():
        try:
            counts[name] = one.counts(case)
        except MasksDiffer:
            raise
        except UserError as error:
            counts[name] = {}
            notes.append(f"protocol {name} is not scored: {error}")
    return counts, tuple(notes)


# A name that a protocol cuts in pieces may be several hits.
_MARKS = {1: "hit", 0: "miss", -1: "hit lost"}
NOT_SCORED = "not scored"
NOT_MARKED = "not marked"

MOST_MARKED = 200
"""Predicted entities of a sample that get marks: for each, the sample is scored once more."""


def _marks(case: Case, asked: _Asked, counts: Mapping[str, Count | None]) -> list[str]:
    """What each predicted entity adds to the counts of the entities before it.

    The marks of a sample add up to its hits, whatever entities a protocol merges or drops.
    """
    if _strictest(counts) is None:
        return [NOT_SCORED] * len(case.predicted)
    marks = []
    before = _strictest(asked.counts(replace(case, predicted=()))) or NOTHING
    for number in range(1, min(len(case.predicted), MOST_MARKED) + 1):
        now = _strictest(asked.counts(replace(case, predicted=case.predicted[:number]))) or NOTHING
        gained = now.hits - before.hits
        is_counted = gained or now.predicted > before.predicted or number == 1
        marks.append(_MARKS[max(-1, min(gained, 1))] if is_counted else "not counted")
        before = now
    return marks + [NOT_MARKED] * (len(case.predicted) - len(marks))


def _strictest(counts: Mapping[str, Count | None]) -> Count | None:
    """The strictest metric that is scored: GMNER before MNER, fine labels before coarse ones."""
    found = (counts.get(name) for name in ("fmnerg", "gmner", "fmner", "mner"))
    return next((count for count in found if count is not None), None)
