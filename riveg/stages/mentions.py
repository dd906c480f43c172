"""Mentions that belong to one sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from riveg.protocols import Mention
from riveg.types import Sample


def by_sample(mentions: Iterable[Mention]) -> Iterator[tuple[Sample, tuple[Mention, ...]]]:
    """Each sample with its mentions, in order; mentions of a sample stand side by side."""
    for _, group in groupby(mentions, key=lambda mention: id(mention.sample)):
        together = tuple(group)
        yield together[0].sample, together
