"""How uncertain the stages before were of an entity's words, of its type, and of its place.

Every number is in [0, 1]; ``None`` where the records do not tell, which is never taken for 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from riveg.stages.rerankers.chat import entropy
from riveg.types import Entity, ReviewKind

Measure = Literal["confidence", "entropy", "dropout"]


def uncertainty(entity: Entity, kind: ReviewKind, measure: Measure) -> float | None:
    """How uncertain one thing of an entity is.

    ``confidence`` is 1 less the probability of the answer. ``entropy`` takes, for the type, the
    entropy of the label distribution, as a share of the highest that it can have. ``dropout`` takes
    what a tagger has measured, for span and type. A region is always judged by its confidence.
    """
    if kind == "region":
        return _of_region(entity)
    if measure == "dropout":
        return (entity.uncertainty or {}).get(kind)
    if kind == "span":
        return _less(entity.score)
    scores, label = type_scores(entity)
    if measure == "entropy":
        return None if scores is None else normalised_entropy(scores)
    # A tagger without a distribution tells the probability of the words with this type.
    return _less(entity.score if scores is None else scores.get(label or "", 0.0))


def type_scores(entity: Entity) -> tuple[Mapping[str, float] | None, str | None]:
    """The distribution of the finest label that the entity has, and that label."""
    if entity.fine_label is not None and entity.fine_label_scores:
        return entity.fine_label_scores, entity.fine_label
    return entity.label_scores or None, entity.label


def normalised_entropy(scores: Mapping[str, float]) -> float:
    """The entropy of a distribution by that of the uniform one, in [0, 1].

    >>> normalised_entropy({"PER": 0.5, "LOC": 0.5}), normalised_entropy({"PER": 1.0})
    (1.0, 0.0)
    """
    if len(scores) < 2:
        return 0.0
    return round(min(1.0, max(0.0, entropy(scores) / math.log(len(scores)))), 4)


def _of_region(entity: Entity) -> float | None:
    """Of the best region; of "no region", the probability that the image shows the entity."""
    shown = None if entity.entailment is None else entity.entailment.probability
    if entity.regions is None:
        return None
    if not entity.regions:
        return None if shown is None else round(shown, 4)
    score = entity.regions[0].score
    return _less(shown if score is None else score)


def _less(probability: float | None) -> float | None:
    return None if probability is None else round(1.0 - probability, 4)
