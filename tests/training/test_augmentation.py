"""Pictures that are changed at random keep their boxes where they were drawn."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from riveg.training.augmentation import Augmentation, Change, Cropping, names_a_side
from riveg.types import Box, ImageSize

ALL = Augmentation(flip=0.5, crop=0.8, least_crop=0.3, scale=(0.5, 1.5))
SIZES = st.builds(ImageSize, st.integers(1, 60), st.integers(1, 60))


@st.composite
def pictures(draw: st.DrawFn) -> tuple[ImageSize, tuple[Box, ...]]:
    """A size and up to three boxes with whole edges in it."""
    size = draw(SIZES)
    boxes = []
    for _ in range(draw(st.integers(0, 3))):
        left, top = draw(st.integers(0, size.width - 1)), draw(st.integers(0, size.height - 1))
        right = draw(st.integers(left + 1, size.width))
        bottom = draw(st.integers(top + 1, size.height))
        boxes.append(Box(left, top, right, bottom))
    return size, tuple(boxes)


@given(pictures(), st.integers(0, 10_000))
def test_a_box_moves_with_what_it_holds(
    picture: tuple[ImageSize, tuple[Box, ...]], seed: int
) -> None:
    size, boxes = picture
    change = ALL.draw(size, boxes, random.Random(seed), mirrors=True)
    for box in boxes:
        pixels = np.zeros((size.height, size.width, 3), dtype=np.uint8)
        pixels[int(box.y_min) : int(box.y_max), int(box.x_min) : int(box.x_max)] = 255
        seen = change.pixels(pixels)
        assert seen.shape == (change.size.height, change.size.width, 3)
        rows, columns = np.nonzero(seen[:, :, 0])
        held = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert change.box(box) == held
        assert held.area == box.area  # nothing of it was cut off


@given(pictures(), st.integers(0, 10_000))
def test_what_is_cropped_holds_all_boxes(
    picture: tuple[ImageSize, tuple[Box, ...]], seed: int
) -> None:
    size, boxes = picture
    change = Cropping(crop=1, least_crop=0.3).cropped(size, boxes, random.Random(seed))
    assert not change.flipped
    for box in map(change.box, boxes):
        assert 0 <= box.x_min < box.x_max <= change.size.width
        assert 0 <= box.y_min < box.y_max <= change.size.height
    assert Cropping().cropped(size, boxes, random.Random(seed)) == Change((0, 0, *size))


@given(pictures(), st.integers(0, 10_000))
def test_a_window_lies_in_the_picture_and_is_no_smaller_than_asked(
    picture: tuple[ImageSize, tuple[Box, ...]], seed: int
) -> None:
    size, boxes = picture
    change = ALL.draw(size, boxes, random.Random(seed), mirrors=False)
    left, top, right, bottom = change.window
    assert 0 <= left < right <= size.width
    assert 0 <= top < bottom <= size.height
    assert right - left >= max(1, round(0.3 * size.width))
    assert bottom - top >= max(1, round(0.3 * size.height))
    assert 0.5 <= change.scale <= 1.5
    assert not change.flipped


@given(pictures(), st.integers(0, 10_000))
def test_one_setting_does_not_change_what_another_draws(
    picture: tuple[ImageSize, tuple[Box, ...]], seed: int
) -> None:
    size, boxes = picture
    whole = ALL.draw(size, boxes, random.Random(seed), mirrors=True)
    for without, field in (({"crop": 0.0}, "window"), ({"flip": 0.0}, "flipped")):
        other = ALL.model_copy(update=without).draw(size, boxes, random.Random(seed), mirrors=True)
        same = [name for name in ("window", "flipped", "scale") if name != field]
        assert [getattr(other, name) for name in same] == [getattr(whole, name) for name in same]


def test_every_place_and_both_sides_are_drawn() -> None:
    size, box = ImageSize(20, 10), Box(8, 4, 12, 6)
    drawn = [ALL.draw(size, (box,), random.Random(seed), mirrors=True) for seed in range(400)]
    assert {one.flipped for one in drawn} == {True, False}
    windows = {one.window for one in drawn}
    assert (0, 0, 20, 10) in windows
    assert {window[0] for window in windows} == set(range(9))
    assert {window[3] for window in windows} == set(range(6, 11))


def test_the_default_changes_nothing() -> None:
    size = ImageSize(7, 5)
    change = Augmentation().draw(size, (Box(1, 1, 2, 2),), random.Random(0), mirrors=True)
    assert change == Change((0, 0, 7, 5))
    pixels = np.arange(105, dtype=np.uint8).reshape(5, 7, 3)
    np.testing.assert_array_equal(change.pixels(pixels), pixels)


@pytest.mark.parametrize(
    ("phrase", "named"),
    [
        ("the man on the left", True),
        ("rightmost of the players", True),
        ("her left-hand neighbour", True),
        ("a leftover cake", False),
        ("the copyright notice", False),
        ("bright lights", False),
    ],
)
def test_phrases_that_a_mirror_makes_untrue(phrase: str, named: bool) -> None:
    assert names_a_side(phrase) is named


@pytest.mark.parametrize("scale", [(1.2, 0.8), (0.0, 1.0), (1.0, 9.0)])
def test_odd_scales_are_refused(scale: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="the smaller one first"):
        Augmentation(scale=scale)
