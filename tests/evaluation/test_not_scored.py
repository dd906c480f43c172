"""What cannot be scored is said to be so, and is never a score of 0."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.factories import make_sample
from helpers.run_folders import make_run
from helpers.scores import score_of, scored

from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, Detail, PredictedEntity, Proposals
from riveg.evaluation.comparison import compare
from riveg.evaluation.evaluate import EvaluationOptions, evaluate, explain
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.evaluation.predictions import Prediction, Predictions, predictions_of_run
from riveg.evaluation.protocols import PROTOCOLS
from riveg.geometry.masks import mask_from_array
from riveg.types import Box, Entailment, Region, Span

BOX = Box(0, 0, 100, 100)
HERE = Span(0, 1)
ALL = EvaluationOptions(protocols=(*PROTOCOLS,), resamples=10)
STAND_IN = "without --proposals the predicted boxes stand in for the detector's"


def gold(proposals: Proposals | None = None) -> GoldSet:
    entity = AnnotatedEntity("Ann", "PER", HERE, boxes=(BOX,))
    return gold_set("posts", {"1": GoldSample((entity,), proposals=proposals)})


def predictions(detail: Detail, span: Span | None = HERE) -> Predictions:
    entity = {
        "tags": PredictedEntity("Ann", "PER", span),
        "groundability": PredictedEntity("Ann", "PER", span, True),
        "regions": PredictedEntity("Ann", "PER", span, True, (Region(BOX),)),
    }[detail]
    return Predictions("said", "jsonl", lambda: iter([Prediction("1", (entity,))]), detail)


HAVE: list[tuple[Detail, dict[str, set[str]]]] = [
    (
        "tags",
        {
            "canonical": {"span", "mner", "never_ground"},
            "riveg": set(),
            "h-index": set(),
            "tiger": set(),
            "tiger-inloop": set(),
            "e2e": {"mner"},
            "sysu-unco": {"mner"},
            "sysu-sake": {"mner"},
        },
    ),
    (
        "groundability",
        {
            "canonical": {"span", "mner", "never_ground", "perfect_boxes"},
            "riveg": set(),
            "h-index": set(),
            "tiger": {"mner"},
            "tiger-inloop": set(),
            "e2e": {"mner"},
            "sysu-unco": {"mner"},
            "sysu-sake": {"mner"},
        },
    ),
    ("regions", {name: {*protocol.metrics} for name, protocol in PROTOCOLS.items()}),
]


@pytest.mark.parametrize(("detail", "expected"), HAVE)
def test_the_metrics_that_predictions_can_have(
    detail: Detail, expected: dict[str, set[str]]
) -> None:
    found = evaluate(predictions(detail), gold(), ALL)
    for name, protocol in PROTOCOLS.items():
        assert {*found.scores[name]} == {*protocol.metrics}, name
        assert scored(found, name) == expected[name], name
        for metric in expected[name] - {"never_ground"}:
            assert score_of(found, metric, name).f1 == 100, (name, metric)
    cannot = [note for note in found.notes if note.endswith("EEG and GMNER cannot be")]
    assert bool(cannot) == (detail != "regions")


@pytest.mark.parametrize(("detail", "expected"), HAVE)
def test_an_explanation_has_the_same(detail: Detail, expected: dict[str, set[str]]) -> None:
    told = explain(predictions(detail), gold(), "1", (*PROTOCOLS,))
    for name, counts in told.counts.items():
        assert {metric for metric, one in counts.items() if one is not None} == expected[name]
        mark = told.entities[0].marks[name]
        assert mark == ("hit" if expected[name] & {"mner", "gmner"} else "not scored")
    assert told.entities[0].verdict.kind == "right"


def test_candidates_that_stand_in_are_told() -> None:
    found = evaluate(predictions("regions"), gold(), ALL)
    (note,) = [note for note in found.notes if STAND_IN in note]
    assert note.startswith("protocols h-index, tiger, tiger-inloop:")
    one = replace(ALL, protocols=("canonical", "tiger"))
    (note,) = [n for n in evaluate(predictions("regions"), gold(), one).notes if STAND_IN in n]
    assert note.startswith("protocol tiger:")
    assert [STAND_IN in n for n in explain(predictions("regions"), gold(), "1", ("tiger",)).notes]
    for options in (EvaluationOptions(), replace(ALL, protocols=("riveg", "e2e"))):
        found = evaluate(predictions("regions"), gold(), options)
        assert not [n for n in found.notes if STAND_IN in n]
    known = evaluate(predictions("regions"), gold(proposals=(BOX,)), ALL)
    assert not [n for n in known.notes if "--proposals" in n]
    missing = evaluate(predictions("regions"), gold(proposals=()), ALL)
    (note,) = [n for n in missing.notes if "--proposals" in n]
    assert note.startswith("samples for which --proposals has no boxes: 1 of 1;")


def test_where_tokens_are_not_told_the_other_protocols_are_scored() -> None:
    found = evaluate(predictions("regions", span=None), gold(), ALL)
    for name in ("h-index", "sysu-unco"):
        assert not scored(found, name)
        (note,) = [n for n in found.notes if n.startswith(f"protocol {name} is not scored: ")]
        assert "does not tell its tokens" in note
    assert score_of(found, "gmner", "sysu-sake").hits == 1
    told = explain(predictions("regions", span=None), gold(), "1", ("h-index",))
    assert told.entities[0].marks == {"canonical": "hit", "h-index": "not scored"}
    assert "does not tell its tokens" in told.notes[-1]


def test_a_run_that_found_no_picture_is_scored_as_what_it_says(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [make_sample("Ann sings", [(0, 1, "PER")], id="1")])
    opened = predictions_of_run(run)
    assert {"entail", "ground"} <= {*opened.stages}
    assert opened.detail == "tags"
    found = evaluate(opened, gold(), EvaluationOptions(resamples=10))
    assert scored(found) == {"span", "mner", "never_ground"}
    assert any("had the run its images" in note for note in found.notes)


def test_what_is_not_shown_for_want_of_an_image_says_nothing(tmp_path: Path) -> None:
    sample = make_sample("Ann sings", [(0, 1, "PER")], id="1")
    (entity,) = sample.entities or ()
    gated = replace(entity, entailment=Entailment(0.0, False, "none"), regions=())
    opened = predictions_of_run(
        make_run(tmp_path / "run", [replace(sample, entities=(gated,), image=None)])
    )
    found = evaluate(opened, gold(), EvaluationOptions(resamples=10))
    assert scored(found) == {"span", "mner", "never_ground"}
    (note,) = [n for n in found.notes if "without an image" in n]
    assert note.endswith(": 1")


def test_entities_whose_place_was_not_answered_are_counted() -> None:
    both = (
        PredictedEntity("Ann", "PER", HERE, True, (Region(BOX),)),
        PredictedEntity("Bob", "PER", Span(1, 2)),
    )
    some = Predictions("said", "jsonl", lambda: iter([Prediction("1", both)]))
    (note,) = [n for n in evaluate(some, gold()).notes if "not answered" in n]
    assert note.startswith("entities whose place was not answered: 1 of 2;")


@pytest.fixture
def masks_of_two_sizes() -> tuple[Predictions, GoldSet]:
    """Two samples: in the second one the predicted mask is of a smaller picture than gold's."""
    small, large = (mask_from_array(np.ones((side, side), dtype=bool)) for side in (10, 20))
    entity = AnnotatedEntity("Ann", "PER", HERE, boxes=(BOX,), masks=(large,))
    found = [
        PredictedEntity("Ann", "PER", HERE, True, (Region(BOX, mask=mask),))
        for mask in (large, small)
    ]
    said = [Prediction("O_16", (found[0],)), Prediction("O_17", (found[1],))]
    annotated = {one.sample_id or "": GoldSample((entity,)) for one in said}
    return Predictions("said", "jsonl", lambda: iter(said)), gold_set("posts", annotated)


