from __future__ import annotations

import pytest

from riveg.training.reliability import expected_calibration_error, measure_reliability


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
