"""A network without hidden layers is a linear model: scikit-learn's are the oracle."""

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
)

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FULL_BATCH = ["lbfgs", "fista"]
EXACT = dict(hidden_layer_sizes=(), tol=1e-9, max_iter=20000, max_fun=100000)
L1_RATIO = 0.6
REGRESSION_ALPHA = 0.15
LOGISTIC_ALPHA = 0.02
RATIO = {"l1": 1.0, "l2": 0.0, "elasticnet": L1_RATIO}


def regression_data(n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((80, 8)) @ (np.eye(8) + 0.3 * rng.standard_normal((8, 8)))
    W = rng.standard_normal((8, n_outputs))
    W[3:] = 0.0
    y = X @ W + 1.5 + 0.3 * rng.standard_normal((80, n_outputs))
    return X, (y[:, 0] if n_outputs == 1 else y)


def classification_data(n_classes, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((120, 7))
    W = rng.standard_normal((7, n_classes))
    W[4:] = 0.0
    noise = rng.gumbel(size=(120, n_classes))
    return X, (X @ W + noise).argmax(axis=1)


def regression_reference(penalty, X, y):
    if penalty is None:
        return LinearRegression().fit(X, y)
    if penalty == "l2":
        return Ridge(alpha=len(X) * REGRESSION_ALPHA).fit(X, y)
    if penalty == "l1":
        return Lasso(alpha=REGRESSION_ALPHA, tol=1e-14, max_iter=100000).fit(X, y)
    return ElasticNet(alpha=REGRESSION_ALPHA, l1_ratio=L1_RATIO, tol=1e-14, max_iter=100000).fit(X, y)


def logistic_reference(penalty, X, y):
    return LogisticRegression(
        C=1 / (len(X) * LOGISTIC_ALPHA),
        l1_ratio=RATIO[penalty],
        solver="lbfgs" if penalty == "l2" else "saga",
        tol=1e-10,
        max_iter=100000,
    ).fit(X, y)


def assert_same_zeros(W, reference, gradient, strength):
    """Where the reference is zero with slack to spare, ours is exactly zero."""
    slack = strength - np.abs(gradient)
    surely_zero = (reference == 0) & (slack > 1e-6)
    assert surely_zero.any(), "the problem has no zero to compare"
    assert np.all(W[surely_zero] == 0.0)
    assert np.all(W[np.abs(reference) > 1e-4] != 0.0)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("penalty", [None, "l2", "l1", "elasticnet"])
@pytest.mark.parametrize("solver", FULL_BATCH)
def test_regression(solver, penalty, n_outputs):
    X, y = regression_data(n_outputs)
    ours = NormRegMLPRegressor(
        solver=solver,
        penalty=penalty,
        alpha=REGRESSION_ALPHA,
        l1_ratio=L1_RATIO,
        random_state=0,
        **EXACT,
    ).fit(X, y)
    reference = regression_reference(penalty, X, y)
    W, b = ours.coefs_[0], ours.intercepts_[0]
    W_reference = np.atleast_2d(reference.coef_).T

    assert_allclose(W, W_reference, rtol=0, atol=1e-5)
    assert_allclose(b, np.atleast_1d(reference.intercept_), rtol=0, atol=1e-5)
    assert_allclose(ours.predict(X), reference.predict(X), rtol=0, atol=1e-4)
    if penalty in ("l1", "elasticnet"):
        gradient = oracles.linear_gradient(
            X,
            y,
            W_reference,
            np.atleast_1d(reference.intercept_),
            loss=oracles.squared_error,
        )
        strength = REGRESSION_ALPHA * RATIO[penalty]
        assert_same_zeros(W, W_reference, gradient, strength)


@pytest.mark.parametrize("solver", FULL_BATCH)
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_alpha_zero_is_least_squares(solver, penalty):
    X, y = regression_data()
    ours = NormRegMLPRegressor(solver=solver, penalty=penalty, alpha=0.0, random_state=0, **EXACT).fit(X, y)
    reference = LinearRegression().fit(X, y)
    assert_allclose(ours.coefs_[0][:, 0], reference.coef_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_tol_of_fista_bounds_the_residual(penalty, tol):
    """The distance of minus the gradient to the subdifferential by what it cannot exceed, whatever the units of y."""
    X, y = regression_data(3)
    ours = NormRegMLPRegressor(
        solver="fista",
        penalty=penalty,
        alpha=REGRESSION_ALPHA,
        l1_ratio=L1_RATIO,
        random_state=0,
        **{**EXACT, "tol": tol},
    ).fit(X, y)
    W, b = ours.coefs_[0], ours.intercepts_[0]
    shrinkage = REGRESSION_ALPHA * (1 - RATIO[penalty]) * W
    gradient = oracles.linear_gradient(X, y, W, b, loss=oracles.squared_error) + shrinkage
    strength = REGRESSION_ALPHA * RATIO[penalty]
    residual = np.where(W != 0, np.abs(gradient + strength * np.sign(W)), np.maximum(np.abs(gradient) - strength, 0))
    error = X @ W + b - y
    rows = np.sqrt(1 + np.sum(X**2, axis=1)) * np.linalg.norm(error, axis=1)
    scale = rows.mean() + np.linalg.norm(shrinkage + strength * np.sign(W))
    assert np.hypot(np.linalg.norm(residual), np.linalg.norm(error.mean(axis=0))) <= tol * scale


def fit_logistic(solver, penalty, X, y):
    return NormRegMLPClassifier(
        solver=solver,
        penalty=penalty,
        alpha=LOGISTIC_ALPHA,
        l1_ratio=L1_RATIO,
        random_state=0,
        **EXACT,
    ).fit(X, y)


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("solver", FULL_BATCH)
def test_binary_logistic_regression(solver, penalty):
    X, y = classification_data(2)
    ours = fit_logistic(solver, penalty, X, y)
    reference = logistic_reference(penalty, X, y)
    W_reference = reference.coef_.T

    assert_allclose(ours.coefs_[0], W_reference, rtol=0, atol=1e-5)
    assert_allclose(ours.intercepts_[0], reference.intercept_, rtol=0, atol=1e-5)
    if penalty != "l2":
        gradient = oracles.linear_gradient(X, y, W_reference, reference.intercept_, loss=oracles.log_loss)
        strength = LOGISTIC_ALPHA * RATIO[penalty]
        assert_same_zeros(ours.coefs_[0], W_reference, gradient, strength)


# The softmax does not see a constant added to a row of W, and a row's L1 norm does not
# change under small shifts when as many of its entries are positive as negative:
# only with an odd number of classes is the multinomial L1 optimum unique. The
# intercepts, not penalised, are free up to a shift in any case.
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("solver", FULL_BATCH)
def test_multinomial_logistic_regression(solver, penalty):
    X, y = classification_data(3)
    ours = fit_logistic(solver, penalty, X, y)
    reference = logistic_reference(penalty, X, y)
    W_reference = reference.coef_.T

    assert_allclose(ours.coefs_[0], W_reference, rtol=0, atol=1e-5)
    assert_allclose(
        ours.intercepts_[0] - ours.intercepts_[0].mean(),
        reference.intercept_ - reference.intercept_.mean(),
        rtol=0,
        atol=1e-5,
    )
    assert_allclose(ours.predict_proba(X), reference.predict_proba(X), atol=1e-4)
    if penalty != "l2":
        gradient = oracles.linear_gradient(
            X,
            np.eye(3)[y],
            W_reference,
            reference.intercept_,
            loss=oracles.softmax_log_loss,
        )
        strength = LOGISTIC_ALPHA * RATIO[penalty]
        assert_same_zeros(ours.coefs_[0], W_reference, gradient, strength)


@pytest.mark.parametrize("solver", FULL_BATCH)
def test_multinomial_l1_with_an_even_number_of_classes(solver):
    X, y = classification_data(4)
    ours = fit_logistic(solver, "l1", X, y)
    reference = logistic_reference("l1", X, y)
    optimum = oracles.objective(
        X,
        np.eye(4)[y],
        [reference.coef_.T],
        [reference.intercept_],
        loss=oracles.softmax_log_loss,
        penalty="l1",
        alpha=LOGISTIC_ALPHA,
    )
    assert ours.objective_ == pytest.approx(optimum, rel=1e-8)


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_adam_reaches_the_optimum_of_regression(penalty):
    X, y = regression_data()
    ours = NormRegMLPRegressor(
        (),
        solver="adam",
        penalty=penalty,
        alpha=REGRESSION_ALPHA,
        l1_ratio=L1_RATIO,
        batch_size=20,
        learning_rate_init=0.02,
        max_iter=400,
        n_iter_no_change=400,
        random_state=0,
    ).fit(X, y)
    reference = regression_reference(penalty, X, y)
    optimum = oracles.objective(
        X,
        y,
        [reference.coef_[:, None]],
        [reference.intercept_],
        loss=oracles.squared_error,
        penalty=penalty,
        alpha=REGRESSION_ALPHA,
        l1_ratio=L1_RATIO,
    )
    assert ours.objective_ == pytest.approx(optimum, rel=1e-2)
    assert ours.objective_ >= optimum * (1 - 1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_adam_reaches_the_optimum_of_classification(penalty, n_classes):
    X, y = classification_data(n_classes)
    ours = NormRegMLPClassifier(
        (),
        solver="adam",
        penalty=penalty,
        alpha=LOGISTIC_ALPHA,
        l1_ratio=L1_RATIO,
        batch_size=30,
        learning_rate_init=0.02,
        max_iter=300,
        n_iter_no_change=300,
        random_state=0,
    ).fit(X, y)
    reference = logistic_reference(penalty, X, y)
    binary = n_classes == 2
    optimum = oracles.objective(
        X,
        y if binary else np.eye(n_classes)[y],
        [reference.coef_.T],
        [reference.intercept_],
        loss=oracles.log_loss if binary else oracles.softmax_log_loss,
        penalty=penalty,
        alpha=LOGISTIC_ALPHA,
        l1_ratio=L1_RATIO,
    )
    assert ours.objective_ == pytest.approx(optimum, rel=1e-2)


@pytest.mark.parametrize("nesterovs_momentum", [False, True])
@pytest.mark.parametrize("batch_size", [16, 80])
def test_sgd_with_momentum_reaches_the_lasso(batch_size, nesterovs_momentum):
    """A prox added after the momentum step would be wrong by 1 - momentum."""
    X, y = regression_data()
    ours = NormRegMLPRegressor(
        (),
        solver="sgd",
        penalty="l1",
        alpha=REGRESSION_ALPHA,
        batch_size=batch_size,
        momentum=0.9,
        nesterovs_momentum=nesterovs_momentum,
        learning_rate="cosine",
        learning_rate_init=0.01,
        max_iter=600,
        n_iter_no_change=600,
        random_state=0,
    ).fit(X, y)
    reference = regression_reference("l1", X, y)
    W_reference = reference.coef_[:, None]
    optimum = oracles.objective(
        X,
        y,
        [W_reference],
        [reference.intercept_],
        loss=oracles.squared_error,
        penalty="l1",
        alpha=REGRESSION_ALPHA,
    )
    assert ours.objective_ == pytest.approx(optimum, rel=1e-3)
    assert_allclose(ours.coefs_[0], W_reference, rtol=0, atol=2e-2)
    assert np.any(ours.coefs_[0] == 0.0)