def test_masks_of_two_sizes_cost_the_scores_of_masks_only(
    masks_of_two_sizes: tuple[Predictions, GoldSet],
) -> None:
    options = EvaluationOptions(budget=True, average_precision=True, resamples=10)
    found = evaluate(*masks_of_two_sizes, options)
    assert found.scores["canonical"]["smner"] is None
    for metric in ("mner", "eeg", "gmner"):
        assert score_of(found, metric).hits == 2
    assert {line.metric for line in found.budget or ()} == {"gmner"}
    average = found.average_precision or {}
    assert average["box"] is not None
    assert average["mask"] is None
    smner, masks = [note for note in found.notes if "not scored" in note]
    assert smner.startswith("SMNER is not scored: 'O_17': 'Ann': masks of different sizes")
    assert masks.endswith("masks of different sizes, or a damaged one, in 'O_17'")


def test_masks_of_two_sizes_are_told_by_compare_and_why(
    masks_of_two_sizes: tuple[Predictions, GoldSet],
) -> None:
    said, annotated = masks_of_two_sizes
    compared = compare(said, said, annotated, resamples=10)
    assert compared.metrics["smner"] is None
    assert compared.metrics["gmner"] is not None
    assert [note for note in compared.notes if note.startswith("SMNER is not scored: 'O_17'")]
    with pytest.raises(UserError, match=r"--metric smner: not scored here; SMNER .* 'O_17'"):
        compare(said, said, annotated, metric="smner")
    for sample_id, smner in (("O_16", True), ("O_17", False)):
        told = explain(said, annotated, sample_id, ())
        counts = told.counts["canonical"]
        assert (counts["smner"] is not None) is smner
        assert counts["gmner"] is not None
        assert told.entities[0].marks == {"canonical": "hit"}
        assert any("SMNER is not scored" in note for note in told.notes) is not smner
