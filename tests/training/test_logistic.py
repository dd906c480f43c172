from __future__ import annotations

import numpy as np
import pytest

from riveg.nn.calibration import PlattCurve
from riveg.runs.progress import Silence
from riveg.training.logistic import (
    SparseRows,
    cross_fitted,
    fit_calibration,
    fit_logistic,
)

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[train]"')


def random_rows(seed: int) -> tuple[SparseRows, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    dense = chance.normal(size=(400, 5)) * (chance.random((400, 5)) < 0.7)
    weights = np.array([2.0, -1.0, 0.0, 0.5, 1.0])
    targets = (chance.random(400) < 1 / (1 + np.exp(-dense @ weights))).astype(float)
    rows, columns = np.nonzero(dense)
    return SparseRows(rows, columns, dense[rows, columns], dense.shape), dense, targets


def test_products_are_those_of_the_dense_matrix() -> None:
    sparse, dense, targets = random_rows(1)
    weights = np.arange(5.0)
    assert np.allclose(sparse.dot(weights), dense @ weights)
    assert np.allclose(sparse.dot_transposed(targets), dense.T @ targets)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
def test_the_gradient_vanishes_at_the_fit(penalty: float) -> None:
    sparse, dense, targets = random_rows(2)
    weights = fit_logistic(
        sparse, targets, np.full(5, penalty), iterations=200, progress=Silence(), title="fit"
    )
    residuals = 1 / (1 + np.exp(-dense @ weights)) - targets
    assert np.allclose(dense.T @ residuals + penalty * weights, 0, atol=1e-3)


def test_calibration_finds_what_was_stretched() -> None:
    chance = np.random.default_rng(3)
    true_scores = chance.normal(size=20_000) * 2
    shown = (chance.random(20_000) < 1 / (1 + np.exp(-true_scores))).astype(float)
    found = fit_calibration(3 * true_scores + 1, shown)
    assert found.slope == pytest.approx(1 / 3, rel=0.05)
    assert found.intercept == pytest.approx(-1 / 3, abs=0.05)


def test_each_fold_is_calibrated_without_itself() -> None:
    chance = np.random.default_rng(4)
    scores = chance.normal(size=300)
    shown = (chance.random(300) < 0.5).astype(float)
    groups = [number // 3 for number in range(300)]
    said = cross_fitted(scores, shown, groups, folds=5, seed=0)
    assert np.array_equal(said, cross_fitted(scores, shown, groups, folds=5, seed=0))
    changed = shown.copy()
    changed[:3] = 1 - changed[:3]  # one sample's answers
    again = cross_fitted(scores, changed, groups, folds=5, seed=0)
    assert np.array_equal(again[:3], said[:3]), "a post has no say in its own calibration"
    assert not np.array_equal(again, said)


def test_calibrated_scores_stay_in_order() -> None:
    said = PlattCurve(0.5, 0.1)(np.array([-800.0, -1.0, 0.0, 1.0, 800.0]))
    assert (np.diff(said) > 0).all()
    assert said.min() >= 0
    assert said.max() <= 1
