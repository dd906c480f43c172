import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.geometry.boxes import box_iou
from riveg.geometry.jitter import Jitter, visit_chance
from riveg.types import Box, ImageSize

IMAGE = ImageSize(800, 600)
MIDDLE = Box(300, 150, 500, 450)
"""200 x 300 pixels, away from the edges."""


def draws(jitter: Jitter, box: Box = MIDDLE, number: int = 2000) -> list[Box | None]:
    return [jitter(box, IMAGE, visit_chance("1/0", "post", index)) for index in range(number)]


def overlaps(boxes: Sequence[Box | None], box: Box = MIDDLE) -> list[float]:
    return [box_iou(moved, box) for moved in boxes if moved is not None]


@pytest.mark.parametrize(
    ("size", "iou", "rejected"),
    [
        pytest.param(0.03, 0.94, 0.0, id="paper"),
        pytest.param(0.05, 0.91, 0.0, id="the paper's largest"),
        pytest.param(0.1, 0.83, 0.0, id="released: the guard never refuses"),
    ],
)
def test_how_much_of_a_box_is_left(size: float, iou: float, rejected: float) -> None:
    moved = draws(Jitter(beta=size, gamma=size))
    found = overlaps(moved)
    assert sum(found) / len(found) == pytest.approx(iou, abs=0.005)
    assert moved.count(None) / len(moved) == rejected


@pytest.mark.parametrize(
    ("size", "share"), [pytest.param(0.2, 0.19, id="0.2"), pytest.param(0.3, 0.57, id="0.3")]
)
def test_how_many_single_draws_are_refused(size: float, share: float) -> None:
    moved = draws(Jitter(beta=size, gamma=size, tries=1))
    assert moved.count(None) / len(moved) == pytest.approx(share, abs=0.04)


def test_more_tries_keep_fewer_gold_boxes() -> None:
    kept = [
        draws(Jitter(beta=0.3, gamma=0.3, tries=tries), number=500).count(None)
        for tries in (1, 3, 5)
    ]
    assert kept == sorted(kept, reverse=True)
    assert kept[2] < kept[0] / 5


def test_the_gaussian_is_cut_at_the_size_itself() -> None:
    """2 / sqrt(3) is above 1, so that the released `trunc_k` is without effect; 1 is not."""
    jitter = Jitter(beta=0.1, gamma=0.0, trunc_k=2.0)
    shifts = [abs(moved.x_min - MIDDLE.x_min) / 200 for moved in draws(jitter) if moved]
    assert max(shifts) == pytest.approx(0.1)
    at_the_end = sum(math.isclose(shift, 0.1, rel_tol=1e-6) for shift in shifts) / len(shifts)
    assert at_the_end == pytest.approx(0.083, abs=0.03), "beyond sqrt(3) deviations"
    narrower = Jitter(beta=0.1, gamma=0.0, trunc_k=1.0)
    shifts = [abs(moved.x_min - MIDDLE.x_min) / 200 for moved in draws(narrower) if moved]
    assert max(shifts) == pytest.approx(0.1 / math.sqrt(3))


def test_uniform_draws_are_spread_evenly() -> None:
    jitter = Jitter(beta=0.1, gamma=0.0, dist="uniform")
    shifts = [(moved.x_min - MIDDLE.x_min) / 200 for moved in draws(jitter) if moved]
    quarters = Counter(math.floor((shift + 0.1) / 0.05) for shift in shifts)
    assert set(quarters) == {0, 1, 2, 3}
    assert min(quarters.values()) > 0.2 * len(shifts)


def test_a_small_box_is_moved_by_half() -> None:
    small = Box(100, 100, 131, 133)  # 1 023 square pixels
    large = Box(100, 100, 132, 132)
    jitter = Jitter(beta=0.1, gamma=0.0)
    for box, most in ((small, 0.05), (large, 0.1)):
        shifts = [abs(moved.x_min - 100) / box.width for moved in draws(jitter, box) if moved]
        assert max(shifts) == pytest.approx(most)


def test_nothing_is_moved_by_nothing() -> None:
    jitter = Jitter(beta=0.0, gamma=0.0)
    assert not jitter.moves
    assert set(draws(jitter, number=20)) == {MIDDLE}


def test_the_bounds_of_a_side() -> None:
    jitter = Jitter(beta=0.0, gamma=3.0, iou_min=0.0, scale_min=0.9, scale_max=1.2)
    widths = [moved.width / 200 for moved in draws(jitter) if moved]
    assert min(widths) == pytest.approx(0.9)
    assert max(widths) == pytest.approx(1.2)


def test_a_box_that_would_leave_the_image_stays() -> None:
    """At the very edge nothing is left of some draws; the gold box is then what is drawn."""
    edge = Box(799, 0, 800, 1)
    assert set(draws(Jitter(), edge, 50)) <= {edge, None}


def test_visits_are_drawn_anew_and_can_be_repeated() -> None:
    def drawn(visit: str, sample: str, number: int) -> Box | None:
        return Jitter()(MIDDLE, IMAGE, visit_chance(visit, sample, number))

    once = drawn("7/0", "post", 0)
    others = (drawn("7/1", "post", 0), drawn("7/0", "other", 0), drawn("7/0", "post", 1))
    assert once == drawn("7/0", "post", 0)
    assert len({once, *others}) == 4


boxes = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda at: Box(
        at[0] * 700, at[1] * 500, at[0] * 700 + 1 + at[2] * 99, at[1] * 500 + 1 + at[3] * 99
    )
)
jitters = st.fixed_dictionaries(
    {
        "beta": st.floats(0, 1),
        "gamma": st.floats(0, 1),
        "iou_min": st.floats(0, 1),
        "tries": st.integers(1, 6),
        "dist": st.sampled_from(["gauss", "uniform"]),
    }
)


@given(boxes, jitters, st.integers())
def test_a_moved_box_lies_in_the_image_and_overlaps_enough(
    box: Box, settings: dict[str, Any], seed: int
) -> None:
    jitter = Jitter(**settings)
    moved = jitter(box, IMAGE, random.Random(seed))
    if moved is None:
        return
    assert box_iou(moved, box) >= jitter.iou_min
    assert moved.x_min >= 0
    assert moved.y_min >= 0
    assert moved.x_max <= IMAGE.width
    assert moved.y_max <= IMAGE.height
    assert moved == box or min(moved.width, moved.height) >= 2
