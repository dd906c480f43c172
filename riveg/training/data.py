"""What is learnt from: annotated samples of one split, and what the card says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from riveg.datasets.dataset import Dataset, quoted
from riveg.datasets.opening import open_dataset
from riveg.errors import UserError
from riveg.formats.records import encode
from riveg.images.loader import ImageLoader
from riveg.text.alignment import without_overlaps
from riveg.types import Gold, GoldEntity, Sample


@dataclass(frozen=True)
class AnnotatedSplit:
    """The annotated samples of a split, in file order.

    Args:
        dataset: Where they come from.
        pairs: Each sample with its gold.
    """

    dataset: Dataset
    pairs: tuple[tuple[Sample, Gold], ...]

    @property
    def is_test(self) -> bool:
        """Whether this is a split that models are compared on."""
        return (self.dataset.split or "").startswith("test")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the samples and their gold, as riveg reads them."""
        found = hashlib.sha256()
        for sample, gold in self.pairs:
            found.update(encode(sample))
            found.update(encode(gold))
        return found.hexdigest()

    @property
    def images(self) -> ImageLoader:
        """Opens the samples' images upright; boxes of gold are in pixels of what it returns."""
        return ImageLoader(self.dataset.image_roots)

    @property
    def name(self) -> str:
        """Of the dataset and of the split."""
        return f"{self.dataset.name} {self.dataset.split}"

    def described(self) -> str:
        """Name, version, split, size and digest, in one line."""
        version = f" {self.dataset.version}" if self.dataset.version else ""
        return (
            f"{self.dataset.name}{version}, {self.dataset.split}: {len(self.pairs)} posts, "
            f"sha256 {self.digest[:16]}"
        )


def read_annotated(data: str, split: str) -> AnnotatedSplit:
    """Reads the annotated samples of a split.

    A test split is read like any other, but only a configuration that names it comes here with it:
    the splits are ``train`` and ``dev`` unless it says otherwise, and the card then tells.

    Args:
        data: A dataset's name, YAML file or annotated file.
        split: One of its splits.

    Raises:
        UserError: If there is no such split, nothing in it is annotated, or an annotation cannot
            be used.
    """
    dataset = open_dataset(data, split=split)
    pairs = tuple(dataset.annotated_samples())
    if not pairs:
        raise UserError(f"{data} {split}: has no gold to train on; `riveg data check` tells more")
    return AnnotatedSplit(dataset, pairs)


def apart(entities: Sequence[GoldEntity]) -> tuple[GoldEntity, ...]:
    """Those that share no word: of entities that overlap the longest, of equal ones the first."""
    return without_overlaps(entities, lambda one: (one.span.start - one.span.end,))[0]


def hidden_by_longer(source: AnnotatedSplit) -> str | None:
    """Told where entities overlap, so that tags cannot say all; the words that begin a line."""
    golds = [gold.entities for _, gold in source.pairs]
    hidden = sum(len(gold) - len(apart(gold)) for gold in golds)
    if not hidden:
        return None
    return f"{source.name}: {hidden} entities overlap longer ones and have no tags of their own"


def coarse_of_fine(source: AnnotatedSplit, setting: str) -> dict[str, str]:
    """Fine label -> label of all entities, by label, then by name.

    Args:
        source: What is learnt from.
        setting: What asks for fine labels, for messages.

    Raises:
        UserError: If an entity has no fine label, or one stands below two labels.
    """
    found: dict[str, str] = {}
    for sample, gold in source.pairs:
        for entity in gold.entities:
            if entity.fine_label is None:
                raise UserError(
                    f"{source.name}: {quoted(entity.text)} of {quoted(sample.id)} has no "
                    f"fine label; {setting} needs one on every entity"
                )
            if found.setdefault(entity.fine_label, entity.label) != entity.label:
                raise UserError(
                    f"{source.name}: the fine label {quoted(entity.fine_label)} stands below "
                    f"{found[entity.fine_label]} and {entity.label}; it needs one coarse label"
                )
    return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0])))
