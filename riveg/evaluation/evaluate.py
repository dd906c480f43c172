"""Everything ``riveg eval`` says, as one document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from riveg.counts import Count
from riveg.evaluation.average_precision import AveragePrecision, average_precision
from riveg.evaluation.bootstrap import RESAMPLES, Interval, Score, Tally
from riveg.evaluation.breakdown import NUMBERS, SIZES, BoxAccuracy, Breakdown
from riveg.evaluation.budget import BudgetLine, error_budget
from riveg.evaluation.canonical import CanonicalScorer, Relation, Rules, canonical, related
from riveg.evaluation.cases import Case, CaseScorer, Tells
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.joining import Joined, join
from riveg.evaluation.predictions import Predictions
from riveg.evaluation.protocols import PROTOCOLS
from riveg.evaluation.protocols.protocol import Protocol
from riveg.evaluation.why import Account, account_for

CANONICAL = "canonical"
SCHEMA = "riveg-evaluation-1"
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class MetricScore:
    """One metric: counts, percentages (0 to 100) and their 95 % bootstrap intervals over samples.

    ``interval`` is F1's.
    """

    hits: int
    predicted: int
    gold: int
    precision: float
    recall: float
    f1: float
    interval: tuple[float, float]
    precision_interval: tuple[float, float]
    recall_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class TypeScore:
    """One metric of one type."""

    hits: int
    predicted: int
    gold: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class BoxFit:
    """How well boxes fit.

    ``gold``: groundable gold entities; ``found``: the percentage of them that is found with words,
    type and box; ``compared``: those found with words and type whose boxes can be compared, of
    which ``accuracy_50`` and ``accuracy_75`` percent reach that IoU; ``mean_iou`` in [0, 1].
    """

    gold: int
    found: float
    compared: int
    accuracy_50: float | None
    accuracy_75: float | None
    mean_iou: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of predictions against gold.

    Args:
        schema: Name and version of this document.
        predictions: What was scored.
        format: Its format.
        system: The run's system.
        data: The gold's name.
        data_version: The publisher's version.
        split: The split.
        samples: Samples scored.
        predicted: Entities predicted in them.
        gold: Entities annotated in them.
        partial: Whether the run was over ``--limit``.
        unanswered: Samples scored that the system did not answer.
        without_prediction: Gold samples that the predictions do not name; all of it counts missed.
        without_gold: Predicted samples without gold, not scored.
        oracle_stages: Stages that looked at gold.
        notes: What a reader should know.
        rules: The canonical protocol's rules.
        scores: By protocol and metric.
        by_type: The canonical protocol's, by type and metric.
        confusion: Entities whose words and type are right: gold ``shown`` or ``not shown``, then
            what was said.
        boxes: Over all groundable entities.
        boxes_by_size: By the largest gold box: ``small`` is below 1/50 of the image.
        boxes_by_number: By how many gold boxes there are.
        budget: Where the points were lost, if asked for.
        average_precision: COCO's, by ``box`` and ``mask``, if asked for.
    """

    schema: str
    predictions: str
    format: str
    system: str | None
    data: str
    data_version: str | None
    split: str | None
    samples: int
    predicted: int
    gold: int
    partial: bool
    unanswered: int
    without_prediction: int
    without_gold: int
    oracle_stages: tuple[str, ...]
    notes: tuple[str, ...]
    rules: Rules
    scores: Mapping[str, Mapping[str, MetricScore]]
    by_type: Mapping[str, Mapping[str, TypeScore]]
    confusion: Mapping[str, Mapping[str, int]]
    boxes: BoxFit | None
    boxes_by_size: Mapping[str, BoxFit]
    boxes_by_number: Mapping[str, BoxFit]
    budget: tuple[BudgetLine, ...] | None = None
    average_precision: Mapping[str, AveragePrecision | None] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an evaluation is asked for.

    Args:
        protocols: By which protocols; the canonical one is always among them.
        rules: The canonical protocol's rules.
        budget: Whether to say where the points were lost.
        average_precision: Whether COCO's AP and AR are worked out.
        resamples: Bootstrap resamples.
    """

    protocols: tuple[str, ...] = (CANONICAL,)
    rules: Rules = field(default_factory=Rules)
    budget: bool = False
    average_precision: bool = False
    resamples: int = RESAMPLES


def evaluate(predictions: Predictions, gold: GoldSet, wanted: Wanted | None = None) -> Evaluation:
    """Scores predictions against gold.

    Raises:
        UserError: If they do not belong together, or a protocol needs what they do not tell.
    """
    wanted = wanted or Wanted()
    run = _Pass(gold, wanted, fine=is_fine(predictions, gold))
    met = Joined()
    for case in join(predictions, gold, met):
        run.add(case)
    return run.evaluation(predictions, met)


def explain(
    predictions: Predictions,
    gold: GoldSet,
    sample_id: str,
    protocols: Sequence[str],
    rules: Rules | None = None,
) -> Account:
    """One sample's entities under each of the protocols.

    Raises:
        UserError: If it is not among those that would be scored.
    """
    fine = is_fine(predictions, gold)
    rules = rules_for(gold, rules or Rules(), fine=fine)
    scorers: dict[str, CaseScorer] = {CANONICAL: scorer_of(gold, rules)}
    scorers |= {name: PROTOCOLS[name].scorer(fine=fine) for name in protocols if name != CANONICAL}
    cases = join(predictions, gold, Joined())
    places = predictions.tells != "tags"
    return account_for(cases, sample_id, scorers, rules, predictions.stages, places=places)


def is_fine(predictions: Predictions, gold: GoldSet) -> bool:
    """Whether the predicted types are fine ones: one that the gold knows as such suffices."""
    return bool(gold.coarse_of) and any(
        entity.label in gold.coarse_of
        for answer in predictions.answers()
        for entity in answer.predicted
    )


def scorer_of(gold: GoldSet, rules: Rules) -> CanonicalScorer:
    """The canonical scorer with every metric that this gold has an answer for."""
    return canonical(rules, boxes=gold.has_boxes, masks=gold.has_masks)


class _Pass:
    """One way through all cases."""

    def __init__(self, gold: GoldSet, wanted: Wanted, *, fine: bool) -> None:
        self._gold, self._wanted, self._fine = gold, wanted, fine
        self._rules = rules_for(gold, wanted.rules, fine=fine)
        self._scorer = scorer_of(gold, self._rules)
        self._others = {
            name: (PROTOCOLS[name], PROTOCOLS[name].scorer(fine=fine))
            for name in wanted.protocols
            if name != CANONICAL
        }
        self._tallies = {name: Tally() for name in (CANONICAL, *self._others)}
        self._left_out = dict.fromkeys(self._others, 0)
        self._breakdown = Breakdown(self._rules)
        self._kept: list[Case] = []
        self._predicted = self._annotated = self._reworded = 0

    def add(self, case: Case) -> None:
        pairs = list(related(case, self._rules))
        self._tallies[CANONICAL].add(self._scorer.counts(case, pairs))
        for name, (protocol, scorer) in self._others.items():
            self._tallies[name].add(scorer(case))
            self._left_out[name] += protocol.leaves_out(case)
        self._breakdown.add(case, pairs)
        self._predicted += len(case.predicted)
        self._annotated += len(case.gold)
        self._reworded += sum(_is_reworded(case, pair) for pair in pairs)
        if self._wanted.budget or self._wanted.average_precision:
            self._kept.append(case)

    def evaluation(self, predictions: Predictions, met: Joined) -> Evaluation:
        manifest = predictions.manifest
        left_out = _left_out(predictions.tells, self._gold)
        is_placed = predictions.tells == "regions"
        located = is_placed and self._gold.has_boxes
        scores = {
            name: {
                metric: _score(score, PROTOCOLS[name])
                for metric, score in tally.scores(self._wanted.resamples).items()
                if metric not in left_out
            }
            for name, tally in self._tallies.items()
        }
        return Evaluation(
            schema=SCHEMA,
            predictions=predictions.name,
            format=predictions.format,
            system=manifest.get("system"),
            data=self._gold.name,
            data_version=self._gold.version,
            split=self._gold.split,
            samples=met.samples,
            predicted=self._predicted,
            gold=self._annotated,
            partial=bool(manifest.get("limit")),
            unanswered=met.unanswered,
            without_prediction=met.without_prediction,
            without_gold=met.without_gold,
            oracle_stages=tuple(manifest.get("oracle_stages", ())),
            notes=(
                *predictions.notes,
                *_notes(predictions, self._gold, fine=self._fine),
                *_reworded_note(self._reworded),
                *(
                    f"protocol {name} counts nothing that both predictions and gold tell"
                    for name, kept in scores.items()
                    if not kept
                ),
                *(
                    f"protocol {name} leaves {number} of the samples out"
                    for name, number in self._left_out.items()
                    if number
                ),
                *(
                    f"to protocol {name} an entity without a place is no answer"
                    for name in self._others
                    if predictions.tells == "tags" and name in _PLACES_ONLY
                ),
            ),
            rules=self._rules,
            scores=scores,
            by_type=_types(self._breakdown, left_out),
            confusion=_confusion(self._breakdown) if self._tells_shown(predictions) else {},
            boxes=_fit(self._breakdown.boxes) if located else None,
            boxes_by_size=_fits(self._breakdown.by_size, SIZES) if located else {},
            boxes_by_number=_fits(self._breakdown.by_boxes, NUMBERS) if located else {},
            budget=error_budget(
                self._kept,
                self._rules,
                boxes=located,
                masks=is_placed and self._gold.has_masks,
            )
            if self._wanted.budget
            else None,
            average_precision=average_precision(self._kept, self._rules.coarse_of)
            if self._wanted.average_precision
            else None,
        )

    def _tells_shown(self, predictions: Predictions) -> bool:
        """Whether both sides say what is in the image."""
        return predictions.tells != "tags" and (self._gold.has_boxes or self._gold.has_masks)


def rules_for(gold: GoldSet, rules: Rules, *, fine: bool) -> Rules:
    """The rules with the gold's own fine labels, where the predictions have such."""
    return replace(rules, coarse_of=gold.coarse_of if fine else {})


