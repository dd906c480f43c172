"""Verdicts: one for each entity, as many right as the scorer counts, the right stage blamed."""

import pytest
from helpers.evaluation_strategies import cases
from hypothesis import given

from riveg.evaluation.canonical import canonical
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.verdicts import VERDICTS, verdicts
from riveg.types import Box, Region, Span

A, B = Box(0, 0, 100, 100), Box(200, 200, 300, 300)
HERE = Span(0, 2)


@given(cases)
def test_as_many_are_right_as_the_scorer_counts(case: Case) -> None:
    given_out = verdicts(case)
    right = sum(verdict.kind == "right" for verdict in given_out)
    assert right == canonical()(case)["gmner"].hits


@given(cases)
def test_every_entity_has_one_verdict(case: Case) -> None:
    given_out = verdicts(case)
    predicted = [verdict.predicted for verdict in given_out if verdict.predicted is not None]
    gold = [verdict.gold for verdict in given_out if verdict.gold is not None]
    assert predicted == list(range(len(case.predicted)))
    assert sorted(gold) == list(range(len(case.gold)))
    assert {verdict.kind for verdict in given_out} <= {*VERDICTS}
    assert all((verdict.stage is None) == (verdict.kind == "right") for verdict in given_out)


def predicted(
    label: str = "PER",
    span: Span = HERE,
    regions: tuple[Region, ...] | None = (),
    entailed: bool | None = None,
    groundable: bool | None = None,
) -> PredictedEntity:
    said = bool(regions) if regions is not None else groundable
    return PredictedEntity("J K", label, span, said, regions, entailed=entailed)


SHOWN = AnnotatedEntity("J K", "PER", HERE, boxes=(A,))
HIDDEN = AnnotatedEntity("J K", "PER", HERE, boxes=())

CASES = [
    # predicted, gold, verdict, stage, why
    (predicted(regions=(Region(A),)), SHOWN, "right", None, "all right"),
    (predicted(), HIDDEN, "right", None, "rightly nowhere"),
    (predicted("ORG", regions=(Region(B),)), SHOWN, "wrong-type", "tag", "the first fault counts"),
    (predicted(regions=(Region(B),)), SHOWN, "box-off", "ground", "another place"),
    (predicted(regions=(Region(A),)), HIDDEN, "wrongly-grounded", "entail", "the gate let it in"),
    (predicted(entailed=False), SHOWN, "wrongly-ungrounded", "entail", "the gate shut it out"),
    (predicted(entailed=True), SHOWN, "wrongly-ungrounded", "ground", "the grounder found none"),
    (predicted(regions=None), SHOWN, "unanswered", "ground", "no stage looked"),
    (predicted(regions=None, groundable=True), SHOWN, "unanswered", "ground", "no box is told"),
    (
        predicted(regions=None, groundable=False),
        SHOWN,
        "wrongly-ungrounded",
        "entail",
        "it is said that there is no place",
    ),
    (predicted(span=Span(1, 3)), SHOWN, "wrong-span", "tag", "the words overlap"),
    (predicted(span=Span(7, 9)), SHOWN, "wrong-span", "tag", "the words stand elsewhere"),
]


@pytest.mark.parametrize(("found", "gold", "kind", "stage", "why"), CASES)
def test_the_verdict_on_one_entity(
    found: PredictedEntity, gold: AnnotatedEntity, kind: str, stage: str | None, why: str
) -> None:
    (verdict,) = verdicts(Case("s", (found,), (gold,)))
    assert (verdict.kind, verdict.stage) == (kind, stage), why


def test_without_places_in_gold_only_words_and_types_count() -> None:
    gold = AnnotatedEntity("J K", "PER", HERE)
    (verdict,) = verdicts(Case("s", (predicted(regions=(Region(A),)),), (gold,)))
    assert verdict.kind == "right"


@pytest.mark.parametrize(("label", "kind"), [("PER", "right"), ("LOC", "wrong-type")])
def test_a_system_of_tags_is_judged_by_words_and_types(label: str, kind: str) -> None:
    found = PredictedEntity("J K", label, HERE)
    (verdict,) = verdicts(Case("s", (found,), (SHOWN,)), stages=("tag",), detail="tags")
    assert verdict.kind == kind


@pytest.mark.parametrize(
    ("shown", "kind"),
    [(True, "right"), (False, "wrongly-ungrounded"), (None, "unanswered")],
)
def test_a_system_without_boxes_is_judged_by_groundability(shown: bool | None, kind: str) -> None:
    found = PredictedEntity("J K", "PER", HERE, shown)
    (verdict,) = verdicts(Case("s", (found,), (SHOWN,)), detail="groundability")
    assert verdict.kind == kind


def test_what_has_no_partner() -> None:
    other = PredictedEntity("Z", "PER", Span(7, 8), False, ())
    spurious, missed = verdicts(Case("s", (other,), (SHOWN,)))
    assert (spurious.kind, spurious.gold) == ("spurious", None)
    assert (missed.kind, missed.predicted) == ("missed", None)


def test_a_sample_without_an_answer_is_not_one_whose_entities_were_missed() -> None:
    (verdict,) = verdicts(Case("s", (), (SHOWN,), answered=False))
    assert verdict.kind == "unanswered"


def test_joint_systems_are_blamed_as_a_whole() -> None:
    (verdict,) = verdicts(Case("s", (predicted(entailed=True),), (SHOWN,)), stages=("extract",))
    assert verdict.stage == "extract"
