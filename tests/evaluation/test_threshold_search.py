"""The search over thresholds, against trying every one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.evaluation.threshold_search import Axis, Rectangle, Surface


def axis(*values: float, above: float | None = None) -> Axis:
    return Axis.since(0.0, values) if above is None else Axis.above(above, values)


@pytest.mark.parametrize(
    ("threshold", "cell"),
    [(0.0, 0), (0.2, 0), (0.2001, 1), (0.5, 1), (0.6, 2), (1.0, 2)],
)
def test_a_cell_ends_with_the_value_that_still_passes(threshold: float, cell: int) -> None:
    assert axis(0.5, 0.2, 0.5).cell_of(threshold) == cell


@pytest.mark.parametrize("threshold", [0.3, 0.1, -1.0, 1.1])
def test_thresholds_outside_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="is not in"):
        axis(0.5, above=0.3).cell_of(threshold)


values = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.999, 1.0])


@given(st.lists(values, min_size=1), values)
def test_what_passes_in_a_cell_is_what_reaches_its_thresholds(
    seen: list[float], threshold: float
) -> None:
    cells = axis(*seen)
    cell = cells.cell_of(threshold)
    for value in seen:
        assert (cells.passed_until(value) > cell) == (value >= threshold)


@st.composite
def surfaces(draw: st.DrawFn) -> Surface:
    entail, ground = (axis(*draw(st.lists(values, max_size=5))) for _ in range(2))
    rectangles = []
    for _ in range(draw(st.integers(0, 12))):
        top, bottom = sorted(draw(st.integers(0, entail.cells)) for _ in range(2))
        left, right = sorted(draw(st.integers(0, ground.cells)) for _ in range(2))
        sample, hits = draw(st.integers(0, 3)), draw(st.integers(1, 3))
        rectangles.append(Rectangle(sample, top, bottom, left, right, hits))
    return Surface.of(entail, ground, rectangles)


def hits_at(surface: Surface, row: int, column: int) -> int:
    return sum(
        hits
        for _, top, bottom, left, right, hits in surface.rectangles.tolist()
        if top <= row < bottom and left <= column < right
    )


@given(surfaces())
def test_the_best_pair_is_as_good_as_any(surface: Surface) -> None:
    plane = [
        [hits_at(surface, row, column) for column in range(surface.ground.cells)]
        for row in range(surface.entail.cells)
    ]
    best = surface.best()
    most = max(map(max, plane))
    row = surface.entail.cell_of(best.entail.value)
    column = surface.ground.cell_of(best.ground.value)
    assert best.hits == most == plane[row][column]
    assert best.entail.low <= best.entail.value <= best.entail.high
    assert best.ground.low <= best.ground.value <= best.ground.high
    # The detector drops nothing unless that makes hits.
    assert column == 0 or max(line[0] for line in plane) < most
    assert [line.tolist() for line in surface.rows()] == plane
    assert surface.along_entail(column).tolist() == [line[column] for line in plane]
    assert surface.along_ground(row).tolist() == plane[row]


@given(surfaces(), values, values)
def test_hits_by_sample_add_up(surface: Surface, entail: float, ground: float) -> None:
    found = surface.hits_by_sample(entail, ground, 4)
    row, column = surface.entail.cell_of(entail), surface.ground.cell_of(ground)
    assert int(found.sum()) == hits_at(surface, row, column)
    some = surface.only(np.array([True, False, True, False]))
    assert some.hits_by_sample(entail, ground, 4).tolist() == [found[0], 0, found[2], 0]


@pytest.mark.parametrize(
    ("tops", "chosen", "low", "high", "reason"),
    [
        ([(1, 2)], 0.3, 0.2, 0.4, "one cell: its middle"),
        ([(1, 3)], 0.35, 0.2, 0.5, "neighbours are one plateau"),
        ([(0, 1), (3, 4)], 0.8, 0.5, 1.0, "the widest of two"),
    ],
)
def test_a_threshold_comes_from_the_middle_of_the_widest_plateau(
    tops: list[tuple[int, int]], chosen: float, low: float, high: float, reason: str
) -> None:
    cells, all_of_it = axis(0.2, 0.4, 0.5), axis()
    rows = [Rectangle(0, top, bottom, 0, 1, 1) for top, bottom in tops]
    found = Surface.of(cells, all_of_it, rows).best().entail
    assert (found.low, found.high) == (low, high), reason
    assert abs(found.value - chosen) <= (high - low) / 4
    assert len(str(found.value)) <= 4, "no more digits than it needs"


def test_a_large_plane_is_searched_row_by_row() -> None:
    random = np.random.default_rng(0)
    entail, ground = (axis(*random.random(3000)) for _ in range(2))
    assert entail.cells * ground.cells > 8_000_000
    corner = Rectangle(0, entail.cells - 1, entail.cells, ground.cells - 1, ground.cells, 1)
    everywhere = Rectangle(1, 0, entail.cells, 0, ground.cells, 1)
    best = Surface.of(entail, ground, [corner, everywhere]).best()
    assert best.hits == 2
    assert entail.cell_of(best.entail.value) == entail.cells - 1
