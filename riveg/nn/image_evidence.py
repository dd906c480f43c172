"""How people, things and OCR text in an image shift the odds that it shows an entity.

The shifts are not fitted, because training had no images: their sizes stand in the training
configuration. Those of people and things are derived from counts, those of OCR text are set by
judgement (see the model's card).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from riveg.nn.entailment_features import LABELS, known_label
from riveg.nn.named_things import find_things
from riveg.text.folding import fold
from riveg.types import Entity, Observation, Sample
from riveg.vision.plain.names_in_ocr import find_spellings
from riveg.vision.plain.people import find_people

FACE = "face"
"""Shift of a person for whom there is somebody with a face in the image."""
PERSON = "person"
"""Shift of a person for whom there is somebody, but without a face."""
NOBODY = "nobody"
"""Shift of a person where nobody that counts and no spelling of the name was found."""
THING = "thing"
"""Shift of an entity that is a thing by the words beside its name, where such a thing was found."""
NO_THING = "no-thing"
"""The same where none was found, nor a spelling of the name."""
OCR_TEXT = "lettering"
"""Shift of an entity that is no person and whose name is written in the image."""
PERSON_OCR_TEXT = "person-lettering"
"""Shift of a person whose name is written in the image."""
SHIFTS = (FACE, PERSON, NOBODY, THING, NO_THING, OCR_TEXT, PERSON_OCR_TEXT)

_SHORT = 3
"""Names of up to so many letters occur in many lines that do not mean them."""


def evidence_shifts(
    sample: Sample, entity: Entity, log_odds: Mapping[str, float]
) -> dict[str, float]:
    """Log-odds to add for an entity, by label; none where the image was not looked at.

    The persons of a text get the people of the image in the text's order, those with a face first:
    the second of two persons gains nothing from a single face, and loses nothing. A pet that is
    labelled as a person is a thing.

    Args:
        sample: The sample, with its observations.
        entity: One of its entities.
        log_odds: The size of each of :data:`SHIFTS`.
    """
    if sample.observations is None:
        return {}
    spelled = _spelled(entity, sample.observations)
    shifts = dict.fromkeys(LABELS, spelled * log_odds[OCR_TEXT])
    shifts["PER"] = spelled * log_odds[PERSON_OCR_TEXT]
    things = find_things(sample, entity)
    if things.is_meant:
        thing = THING if things.objects else NO_THING
        amount = 0.0 if thing == NO_THING and spelled else log_odds[thing]
        return {label: shift + amount for label, shift in shifts.items()}
    finding = _finding(sample, entity)
    if finding is not None and not (finding == NOBODY and spelled):
        shifts["PER"] += log_odds[finding]
    return shifts


def _spelled(entity: Entity, observations: Sequence[Observation]) -> float:
    """How much of the shift for OCR text the entity gets, in [0, 1]."""
    is_person = known_label(entity.label) == "PER"
    spellings = find_spellings(entity.text, observations, surname=is_person)
    if not spellings:
        return 0.0
    is_short = sum(map(str.isalnum, entity.text)) <= _SHORT
    return 0.5 if is_short and not any(one.fills_lines for one in spellings) else 1.0


def _finding(sample: Sample, entity: Entity) -> str | None:
    people = find_people(sample.observations or (), sample.image.size if sample.image else None)
    if not people:
        return NOBODY
    rank = _rank(sample, entity)
    if rank < sum(one.has_face for one in people):
        return FACE
    return PERSON if rank < len(people) else None


def _rank(sample: Sample, entity: Entity) -> int:
    """How many other persons the text names before this one; a name counts once."""
    name = fold(entity.text)
    persons = [one for one in sample.entities or () if known_label(one.label) == "PER"]
    start = min(
        [one.span.start for one in persons if fold(one.text) == name] or [entity.span.start]
    )
    before = {fold(one.text) for one in persons if one.span.start < start}
    return len(before)
