"""Scores predictions against gold, and explains the scores of one sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from riveg.errors import UserError
from riveg.evaluation.average_precision import average_precision, with_odd_masks
from riveg.evaluation.bootstrap import RESAMPLES, Tally
from riveg.evaluation.breakdown import NUMBERS, SIZES, Breakdown
from riveg.evaluation.budget import error_budget
from riveg.evaluation.canonical import Rules, related
from riveg.evaluation.cases import Case, CaseScorer
from riveg.evaluation.evaluation import SCHEMA, Evaluation
from riveg.evaluation.explanation import Explanation, explain_sample
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.joining import JoinCounts, join
from riveg.evaluation.notes import (
    fine_notes,
    is_reworded,
    join_notes,
    prediction_notes,
    reworded_note,
    unseen_note,
)
from riveg.evaluation.predictions import Predictions
from riveg.evaluation.protocol_notes import (
    candidate_notes,
    detail_notes,
    mask_note,
    mask_precision_note,
    protocol_notes,
    unplaced_note,
)
from riveg.evaluation.protocols import PROTOCOLS
from riveg.evaluation.reviewing import ReviewCost, ReviewTally, review_cost
from riveg.evaluation.scores import (
    MetricScore,
    box_fit,
    box_fits,
    confusion_table,
    metric_score,
    slice_scores,
    type_scores,
)
from riveg.evaluation.scoring import (
    CANONICAL,
    fine_not_scored,
    is_fine,
    left_out_of,
    mask_metrics,
    metrics_left_out,
    rules_for,
    scorer_of,
    with_comparable_masks,
    with_places,
)
from riveg.evaluation.slices import Slices


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What to score, and how.

    Args:
        protocols: By which protocols; the canonical one is always among them.
        rules: The canonical protocol's rules.
        budget: Whether to say where the points were lost.
        average_precision: Whether to compute COCO's AP and AR.
        slices: Whether to score slices of the data.
        seen: Mentions of the data that was learnt from, folded; ``None``: not known.
        resamples: Bootstrap resamples.
    """

    protocols: tuple[str, ...] = (CANONICAL,)
    rules: Rules = field(default_factory=Rules)
    budget: bool = False
    average_precision: bool = False
    slices: bool = False
    seen: Set[str] | None = None
    resamples: int = RESAMPLES


def evaluate(
    predictions: Predictions, gold: GoldSet, options: EvaluationOptions | None = None
) -> Evaluation:
    """Scores predictions against gold.

    Raises:
        UserError: If they do not belong together, or a protocol needs what they do not say.
    """
    predictions, options = with_places(predictions, gold), options or EvaluationOptions()
    return with_comparable_masks(partial(_evaluated, predictions, options), gold)


def _evaluated(predictions: Predictions, options: EvaluationOptions, gold: GoldSet) -> Evaluation:
    scoring = _Scoring(predictions, gold, options)
    joined = JoinCounts()
    for case in join(predictions, gold, joined):
        scoring.add(case)
    return scoring.evaluation(joined)


def explain(
    predictions: Predictions,
    gold: GoldSet,
    sample_id: str,
    protocols: Sequence[str],
    rules: Rules | None = None,
) -> Explanation:
    """One sample's entities under each of the protocols.

    Raises:
        UserError: If the sample is not among those that are scored.
    """
    predictions = with_places(predictions, gold)
    explained = partial(_explained, predictions, sample_id, protocols, rules or Rules())
    return with_comparable_masks(explained, gold)


def _explained(
    predictions: Predictions,
    sample_id: str,
    protocols: Sequence[str],
    rules: Rules,
    gold: GoldSet,
) -> Explanation:
    fine = is_fine(predictions, gold)
    rules = rules_for(gold, rules, fine=fine)
    scorers: dict[str, CaseScorer] = {CANONICAL: scorer_of(gold, rules)}
    scorers |= {name: PROTOCOLS[name].scorer(fine=fine) for name in protocols if name != CANONICAL}
    left_out = {name: left_out_of(PROTOCOLS[name], predictions.detail, gold) for name in scorers}
    cases = join(predictions, gold, JoinCounts())
    explanation = explain_sample(
        cases,
        sample_id,
        scorers,
        rules,
        predictions.stages,
        detail=predictions.detail,
        left_out=left_out,
    )
    said = any(entity.fine_label for entity in explanation.case.predicted)
    notes = (
        *detail_notes(predictions, gold),
        *fine_notes(gold, fine=fine, said=said),
        *mask_note(gold),
        *candidate_notes(predictions, gold, scorers),
    )
    not_scored = (*mask_metrics(gold), *fine_not_scored(gold, fine=fine, said=said))
    counts = dict(explanation.counts)
    counts[CANONICAL] = {**counts[CANONICAL], **dict.fromkeys(not_scored)}
    return replace(explanation, counts=counts, notes=(*notes, *explanation.notes))


