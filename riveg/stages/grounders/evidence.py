"""Regions from what was seen: faces, people, OCR text, and where such entities usually lie.

All groundable entities of a sample are answered together, by these rules.

People (labels in ``person_labels``). A *body* is a box grown from a face
(:mod:`riveg.vision.plain.bodies`), or a person found without a face.

1. Each name gets one body at most, each body one name; the same name twice gets the same answer.
2. A body that OCR text supports, because the name or surname stands on it (a jersey, a name tag, a
   caption), goes to that name, the surest OCR text first.
3. Of more bodies than names, the largest and most central are kept: area times a bell around the
   middle of the image's width (deviation 0.17, that of train's boxes of lone people).
4. Bodies are given out from left to right, names in the order of the text. (In train's samples with
   several people of one box each that order is right for 54 % of neighbours: hardly a rule, but the
   first name is no likelier the largest body, 49 % of pairs.)
5. Of more names than bodies, the first names are served: where train shows one of two people, it is
   the first in 72 %.
6. A name left without a body: the OCR text that spells it, unless it stands on somebody else's
   body; else the prior box that covers least of the boxes given out. (Of two people that train
   shows, that box hits the second in 52 %, the best box in 26 %; dev: 55 % and 26 %.)

Everything else: every place where OCR text spells the name, the most alike first, and the largest
of those (so a region may score more than the one before it); else the best prior box of its type.
(That covers a person where there is one, but a box aside from them hits less in train.)

A region's ``source`` says which evidence gave it, its score how sure: of a face, the detector's; of
OCR text, likeness times the reader's; of a prior box, the share of train's entities that it hits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from riveg.config.backend import BackendConfig, BuildContext
from riveg.files import asset, file_digest
from riveg.geometry.boxes import common_area
from riveg.nn.box_prior import BoxPriors, PriorBox, read_box_priors
from riveg.protocols import Grounder, Mention
from riveg.text.folding import fold
from riveg.types import Box, Entity, ImageSize, Issue, Observation, Region, Sample
from riveg.vision.plain.bodies import grow_bodies
from riveg.vision.plain.names_in_ocr import Spelling, find_spellings

_CENTER_DEVIATION = 0.17
_PLACES = 10
"""Highest number of places for one name: a page that repeats a word is no answer."""


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


@dataclass(frozen=True, slots=True)
class _Body:
    box: Box
    score: float
    source: str


_Regions = dict[str, tuple[Region, ...]]
"""Answers by folded name."""


class EvidenceGrounder:
    """Grounds by what was observed; opens no image.

    Args:
        priors: Where entities of each type usually lie.
        least_score: Bound on the likeness of OCR text times its reading score, in [0, 1].
        threshold: Regions scored less are dropped, in [0, 1]; dropping frees no body for others.
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

    def ground(self, mentions: Sequence[Mention]) -> Sequence[tuple[Region, ...] | Issue]:
        """Regions of each mention, best first; none only where all score below the threshold."""
        answers: list[tuple[Region, ...] | Issue] = []
        people: dict[int, _Regions] = {}
        for mention in mentions:
            issue = _missing_input(mention)
            if issue is not None:
                answers.append(issue)
            elif mention.entity.label in self._person_labels:
                key = id(mention.sample)
                if key not in people:
                    people[key] = self._people(mention.sample)
                known = people[key].get(fold(mention.entity.text))
                answers.append(
                    self._above_threshold(
                        known or self._by_text_or_prior(mention.sample, mention.entity)
                    )
                )
            else:
                answers.append(
                    self._above_threshold(self._by_text_or_prior(mention.sample, mention.entity))
                )
        return answers

    def _above_threshold(self, regions: tuple[Region, ...]) -> tuple[Region, ...]:
        return tuple(one for one in regions if one.score is None or one.score >= self._threshold)

    def _by_text_or_prior(self, sample: Sample, entity: Entity) -> tuple[Region, ...]:
        """OCR text, else the prior."""
        spellings = self._spellings(sample, entity)
        regions = tuple(_ocr_text(one) for one in spellings)
        return regions or (self._prior(sample, entity, ()),)

    def _people(self, sample: Sample) -> _Regions:
        """Regions of every groundable person of the sample, mentioned in the batch or not."""
        names: dict[str, Entity] = {}
        for entity in sorted(sample.entities or (), key=lambda one: one.span.start):
            shown = entity.entailment is None or entity.entailment.groundable
            if shown and entity.label in self._person_labels:
                names.setdefault(fold(entity.text), entity)
        bodies = self._bodies(sample, len(names))
        spelled = {name: self._spellings(sample, entity) for name, entity in names.items()}
        given = _assign_bodies(list(names), bodies, spelled, _image_size(sample).width)
        regions: _Regions = {
            name: (Region(body.box, round(body.score, 4), source=body.source),)
            for name, body in given.items()
        }
        for name, entity in names.items():
            if name not in regions:
                taken = [found[0].box for found in regions.values()]
                regions[name] = self._without_body(sample, entity, spelled[name], taken)
        return regions

    def _without_body(
        self, sample: Sample, entity: Entity, spellings: Sequence[Spelling], taken: Sequence[Box]
    ) -> tuple[Region, ...]:
        free = [one for one in spellings if not any(_lies_on(one.box, box) for box in taken)]
        regions = tuple(_ocr_text(one) for one in free)
        return regions or (self._prior(sample, entity, taken),)

    def _bodies(self, sample: Sample, names: int) -> list[_Body]:
        faces = [one for one in sample.observations or () if one.kind == "face"]
        people = [one for one in sample.observations or () if one.kind == "person"]
        reach = self._priors.reach(max(1, min(names, len(faces))))
        grown = grow_bodies([face.box for face in faces], _image_size(sample), reach)
        bodies = [
            _Body(box, _score(face), "evidence:face")
            for face, box in zip(faces, grown, strict=True)
        ]
        faceless = [
            one for one in people if not any(_contains_center(one.box, face.box) for face in faces)
        ]
        return bodies + [_Body(one.box, _score(one), "evidence:person") for one in faceless]

    def _spellings(self, sample: Sample, entity: Entity) -> tuple[Spelling, ...]:
        surname = entity.label in self._person_labels
        found = find_spellings(entity.text, sample.observations or (), surname=surname)
        return tuple(one for one in found if one.score >= self._least_score)[:_PLACES]

    def _prior(self, sample: Sample, entity: Entity, taken: Sequence[Box]) -> Region:
        """The prior box that overlaps the taken boxes least; the best one where none is taken."""
        size = _image_size(sample)

        def covered(prior: PriorBox) -> float:
            box = prior.in_pixels(size)
            return round(sum(common_area(box, other) for other in taken) / box.area, 6)

        chosen = min(self._priors.for_label(entity.label), key=covered)
        return Region(chosen.in_pixels(size), chosen.share, source="evidence:prior")


