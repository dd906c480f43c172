"""The people of an image, from observations: person boxes first, then bodies grown from faces.

A face that a person box holds is that person's. A face that none holds is grown to a body
(:mod:`riveg.vision.plain.bodies`). People smaller than a share of the image do not count: an
audience or passers-by would else take the place of a name. Nor does a box that fills the image, has
no sure score and no face of its own: the network says so, now and then, of an image without people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from riveg.geometry.boxes import common_area
from riveg.types import Box, ImageSize, Observation
from riveg.vision.plain.bodies import grow_bodies

LEAST_SHARE = 0.02
"""People smaller than this share of the image do not count. (Of the people with a box in
Twitter-GMNER's train split, 2.5 % are smaller.)"""

REACH = 2.5
"""Length of a body in body widths, for one or two people (the box prior's card has the fit)."""

FILLING_SHARE = 0.9
"""A box of at least so much of the image fills it."""

SURE_SCORE = 0.5
"""A box that fills the image and has no face of its own counts from this score on.

Of things cut out of photographs, each an image of its own, the rule takes 3 of 32 people and 3 of
5 other things that a person box fills (``benchmarks/observers.py``).
"""

_HELD = 0.7
"""A person box holds a face if at least so much of the face lies in it."""


@dataclass(frozen=True, slots=True)
class SeenPerson:
    """A person's box, the detector's score in [0, 1], and whether there is a face.

    ``seen``: the person box, or the face that the box was grown from (``is_grown``).
    """

    box: Box
    score: float
    has_face: bool
    seen: Observation

    @property
    def is_grown(self) -> bool:
        """Whether the person was not found as a whole."""
        return self.seen.kind == "face"


def find_people(
    observations: Sequence[Observation],
    size: ImageSize | None,
    *,
    reach: float = REACH,
    least_share: float = LEAST_SHARE,
) -> tuple[SeenPerson, ...]:
    """People that count: those found as a whole, then those grown from a face, in order.

    Who counts does not depend on ``reach``: the size of a person is that of the body of standard
    length.

    Args:
        observations: Of one image.
        size: Of the image; where it is not known, no face is grown, and nobody is too small or
            fills the image.
        reach: Length of a grown body in body widths.
        least_share: Of the image's area, in [0, 1].
    """
    people = _everybody(observations, size, REACH)
    grown = people if reach == REACH else _everybody(observations, size, reach)
    if size is None:
        return tuple(grown)
    area = size.width * size.height
    return tuple(
        own
        for one, own in zip(people, grown, strict=True)
        if one.box.area >= least_share * area and not _is_empty(one, area)
    )


def _everybody(
    observations: Sequence[Observation], size: ImageSize | None, reach: float
) -> list[SeenPerson]:
    whole = [one for one in observations if one.kind == "person"]
    faces = [one for one in observations if one.kind == "face"]
    holders = [_holder(face, whole) for face in faces]
    boxes = [face.box for face in faces]
    grown = boxes if size is None else grow_bodies(boxes, size, reach)
    people = [
        SeenPerson(one.box, _score(one), any(holder is one for holder in holders), one)
        for one in whole
    ]
    return people + [
        SeenPerson(box, _score(face), True, face)
        for face, box, holder in zip(faces, grown, holders, strict=True)
        if holder is None
    ]


def _is_empty(person: SeenPerson, image_area: float) -> bool:
    fills = person.box.area >= FILLING_SHARE * image_area
    return fills and not person.has_face and person.score < SURE_SCORE


def _holder(face: Observation, whole: Sequence[Observation]) -> Observation | None:
    """The smallest person box that holds the face: in a larger one it may be a neighbour's."""
    least = _HELD * face.box.area
    holding = [one for one in whole if common_area(one.box, face.box) >= least]
    return min(holding, key=lambda one: one.box.area, default=None)


def _score(observation: Observation) -> float:
    return 0.5 if observation.score is None else observation.score
