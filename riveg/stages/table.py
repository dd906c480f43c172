"""Every stage, in the order in which a system runs them.

A new stage is one value here and one protocol in :mod:`riveg.protocols`: systems, runs, the command
line and the scorers read this table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from riveg.errors import NO_IMAGE
from riveg.geometry.boxes import touched_edges
from riveg.pipeline import PER_ENTITY, PER_SAMPLE, AnyStage, Gives, Stage
from riveg.protocols import (
    Augmenter,
    Captioner,
    Entailer,
    Extraction,
    Extractor,
    Grounder,
    Mention,
    Observer,
    Ranking,
    Reranker,
    Reviewer,
    Rewriter,
    Segmenter,
    Tagger,
)
from riveg.reads import reads
from riveg.stages import answer_checks, words
from riveg.types import (
    Entailment,
    Entity,
    Expression,
    ImageSize,
    Issue,
    Mask,
    Observation,
    Region,
    Sample,
)


def _with_entity(mention: Mention, entity: Entity) -> Mention:
    return replace(mention, entity=entity)


CAPTION = Stage[Captioner, Sample, str](
    name="caption",
    folder="captioners",
    per=PER_SAMPLE,
    gives=frozenset({"caption"}),
    ask=lambda backend, samples: backend.caption(samples),
    join=lambda sample, caption: replace(sample, caption=caption),
    reads=reads(),
    tell=lambda sample: sample.caption,
    describe=lambda sample: [sample.caption or words.NOT_ANSWERED],
)

AUGMENT = Stage[Augmenter, Sample, str](
    name="augment",
    folder="augmenters",
    per=PER_SAMPLE,
    gives=frozenset({"knowledge"}),
    ask=lambda backend, samples: backend.augment(samples),
    join=lambda sample, knowledge: replace(sample, knowledge=knowledge),
    reads=reads(),
    tell=lambda sample: sample.knowledge,
    describe=lambda sample: [sample.knowledge or words.NOT_ANSWERED],
)

TAG = Stage[Tagger, Sample, tuple[Entity, ...]](
    name="tag",
    folder="taggers",
    per=PER_SAMPLE,
    gives=frozenset({"entities"}),
    ask=lambda backend, samples: backend.tag(samples),
    check=answer_checks.check_tagged,
    join=lambda sample, entities: replace(sample, entities=entities),
    reads=reads("text"),
    tell=words.tell_entities,
    describe=words.describe_entities,
)


def _without_image(sample: Sample) -> Issue | None:
    """An extractor that needs the image answers nothing without one, and that is said."""
    if sample.image is not None:
        return None
    return Issue("extract", None, NO_IMAGE, "the post has no picture, which the extractor needs")


EXTRACT = Stage[Extractor, Sample, Extraction](
    name="extract",
    folder="extractors",
    per=PER_SAMPLE,
    gives=frozenset({"entities", "regions"}),
    ask=lambda backend, samples: backend.extract(samples),
    check=answer_checks.check_extracted,
    join=lambda sample, found: replace(sample, entities=found.entities, reasoning=found.reasoning),
    unasked=_without_image,
    reads=reads("text image"),
    tell=words.tell_extraction,
    describe=words.describe_extraction,
)


def _ranked(entity: Entity, ranking: Ranking) -> Entity:
    """The entity with its new label; a fine label of another label does not stay."""
    fine_label, fine_scores = ranking.fine_label, ranking.fine_label_scores
    if fine_label is None and ranking.label == entity.label:
        fine_label, fine_scores = entity.fine_label, entity.fine_label_scores
    return replace(
        entity,
        label=ranking.label,
        label_scores=ranking.label_scores,
        fine_label=fine_label,
        fine_label_scores=fine_scores,
    )


RERANK = Stage[Reranker, Mention, Ranking](
    name="rerank",
    folder="rerankers",
    per=PER_ENTITY,
    gives=frozenset({"label"}),
    ask=lambda backend, mentions: backend.rerank(mentions),
    check=answer_checks.check_ranking,
    join=lambda mention, ranking: _with_entity(mention, _ranked(mention.entity, ranking)),
    needs_image=False,
    reads=reads(entity="label label_scores fine_label fine_label_scores"),
    tell=words.tell_label,
    describe=words.describe_label,
)

REWRITE = Stage[Rewriter, Mention, Expression](
    name="rewrite",
    folder="rewriters",
    per=PER_ENTITY,
    gives=frozenset({"expression"}),
    ask=lambda backend, mentions: backend.rewrite(mentions),
    join=lambda mention, expression: _with_entity(
        mention,
        replace(
            mention.entity,
            expression=expression.text,
            description=expression.description,
            expression_source=expression.source,
        ),
    ),
    needs_image=False,
    reads=reads(),
    tell=words.tell_expression,
    describe=words.describe_expression,
    source=lambda mention: mention.entity.expression_source,
)

OBSERVE = Stage[Observer, Sample, tuple[Observation, ...]](
    name="observe",
    folder="observers",
    per=PER_SAMPLE,
    gives=frozenset({"observations"}),
    ask=lambda backend, samples: backend.observe(samples),
    check=answer_checks.check_observations,
    join=lambda sample, observations: replace(sample, observations=observations),
    reads=reads("image"),
    describe=words.describe_observations,
)


def _not_shown(mention: Mention) -> Entailment | None:
    """No image shows nothing."""
    if mention.sample.image is not None:
        return None
    return Entailment(None, False, NO_IMAGE)


ENTAIL = Stage[Entailer, Mention, Entailment](
    name="entail",
    folder="entailers",
    per=PER_ENTITY,
    gives=frozenset({"groundability"}),
    ask=lambda backend, mentions: backend.entail(mentions),
    check=answer_checks.check_entailment,
    join=lambda mention, entailment: _with_entity(
        mention, replace(mention.entity, entailment=entailment)
    ),
    needs_image=True,
    unasked=_not_shown,
    reads=reads("image"),
    tell=words.tell_entailment,
    describe=words.describe_entailment,
    source=words.entailment_source,
)


def _passes_gate(mention: Mention, gated: bool) -> bool:
    entailment = mention.entity.entailment
    return not gated or (entailment is not None and entailment.groundable)


def _no_region(mention: Mention) -> tuple[Region, ...] | None:
    """Nothing is grounded without an image, nor what the gate has called ungroundable."""
    entailment = mention.entity.entailment
    is_ungroundable = entailment is not None and not entailment.groundable
    return () if mention.sample.image is None or is_ungroundable else None


GROUND = Stage[Grounder, Mention, tuple[Region, ...]](
    name="ground",
    folder="grounders",
    per=PER_ENTITY,
    gives=frozenset({"regions"}),
    ask=lambda backend, mentions: backend.ground(mentions),
    check=answer_checks.check_regions,
    join=lambda mention, regions: _with_entity(mention, replace(mention.entity, regions=regions)),
    needs_image=True,
    wants=_passes_gate,
    unasked=_no_region,
    reads=reads("image", entity="entailment"),
    tell=words.tell_regions,
    describe=words.describe_regions,
    source=words.first_region_source,
)


REVIEW = Stage[Reviewer, Sample, tuple[Entity, ...]](
    name="review",
    folder="reviewers",
    per=PER_SAMPLE,
    needs_entities=True,
    gives=frozenset({"label", "regions"}),
    ask=lambda backend, samples: backend.review(samples),
    check=answer_checks.check_reviewed,
    join=lambda sample, entities: replace(sample, entities=entities),
    # Words and types can be looked at again where there is no image.
    needs_image=False,
    wants=lambda sample, _: bool(sample.entities),
    tell=words.tell_reviews,
    describe=words.describe_reviews,
)


def _supported(mention: Mention) -> Mention:
    """The mention with the regions that get a mask: a guess shows nothing to be cut out.

    Nor does a region that lies outside of its image.
    """
    size = None if mention.sample.image is None else mention.sample.image.size
    regions = tuple(one for one in mention.entity.regions or () if _can_be_cut(one, size))
    return _with_entity(mention, replace(mention.entity, regions=regions))


def _can_be_cut(region: Region, size: ImageSize | None) -> bool:
    return not region.guess and (size is None or touched_edges(region.box, size) is not None)


def _with_masks(mention: Mention, masks: tuple[Mask, ...]) -> Mention:
    """Each region that can be cut with its mask; others stay as they are, in their places."""
    regions = mention.entity.regions or ()
    size = None if mention.sample.image is None else mention.sample.image.size
    cut = (at for at, one in enumerate(regions) if _can_be_cut(one, size))
    found = dict(zip(cut, masks, strict=True))
    masked = tuple(
        replace(region, mask=found[at]) if at in found else region
        for at, region in enumerate(regions)
    )
    return _with_entity(mention, replace(mention.entity, regions=masked))


SEGMENT = Stage[Segmenter, Mention, tuple[Mask, ...]](
    name="segment",
    folder="segmenters",
    per=PER_ENTITY,
    gives=frozenset({"masks"}),
    ask=lambda backend, mentions: backend.segment([_supported(one) for one in mentions]),
    check=lambda mention, masks: answer_checks.check_masks(mention, _supported(mention), masks),
    join=_with_masks,
    needs_image=True,
    wants=lambda mention, _: not all(one.guess for one in mention.entity.regions or ()),
    reads=reads("image", entity="regions"),
    describe=words.describe_masks,
)

STAGES: tuple[AnyStage, ...] = (
    CAPTION,
    AUGMENT,
    TAG,
    EXTRACT,
    RERANK,
    REWRITE,
    OBSERVE,
    ENTAIL,
    GROUND,
    REVIEW,
    SEGMENT,
)
"""In the order in which a system runs them."""


def stage_named(name: str) -> AnyStage | None:
    """The stage of that name; ``None`` where there is none (the input is no stage)."""
    return next((stage for stage in STAGES if stage.name == name), None)


def stages_giving(what: Gives) -> Iterator[str]:
    """Names of the stages whose answers settle something: ``entities``, ``regions`` ..."""
    return (stage.name for stage in STAGES if what in stage.gives)
