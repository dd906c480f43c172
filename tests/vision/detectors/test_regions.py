from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from riveg.types import Box, ImageSize
from riveg.vision.detectors.regions import choose_regions

Corners = tuple[float, float, float, float]

CASES: dict[str, tuple[list[Corners], list[float], dict[str, Any], list[int]]] = {
    "best first": ([(0, 0, 0.4, 0.4), (0.6, 0.6, 1, 1)], [0.3, 0.9], {}, [1, 0]),
    "at the threshold is not above it": ([(0, 0, 1, 1)], [0.25], {}, []),
    "the worse of two alike is dropped": ([(0, 0, 1, 0.9), (0, 0, 1, 1)], [0.5, 0.6], {}, [1]),
    "as much overlap as allowed stays": (
        [(0, 0, 1, 0.5), (0, 0, 1, 1)],
        [0.5, 0.6],
        {"overlap": 0.5},
        [1, 0],
    ),
    "overlap 1 keeps what is the same": ([(0, 0, 1, 1)] * 2, [0.5, 0.6], {"overlap": 1.0}, [1, 0]),
    "at most": ([(0, 0, 0.4, 1), (0.6, 0, 1, 1)], [0.5, 0.6], {"most": 1}, [1]),
    "equal scores keep their order": ([(0, 0, 0.4, 1), (0.6, 0, 1, 1)], [0.5, 0.5], {}, [0, 1]),
    "nothing left in the picture": ([(1.2, 0, 1.5, 1), (0.3, 0.2, 0.3, 0.4)], [0.9, 0.8], {}, []),
    "nothing": ([], [], {}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_choice(case: str) -> None:
    boxes, scores, fields, kept = CASES[case]
    given: dict[str, Any] = {"overlap": 0.7, "most": 9, **fields}
    found = choose_regions(
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(scores, dtype=np.float32),
        size=ImageSize(200, 100),
        threshold=0.25,
        source="test",
        **given,
    )
    assert [round(region.score or 0, 2) for region in found] == [scores[row] for row in kept]
    for region, row in zip(found, kept, strict=True):
        x_min, y_min, x_max, y_max = boxes[row]
        right = (x_min * 200, y_min * 100, x_max * 200, y_max * 100)
        box = region.box
        assert (box.x_min, box.y_min, box.x_max, box.y_max) == pytest.approx(right, abs=0.01)


def test_edges_outside_the_image_are_moved_to_its_own() -> None:
    (region,) = choose_regions(
        np.array([(-0.1, 0.5, 1.2, 1.01)], dtype=np.float32),
        np.array([0.9], dtype=np.float32),
        size=ImageSize(200, 100),
        threshold=0.1,
        overlap=0.5,
        most=1,
        source="test",
    )
    assert region.box == Box(0, 50, 200, 100)


def test_without_scores_the_order_is_kept_and_no_threshold_holds() -> None:
    boxes = np.array([(0.6, 0, 1, 1), (0.3, 0, 0.3, 1), (0, 0, 0.4, 1), (0.6, 0, 1, 0.9)])
    found = choose_regions(
        boxes, None, size=ImageSize(10, 10), threshold=0.9, overlap=0.7, most=5, source="test"
    )
    assert [region.box for region in found] == [Box(6, 0, 10, 10), Box(0, 0, 4, 10)]
    assert {region.score for region in found} == {None}