class _Scoring:
    """Counts case by case, and makes the document of the counts."""

    def __init__(self, predictions: Predictions, gold: GoldSet, options: EvaluationOptions) -> None:
        self._predictions, self._gold, self._options = predictions, gold, options
        self._fine = is_fine(predictions, gold)
        self._rules = rules_for(gold, options.rules, fine=self._fine)
        self._scorer = scorer_of(gold, self._rules)
        self._others = {
            name: (PROTOCOLS[name], PROTOCOLS[name].scorer(fine=self._fine))
            for name in options.protocols
            if name != CANONICAL
        }
        self._tallies = {name: Tally() for name in (CANONICAL, *self._others)}
        self._left_out = dict.fromkeys(self._others, 0)
        self._unscorable: dict[str, str] = {}
        self._breakdown = Breakdown(self._rules)
        self._slices = Slices(options.seen)
        self._reviews = ReviewTally(self._rules, gold.has_boxes)
        self._kept: list[Case] = []
        self._predicted = self._annotated = self._reworded = self._unplaced = 0
        self._said_fine = False

    def add(self, case: Case) -> None:
        """Counts one more sample."""
        pairs = list(related(case, self._rules))
        self._tallies[CANONICAL].add(self._scorer.counts(case, pairs))
        for name in self._others:
            if name not in self._unscorable:
                self._count(name, case)
        self._breakdown.add(case, pairs)
        self._reviews.add(case)
        if self._options.slices:
            self._slices.add(case, pairs)
        self._predicted += len(case.predicted)
        self._unplaced += sum(entity.regions is None for entity in case.predicted)
        self._said_fine |= any(entity.fine_label for entity in case.predicted)
        self._annotated += len(case.gold)
        self._reworded += sum(is_reworded(case, pair) for pair in pairs)
        if self._options.budget or self._options.average_precision:
            self._kept.append(case)

    def _count(self, name: str, case: Case) -> None:
        protocol, scorer = self._others[name]
        try:
            self._tallies[name].add(scorer(case))
        except UserError as error:  # The other protocols are scored all the same.
            self._unscorable[name] = str(error)
        self._left_out[name] += protocol.leaves_out(case)

    def evaluation(self, joined: JoinCounts) -> Evaluation:
        """The document, once every case is counted."""
        predictions, gold, manifest = self._predictions, self._gold, self._predictions.manifest
        left_out = metrics_left_out(predictions.detail, gold)
        has_places = predictions.detail == "regions"
        has_boxes = has_places and gold.has_boxes
        says_shown = predictions.detail != "tags" and (gold.has_boxes or gold.has_masks)
        scores = {name: self._scores(name, tally) for name, tally in self._tallies.items()}
        scores[CANONICAL] |= dict.fromkeys(
            (
                *mask_metrics(gold),
                *fine_not_scored(gold, fine=self._fine, said=self._said_fine),
            )
        )
        boxes = self._breakdown
        reviews = self._reviews.counts()
        return Evaluation(
            schema=SCHEMA,
            predictions=predictions.name,
            format=predictions.format,
            system=manifest.get("system"),
            data=gold.name,
            data_version=gold.version,
            split=gold.split,
            samples=joined.samples,
            predicted=self._predicted,
            gold=self._annotated,
            partial=bool(manifest.get("limit")),
            unanswered=joined.unanswered,
            without_prediction=joined.without_prediction,
            without_gold=joined.without_gold,
            oracle_stages=tuple(manifest.get("oracle_stages", ())),
            notes=tuple(self._notes(joined)),
            rules=self._rules,
            scores=scores,
            by_type=type_scores(self._breakdown, left_out),
            confusion=confusion_table(self._breakdown) if says_shown else {},
            boxes=box_fit(boxes.boxes) if has_boxes else None,
            boxes_by_size=box_fits(boxes.by_size, SIZES) if has_boxes else {},
            boxes_by_number=box_fits(boxes.by_boxes, NUMBERS) if has_boxes else {},
            budget=error_budget(
                self._kept, self._rules, boxes=has_boxes, masks=has_places and gold.compares_masks
            )
            if self._options.budget
            else None,
            average_precision=average_precision(self._kept)
            if self._options.average_precision
            else None,
            slices=slice_scores(self._slices, left_out) if self._options.slices else None,
            reviews=reviews,
            review_cost=None if reviews is None else self._review_cost(),
        )

    def _review_cost(self) -> ReviewCost:
        predictions = self._predictions
        return review_cost(Path(predictions.name)) if predictions.format == "run" else ReviewCost()

    def _scores(self, name: str, tally: Tally) -> dict[str, MetricScore | None]:
        protocol = PROTOCOLS[name]
        if name in self._unscorable:
            return dict.fromkeys(protocol.metrics)
        left_out = left_out_of(protocol, self._predictions.detail, self._gold)
        return {
            metric: None if metric in left_out else metric_score(score, protocol)
            for metric, score in tally.scores(self._options.resamples).items()
        }

    def _notes(self, joined: JoinCounts) -> Iterator[str]:
        yield from prediction_notes(
            self._predictions, self._gold, fine=self._fine, said=self._said_fine
        )
        yield from mask_note(self._gold)
        if self._options.average_precision and self._gold.has_masks:
            yield from mask_precision_note(with_odd_masks(self._kept))
        yield from join_notes(joined)
        if self._options.slices:
            yield from unseen_note(self._options.seen)
        yield from reworded_note(self._reworded)
        yield from unplaced_note(self._predictions, self._unplaced, self._predicted)
        yield from candidate_notes(self._predictions, self._gold, self._others)
        yield from protocol_notes(self._predictions, self._gold, self._left_out, self._unscorable)