_PLACES_ONLY = frozenset({"h-index", "tiger", "tiger-inloop"})
"""Protocols to which words and type alone are no answer."""

_NEEDS_REGIONS = frozenset({"eeg", "gmner", "fmnerg", "smner", "grounded"})


def _left_out(tells: Tells, gold: GoldSet) -> set[str]:
    """Metrics that one of the two sides has no answer for."""
    if tells == "tags":
        return {*_NEEDS_REGIONS, "perfect_boxes"}
    if tells == "groundability":
        return {*_NEEDS_REGIONS}
    return set() if gold.has_boxes else {"eeg", "gmner", "fmnerg"}


def _notes(predictions: Predictions, gold: GoldSet, *, fine: bool) -> Iterable[str]:
    manifest = predictions.manifest
    if predictions.tells == "tags":
        yield "the predictions are tags only: nothing is said of places"
    if predictions.tells == "groundability":
        yield "the predictions tell no boxes: groundability is scored in their place"
    if gold.coarse_of and not fine:
        yield "the gold has fine types, the predictions have not: coarse ones are scored"
    for key, now in (("data_version", gold.version), ("data", gold.name)):
        before = manifest.get(key)
        if before is not None and now is not None and before != now:
            yield f"the run was over {key.replace('_', ' ')} {before}, the gold is {now}"