def _assign_bodies(
    names: Sequence[str],
    bodies: Sequence[_Body],
    spelled: Mapping[str, Sequence[Spelling]],
    width: int,
) -> dict[str, _Body]:
    """Rules 1 to 5: which name gets which body."""
    given: dict[str, _Body] = {}
    left = list(bodies)
    for _, _, name, body in _supports(names, bodies, spelled):
        if name not in given and body in left:
            given[name] = body
            left.remove(body)
    unnamed = [name for name in names if name not in given]
    left.sort(key=lambda body: (-_prominence(body.box, width), body.box.x_min, body.box.y_min))
    best = left[: len(unnamed)]
    best.sort(key=lambda body: (body.box.x_min + body.box.x_max, body.box.y_min))
    return given | dict(zip(unnamed, best, strict=False))


def _supports(
    names: Sequence[str], bodies: Sequence[_Body], spelled: Mapping[str, Sequence[Spelling]]
) -> list[tuple[float, int, str, _Body]]:
    """Names written on bodies, surest first."""
    found = [
        (-spelling.score, order, name, body)
        for order, name in enumerate(names)
        for spelling in spelled[name]
        for body in bodies
        if _lies_on(spelling.box, body.box)
    ]
    return sorted(found, key=lambda one: (*one[:2], -_common_share(one[3], spelled[one[2]])))


def _common_share(body: _Body, spellings: Sequence[Spelling]) -> float:
    return max(common_area(one.box, body.box) / one.box.area for one in spellings)


def _prominence(box: Box, width: int) -> float:
    off = ((box.x_min + box.x_max) / 2 / width - 0.5) / _CENTER_DEVIATION
    return box.area * math.exp(-off * off / 2)


def _missing_input(mention: Mention) -> Issue | None:
    sample = mention.sample
    if sample.observations is None:
        message = "the picture was not looked at; run the stage observe before ground"
        return Issue("ground", mention.entity.id, "no-observations", message)
    if sample.image is None or not sample.image.width or not sample.image.height:
        message = "the picture's width and height are not known"
        return Issue("ground", mention.entity.id, "no-picture-size", message)
    return None


def _image_size(sample: Sample) -> ImageSize:
    image = sample.image
    if image is None or image.width is None or image.height is None:
        raise ValueError(f"sample {sample.id}: the picture's sides are not known")
    return ImageSize(image.width, image.height)


def _ocr_text(spelling: Spelling) -> Region:
    return Region(spelling.box, round(spelling.score, 4), source="evidence:lettering")


def _score(seen: Observation) -> float:
    return 0.5 if seen.score is None else seen.score


def _contains_center(outer: Box, inner: Box) -> bool:
    x, y = (inner.x_min + inner.x_max) / 2, (inner.y_min + inner.y_max) / 2
    return outer.x_min <= x <= outer.x_max and outer.y_min <= y <= outer.y_max


def _lies_on(lettering: Box, body: Box) -> bool:
    """Whether most of the OCR text lies on the body."""
    return common_area(lettering, body) > 0.6 * lettering.area
