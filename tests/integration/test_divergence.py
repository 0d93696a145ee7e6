"""A fit that diverges keeps finite parameters and says why, or raises and changes nothing."""

import warnings

import joblib
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = {
    NormRegMLPClassifier: (X[:, 0] > 0).astype(int),
    NormRegMLPRegressor: 10 * X[:, 0] + X[:, 1],
}
MAX_ITER = 1000
DIVERGING = {
    # a linear model, whose weights every step multiplies by 1 - learning_rate * alpha, or less
    "slow": dict(hidden_layer_sizes=(), solver="sgd", learning_rate_init=3.0, alpha=1.0, momentum=0.0),
    "fast": dict(solver="sgd", learning_rate_init=1e4, alpha=1.0),
    "first epoch": dict(solver="sgd", learning_rate_init=1e200, activation="identity"),
    "float32": dict(solver="sgd", learning_rate_init=1e30, dtype="float32"),
    "adam": dict(solver="adam", learning_rate_init=1e300, penalty="l1"),
}


def fit_or_raise(model, X, y):
    """What a diverging fit says, as a warning or as an error, and whether it raised."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(X, y)
        except (ValueError, FloatingPointError) as error:
            return str(error), True
    messages = [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)]
    assert len(messages) == 1
    assert not [w for w in caught if issubclass(w.category, RuntimeWarning)]
    return messages[0], False


def assert_finite(model):
    assert all(np.all(np.isfinite(a)) for a in (*model.coefs_, *model.intercepts_))
    assert np.isfinite(model.objective_)
    assert np.all(np.isfinite(model.predict(X)))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("Estimator", Y)
@pytest.mark.parametrize("case", DIVERGING)
def test_learning_rate_too_high(case, Estimator, early_stopping):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = Estimator((4,), max_iter=3, random_state=0).fit(X, Y[Estimator])
    common = dict(hidden_layer_sizes=(6, 6), max_iter=MAX_ITER, n_iter_no_change=MAX_ITER, batch_size=10)
    model.set_params(**{**common, **DIVERGING[case]}, early_stopping=early_stopping)
    before = joblib.hash(vars(model))
    message, raised = fit_or_raise(model, X, Y[Estimator])

    assert "diverged" in message and "learning_rate_init" in message
    assert_finite(model)
    if raised:
        assert joblib.hash(vars(model)) == before
    else:
        assert model.n_iter_ < MAX_ITER
        # the run ends with the epoch of the first value that is not finite
        assert np.all(np.isfinite(model.loss_curve_))
        assert len(model.loss_curve_) >= model.n_iter_ - 1
    if case == "slow":
        assert not raised
        assert model.n_iter_ > 5


def test_a_run_out_of_patience_while_the_objective_explodes():
    """It stops before anything is infinite, but must not pass for converged."""
    model = NormRegMLPRegressor((), solver="sgd", alpha=1.0, learning_rate_init=30.0, random_state=0)
    message, raised = fit_or_raise(model, X, X[:, 0])
    assert "learning_rate_init" in message
    if not raised:
        assert_finite(model)
        assert model.n_iter_ < 30
        assert model.stop_reason_ == "diverged"


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
def test_a_target_too_large_to_square(solver):
    model = NormRegMLPRegressor((4,), solver=solver, max_iter=5, random_state=0)
    message, raised = fit_or_raise(model, X, 1e200 * X[:, 0])
    assert "target" in message
    if raised:
        assert not hasattr(model, "coefs_")
    else:
        assert_finite(model)


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_features_of_extreme_scale(solver):
    """The full-batch solvers search along the line: nothing may become NaN on the way."""
    model = NormRegMLPRegressor((4,), solver=solver, max_iter=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X * [1e-12, 1.0, 1e12], X[:, 1])
    assert_finite(model)
    assert np.all(np.diff(model.history_["objective"]) <= 0)


EXTREMES = {
    "a sum of X that overflows": (dict(solver="adam"), 1e308),
    "a tolerance that anything meets": (dict(solver="lbfgs", tol=1e300), 1.0),
    "a penalty whose square overflows": (dict(solver="fista", penalty="l1", alpha=1e300), 1.0),
    "a score that overflows": (dict(solver="sgd", learning_rate_init=1e160, early_stopping=True), 1.0),
    "one's own score that overflows": (
        dict(
            solver="sgd",
            learning_rate_init=1e160,
            early_stopping=True,
            validation_scoring="explained_variance",
            loss="absolute_error",
        ),
        1.0,
    ),
}


@pytest.mark.parametrize("params, scale", EXTREMES.values(), ids=EXTREMES)
def test_arithmetic_at_the_extremes_warns_of_nothing_but_divergence(params, scale):
    """RuntimeWarnings are errors in all tests."""
    model = NormRegMLPRegressor((), max_iter=3, random_state=0, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            model.fit(scale * np.sign(X), X[:, 0])
        except ValueError as error:
            assert "diverged" in str(error)
            return
    assert_finite(model)
    model.predict(scale * np.sign(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_step_of_lbfgs_that_overflows_is_shortened():
    """exp(raw) overflows after a first long step from raw near 0 to means of 1e4."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 10))
    y = rng.poisson(1e4 * np.exp(X[:, 0] - 0.5 * X[:, 1]))
    model = NormRegMLPRegressor((50,), loss="poisson", solver="lbfgs", alpha=1e-6, max_iter=300, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.99
    assert model.n_iter_ > 20


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
def test_momentum_of_fista_that_overflows_does_not_warn():
    model = NormRegMLPRegressor((), loss="gamma", solver="fista", penalty="none", max_iter=3, random_state=0)
    model.set_params(warm_start=True)
    for _ in range(2):
        model.fit([[12573022.10933933]], [0.13210486])
        assert np.isfinite(model.objective_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_does_not_go_on_with_the_steps_that_diverged():
    """Momentum of 1e30 and more would throw the weights that were kept away again."""
    model = NormRegMLPRegressor((), solver="sgd", learning_rate_init=1e30, warm_start=True, random_state=0)
    assert model.fit(X, X[:, 0]).stop_reason_ == "diverged"
    model.set_params(learning_rate_init=0.1, max_iter=1000, tol=0.0, n_iter_no_change=1000).fit(X, X[:, 0])
    assert model.stop_reason_ == "max_iter"
    assert model.score(X, X[:, 0]) > 0.99