def _is_reworded(case: Case, pair: Relation) -> bool:
    """Whether the same tokens are other words on the two sides, blanks aside."""
    said, annotated = case.predicted[pair.predicted].text, case.gold[pair.gold].text
    return said != annotated and "".join(said.split()) != "".join(annotated.split())


def _reworded_note(number: int) -> Iterable[str]:
    if number:
        yield (
            f"tokens of a gold entity that are other words in the predictions: {number}; "
            "is the gold of the same text?"
        )


def _score(score: Score, protocol: Protocol) -> MetricScore:
    count = score.count
    shares = [(count.precision, score.precision), (count.recall, score.recall)]
    if protocol.swapped:
        shares.reverse()
    digits = _DIGITS if protocol.decimals is None else protocol.decimals
    return MetricScore(
        count.hits,
        count.predicted,
        count.gold,
        round(shares[0][0], digits),
        round(shares[1][0], digits),
        round(count.f1, digits),
        _ends(score.f1),
        _ends(shares[0][1]),
        _ends(shares[1][1]),
    )


def _ends(interval: Interval) -> tuple[float, float]:
    return round(interval.low, _DIGITS), round(interval.high, _DIGITS)


def _types(breakdown: Breakdown, left_out: set[str]) -> dict[str, dict[str, TypeScore]]:
    def most_first(label: str) -> tuple[int, str]:
        return -max(count.gold for count in breakdown.by_type[label].values()), label

    types = {}
    for label in sorted(breakdown.by_type, key=most_first):
        counts = breakdown.by_type[label].items()
        kept = {metric: _type(count) for metric, count in counts if metric not in left_out}
        if label and any(score.gold or score.predicted for score in kept.values()):
            types[label] = kept
    return types


def _type(count: Count) -> TypeScore:
    return TypeScore(
        count.hits,
        count.predicted,
        count.gold,
        round(count.precision, _DIGITS),
        round(count.recall, _DIGITS),
        round(count.f1, _DIGITS),
    )


def _confusion(breakdown: Breakdown) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (shown, said), number in sorted(breakdown.confusion.items(), reverse=True):
        table.setdefault(shown, {})[said] = number
    return table


def _fits(table: Mapping[str, BoxAccuracy], names: Sequence[str]) -> dict[str, BoxFit]:
    return {name: _fit(table[name]) for name in names if name in table}


def _fit(boxes: BoxAccuracy) -> BoxFit:
    def share(part: int, whole: int) -> float | None:
        return round(100 * part / whole, _DIGITS) if whole else None

    return BoxFit(
        boxes.gold,
        share(boxes.hits, boxes.gold) or 0.0,
        boxes.boxes,
        share(boxes.at_half, boxes.boxes),
        share(boxes.at_three_quarters, boxes.boxes),
        None if boxes.mean_iou is None else round(boxes.mean_iou, _DIGITS),
    )
