"""One number makes probabilities honest."""

import numpy as np
import pytest

from riveg.nn.calibration import log_odds, sigmoid
from riveg.training.temperature import fit_temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_probabilities_wrong_is_found(temperature: float) -> None:
    chance = np.random.default_rng(0)
    honest = chance.uniform(0.02, 0.98, 20_000)
    right = chance.uniform(size=honest.size) < honest
    told = sigmoid(log_odds(honest) * temperature)
    assert fit_temperature([*told], [*right]) == pytest.approx(temperature, rel=0.05)


def test_extremes_stay_finite() -> None:
    assert fit_temperature([], []) == 1.0
    assert 0.04 < fit_temperature([1.0, 1.0], [True, True]) < 0.06
    assert 19 < fit_temperature([1.0, 1.0], [False, False]) < 21
