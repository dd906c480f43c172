"""How much faces, people and lettering shift the odds, judged from captions of the pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from riveg.models.entailment_classifier import Shift
from riveg.models.entailment_features import (
    caption_words,
    count_people,
    known_label,
    mention_words,
)
from riveg.models.picture_evidence import FACE, LETTERING, NOBODY, PERSON
from riveg.training.entailer_data import JudgedSample


class EvidenceTrust(BaseModel):
    """How much of a caption's log-likelihood ratio a finding of plain vision is worth, in [0, 1].

    ``captioned`` scales all of them where the model reads the caption: the caption has told a part
    of it already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    face: float = Field(default=0.8, ge=0, le=1)
    person: float = Field(default=0.5, ge=0, le=1)
    nobody: float = Field(default=0.5, ge=0, le=1)
    lettering: float = Field(default=0.8, ge=0, le=1)
    captioned: float = Field(default=0.5, ge=0, le=1)


def shifts_from_captions(
    judged: Sequence[JudgedSample], trust: EvidenceTrust, *, captioned: bool
) -> Mapping[str, Shift]:
    """Shifts of the log-odds by kind of evidence, each with its reason.

    A caption that speaks of people or names one stands in for faces, one that holds the whole name
    for lettering.
    """
    people: Counter[tuple[bool, bool]] = Counter()
    named: Counter[tuple[bool, bool]] = Counter()
    for one in judged:
        words = caption_words(one.sample.caption or "")
        if not words:
            continue
        entities = one.sample.entities or ()
        own = [set(mention_words(one.sample, entity)) for entity in entities]
        persons = [known_label(entity.label) == "PER" for entity in entities]
        has_people = count_people(words) > 0 or any(
            is_person and name & set(words) for is_person, name in zip(persons, own, strict=True)
        )
        for name, is_person, shown in zip(own, persons, one.shown, strict=True):
            named[name <= set(words), shown] += 1
            if is_person:
                people[has_people, shown] += 1
    scale = trust.captioned if captioned else 1.0
    seen, unseen = _log_ratio(people, True), _log_ratio(people, False)
    spelt = _log_ratio(named, True)
    return {
        FACE: _shift(seen, trust.face, scale, "captions of a person's picture speak of people"),
        PERSON: _shift(seen, trust.person, scale, "as face; the people detector errs more often"),
        NOBODY: _shift(
            unseen, trust.nobody, scale, "captions speak of nobody; detectors miss many"
        ),
        LETTERING: _shift(spelt, trust.lettering, scale, "captions hold the entity's whole name"),
    }


def _log_ratio(counts: Mapping[tuple[bool, bool], int], finding: bool) -> float:
    """Log of P(finding | shown) / P(finding | not shown), each count raised by one."""
    shares = []
    for shown in (True, False):
        with_finding = counts.get((finding, shown), 0) + 1
        shares.append(with_finding / (with_finding + counts.get((not finding, shown), 0) + 1))
    return math.log(shares[0] / shares[1])


def _shift(log_ratio: float, trust: float, scale: float, reason: str) -> Shift:
    note = f"{reason}: log-likelihood ratio {log_ratio:.2f} in train, trusted {trust * scale:.2f}"
    return Shift(round(log_ratio * trust * scale, 3), note)
