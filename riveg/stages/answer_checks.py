"""What an answer has to keep before it is joined to its sample; what does not is an Issue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from riveg.errors import RivegError
from riveg.protocols import AnswerOrIssue, Extraction, Mention, PartialAnswer, Ranking
from riveg.types import (
    WARNING,
    Box,
    Entailment,
    Entity,
    ImageRef,
    ImageSize,
    Issue,
    Mask,
    Observation,
    Region,
    Sample,
)

_EDGE_TOLERANCE = 0.5
"""Pixels that a box may reach over an edge by rounding before it counts as outside."""


def check_tagged(sample: Sample, entities: tuple[Entity, ...]) -> AnswerOrIssue[tuple[Entity, ...]]:
    """Entities of a tagger: spans inside the text, scores in [0, 1]."""
    found = _check_entities("tag", sample, entities)
    if isinstance(found, Issue):
        return found
    kept, issues = _without_wrong_scores("tag", found)
    return PartialAnswer(tuple(kept), tuple(issues)) if issues else found


def check_extracted(sample: Sample, answer: Extraction) -> AnswerOrIssue[Extraction]:
    """Entities of an extractor: as a tagger's, and their regions as a grounder's.

    An entity whose regions are wrong stays, without them and with an Issue.
    """
    found = _check_entities("extract", sample, answer.entities)
    if isinstance(found, Issue):
        return found
    kept: list[Entity] = []
    scored, issues = _without_wrong_scores("extract", found)
    for entity in scored:
        issue = _wrong_place("extract", sample.image, entity.id, entity.regions or ())
        kept.append(entity if issue is None else replace(entity, regions=None))
        issues += [] if issue is None else [issue]
    checked = replace(answer, entities=tuple(kept))
    return PartialAnswer(checked, tuple(issues)) if issues else checked


def check_reviewed(
    sample: Sample, entities: tuple[Entity, ...]
) -> AnswerOrIssue[tuple[Entity, ...]]:
    """The sample's entities, each once and in order; spans and regions as in an extractor's answer.

    An entity whose regions are wrong stays as it was, with an Issue.
    """
    before = sample.entities or ()
    if [entity.id for entity in entities] != [entity.id for entity in before]:
        raise RivegError(f"review: other entities came back than sample {sample.id} has")
    found = _check_entities("review", sample, entities)
    if isinstance(found, Issue):
        return found
    issues = [
        _wrong_place("review", sample.image, entity.id, entity.regions or ())
        if entity.regions != old.regions
        else None
        for entity, old in zip(found, before, strict=True)
    ]
    kept = tuple(
        entity if issue is None else old
        for entity, old, issue in zip(found, before, issues, strict=True)
    )
    wrong = tuple(issue for issue in issues if issue is not None)
    return PartialAnswer(kept, wrong) if wrong else kept


def check_entailment(mention: Mention, answer: Entailment) -> AnswerOrIssue[Entailment]:
    """A probability in [0, 1]."""
    return _wrong_score("entail", mention.entity.id, answer.probability) or answer


def check_regions(
    mention: Mention, regions: tuple[Region, ...]
) -> AnswerOrIssue[tuple[Region, ...]]:
    """Boxes inside the image, scores in [0, 1]."""
    regions = tuple(regions)
    image, entity_id = mention.sample.image, mention.entity.id
    return _wrong_place("ground", image, entity_id, regions) or regions


def check_ranking(mention: Mention, answer: Ranking) -> AnswerOrIssue[Ranking]:
    """Label distributions in [0, 1]."""
    both = (answer.label_scores or {}, answer.fine_label_scores or {})
    scores = (score for levels in both for score in levels.values())
    found = (_wrong_score("rerank", mention.entity.id, score) for score in scores)
    return next(filter(None, found), answer)


def check_observations(
    sample: Sample, observations: tuple[Observation, ...]
) -> AnswerOrIssue[tuple[Observation, ...]]:
    """Boxes inside the image, scores in [0, 1]."""
    kept = tuple(observations)
    return _wrong_place("observe", sample.image, None, kept) or kept


def check_masks(
    mention: Mention, cut: Mention, masks: tuple[Mask, ...]
) -> AnswerOrIssue[tuple[Mask, ...]]:
    """One mask for each region that was to be cut, of the image's size.

    Args:
        mention: With all of its regions; those outside of the image are said to have no mask.
        cut: With the regions that were to be cut.
        masks: Theirs.
    """
    image, regions = mention.sample.image, cut.entity.regions or ()
    if len(masks) != len(regions):
        message = f"{len(masks)} masks for {len(regions)} regions"
        return Issue("segment", mention.entity.id, "mask-count", message)
    size = None if image is None else image.size
    for mask in masks:
        if size is not None and (mask.width, mask.height) != size:
            message = f"{mask.width}x{mask.height} for a picture of {size.width}x{size.height}"
            return Issue("segment", mention.entity.id, "mask-size", message)
    real = sum(not region.guess for region in mention.entity.regions or ())
    if real == len(regions):
        return masks
    message = f"{real - len(regions)} of {real} regions outside of the picture: without a mask"
    return PartialAnswer(masks, (Issue("segment", mention.entity.id, WARNING, message),))


def _check_entities(
    stage: str, sample: Sample, entities: Sequence[Entity]
) -> tuple[Entity, ...] | Issue:
    if len({entity.id for entity in entities}) != len(entities):
        raise RivegError(f"{stage}: entity ids of sample {sample.id} are not unique")
    for entity in entities:
        if entity.span.end > len(sample.tokens):
            message = f"{entity.text!r} ends at token {entity.span.end} of {len(sample.tokens)}"
            return Issue(stage, None, "span-outside-text", message)
    return tuple(entities)


def _without_wrong_scores(
    stage: str, entities: Sequence[Entity]
) -> tuple[list[Entity], list[Issue]]:
    """The entities, those with a score outside its range without it, and an Issue for each."""
    kept: list[Entity] = []
    issues: list[Issue] = []
    for entity in entities:
        issue = _wrong_score(stage, entity.id, entity.score)
        kept.append(entity if issue is None else replace(entity, score=None))
        issues += [] if issue is None else [issue]
    return kept, issues


def _wrong_place(
    stage: str,
    image: ImageRef | None,
    entity_id: str | None,
    places: Sequence[Region | Observation],
) -> Issue | None:
    size = None if image is None else image.size
    for place in places:
        if size is not None and not _lies_inside(place.box, size):
            source = place.source if isinstance(place, Region) else place.kind
            message = f"{place.box} of {source} in a picture of {size.width}x{size.height}"
            return Issue(stage, entity_id, "box-outside-picture", message)
        issue = _wrong_score(stage, entity_id, place.score)
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
