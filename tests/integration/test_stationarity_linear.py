"""The certificate without hidden layers, where scikit-learn's solutions and closed forms are the oracle."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Lasso, QuantileRegressor

from sknormnet import NormRegMLPRegressor
from sknormnet.inspection import stationarity

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def linear_data(seed=0, noise=0.5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((70, 6))
    return X, X[:, 0] - 2 * X[:, 1] + 1 + noise * rng.standard_normal(70)


def test_conditions_of_the_lasso():
    X, y = linear_data()
    lasso = Lasso(alpha=0.2, tol=1e-14, max_iter=100_000).fit(X, y)
    model = NormRegMLPRegressor((), penalty="l1", alpha=0.2, solver="fista", max_iter=1).fit(X, y)
    model.coefs_, model.intercepts_ = [lasso.coef_[:, np.newaxis].copy()], [np.array([lasso.intercept_])]
    assert stationarity(model, X, y).relative < 1e-7  # scikit-learn stops on its duality gap, a square of the residual

    model.coefs_[0] += 0.01 * np.array([1, -1, 0, 2, 0, 0])[:, np.newaxis]
    error = X @ model.coefs_[0][:, 0] + lasso.intercept_ - y
    correlation, w = X.T @ error / 70, model.coefs_[0][:, 0]
    violation = np.where(w == 0, np.maximum(np.abs(correlation) - 0.2, 0), correlation + 0.2 * np.sign(w))
    assert (w == 0).any() and (w != 0).any()
    assert stationarity(model, X, y).absolute == pytest.approx(np.hypot(np.linalg.norm(violation), error.mean()))


def test_a_zero_that_does_not_belong_there_is_visible():
    X, y = linear_data()
    model = NormRegMLPRegressor(
        (), penalty="l1", alpha=0.2, solver="fista", tol=1e-7, max_iter=5000, random_state=0
    ).fit(X, y)
    assert stationarity(model, X, y).relative <= 1e-7
    kept = model.coefs_[0][1, 0]
    model.coefs_[0][1] = 0.0
    error = X @ model.coefs_[0][:, 0] + model.intercepts_[0] - y
    excess = abs(X[:, 1] @ error / 70) - 0.2
    assert excess > 1
    assert stationarity(model, X, y).absolute > excess  # the others' slopes come on top
    model.coefs_[0][1] = kept
    assert stationarity(model, X, y).relative <= 1e-7


def test_a_unit_that_was_cut_off_is_visible():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = np.tanh(2 * X[:, 0]) + X[:, 1]
    model = NormRegMLPRegressor(
        (4,), "tanh", penalty="group_lasso", alpha=0.01, solver="fista", tol=1e-7, max_iter=20_000, random_state=0
    ).fit(X, y)
    before = stationarity(model, X, y)
    assert before.relative <= 1e-7
    unit = np.linalg.norm(model.coefs_[1], axis=1).argmax()
    model.coefs_[1][unit] = 0.0
    after = stationarity(model, X, y)
    assert after.layers_relative[1] > 0.1


def test_strength_above_the_largest_certifies_all_zeros():
    X, y = linear_data()
    highest = np.abs(X.T @ (y - y.mean())).max() / 70
    model = NormRegMLPRegressor((), penalty="l1", solver="fista", tol=1e-7, max_iter=5000, random_state=0)
    model.set_params(alpha=1.001 * highest).fit(X, y)
    assert not model.coefs_[0].any() and stationarity(model, X, y).relative <= 1e-7
    model.set_params(alpha=0.9 * highest)  # the present parameters count
    assert stationarity(model, X, y).absolute == pytest.approx(0.1 * highest, rel=1e-4)


def test_on_a_kink_of_the_loss_it_is_an_upper_bound():
    """Of an even number of rows, every point between the middle ones is a median; scikit-learn's takes one of them."""
    X, y = np.zeros((6, 1)), np.array([0.0, 1.0, 2.0, 3.0, 4.0, 7.0])
    median = QuantileRegressor(quantile=0.5, alpha=0).fit(X, y).intercept_
    model = NormRegMLPRegressor((), loss="absolute_error", solver="fista", max_iter=2).fit(X, y)
    model.coefs_ = [np.zeros((1, 1))]
    for intercept, expected in ((2.0, 1 / 6), (3.0, 1 / 6), (2.5, 0), (1.5, 1 / 3)):
        model.intercepts_ = [np.array([intercept])]
        assert stationarity(model, X, y).absolute == pytest.approx(expected, abs=1e-15)
    assert 2 <= median <= 3


@pytest.mark.parametrize("factor", [1e-6, 1e3])
@pytest.mark.parametrize("penalty", ["l1", "l2", "group_lasso"])
def test_units_of_y_do_not_matter(penalty, factor):
    X, y = linear_data()
    model = NormRegMLPRegressor((), penalty=penalty, alpha=0.1, solver="fista", max_iter=4, random_state=0).fit(X, y)
    here = stationarity(model, X, y)
    model.coefs_ = [factor * W for W in model.coefs_]
    model.intercepts_ = [factor * b for b in model.intercepts_]
    model.set_params(alpha=0.1 if penalty == "l2" else 0.1 * factor)
    there = stationarity(model, X, factor * y)
    assert there.relative == pytest.approx(here.relative, rel=1e-9)
    assert there.absolute == pytest.approx(factor * here.absolute, rel=1e-9)


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
def test_tol_of_fista_does_not_depend_on_the_units_of_y(factor):
    X, y = linear_data()
    model = NormRegMLPRegressor((), penalty="l2", alpha=0.1, solver="fista", tol=1e-5, max_iter=5000, random_state=0)
    model.fit(X, factor * y)
    exact = np.linalg.solve(X.T @ (X - X.mean(0)) / 70 + 0.1 * np.eye(6), X.T @ (y - y.mean()) / 70)
    assert model.stop_reason_ == "stationary"
    assert_allclose(model.coefs_[0][:, 0], factor * exact, rtol=0, atol=1e-4 * factor)
