"""What findings weigh, by counts: worked by hand, and what has to hold for any counts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.training.entailer.sightings import (
    MEASURED,
    DerivedLogOdds,
    Found,
    Sightings,
    SizeBand,
    derive_log_odds,
    unseen_somebody,
)


def even(rate: float) -> Found:
    """So many cases that adding one to both outcomes does not matter."""
    return Found(round(rate * 100_000), 100_000)


BAND = SizeBand(boxes=100, found=even(0.9), faces=even(0.5))
ROUND = Sightings(
    small=replace(BAND, boxes=0),
    middle=BAND,
    large=BAND,
    peopled=even(0.8),
    peopled_faces=even(0.5),
    empty=even(0.1),
    beside=even(0.25),
    captions_shown=even(0.75),
    captions_unshown=even(0.5),
    things=even(0.8),
    no_things=even(0.04),
    persons=even(0.6),
    named=even(0.25),
    quoted=even(0.5),
    long_quoted=even(0.25),
    quoted_persons=even(0.75),
)


def test_worked_by_hand() -> None:
    # Shown: 0.45 with a face, 0.45 without, 0.1 nobody. Not shown: somebody else in a quarter, of
    # whom 0.8 are found; a false alarm in a tenth of the rest: 0.1375, 0.1375, 0.725.
    face, nobody = math.log(0.45 / 0.1375), math.log(0.1 / 0.725)
    assert derive_log_odds(ROUND) == DerivedLogOdds(
        face=round(face, 2),
        person=round(face, 2),
        nobody=round(nobody, 2),
        thing=round(math.log(0.8 / 0.23), 2),
        no_thing=round(math.log(0.2 / 0.77), 2),
        captioned=round(1 - math.log(3) / (face - nobody), 2),
        lettering=round(math.log(3), 2),
        long_lettering=0.0,
        person_lettering=round(math.log(2), 2),
        # Somebody is there in 0.6 + 0.4 / 4, a tenth of whom is missed: 0.07 / 0.34, rounded up.
        nobody_most=0.21,
        lettering_least=0.5,
    )


@pytest.mark.parametrize(("hits", "rate"), [(0, 1 / 6), (2, 0.5), (4, 5 / 6)])
def test_no_rate_is_certain(hits: int, rate: float) -> None:
    assert Found(hits, 4).rate == pytest.approx(rate)


@pytest.mark.slow
@settings(deadline=None)
@given(st.floats(0.5, 0.98), st.floats(0.005, 0.015))
def test_the_better_the_detector_the_more_an_empty_image_says(recall: float, more: float) -> None:
    def nobody(rate: float) -> float:
        band = replace(BAND, found=even(rate))
        return derive_log_odds(replace(ROUND, middle=band, large=band)).nobody

    assert nobody(recall + more) < nobody(recall) < 0


@pytest.mark.slow
@settings(deadline=None)
@given(st.floats(0.0, 0.4), st.floats(0.05, 0.3))
def test_the_more_others_there_are_the_less_somebody_says(share: float, more: float) -> None:
    def face(rate: float) -> float:
        return derive_log_odds(replace(ROUND, beside=even(rate))).face

    assert face(share + more) < face(share)


def test_what_captions_do_not_tell_is_not_taken_off() -> None:
    same = even(0.6)
    counts = replace(ROUND, captions_shown=same, captions_unshown=same)
    assert derive_log_odds(counts).captioned == 1


def test_a_face_says_most_and_nobody_speaks_against_a_person() -> None:
    derived = derive_log_odds(MEASURED)
    assert derived.face > derived.person > 0 > derived.nobody
    assert derived.thing > 0 > derived.no_thing


@pytest.mark.parametrize(
    ("hits", "lowest"), [(26, 0.05 ** (1 / 26)), (0, 0.0), (1, 1 - 0.95 ** (1 / 26))]
)
def test_the_lowest_rate_that_the_cases_allow(hits: int, lowest: float) -> None:
    assert Found(hits, 26).lowest == pytest.approx(lowest)


@given(st.integers(1, 60), st.data())
def test_the_lowest_rate_lies_below_the_share(cases: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, cases))
    assert 0 <= Found(hits, cases).lowest <= hits / cases


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99))
def test_nobody_is_shown_who_is_not_there(one: float, other: float, shown: float) -> None:
    counts = replace(ROUND, persons=even(shown))
    fewer, more = sorted((one, other))
    bound = unseen_somebody(counts, more)
    assert unseen_somebody(counts, fewer) <= bound <= 1
    # Bayes' rule with the usual share of shown persons gives at most the bound.
    there = counts.beside.rate
    unseen = there * more + (1 - there) * (1 - counts.empty.rate)
    share = counts.persons.rate
    assert share * more / (share * more + (1 - share) * unseen) <= bound + 1e-9


def test_where_nobody_is_seen_the_answer_is_no() -> None:
    assert derive_log_odds(MEASURED).nobody_most < 0.3
    assert unseen_somebody(MEASURED, 0.13) < 0.3, "what the person network alone misses"
    assert derive_log_odds(MEASURED).lettering_least > 0.5
