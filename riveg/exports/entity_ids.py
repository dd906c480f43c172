"""An id for each entity that no other entity of its sample has."""

from __future__ import annotations

from collections.abc import Iterable

from riveg.types import Entity


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
