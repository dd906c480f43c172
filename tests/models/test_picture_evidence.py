from __future__ import annotations

import pytest
from factories import make_sample

from riveg.models.picture_evidence import FACE, LETTERING, NOBODY, PERSON, evidence_shifts
from riveg.types import Box, Observation

LOG_ODDS = {FACE: 1.0, PERSON: 0.5, NOBODY: -1.0, LETTERING: 10.0}
BOX = Box(0, 0, 90, 9)
SPANS = [(0, 1, "PER"), (2, 3, "person"), (4, 5, "ORG")]


def seen(*found: str) -> tuple[Observation, ...]:
    plain = {"face", "person"}
    return tuple(
        Observation(one, BOX, 0.9) if one in plain else Observation("text", BOX, 0.9, one)
        for one in found
    )


@pytest.mark.parametrize(
    ("found", "number", "label", "shift", "why"),
    [
        ((), 0, "PER", -1.0, "looked, and nobody there"),
        ((), 2, "ORG", 0.0, "no rule for organizations without their name"),
        (("face",), 0, "PER", 1.0, "a face for the first person"),
        (("face",), 1, "PER", 0.0, "none left for the second: neither gain nor loss"),
        (("face", "face"), 1, "PER", 1.0, "one each"),
        (("person",), 0, "PER", 0.5, "a body is less sure"),
        (("face", "person", "person"), 1, "PER", 0.5, "a face for one, a body for the other"),
        (("face",), 2, "ORG", 0.0, "faces say nothing of organizations"),
        (("face",), 0, "LOC", 0.0, "nor of what may be no person"),
        (("NASA",), 2, "ORG", 10.0, "the name is to be read"),
        (("NASDAQ",), 2, "ORG", 0.0, "another word"),
        (("face", "ANN"), 0, "PER", 11.0, "both at once"),
        (("ANN",), 0, "PER", 9.0, "a name without anybody"),
    ],
)
def test_rules(found: tuple[str, ...], number: int, label: str, shift: float, why: str) -> None:
    sample = make_sample("Ann and Bob at NASA", SPANS, observations=seen(*found))
    shifts = evidence_shifts(sample, (sample.entities or ())[number], LOG_ODDS)
    assert shifts[label] == shift, why


def test_nothing_where_nobody_looked() -> None:
    sample = make_sample("Ann and Bob at NASA", SPANS)
    assert evidence_shifts(sample, (sample.entities or ())[0], LOG_ODDS) == {}
