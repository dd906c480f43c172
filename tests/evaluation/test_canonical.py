"""The canonical scorer: against every matching there is, and by hand."""

from collections.abc import Callable
from itertools import permutations
from random import Random

import pytest
from helpers.evaluation_strategies import cases
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.canonical import Rules, canonical
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.geometry.boxes import box_iou
from riveg.geometry.masks import mask_from_array
from riveg.types import Box, Mask, Region, Span

A, B = Box(0, 0, 100, 100), Box(200, 200, 300, 300)


def same_words(predicted: PredictedEntity, gold: AnnotatedEntity) -> bool:
    if predicted.span is not None and gold.span is not None:
        return predicted.span == gold.span
    return predicted.text == gold.text


def same_place(predicted: PredictedEntity, gold: AnnotatedEntity) -> bool:
    if predicted.regions is None:
        return False
    if not predicted.regions or not gold.boxes:
        return not predicted.regions and not gold.boxes
    return max(box_iou(predicted.regions[0].box, box) for box in gold.boxes) >= 0.5


def same_fine_label(predicted: PredictedEntity, gold: AnnotatedEntity) -> bool:
    return predicted.fine_label is not None and predicted.fine_label == gold.fine_label


Agreement = Callable[[PredictedEntity, AnnotatedEntity], bool]

AGREE: dict[str, Agreement] = {
    "span": same_words,
    "mner": lambda p, g: same_words(p, g) and p.label == g.label,
    "eeg": lambda p, g: same_words(p, g) and same_place(p, g),
    "gmner": lambda p, g: same_words(p, g) and p.label == g.label and same_place(p, g),
    "fmner": lambda p, g: same_words(p, g) and same_fine_label(p, g),
    "fmnerg": lambda p, g: same_words(p, g) and same_fine_label(p, g) and same_place(p, g),
}
FINE = Rules(coarse_of={"actor": "PER", "band": "ORG"})


def best_of_all_assignments(case: Case, agree: Agreement) -> int:
    gold = [*case.gold, *[None] * len(case.predicted)]
    return max(
        sum(g is not None and agree(p, g) for p, g in zip(case.predicted, order, strict=False))
        for order in permutations(gold, len(case.predicted))
    )


@pytest.mark.slow  # seconds
@given(cases)
@pytest.mark.parametrize("metric", AGREE)
def test_hits_are_those_of_the_best_of_all_assignments(metric: str, case: Case) -> None:
    small = Case("s", case.predicted[:4], case.gold[:4])
    count = canonical(FINE)(small)[metric]
    assert count == Count(
        best_of_all_assignments(small, AGREE[metric]), len(small.predicted), len(small.gold)
    )


@given(cases, st.randoms(use_true_random=False))
def test_order_changes_nothing(case: Case, random: Random) -> None:
    predicted, gold = list(case.predicted), list(case.gold)
    random.shuffle(predicted)
    random.shuffle(gold)
    assert canonical(FINE)(Case("s", tuple(predicted), tuple(gold))) == canonical(FINE)(case)


@given(cases)
def test_an_unanswered_entity_is_never_right(case: Case) -> None:
    unanswered = tuple(
        PredictedEntity(item.text, item.label, item.span, item.groundable, None)
        for item in case.predicted
    )
    counts = canonical()(Case("s", unanswered, case.gold))
    assert counts["gmner"].hits == counts["eeg"].hits == counts["grounded"].hits == 0


@given(cases)
def test_metrics_that_ask_for_more_never_count_more(case: Case) -> None:
    counts = {name: count.hits for name, count in canonical(FINE)(case).items()}
    assert counts["fmnerg"] <= counts["fmner"] <= counts["span"]
    assert counts["fmnerg"] <= counts["eeg"]
    assert counts["gmner"] <= counts["mner"] <= counts["span"]
    assert counts["gmner"] <= counts["eeg"] <= counts["span"]
    assert counts["grounded"] <= counts["gmner"]
    assert counts["never_ground"] <= counts["mner"]


def test_gold_scored_against_itself_is_all_right() -> None:
    gold = (
        AnnotatedEntity("J", "PER", Span(0, 1), boxes=(A, B)),
        AnnotatedEntity("K", "ORG", boxes=()),
    )
    predicted = tuple(
        PredictedEntity(
            item.text,
            item.label,
            item.span,
            bool(item.boxes),
            tuple(map(Region, item.boxes or ())),
        )
        for item in gold
    )
    counts = canonical()(Case("s", predicted, gold))
    assert {count.f1 for name, count in counts.items() if name != "never_ground"} == {100.0}


