from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from riveg.formats.records import decode, encode
from riveg.geometry.heat_maps import Point, heat_array, heat_from_array, hottest_point
from riveg.types import Box, HeatMap, ImageSize, Region


def drawn_map(rows: int, columns: int, seed: int) -> np.ndarray:
    """Some patches cold, some alike, one at least warm."""
    chance = np.random.default_rng(seed)
    values = chance.choice([0.0, 1.0, 3.5], (rows, columns)) * chance.random() * 1e3
    values[chance.integers(rows), chance.integers(columns)] += 1e-3
    return values.astype(np.float32)


MAPS = st.builds(drawn_map, st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))


@settings(deadline=None)
@given(MAPS)
def test_a_map_is_written_and_read(values: np.ndarray) -> None:
    heat = heat_from_array(values)
    assert heat is not None
    region = Region(Box(0, 0, 1, 1), heat=heat)
    assert decode(Region, encode(region)) == region
    read = heat_array(heat)
    assert read.shape == values.shape
    assert read.max() == 255
    assert np.abs(read / 255 - values.astype(np.float64) / float(values.max())).max() <= 0.5 / 255


@settings(deadline=None)
@given(MAPS, st.integers(6, 40), st.integers(6, 40))
def test_the_point_is_where_the_resized_map_is_hottest(
    values: np.ndarray, width: int, height: int
) -> None:
    heat = heat_from_array(values)
    assert heat is not None
    rows, columns = values.shape
    # Each patch has a middle pixel where sides are odd multiples of the grid's.
    size = ImageSize(columns * (width // 2 * 2 + 1), rows * (height // 2 * 2 + 1))
    x, y = hottest_point(heat, size)
    assert 0 < x < size.width
    assert 0 < y < size.height
    grown = np.asarray(
        Image.fromarray(heat_array(heat).astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    )
    assert grown[int(y), int(x)] == pytest.approx(grown.max(), abs=1e-3)


def test_of_two_patches_the_first_is_taken() -> None:
    heat = heat_from_array(np.array([[0.0, 3.0], [3.0, 1.0]]))
    assert heat is not None
    assert hottest_point(heat, ImageSize(10, 20)) == Point(7.5, 5.0)


def test_nothing_is_hottest_where_nothing_is_warm() -> None:
    assert heat_from_array(np.zeros((3, 2))) is None


@pytest.mark.parametrize(
    ("rows", "columns", "values"), [(0, 1, ""), (1, 1025, "A" * 1368), (2, 2, "AAAA")]
)
def test_maps_of_no_size_are_refused(rows: int, columns: int, values: str) -> None:
    with pytest.raises(ValueError, match="a heat map needs"):
        HeatMap(rows, columns, values)


@pytest.mark.parametrize("values", ["!A==", "AAAA"])
def test_damaged_values_are_told(values: str) -> None:
    with pytest.raises(ValueError, match="heat map"):
        heat_array(HeatMap(1, 1, values))
