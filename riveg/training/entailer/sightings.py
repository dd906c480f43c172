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

**Names that are written** are counted in long captions, which quote what they read in a picture:
how many of the names that stand in such a quote have a box, against all names of their types. A
quote of up to eight words is a title, a sign or a logo; a longer one is running text.

**Bounds.** Who is not seen can be shown only if somebody is there whom the detectors missed::

    P(shown | nobody seen) <= P(somebody there | nobody seen) = S M / (S M + (1 - S) (1 - F))

S is the share of named persons in whose picture anybody is, F the rate of false alarms, and M the
highest rate of misses that the photographs allow at 95 % (Clopper and Pearson). It is used as a
bound for every text: a text may tell who is there, but it does not make a detector miss more. A
name of an organization or a thing that is plainly read has at least the share of boxes that such
names have.
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

    @property
    def lowest(self) -> float:
        """The lowest share that makes so many hits no rarer than 5 % (Clopper and Pearson)."""
        low, high = 0.0, self.hits / self.cases if self.cases else 0.0
        for _ in range(40):
            middle = (low + high) / 2
            if _is_rare(self.hits, self.cases, middle):
                low = middle
            else:
                high = middle
        return low


_RARE = 0.05
_NOTHING = 1e-12
"""Chances that add nothing: those of more hits are smaller still."""


def _is_rare(hits: int, cases: int, rate: float) -> bool:
    """Whether the chance of that many hits or more is below 5 %, for a rate below their share."""
    if rate <= 0:
        return hits > 0
    ways = math.lgamma(cases + 1) - math.lgamma(hits + 1) - math.lgamma(cases - hits + 1)
    chance = math.exp(ways + hits * math.log(rate) + (cases - hits) * math.log1p(-rate))
    total, number = chance, hits
    while number < cases and total < _RARE and chance > _NOTHING:
        chance *= (cases - number) / (number + 1) * rate / (1 - rate)
        total, number = total + chance, number + 1
    return total < _RARE


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
        persons: Persons of train; hits have a box.
        named: Organizations and things of train; hits have a box.
        quoted: Those of ``named`` that a caption quotes in up to eight words.
        long_quoted: Those that it quotes in more words only.
        quoted_persons: Persons that a caption quotes in up to eight words.
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
    persons: Found
    named: Found
    quoted: Found
    long_quoted: Found
    quoted_persons: Found


@dataclass(frozen=True, slots=True)
class DerivedLogOdds:
    """Log-odds of the findings, and bounds on P.

    ``captioned``: which share of those of people and things where a caption is read.
    ``nobody_most``: the bound of a person where nobody is seen; ``lettering_least``: that of an
    organization or a thing whose name is plainly read.
    """

    face: float
    person: float
    nobody: float
    thing: float
    no_thing: float
    captioned: float
    lettering: float
    long_lettering: float
    person_lettering: float
    nobody_most: float
    lettering_least: float


def derive_log_odds(counts: Sightings) -> DerivedLogOdds:
    """The log-odds that the counts give, rounded to two digits, and the bounds (the upper one up).

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
        lettering=round(_ratio(counts.quoted, counts.named), 2),
        long_lettering=round(_ratio(counts.long_quoted, counts.named), 2),
        person_lettering=round(_ratio(counts.quoted_persons, counts.persons), 2),
        nobody_most=math.ceil(100 * unseen_somebody(counts, most_missed(counts))) / 100,
        lettering_least=round(counts.quoted.rate, 2),
    )


def most_missed(counts: Sightings) -> float:
    """The highest rate at which shown people are missed that the photographs allow at 95 %."""
    small, large = counts.small, _large(counts)
    boxes = counts.small.boxes + counts.middle.boxes + counts.large.boxes
    share = small.boxes / boxes
    return 1 - share * small.found.lowest - (1 - share) * large.lowest


def unseen_somebody(counts: Sightings, missed: float) -> float:
    """P(somebody is in the image of a named person | nobody was seen), in [0, 1].

    Args:
        counts: All counts.
        missed: The rate at which people are missed, in [0, 1].
    """
    shown = counts.persons.rate
    there = shown + (1 - shown) * counts.beside.rate
    unseen, empty = there * missed, (1 - there) * (1 - counts.empty.rate)
    return unseen / (unseen + empty)


def _large(counts: Sightings) -> Found:
    """People of 5 % and more: found alike (all were), so their photographs are put together."""
    middle, large = counts.middle.found, counts.large.found
    return Found(middle.hits + large.hits, middle.cases + large.cases)


def _ratio(found: Found, usual: Found) -> float:
    """Log of the odds of what was found to the usual odds: the logarithm of a likelihood ratio."""
    return _log_odds(found.rate) - _log_odds(usual.rate)


def _log_odds(rate: float) -> float:
    return math.log(rate / (1 - rate))


_Shares = tuple[float, float, float]
"""Shares of images with a face, a person without one, and nobody: they sum to 1."""


def _shown(counts: Sightings) -> _Shares:
    bands = (counts.small, counts.middle, counts.large)
    found = (counts.small.found.rate, *[_large(counts).rate] * 2)
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
    persons=Found(3266, 5019),
    named=Found(1299, 4842),
    quoted=Found(37, 64),
    long_quoted=Found(9, 22),
    quoted_persons=Found(33, 44),
)
"""Counts by ``python benchmarks/sightings.py``: 64 photographs of COCO val2017, the shipped
observer, and the train split of Twitter-GMNER v2.0."""
