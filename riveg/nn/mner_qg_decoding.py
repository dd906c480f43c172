"""From MNER-QG's answers about the types of a post to entities that share no word, with regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from riveg.nn.calibration import at_temperature
from riveg.nn.mner_qg_design import MnerQgSettings
from riveg.nn.mner_qg_prediction import FoundRegion, QueryAnswer
from riveg.text.alignment import without_overlaps
from riveg.types import Span

PerEntity = Literal["all", "one"]
_DIGITS = 4
"""Further digits depend on what else was in the batch."""


@dataclass(frozen=True, slots=True)
class GroundedSpan:
    """An entity as the network answers it.

    Args:
        span: Its words.
        query: The number of the query that it answers.
        probability: Of the span, in [0, 1], not calibrated.
        region: The query's, whatever its score; ``None`` where there is none to be had.
    """

    span: Span
    query: int
    probability: float
    region: FoundRegion | None


def grounded_spans(
    answers: Sequence[QueryAnswer], settings: MnerQgSettings
) -> tuple[GroundedSpan, ...]:
    """Entities by position whose calibrated score reaches the threshold of spans.

    Of those that overlap the most probable is kept.
    """
    found = [
        GroundedSpan(one.span, query, round(one.probability, _DIGITS), answer.region)
        for query, answer in enumerate(answers)
        for one in answer.spans
    ]
    kept = [
        one
        for one in found
        if calibrated(one.probability, settings.span_temperature) >= settings.span_threshold
    ]
    return without_overlaps(kept, lambda one: (-one.probability, one.span.start))[0]


def calibrated(probability: float, temperature: float) -> float:
    """A probability after temperature scaling, to four digits."""
    return round(at_temperature(probability, temperature), _DIGITS)


def shown(
    found: Sequence[GroundedSpan], settings: MnerQgSettings, per_entity: PerEntity
) -> list[float | None]:
    """The calibrated score of the region of each entity; ``None``: it is not shown.

    Args:
        found: The entities of a post.
        settings: Temperature and threshold.
        per_entity: Whether a type's region goes to ``all`` its entities, as in the paper, or to the
            most probable ``one``.
    """
    best: dict[int, GroundedSpan] = {}
    for one in sorted(found, key=lambda one: (-one.probability, one.span.start)):
        best.setdefault(one.query, one)
    scores: list[float | None] = []
    for one in found:
        has_it = one.region is not None and (per_entity == "all" or best[one.query] is one)
        score = None
        if has_it and one.region is not None:
            score = calibrated(one.region.probability, settings.region_temperature)
        scores.append(score if score is not None and score >= settings.threshold else None)
    return scores
