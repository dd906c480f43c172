"""The whole evaluation: totals, what is left out, and what is said about it."""

import json
from typing import Any

import pytest
from helpers.scores import score_of, scored
from pydantic import TypeAdapter

from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, PredictedEntity
from riveg.evaluation.evaluate import EvaluationOptions, evaluate, explain
from riveg.evaluation.evaluation import Evaluation
from riveg.evaluation.gold import GoldSample, gold_set
from riveg.evaluation.predictions import Prediction, Predictions
from riveg.types import Box, ImageSize, Region, Span

A, B = Box(0, 0, 100, 100), Box(200, 200, 300, 300)


def named(text: str, label: str, start: int, *boxes: Box) -> AnnotatedEntity:
    return AnnotatedEntity(text, label, Span(start, start + 1), boxes=boxes)


def said(text: str, label: str, start: int, *boxes: Box) -> PredictedEntity:
    regions = tuple(map(Region, boxes))
    return PredictedEntity(text, label, Span(start, start + 1), bool(boxes), regions)


GOLD = gold_set(
    "posts",
    {
        "1": GoldSample(
            (named("Ann", "PER", 0, A), named("Acme", "ORG", 1)), ImageSize(1000, 1000)
        ),
        "2": GoldSample((named("Bob", "PER", 0, A, B),), ImageSize(1000, 1000)),
        "3": GoldSample(()),
    },
    version="7",
    split="dev",
)

PREDICTIONS = (
    Prediction("1", (said("Ann", "PER", 0, A), said("Acme", "PER", 1))),
    Prediction("2", (said("Bob", "PER", 0, Box(0, 0, 100, 60)),)),
    Prediction("3", (said("Eve", "PER", 0, A),)),
)


def predictions(*made: Prediction, **more: Any) -> Predictions:
    return Predictions("said", "jsonl", lambda: iter(made or PREDICTIONS), **more)


def counts(evaluation: Evaluation, metric: str) -> tuple[int, int, int]:
    score = score_of(evaluation, metric)
    return score.hits, score.predicted, score.gold


def test_the_counts_by_hand() -> None:
    found = evaluate(predictions(), GOLD)
    assert counts(found, "span") == (3, 4, 3)
    assert counts(found, "mner") == (2, 4, 3)
    assert counts(found, "eeg") == (3, 4, 3)
    assert counts(found, "gmner") == (2, 4, 3)
    assert counts(found, "grounded") == (2, 3, 2)
    assert counts(found, "never_ground") == (0, 4, 3)
    assert counts(found, "perfect_boxes") == (2, 4, 3)
    assert score_of(found, "gmner").f1 == pytest.approx(100 * 4 / 7, abs=1e-3)
    low, high = score_of(found, "gmner").interval
    assert low <= score_of(found, "gmner").f1 <= high
    assert (found.samples, found.data_version, found.split) == (3, "7", "dev")


def test_the_tables_by_hand() -> None:
    found = evaluate(predictions(), GOLD)
    assert found.by_type["PER"]["mner"].hits == 2
    assert found.by_type["PER"]["gmner"].predicted == 4
    assert found.by_type["ORG"]["gmner"].f1 == 0.0
    assert found.confusion == {"shown": {"shown": 2}}
    assert found.boxes is not None
    assert (found.boxes.gold, found.boxes.compared, found.boxes.accuracy_75) == (2, 2, 50.0)
    assert found.boxes.mean_iou == pytest.approx(0.8)
    assert {name: fit.gold for name, fit in found.boxes_by_size.items()} == {"small": 2}
    assert {name: fit.gold for name, fit in found.boxes_by_number.items()} == {
        "1 box": 1,
        "2 boxes": 1,
    }


def test_types_add_up_to_the_whole() -> None:
    found = evaluate(predictions(), GOLD)
    for metric in ("mner", "gmner"):
        parts = [scores[metric] for scores in found.by_type.values()]
        assert counts(found, metric) == (
            sum(part.hits for part in parts),
            sum(part.predicted for part in parts),
            sum(part.gold for part in parts),
        )


def test_gold_samples_without_a_prediction_count_as_missed() -> None:
    found = evaluate(predictions(PREDICTIONS[0]), GOLD)
    assert counts(found, "mner") == (1, 2, 3)
    assert (found.samples, found.without_prediction) == (3, 2)


def test_only_the_samples_of_a_partial_run_are_scored() -> None:
    found = evaluate(predictions(PREDICTIONS[0], manifest={"limit": 1}), GOLD)
    assert counts(found, "mner") == (1, 2, 2)
    assert found.partial
    assert found.without_prediction == 0


