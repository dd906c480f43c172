"""One sample explained, however many entities it has."""

from __future__ import annotations

from collections.abc import Mapping

from riveg.evaluation.canonical import Rules
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.explanation import MOST_MARKED, NOT_MARKED, explain_sample
from riveg.types import Span


def test_thousands_of_entities_do_not_score_a_sample_thousands_of_times() -> None:
    spans = [Span(number, number + 1) for number in range(2000)]
    case = Case(
        id="a",
        predicted=tuple(PredictedEntity(f"n{span.start}", "PER", span) for span in spans),
        gold=tuple(AnnotatedEntity(f"n{span.start}", "PER", span) for span in spans),
    )
    scored = []

    def scorer(part: Case) -> Mapping[str, Count]:
        scored.append(len(part.predicted))
        hits = len(part.predicted)
        return {"mner": Count(hits, hits, len(part.gold))}

    found = explain_sample(iter([case]), "a", {"own": scorer}, Rules(), ["tag"], detail="tags")
    marks = [entity.marks["own"] for entity in found.entities]
    assert marks == ["hit"] * MOST_MARKED + [NOT_MARKED] * (2000 - MOST_MARKED)
    assert len(scored) == MOST_MARKED + 2
    assert found.counts["own"]["mner"] == Count(2000, 2000, 2000)
    assert found.notes == ("only the first 200 of 2000 predicted entities are marked",)