CASES = [
    # predicted box, gold boxes, rules, hit, why
    (Box(0, 0, 100, 50), (A,), Rules(), True, "exactly one half reaches the bound"),
    (Box(0, 0, 100, 50), (A,), Rules(strict=True), False, "and does not exceed it"),
    (Box(0, 0, 100, 49), (A,), Rules(), False, "less than one half"),
    (B, (A, B), Rules(), True, "any gold box will do"),
    (A, (), Rules(), False, "nothing to be seen"),
    (Box(0, 0, 100, 70), (A,), Rules(iou=0.75), False, "a stricter bound"),
]


@pytest.mark.parametrize(("box", "boxes", "rules", "hit", "why"), CASES)
def test_the_place_of_an_entity(
    box: Box, boxes: tuple[Box, ...], rules: Rules, hit: bool, why: str
) -> None:
    case = Case(
        "s",
        (PredictedEntity("J", "PER", Span(0, 1), True, (Region(box), Region(B))),),
        (AnnotatedEntity("J", "PER", Span(0, 1), boxes=boxes),),
    )
    assert canonical(rules)(case)["gmner"].hits == hit, why


def test_only_the_best_region_counts() -> None:
    case = Case(
        "s",
        (PredictedEntity("J", "PER", Span(0, 1), True, (Region(A), Region(B))),),
        (AnnotatedEntity("J", "PER", Span(0, 1), boxes=(B,)),),
    )
    assert canonical()(case)["gmner"].hits == 0


def test_fine_labels_are_scored_fine_and_coarse() -> None:
    case = Case(
        "s",
        (PredictedEntity("J", "PER", Span(0, 1), False, (), fine_label="actor"),),
        (AnnotatedEntity("J", "PER", Span(0, 1), "musician", boxes=()),),
    )
    counts = canonical(FINE)(case)
    assert counts["mner"].hits == counts["gmner"].hits == 1
    assert counts["fmner"].hits == counts["fmnerg"].hits == 0
    assert not {"fmner", "fmnerg"} & canonical()(case).keys()
    assert "fmnerg" not in canonical(FINE, boxes=False)(case)


def mask(columns: range, width: int = 10) -> Mask:
    import numpy as np

    pixels = np.zeros((10, width), dtype=bool)
    pixels[:, columns.start : columns.stop] = True
    return mask_from_array(pixels)


MASKS = [
    # predicted, gold masks, rules, hit, why
    (mask(range(0, 5)), (mask(range(0, 10)),), Rules(), True, "one half"),
    (mask(range(0, 5)), (mask(range(0, 10)),), Rules(strict=True), False, "not more than half"),
    (mask(range(0, 4)), (mask(range(0, 10)),), Rules(), False, "two fifths"),
    (mask(range(0, 4)), (mask(range(0, 10)),), Rules(mask_iou=0.4), True, "enough if asked so"),
    (mask(range(0, 4)), (mask(range(0, 4)), mask(range(4, 10))), Rules(), True, "any of them"),
    (
        mask(range(0, 4)),
        (mask(range(0, 4)), mask(range(4, 10))),
        Rules(masks="union"),
        False,
        "four of ten columns of all of them",
    ),
    (None, (mask(range(0, 4)),), Rules(), False, "a region without its pixels is no answer"),
    (mask(range(0, 4)), (), Rules(), False, "nothing to be seen"),
]


@pytest.mark.parametrize(("predicted", "gold", "rules", "hit", "why"), MASKS)
def test_the_pixels_of_an_entity(
    predicted: Mask | None, gold: tuple[Mask, ...], rules: Rules, hit: bool, why: str
) -> None:
    case = Case(
        "s",
        (PredictedEntity("J", "PER", Span(0, 1), True, (Region(A, mask=predicted),)),),
        (AnnotatedEntity("J", "PER", Span(0, 1), boxes=(), masks=gold),),
    )
    assert canonical(rules, masks=True)(case)["smner"].hits == hit, why


def test_rightly_no_mask_is_a_hit() -> None:
    case = Case(
        "s",
        (PredictedEntity("J", "PER", Span(0, 1), False, ()),),
        (AnnotatedEntity("J", "PER", Span(0, 1), boxes=(), masks=()),),
    )
    assert canonical(masks=True)(case)["smner"].hits == 1


def test_masks_of_different_images_are_refused() -> None:
    case = Case(
        "s",
        (PredictedEntity("J", "PER", Span(0, 1), True, (Region(A, mask=mask(range(0, 4))),)),),
        (AnnotatedEntity("J", "PER", Span(0, 1), boxes=(), masks=(mask(range(0, 4), width=20),)),),
    )
    with pytest.raises(UserError, match="different sizes"):
        canonical(masks=True)(case)
