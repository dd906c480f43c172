"""Answers in words: in few, for comparing them side by side, and with everything that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from riveg.geometry.boxes import box_text
from riveg.protocols import Mention
from riveg.text.label_text import label_text
from riveg.types import Entailment, Entity, Region, Review, Sample

NOT_ANSWERED = "not answered"


def tell_entities(sample: Sample) -> str | None:
    """A line an entity, with its label."""
    if sample.entities is None:
        return None
    lines = [f"{entity.text} ({_label(entity)})" for entity in sample.entities]
    return "\n".join(lines) or "no entity"


def describe_entities(sample: Sample) -> Iterator[str]:
    """A line an entity: id, words, labels, score, span and label distributions."""
    if sample.entities == ():
        yield "no entity"
    for entity in sample.entities or ():
        score = "" if entity.score is None else f" {entity.score:.2f}"
        words = f"tokens {entity.span.start}-{entity.span.end}"
        spread = _spread(entity.label_scores) or "no scores"
        fine = _spread(entity.fine_label_scores)
        told = "; ".join(filter(None, (words, spread, fine)))
        yield f"{entity.id} {entity.text}: {_label(entity)}{score} ({told})"


def tell_extraction(sample: Sample) -> str | None:
    """The reasoning, and below it a line an entity."""
    entities = tell_entities(sample)
    return None if entities is None else "\n".join(filter(None, (sample.reasoning, entities)))


def describe_extraction(sample: Sample) -> Iterator[str]:
    """The reasoning on one line, and every entity with its regions."""
    if sample.reasoning is not None:
        yield f"reasoning: {' '.join(sample.reasoning.split())}"
    yield from describe_entities(sample)
    for entity in sample.entities or ():
        yield from describe_regions(Mention(sample, entity))


def describe_observations(sample: Sample) -> Iterator[str]:
    """A line an observation: kind, class of an object, score, box and OCR text."""
    if sample.observations == ():
        yield "nothing seen"
    for observation in sample.observations or ():
        score = "" if observation.score is None else f" {observation.score:.2f}"
        text = f" {observation.text!r}" if observation.text else ""
        kind = " ".join(filter(None, (observation.kind, observation.label)))
        yield f"{kind}{score} at {box_text(observation.box)}{text}"


def tell_label(mention: Mention) -> str:
    """The labels, with the label distributions where there are some."""
    entity = mention.entity
    spreads = filter(None, map(_spread, (entity.label_scores, entity.fine_label_scores)))
    spread = "; ".join(spreads)
    return f"{_label(entity)} ({spread})" if spread else _label(entity)


def describe_label(mention: Mention) -> Iterator[str]:
    """The labels alone."""
    yield _about(mention, _label(mention.entity))


def tell_expression(mention: Mention) -> str | None:
    """The expression, and the description below it."""
    entity = mention.entity
    if entity.expression is None:
        return None
    return "\n".join(filter(None, (entity.expression, entity.description)))


def describe_expression(mention: Mention) -> Iterator[str]:
    """The expression and who wrote it."""
    entity = mention.entity
    if entity.expression is None:
        yield _about(mention, NOT_ANSWERED)
    else:
        yield _about(mention, f"{entity.expression} (by {entity.expression_source or 'unknown'})")


def tell_entailment(mention: Mention) -> str | None:
    """The gate's decision and the probability."""
    entailment = mention.entity.entailment
    return None if entailment is None else decision_text(entailment, "shown", "not shown")


def decision_text(entailment: Entailment, yes: str, no: str) -> str:
    """The gate's decision in these words, and the probability where there is one."""
    decision = yes if entailment.groundable else no
    probability = entailment.probability
    return decision if probability is None else f"{decision} {probability:.2f}"


def describe_entailment(mention: Mention) -> Iterator[str]:
    """The gate's decision, the probability and where it is from."""
    entailment = mention.entity.entailment
    if entailment is None:
        yield _about(mention, NOT_ANSWERED)
        return
    decision = "in the picture" if entailment.groundable else "not in the picture"
    probability = entailment.probability
    chance = "" if probability is None else f", P = {probability:.2f}"
    yield _about(mention, f"{decision}{chance} (by {entailment.source or 'unknown'})")


