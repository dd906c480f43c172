"""Fine labels: scored where predictions and gold have them, by hand; else said not to be scored."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from helpers.evaluation_strategies import cases
from helpers.scores import difference_of, score_of
from hypothesis import given

from riveg.errors import UserError
from riveg.evaluation.budget import error_budget
from riveg.evaluation.canonical import Rules, canonical
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity, predicted_of
from riveg.evaluation.comparison import compare
from riveg.evaluation.evaluate import EvaluationOptions, evaluate, explain
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.evaluation.predictions import Prediction, Predictions
from riveg.evaluation.verdicts import verdicts
from riveg.types import Box, Entity, Region, Sample, Span

HERE, ELSEWHERE = Box(0, 0, 100, 100), Box(200, 0, 300, 100)
RULES = Rules(coarse_of={"actor": "PER", "musician": "PER", "city": "LOC", "band": "ORG"})


def gold(start: int, label: str, fine: str | None, *boxes: Box) -> AnnotatedEntity:
    return AnnotatedEntity(f"w{start}", label, Span(start, start + 1), fine, boxes)


def said(start: int, label: str, fine: str | None, *boxes: Box) -> PredictedEntity:
    regions = tuple(map(Region, boxes))
    span = Span(start, start + 1)
    return PredictedEntity(f"w{start}", label, span, bool(boxes), regions, fine_label=fine)


GOLD = (
    gold(0, "PER", "actor", HERE),
    gold(1, "PER", "musician", HERE),
    gold(2, "LOC", "city"),
    gold(3, "ORG", "band", HERE),
    gold(4, "PER", "actor"),
)
SAID = (
    said(0, "PER", "actor", HERE),  # everything is right
    said(1, "PER", "actor", HERE),  # the fine type is wrong
    said(2, "LOC", "city", HERE),  # the place is wrong, and both types are right
    said(3, "PER", "band", HERE),  # the fine type is right under the wrong coarse one
    said(4, "PER", None),  # no fine type
    said(9, "PER", "actor"),  # no gold entity
)
BY_HAND = {
    # hits of 6 predicted and 5 gold entities
    "span": 5,
    "mner": 4,  # all but 3
    "gmner": 3,  # 0, 1, 4
    "fmner": 3,  # 0, 2, 3
    "fmnerg": 2,  # 0, 3
    "eeg": 4,  # all but 2
}


def data(*entities: AnnotatedEntity) -> GoldSet:
    return gold_set("posts", {"1": GoldSample(entities or GOLD)})


def system(found: Sequence[PredictedEntity] = SAID, name: str = "said", **more: Any) -> Predictions:
    return Predictions(name, "jsonl", lambda: iter([Prediction("1", tuple(found))]), **more)


def coarse(found: Sequence[PredictedEntity] = SAID) -> list[PredictedEntity]:
    return [replace(entity, fine_label=None) for entity in found]


def hits(evaluation: Evaluation, protocol: str = "canonical") -> dict[str, int | None]:
    scores = evaluation.scores[protocol]
    return {name: None if score is None else score.hits for name, score in scores.items()}


def test_the_counts_by_hand() -> None:
    found = evaluate(system(), data())
    assert {name: hits(found)[name] for name in BY_HAND} == BY_HAND
    score = score_of(found, "fmnerg")
    assert (score.predicted, score.gold) == (6, 5)
    assert score.f1 == pytest.approx(100 * 2 * 2 / 11, abs=1e-4)
    assert found.by_type["actor"]["fmner"].hits == found.by_type["actor"]["fmnerg"].hits == 1
    assert (found.by_type["actor"]["fmner"].predicted, found.by_type["actor"]["fmner"].gold) == (
        3,
        2,
    )
    assert found.by_type["city"]["fmner"].hits == 1
    assert found.by_type["city"]["fmnerg"].hits == 0
    assert not found.notes


def test_one_label_that_is_a_fine_one_stands_for_both() -> None:
    alone = [replace(one, label=one.fine_label or one.label, fine_label=None) for one in SAID]
    found = hits(evaluate(system(alone), data()))
    # The band of a person is an organization now.
    assert found["mner"] == BY_HAND["mner"] + 1
    assert (found["fmner"], found["fmnerg"]) == (BY_HAND["fmner"], BY_HAND["fmnerg"])


def test_a_name_of_both_levels_is_a_coarse_label() -> None:
    annotation = data(gold(0, "event", "event"), gold(1, "event", "festival"))
    assert annotation.with_both_labels(said(0, "event", None)).fine_label is None
    festival = annotation.with_both_labels(said(0, "festival", None))
    assert (festival.label, festival.fine_label) == ("event", "festival")
    kept = said(0, "LOC", "festival")
    assert annotation.with_both_labels(kept) == kept


def test_predictions_without_fine_labels_are_not_scored_by_them() -> None:
    found = evaluate(system(coarse()), data(), EvaluationOptions(protocols=("canonical", "tiger")))
    assert hits(found)["fmner"] is hits(found)["fmnerg"] is None
    assert hits(found)["gmner"] == BY_HAND["gmner"]
    assert found.scores["tiger"].keys() == {"mner", "eeg", "gmner"}
    assert [note for note in found.notes if "fine" in note] == [
        "the gold has fine types, the predictions have not: coarse ones are scored"
    ]
    assert {*found.by_type} == {"PER", "LOC", "ORG"}


def test_gold_without_fine_labels_says_so() -> None:
    annotation = data(*(replace(entity, fine_label=None) for entity in GOLD))
    found = evaluate(system(), annotation)
    assert hits(found)["fmner"] is hits(found)["fmnerg"] is None
    assert hits(found)["gmner"] == BY_HAND["gmner"]
    assert "the predictions have fine types, the gold has not: coarse ones are scored" in [
        *found.notes
    ]
    account = explain(system(), annotation, "1", ("canonical",))
    assert account.counts["canonical"]["fmnerg"] is None
    neither = evaluate(system(coarse()), annotation)
    assert not {"fmner", "fmnerg"} & hits(neither).keys()
    assert not neither.notes


def test_gold_without_boxes_has_no_fmnerg() -> None:
    annotation = data(*(replace(entity, boxes=None) for entity in GOLD))
    found = hits(evaluate(system(), annotation))
    assert found["fmner"] == BY_HAND["fmner"]
    assert "fmnerg" not in found
    tags = hits(evaluate(system(detail="tags"), data()))
    assert (tags["fmner"], tags["fmnerg"]) == (BY_HAND["fmner"], None)
    assert not {"fmner", "fmnerg"} & hits(
        evaluate(system(coarse(), detail="tags"), annotation)
    ).keys() - {"fmner"}


def test_protocols_count_both_levels() -> None:
    options = EvaluationOptions(protocols=("canonical", "riveg", "tiger", "e2e"))
    found = evaluate(system(), data(), options)
    assert hits(found, "riveg") == {"eeg": 4, "gmner": 3, "fmnerg": 2}
    assert hits(found, "e2e") == {"mner": 4, "eeg": 4, "gmner": 3, "fmner": 3, "fmnerg": 2}
    assert hits(found, "tiger") == {"mner": 4, "eeg": 4, "gmner": 3, "fmner": 3, "fmnerg": 2}


def test_where_the_points_go() -> None:
    found = evaluate(system(), data(), EvaluationOptions(budget=True)).budget or ()
    lines = {(one.metric, one.mistake): (one.entities, one.spurious) for one in found}
    assert {key: lines[key] for key in lines if key[0] == "fmnerg"} == {
        ("fmnerg", "fine type"): (2, 0),  # 1, 4
        ("fmnerg", "box"): (0, 0),
        ("fmnerg", "groundability"): (1, 0),  # 2
        ("fmnerg", "type"): (0, 0),  # of 3, whose type is wrong, the fine one is right
        ("fmnerg", "span"): (0, 1),
    }
    assert {metric for metric, _ in lines} == {"gmner", "fmnerg"}
    points = sum(one.points for one in found if one.metric == "fmnerg")
    assert points == pytest.approx(100 - 100 * 2 * 2 / 11)
    tags = evaluate(system(detail="tags"), data(), EvaluationOptions(budget=True)).budget or ()
    assert [(one.metric, one.mistake, one.entities) for one in tags][2:] == [
        ("fmner", "fine type", 2),
        ("fmner", "type", 0),
        ("fmner", "span", 0),
    ]


@given(cases)
def test_no_step_of_the_budget_costs_hits(case: Case) -> None:
    for boxes in (True, False):
        lines = error_budget([case], RULES, boxes=boxes)
        assert all(line.entities >= 0 for line in lines)
        for metric in {line.metric for line in lines}:
            points = sum(line.points for line in lines if line.metric == metric)
            assert points == pytest.approx(100 - canonical(RULES)(case)[metric].f1)


def test_what_became_of_each_entity() -> None:
    case = data().case("1", SAID)
    kinds = [(one.kind, one.stage) for one in verdicts(case, RULES)]
    assert kinds == [
        ("right", None),
        ("wrong-fine-type", "tag"),
        ("wrongly-grounded", "entail"),
        ("wrong-type", "tag"),
        ("wrong-fine-type", "tag"),
        ("spurious", "tag"),
    ]
    assert verdicts(case, RULES, ("tag", "rerank"), detail="tags")[1].stage == "rerank"
    assert [one.kind for one in verdicts(case)][:2] == ["right", "right"]


@given(cases)
def test_right_and_wrong_fine_type_are_the_coarse_hits(case: Case) -> None:
    kinds = [one.kind for one in verdicts(case, RULES)]
    found = kinds.count("right") + kinds.count("wrong-fine-type")
    assert found == canonical(RULES)(case)["gmner"].hits
    assert kinds.count("right") <= canonical(RULES)(case)["fmnerg"].hits


def test_one_sample_is_explained_with_fine_labels() -> None:
    account = explain(system(), data(), "1", ("canonical", "tiger"))
    assert account.counts["canonical"]["fmnerg"] == account.counts["tiger"]["fmnerg"]
    marks = [entity.marks["canonical"] for entity in account.entities]
    assert marks == ["hit", "miss", "miss", "hit", "miss", "miss"]


def test_two_systems_are_compared_by_fine_labels_where_both_have_them() -> None:
    better = (*SAID[:1], replace(SAID[1], fine_label="musician"), *SAID[2:])
    found = compare(system(name="A"), system(better, "B"), data())
    difference = difference_of(found, "fmnerg")
    assert (difference.a.hits, difference.b.hits) == (2, 3)
    assert [
        (one.text, one.before, one.after) for one in found.entities if one.outcome == "fixed"
    ] == [("w1", "wrong-fine-type", "right")]
    one_sided = compare(system(coarse(), "A"), system(better, "B"), data())
    assert one_sided.metrics["fmnerg"] is one_sided.metrics["fmner"] is None
    assert difference_of(one_sided, "gmner").difference == 0
    assert one_sided.notes == (
        "A: the gold has fine types, the predictions have not: coarse ones are scored",
    )
    with pytest.raises(UserError, match="--metric fmnerg: not scored here; A: the gold has fine"):
        compare(system(coarse(), "A"), system(better, "B"), data(), metric="fmnerg")


def test_records_hand_their_fine_labels_to_the_scorers() -> None:
    entity = Entity("e0", "Rome", "LOC", Span(0, 1), fine_label="city")
    sample = Sample("1", "Rome", ("Rome",), ((0, 4),), entities=(entity,))
    assert [one.fine_label for one in predicted_of(sample)] == ["city"]
