"""H-Index's counting: one answer for a span, regions by the index of a detector's box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.protocols.candidates import Candidates
from riveg.evaluation.protocols.protocol import Protocol
from riveg.evaluation.protocols.spans import known_span

NAME = "h-index"
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
        known_span(case, entity, NAME): _Answer(
            _predicted_regions(candidates, entity), entity.label
        )
        for entity in case.predicted
        if entity.regions is not None
    }
    gold = {
        known_span(case, entity, NAME): _Answer(_accepted_regions(candidates, entity), entity.label)
        for entity in case.gold
    }
    found = [(answer, gold[span]) for span, answer in predicted.items() if span in gold]
    typed = [pair for pair in found if pair[0].label == pair[1].label]
    placed = [pair for pair in typed if pair[0].regions & pair[1].regions]
    hits = {"span": found, "mner": typed, "gmner": placed}
    return {name: Count(len(pairs), len(predicted), len(gold)) for name, pairs in hits.items()}


def _predicted_regions(candidates: Candidates, predicted: PredictedEntity) -> frozenset[int]:
    if not predicted.regions:
        return frozenset({NO_REGION})
    index = candidates.index_of(predicted)
    return frozenset() if index is None else frozenset({index})


def _accepted_regions(candidates: Candidates, annotated: AnnotatedEntity) -> frozenset[int]:
    if not annotated.boxes:
        return frozenset({NO_REGION})
    return candidates.accepted(annotated)


H_INDEX = Protocol(
    name=NAME,
    summary="token spans, one answer a span, detector boxes, IoU > 0.5",
    metrics=("span", "mner", "gmner"),
    build=lambda: score,
    decimals=2,
    least_detail="regions",
    by_candidate=True,
    notes=(
        "a second prediction for a span overwrites the first",
        "a prediction without a region decision vanishes and is not counted as predicted",
        "a gold box that no detector box covers is a miss whatever is predicted",
        "a gold box covered by exactly one half accepts every detector box",
        "EEG is not computed by the released program; MNER is worked out from its counter tc",
    ),
)
