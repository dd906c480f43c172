import numpy as np
import pytest

from riveg.nn.calibration import PlattCurve, log_odds, sigmoid


def test_calibrated_confidences_are_monotone_and_bounded() -> None:
    confidences = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    scores = PlattCurve(1.4, -1.2)(log_odds(confidences)).tolist()
    assert scores == sorted(scores)
    assert 0 <= scores[0] < scores[-1] <= 1


def test_log_odds_and_back() -> None:
    probabilities = np.array([1e-6, 0.2, 0.5, 0.999])
    assert sigmoid(log_odds(probabilities)).tolist() == pytest.approx(probabilities.tolist())
