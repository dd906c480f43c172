from __future__ import annotations

import pytest
from helpers.factories import make_sample

from riveg.nn.image_evidence import (
    FACE,
    LONG_OCR_TEXT,
    NAME_ALONE,
    NOBODY,
    OCR_TEXT,
    PERSON,
    PERSON_OCR_TEXT,
    Bounds,
    evidence_bounds,
    evidence_shifts,
)
from riveg.types import Box, Observation

LOG_ODDS = {
    **{FACE: 1.0, PERSON: 0.5, NOBODY: -1.0, OCR_TEXT: 10.0, LONG_OCR_TEXT: 3.0},
    **{PERSON_OCR_TEXT: 8.0, NAME_ALONE: 7.0},
}
PROBABILITIES = {NOBODY: 0.2, OCR_TEXT: 0.6}
LONG = "what they said about {} in the news of last Monday"
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
        (("face", "ANN"), 0, "PER", 9.0, "both at once"),
        (("ANN",), 0, "PER", 7.0, "a name that is read makes up for nobody"),
        ((LONG.format("Ann"),), 0, "PER", -1.0, "but not in running text"),
        ((LONG.format("Ann"), "face"), 0, "PER", 1.0, "which says nothing of people"),
        ((LONG.format("NASA"),), 2, "ORG", 3.0, "and little of others"),
        ((LONG.format("NASA"), "NASA"), 2, "ORG", 10.0, "the shortest line counts"),
        (("NASA",), 0, "PER", -1.0, "somebody else's name does not"),
        (("ANN",), 0, "ORG", 10.0, "as what it may be too"),
    ],
)
def test_rules(found: tuple[str, ...], number: int, label: str, shift: float, why: str) -> None:
    sample = make_sample("Ann and Bob at NASA", SPANS, observations=seen(*found))
    shifts = evidence_shifts(sample, (sample.entities or ())[number], LOG_ODDS)
    assert shifts[label] == shift, why


@pytest.mark.parametrize(
    ("name", "read", "shift", "why"),
    [
        ("WHO", "THE BEATLES THE WHO", 5.0, "three letters among others mean little"),
        ("WHO", "WHO", 10.0, "alone in their line they are a title"),
        ("NASA", "FLY WITH NASA", 10.0, "four letters are enough anywhere"),
        ("EU", "US", 0.0, "another name"),
    ],
)
def test_a_very_short_name_among_others_counts_half(
    name: str, read: str, shift: float, why: str
) -> None:
    sample = make_sample(name, [(0, 1, "ORG")], observations=seen(read))
    assert evidence_shifts(sample, (sample.entities or ())[0], LOG_ODDS)["ORG"] == shift, why


@pytest.mark.parametrize(
    ("found", "number", "bounds", "why"),
    [
        ((), 0, {"PER": Bounds(high=0.2)}, "nobody there"),
        ((), 2, {"PER": Bounds(high=0.2)}, "if it is a person"),
        (("face",), 0, {}, "somebody"),
        (("face",), 1, {}, "somebody, though somebody else"),
        (("ANN",), 0, {}, "too short"),
        (("NASA",), 2, dict.fromkeys(("ORG", "OTHER"), Bounds(low=0.6)), "plainly read"),
        ((LONG.format("NASA"),), 2, {"PER": Bounds(high=0.2)}, "running text"),
    ],
)
def test_bounds(found: tuple[str, ...], number: int, bounds: dict[str, Bounds], why: str) -> None:
    sample = make_sample("Ann and Bob at NASA", SPANS, observations=seen(*found))
    entity = (sample.entities or ())[number]
    assert evidence_bounds(sample, entity, PROBABILITIES) == bounds, why
    assert evidence_bounds(sample, entity, {}) == {}, "a model without bounds"


def test_a_misread_name_is_not_read_plainly() -> None:
    sample = make_sample("Frankenstein", [(0, 1, "OTHER")], observations=seen("FRANKENSTE1N"))
    (entity,) = sample.entities or ()
    assert evidence_shifts(sample, entity, LOG_ODDS)["OTHER"] == 10
    assert evidence_bounds(sample, entity, PROBABILITIES) == {}


def test_a_pet_is_bound_by_no_people() -> None:
    sample = make_sample("my dog Rex", [(2, 3, "PER")], observations=())
    assert evidence_bounds(sample, (sample.entities or ())[0], PROBABILITIES) == {}


def test_a_name_said_twice_is_one_person() -> None:
    spans = [(0, 1, "PER"), (1, 2, "PER"), (2, 3, "PER")]
    sample = make_sample("Ann ann Bob", spans, observations=seen("face"))
    shifts = [evidence_shifts(sample, one, LOG_ODDS)["PER"] for one in sample.entities or ()]
    assert shifts == [1.0, 1.0, 0.0]


def test_nothing_where_nobody_looked() -> None:
    sample = make_sample("Ann and Bob at NASA", SPANS)
    assert evidence_shifts(sample, (sample.entities or ())[0], LOG_ODDS) == {}
    assert evidence_bounds(sample, (sample.entities or ())[0], PROBABILITIES) == {}
