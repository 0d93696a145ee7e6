"""The whole network's gradient against fourth-order differences, dense and CSR."""

import numpy as np
import pytest
import scipy.sparse as sp

from sknormnet.activations import ACTIVATIONS
from sknormnet.losses import LOSSES
from sknormnet.objective import Objective
from sknormnet.penalties import L2
from sknormnet.plan import PenaltyTerm, Plan

DEPTHS = [(), (4,), (4, 3), (4, 3, 5)]
TARGETS = [("squared_error", 1, 1), ("squared_error", 3, 3), ("log_loss", 1, 1), ("log_loss", 3, 3), ("log_loss", 1, 3)]


def problem(activation, hidden, name, n_targets, n_raw, *, sparse, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(11, 6)) * (rng.random((11, 6)) < 0.6)
    if name == "squared_error":
        y = rng.normal(size=(11, n_targets))
    else:
        y = rng.integers(0, 2 if n_targets == n_raw else n_raw, size=(11, n_targets)).astype(float)
    plan = Plan((6, *hidden, n_raw), tuple(PenaltyTerm(L2(), 0.1) for _ in range(len(hidden) + 1)))
    weight = rng.uniform(0.5, 1.5, 11)
    objective = Objective(plan, activation, LOSSES[name](), sp.csr_array(X) if sparse else X, y, weight / weight.mean())
    return objective, rng.normal(scale=0.7, size=plan.n_parameters), rng


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("hidden", DEPTHS, ids=str)
@pytest.mark.parametrize(("name", "n_targets", "n_raw"), TARGETS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient(activation, name, n_targets, n_raw, hidden, sparse):
    objective, theta, rng = problem(activation, hidden, name, n_targets, n_raw, sparse=sparse)
    gradient = np.empty_like(theta)
    objective.data_loss(theta, gradient)
    objective.add_smooth_penalty_gradient(theta, gradient)
    scratch = np.empty_like(theta)

    def value(at):
        return objective.data_loss(at, scratch) + objective.penalty(at)

    for h in (1e-3, 1e-5):  # relu: a smaller step where the larger one crosses a kink
        directions = rng.normal(size=(4, theta.size))
        differences = [
            (8 * (value(theta + h * d) - value(theta - h * d)) - (value(theta + 2 * h * d) - value(theta - 2 * h * d)))
            / (12 * h)
            for d in directions
        ]
        errors = np.abs(directions @ gradient - differences) / np.linalg.norm(directions, axis=1)
        if errors.max() < 1e-7:
            return
    assert errors.max() < 1e-7


@pytest.mark.parametrize("n", [1, 63, 64, 5000])
def test_blocks_of_rows_add_up(n):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 30)), rng.normal(size=(n, 2))
    plan = Plan((30, 40, 2), (PenaltyTerm(L2(), 0.0),) * 2)
    theta = rng.normal(size=plan.n_parameters)
    gradient = np.empty_like(theta)
    loss = Objective(plan, "tanh", LOSSES["squared_error"](), X, y).data_loss(theta, gradient)
    (W1, W2), (b1, b2) = plan.split(theta)
    H = np.tanh(X @ W1 + b1)
    residual = H @ W2 + b2 - y
    assert loss == pytest.approx(0.5 * (residual**2).sum() / n, rel=1e-12)
    back = residual @ W2.T * (1 - H**2)
    expected = np.concatenate([(X.T @ back).ravel(), back.sum(0), (H.T @ residual).ravel(), residual.sum(0)]) / n
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def test_only_the_rows_that_are_named_count():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    rows = np.array([40, 3, 3, 17], dtype=np.int64)
    plan = Plan((3, 5, 1), (PenaltyTerm(L2(), 0.0),) * 2)
    theta = rng.normal(size=plan.n_parameters)
    a, b = np.empty_like(theta), np.empty_like(theta)
    loss = LOSSES["squared_error"]()
    named = Objective(plan, "relu", loss, X, y, rows=rows).data_loss(theta, a)
    taken = Objective(plan, "relu", loss, X[rows], y[rows]).data_loss(theta, b)
    assert named == pytest.approx(taken, rel=1e-14)
    np.testing.assert_allclose(a, b, rtol=1e-12)
