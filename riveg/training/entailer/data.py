"""Training data of the entailer: samples, which of their entities have a box, and features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from riveg.nn.entailment_features import (
    LABELS,
    NameCounts,
    known_label,
    mention_features,
    mention_words,
)
from riveg.training.data import AnnotatedSplit
from riveg.types import Entity, Gold, Sample


@dataclass(frozen=True, slots=True)
class JudgedSample:
    """A sample with its gold entities; ``shown`` says for each of them whether it has a box."""

    sample: Sample
    shown: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A mention's features, whether the image shows it, and the number of its sample."""

    features: Mapping[str, float]
    shown: bool
    sample: int


def judged_samples(split: AnnotatedSplit) -> tuple[JudgedSample, ...]:
    """The samples of a split with the groundability of their entities."""
    return tuple(_judged(sample, gold) for sample, gold in split.pairs)


def _judged(sample: Sample, gold: Gold) -> JudgedSample:
    entities = tuple(
        Entity(f"e{number}", entity.text, entity.label, entity.span)
        for number, entity in enumerate(gold.entities)
    )
    shown = tuple(bool(entity.boxes) for entity in gold.entities)
    return JudgedSample(replace(sample, entities=entities), shown)


class NameCounter:
    """Counts how often train uses a name and how often the image shows it.

    Args:
        judged: The samples of train.
        least_uses: Names with fewer uses are left out, in training and in the shipped model.
    """

    def __init__(self, judged: Sequence[JudgedSample], *, least_uses: int) -> None:
        self._least_uses = least_uses
        self._mentions: Counter[tuple[str, bool]] = Counter()
        self._words: Counter[tuple[str, bool]] = Counter()
        labels: Counter[tuple[str, bool]] = Counter()
        for one in judged:
            mentions, words = _names(one)
            self._mentions.update(mentions)
            self._words.update(words)
            labels.update(
                (known_label(entity.label), shown)
                for entity, shown in zip(one.sample.entities or (), one.shown, strict=True)
            )
        self._rates = {
            label: (labels[label, True] + 1) / (labels[label, True] + labels[label, False] + 2)
            for label in LABELS
        }

    def counts(self) -> NameCounts:
        """The counts of all samples."""
        nothing: Counter[tuple[str, bool]] = Counter()
        return NameCounts(
            self._counted(self._mentions, nothing, {name for name, _ in self._mentions}),
            self._counted(self._words, nothing, {name for name, _ in self._words}),
            self._rates,
        )

    def counts_without(self, judged: JudgedSample) -> NameCounts:
        """The counts of a sample's names in the other samples, so that its gold does not leak."""
        mentions, words = map(Counter, _names(judged))
        return NameCounts(
            self._counted(self._mentions, mentions, {name for name, _ in mentions}),
            self._counted(self._words, words, {name for name, _ in words}),
            self._rates,
        )

    def _counted(
        self,
        counts: Mapping[tuple[str, bool], int],
        own: Mapping[tuple[str, bool], int],
        names: Iterable[str],
    ) -> dict[str, tuple[int, int]]:
        counted: dict[str, tuple[int, int]] = {}
        for name in sorted(names):
            shown = counts.get((name, True), 0) - own.get((name, True), 0)
            uses = shown + counts.get((name, False), 0) - own.get((name, False), 0)
            if uses >= self._least_uses:
                counted[name] = (uses, shown)
        return counted


def _names(judged: JudgedSample) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    mentions: list[tuple[str, bool]] = []
    words: list[tuple[str, bool]] = []
    for entity, shown in zip(judged.sample.entities or (), judged.shown, strict=True):
        own = mention_words(judged.sample, entity)
        mentions.append((" ".join(own), shown))
        words += [(word, shown) for word in own]
    return mentions, words


def training_rows(
    number: int, judged: JudgedSample, counter: NameCounter, *, captioned: bool
) -> Iterator[Row]:
    """Rows of one sample of train, with the counts of its names in the other samples.

    Args:
        number: Of the sample.
        judged: The sample.
        counter: Counts the names of all samples.
        captioned: Whether captions are read; a sample without one has then no rows.
    """
    if captioned and not judged.sample.caption:
        return
    name_counts = counter.counts_without(judged)
    for entity, shown in zip(judged.sample.entities or (), judged.shown, strict=True):
        features = mention_features(
            judged.sample, entity, known_label(entity.label), name_counts, captioned=captioned
        )
        yield Row(features, shown, number)
