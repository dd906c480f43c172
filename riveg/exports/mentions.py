"""Where an entity stands in its sample, and a name for it that is its own in the sample."""

from __future__ import annotations

from collections.abc import Iterable

from riveg.types import Entity, Sample, Span


def character_range(sample: Sample, span: Span) -> tuple[int, int] | None:
    """The span's half-open range of characters in the text (Unicode code points).

    ``None`` where the span reaches beyond the sample's tokens.
    """
    if span.end > len(sample.offsets):
        return None
    return sample.offsets[span.start][0], sample.offsets[span.end - 1][1]


def distinct_ids(entities: Iterable[Entity]) -> list[str]:
    """The entities' own ids in order; one that came before has ``~2``, ``~3`` after it."""
    given: dict[str, None] = {}
    for entity in entities:
        name, number = entity.id, 1
        while name in given:
            number += 1
            name = f"{entity.id}~{number}"
        given[name] = None
    return [*given]
