"""Frames are told from stated boxes alone."""

from dataclasses import replace

import pytest
from helpers.stated_boxes import stated_box, stated_in
from hypothesis import given
from hypothesis import strategies as st

from riveg.geometry.frames import FRAMES, Resize
from riveg.probe.drawings import Drawings
from riveg.probe.verdict import (
    CANDIDATES,
    FEWEST_BOXES,
    Candidate,
    Stated,
    chance_of,
    ends_of,
    is_more_than_chance,
    judge_frames,
)
from riveg.types import Box, ImageSize

SIDE = 1024
DRAWINGS = Drawings()
SIZES = [scene.size for scene in DRAWINGS.scenes]
BY_NAME = {candidate.name: candidate for candidate in CANDIDATES}

candidates = st.sampled_from(CANDIDATES)
starts = st.floats(0, 0.5)
lengths = st.floats(0.15, 0.5)


@st.composite
def truths(draw: st.DrawFn) -> tuple[Box, ImageSize]:
    """A box that is no speck, somewhere in a drawing."""
    size = draw(st.sampled_from(SIZES))
    left, top, width, height = draw(st.tuples(starts, starts, lengths, lengths))
    box = Box(
        left * size.width,
        top * size.height,
        (left + width) * size.width,
        (top + height) * size.height,
    )
    return box, size


many_truths = st.lists(truths(), min_size=FEWEST_BOXES, max_size=20)
numbers = st.integers(-50, 2000) | st.floats(-1, 1100)
extents = st.integers(1, 1500) | st.floats(0.001, 1)


@st.composite
def any_stated(draw: st.DrawFn) -> Stated:
    """Any four numbers that a reader of answers lets through."""
    left, top, width, height = draw(st.tuples(numbers, numbers, extents, extents))
    return Stated((left, top, left + width, top + height), *draw(truths()))


@given(candidates, many_truths)
def test_the_frame_in_which_boxes_are_stated_is_never_ruled_out(
    candidate: Candidate, things: list[tuple[Box, ImageSize]]
) -> None:
    stated = [Stated(stated_box(candidate, box, size, SIDE), box, size) for box, size in things]
    verdict = judge_frames(stated, CANDIDATES, SIDE)
    assert candidate in verdict.alike
    fit = verdict.fit_of(candidate)
    assert fit.mean_iou == pytest.approx(1)
    assert fit.corner_error == pytest.approx(0, abs=1e-6)
    assert fit.outside == 0


@given(candidates, st.permutations(range(18)))
def test_the_order_of_the_boxes_does_not_matter(candidate: Candidate, order: list[int]) -> None:
    stated = stated_in(candidate, DRAWINGS, SIDE)
    verdict = judge_frames([stated[at] for at in order], CANDIDATES, SIDE)
    assert verdict.alike == judge_frames(stated, CANDIDATES, SIDE).alike == (candidate,)


@given(st.lists(any_stated(), max_size=20))
def test_any_numbers_have_a_verdict(stated: list[Stated]) -> None:
    verdict = judge_frames(stated, CANDIDATES, SIDE)
    assert {fit.candidate for fit in verdict.fits} == {*CANDIDATES}
    means = [fit.mean_iou for fit in verdict.fits]
    assert means == sorted(means, reverse=True)
    assert all(0 <= overlap <= 1 + 1e-9 for fit in verdict.fits for overlap in fit.overlaps)
    assert all(0 <= fit.outside <= len(stated) == len(fit.overlaps) for fit in verdict.fits)
    if verdict.alike:
        assert verdict.alike[0] == verdict.fits[0].candidate
        assert len(stated) >= FEWEST_BOXES


def test_frames_that_differ_nowhere_cannot_be_told_apart() -> None:
    """A size that both multiples divide: pixels are pixels, resized or not."""
    size = ImageSize(896, 448)
    boxes = [Box(10 * at, 20, 10 * at + 200, 220) for at in range(8)]
    stated = [Stated((one.x_min, one.y_min, one.x_max, one.y_max), one, size) for one in boxes]
    verdict = judge_frames(stated, CANDIDATES, SIDE)
    names = {candidate.name for candidate in verdict.alike}
    assert names == {"pixels as sent", "pixels, resized by 28", "pixels, resized by 32"}


def test_a_box_that_is_far_off_is_no_reason_for_another_frame() -> None:
    stated = stated_in(BY_NAME["0 to 1000"], DRAWINGS, SIDE)
    stated[3] = replace(stated[3], numbers=(0, 0, 5, 5))
    assert judge_frames(stated, CANDIDATES, SIDE).alike == (BY_NAME["0 to 1000"],)


def test_a_model_that_sees_nothing_fits_no_frame() -> None:
    stated = [Stated((100, 100, 500, 500), one.box, scene.size) for scene, one in DRAWINGS.things]
    verdict = judge_frames(stated, CANDIDATES, SIDE)
    assert (verdict.alike, verdict.has_own_ends) == ((), False)


def test_few_boxes_say_nothing() -> None:
    stated = stated_in(CANDIDATES[0], DRAWINGS, SIDE)[: FEWEST_BOXES - 1]
    assert judge_frames(stated, CANDIDATES, SIDE).alike == ()
    assert judge_frames([], CANDIDATES, SIDE).alike == ()


def test_bounds_that_no_candidate_knows_are_seen_in_the_ends() -> None:
    bounded = Candidate.of_setting("pixels-sent", Resize(min_pixels=200_704, max_pixels=250_000))
    stated = stated_in(bounded, DRAWINGS, SIDE)
    verdict = judge_frames(stated, CANDIDATES, SIDE)
    assert verdict.alike == () or bounded not in verdict.alike
    assert judge_frames(stated, (*CANDIDATES, bounded), SIDE).alike == (bounded,)
    for size in SIZES:
        ends = ends_of([one for one in stated if one.image == size])
        assert ends == pytest.approx(bounded.resize(size), rel=0.02)


def test_boxes_of_an_enlarged_image_agree_with_each_other() -> None:
    larger = Candidate.of_setting("pixels-sent", Resize(min_pixels=1_000_000))
    verdict = judge_frames(stated_in(larger, DRAWINGS, SIDE), CANDIDATES, SIDE)
    assert (verdict.alike, verdict.has_own_ends) == ((), True)


def test_swapped_pixels_have_no_setting() -> None:
    swapped = [one for one in CANDIDATES if one.setting is None]
    assert [one.name for one in swapped] == [
        "pixels as sent, y first",
        "pixels, resized by 28, y first",
        "pixels, resized by 32, y first",
    ]
    settings = {one.setting for one in CANDIDATES} - {None}
    assert settings == {*FRAMES} - {"norm999"}


@given(st.integers(1, 20), st.integers(2, 12))
def test_the_chance_of_more_right_answers_is_smaller(asked: int, choices: int) -> None:
    chances = [chance_of(right, asked, choices) for right in range(asked + 1)]
    assert chances[0] == pytest.approx(1)
    assert chances == sorted(chances, reverse=True)
    assert chances[-1] == pytest.approx(choices**-asked)


@pytest.mark.parametrize(
    ("right", "sees"),
    [(8, True), (6, True), (5, None), (4, None), (3, False), (2, False), (1, False), (0, False)],
)
def test_a_constant_answer_is_no_sight(right: int, sees: bool | None) -> None:
    assert is_more_than_chance(right, 8, 8) is sees
