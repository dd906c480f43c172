"""How people, things and OCR text in an image shift the odds that it shows an entity.

The shifts are not fitted, because training had no images: their sizes stand in the training
configuration and are derived from counts (see the model's card).

Two findings also bound P, whatever the text says: where nobody is seen, P of a person is at most
what undetected people leave; a plainly read name of an organization or a thing is likelier in the
image than not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from riveg.nn.entailment_features import LABELS, known_label
from riveg.nn.named_bodies import LEAST_SPELLING, NamedBodies, find_named_bodies, name_of
from riveg.nn.named_things import find_meant_things, find_things
from riveg.types import Entity, Observation, Sample
from riveg.vision.plain.names_in_ocr import Spelling, find_spellings

FACE = "face"
"""Shift of a person for whom there is somebody with a face in the image."""
PERSON = "person"
"""Shift of a person for whom there is somebody, but without a face."""
NOBODY = "nobody"
"""Shift of a person where nobody that counts was found, nor the name in a short line."""
THING = "thing"
"""Shift of an entity that is a thing by the words beside its name, where such a thing was found."""
NO_THING = "no-thing"
"""The same where none was found, nor a spelling of the name."""
OCR_TEXT = "lettering"
"""Shift of an entity that is no person and whose name is written in a short line."""
PERSON_OCR_TEXT = "person-lettering"
"""Shift of a person whose name is written in a short line, beside what people shift."""
NAME_ALONE = "name-alone"
"""The same where nobody that counts was found; it takes the place of :data:`NOBODY`."""
LONG_OCR_TEXT = "long-lettering"
"""Shift of an entity that is no person and whose name is written in long lines only."""
SHIFTS = (
    *(FACE, PERSON, NOBODY, THING, NO_THING),
    *(OCR_TEXT, LONG_OCR_TEXT, PERSON_OCR_TEXT, NAME_ALONE),
)

BOUNDS = (NOBODY, OCR_TEXT)
"""Findings that bound P: from above for a person, from below for a name that is plainly read."""

LONG_LINE = 8
"""Lines of more words are running text, which speaks of much that the image does not show."""

_SHORT = 3
"""Names of up to so many letters occur in many lines that do not mean them."""

_BOXED_AS_WRITTEN = frozenset({"ORG", "OTHER"})
"""Labels whose boxes are often those of written names. Persons have boxes as people are, and places
that are written have seldom any."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds on P, both in [0, 1]."""

    low: float = 0.0
    high: float = 1.0

    def apply(self, probability: float) -> float:
        """The probability, moved to the nearer bound if it lies outside."""
        return min(max(probability, self.low), self.high)


def evidence_shifts(
    sample: Sample,
    entity: Entity,
    log_odds: Mapping[str, float],
    bodies: NamedBodies | None = None,
) -> dict[str, float]:
    """Log-odds to add for an entity, by label; none where the image was not looked at.

    A name is raised for the body that it has by the rule of :mod:`riveg.nn.named_bodies`. A name
    that no body is left for gains nothing, and loses nothing. A pet that is labelled as a person is
    a thing.

    Args:
        sample: The sample, with its observations.
        entity: One of its entities.
        log_odds: The size of each of :data:`SHIFTS`.
        bodies: Of the names of the whole text, where the sample is a part of it.
    """
    if sample.observations is None:
        return {}
    spellings = _spellings(entity, sample.observations)
    spelled = _spelled(entity, spellings)
    written = OCR_TEXT if _in_short_lines(spellings) else LONG_OCR_TEXT
    shifts = dict.fromkeys(LABELS, spelled * log_odds[written])
    bodies = bodies or find_named_bodies(sample)
    finding = _finding(bodies, entity)
    is_read = written == OCR_TEXT
    name = NAME_ALONE if finding == NOBODY else PERSON_OCR_TEXT
    shifts["PER"] = spelled * log_odds[name] if is_read else 0.0
    things = find_meant_things(sample, entity)
    if things.is_meant:
        is_seen = name_of(entity) in bodies.things
        amount = log_odds[THING] if is_seen else 0.0
        if not things.objects and not spelled:
            amount = log_odds[NO_THING]
        return {label: shift + amount for label, shift in shifts.items()}
    if finding is not None and not (finding == NOBODY and is_read):
        shifts["PER"] += log_odds[finding]
    return shifts


def evidence_bounds(
    sample: Sample,
    entity: Entity,
    probabilities: Mapping[str, float],
    bodies: NamedBodies | None = None,
) -> dict[str, Bounds]:
    """Bounds on P of an entity taken as a label; labels that are not in the answer have none.

    A name is read plainly if all of it stands in a short line, letter by letter, and has at least
    four letters.

    Args:
        sample: The sample, with its observations.
        entity: One of its entities.
        probabilities: The bounds of :data:`BOUNDS`; what is missing does not bound.
        bodies: Of the names of the whole text, where the sample is a part of it.
    """
    if sample.observations is None:
        return {}
    spellings = _spellings(entity, sample.observations)
    bounds: dict[str, Bounds] = {}
    if OCR_TEXT in probabilities and _is_plainly_read(entity, spellings):
        bounds |= dict.fromkeys(_BOXED_AS_WRITTEN, Bounds(low=probabilities[OCR_TEXT]))
    finding = _finding(bodies or find_named_bodies(sample), entity)
    is_nobody = not _in_short_lines(spellings) and finding == NOBODY
    if NOBODY in probabilities and is_nobody and not find_meant_things(sample, entity).is_meant:
        bounds["PER"] = Bounds(high=probabilities[NOBODY])
    return bounds


def is_supported(sample: Sample, entity: Entity, bodies: NamedBodies) -> bool:
    """Whether something seen in the image can be the entity: its body, a thing, or its name.

    Args:
        sample: The sample, with its observations.
        entity: One of its entities.
        bodies: Of the names of the whole text.
    """
    name = name_of(entity)
    if name in bodies.persons or name in bodies.things:
        return True
    things = find_things(sample, entity)
    if things.objects and not things.is_meant:
        return True
    return any(one.score >= LEAST_SPELLING for one in _spellings(entity, sample.observations or ()))


def _spellings(entity: Entity, observations: Sequence[Observation]) -> tuple[Spelling, ...]:
    is_person = known_label(entity.label) == "PER"
    return find_spellings(entity.text, observations, surname=is_person)


def _spelled(entity: Entity, spellings: Sequence[Spelling]) -> float:
    """How much of the shift for OCR text the entity gets, in [0, 1]."""
    if not spellings:
        return 0.0
    fills = any(one.fills_lines for one in spellings)
    return 1.0 if fills or _letters(entity) > _SHORT else 0.5


def _in_short_lines(spellings: Sequence[Spelling]) -> bool:
    return any(one.line_words <= LONG_LINE for one in spellings)


def _is_plainly_read(entity: Entity, spellings: Sequence[Spelling]) -> bool:
    plain = any(one.likeness == 1 and one.line_words <= LONG_LINE for one in spellings)
    return plain and _letters(entity) > _SHORT


def _letters(entity: Entity) -> int:
    return sum(map(str.isalnum, entity.text))


def _finding(bodies: NamedBodies, entity: Entity) -> str | None:
    if not bodies.people:
        return NOBODY
    person = bodies.persons.get(name_of(entity))
    if person is None:
        return None
    return FACE if person.has_face else PERSON
