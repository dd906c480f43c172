"""OFA's bins of a padded square, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.geometry.ofa_bins import LAST_BIN, SQUARE, box_of_bins, read_bins, resized
from riveg.types import Box, ImageSize

SIDES = st.integers(1, 4000)
BINS = st.integers(0, LAST_BIN)


@given(SIDES, SIDES, BINS, BINS, BINS, BINS)
def test_a_box_comes_back_as_the_bins_that_it_was_told_in(
    width: int, height: int, left: int, top: int, right: int, bottom: int
) -> None:
    size = ImageSize(width, height)
    box = box_of_bins((left, top, right, bottom), size)
    if left >= right or top >= bottom:
        assert box is None
        return
    assert box is not None
    inside = resized(size)  # of a narrow image longer than the square: the short side is rounded
    edges = (
        *(box.x_min / width * inside.width, box.y_min / height * inside.height),
        *(box.x_max / width * inside.width, box.y_max / height * inside.height),
    )
    assert [edge * LAST_BIN / SQUARE for edge in edges] == pytest.approx([left, top, right, bottom])


def test_a_wide_image_fills_the_upper_part_of_the_square() -> None:
    assert resized(ImageSize(1200, 600)) == ImageSize(512, 256)
    assert resized(ImageSize(600, 1200)) == ImageSize(256, 512)
    box = box_of_bins((0, 0, 999, 999), ImageSize(1200, 600))
    assert box == Box(0, 0, 1200, 1200), "the lower half is the padding"


@pytest.mark.parametrize("text", ["", "<bin_1> <bin_2> <bin_3>", "<bin_1000> " * 4, "1 2 3 4"])
def test_other_answers_are_no_bins(text: str) -> None:
    assert read_bins(text) is None
