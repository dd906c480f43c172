"""The annotation of a dataset, by sample id, for scorers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from riveg.datasets.dataset import Dataset, Row, usable_gold
from riveg.datasets.unread_gold import UnreadGold
from riveg.errors import UserError
from riveg.evaluation.candidates import require_comparable
from riveg.evaluation.cases import (
    AnnotatedEntity,
    Case,
    PredictedEntity,
    Proposals,
    image_size,
    predicted_of,
)
from riveg.evaluation.proposals import placed
from riveg.evaluation.stored_samples import StoredSamples
from riveg.types import GoldEntity, ImageSize, Sample


@dataclass(frozen=True, slots=True)
class GoldSample:
    """The annotation of one sample.

    Args:
        entities: Its annotated entities, in the text's order.
        size: Of the image, where known.
        proposals: Boxes of a detector, for protocols that score by candidate.
        tokens: How many tokens its text has; ``None`` where that is not known.
        text: Its text; ``None`` where the gold does not hold it.
    """

    entities: tuple[AnnotatedEntity, ...]
    size: ImageSize | None = None
    proposals: Proposals | None = None
    tokens: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class GoldSet:
    """All annotation of a dataset or of some of its splits.

    Args:
        name: The dataset's name.
        version: The publisher's version, if any.
        split: The split, or ``None`` where several were read.
        samples: What is annotated, by sample id, in file order.
        has_boxes: Whether the annotation has boxes.
        has_masks: Whether the annotation has masks.
        coarse_of: Fine label -> label; empty where labels are not fine.
        lists_entities_only: Whether samples without an entity are missing from ``samples``: then a
            predicted sample that is not in it has no gold entity, and otherwise no annotation.
        notes: What is annotated and could not be read as gold, one line each.
        mask_fault: Why predicted masks cannot be compared with the annotated ones; ``None``: they
            can.
    """

    name: str
    version: str | None
    split: str | None
    samples: Mapping[str, GoldSample]
    has_boxes: bool
    has_masks: bool
    coarse_of: Mapping[str, str]
    lists_entities_only: bool = False
    notes: tuple[str, ...] = ()
    mask_fault: str | None = None

    @property
    def compares_masks(self) -> bool:
        """Whether predicted masks are compared with annotated ones."""
        return self.has_masks and self.mask_fault is None

    def case_of(self, sample: Sample) -> Case | None:
        """A record beside its gold; ``None`` where the sample is not annotated."""
        if sample.id not in self.samples:
            return None
        answered = sample.entities is not None
        return self.case(
            sample.id, predicted_of(sample), answered=answered, size=image_size(sample)
        )

    def case(
        self,
        sample_id: str,
        predicted: tuple[PredictedEntity, ...],
        *,
        answered: bool = True,
        size: ImageSize | None = None,
    ) -> Case:
        """Predictions beside the gold of their sample.

        Raises:
            UserError: If they are too many to be compared.
        """
        gold = self.samples[sample_id]
        found = tuple(placed(self.with_both_labels(one), gold.proposals) for one in predicted)
        case = Case(sample_id, found, gold.entities, answered, size or gold.size, gold.proposals)
        require_comparable(case)
        return case

    def with_both_labels(self, predicted: PredictedEntity) -> PredictedEntity:
        """The entity with its fine label beside the coarse one, where its only label is a fine one.

        Systems that tell one label of an entity, such as TIGER, tell the fine one. A name that both
        levels have is taken for the coarse label.
        """
        coarse = self.coarse_of.get(predicted.label)
        if predicted.fine_label is not None or coarse is None:
            return predicted
        if predicted.label in self.coarse_of.values():
            return predicted
        return replace(predicted, label=coarse, fine_label=predicted.label)

    def entities(self) -> Iterator[AnnotatedEntity]:
        """Every annotated entity, in file order."""
        for sample in self.samples.values():
            yield from sample.entities


def read_gold(dataset: Dataset) -> GoldSet:
    """Reads the annotation of a dataset.

    Raises:
        UserError: If the dataset has none, two samples have one id, or an annotation is unusable.
    """
    unread = UnreadGold()

    def annotated() -> Iterator[tuple[str, GoldSample]]:
        for row in dataset.unique_rows(annotated=True):
            unread.add(row)
            gold = usable_gold(row)
            if gold is not None:
                yield row.sample.id, _gold_sample(row, gold.entities)

    samples = StoredSamples(annotated())
    found = gold_set(dataset.name, samples, version=dataset.version, split=dataset.split)
    return replace(found, notes=tuple(unread.notes()))


def gold_set(
    name: str,
    samples: Mapping[str, GoldSample],
    *,
    version: str | None = None,
    split: str | None = None,
) -> GoldSet:
    """A gold set of these samples; whether it has boxes and masks is read from its entities.

    Raises:
        UserError: If there is no annotated sample.
    """
    if not samples:
        raise UserError(f"{name}: has no gold, which scores are counted against")
    has_boxes = has_masks = False
    coarse_of: dict[str, str] = {}
    for entity in (entity for sample in samples.values() for entity in sample.entities):
        has_boxes |= entity.boxes is not None
        has_masks |= entity.masks is not None
        if entity.fine_label:
            coarse_of[entity.fine_label] = entity.label
    return GoldSet(
        name,
        version,
        split,
        samples,
        has_boxes=has_boxes,
        has_masks=has_masks,
        coarse_of=coarse_of,
    )


def _gold_sample(row: Row, entities: tuple[GoldEntity, ...]) -> GoldSample:
    annotated = tuple(
        AnnotatedEntity(
            entity.text, entity.label, entity.span, entity.fine_label, entity.boxes, entity.masks
        )
        for entity in entities
    )
    return GoldSample(annotated, row.size, tokens=len(row.sample.tokens), text=row.sample.text)
