import numpy as np
import pytest

from riveg.geometry.boxes import box_iou, grown_box, pairwise_iou, touched_edges, whole_edges
from riveg.types import Box, ImageSize

SIZE = ImageSize(100, 90)


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        pytest.param(Box(10, 20, 30, 60), 0.0, (10, 20, 30, 60), id="as it is"),
        pytest.param(Box(10, 20, 30, 60), 0.5, (0, 0, 40, 80), id="half a side each way"),
        pytest.param(Box(0, 0, 100, 90), 0.1, (0, 0, 100, 90), id="no further than the image"),
        pytest.param(Box(99.9, 89.9, 100.3, 90.3), 0.0, (99, 89, 100, 90), id="at the last pixel"),
    ],
)
def test_the_whole_pixels_of_a_grown_box(
    box: Box, margin: float, expected: tuple[int, ...]
) -> None:
    assert whole_edges(grown_box(box, margin), SIZE) == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param(Box(10.9, 20, 30.1, 60), (10, 20, 31, 60), id="every pixel touched"),
        pytest.param(Box(-5, -5, 500, 500), (0, 0, 100, 90), id="no further than the image"),
        pytest.param(Box(100, 0, 120, 9), None, id="right of the image"),
        pytest.param(Box(0, -9, 9, 0), None, id="above the image"),
    ],
)
def test_the_pixels_that_a_box_touches(box: Box, expected: tuple[int, ...] | None) -> None:
    assert touched_edges(box, SIZE) == expected


def test_iou_of_boxes_by_hand() -> None:
    boxes = np.array([[0.0, 0.0, 1.0, 1.0]])
    others = np.array([[0.0, 0.0, 1.0, 0.5], [0.5, 0.0, 1.5, 1.0], [2.0, 2.0, 3.0, 3.0]])
    expected = [0.5, pytest.approx(1 / 3), 0.0]
    assert pairwise_iou(boxes, others).tolist() == [expected]
    assert [box_iou(Box(*boxes[0]), Box(*other)) for other in others] == expected


def test_a_box_without_area_overlaps_nothing() -> None:
    empty = np.array([[2.0, 2.0, 2.0, 5.0]])
    assert pairwise_iou(empty, empty).tolist() == [[0.0]]