def tell_regions(mention: Mention) -> str | None:
    """A line a region: box, score, and whether it is a guess."""
    regions = mention.entity.regions
    if regions is None:
        return None
    lines = (box_text(region.box) + _score(region) + _guess(region) for region in regions)
    return "\n".join(lines) or "no region"


def describe_regions(mention: Mention) -> Iterator[str]:
    """Every region on one line: box, source, score, and whether it is a guess."""
    regions = mention.entity.regions
    if regions is None:
        yield _about(mention, NOT_ANSWERED)
        return
    texts = [region_text(region) + _score(region) + _guess(region) for region in regions]
    yield _about(mention, "; ".join(texts) or "no region")


def tell_reviews(sample: Sample) -> str | None:
    """A line a second look."""
    if sample.entities is None or all(entity.reviews is None for entity in sample.entities):
        return None
    return "\n".join(describe_reviews(sample))


def describe_reviews(sample: Sample) -> Iterator[str]:
    """A line a second look: entity, kind, uncertainty, outcome, and what was changed from what."""
    entities = sample.entities or ()
    reviewed = [entity for entity in entities if entity.reviews]
    for entity in reviewed:
        for review in entity.reviews or ():
            yield f"{entity.id} {entity.text}: {review_text(entity, review)}"
    if not reviewed:
        asked = any(entity.reviews is not None for entity in entities)
        yield "nothing to be reviewed" if asked or not entities else NOT_ANSWERED


def review_text(entity: Entity, review: Review) -> str:
    """What became of one second look; a change says from what to what."""
    told = f"{review.kind} (uncertainty {review.uncertainty:.2f}) {review.outcome}"
    change = change_text(entity, review)
    return told if change is None else f"{told}: {' -> '.join(change)}"


def change_text(entity: Entity, review: Review) -> tuple[str, str] | None:
    """What was before a review and what is after it, in words; ``None`` where nothing changed."""
    if review.before is None:
        return None
    changes = {
        "span": (review.before.text or "", entity.text),
        "type": (
            label_text(review.before.label or "", review.before.fine_label),
            _label(entity),
        ),
        "region": (_places(review.before.regions), _places(entity.regions)),
    }
    return changes[review.kind]


def _places(regions: tuple[Region, ...] | None) -> str:
    if regions is None:
        return NOT_ANSWERED
    return "; ".join(box_text(region.box) for region in regions) or "no region"


def describe_masks(mention: Mention) -> Iterator[str]:
    """For every region, what made its mask."""
    texts = [
        "no mask" if region.mask is None else f"mask by {region.mask.source or 'unknown'}"
        for region in mention.entity.regions or ()
    ]
    yield _about(mention, "; ".join(texts) or "no region")


def region_text(region: Region) -> str:
    """The box and what found it."""
    return f"{box_text(region.box)} {region.source or ''}".rstrip()


def first_region_source(mention: Mention) -> str | None:
    """What found the best region."""
    return mention.entity.regions[0].source if mention.entity.regions else None


def entailment_source(mention: Mention) -> str | None:
    """What decided whether the entity is shown."""
    entailment = mention.entity.entailment
    return None if entailment is None else entailment.source


def _about(mention: Mention, text: str) -> str:
    entity: Entity = mention.entity
    return f"{entity.id} {entity.text}: {text}"


def _label(entity: Entity) -> str:
    return label_text(entity.label, entity.fine_label)


def _score(region: Region) -> str:
    return "" if region.score is None else f" {region.score:.2f}"


def _guess(region: Region) -> str:
    return " (a guess)" if region.guess else ""


def _spread(label_scores: Mapping[str, float] | None) -> str:
    """The label distribution, the most probable label first."""
    scores = sorted((label_scores or {}).items(), key=lambda pair: -pair[1])
    return ", ".join(f"{label} {score:.2f}" for label, score in scores)