def test_predictions_without_gold_are_counted_and_not_scored() -> None:
    found = evaluate(predictions(*PREDICTIONS, Prediction("9", (said("Zoe", "PER", 0),))), GOLD)
    assert found.without_gold == 1
    assert counts(found, "mner") == (2, 4, 3)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((Prediction("1", ()), Prediction("1", ())), "the sample '1' comes twice"),
        ((Prediction("8", ()),), "none of its 1 samples is in posts dev, for example '8'"),
        ((Prediction(None, ()),), "1 predictions without ids for the 3 samples"),
    ],
)
def test_predictions_that_do_not_fit_the_gold_are_refused(
    answers: tuple[Prediction, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(predictions(*answers), GOLD)


def test_predictions_without_ids_are_matched_by_order() -> None:
    by_order = [Prediction(None, one.predicted) for one in PREDICTIONS]
    assert evaluate(predictions(*by_order), GOLD).scores == evaluate(predictions(), GOLD).scores


def test_an_unanswered_sample_is_reported_and_counts_as_missed() -> None:
    found = evaluate(predictions(Prediction("1", (), answered=False), *PREDICTIONS[1:]), GOLD)
    assert found.unanswered == 1
    assert counts(found, "mner") == (1, 2, 3)


def test_predictions_of_tags_are_scored_by_tags_only() -> None:
    found = evaluate(predictions(*PREDICTIONS, detail="tags"), GOLD)
    assert scored(found) == {"span", "mner", "never_ground"}
    assert found.scores["canonical"]["gmner"] is None
    assert found.boxes is None
    assert not found.confusion
    assert any("tags only" in note for note in found.notes)


def test_gold_without_places_says_nothing_of_places() -> None:
    words = AnnotatedEntity("Ann", "PER", Span(0, 1))
    gold = gold_set("words", {"1": GoldSample((words,))})
    options = EvaluationOptions(protocols=("canonical", "riveg"), budget=True)
    found = evaluate(predictions(Prediction("1", (said("Ann", "ORG", 0, A),))), gold, options)
    assert not found.confusion
    assert [(line.metric, line.mistake) for line in found.budget or ()] == [
        ("mner", "type"),
        ("mner", "span"),
    ]
    assert "protocol riveg counts nothing that both predictions and gold tell" in found.notes


def test_a_note_warns_of_other_words_at_the_same_tokens() -> None:
    found = evaluate(
        predictions(Prediction("1", (said("Zoe", "PER", 0), said("A cme", "ORG", 1)))), GOLD
    )
    assert [note for note in found.notes if "other words" in note] == [
        "tokens of a gold entity that are other words in the predictions: 1; "
        "is the gold of the same text?"
    ]
    assert not [note for note in evaluate(predictions(), GOLD).notes if "other words" in note]


def test_every_protocol_in_the_options_is_scored() -> None:
    protocols = ("canonical", "riveg", "h-index", "tiger", "tiger-inloop", "e2e")
    found = evaluate(predictions(), GOLD, EvaluationOptions(protocols=protocols))
    assert {*found.scores} == {*protocols}
    assert score_of(found, "gmner", "riveg").hits == 2
    assert score_of(found, "gmner", "tiger-inloop").gold == 3


def test_the_document_is_json_and_comes_back() -> None:
    found = evaluate(predictions(), GOLD, EvaluationOptions(budget=True, average_precision=True))
    adapter = TypeAdapter(Evaluation)
    text = adapter.dump_json(found)
    assert json.loads(text)["scores"]["canonical"]["gmner"]["hits"] == 2
    assert adapter.validate_json(text) == found


def test_one_sample_is_explained_under_every_protocol() -> None:
    account = explain(predictions(), GOLD, "1", ("canonical", "riveg", "tiger"))
    first, second = account.entities
    assert first.verdict.kind == "right"
    assert first.marks == {"canonical": "hit", "riveg": "hit", "tiger": "hit"}
    assert second.verdict.kind == "wrong-type"
    assert {*second.marks.values()} == {"miss"}
    with pytest.raises(UserError, match="no such sample"):
        explain(predictions(), GOLD, "77", ("canonical",))


def test_a_merged_repeat_is_marked_as_not_counted() -> None:
    gold = gold_set("g", {"1": GoldSample((named("Ann", "PER", 0), named("Ann", "PER", 3)))})
    answer = Prediction("1", (said("Ann", "PER", 0), said("Ann", "PER", 3)))
    account = explain(predictions(answer), gold, "1", ("canonical", "tiger"))
    assert [entity.marks["canonical"] for entity in account.entities] == ["hit", "hit"]
    assert [entity.marks["tiger"] for entity in account.entities] == ["hit", "not counted"]
