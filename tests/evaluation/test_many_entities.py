"""Samples with thousands of entities: no more pairs than can matter, and the same scores."""

from collections.abc import Callable, Sequence

import pytest
from helpers.evaluation_strategies import cases
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.candidates import require_comparable
from riveg.evaluation.canonical import AGREEMENTS, Rules, canonical, matched, related
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.gold import GoldSample, GoldSet
from riveg.evaluation.verdicts import verdicts
from riveg.types import Box, Region, Span

HERE, THERE = Box(0, 0, 10, 10), Box(50, 50, 60, 60)


def said(box: Box = HERE, span: Span | None = None, label: str = "PER") -> PredictedEntity:
    return PredictedEntity("J K", label, span, True, (Region(box),))


def meant(box: Box = HERE, span: Span | None = None, label: str = "PER") -> AnnotatedEntity:
    return AnnotatedEntity("J K", label, span, boxes=(box,))


SAMPLES: dict[
    str,
    tuple[Callable[[int], list[PredictedEntity]], Callable[[int], list[AnnotatedEntity]]],
] = {
    "one entity again and again": (lambda n: [said()] * n, lambda n: [meant()] * n),
    "of one span": (
        lambda n: [said(span=Span(0, 2))] * n,
        lambda n: [meant(span=Span(0, 2))] * n,
    ),
    "of many spans, gold without": (
        lambda n: [said(span=Span(at, at + 2)) for at in range(n)],
        lambda n: [meant()] * n,
    ),
    "a few are annotated": (
        lambda n: [said(Box(0, at, 10, at + 10)) for at in range(n)],
        lambda _: [meant(), meant(THERE), meant(label="ORG")],
    ),
    "a few are predicted": (
        lambda _: [said(), said(THERE), said(label="ORG")],
        lambda n: [meant(Box(0, at, 10, at + 10)) for at in range(n)],
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_pairs_grow_with_the_entities_and_not_with_their_square(name: str) -> None:
    predicted, gold = SAMPLES[name]
    numbers = []
    for size in (100, 400):
        case = Case("1", tuple(predicted(size)), tuple(gold(size)))
        numbers.append(len([*related(case, Rules())]))
    assert 0 < numbers[1] <= 4 * numbers[0]


def test_thousands_of_one_entity_are_judged() -> None:
    case = Case("1", (said(),) * 5000, (meant(),) * 4000)
    kinds = [verdict.kind for verdict in verdicts(case)]
    assert kinds == ["right"] * 4000 + ["spurious"] * 1000
    assert canonical()(case)["gmner"].hits == 4000


def boxes(number: int) -> list[Box]:
    return [Box(0, 0, 10 + at, 10) for at in range(number)]


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [
        ([said()] * 9000, [meant()] * 20),
        ([said()] * 1500, [meant()] * 1500),
        ([said(box) for box in boxes(9000)], [meant(box) for box in boxes(99)]),
        ([said(box) for box in boxes(200)], [meant(box) for box in boxes(200)]),
        (
            [PredictedEntity(f"n{at}", "PER", Span(at, at + 1)) for at in range(900)],
            [AnnotatedEntity(f"n{at}", "PER", Span(at, at + 1)) for at in range(900)],
        ),
    ],
    ids=["few are annotated", "all alike", "differ, few are annotated", "differ", "other words"],
)
def test_many_entities_can_be_compared(
    predicted: list[PredictedEntity], gold: list[AnnotatedEntity]
) -> None:
    require_comparable(Case("1", tuple(predicted), tuple(gold)))


@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        (
            [said(box) for box in boxes(201)],
            [meant(box) for box in boxes(201)],
            "'1': 'J K' is predicted in 201 ways and annotated in 201, too many",
        ),
        ([said()] * 2001, [meant()] * 2001, "'1': 2001 predicted with 2001 annotated entities"),
    ],
    ids=["of the same words", "in all"],
)
def test_too_many_to_compare_are_refused(
    predicted: list[PredictedEntity], gold: list[AnnotatedEntity], message: str
) -> None:
    annotated = {"1": GoldSample(tuple(gold))}
    known = GoldSet("g", None, "test", annotated, has_boxes=True, has_masks=False, coarse_of={})
    with pytest.raises(UserError, match=message):
        known.case("1", tuple(predicted))


def all_hits(case: Case, rules: Rules) -> dict[str, int]:
    """Hits by the definition: every pair of the same words, none left out."""
    hits = {}
    pairs = [
        (index, number, single)
        for index, predicted in enumerate(case.predicted)
        for number, gold in enumerate(case.gold)
        for single in related(Case("1", (predicted,), (gold,)), rules)
    ]
    for name, agrees in AGREEMENTS.items():
        edges: list[list[int]] = [[] for _ in case.predicted]
        for index, number, single in pairs:
            if agrees(single):
                edges[index].append(number)
        hits[name] = most_pairs(edges)
    return hits


def most_pairs(edges: Sequence[Sequence[int]]) -> int:
    """Size of a maximum matching, by trying one entity after the other (Kuhn)."""
    owner: dict[int, int] = {}

    def found(predicted: int, tried: set[int]) -> bool:
        for gold in edges[predicted]:
            if gold in tried:
                continue
            tried.add(gold)
            if gold not in owner or found(owner[gold], tried):
                owner[gold] = predicted
                return True
        return False

    return sum(found(predicted, set()) for predicted in range(len(edges)))


ENTITIES = st.tuples(
    st.sampled_from([HERE, THERE]),
    st.sampled_from([None, Span(0, 2), Span(3, 5)]),
    st.sampled_from(["PER", "ORG"]),
)


@given(st.lists(ENTITIES, max_size=7), st.lists(ENTITIES, max_size=7))
def test_alike_entities_have_the_hits_of_all_pairs(
    predicted: list[tuple[Box, Span | None, str]], gold: list[tuple[Box, Span | None, str]]
) -> None:
    case = Case("1", tuple(said(*one) for one in predicted), tuple(meant(*one) for one in gold))
    check(case)


@given(cases)
def test_any_entities_have_the_hits_of_all_pairs(case: Case) -> None:
    check(case)


def check(case: Case) -> None:
    pairs = [*related(case, Rules())]
    expected = all_hits(case, Rules())
    for name, agrees in AGREEMENTS.items():
        chosen = matched([pair for pair in pairs if agrees(pair)], len(case.predicted))
        assert len(chosen) == expected[name], name
