"""What can be scored: the rules and the metrics that both predictions and gold have answers for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from riveg.evaluation.canonical import (
    FINE_OF,
    CanonicalScorer,
    MasksDiffer,
    Rules,
    canonical,
    fine_metrics,
)
from riveg.evaluation.cases import Detail, least_detail
from riveg.evaluation.gold import GoldSet
from riveg.evaluation.predictions import Predictions
from riveg.evaluation.protocols.protocol import Protocol

CANONICAL = "canonical"
"""The name of riveg's own protocol."""

SMNER = "smner"

_REGION_METRICS = frozenset({"eeg", "gmner", "fmnerg", SMNER, "grounded"})

Scored = TypeVar("Scored")


def with_places(predictions: Predictions, gold: GoldSet) -> Predictions:
    """Predictions that name candidates say where, if the gold comes with the detector's boxes."""
    if not predictions.by_candidate:
        return predictions
    if all(sample.proposals is None for sample in gold.samples.values()):
        note = "its places are indices of a detector's boxes: --proposals tells them"
        return replace(predictions, notes=(*predictions.notes, note))
    return replace(predictions, detail="regions")


def is_fine(predictions: Predictions, gold: GoldSet) -> bool:
    """Whether fine labels can be compared: the gold has some, and one predicted entity has one."""
    return bool(gold.coarse_of) and any(
        gold.with_both_labels(entity).fine_label is not None
        for prediction in predictions.read()
        for entity in prediction.predicted
    )


def rules_for(gold: GoldSet, rules: Rules, *, fine: bool) -> Rules:
    """The rules with the gold's own fine labels, where these are compared."""
    return replace(rules, coarse_of=gold.coarse_of if fine else {})


def fine_not_scored(gold: GoldSet, *, fine: bool, said: bool) -> tuple[str, ...]:
    """The metrics of fine labels that cannot be had though there are fine labels.

    Args:
        gold: The annotation.
        fine: Whether fine labels are compared.
        said: Whether the predictions have fine labels.
    """
    if fine or not (gold.coarse_of or said):
        return ()
    return fine_metrics(boxes=gold.has_boxes)


def scorer_of(gold: GoldSet, rules: Rules) -> CanonicalScorer:
    """The canonical scorer with every metric that this gold has an answer for."""
    return canonical(rules, boxes=gold.has_boxes, masks=gold.compares_masks)


def with_comparable_masks(score: Callable[[GoldSet], Scored], gold: GoldSet) -> Scored:
    """What ``score`` makes of the gold; if masks differ in size, all but the scores of masks."""
    try:
        return score(gold)
    except MasksDiffer as error:
        return score(replace(gold, mask_fault=str(error)))


def mask_metrics(gold: GoldSet) -> tuple[str, ...]:
    """The metrics that the canonical scorer leaves out because masks cannot be compared."""
    return () if gold.mask_fault is None else (SMNER,)


def metrics_left_out(detail: Detail, gold: GoldSet) -> set[str]:
    """Metrics that the predictions, or the gold, have no answer for."""
    if detail == "tags":
        return {*_REGION_METRICS, "perfect_boxes"}
    if detail == "groundability":
        return {*_REGION_METRICS}
    return set() if gold.has_boxes else {"eeg", "gmner", "fmnerg"}


def answers(protocol: Protocol, detail: Detail) -> bool:
    """Whether predictions that say so much count as predictions under a protocol."""
    return least_detail((detail, protocol.least_detail)) == protocol.least_detail


def left_out_of(protocol: Protocol, detail: Detail, gold: GoldSet) -> set[str]:
    """The same for a protocol; all of its metrics where such predictions do not count under it."""
    if answers(protocol, detail):
        return metrics_left_out(detail, gold)
    return {*protocol.metrics, *FINE_OF.values()}
