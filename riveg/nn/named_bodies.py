"""Which name of a text gets which body of the image: the one rule for those who say and who show.

A *body* is what was seen of a person (:mod:`riveg.vision.plain.people`) or an object that a name
means (:mod:`riveg.nn.named_things`). A *name* is a folded text with its label: what comes twice is
one name.

1. Each name gets one body at most, and each body one name.
2. A body goes to the name that is written on it, in full or as the surname alone (a jersey, a name
   tag, a caption); OCR text with the highest score goes first.
3. Where there are more bodies than names, the largest and most central ones are kept: by area times
   a bell curve around the middle of the image's width (deviation 0.17, which is that of the boxes
   of people who are alone in train's images).
4. Bodies from left to right get the names in the order of the text. (In train's samples with
   several people of one box each, that order is right for 54 % of neighbours. That is little, but
   to give the first name the largest body is right for 49 % of pairs.)
5. Where there are more names than bodies, the first names get them: where train shows one of two
   people, it is the first in 72 %.

These rules are applied twice. First to all names of the sample (:func:`find_named_bodies`): an
entailer raises a name for the body that it has here, and no name for a body that it has not. Then
by a grounder, among the names that are left without a body and the bodies of names that the gate
did not let through. So a name that was raised for a body keeps it, whoever else is let through.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from riveg.geometry.boxes import common_area
from riveg.nn.entailment_features import known_label
from riveg.nn.named_things import find_meant_things
from riveg.text.folding import fold
from riveg.types import Box, Entity, Observation, Sample
from riveg.vision.plain.names_in_ocr import Spelling, find_spellings
from riveg.vision.plain.people import SeenPerson, find_people

LEAST_SPELLING = 0.5
"""OCR text counts whose likeness to a name times its reading score is at least so much."""

_CENTER_DEVIATION = 0.17
_LEAST_SHARE_ON_BODY = 0.6


class Boxed(Protocol):
    """What can be a body."""

    @property
    def box(self) -> Box: ...


Name = tuple[str, str]
"""A name's folded text and its label."""
AnyName = TypeVar("AnyName")
AnyBody = TypeVar("AnyBody", bound=Boxed)


@dataclass(frozen=True, slots=True)
class NamedBodies:
    """What each name gets that gets anything; ``people`` are all that count, named or not."""

    people: tuple[SeenPerson, ...] = ()
    persons: Mapping[Name, SeenPerson] = field(default_factory=dict)
    things: Mapping[Name, Observation] = field(default_factory=dict)


def name_of(entity: Entity) -> Name:
    """What is equal for entities of one name."""
    return fold(entity.text), entity.label


def find_named_bodies(sample: Sample) -> NamedBodies:
    """The body of each name of a sample, as if the image showed all of them.

    Persons are the entities whose label is one of a person, but for those that the words beside the
    name call a thing ("my dog Rex"). Things get a body only where the sample says what they are.
    """
    observations = sample.observations or ()
    size = sample.image.size if sample.image else None
    people = find_people(observations, size)
    if not people and not any(one.kind == "object" for one in observations):
        return NamedBodies()
    persons: dict[Name, Sequence[Spelling]] = {}
    things: dict[Name, tuple[Observation, ...]] = {}
    for name, entity in _names(sample).items():
        found = find_meant_things(sample, entity)
        if found.is_meant:
            things[name] = found.objects
        elif people and known_label(entity.label) == "PER":
            spellings = find_spellings(entity.text, observations, surname=True)
            persons[name] = [one for one in spellings if one.score >= LEAST_SPELLING]
    width = size.width if size else None
    return NamedBodies(
        people,
        assign_bodies(list(persons), people, persons, width),
        assign_things(things, width),
    )


def assign_things(
    objects: Mapping[Name, tuple[Observation, ...]],
    width: int | None,
    taken: Sequence[Observation] = (),
) -> dict[Name, Observation]:
    """One object for each name as far as they go; names that the same objects fit share them.

    Args:
        objects: That fit each name, in the order of the text.
        width: Of the image, in pixels, where it is known.
        taken: Objects that other names have.
    """
    assigned: dict[Name, Observation] = {}
    gone = {id(one) for one in taken}
    for fitting in dict.fromkeys(objects.values()):
        names = [name for name, own in objects.items() if own == fitting]
        found = assign_bodies(names, [one for one in fitting if id(one) not in gone], {}, width)
        gone |= {id(one) for one in found.values()}
        assigned |= found
    return assigned


def assign_bodies(
    names: Sequence[AnyName],
    bodies: Sequence[AnyBody],
    spellings: Mapping[AnyName, Sequence[Spelling]],
    width: int | None,
) -> dict[AnyName, AnyBody]:
    """The body of each name that gets one.

    Args:
        names: Distinct, in the order of the text.
        bodies: Of the image.
        spellings: Where the image spells each name; a name that is missing is not spelled.
        width: Of the image, in pixels; where it is not known, no body is more central.
    """
    assigned: dict[AnyName, int] = {}
    free = {place: body.box for place, body in enumerate(bodies)}
    for name, place in _written_on_bodies(names, bodies, spellings):
        if name not in assigned and place in free:
            assigned[name] = place
            del free[place]
    without_body = [name for name in names if name not in assigned]
    best = sorted(free, key=lambda place: _prominence_order(free[place], width))
    kept = sorted(best[: len(without_body)], key=lambda place: _left_to_right(free[place]))
    assigned |= dict(zip(without_body, kept, strict=False))
    return {name: bodies[place] for name, place in assigned.items()}


def is_written_on(text: Box, body: Box) -> bool:
    """Whether most of an OCR text lies on a body."""
    return common_area(text, body) > _LEAST_SHARE_ON_BODY * text.area


def _names(sample: Sample) -> dict[Name, Entity]:
    """The first entity of each name, in the order of the text."""
    names: dict[Name, Entity] = {}
    for entity in sorted(sample.entities or (), key=lambda one: one.span.start):
        names.setdefault(name_of(entity), entity)
    return names


def _written_on_bodies(
    names: Sequence[AnyName],
    bodies: Sequence[Boxed],
    spellings: Mapping[AnyName, Sequence[Spelling]],
) -> Iterator[tuple[AnyName, int]]:
    """Names with the places of the bodies that they are written on, the highest score first."""
    ranked = [
        (-spelling.score, order, -_largest_share(spellings[name], body.box), place)
        for order, name in enumerate(names)
        for spelling in spellings.get(name, ())
        for place, body in enumerate(bodies)
        if is_written_on(spelling.box, body.box)
    ]
    return ((names[order], place) for _, order, _, place in sorted(ranked))


def _largest_share(spellings: Sequence[Spelling], body: Box) -> float:
    return max(common_area(one.box, body) / one.box.area for one in spellings)


def _left_to_right(box: Box) -> tuple[float, ...]:
    return box.x_min + box.x_max, box.y_min


def _prominence_order(box: Box, width: int | None) -> tuple[float, ...]:
    return -_prominence(box, width), box.x_min, box.y_min


def _prominence(box: Box, width: int | None) -> float:
    if width is None:
        return box.area
    offset = ((box.x_min + box.x_max) / 2 / width - 0.5) / _CENTER_DEVIATION
    return box.area * math.exp(-offset * offset / 2)
