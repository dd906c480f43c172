"""What findings of plain vision weigh, derived from how often they were made in measured images.

The named person of a text is *shown* (has a box) or not. Each of the findings "a person with a
face", "a person without a face" and "nobody" adds the logarithm of how often it is made where the
person is shown, divided by how often where it is not:

- **Shown.** The box has the sizes that boxes of persons have in Twitter-GMNER. From photographs of
  COCO comes, by the size of the largest person, how often anybody is found, and how often with a
  face. Boxes under 2 % of the image are left out, as everywhere: such people do not count.
- **Not shown.** Either somebody else is in the image, who is found as the people of the photographs
  are, whatever their size; or nobody is, and a finding is a false alarm. How often somebody else is
  there is counted in Twitter-GMNER: a person without a box in a sample where another has one.

A thing that a name means ("my dog Rex") is treated alike: it is found or not, and where it is not
shown, another of its class is there as often as another person would be.

A caption tells of people, too. By how much is counted in Twitter-GMNER; that share of what the
detectors can tell is taken off where the caption is read, so that nothing counts twice.

All frequencies are smoothed by adding one to both outcomes (Laplace).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """So many of ``cases`` had what was looked for."""

    hits: int
    cases: int

    @property
    def rate(self) -> float:
        """The share of hits, one hit and one miss added, in (0, 1)."""
        return (self.hits + 1) / (self.cases + 2)


@dataclass(frozen=True, slots=True)
class SizeBand:
    """Persons of one range of sizes.

    Args:
        boxes: Persons of train whose largest box has such a size.
        found: Photographs whose largest person has such a size, and where anybody was found.
        faces: Of the latter, those where somebody was found with a face.
    """

    boxes: int
    found: Found
    faces: Found


@dataclass(frozen=True, slots=True)
class Sightings:
    """All counts that the log-odds are derived from.

    Args:
        small: Persons that fill 2 to 5 % of their image.
        middle: 5 to 15 %.
        large: More.
        peopled: Photographs with people of any size where anybody was found.
        peopled_faces: Of the latter, those where somebody was found with a face.
        empty: Photographs without people where anybody was found all the same.
        beside: Persons of train without a box in whose sample another person has one.
        captions_shown: Persons of train with a box whose caption speaks of people.
        captions_unshown: The same of persons without a box.
        things: Photographs with a thing of a class where that class was found, for all classes
            that things with names belong to.
        no_things: Photographs without such a thing where the class was found all the same.
    """

    small: SizeBand
    middle: SizeBand
    large: SizeBand
    peopled: Found
    peopled_faces: Found
    empty: Found
    beside: Found
    captions_shown: Found
    captions_unshown: Found
    things: Found
    no_things: Found


@dataclass(frozen=True, slots=True)
class DerivedLogOdds:
    """Log-odds of the findings; ``captioned``: which share of them where a caption is read."""

    face: float
    person: float
    nobody: float
    thing: float
    no_thing: float
    captioned: float


def derive_log_odds(counts: Sightings) -> DerivedLogOdds:
    """The log-odds that the counts give, rounded to two digits.

    >>> derive_log_odds(MEASURED).nobody < -2
    True
    """
    shown, unshown = _shown(counts), _unshown(counts)
    face, person, nobody = (
        math.log(one / other) for one, other in zip(shown, unshown, strict=True)
    )
    in_captions = _spread(counts.captions_shown.rate, counts.captions_unshown.rate)
    thing = counts.things.rate
    other = counts.beside.rate * thing + (1 - counts.beside.rate) * counts.no_things.rate
    return DerivedLogOdds(
        face=round(face, 2),
        person=round(person, 2),
        nobody=round(nobody, 2),
        thing=round(math.log(thing / other), 2),
        no_thing=round(math.log((1 - thing) / (1 - other)), 2),
        captioned=round(1 - in_captions / (face - nobody), 2),
    )


_Shares = tuple[float, float, float]
"""Shares of images with a face, a person without one, and nobody: they sum to 1."""


def _shown(counts: Sightings) -> _Shares:
    bands = (counts.small, counts.middle, counts.large)
    # Those of 5 % and more are found alike (all were), so that their photographs are put together.
    hits = counts.middle.found.hits + counts.large.found.hits
    cases = counts.middle.found.cases + counts.large.found.cases
    found = (counts.small.found.rate, *[Found(hits, cases).rate] * 2)
    weights = [band.boxes / sum(one.boxes for one in bands) for band in bands]
    anybody = sum(weight * rate for weight, rate in zip(weights, found, strict=True))
    face = sum(
        weight * rate * band.faces.rate
        for weight, rate, band in zip(weights, found, bands, strict=True)
    )
    return face, anybody - face, 1 - anybody


def _unshown(counts: Sightings) -> _Shares:
    other, alarm = counts.beside.rate, counts.empty.rate
    faces = counts.peopled_faces.rate
    # A false alarm is as often a face as a body: none was seen, so nothing tells them apart.
    face = other * counts.peopled.rate * faces + (1 - other) * alarm / 2
    person = other * counts.peopled.rate * (1 - faces) + (1 - other) * alarm / 2
    return face, person, 1 - face - person


def _spread(shown: float, unshown: float) -> float:
    """By how much the log-odds differ between a finding and its absence."""
    return math.log(shown / unshown) - math.log((1 - shown) / (1 - unshown))


MEASURED = Sightings(
    small=SizeBand(boxes=117, found=Found(8, 9), faces=Found(1, 8)),
    middle=SizeBand(boxes=342, found=Found(9, 9), faces=Found(1, 9)),
    large=SizeBand(boxes=2724, found=Found(17, 17), faces=Found(15, 17)),
    peopled=Found(34, 40),
    peopled_faces=Found(17, 34),
    empty=Found(0, 24),
    beside=Found(406, 1753),
    captions_shown=Found(2296, 3266),
    captions_unshown=Found(907, 1753),
    things=Found(22, 27),
    no_things=Found(5, 1429),
)
"""Counts by ``python benchmarks/sightings.py``: 64 photographs of COCO val2017, the shipped
observer, and the train split of Twitter-GMNER v2.0."""
