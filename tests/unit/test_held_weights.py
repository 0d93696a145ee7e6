"""Weights that are held at zero: every solver minimises over the others alone."""

import numpy as np
import pytest
import scipy.optimize

from sknormnet.losses import SquaredError
from sknormnet.objective import Objective
from sknormnet.penalties import MCP, GroupLasso, L2Norm, MaxNorm, NonNegative, NoPenalty, Sum
from sknormnet.plan import PenaltyTerm, Plan
from sknormnet.solvers import Fista, Lbfgs, Monitor, Stochastic, make_schedule

SOLVERS = ["fista", "lbfgs", "adam", "nesterov", "heavy ball"]
D, K = 8, 3


def make_solver(name, max_iter):
    if name == "fista":
        return Fista(tol=1e-10, max_iter=max_iter)
    if name == "lbfgs":
        return Lbfgs(tol=1e-10, max_iter=max_iter, max_fun=10 * max_iter)
    kind, parameters = {
        "heavy ball": ("sgd", {"momentum": 0.9, "nesterov": False}),
        "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}),
        "adam": ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}),
    }[name]
    schedule = make_schedule("cosine", 0.05, power_t=0.5, max_iter=max_iter, solver=kind)
    return Stochastic(kind, parameters, schedule, max_iter=max_iter, batch_size=30, shuffle=False)


def minimum(name, objective, theta, max_iter=1500):
    monitor = Monitor(tol=0.0, patience=np.inf)
    solver = make_solver(name, max_iter)
    return solver.minimize(objective, theta.copy(), monitor=monitor, rng=np.random.RandomState(0)).theta


def linear_problem(penalty, seed=0):
    """Three outputs, each with a support of its own; the objective, data, the support and a start on it."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(30, D))
    Y = X @ rng.normal(size=(D, K)) + 0.3 * rng.normal(size=(30, K)) + 1
    support = rng.random((D, K)) < 0.5
    held = np.concatenate([~support.ravel(), np.zeros(K, dtype=bool)])
    plan = Plan((D, K), (PenaltyTerm(penalty, 0.0),))
    theta = np.where(held, 0.0, np.abs(0.1 * rng.normal(size=plan.n_parameters)))
    objective = Objective(plan, "identity", SquaredError(), X, Y)
    objective.hold(held)
    return objective, X, Y, support, theta


def least_squares(X, Y, support, solve):
    """Of each output on its support: solve(A, b) of centred data gives the weights; they and the intercepts, flat."""
    W, X_mean, Y_mean = np.zeros(support.shape), X.mean(axis=0), Y.mean(axis=0)
    for k, used in enumerate(support.T):
        W[used, k] = solve((X - X_mean)[:, used], (Y - Y_mean)[:, k])
    return np.concatenate([W.ravel(), Y_mean - X_mean @ W])


@pytest.mark.parametrize("penalty", [NoPenalty(), NonNegative()], ids=repr)
@pytest.mark.parametrize("solver", SOLVERS)
def test_least_squares_on_a_support(solver, penalty):
    objective, X, Y, support, theta = linear_problem(penalty)
    result = minimum(solver, objective, theta)
    if penalty.constraint:
        expected = least_squares(X, Y, support, lambda A, b: scipy.optimize.nnls(A, b)[0])
    else:
        expected = least_squares(X, Y, support, lambda A, b: np.linalg.lstsq(A, b)[0])
    assert np.all(result[: D * K][~support.ravel()] == 0)
    np.testing.assert_allclose(result, expected, atol=1e-5)  # at the end of its schedule adam is no closer


@pytest.mark.parametrize("solver", ["fista", "adam", "nesterov"])
def test_norms_bounded_on_a_support(solver):
    """scipy's SLSQP as the oracle."""
    objective, X, Y, support, theta = linear_problem(MaxNorm(limit=0.5))

    def solve(A, b):
        return scipy.optimize.minimize(
            lambda w: 0.5 * np.mean((A @ w - b) ** 2),
            np.zeros(A.shape[1]),
            jac=lambda w: A.T @ (A @ w - b) / len(b),
            constraints={"type": "ineq", "fun": lambda w: 0.25 - w @ w, "jac": lambda w: -2 * w},
            method="SLSQP",
            options={"ftol": 1e-15},
        ).x

    result = minimum(solver, objective, theta)
    assert np.all(result[: D * K][~support.ravel()] == 0)
    # adam's steps are those of groups, whose weights share one metric: it is the least exact
    np.testing.assert_allclose(result, least_squares(X, Y, support, solve), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "penalty",
    [
        NoPenalty(),
        Sum((GroupLasso(), NonNegative())),
        Sum((GroupLasso(), MaxNorm(by="input"))),
        MCP(),
        L2Norm("network"),
    ],
)
@pytest.mark.parametrize("solver", SOLVERS)
def test_zeros_of_a_network_stay(solver, penalty, dtype):
    if solver == "lbfgs" and not (penalty.smooth or penalty.name == "mcp" or penalty.network_wide):
        return  # which refuses it
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(30, D)).astype(dtype), rng.normal(size=(30, K)).astype(dtype)
    n_terms = 1 if penalty.network_wide else 3
    plan = Plan((D, 6, 5, K), (PenaltyTerm(penalty, 0.0),) * n_terms)
    held = rng.random(plan.n_parameters) < 0.4
    theta = np.where(held, 0, np.abs(0.3 * rng.normal(size=held.size))).astype(dtype)
    objective = Objective(plan, "tanh", SquaredError(), X, Y)
    objective.hold(held)
    result = minimum(solver, objective, theta, max_iter=20)
    assert np.all(result[held] == 0)
    assert np.mean(result[~held] != theta[~held]) > 0.9  # NonNegative may leave some where they are, at zero


def test_gradient_of_the_others_is_untouched():
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(5000, 4)), rng.normal(size=(5000, 1))  # several blocks
    plan = Plan((4, 3, 1), (PenaltyTerm(NoPenalty(), 0.0),) * 2)
    held = rng.random(plan.n_parameters) < 0.5
    theta = rng.normal(size=held.size)
    objective = Objective(plan, "relu", SquaredError(), X, Y)
    whole, of_others, again = (np.empty(held.size) for _ in range(3))
    for gradient, where in ((whole, None), (of_others, held), (again, None)):
        objective.hold(where)
        objective.data_loss(theta, gradient)
    np.testing.assert_array_equal(of_others, np.where(held, 0, whole))
    np.testing.assert_array_equal(again, whole)


def test_a_mask_of_another_network_is_refused():
    plan = Plan((D, K), (PenaltyTerm(NoPenalty(), 0.0),))
    objective = Objective(plan, "identity", SquaredError(), np.ones((5, D)), np.ones((5, K)))
    with pytest.raises(ValueError, match="expected 27 bools"):
        objective.hold(np.zeros(24, dtype=bool))
