"""Logistic regression on sparse rows, and Platt's calibration of its scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from riveg.geometry.arrays import Floats
from riveg.nn.calibration import PlattCurve, sigmoid
from riveg.runs.progress import Progress

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A matrix by its non-zero cells: ``values[i]`` is at ``rows[i]``, ``columns[i]``."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: Floats
    shape: tuple[int, int]

    def dot(self, weights: Floats) -> Floats:
        """The product of the matrix and a vector.

        Args:
            weights: *Shape:* ``(columns,)``

        Returns:
            *Shape:* ``(rows,)``
        """
        products = self.values * weights[self.columns]
        sums: Floats = np.bincount(self.rows, products, self.shape[0]).astype(np.float64)
        return sums

    def dot_transposed(self, residuals: Floats) -> Floats:
        """The product of the transposed matrix and a vector.

        Args:
            residuals: *Shape:* ``(rows,)``

        Returns:
            *Shape:* ``(columns,)``
        """
        products = self.values * residuals[self.rows]
        sums: Floats = np.bincount(self.columns, products, self.shape[1]).astype(np.float64)
        return sums


def fit_logistic(
    rows: SparseRows,
    targets: Floats,
    penalties: Floats,
    *,
    iterations: int,
    progress: Progress,
    title: str,
) -> Floats:
    """Weights of least log-loss with an L2 penalty for each column, by L-BFGS from zero.

    The sums run in a fixed order, so the same rows give the same weights.

    Args:
        rows: One row per mention.
        targets: 0 or 1, *shape* ``(rows,)``.
        penalties: *Shape* ``(columns,)``, non-negative.
        iterations: At most that many steps.
        progress: Hears of every look at all rows.
        title: What is fitted, for the progress.
    """
    import torch

    started = time.monotonic()
    progress.begin(title, None)
    weights = torch.zeros(rows.shape[1], dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weights],
        max_iter=iterations,
        tolerance_grad=1e-5,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def loss_and_gradient() -> torch.Tensor:
        progress.advance(1, 0)
        current = weights.detach().numpy()
        scores = rows.dot(current)
        loss = _loss(scores, targets) + 0.5 * np.sum(penalties * current**2)
        residuals = sigmoid(scores) - targets
        weights.grad = torch.from_numpy(rows.dot_transposed(residuals) + penalties * current)
        return torch.tensor(loss, dtype=torch.float64)

    search.step(loss_and_gradient)
    progress.end(time.monotonic() - started)
    fitted: Floats = weights.detach().numpy().copy()
    return fitted


def fit_calibration(scores: Floats, targets: Floats) -> PlattCurve:
    """Slope and intercept by Newton's method, with Platt's smoothed targets.

    Args:
        scores: Log-odds, *shape* ``(n,)``.
        targets: 0 or 1, *shape* ``(n,)``.
    """
    positives = targets.sum()
    high = (positives + 1) / (positives + 2)
    low = 1 / (len(targets) - positives + 2)
    smoothed = np.where(targets > 0.5, high, low)
    design = np.stack([scores, np.ones_like(scores)], axis=1)
    solution = np.zeros(2)
    for _ in range(100):
        probabilities = sigmoid(design @ solution)
        gradient = design.T @ (probabilities - smoothed)
        spread = probabilities * (1 - probabilities) + 1e-12
        step = np.linalg.solve(design.T @ (design * spread[:, None]), gradient)
        # Where the scores are far apart, a whole step of Newton's method is too long.
        while _loss(design @ (solution - step), smoothed) > _loss(design @ solution, smoothed):
            step = step / 2
        solution = solution - step
        if np.abs(step).max() < 1e-9:
            break
    return PlattCurve(float(solution[0]), float(solution[1]))


def fit_unsmoothed_calibration(scores: Floats, targets: Floats) -> PlattCurve:
    """Slope and intercept by L-BFGS from the identity, with targets of 0 and 1 as they are.

    The shipped tagger is calibrated so; on few scores, or none, the answer stays finite.

    Args:
        scores: Log-odds, *shape* ``(n,)``.
        targets: 0 or 1, *shape* ``(n,)``.
    """
    import torch

    features = torch.tensor(np.stack([scores, np.ones_like(scores)], axis=1))
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(
            features @ weights, torch.from_numpy(targets)
        )
        value.backward()
        return value

    search.step(loss)
    slope, intercept = weights.tolist()
    return PlattCurve(slope, intercept)


def cross_fitted(
    scores: Floats, targets: Floats, groups: Sequence[int], *, folds: int, seed: int
) -> Floats:
    """Probabilities of each fold under a calibration that has not seen it.

    Args:
        scores: Uncalibrated log-odds, *shape* ``(n,)``.
        targets: 0 or 1, *shape* ``(n,)``.
        groups: The sample of each score; one sample's scores share a fold.
        folds: At least 2.
        seed: Of the draw of folds.
    """
    names = np.unique(np.asarray(groups))
    drawn = np.random.default_rng(seed).permutation(len(names)) % folds
    fold = drawn[np.searchsorted(names, np.asarray(groups))]
    probabilities = np.empty_like(scores)
    for held in range(folds):
        inside = fold == held
        calibration = fit_calibration(scores[~inside], targets[~inside])
        probabilities[inside] = calibration(scores[inside])
    return probabilities


def _loss(scores: Floats, targets: Floats) -> float:
    return float(np.sum(np.logaddexp(0, scores) - targets * scores))
