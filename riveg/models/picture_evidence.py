"""What faces, people and lettering in a picture say about who and what it shows, in log-odds.

Twitter-GMNER's pictures are no part of the training data, so these shifts of the prior odds are not
fitted to pictures: their size comes from captions of the same pictures (see the model's card), and
their direction is all that is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping

from riveg.models.entailment_features import LABELS, known_label
from riveg.models.name_spelling import find_spellings
from riveg.types import Entity, Sample

FACE = "face"
"""Shift of a person for whom there is a face in the picture."""
PERSON = "person"
"""Shift of a person for whom there is a body, but no face."""
NOBODY = "nobody"
"""Shift of a person where neither face nor body was found."""
LETTERING = "lettering"
"""Shift of anything whose name is to be read in the picture."""
SHIFTS = (FACE, PERSON, NOBODY, LETTERING)


def evidence_shifts(
    sample: Sample, entity: Entity, log_odds: Mapping[str, float]
) -> dict[str, float]:
    """Log-odds to add to the entity's by label; nothing where nobody looked at the picture.

    Faces are handed out to the persons of a text in its order: the second of two persons gains
    nothing by a single face, and loses nothing either.

    Args:
        sample: The post, with its observations.
        entity: One of its entities.
        log_odds: The size of each of :data:`SHIFTS`.
    """
    if sample.observations is None:
        return {}
    is_person = known_label(entity.label) == "PER"
    is_spelled = find_spellings(entity.text, sample.observations, surname=is_person)
    shifts = dict.fromkeys(LABELS, log_odds[LETTERING] if is_spelled else 0.0)
    finding = _finding(sample, entity)
    if finding is not None:
        shifts["PER"] += log_odds[finding]
    return shifts


def _finding(sample: Sample, entity: Entity) -> str | None:
    kinds = [found.kind for found in sample.observations or ()]
    faces, people = kinds.count("face"), kinds.count("person")
    rank = sum(
        known_label(one.label) == "PER" and one.span.start < entity.span.start
        for one in sample.entities or ()
    )
    if not faces and not people:
        return NOBODY
    if rank < faces:
        return FACE
    return PERSON if rank < people else None
