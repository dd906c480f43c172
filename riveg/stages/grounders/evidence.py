"""Regions from observations: people, things, OCR text that spells the name, or none.

People (``PER``, ``person``, and ``person_labels``): all groundable people of a sample are answered
together. Each name gets at most one body, by the rule that ``entail: mini`` has, too
(:mod:`riveg.nn.named_bodies`): a person box, or a body grown from a face that no person box holds
(:mod:`riveg.vision.plain.people`). A name without a body gets the OCR text that spells it, unless
that lies on the body of another name. A pet that the tagger took for a person ("my dog Rex") is a
thing.

Other entities: every place where OCR text spells the name, the most similar first, and of equally
similar ones the largest first (so a region may have a higher score than the one before it); else
the object whose class fits the name (:mod:`riveg.nn.named_things`). Several names that the same
objects fit get one each, as people do.

**Where nothing in the image supports a region, there is none.** With ``prior: guess`` such an
entity gets the box where entities of its type usually lie, marked as a guess: of the boxes of its
type the one that overlaps least with the boxes of the other names. (Of two people that train shows,
that box hits the second in 52 %, the best prior box in 26 %; dev: 55 % and 26 %.)

A region's ``source`` names the evidence. Its score is the detector's for a person, a face or an
object, similarity times the reader's score for OCR text, and for a guess the share of train's
entities that its box hits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.files import asset, file_digest
from riveg.geometry.boxes import common_area
from riveg.nn.box_prior import BoxPriors, PriorBox, read_box_priors
from riveg.nn.entailment_features import known_label
from riveg.nn.named_bodies import (
    LEAST_SPELLING,
    Name,
    assign_bodies,
    assign_things,
    find_named_bodies,
    is_written_on,
    name_of,
)
from riveg.nn.named_things import find_things
from riveg.protocols import AnswerOrIssue, Grounder, Mention
from riveg.reads import Reads, reads
from riveg.stages.mentions import by_sample
from riveg.types import Box, Entity, ImageSize, Issue, Observation, Region, Sample
from riveg.vision.plain.names_in_ocr import Spelling, find_spellings
from riveg.vision.plain.people import LEAST_SHARE, SeenPerson, find_people

_PLACES = 10
"""Highest number of regions of one name: a page that repeats a word is no answer."""


Prior = Literal["never", "guess"]

_READ = "text label span entailment"


class EvidenceGrounderConfig(BackendConfig[Grounder]):
    """``prior``: what an entity gets that nothing in the image supports.

    ``never``: no region. ``guess``: the box where entities of its type usually lie, marked as a
    guess. ``prior_file``: a file that ``riveg train box-prior`` made, or nothing for the shipped
    one. ``least_share``: people smaller than this share of the image do not count, in [0, 1].
    ``least_score``: OCR text that spells a name less surely is not used. ``threshold``: regions
    scored less are dropped, in [0, 1]; an entity left with none is not grounded.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "evidence"
    summary: ClassVar[str] = "people, faces, things, lettering that spells the name"
    needs_stage: ClassVar[str | None] = "observe"
    code_revision: ClassVar[int] = 4
    parallel: ClassVar[bool] = True

    prior: Prior = "never"
    prior_file: Path | None = None
    least_share: float = Field(default=LEAST_SHARE, ge=0, le=1)
    least_score: float = Field(default=LEAST_SPELLING, ge=0, le=1)
    threshold: float = Field(default=0.0, ge=0, le=1)
    person_labels: tuple[str, ...] = ("PER", "person")

    def reads(self) -> Reads:
        return reads("text caption image observations", entity=_READ, entities=_READ)

    def build(self, context: BuildContext) -> EvidenceGrounder:
        """Reads the prior.

        Raises:
            UserError: If the prior file cannot be used.
        """
        return EvidenceGrounder(
            read_box_priors(_prior_file(self.prior_file, context.base)),
            prior=self.prior,
            least_share=self.least_share,
            least_score=self.least_score,
            threshold=self.threshold,
            person_labels=self.person_labels,
        )

    def clash(self, others: Mapping[str, BackendConfig[object]]) -> tuple[str, str] | None:
        """A guess is for what nothing seen supports: some gates let none of that through."""
        if self.prior == "guess" and getattr(others.get("entail"), "unseen", None) == "never":
            advice = "entail.unseen: never leaves nothing to guess; add --set entail.unseen=text"
            return "prior", advice
        return None

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the prior file, which also says how long bodies are."""
        path = _prior_file(self.prior_file, base)
        read_box_priors(path)
        return {"prior": file_digest(path)}


def _prior_file(file: Path | None, base: Path) -> Path:
    return asset("box-prior", "prior.json") if file is None else base / file


_RegionsByName = dict[Name, tuple[Region, ...]]


class EvidenceGrounder:
    """Grounds by what was observed; opens no image.

    Args:
        priors: Where entities of each type usually lie, and how long bodies are.
        prior: Whether an entity that nothing supports gets a guess.
        least_share: People smaller than this share of the image do not count, in [0, 1].
        least_score: Bound on the likeness of OCR text times its reading score, in [0, 1].
        threshold: Regions with a lower score are dropped, in [0, 1]; no other name gets their body.
        person_labels: Entity labels that are people, besides ``PER`` and ``person``.
    """

    def __init__(
        self,
        priors: BoxPriors,
        *,
        prior: Prior = "never",
        least_share: float = LEAST_SHARE,
        least_score: float = LEAST_SPELLING,
        threshold: float = 0.0,
        person_labels: Sequence[str] = ("PER", "person"),
    ) -> None:
        self._priors = priors
        self._guesses = prior == "guess"
        self._least_share = least_share
        self._least_score = least_score
        self._threshold = threshold
        self._person_labels = frozenset(person_labels)

    def ground(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[tuple[Region, ...]]]:
        """Regions of each mention, best first.

        ``()`` where nothing in the image supports one and no guess is asked for, or where all
        score below the threshold.
        """
        answers: list[AnswerOrIssue[tuple[Region, ...]]] = []
        for sample, together in by_sample(mentions):
            message = _missing_input(sample)
            if message is not None:
                answers += [Issue("ground", one.entity.id, *message) for one in together]
                continue
            regions = self._regions(sample, _groundable_names(sample))
            for mention in together:
                name = name_of(mention.entity)
                known = (
                    regions if name in regions else self._regions(sample, {name: mention.entity})
                )
                answers.append(self._sure_enough(known[name]))
        return answers

    def _sure_enough(self, regions: tuple[Region, ...]) -> tuple[Region, ...]:
        return tuple(one for one in regions if one.score is None or one.score >= self._threshold)

    def _regions(self, sample: Sample, names: Mapping[Name, Entity]) -> _RegionsByName:
        """Regions of names that are answered together, in the order of the text.

        All names of the sample, asked about or not: an answer does not depend on its batch.
        """
        spellings = {name: self._spellings(sample, entity) for name, entity in names.items()}
        things = {name: find_things(sample, entity) for name, entity in names.items()}
        people = {
            name: entity
            for name, entity in names.items()
            if self._is_person(entity) and not things[name].is_meant
        }
        found = self._place_people(sample, list(people), spellings)
        others = [name for name in names if name not in people]
        found |= {name: _lettering(spellings[name]) for name in others}
        unread = {name: things[name].objects for name in others if not found[name]}
        found |= _place_things(sample, unread)
        return self._with_guesses(sample, names, found) if self._guesses else found

    def _is_person(self, entity: Entity) -> bool:
        return entity.label in self._person_labels or known_label(entity.label) == "PER"

    def _place_people(
        self, sample: Sample, names: Sequence[Name], spellings: Mapping[Name, Sequence[Spelling]]
    ) -> _RegionsByName:
        """A body for each name as far as they go, else the OCR text that spells it."""
        bodies = self._bodies(sample, len(names)) if names else []
        own = find_named_bodies(sample).persons if bodies else {}
        assigned = {
            name: body
            for name in names
            for body in bodies
            if name in own and body.seen is own[name].seen
        }
        free = [body for body in bodies if not any(body is one for one in assigned.values())]
        rest = [name for name in names if name not in assigned]
        assigned |= assign_bodies(rest, free, spellings, _image_size(sample).width)
        found = {name: _person_region(body) for name, body in assigned.items()}
        taken = [regions[0].box for regions in found.values()]
        for name in rest:
            if name not in found:
                found[name] = _lettering(_spellings_off(taken, spellings[name]))
                taken += [region.box for region in found[name][:1]]
        return found

    def _bodies(self, sample: Sample, names: int) -> Sequence[SeenPerson]:
        observations = sample.observations or ()
        faces = sum(one.kind == "face" for one in observations)
        return find_people(
            observations,
            _image_size(sample),
            reach=self._priors.reach(max(1, min(names, faces))),
            least_share=self._least_share,
        )

    def _spellings(self, sample: Sample, entity: Entity) -> tuple[Spelling, ...]:
        found = find_spellings(
            entity.text, sample.observations or (), surname=self._is_person(entity)
        )
        return tuple(one for one in found if one.score >= self._least_score)[:_PLACES]

    def _with_guesses(
        self, sample: Sample, names: Mapping[Name, Entity], found: _RegionsByName
    ) -> _RegionsByName:
        """A guess for every name without a region; people keep off one another's boxes."""
        known = dict(found)
        people = [name for name, entity in names.items() if self._is_person(entity)]
        for name, entity in names.items():
            if not known[name]:
                others = [known[other] for other in people] if name in people else []
                taken = [regions[0].box for regions in others if regions]
                known[name] = (self._guess(sample, entity, taken),)
        return known

    def _guess(self, sample: Sample, entity: Entity, taken: Sequence[Box]) -> Region:
        """The prior box that overlaps the taken boxes least; the best one where none is taken."""
        size = _image_size(sample)

        def overlap(prior: PriorBox) -> float:
            box = prior.in_pixels(size)
            return round(sum(common_area(box, other) for other in taken) / box.area, 6)

        chosen = min(self._priors.for_label(entity.label), key=overlap)
        box = chosen.in_pixels(size)
        return Region(box, chosen.share, source="evidence:prior", guess=True)


