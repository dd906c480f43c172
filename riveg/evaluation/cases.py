"""What every scorer takes: the predicted entities of one sample beside the annotated ones.

Predictions of other systems lack things that riveg's records have (offsets, boxes, ids), so a
scorer never sees a :class:`~riveg.types.Sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from riveg.evaluation.counts import Count
from riveg.types import Box, ImageSize, Mask, Region, Review, Sample, Span

Detail = Literal["tags", "groundability", "regions"]
"""What predictions say: words and type; also whether the image shows an entity; also where."""

_DETAILS: tuple[Detail, ...] = get_args(Detail)
"""Each says more than the one before."""

Proposals = tuple[Box | None, ...]
"""A detector's boxes of an image, best first; ``None`` in the place of a box without an area."""


@dataclass(frozen=True, slots=True)
class PredictedEntity:
    """An entity that a system found.

    Args:
        text: Its words.
        label: Its type, the coarse one of two.
        span: Its tokens; ``None`` where the system gives the words only.
        groundable: Whether the system says that the image shows it; ``None``: the system does not
            say.
        regions: Where, best first; ``()``: nowhere; ``None``: not answered, or not known.
        score: How sure the system is, in [0, 1].
        id: The entity's id within its sample.
        entailed: What the entailment stage decided, where there was one.
        candidate: The index of its place among the detector's boxes, where the system says so.
        fine_label: Its fine type, where the system says one.
        reviews: The second looks at it; ``None`` where the system has none.
    """

    text: str
    label: str
    span: Span | None = None
    groundable: bool | None = None
    regions: tuple[Region, ...] | None = None
    score: float | None = None
    id: str | None = None
    entailed: bool | None = None
    candidate: int | None = None
    fine_label: str | None = None
    reviews: tuple[Review, ...] | None = None


@dataclass(frozen=True, slots=True)
class AnnotatedEntity:
    """An entity of the gold; as :class:`~riveg.types.GoldEntity`, but the span may be unknown."""

    text: str
    label: str
    span: Span | None = None
    fine_label: str | None = None
    boxes: tuple[Box, ...] | None = None
    masks: tuple[Mask, ...] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One sample as a scorer sees it.

    Args:
        id: The sample's id.
        predicted: What the system found, in its order.
        gold: What is annotated, in the text's order.
        answered: Whether the system answered at all; if not, ``predicted`` is ``()``.
        size: Of the image, where known.
        proposals: The candidate boxes of the detector under the system, for protocols that score
            by candidate; ``None``: the predicted boxes are the candidates.
    """

    id: str
    predicted: tuple[PredictedEntity, ...]
    gold: tuple[AnnotatedEntity, ...]
    answered: bool = True
    size: ImageSize | None = None
    proposals: Proposals | None = None


CaseScorer = Callable[[Case], Mapping[str, Count]]
"""Counts of each of its metrics (``mner``, ``eeg``, ``gmner`` ...) for one sample; they add up."""


def least_detail(details: Iterable[Detail]) -> Detail:
    """The least of what several predictions say."""
    return min(details, key=_DETAILS.index)


def predicted_of(sample: Sample) -> tuple[PredictedEntity, ...]:
    """The entities of a record; ``()`` where it was not answered.

    The regions decide what is groundable; where no stage has looked for them, the entailment does.
    """
    found = []
    for entity in sample.entities or ():
        if entity.regions is not None:
            groundable: bool | None = bool(entity.regions)
        else:
            groundable = None if entity.entailment is None else entity.entailment.groundable
        found.append(
            PredictedEntity(
                entity.text,
                entity.label,
                entity.span,
                groundable,
                entity.regions,
                entity.score,
                entity.id,
                None if entity.entailment is None else entity.entailment.groundable,
                fine_label=entity.fine_label,
                reviews=entity.reviews,
            )
        )
    return tuple(found)


def image_size(sample: Sample) -> ImageSize | None:
    """The size of a record's image, where a stage has opened it."""
    return None if sample.image is None else sample.image.size
