"""What MNER-QG answers is kept or left by thresholds that fit the posts it was measured on."""

from __future__ import annotations

import pytest

from riveg.nn.mner_qg_decoding import grounded_spans
from riveg.nn.mner_qg_design import MnerQgDesign, MnerQgSettings
from riveg.nn.mner_qg_prediction import FoundSpan, QueryAnswer
from riveg.training.mner_qg.data import QueryPost
from riveg.training.mner_qg.figures import calibrate, tally
from riveg.types import Gold, GoldEntity, Sample, Span

SETTINGS = MnerQgSettings(
    design=MnerQgDesign(
        width=8,
        attention_heads=2,
        image_side=64,
        grids=(8, 4, 2),
        anchors=(),
        existence=False,
    ),
    queries={"PER": "names of people", "LOC": "towns"},
    max_pieces=60,
    mean=(0.5, 0.5, 0.5),
    deviation=(0.25, 0.25, 0.25),
)


def answer(**probabilities: float) -> QueryAnswer:
    """Spans of one word, named ``w0``, ``w1`` and so on, with what the network makes of them."""
    return QueryAnswer(
        tuple(
            FoundSpan(Span(int(word[1:]), int(word[1:]) + 1), probability)
            for word, probability in probabilities.items()
        )
    )


def post(*people: int) -> QueryPost:
    words = ("Ann", "Bob", "Cleo", "met")
    sample = Sample("s", "Ann Bob Cleo met", words, ((0, 3), (4, 7), (8, 12), (13, 16)))
    found = tuple(GoldEntity(words[at], "PER", Span(at, at + 1), boxes=()) for at in people)
    return QueryPost(sample, Gold("s", found), None, {})


@pytest.mark.parametrize(("least", "kept"), [(0.0, 2), (0.3, 2), (0.31, 1), (0.9, 1), (0.91, 0)])
def test_a_span_is_an_entity_from_the_threshold_on(least: float, kept: int) -> None:
    settings = SETTINGS.model_copy(update={"span_threshold": least})
    found = grounded_spans([answer(w0=0.9, w1=0.3), answer(w0=0.2)], settings)
    assert [one.span.start for one in found] == [0, 1][:kept]
    assert all(one.query == 0 for one in found)


def test_the_threshold_of_spans_is_that_of_the_highest_f1() -> None:
    posts = [post(0, 1)] * 6 + [post()] * 6
    answers = [[answer(w0=0.35, w1=0.3), QueryAnswer()]] * 6 + [
        [answer(w0=0.12), answer(w3=0.1)]
    ] * 6
    before = tally(posts, answers, SETTINGS, "coarse").totals()["f1"]
    settings = calibrate(posts, answers, SETTINGS, "coarse")
    after = tally(posts, answers, settings, "coarse").totals()["f1"]
    assert (before.predicted, after.f1) == (0, 100)
    assert after.predicted == 12


def test_nothing_found_leaves_the_thresholds() -> None:
    settings = calibrate([post(0)], [[QueryAnswer(), QueryAnswer()]], SETTINGS, "coarse")
    assert (settings.span_threshold, settings.threshold) == (0.5, 0.5)
