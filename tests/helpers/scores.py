"""Scores of an evaluation or a comparison that must be there."""

from __future__ import annotations

from riveg.evaluation.comparison import Comparison
from riveg.evaluation.differences import Difference
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.scores import MetricScore


def score_of(evaluation: Evaluation, metric: str, protocol: str = "canonical") -> MetricScore:
    score = evaluation.scores[protocol][metric]
    assert score is not None, f"{protocol} {metric} is not scored"
    return score


def difference_of(comparison: Comparison, metric: str) -> Difference:
    difference = comparison.metrics[metric]
    assert difference is not None, f"{metric} is not scored"
    return difference


def scored(evaluation: Evaluation, protocol: str = "canonical") -> set[str]:
    """The metrics of a protocol that are scored."""
    return {name for name, one in evaluation.scores[protocol].items() if one is not None}
