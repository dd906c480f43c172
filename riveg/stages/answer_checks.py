"""What an answer has to keep before it is joined to its sample; what does not is an Issue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from riveg.errors import RivegError
from riveg.protocols import AnswerOrIssue, Mention, PartialAnswer
from riveg.types import Box, Entailment, Entity, ImageRef, ImageSize, Issue, Mask, Region, Sample

_EDGE_TOLERANCE = 0.5
"""Pixels that a box may reach over an edge by rounding before it counts as outside."""


def check_tagged(sample: Sample, entities: tuple[Entity, ...]) -> AnswerOrIssue[tuple[Entity, ...]]:
    """Entities of a tagger: spans inside the text, scores in [0, 1]."""
    return _check_entities("tag", sample, entities)


def check_extracted(
    sample: Sample, entities: tuple[Entity, ...]
) -> AnswerOrIssue[tuple[Entity, ...]]:
    """Entities of an extractor: as a tagger's, and their regions as a grounder's.

    An entity whose regions are wrong stays, without them and with an Issue.
    """
    found = _check_entities("extract", sample, entities)
    if isinstance(found, Issue):
        return found
    kept: list[Entity] = []
    issues: list[Issue] = []
    for entity in found:
        issue = _wrong_region("extract", sample.image, entity.id, entity.regions or ())
        kept.append(entity if issue is None else replace(entity, regions=None))
        issues += [] if issue is None else [issue]
    return PartialAnswer(tuple(kept), tuple(issues)) if issues else tuple(kept)


def check_entailment(mention: Mention, answer: Entailment) -> AnswerOrIssue[Entailment]:
    """A probability in [0, 1]."""
    return _wrong_score("entail", mention.entity.id, answer.probability) or answer


def check_regions(
    mention: Mention, regions: tuple[Region, ...]
) -> AnswerOrIssue[tuple[Region, ...]]:
    """Boxes inside the image, scores in [0, 1]."""
    regions = tuple(regions)
    image, entity_id = mention.sample.image, mention.entity.id
    return _wrong_region("ground", image, entity_id, regions) or regions


def check_masks(mention: Mention, masks: tuple[Mask, ...]) -> AnswerOrIssue[tuple[Mask, ...]]:
    """Masks of the image's size."""
    image = mention.sample.image
    size = None if image is None else image.size
    for mask in masks:
        if size is not None and (mask.width, mask.height) != size:
            message = f"{mask.width}x{mask.height} for a picture of {size.width}x{size.height}"
            return Issue("segment", mention.entity.id, "mask-size", message)
    return masks


def _check_entities(
    stage: str, sample: Sample, entities: Sequence[Entity]
) -> tuple[Entity, ...] | Issue:
    if len({entity.id for entity in entities}) != len(entities):
        raise RivegError(f"{stage}: entity ids of sample {sample.id} are not unique")
    for entity in entities:
        if entity.span.end > len(sample.tokens):
            message = f"{entity.text!r} ends at token {entity.span.end} of {len(sample.tokens)}"
            return Issue(stage, None, "span-outside-text", message)
        issue = _wrong_score(stage, None, entity.score)
        if issue is not None:
            return issue
    return tuple(entities)


def _wrong_region(
    stage: str, image: ImageRef | None, entity_id: str, regions: Sequence[Region]
) -> Issue | None:
    size = None if image is None else image.size
    for region in regions:
        if size is not None and not _lies_inside(region.box, size):
            message = f"{region.box} of {region.source} in a picture of {size.width}x{size.height}"
            return Issue(stage, entity_id, "box-outside-picture", message)
        issue = _wrong_score(stage, entity_id, region.score)
        if issue is not None:
            return issue
    return None


def _wrong_score(stage: str, entity_id: str | None, score: float | None) -> Issue | None:
    # Written so that NaN is wrong, too.
    if score is None or 0.0 <= score <= 1.0:
        return None
    return Issue(stage, entity_id, "score-outside-range", f"{score} is no probability in [0, 1]")


def _lies_inside(box: Box, size: ImageSize) -> bool:
    return (
        box.x_min >= -_EDGE_TOLERANCE
        and box.y_min >= -_EDGE_TOLERANCE
        and box.x_max <= size.width + _EDGE_TOLERANCE
        and box.y_max <= size.height + _EDGE_TOLERANCE
    )
