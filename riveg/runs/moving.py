"""What stands of an earlier part: records, and answers to records of which other things changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

from riveg.config.system import Step
from riveg.pipeline import PER_ENTITY, AnyStage, Gives
from riveg.reads import Reads
from riveg.runs.folder import Part, line_digest
from riveg.types import Entity, Sample

_OF_SAMPLES: Mapping[Gives, tuple[str, ...]] = {
    "caption": ("caption",),
    "knowledge": ("knowledge",),
    "observations": ("observations",),
    "entities": ("entities", "reasoning"),
}
_OF_ENTITIES: Mapping[Gives, tuple[str, ...]] = {
    "label": ("label", "label_scores", "fine_label", "fine_label_scores"),
    "expression": ("expression", "description", "expression_source"),
    "groundability": ("entailment",),
    "regions": ("regions",),
    "masks": ("regions",),
}
_ALL_OF_ENTITIES = frozenset(field.name for field in fields(Entity))


def digest_of_reads(step: Step, sample: Sample, stamp: str) -> str:
    """Digest of all that a step's answers about a sample depend on; empty: on anything.

    What the step settles counts, too: where it has no answer, that stays as it was.

    Args:
        step: The stage and its backend.
        sample: As the stage before gives it.
        stamp: Of its image, as it is now.
    """
    if step.reads is None:
        return ""
    settled = set(_settled(step.stage))
    if step.stage.per is PER_ENTITY:
        before = Reads(entity=frozenset(settled))
    else:
        entities = _ALL_OF_ENTITIES if "entities" in settled else frozenset[str]()
        before = Reads(sample=frozenset(settled - {"entities"}), entities=entities)
    return (step.reads | before).digest(
        sample,
        stamp if step.config.needs_image else None,
        per_entity=step.stage.per is PER_ENTITY,
    )


def moved(step: Step, sample: Sample, made: Sample) -> Sample:
    """A sample with the answers that a step has given about one that it reads as equal.

    Args:
        step: The stage and its backend.
        sample: As the stage before gives it now.
        made: The other one, with the answers.
    """
    names = _settled(step.stage)
    own = tuple(issue for issue in made.issues if issue.stage == step.stage.name)
    image = made.image if step.config.needs_image and made.image and made.image.width else None
    sample = replace(sample, issues=(*sample.issues, *own), image=image or sample.image)
    if step.stage.per is not PER_ENTITY:
        return replace(sample, **{name: getattr(made, name) for name in names})
    if sample.entities is None:
        return sample
    entities = tuple(
        replace(entity, **{name: getattr(other, name) for name in names})
        for entity, other in zip(sample.entities, made.entities or (), strict=True)
    )
    return replace(sample, entities=entities)


def _settled(stage: AnyStage) -> tuple[str, ...]:
    """Fields of what the stage is asked about that hold its answers."""
    table = _OF_ENTITIES if stage.per is PER_ENTITY else _OF_SAMPLES
    return tuple(name for given in sorted(stage.gives) for name in table.get(given, ()))


def reusable(part: Part | None, fingerprint: str) -> dict[str, bytes]:
    """Lines of an earlier part that still hold, by the digest of what they were made from.

    A line that is not what was written (cut off, edited, moved) does not hold.
    """
    return {} if part is None else _whole_lines(part, fingerprint, part.header.inputs)


def reusable_answers(part: Part | None, fingerprint: str) -> dict[str, bytes]:
    """The same, by the digest of what their answers depend on."""
    return {} if part is None else _whole_lines(part, fingerprint, part.header.reads)


def _whole_lines(part: Part, fingerprint: str, digests: Sequence[str]) -> dict[str, bytes]:
    if part.header.fingerprint != fingerprint:
        return {}
    # A file that was cut off has fewer lines than its header says.
    rows = zip(digests, part.header.outputs, part.lines, strict=False)
    return {digest: line for digest, written, line in rows if line_digest(line) == written}
