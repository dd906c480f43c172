"""Intervals: the same as resampling sample by sample, and telling of certainty."""

import numpy as np

from riveg.evaluation.bootstrap import Tally, percentages
from riveg.evaluation.cases import AnnotatedEntity, Case, PredictedEntity
from riveg.evaluation.counts import Count
from riveg.evaluation.differences import differences


def tally_of(counts: list[Count]) -> Tally:
    tally = Tally()
    for count in counts:
        tally.add({"gmner": count})
    return tally


def test_totals_add_up() -> None:
    tally = tally_of([Count(1, 2, 3), Count(1, 2, 3), Count(0, 1, 0)])
    assert tally.totals() == {"gmner": Count(2, 5, 6)}
    assert tally.samples == 3


def test_intervals_are_those_of_drawing_samples_one_by_one() -> None:
    generator = np.random.default_rng(7)
    gold = generator.integers(0, 4, 300)
    hits = generator.binomial(gold, 0.6)
    counts = [Count(int(hit), int(all_), int(all_)) for hit, all_ in zip(hits, gold, strict=True)]
    score = tally_of(counts).scores(resamples=4000)["gmner"]
    drawn = generator.integers(0, 300, (4000, 300))
    by_hand = 100 * hits[drawn].sum(axis=1) / gold[drawn].sum(axis=1)
    low, high = np.quantile(by_hand, [0.025, 0.975])
    assert abs(score.f1.low - low) < 0.4
    assert abs(score.f1.high - high) < 0.4
    assert score.f1.low < score.count.f1 < score.f1.high


def test_what_is_always_right_has_no_width() -> None:
    score = tally_of([Count(1, 1, 1)] * 50).scores()["gmner"]
    assert (score.f1.low, score.f1.high) == (100.0, 100.0)


def test_the_same_data_gives_the_same_interval() -> None:
    counts = [Count(1, 2, 2), Count(0, 1, 3), Count(2, 2, 2)]
    assert tally_of(counts).scores() == tally_of(counts).scores()


def test_nothing_predicted_and_nothing_there_is_zero_and_not_an_error() -> None:
    assert all(value == 0 for value in percentages(np.zeros((2, 3), dtype=np.int64))[2])
    assert tally_of([Count(0, 0, 0)]).scores()["gmner"].count.f1 == 0.0


def test_a_resample_with_nothing_to_score_is_left_out() -> None:
    # Every fourth resample holds none of the two rare samples.
    counts = [Count(1, 1, 1)] * 2 + [Count(0, 0, 0)] * 3
    score = tally_of(counts).scores()["gmner"]
    assert score.count.f1 == 100.0
    for interval in (score.precision, score.recall, score.f1):
        assert (interval.low, interval.high) == (100.0, 100.0)
    nothing = tally_of([Count(0, 0, 1)] * 4).scores()["gmner"]
    assert (nothing.precision.low, nothing.precision.high, nothing.f1.high) == (0.0, 0.0, 0.0)


def test_a_difference_leaves_out_resamples_with_nothing_to_score() -> None:
    def score(case: Case) -> dict[str, Count]:
        return {"gmner": Count(len(case.predicted), len(case.gold), len(case.gold))}

    found, wanted = PredictedEntity("Ann", "PER"), AnnotatedEntity("Ann", "PER")
    right, wrong = Case("1", (found,), (wanted,)), Case("1", (), (wanted,))
    empty = Case("2", (), ())
    pairs = [(wrong, right), (wrong, right), (empty, empty), (empty, empty), (empty, empty)]
    told = differences(pairs, ["gmner"], score, 1000)["gmner"]
    assert told.interval == (100.0, 100.0)
    assert told.p < 0.01
    same = differences([(empty, empty)], ["gmner"], score, 1000)["gmner"]
    assert (same.interval, same.p) == ((0.0, 0.0), 1.0)
