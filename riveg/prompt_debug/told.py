"""A stage's answer about a sample or an entity in words, one line or more."""

from __future__ import annotations

from collections.abc import Callable

from riveg.geometry.boxes import box_text
from riveg.types import Entity, Region, Sample


def told_of_sample(stage: str, sample: Sample) -> str | None:
    """What a stage that is asked about samples has answered; ``None``: nothing."""
    tell = _OF_SAMPLE.get(stage)
    return None if tell is None else tell(sample)


def told_of_entity(stage: str, entity: Entity) -> str | None:
    """What a stage that is asked about entities has answered; ``None``: nothing."""
    tell = _OF_ENTITY.get(stage)
    return None if tell is None else tell(entity)


def source_of(stage: str, entity: Entity) -> str | None:
    """Who answered, where the record says so."""
    if stage == "rewrite":
        return entity.expression_source
    if stage == "entail" and entity.entailment is not None:
        return entity.entailment.source
    if stage == "ground" and entity.regions:
        return entity.regions[0].source
    return None


def _entities(sample: Sample) -> str | None:
    if sample.entities is None:
        return None
    lines = [f"{entity.text} ({entity.label})" for entity in sample.entities]
    return "\n".join(lines) or "no entity"


def _label(entity: Entity) -> str:
    scores = sorted((entity.label_scores or {}).items(), key=lambda pair: -pair[1])
    spread = ", ".join(f"{label} {score:.2f}" for label, score in scores)
    return f"{entity.label} ({spread})" if spread else entity.label


def _expression(entity: Entity) -> str | None:
    if entity.expression is None:
        return None
    return "\n".join(filter(None, (entity.expression, entity.description)))


def _entailment(entity: Entity) -> str | None:
    if entity.entailment is None:
        return None
    said = "shown" if entity.entailment.groundable else "not shown"
    chance = entity.entailment.probability
    return said if chance is None else f"{said} {chance:.2f}"


def _regions(entity: Entity) -> str | None:
    if entity.regions is None:
        return None
    return "\n".join(map(_region, entity.regions)) or "no region"


def _region(region: Region) -> str:
    score = "" if region.score is None else f" {region.score:.2f}"
    return box_text(region.box) + score


_OF_SAMPLE: dict[str, Callable[[Sample], str | None]] = {
    "caption": lambda sample: sample.caption,
    "augment": lambda sample: sample.knowledge,
    "tag": _entities,
    "extract": _entities,
}

_OF_ENTITY: dict[str, Callable[[Entity], str | None]] = {
    "rerank": _label,
    "rewrite": _expression,
    "entail": _entailment,
    "ground": _regions,
}

ENTITY_STAGES = frozenset(_OF_ENTITY)
"""Stages that are told of entity by entity."""
