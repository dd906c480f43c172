"""Two systems on the same samples."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from helpers.evaluation_strategies import cases
from helpers.scores import difference_of
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.canonical import canonical
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.comparison import OUTCOMES, Comparison, compare
from riveg.evaluation.gold import GoldSample, GoldSet, gold_set
from riveg.evaluation.predictions import Prediction, Predictions
from riveg.types import Box, Region, Span

FIXED, BROKEN, STILL_WRONG = OUTCOMES
SQUARE, ASIDE = Box(0, 0, 100, 100), Box(200, 0, 300, 100)


def predicted(start: int, *boxes: Box, label: str = "PER") -> PredictedEntity:
    regions = tuple(map(Region, boxes))
    return PredictedEntity(
        f"w{start}", label, Span(start, start + 1), bool(boxes), regions, entailed=bool(boxes)
    )


def gold(*starts: int, label: str = "PER") -> GoldSample:
    return GoldSample(
        tuple(
            AnnotatedEntity(f"w{start}", label, Span(start, start + 1), boxes=(SQUARE,))
            for start in starts
        )
    )


def system(name: str, **answers: Sequence[PredictedEntity]) -> Predictions:
    listed = [Prediction(sample_id, tuple(found)) for sample_id, found in answers.items()]
    return Predictions(name, "run", lambda: iter(listed))


def gold_of(**samples: GoldSample) -> GoldSet:
    return gold_set("mine", samples, split="dev")


def outcomes(found: Comparison) -> list[tuple[str, str, str, str, str | None]]:
    return [
        (one.outcome, f"{one.sample_id} {one.text}", one.before, one.after, one.stage)
        for one in found.entities
    ]


def test_what_became_of_each_entity() -> None:
    annotation = gold_of(s=gold(0, 1, 2, 3), t=gold(0))
    a = system(
        "A",
        s=[predicted(0, SQUARE), predicted(1, ASIDE), predicted(2), predicted(8), predicted(9)],
        t=[predicted(0, SQUARE)],
    )
    b = system(
        "B",
        s=[predicted(0, SQUARE, label="ORG"), predicted(1, SQUARE), predicted(2), predicted(9)],
        t=[predicted(0, SQUARE), predicted(7)],
    )
    found = compare(a, b, annotation)
    assert outcomes(found) == [
        (BROKEN, "s w0", "right", "wrong-type", "tag"),
        (FIXED, "s w1", "box-off", "right", "ground"),
        (STILL_WRONG, "s w2", "wrongly-ungrounded", "wrongly-ungrounded", "entail"),
        (STILL_WRONG, "s w3", "missed", "missed", "tag"),
        (FIXED, "s w8", "spurious", "not predicted", "tag"),
        (STILL_WRONG, "s w9", "spurious", "spurious", "tag"),
        (BROKEN, "t w7", "not predicted", "spurious", "tag"),
    ]
    assert found.counts == {"right under both": 1, FIXED: 2, BROKEN: 2, STILL_WRONG: 3}
    assert found.by_type == {"PER": {FIXED: 2, BROKEN: 2, STILL_WRONG: 3}}
    assert found.by_stage["ground"] == {FIXED: 1, BROKEN: 0, STILL_WRONG: 0}
    assert found.by_stage["tag"] == {FIXED: 1, BROKEN: 2, STILL_WRONG: 2}
    gmner = difference_of(found, "gmner")
    assert (gmner.a.hits, gmner.b.hits, gmner.a.predicted, gmner.b.gold) == (2, 2, 6, 5)


def test_the_same_spurious_words_twice_are_two_entities() -> None:
    twice = [predicted(8), predicted(8)]
    found = compare(system("A", s=twice), system("B", s=twice[:1]), gold_of(s=gold()))
    assert [one.outcome for one in found.entities] == [STILL_WRONG, FIXED]


def test_only_shared_samples_are_compared() -> None:
    annotation = gold_of(s=gold(0), t=gold(0), u=gold(0))
    a = system("A", s=[predicted(0, SQUARE)], t=[predicted(0)], x=[])
    b = system("B", s=[predicted(0, SQUARE)], u=[predicted(0)])
    found = compare(a, b, annotation)
    assert (found.samples, found.only_a, found.only_b, found.without_gold) == (1, 1, 1, (1, 0))
    assert difference_of(found, "gmner").a.gold == 1
    with pytest.raises(UserError, match="share no sample"):
        compare(system("A", s=[]), system("B", t=[]), annotation)


def test_a_single_metric_can_be_compared() -> None:
    one = system("A", s=[predicted(0)])
    found = compare(one, one, gold_of(s=gold(0)), metric="mner")
    assert list(found.metrics) == ["mner"]
    with pytest.raises(UserError, match="did you mean gmner"):
        compare(one, one, gold_of(s=gold(0)), metric="gmnr")


def test_predictions_of_tags_are_not_compared_by_place() -> None:
    one = system("A", s=[predicted(0)])
    tags = Predictions("B", "conll", one.read, detail="tags")
    found = compare(one, tags, gold_of(s=gold(0)))
    scored = {name for name, difference in found.metrics.items() if difference is not None}
    assert scored == {"span", "mner", "never_ground"}
    assert (found.metrics["gmner"], found.detail) == (None, "tags")
    assert [note.partition(":")[0] for note in found.notes] == ["B"]
    with pytest.raises(UserError, match=r"--metric gmner: not scored here; B: .* tags only"):
        compare(one, tags, gold_of(s=gold(0)), metric="gmner")


def test_a_clear_difference_has_a_small_p_and_a_chance_one_has_not() -> None:
    ids = [f"s{number}" for number in range(40)]
    annotation = gold_of(**{one: gold(0) for one in ids})
    right, wrong = [predicted(0, SQUARE)], [predicted(0, ASIDE)]
    first, second = (
        system(
            name,
            **{one: right if number % 2 == parity else wrong for number, one in enumerate(ids)},
        )
        for parity, name in enumerate("AB")
    )
    all_right = system("C", **dict.fromkeys(ids, right))
    clear = difference_of(compare(first, all_right, annotation), "gmner")
    assert clear.difference == 50
    assert clear.interval[0] > 30
    assert clear.p < 0.01
    back = difference_of(compare(all_right, first, annotation), "gmner")
    assert back.difference == -50
    assert back.p < 0.01
    chance = difference_of(compare(first, second, annotation), "gmner")
    assert chance.difference == 0
    assert chance.p > 0.5


def of_coarse_labels(case: Case) -> Case:
    return replace(
        case,
        predicted=tuple(replace(entity, fine_label=None) for entity in case.predicted),
        gold=tuple(replace(entity, fine_label=None) for entity in case.gold),
    )


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(cases, min_size=1, max_size=2), st.lists(cases, min_size=2, max_size=2))
def test_it_agrees_with_the_scorer_and_with_itself(one: list[Case], other: list[Case]) -> None:
    one, other = ([*map(of_coarse_labels, side)] for side in (one, other))
    assume(any(case.gold for case in one))
    annotation = gold_of(**{f"s{number}": GoldSample(case.gold) for number, case in enumerate(one)})
    a, b = (
        system(name, **{f"s{n}": case.predicted for n, case in enumerate(side[: len(one)])})
        for name, side in (("A", one), ("B", other))
    )
    same = compare(a, a, annotation, resamples=20)
    for name in same.metrics:
        difference = difference_of(same, name)
        assert (difference.difference, difference.interval, difference.p) == (0, (0, 0), 1)
    assert not {FIXED, BROKEN} & {change.outcome for change in same.entities}
    found = compare(a, b, annotation, resamples=20)
    gained = found.counts[FIXED] - found.counts[BROKEN]
    spurious = sum(
        (one.after == "not predicted") - (one.before == "not predicted") for one in found.entities
    )
    gmner = difference_of(found, "gmner")
    assert gained - spurious == gmner.b.hits - gmner.a.hits
    scorer = canonical()
    hits = sum(
        scorer(Case("s", side.predicted, case.gold))["gmner"].hits
        for case, side in zip(one, other, strict=False)
    )
    assert gmner.b.hits == hits
