"""How much faces, people and OCR text shift the log-odds: set by hand, not fitted."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from riveg.nn.entailment_classifier import Shift
from riveg.nn.image_evidence import FACE, NOBODY, OCR_TEXT, PERSON, PERSON_OCR_TEXT

_FINDINGS = {
    FACE: "a face is found for a person",
    PERSON: "a body without a face is found for a person",
    NOBODY: "neither a face nor a body is found, nor a person's name read,",
    OCR_TEXT: "the name of a place, an organization or a thing is read",
    PERSON_OCR_TEXT: "a person's name is read",
}
_JUDGED = "set by judgement from plausible detection rates, not measured: no pictures were at hand"


class EvidenceConfig(BaseModel):
    """Log-odds that findings of plain vision add where no caption is read.

    ``face``, ``person``: for a person, a face, or a body without a face; ``nobody``: neither of
    them, nor the person's name; ``lettering``, ``person_lettering``: the OCR text has the name of
    anything but a person, or of a person. ``captioned``, in [0, 1], scales the first three where
    the model reads the caption: captions mention people, but seldom OCR text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    face: float = Field(ge=0)
    person: float = Field(ge=0)
    nobody: float = Field(le=0)
    lettering: float = Field(ge=0)
    person_lettering: float = Field(ge=0)
    captioned: float = Field(ge=0, le=1)

    def shifts(self, *, captioned: bool) -> dict[str, Shift]:
        """The shifts of the model that reads captions, or of the one that does not."""
        scale = self.captioned if captioned else 1.0
        return {
            FACE: _shift(FACE, self.face, scale),
            PERSON: _shift(PERSON, self.person, scale),
            NOBODY: _shift(NOBODY, self.nobody, scale),
            OCR_TEXT: _shift(OCR_TEXT, self.lettering),
            PERSON_OCR_TEXT: _shift(PERSON_OCR_TEXT, self.person_lettering),
        }


def _shift(name: str, log_odds: float, scale: float = 1.0) -> Shift:
    times = f"{math.exp(log_odds):.2g}"
    reason = f"{_FINDINGS[name]} {times} times as often where the picture shows it; {_JUDGED}"
    if scale != 1:
        reason += f"; of {log_odds:+g} a share of {scale:g}, since the caption tells the rest"
    return Shift(round(log_odds * scale, 3), reason)
