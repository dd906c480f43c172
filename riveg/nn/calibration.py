"""Platt scaling: a logistic curve over log-odds that makes scores probabilities (Platt 1999)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from riveg.geometry.arrays import Floats


@dataclass(frozen=True, slots=True)
class PlattCurve:
    """Calibrated log-odds are ``slope * score + intercept``, the score being log-odds itself."""

    slope: float
    intercept: float

    def __call__(self, scores: Floats) -> Floats:
        """Probabilities in [0, 1] of scores; both of any one *shape*."""
        return sigmoid(self.slope * scores + self.intercept)


def at_temperature(probability: float, temperature: float) -> float:
    """A probability whose log-odds are divided by a temperature, in [0, 1]."""
    return float(PlattCurve(1 / temperature, 0.0)(log_odds(np.array(probability))))


def log_odds(probabilities: Floats) -> Floats:
    """Log-odds of probabilities in [0, 1], of the same *shape*; those of 0 and 1 are finite."""
    bounded = np.clip(probabilities, 1e-9, 1 - 1e-9)
    odds: Floats = np.log(bounded / (1 - bounded))
    return odds


def sigmoid(scores: Floats) -> Floats:
    """Log-odds to probabilities, of the same *shape*, without overflow."""
    probabilities: Floats = 0.5 * (1 + np.tanh(0.5 * scores))
    return probabilities
