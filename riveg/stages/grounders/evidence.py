"""Regions from observations: faces, people, OCR text, and where entities of a type usually lie.

People (labels in ``person_labels``): all groundable people of a sample are answered together. Each
name gets at most one body (:mod:`riveg.stages.grounders.body_assignment`). A name without a body
gets the OCR text that spells it, unless that lies on the body of another name; else the prior box
that overlaps least with the boxes of the other names. (Of two people that train shows, that box
hits the second in 52 %, the best prior box in 26 %; dev: 55 % and 26 %.)

Other entities: every place where OCR text spells the name, the most similar first, and of equally
similar ones the largest first (so a region may have a higher score than the one before it); else
the best prior box of the type. (It may cover a person, but a box beside the people hits less in
train.)

A region's ``source`` names the evidence. Its score is the detector's for a face, similarity times
the reader's score for OCR text, and for a prior box the share of train's entities that it hits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.files import asset, file_digest
from riveg.geometry.boxes import common_area
from riveg.nn.box_prior import BoxPriors, PriorBox, read_box_priors
from riveg.protocols import AnswerOrIssue, Grounder, Mention
from riveg.stages.grounders.body_assignment import Body, assign_bodies, is_written_on
from riveg.stages.mentions import by_sample
from riveg.text.folding import fold
from riveg.types import Box, Entity, ImageSize, Issue, Observation, Region, Sample
from riveg.vision.plain.bodies import grow_bodies
from riveg.vision.plain.names_in_ocr import Spelling, find_spellings

_PLACES = 10
"""Highest number of regions of one name: a page that repeats a word is no answer."""


class EvidenceGrounderConfig(BackendConfig[Grounder]):
    """``prior``: a file that ``riveg train box-prior`` made, or nothing for the shipped one.

    ``least_score``: OCR text that spells a name less surely is not used. ``threshold``: regions
    scored less are dropped, in [0, 1]; an entity left with none is not grounded.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "evidence"
    summary: ClassVar[str] = "faces, people, lettering that spells the name, learnt box prior"
    needs_stage: ClassVar[str | None] = "observe"

    prior: Path | None = None
    least_score: float = Field(default=0.5, ge=0, le=1)
    threshold: float = Field(default=0.0, ge=0, le=1)
    person_labels: tuple[str, ...] = ("PER", "person")

    def build(self, context: BuildContext) -> EvidenceGrounder:
        """Reads the prior.

        Raises:
            UserError: If the prior file cannot be used.
        """
        return EvidenceGrounder(
            read_box_priors(_prior_file(self.prior, context.base)),
            least_score=self.least_score,
            threshold=self.threshold,
            person_labels=self.person_labels,
        )

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the prior file."""
        path = _prior_file(self.prior, base)
        read_box_priors(path)
        return {"prior": file_digest(path)}


def _prior_file(prior: Path | None, base: Path) -> Path:
    return asset("box-prior", "prior.json") if prior is None else base / prior


_RegionsByName = dict[str, tuple[Region, ...]]
"""The keys are folded names."""


class EvidenceGrounder:
    """Grounds by what was observed; opens no image.

    Args:
        priors: Where entities of each type usually lie.
        least_score: Bound on the likeness of OCR text times its reading score, in [0, 1].
        threshold: Regions with a lower score are dropped, in [0, 1]; no other name gets their body.
        person_labels: Entity labels that are people.
    """

    def __init__(
        self,
        priors: BoxPriors,
        *,
        least_score: float = 0.5,
        threshold: float = 0.0,
        person_labels: Sequence[str] = ("PER", "person"),
    ) -> None:
        self._priors = priors
        self._least_score = least_score
        self._threshold = threshold
        self._person_labels = frozenset(person_labels)

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """Regions of each mention, best first; none only where all score below the threshold."""
        answers: list[AnswerOrIssue[tuple[Region, ...]]] = []
        for sample, together in by_sample(mentions):
            message = _missing_input(sample)
            if message is not None:
                answers += [Issue("ground", one.entity.id, *message) for one in together]
                continue
            is_person_asked = any(self._is_person(one.entity) for one in together)
            people = self._people(sample) if is_person_asked else {}
            answers += [self._regions(sample, one.entity, people) for one in together]
        return answers

    def _regions(
        self, sample: Sample, entity: Entity, people: _RegionsByName
    ) -> tuple[Region, ...]:
        known = people.get(fold(entity.text)) if self._is_person(entity) else None
        regions = known or self._from_text_or_prior(sample, entity, self._spellings(sample, entity))
        return tuple(one for one in regions if one.score is None or one.score >= self._threshold)

    def _is_person(self, entity: Entity) -> bool:
        return entity.label in self._person_labels

    def _people(self, sample: Sample) -> _RegionsByName:
        """Regions of every groundable person of the sample, mentioned in the batch or not."""
        names: dict[str, Entity] = {}
        for entity in sorted(sample.entities or (), key=lambda one: one.span.start):
            is_shown = entity.entailment is None or entity.entailment.groundable
            if is_shown and self._is_person(entity):
                names.setdefault(fold(entity.text), entity)
        spellings = {name: self._spellings(sample, entity) for name, entity in names.items()}
        bodies = self._bodies(sample, len(names))
        assigned = assign_bodies(list(names), bodies, spellings, _image_size(sample).width)
        regions: _RegionsByName = {
            name: (Region(body.box, round(body.score, 4), source=body.source),)
            for name, body in assigned.items()
        }
        for name, entity in names.items():
            if name not in regions:
                taken = [found[0].box for found in regions.values()]
                free = _spellings_off(taken, spellings[name])
                regions[name] = self._from_text_or_prior(sample, entity, free, taken)
        return regions

    def _from_text_or_prior(
        self,
        sample: Sample,
        entity: Entity,
        spellings: Sequence[Spelling],
        taken: Sequence[Box] = (),
    ) -> tuple[Region, ...]:
        """OCR text that spells the name, else a prior box; ``taken``: boxes of other names."""
        regions = tuple(
            Region(one.box, round(one.score, 4), source="evidence:lettering") for one in spellings
        )
        return regions or (self._prior(sample, entity, taken),)

    def _bodies(self, sample: Sample, names: int) -> list[Body]:
        faces = [one for one in sample.observations or () if one.kind == "face"]
        people = [one for one in sample.observations or () if one.kind == "person"]
        reach = self._priors.reach(max(1, min(names, len(faces))))
        grown = grow_bodies([face.box for face in faces], _image_size(sample), reach)
        bodies = [
            Body(box, _score(face), "evidence:face") for face, box in zip(faces, grown, strict=True)
        ]
        faceless = [
            one for one in people if not any(_contains_center(one.box, face.box) for face in faces)
        ]
        return bodies + [Body(one.box, _score(one), "evidence:person") for one in faceless]

    def _spellings(self, sample: Sample, entity: Entity) -> tuple[Spelling, ...]:
        found = find_spellings(
            entity.text, sample.observations or (), surname=self._is_person(entity)
        )
        return tuple(one for one in found if one.score >= self._least_score)[:_PLACES]

    def _prior(self, sample: Sample, entity: Entity, taken: Sequence[Box]) -> Region:
        """The prior box that overlaps the taken boxes least; the best one where none is taken."""
        size = _image_size(sample)

        def overlap(prior: PriorBox) -> float:
            box = prior.in_pixels(size)
            return round(sum(common_area(box, other) for other in taken) / box.area, 6)

        chosen = min(self._priors.for_label(entity.label), key=overlap)
        return Region(chosen.in_pixels(size), chosen.share, source="evidence:prior")


def _missing_input(sample: Sample) -> tuple[str, str] | None:
    """Kind and message of an Issue where the sample lacks what is needed."""
    if sample.observations is None:
        message = "the picture was not looked at; run the stage observe before ground"
        return "no-observations", message
    if sample.image is None or not sample.image.width or not sample.image.height:
        return "no-picture-size", "the picture's width and height are not known"
    return None


def _image_size(sample: Sample) -> ImageSize:
    size = None if sample.image is None else sample.image.size
    if size is None:
        raise ValueError(f"sample {sample.id}: the picture's sides are not known")
    return size


def _spellings_off(boxes: Sequence[Box], spellings: Sequence[Spelling]) -> list[Spelling]:
    return [one for one in spellings if not any(is_written_on(one.box, box) for box in boxes)]


def _score(observation: Observation) -> float:
    return 0.5 if observation.score is None else observation.score


def _contains_center(outer: Box, inner: Box) -> bool:
    x, y = (inner.x_min + inner.x_max) / 2, (inner.y_min + inner.y_max) / 2
    return outer.x_min <= x <= outer.x_max and outer.y_min <= y <= outer.y_max
