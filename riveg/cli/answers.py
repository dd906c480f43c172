"""What one stage said of one sample, in lines a person wants to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from riveg.cli.tables import region_text
from riveg.cli.visible import counted
from riveg.geometry.boxes import box_text
from riveg.runs.reading import StageAnswer
from riveg.types import Entity, Sample


def stage_lines(answer: StageAnswer) -> Iterator[str]:
    """One line or more for every answer that this stage gave; its Issues are not among them."""
    by_sample = _SAMPLE_LINES.get(answer.stage)
    if by_sample is not None:
        yield from by_sample(answer.sample)
        return
    by_entity = _ENTITY_LINES[answer.stage]
    for entity in answer.sample.entities or ():
        yield f"{entity.id} {entity.text}: {by_entity(entity)}"


def _input_lines(sample: Sample) -> Iterator[str]:
    yield counted(len(sample.tokens), "token")
    if sample.caption:
        yield f"caption: {sample.caption}"


def _tag_lines(sample: Sample) -> Iterator[str]:
    if sample.entities == ():
        yield "no entity"
    for entity in sample.entities or ():
        scores = sorted((entity.label_scores or {}).items(), key=lambda pair: -pair[1])
        spread = ", ".join(f"{label} {score:.2f}" for label, score in scores)
        score = "" if entity.score is None else f" {entity.score:.2f}"
        words = f"tokens {entity.span.start}-{entity.span.end}"
        yield f"{entity.id} {entity.text}: {entity.label}{score} ({words}; {spread or 'no scores'})"


def _observe_lines(sample: Sample) -> Iterator[str]:
    if sample.observations == ():
        yield "nothing seen"
    for seen in sample.observations or ():
        box = box_text(seen.box)
        score = "" if seen.score is None else f" {seen.score:.2f}"
        read = f" {seen.text!r}" if seen.text else ""
        yield f"{seen.kind}{score} at {box}{read}"


def _rewrite_line(entity: Entity) -> str:
    if entity.expression is None:
        return "not answered"
    return f"{entity.expression} (by {entity.expression_source or 'unknown'})"


def _entail_line(entity: Entity) -> str:
    if entity.entailment is None:
        return "not answered"
    said = "in the picture" if entity.entailment.groundable else "not in the picture"
    probability = entity.entailment.probability
    chance = "" if probability is None else f", P = {probability:.2f}"
    return f"{said}{chance} (by {entity.entailment.source or 'unknown'})"


def _ground_line(entity: Entity) -> str:
    if entity.regions is None:
        return "not answered"
    return (
        "; ".join(
            region_text(region) + ("" if region.score is None else f" {region.score:.2f}")
            for region in entity.regions
        )
        or "no region"
    )


def _segment_line(entity: Entity) -> str:
    if not entity.regions:
        return "no region"
    return "; ".join(
        "no mask" if region.mask is None else f"mask by {region.mask.source or 'unknown'}"
        for region in entity.regions
    )


_SAMPLE_LINES: dict[str, Callable[[Sample], Iterator[str]]] = {
    "input": _input_lines,
    "caption": lambda sample: iter([sample.caption or "not answered"]),
    "augment": lambda sample: iter([sample.knowledge or "not answered"]),
    "tag": _tag_lines,
    "extract": _tag_lines,
    "observe": _observe_lines,
}

_ENTITY_LINES: dict[str, Callable[[Entity], str]] = {
    "rerank": lambda entity: entity.label,
    "rewrite": _rewrite_line,
    "entail": _entail_line,
    "ground": _ground_line,
    "segment": _segment_line,
}
