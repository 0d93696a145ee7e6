"""Where the solvers stop, and that they say why: stationary, stalled, or neither."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.inspection import stationarity

SEEDS = range(20)
RUNS = [("lbfgs", "l2"), ("lbfgs", "l1"), ("fista", "l2"), ("fista", "l1"), ("fista", "group_lasso")]
# lbfgs takes the largest entry of the gradient, and stops on a fall of 2.2e-5 * tol: it goes on to rounding.
TOL = {"lbfgs": 1e-12, "fista": 1e-6}


def small_network(seed, activations):
    """A random network of depth 0, 1 or 2, and data that it does not fit."""
    rng = np.random.default_rng(seed)
    hidden = tuple(int(size) for size in rng.integers(2, 6, seed % 3))
    n, d = int(rng.integers(30, 80)), int(rng.integers(2, 6))
    X = rng.standard_normal((n, d))
    y = np.tanh(X[:, 0]) + 0.5 * X[:, 1] ** 2 + 0.3 * rng.standard_normal(n)
    classes = seed % 2 == 1
    model = (NormRegMLPClassifier if classes else NormRegMLPRegressor)(
        hidden,
        activations[seed // 3 % len(activations)],
        alpha=0.01,
        max_iter=20_000,
        max_fun=100_000,
        random_state=seed,
    )
    return model, X, (y > np.median(y)).astype(int) if classes else y


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("solver", "penalty"), RUNS)
@pytest.mark.parametrize("seed", SEEDS)
def test_smooth_networks_end_at_a_stationary_point(seed, solver, penalty):
    model, X, y = small_network(seed, ("tanh", "logistic", "identity"))
    model.set_params(solver=solver, penalty=penalty, tol=TOL[solver]).fit(X, y)
    found = stationarity(model, X, y)
    assert found.relative < 1e-6
    assert model.history_["residual"][-1] == pytest.approx(found.relative, rel=1e-9, abs=1e-16)
    assert model.stop_reason_ == "stationary" or (solver == "lbfgs" and model.stop_reason_ == "stalled")

    model.set_params(max_iter=max(1, model.n_iter_ // 4)).fit(X, y)
    assert model.stop_reason_ == "max_iter"
    assert stationarity(model, X, y).relative > 1e-6


@pytest.mark.parametrize(("solver", "penalty"), [("lbfgs", "l2"), ("fista", "l2"), ("fista", "l1")])
@pytest.mark.parametrize("seed", [seed for seed in SEEDS if seed % 3])
def test_relu_networks_end_on_a_stalled_objective(seed, solver, penalty):
    """Their minima lie on kinks, where the gradient does not vanish; a few are smooth where they end."""
    model, X, y = small_network(seed, ("relu",))
    model.set_params(solver=solver, penalty=penalty, tol=TOL[solver])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    residual = stationarity(model, X, y).relative
    if residual > 1e-6:
        assert model.stop_reason_ == "stalled"
        assert [w.category for w in caught] == [ConvergenceWarning] and "stalled" in str(caught[0].message)
    else:
        assert model.stop_reason_ in ("stationary", "stalled")


def test_most_relu_networks_stall():
    residuals = []
    for seed in SEEDS:
        model, X, y = small_network(seed, ("relu",))
        if model.hidden_layer_sizes:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(solver="fista", tol=1e-6).fit(X, y)
            residuals.append(stationarity(model, X, y).relative)
    assert np.mean(np.array(residuals) > 1e-3) > 0.8


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_a_warm_start_from_the_end_stays_there(solver):
    model, X, y = small_network(1, ("tanh",))
    model.set_params(solver=solver, tol=1e-5, warm_start=True).fit(X, y)
    before, iterations = model.objective_, model.n_iter_
    model.fit(X, y)
    assert model.stop_reason_ == "stationary"
    assert model.n_iter_ <= 1 < iterations
    assert model.objective_ <= before
    assert len(model.history_["residual"]) == iterations + model.n_iter_


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fista_stops_at_tol_or_at_the_precision(dtype, make_problem):
    problem = make_problem("regression")
    model = NormRegMLPRegressor((), alpha=0.1, solver="fista", dtype=dtype, max_iter=5000, random_state=0)
    model.set_params(tol=1e-3).fit(problem.X, problem.y)
    assert model.stop_reason_ == "stationary"
    residuals = model.history_["residual"]
    assert residuals[-1] <= 1e-3 < min(residuals[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no remedy, no warning
        model.set_params(tol=1e-30).fit(problem.X, problem.y)
    assert model.stop_reason_ == "stalled"
    assert model.history_["residual"][-1] < (3e-3 if dtype == "float32" else 1e-7)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "fista", "sgd", "adam"])
def test_max_iter_and_patience(solver, make_problem):
    problem = make_problem("binary")
    model = problem.Estimator((4,), solver=solver, random_state=0)
    assert model.set_params(max_iter=2).fit(problem.X, problem.y).stop_reason_ == "max_iter"
    residuals = model.history_["residual"]
    if solver in ("lbfgs", "fista"):
        assert len(residuals) == 2 and all(0 < r <= 1 for r in residuals)
        assert residuals[-1] == pytest.approx(stationarity(model, problem.X, problem.y).relative, rel=1e-9)
    else:
        assert residuals == [None, None]
    model.set_params(max_iter=500, early_stopping=True, n_iter_no_change=1, tol=1e-9)
    assert model.fit(problem.X, problem.y).stop_reason_ == "patience"
    if solver in ("sgd", "adam"):
        model.set_params(early_stopping=False, tol=10.0)
        assert model.fit(problem.X, problem.y).stop_reason_ == "patience"
        assert model.n_iter_ == 2


def test_max_fun_counts_as_max_iter(make_problem):
    problem = make_problem("regression")
    model = problem.Estimator((4,), solver="lbfgs", max_fun=3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_fun"):
        assert model.fit(problem.X, problem.y).stop_reason_ == "max_iter"


def test_partial_fit(make_problem):
    problem = make_problem("regression")
    model = problem.Estimator((4,), n_iter_no_change=2, tol=100.0, random_state=0)
    reasons = [model.partial_fit(problem.X, problem.y).stop_reason_ for _ in range(4)]
    assert reasons == ["max_iter", "max_iter", "patience", "patience"]
    assert model.history_["residual"] == [None] * 4


def test_divergence(make_problem):
    problem = make_problem("regression")
    model = problem.Estimator((4,), "identity", solver="sgd", learning_rate_init=0.5, max_iter=100, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(problem.X, 30 * problem.y)
    assert model.stop_reason_ == "diverged"
    assert all(np.isfinite(W).all() for W in model.coefs_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_residual_of_a_kinked_loss_is_that_of_the_smoothed_one(solver, make_problem):
    """It falls on every smoothing, while the certificate of the loss itself stays at the size of a subgradient."""
    problem = make_problem("regression")
    model = problem.Estimator((), loss="absolute_error", alpha=0.01, solver=solver, tol=1e-3, max_iter=5000)
    model.set_params(random_state=0).fit(problem.X, problem.y)
    assert min(model.history_["residual"]) <= 1e-3
    assert model.stop_reason_ in ("stationary", "stalled")
    found = stationarity(model, problem.X, problem.y)
    signs = np.sign(model.predict(problem.X) - problem.y) / len(problem.y)
    gradient = np.r_[problem.X.T @ signs + 0.01 * model.coefs_[0][:, 0], signs.sum()]
    assert_allclose(found.absolute, np.linalg.norm(gradient), rtol=1e-9)
