"""Fine labels in exports: written where there is one, so that others keep their form."""

from __future__ import annotations

from riveg.types import Entity


def fine_label_of(entity: Entity) -> dict[str, str]:
    """The key ``fine_label`` of an entity that has one; else nothing."""
    return {} if entity.fine_label is None else {"fine_label": entity.fine_label}
