"""COCO's figures on cases small enough to work out by hand."""

import numpy as np
import pytest

from riveg.evaluation.average_precision import average_precision, region_score, with_odd_masks
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.geometry.masks import mask_from_array
from riveg.types import Box, Mask, Region

SQUARE = Box(0, 0, 100, 100)
HALF = Box(0, 0, 100, 60)  # IoU 0.6 with the square: right at 0.5, 0.55 and 0.6
ASIDE = Box(200, 200, 300, 300)


def square_mask(side: int) -> Mask:
    pixels = np.zeros((40, 40), dtype=bool)
    pixels[:side, :side] = True
    return mask_from_array(pixels)


def predicted(*regions: Region, label: str = "PER", score: float | None = None) -> PredictedEntity:
    return PredictedEntity("Ada", label, regions=regions, score=score)


def gold(*boxes: Box, label: str = "PER") -> AnnotatedEntity:
    return AnnotatedEntity("Ada", label, boxes=boxes)


def figures(*cases: Case) -> tuple[float, float, float, float]:
    found = average_precision(cases)["box"]
    assert found is not None
    return found.ap, found.ap50, found.ap75, found.ar


@pytest.mark.parametrize(
    ("regions", "expected", "reason"),
    [
        ([Region(SQUARE, 0.9)], (100, 100, 100, 100), "perfect"),
        ([Region(HALF, 0.9)], (30, 100, 0, 30), "right at three thresholds of ten"),
        ([Region(ASIDE, 0.9)], (0, 0, 0, 0), "nowhere near"),
        ([], (0, 0, 0, 0), "nothing predicted"),
        ([Region(ASIDE, 0.9), Region(SQUARE, 0.5)], (50, 50, 50, 100), "a surer wrong one first"),
        ([Region(SQUARE, 0.9), Region(ASIDE, 0.5)], (100, 100, 100, 100), "a wrong one after"),
    ],
)
def test_one_image_with_one_gold_box(
    regions: list[Region], expected: tuple[float, ...], reason: str
) -> None:
    case = Case("1", (predicted(*regions),), (gold(SQUARE),))
    assert figures(case) == pytest.approx(expected), reason


def test_labels_are_categories_and_count_alike() -> None:
    right = Case("1", (predicted(Region(SQUARE, 0.9)),), (gold(SQUARE),))
    missed = Case("2", (), (gold(SQUARE, label="ORG"), gold(ASIDE, label="ORG")))
    assert figures(right, missed) == pytest.approx((50, 50, 50, 50))


def test_a_region_of_another_image_is_no_hit() -> None:
    cases = [Case("1", (predicted(Region(SQUARE)),), ()), Case("2", (), (gold(SQUARE),))]
    assert figures(*cases) == (0, 0, 0, 0)


def test_gold_without_places_has_no_figures() -> None:
    case = Case("1", (predicted(Region(SQUARE)),), (gold(),))
    assert average_precision([case]) == {"box": None, "mask": None}
    assert average_precision([]) == {"box": None, "mask": None}


@pytest.mark.parametrize(
    ("side", "expected", "reason"),
    [
        (20, (100, 100, 100, 100), "the same pixels"),
        (15, (20, 100, 0, 20), "225 of 400 pixels: right at 0.5 and 0.55"),
        (5, (0, 0, 0, 0), "too few"),
    ],
)
def test_masks_are_compared_by_pixel(side: int, expected: tuple[float, ...], reason: str) -> None:
    region = Region(SQUARE, 0.9, square_mask(side))
    wanted = AnnotatedEntity("Ada", "PER", boxes=(SQUARE,), masks=(square_mask(20),))
    found = average_precision([Case("1", (predicted(region),), (wanted,))])["mask"]
    assert found is not None
    assert (found.ap, found.ap50, found.ap75, found.ar) == pytest.approx(expected), reason


@pytest.mark.parametrize(
    "odd",
    [Mask(40, 40, "l0"), Mask(40, 40, ""), mask_from_array(np.ones((30, 30), dtype=bool))],
    ids=["too long", "empty", "of another size"],
)
def test_masks_that_cannot_be_compared_have_no_figures(odd: Mask) -> None:
    wanted = AnnotatedEntity("Ada", "PER", boxes=(SQUARE,), masks=(square_mask(20),))
    case = Case("1", (predicted(Region(SQUARE, 0.5, odd)),), (wanted,))
    assert with_odd_masks([case]) == "1"
    found = average_precision([case])
    assert found["mask"] is None
    assert found["box"] is not None


def test_a_region_without_a_mask_is_not_compared_by_mask() -> None:
    wanted = AnnotatedEntity("Ada", "PER", boxes=(SQUARE,), masks=(square_mask(20),))
    found = average_precision([Case("1", (predicted(Region(SQUARE)),), (wanted,))])
    assert found["box"] is not None
    assert found["box"].ap == pytest.approx(100)
    assert found["mask"] is not None
    assert (found["mask"].ap, found["mask"].predicted) == (0, 0)


@pytest.mark.parametrize(
    ("own", "entity", "expected"),
    [(0.3, 0.8, 0.3), (0.0, 0.8, 0.0), (None, 0.8, 0.8), (None, None, 1.0)],
)
def test_how_sure_a_region_is(own: float | None, entity: float | None, expected: float) -> None:
    assert region_score(Region(SQUARE, own), predicted(score=entity)) == expected


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    average_precision([Case("1", (predicted(Region(SQUARE)),), (gold(SQUARE),))])
    assert capsys.readouterr().out == ""
