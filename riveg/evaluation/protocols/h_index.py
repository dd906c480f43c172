"""H-Index's counting: one answer for a span, regions by the index of a detector's box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.protocols.candidates import COVERING_IOU, Candidates
from riveg.evaluation.protocols.protocol import Protocol
from riveg.types import Span

MOST_CANDIDATES = 18
NO_REGION = -1
"""The index that stands for "nowhere", in gold and in predictions."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The regions that gold accepts, or the predicted region, for a span, and its type."""

    regions: frozenset[int]
    label: str


def score(case: Case) -> Mapping[str, Count]:
    """Counts as H-Index's ``metrics.py`` does; ``mner`` from its ``tc``, ``span`` from its ``sc``.

    Raises:
        UserError: If an entity has no span.
    """
    candidates = Candidates.of(case, MOST_CANDIDATES)
    # The program takes an answer without a region decision for malformed and does not count it.
    predicted = {
        _span(case, entity): _Answer(_predicted_regions(candidates, entity), entity.label)
        for entity in case.predicted
        if entity.regions is not None
    }
    gold = {
        _span(case, entity): _Answer(_accepted_regions(candidates, entity), entity.label)
        for entity in case.gold
    }
    found = [(answer, gold[span]) for span, answer in predicted.items() if span in gold]
    typed = [pair for pair in found if pair[0].label == pair[1].label]
    placed = [pair for pair in typed if pair[0].regions & pair[1].regions]
    hits = {"span": found, "mner": typed, "gmner": placed}
    return {name: Count(len(pairs), len(predicted), len(gold)) for name, pairs in hits.items()}


def _span(case: Case, entity: PredictedEntity | AnnotatedEntity) -> Span:
    if entity.span is None:
        raise UserError(
            f"{quoted(case.id)}: the entity {quoted(entity.text)} does not tell its tokens, which "
            "the protocol h-index compares; score it under another protocol"
        )
    return entity.span


def _predicted_regions(candidates: Candidates, predicted: PredictedEntity) -> frozenset[int]:
    if not predicted.regions:
        return frozenset({NO_REGION})
    index = candidates.index_of(predicted)
    return frozenset() if index is None else frozenset({index})


def _accepted_regions(candidates: Candidates, annotated: AnnotatedEntity) -> frozenset[int]:
    if not annotated.boxes:
        return frozenset({NO_REGION})
    if max(candidates.overlaps(annotated), default=0.0) < COVERING_IOU:
        return frozenset()
    # At an IoU of exactly one half no candidate passes the test for more than one half; the program
    # then divides zero by zero, and the result, not a number, accepts every candidate.
    return candidates.covering(annotated) or frozenset(range(len(candidates.boxes)))


H_INDEX = Protocol(
    name="h-index",
    summary="token spans, one answer a span, regions by detector box, IoU > 0.5",
    metrics=("span", "mner", "gmner"),
    build=lambda: score,
    decimals=2,
    notes=(
        "a second prediction for a span overwrites the first",
        "a prediction without a region decision vanishes and is not counted as predicted",
        "a gold box that no detector box covers is a miss whatever is predicted",
        "a gold box covered by exactly one half accepts every detector box",
        "EEG is not computed by the released program; MNER is worked out from its counter tc",
    ),
)
