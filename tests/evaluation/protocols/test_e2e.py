from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.protocols.e2e import MAX_PIXELS, MIN_PIXELS, RESIZE, score
from riveg.geometry.boxes import box_iou
from riveg.types import Box, ImageSize, Region

BOXES = (Box(0, 0, 10, 10), Box(0, 0, 10, 6), Box(30, 30, 50, 50), Box(30, 34, 50, 50))
PLACES = st.lists(st.sampled_from(BOXES), max_size=2, unique=True).map(tuple)
WORDS = st.sampled_from(["J", "K"])
TYPES = st.sampled_from(["PER", "ORG"])


@st.composite
def small_cases(draw: st.DrawFn) -> Case:
    predicted = draw(st.lists(st.tuples(WORDS, TYPES, st.none() | PLACES), max_size=5))
    gold = draw(st.lists(st.tuples(WORDS, TYPES, PLACES), max_size=5))
    return Case(
        "1",
        tuple(
            PredictedEntity(
                text,
                label,
                groundable=None if boxes is None else bool(boxes),
                regions=None if boxes is None else tuple(map(Region, boxes)),
            )
            for text, label, boxes in predicted
        ),
        tuple(AnnotatedEntity(text, label, boxes=boxes) for text, label, boxes in gold),
    )


def is_pair(predicted: PredictedEntity, gold: AnnotatedEntity, *, typed: bool) -> bool:
    if predicted.text != gold.text or (typed and predicted.label != gold.label):
        return False
    if predicted.regions is None:
        return False
    if not predicted.regions or not gold.boxes:
        return not predicted.regions and not gold.boxes
    return max(box_iou(r.box, b) for r in predicted.regions for b in gold.boxes) >= 0.5


def most_pairs(case: Case, *, typed: bool) -> int:
    pairs = [[is_pair(one, other, typed=typed) for other in case.gold] for one in case.predicted]
    if len(case.predicted) > len(case.gold):
        pairs = [list(column) for column in zip(*pairs, strict=True)]
    return max(
        sum(row[place] for row, place in zip(pairs, order, strict=True))
        for order in permutations(range(max(len(case.predicted), len(case.gold))), len(pairs))
    )


@settings(max_examples=150, deadline=None)
@given(small_cases())
def test_the_matching_is_the_best_of_all_orders(case: Case) -> None:
    counts = score(case)
    assert counts["eeg"].hits == most_pairs(case, typed=False)
    assert counts["gmner"].hits == most_pairs(case, typed=True)
    assert {*counts.values()} <= {
        Count(hits, len(case.predicted), len(case.gold)) for hits in range(6)
    }


@settings(max_examples=100, deadline=None)
@given(small_cases(), st.randoms(use_true_random=False))
def test_the_order_changes_nothing(case: Case, random: Random) -> None:
    predicted, gold = list(case.predicted), list(case.gold)
    random.shuffle(predicted)
    random.shuffle(gold)
    other = replace(case, predicted=tuple(predicted), gold=tuple(gold))
    assert score(case) == score(other)


@given(st.integers(28, 5000), st.integers(28, 5000))
def test_the_resized_image_has_sides_of_28_and_the_right_area(width: int, height: int) -> None:
    if max(width, height) / min(width, height) > 200:
        return
    sides = RESIZE(ImageSize(width, height))
    assert not any(side % 28 for side in sides)
    assert sides[0] * sides[1] <= MAX_PIXELS + 28 * max(sides)
    assert sides[0] * sides[1] >= MIN_PIXELS - 28 * max(sides)


@pytest.mark.parametrize(
    ("size", "expected", "reason"),
    [
        ((600, 450), (588, 448), "neither too small nor too large: rounded to the nearest"),
        ((28, 28), (448, 448), "too small: grown to the least area"),
        ((4000, 3000), (1008, 756), "too large: shrunk under the greatest area"),
        ((1204, 1204), (896, 896), "square at the limit"),
    ],
)
def test_sizes(size: tuple[int, int], expected: tuple[int, int], reason: str) -> None:
    assert RESIZE(ImageSize(*size)) == expected, reason


def test_a_box_that_rounding_leaves_nothing_of_is_never_right() -> None:
    box = Box(100, 100, 100.3, 100.3)
    case = Case(
        "1",
        (PredictedEntity("X", "PER", groundable=True, regions=(Region(box),)),),
        (AnnotatedEntity("X", "PER", boxes=(box,)),),
        size=ImageSize(600, 450),
    )
    assert score(case)["gmner"] == Count(0, 1, 1)
    assert score(replace(case, size=None))["gmner"] == Count(1, 1, 1)


@pytest.mark.parametrize(
    ("name", "predicted", "reason"),
    [
        ("None", 1, "an entity called None is not an empty answer"),
        ("a\nb", 1, "a line end cuts like a semicolon"),
        ("a\uff1bb", 1, "and so does a full-width one"),
        ("a|b|c;d", 2, "a name with bars and a semicolon becomes two entities"),
        ("a;", 0, "a name that ends in a semicolon leaves a piece without words, which is none"),
    ],
)
def test_names_that_the_text_format_cannot_hold(name: str, predicted: int, reason: str) -> None:
    case = Case("1", (PredictedEntity(name, "PER", groundable=False, regions=()),), ())
    assert score(case)["mner"] == Count(0, predicted, 0), reason
