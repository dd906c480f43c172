"""What a dataset annotates that its gold does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from riveg.datasets.dataset import Row

_WHICH = "riveg data check tells which"


@dataclass(slots=True)
class UnreadGold:
    """Running counts over the rows of a dataset.

    Args:
        objects: Annotated objects of images that belong to no entity.
        tags: What stands in the place of a tag and is none; it is read as ``O``.
    """

    objects: int = 0
    tags: int = 0

    def add(self, row: Row) -> None:
        """Counts one more row."""
        self.objects += row.unmatched_objects
        self.tags += sum(defect.kind == "bad-tag" for defect in row.defects)

    def notes(self) -> Iterator[str]:
        """A line for each kind that occurs."""
        for number, what in (
            (self.objects, "annotated objects that belong to no entity, so they are not gold"),
            (self.tags, "tags of the gold that are none, so they are read as O"),
        ):
            if number:
                yield f"{what}: {number} ({_WHICH})"
