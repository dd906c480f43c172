"""What the reader of another system's output returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from riveg.evaluation.cases import Detail, PredictedEntity
from riveg.types import ImageSize


@dataclass(frozen=True, slots=True)
class ForeignPredictions:
    """What a system found in one sample.

    Args:
        sample_id: The sample's id, or ``None`` where samples are known by their order only.
        predicted: What it found, in the file's order.
        line: Where in the file, from 1.
        tokens: How many tokens the system saw; ``None`` where the file does not say.
        size: Of the image, where the file says so.
        answered: Whether the system answered at all.
    """

    sample_id: str | None
    predicted: tuple[PredictedEntity, ...]
    line: int
    tokens: int | None = None
    size: ImageSize | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A whole output file.

    Args:
        format: Which format it was read as.
        samples: In file order.
        detail: What the predictions say of an entity.
        by_order: Whether the n-th prediction is of the n-th sample of the split; else each has an
            id.
        absent_is_empty: Whether a sample that is not in the file was answered with no entity.
        by_candidate: Whether places are told as indices of a detector's boxes.
        notes: What a reader of the scores should know, one line each.
    """

    format: str
    samples: tuple[ForeignPredictions, ...]
    detail: Detail
    by_order: bool
    absent_is_empty: bool = False
    by_candidate: bool = False
    notes: tuple[str, ...] = ()


def waiting_for_places(samples: Iterable[ForeignPredictions]) -> int:
    """How many entities the image shows without the file telling where."""
    return sum(entity.regions is None for sample in samples for entity in sample.predicted)
