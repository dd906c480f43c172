"""Label Studio's brush: what its own library writes, round trips, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from riveg.formats.brush import brush_to_mask, mask_to_brush
from riveg.geometry.masks import mask_from_array
from riveg.types import ImageSize, Mask

Bitmap = NDArray[np.bool_]


def drawn(height: int, width: int, *parts: tuple[slice, slice]) -> Bitmap:
    array = np.zeros((height, width), dtype=bool)
    for part in parts:
        array[part] = ~array[part]
    return array


WRITTEN_BY_LABEL_STUDIO = {
    "empty": (drawn(3, 4), "00000030391bfe2f0000"),
    "full": (~drawn(3, 4), "00000030391bfe2fff00"),
    "a hole": (
        drawn(5, 6, (slice(1, 4), slice(1, 5)), (slice(2, 3), slice(2, 4))),
        "00000078391bfe1b00bfff38047ff38047ff3805fffc3600",
    ),
    "four parts, first and last pixel": (
        np.eye(4, dtype=bool),
        "00000040391bfc7ff7c023ffbe011ffdf008ffc0",
    ),
    "a run of more than 65 536 values": (
        drawn(100, 400, (slice(20, 99), slice(0, 400))),
        "00027100391bff7cff00ffffffffb6ffff831f8000",
    ),
}
"""Recorded from ``label_studio_sdk.converter.brush.mask2rle`` of version 2.1.2, in hexadecimals."""


def decoded(brush: list[int]) -> list[int]:
    """The values of a brush, read bit by bit as the format's description says."""
    bits = [byte >> shift & 1 for byte in brush for shift in range(7, -1, -1)]
    position = 0

    def number(count: int) -> int:
        nonlocal position
        position += count
        taken = bits[position - count : position]
        return sum(bit << at for at, bit in enumerate(reversed(taken)))

    count, value_bits = number(32), number(5) + 1
    sizes = [number(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated = number(1)
        length = number(sizes[number(2)]) + 1
        if repeated:
            values += [number(value_bits)] * length
        else:
            values += [number(value_bits) for _ in range(length)]
    assert len(bits) - position < 8
    return values


@st.composite
def pixels(draw: st.DrawFn) -> Bitmap:
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    array = drawn(height, width)
    for _ in range(draw(st.integers(0, 4))):
        rows = sorted(draw(st.tuples(st.integers(0, height), st.integers(0, height))))
        columns = sorted(draw(st.tuples(st.integers(0, width), st.integers(0, width))))
        array[slice(*rows), slice(*columns)] ^= True
    return array


@given(pixels())
def test_masks_come_back(array: Bitmap) -> None:
    mask = mask_from_array(array, "grabcut")
    height, width = array.shape
    assert brush_to_mask(mask_to_brush(mask), ImageSize(width, height), "grabcut") == mask


@given(pixels())
def test_an_independent_reader_sees_the_same_pixels_in_all_channels(array: Bitmap) -> None:
    values = np.array(decoded(mask_to_brush(mask_from_array(array)))).reshape(*array.shape, 4)
    assert np.array_equal(values, np.repeat(array[:, :, None] * 255, 4, axis=2))


@pytest.mark.parametrize("name", WRITTEN_BY_LABEL_STUDIO)
def test_as_label_studio_writes_it(name: str) -> None:
    array, digits = WRITTEN_BY_LABEL_STUDIO[name]
    written = [*bytes.fromhex(digits)]
    mask = mask_from_array(array)
    assert brush_to_mask(written, ImageSize(*array.shape[::-1])) == mask
    ours = mask_to_brush(mask)
    # Where the bits come out even, Label Studio adds a byte that nobody reads.
    assert written in (ours, [*ours, 0])


@pytest.mark.parametrize("length", [1, 2, 4, 64, 16384, 16385, 40000])
def test_the_limits_of_the_four_sizes_of_runs(length: int) -> None:
    array = drawn(1, 2 * length + 1, (slice(0, 1), slice(length, 2 * length)))
    mask = mask_from_array(array)
    values = decoded(mask_to_brush(mask))
    edges = [at for at, (one, next_) in enumerate(pairwise(values), start=1) if one != next_]
    assert edges == [4 * length, 8 * length]
    assert brush_to_mask(mask_to_brush(mask), ImageSize(*array.shape[::-1])) == mask


def test_what_a_person_painted_is_read_by_its_opacity() -> None:
    # Two pixels, values one by one: red at 200 of 255, then the same at 40 of 255.
    values = [255, 0, 0, 200, 255, 0, 0, 40]
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "0" + "00" + f"{7:03b}"
    bits += "".join(f"{value:08b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    brush = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    assert brush_to_mask(brush, ImageSize(2, 1)) == mask_from_array(np.array([[True, False]]))


FULL = [*bytes.fromhex(WRITTEN_BY_LABEL_STUDIO["full"][1])]


@pytest.mark.parametrize(
    ("brush", "height", "width", "message"),
    [
        ([], 3, 4, "cut off"),
        (FULL[:4], 3, 4, "cut off"),
        (FULL[:-2], 3, 4, "cut off"),
        (FULL, 4, 4, "48 values, expected 64 for 4x4"),
        ([0, 0, 0, 8, *FULL[4:]], 1, 2, "longer than its picture"),
        ([300], 3, 4, "list of bytes"),
        ([*FULL[:5], "x"], 3, 4, "list of bytes"),
    ],
)
def test_a_damaged_brush_is_refused(
    brush: list[int], height: int, width: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        brush_to_mask(brush, ImageSize(width, height))


def test_damaged_mask() -> None:
    with pytest.raises(ValueError, match="do not fill"):
        mask_to_brush(Mask(3, 3, "8"))


@pytest.mark.parametrize("name", WRITTEN_BY_LABEL_STUDIO)
def test_label_studios_own_reader_sees_the_same_pixels(name: str) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="needs label-studio-sdk")
    array = WRITTEN_BY_LABEL_STUDIO[name][0]
    values = brush.decode_rle(mask_to_brush(mask_from_array(array)))
    opacity = np.reshape(values, (*array.shape, 4))[:, :, 3]
    assert np.array_equal(opacity == 255, array)
    assert set(np.unique(opacity)) <= {0, 255}
