"""Labels that a dataset does not declare, and fine labels that do not fit their label."""

from __future__ import annotations

from collections.abc import Iterator

from riveg.datasets.dataset import Dataset, Defect, quoted
from riveg.types import GoldEntity


class LabelChecker:
    """Compares labels with the dataset's label set.

    Where no fine labels are declared, each belongs to the label that it first stands under.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._labels = dataset.labels
        self._declared = dataset.fine_labels
        self._label_of = {
            fine: label for label, below in dataset.fine_labels.items() for fine in below
        }
        self._first: dict[str, str] = {}

    def defects(self, entity: GoldEntity, place: str) -> Iterator[Defect]:
        """What is wrong with the labels of an entity that stands at this place."""
        if self._labels and entity.label not in self._labels:
            message = f"{quoted(entity.text)} has the type {quoted(entity.label)}; declared are "
            yield Defect("unknown-label", place, message + ", ".join(self._labels))
        if entity.fine_label is not None:
            yield from self._fine_defects(entity, entity.fine_label, place)
        elif self._declared.get(entity.label):
            message = f"{quoted(entity.text)} has the type {quoted(entity.label)} and no fine type"
            yield Defect("no-fine-label", place, message)

    def _fine_defects(self, entity: GoldEntity, fine: str, place: str) -> Iterator[Defect]:
        said = f"{quoted(entity.text)} has the fine type {quoted(fine)}"
        label = self._label_of.get(fine)
        if label == entity.label:
            return
        if label is not None:
            whence = f", as in {self._first[fine]}" if fine in self._first else ""
            message = f"{said} and the type {quoted(entity.label)}; it belongs to {label}{whence}"
            yield Defect("fine-label-mismatch", place, message)
        elif self._declared:
            below = ", ".join(self._declared.get(entity.label, ())) or "none"
            message = f"{said}; declared below {entity.label} are {below}"
            yield Defect("unknown-fine-label", place, message)
        else:
            self._label_of[fine], self._first[fine] = entity.label, place
