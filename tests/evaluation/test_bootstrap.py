"""Intervals: the same as resampling sample by sample, and telling of certainty."""

import numpy as np

from riveg.evaluation.bootstrap import Tally, percentages
from riveg.evaluation.counts import Count


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
