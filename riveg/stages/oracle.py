"""Gold for the ``gold`` backends: the annotation of a mention, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping

from riveg.protocols import Mention
from riveg.types import Box, Gold, Issue

SOURCE = "gold"


def gold_boxes(gold: Mapping[str, Gold], mention: Mention, stage: str) -> tuple[Box, ...] | Issue:
    """The boxes of the gold entity on the mention's span; ``()`` where gold has no such span."""
    annotation = gold.get(mention.sample.id)
    if annotation is None:
        return no_gold(stage, mention.entity.id, mention.sample.id)
    if any(entity.boxes is None for entity in annotation.entities):
        message = f"the gold of {mention.sample.id!r} says nothing of boxes"
        return Issue(stage, mention.entity.id, "no-gold", message)
    for entity in annotation.entities:
        if entity.span == mention.entity.span:
            return entity.boxes or ()
    return ()


def no_gold(stage: str, entity_id: str | None, sample_id: str) -> Issue:
    """The Issue for a sample that nobody has annotated."""
    return Issue(stage, entity_id, "no-gold", f"no gold for sample {sample_id!r}")
