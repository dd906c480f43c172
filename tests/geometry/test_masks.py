"""Masks: arrays to COCO run lengths and back, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from riveg.geometry.arrays import Bitmap, Pixels
from riveg.geometry.masks import box_pixels, mask_area, mask_from_array, mask_iou
from riveg.types import Box, ImageSize, Mask


def _drawn(height: int, width: int, *slices: tuple[slice, slice]) -> Bitmap:
    array = np.zeros((height, width), dtype=bool)
    for part in slices:
        array[part] = ~array[part]
    return array


SHAPES = {
    "empty": _drawn(5, 7),
    "full": ~_drawn(5, 7),
    "one pixel in the first corner": _drawn(5, 7, (slice(0, 1), slice(0, 1))),
    "one pixel in the last corner": _drawn(5, 7, (slice(4, 5), slice(6, 7))),
    "a hole": _drawn(9, 9, (slice(1, 8), slice(1, 8)), (slice(3, 6), slice(3, 6))),
    "two parts": _drawn(9, 20, (slice(0, 4), slice(0, 4)), (slice(5, 9), slice(15, 20))),
    "touches all edges": ~_drawn(6, 6, (slice(1, 5), slice(1, 5))),
    "one row": _drawn(1, 9, (slice(0, 1), slice(2, 5))),
    "one column": _drawn(9, 1, (slice(2, 5), slice(0, 1))),
    "long runs": _drawn(700, 900, (slice(100, 690), slice(10, 880))),
}


@st.composite
def pixels(draw: st.DrawFn, height: int | None = None, width: int | None = None) -> Bitmap:
    height = draw(st.integers(1, 24)) if height is None else height
    width = draw(st.integers(1, 24)) if width is None else width
    bits = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    return np.array(bits, dtype=bool).reshape(height, width)


@st.composite
def two_masks(draw: st.DrawFn) -> tuple[Bitmap, Bitmap]:
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    return draw(pixels(height, width)), draw(pixels(height, width))


@pytest.mark.parametrize("reason", SHAPES)
def test_shape_survives(reason: str) -> None:
    array = SHAPES[reason]
    mask = mask_from_array(array, source="drawn")
    assert (mask.height, mask.width, mask.source) == (*array.shape, "drawn")
    assert np.array_equal(mask.to_numpy(), array)
    assert mask_area(mask) == array.sum()


@given(pixels())
def test_any_array_survives(array: Bitmap) -> None:
    back = mask_from_array(array).to_numpy()
    assert back.dtype == np.bool_
    assert back.flags.c_contiguous
    assert np.array_equal(back, array)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(pixels())
def test_decoding_agrees_with_pycocotools(array: Bitmap) -> None:
    mask = mask_from_array(array)
    theirs = coco.decode({"size": [mask.height, mask.width], "counts": mask.counts.encode()})
    assert np.array_equal(mask.to_numpy(), theirs.astype(bool))


@given(pixels())
def test_memory_order_does_not_matter(array: Bitmap) -> None:
    assert mask_from_array(np.asfortranarray(array)) == mask_from_array(array)


@pytest.mark.slow
@given(two_masks())
def test_iou_is_that_of_the_arrays(arrays: tuple[Bitmap, Bitmap]) -> None:
    one, other = map(mask_from_array, arrays)
    union = (arrays[0] | arrays[1]).sum()
    expected = (arrays[0] & arrays[1]).sum() / union if union else 0.0
    assert mask_iou(one, other) == pytest.approx(expected)
    assert mask_iou(one, other) == mask_iou(other, one)


def test_counts_are_those_of_the_published_format() -> None:
    # Column-major run lengths 2, 3, 4 of a 3 x 3 mask, written by hand.
    mask = mask_from_array(np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0]], dtype=bool))
    assert mask.counts == "234"


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ("", "no runs at all"),
        ("234", "falls short of 4 x 4"),
        ("`0!", "filled, but something follows"),
        ("h0", "longer than 4 x 4"),
        ("o", "breaks off in the middle of a number"),
        ("2\u00e94", "not ASCII"),
        ("!!", "below the alphabet"),
        ("zzzzzzzzzzzzzzzzzzzz", "not run lengths"),
        ("oooooooooooooooooooo0", "a number without end"),
    ],
)
def test_damaged_counts_are_refused(counts: str, reason: str) -> None:
    with pytest.raises(ValueError, match="do not fill"):
        Mask(4, 4, counts).to_numpy()
    with pytest.raises(ValueError, match="do not fill"):
        mask_area(Mask(4, 4, counts))


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
def test_any_counts_decode_or_are_refused(counts: str) -> None:
    try:
        array = Mask(6, 6, counts).to_numpy()
    except ValueError:
        return
    assert np.array_equal(mask_from_array(array).to_numpy(), array)


@pytest.mark.parametrize("array", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 1), bool)])
def test_other_arrays_are_refused(array: Pixels) -> None:
    with pytest.raises(ValueError, match="boolean"):
        mask_from_array(array)  # type: ignore[arg-type]


def test_iou_needs_equal_sizes() -> None:
    one, other = (mask_from_array(np.ones(shape, bool)) for shape in [(2, 3), (3, 2)])
    with pytest.raises(ValueError, match="different sizes"):
        mask_iou(one, other)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        (Box(1, 2, 3, 4), (2, 4), (1, 3)),
        (Box(0.6, 0.6, 2.4, 2.4), (1, 2), (1, 2)),  # rounded to the nearest edge
        (Box(2.1, 2.1, 2.2, 2.2), (2, 3), (2, 3)),  # less than a pixel is one
        (Box(7.9, 4.9, 8, 5), (4, 5), (7, 8)),  # in the last corner
        (Box(-0.4, -0.4, 8.4, 5.4), (0, 5), (0, 8)),  # rounding of the model's
    ],
)
def test_box_pixels(box: Box, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    expected = np.zeros((5, 8), dtype=bool)
    expected[slice(*rows), slice(*columns)] = True
    assert (box_pixels(box, ImageSize(8, 5)) == expected).all()
