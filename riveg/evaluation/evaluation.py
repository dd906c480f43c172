"""The document that ``riveg eval`` prints and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from riveg.evaluation.average_precision import AveragePrecision
from riveg.evaluation.budget import BudgetLine
from riveg.evaluation.canonical import Rules
from riveg.evaluation.reviewing import ReviewCost, ReviewCount
from riveg.evaluation.scores import BoxFit, MetricScore, TypeScore

SCHEMA = "riveg-evaluation-1"


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
        scores: By protocol and metric; ``None``: not scored, as predictions or gold say too little.
        by_type: The canonical protocol's, by type and metric.
        confusion: Entities whose words and type are right: gold ``shown`` or ``not shown``, then
            what was said.
        boxes: Over all groundable entities.
        boxes_by_size: By the largest gold box: ``small`` is below 1/50 of the image.
        boxes_by_number: By how many gold boxes there are.
        budget: Where the points were lost, if asked for.
        slices: By slice and metric, if asked for.
        average_precision: COCO's, by ``box`` and ``mask``, if asked for.
        reviews: What became of second looks, by kind; ``None``: the system has none.
        review_cost: What they cost, as far as that is known.
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
    scores: Mapping[str, Mapping[str, MetricScore | None]]
    by_type: Mapping[str, Mapping[str, TypeScore]]
    confusion: Mapping[str, Mapping[str, int]]
    boxes: BoxFit | None
    boxes_by_size: Mapping[str, BoxFit]
    boxes_by_number: Mapping[str, BoxFit]
    budget: tuple[BudgetLine, ...] | None = None
    average_precision: Mapping[str, AveragePrecision | None] | None = None
    slices: Mapping[str, Mapping[str, TypeScore]] | None = None
    reviews: Mapping[str, ReviewCount] | None = None
    review_cost: ReviewCost | None = None
