"""Entities of two runs, and what became of them from the first to the second."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.factories import make_sample
from helpers.report_runs import ELSEWHERE, FACE, annotated, seen, with_entities

from riveg.evaluation.verdicts import Verdict
from riveg.report.judging import Judgement
from riveg.report.pairing import items
from riveg.types import Sample

GOLD = (annotated("Rome", "LOC", (0, 1)),)


def rome(*spans: tuple[int, int, str]) -> Sample:
    return make_sample("Rome by night", spans, id="1")


def judged(*verdicts: Verdict) -> Judgement:
    return Judgement(GOLD, verdicts)


RIGHT = Verdict("right", 0, 0, None)
WRONG = Verdict("wrong-type", 0, 0, "tag")
MISSED = Verdict("missed", None, 0, "tag")
SPURIOUS = Verdict("spurious", 0, None, "tag")


@pytest.mark.parametrize(
    ("first", "second", "expected", "reason"),
    [
        ([RIGHT], [RIGHT], ["both-right"], "nothing changed"),
        ([WRONG], [RIGHT], ["fixed"], "now the type is right"),
        ([RIGHT], [MISSED], ["broken"], "no longer predicted"),
        ([WRONG], [MISSED], ["still-wrong"], "wrong in two ways"),
        ([SPURIOUS, MISSED], [MISSED], ["fixed", "still-wrong"], "one invention less"),
        ([MISSED], [SPURIOUS, MISSED], ["still-wrong", "broken"], "one invention more"),
    ],
)
def test_outcomes(
    first: list[Verdict], second: list[Verdict], expected: list[str], reason: str
) -> None:
    sample = rome((0, 1, "LOC"))
    paired = items([sample, sample], [judged(*first), judged(*second)])
    assert [item.outcome for item in paired] == expected, reason


def test_a_sample_that_the_second_run_lacks_is_wrong_there() -> None:
    sample = rome((0, 1, "LOC"))
    (item,) = items([sample, None], [judged(RIGHT), Judgement()])
    assert (item.outcome, item.verdicts[1]) == ("broken", None)


def test_inventions_of_the_same_words_are_one() -> None:
    other = Verdict("spurious", 1, None, "tag")
    first, second = rome((1, 2, "PER")), rome((0, 1, "LOC"), (1, 2, "ORG"))
    paired = items([first, second], [judged(SPURIOUS, MISSED), judged(RIGHT, other)])
    assert [item.outcome for item in paired] == ["still-wrong", "fixed"]
    assert [item.gold for item in paired] == [None, 0]


@pytest.mark.parametrize(
    ("change", "expected", "reason"),
    [
        ({}, "same", "word for word"),
        ({"score": 0.1}, "same", "how sure it is says nothing about what it is"),
        ({"label": "ORG"}, "changed", "another type"),
        (seen(ELSEWHERE), "changed", "another place"),
        ({"regions": ()}, "changed", "no place any more"),
        ({"regions": None}, "changed", "not answered any more"),
    ],
)
def test_without_gold_runs_agree_or_not(
    change: dict[str, object], expected: str, reason: str
) -> None:
    first = with_entities(rome((0, 1, "LOC")), seen(FACE))
    second = with_entities(first, change)
    (item,) = items([first, second], [Judgement(), Judgement()])
    assert item.outcome == expected, reason


def test_without_gold_what_only_one_run_has() -> None:
    first, second = rome((0, 1, "LOC")), rome((2, 3, "LOC"))
    paired = items([first, second], [Judgement(), Judgement()])
    assert [item.outcome for item in paired] == ["only-a", "only-b"]
    unanswered = replace(second, entities=None)
    assert [item.outcome for item in items([first, unanswered], [Judgement()] * 2)] == ["only-a"]