def _missing_input(sample: Sample) -> tuple[str, str] | None:
    """Kind and message of an Issue where the sample lacks what is needed."""
    if sample.observations is None:
        message = "the picture was not looked at; run the stage observe before ground"
        return "no-observations", message
    if sample.image is None or not sample.image.width or not sample.image.height:
        return "no-picture-size", "the picture's width and height are not known"
    return None


def _groundable_names(sample: Sample) -> dict[Name, Entity]:
    """The first entity of each name that the gate lets through, in the order of the text."""
    names: dict[Name, Entity] = {}
    for entity in sorted(sample.entities or (), key=lambda one: one.span.start):
        if entity.entailment is None or entity.entailment.groundable:
            names.setdefault(name_of(entity), entity)
    return names


def _place_things(
    sample: Sample, objects: Mapping[Name, tuple[Observation, ...]]
) -> _RegionsByName:
    """One object for each name as far as they go: the name's own one, else one that is left."""
    own = find_named_bodies(sample).things if any(objects.values()) else {}
    assigned = {name: own[name] for name in objects if name in own}
    rest = {name: fitting for name, fitting in objects.items() if name not in assigned}
    assigned |= assign_things(rest, _image_size(sample).width, taken=tuple(assigned.values()))
    return dict.fromkeys(objects, ()) | {
        name: _region(one.box, one.score or 0.5, "evidence:object")
        for name, one in assigned.items()
    }


def _person_region(person: SeenPerson) -> tuple[Region, ...]:
    source = "evidence:face" if person.is_grown else "evidence:person"
    return _region(person.box, person.score, source)


def _region(box: Box, score: float, source: str) -> tuple[Region, ...]:
    return (Region(box, round(score, 4), source=source),)


def _lettering(spellings: Sequence[Spelling]) -> tuple[Region, ...]:
    return tuple(
        Region(one.box, round(one.score, 4), source="evidence:lettering") for one in spellings
    )


def _image_size(sample: Sample) -> ImageSize:
    size = None if sample.image is None else sample.image.size
    if size is None:
        raise ValueError(f"sample {sample.id}: the picture's sides are not known")
    return size


def _spellings_off(boxes: Sequence[Box], spellings: Sequence[Spelling]) -> list[Spelling]:
    return [one for one in spellings if not any(is_written_on(one.box, box) for box in boxes)]
