from __future__ import annotations

import numpy as np
import pytest

from riveg.evaluation.bootstrap import Interval
from riveg.training.reliability import (
    accuracy_interval,
    expected_calibration_error,
    measure_reliability,
)


@pytest.mark.parametrize(
    ("said", "was", "accuracy", "brier", "error"),
    [
        pytest.param([1.0, 0.0], [True, False], 1.0, 0.0, 0.0, id="sure and right"),
        pytest.param([1.0, 0.0], [False, True], 0.0, 1.0, 1.0, id="sure and wrong"),
        pytest.param([0.5, 0.5], [True, False], 0.5, 0.25, 0.0, id="unsure and calibrated"),
        pytest.param(
            [0.8] * 4, [True, True, True, False], 0.75, 0.19, 0.05, id="0.8 said, 0.75 so"
        ),
        pytest.param([0.9, 0.1], [True, True], 0.5, 0.41, 0.5, id="errors do not cancel over bins"),
    ],
)
def test_figures_by_hand(
    said: list[float], was: list[bool], accuracy: float, brier: float, error: float
) -> None:
    found = measure_reliability(said, was)
    assert found.count == len(said)
    assert found.accuracy == pytest.approx(accuracy)
    assert found.brier == pytest.approx(brier)
    assert found.calibration_error == pytest.approx(error)
    assert sum(one.count for one in found.bins) == len(said)


@pytest.mark.parametrize(
    ("scores", "right", "error"),
    [
        ([0.75, 0.75, 0.75, 0.75], [True, True, True, False], 0.0),
        ([1.0, 1.0], [False, False], 1.0),
        ([0.9, 0.1], [True, False], 0.1),
        ([], [], 0.0),
    ],
)
def test_calibration_error(scores: list[float], right: list[bool], error: float) -> None:
    assert expected_calibration_error(scores, right) == pytest.approx(error)


def test_accuracy_is_resampled_by_posts_not_by_mentions() -> None:
    said, shown = np.tile([0.9, 0.2], 30), np.tile([1.0, 1.0], 30)
    assert accuracy_interval(said, shown, [number // 2 for number in range(60)]) == Interval(50, 50)
    apart = accuracy_interval(said, shown, range(60))
    assert 25 < apart.low < 50 < apart.high < 75
    assert accuracy_interval(shown, shown, range(60)) == Interval(100, 100)
