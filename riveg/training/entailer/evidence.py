"""What people, things and OCR text in the image weigh: given by the configuration, not fitted."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from riveg.nn.entailment_classifier import Limit, Shift
from riveg.nn.image_evidence import (
    FACE,
    LONG_OCR_TEXT,
    NAME_ALONE,
    NO_THING,
    NOBODY,
    OCR_TEXT,
    PERSON,
    PERSON_OCR_TEXT,
    THING,
)

_FINDINGS = {
    FACE: "somebody with a face is found for a person",
    PERSON: "somebody without a face is found for a person",
    NOBODY: "nobody is found, nor a person's name read in a short line,",
    THING: "a thing of the class that the words beside the name say is found",
    NO_THING: "no thing of that class is found, nor the name read,",
    OCR_TEXT: "the name of a place, an organization or a thing is read in a short line",
    LONG_OCR_TEXT: "such a name is read in long lines only",
    PERSON_OCR_TEXT: "a person's name is read in a short line",
    NAME_ALONE: "a person's name is read in a short line and nobody is found",
}
_CHOSEN = frozenset({NAME_ALONE})


class EvidenceConfig(BaseModel):
    """Log-odds that findings of plain vision add where no caption is read.

    ``face``, ``person``: for a person, somebody with or without a face; ``nobody``: neither of
    them, nor the person's name; ``thing``, ``no_thing``: a thing of the class that the words beside
    the name say, or none and no name; ``lettering``, ``person_lettering``: a short line of OCR text
    has the name of anything but a person, or of a person; ``long_lettering``: long lines only, not
    of a person; ``name_alone``: a short line has the name of a person, and nobody is found.
    ``captioned``, in [0, 1], scales those of people and things where the model reads the caption:
    captions mention people, but seldom OCR text.

    ``nobody_most``, ``lettering_least``: bounds on P, in [0, 1]: of a person where nobody is found,
    and of an organization or a thing whose name is plainly read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    face: float = Field(ge=0)
    person: float = Field(ge=0)
    nobody: float = Field(le=0)
    thing: float = Field(default=0.0, ge=0)
    no_thing: float = Field(default=0.0, le=0)
    lettering: float = Field(ge=0)
    long_lettering: float = Field(default=0.0, ge=0)
    person_lettering: float = Field(ge=0)
    name_alone: float = Field(default=0.0, ge=0)
    nobody_most: float = Field(default=1.0, ge=0, le=1)
    lettering_least: float = Field(default=0.0, ge=0, le=1)
    captioned: float = Field(ge=0, le=1)

    def shifts(self, *, captioned: bool) -> dict[str, Shift]:
        """The shifts of the model that reads captions, or of the one that does not."""
        scale = self.captioned if captioned else 1.0
        return {
            FACE: _shift(FACE, self.face, scale),
            PERSON: _shift(PERSON, self.person, scale),
            NOBODY: _shift(NOBODY, self.nobody, scale),
            THING: _shift(THING, self.thing, scale),
            NO_THING: _shift(NO_THING, self.no_thing, scale),
            OCR_TEXT: _shift(OCR_TEXT, self.lettering),
            LONG_OCR_TEXT: _shift(LONG_OCR_TEXT, self.long_lettering),
            PERSON_OCR_TEXT: _shift(PERSON_OCR_TEXT, self.person_lettering),
            NAME_ALONE: _shift(NAME_ALONE, self.name_alone),
        }

    def limits(self) -> dict[str, Limit]:
        """The bounds on P, by finding."""
        return {
            NOBODY: Limit(
                self.nobody_most,
                "P of a person is at most this where nobody is found, whatever the text says: "
                "somebody is there whom the detectors missed; see the card",
            ),
            OCR_TEXT: Limit(
                self.lettering_least,
                "P of an organization or a thing whose whole name, of at least four letters, is "
                "read in a short line is at least this: so many of such names have a box",
            ),
        }


def _shift(name: str, log_odds: float, scale: float = 1.0) -> Shift:
    times = f"{math.exp(log_odds):.2g}"
    origin = "a choice, not measured; see the card" if name in _CHOSEN else "see the card"
    reason = f"{_FINDINGS[name]} {times} times as often where the picture shows it; {origin}"
    if scale != 1:
        reason += f"; of {log_odds:+g} a share of {scale:g}, since the caption tells the rest"
    return Shift(round(log_odds * scale, 3), reason)
