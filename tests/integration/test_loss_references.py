"""Without hidden layers every loss is a linear model: scikit-learn, linear programmes and SciPy are the oracles."""

from functools import partial

import numpy as np
import oracles
import pytest
import scipy.optimize
from numpy.testing import assert_allclose
from sklearn.linear_model import (
    GammaRegressor,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.svm import LinearSVC, LinearSVR

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.losses import (
    LOSSES,
    Brier,
    EpsilonInsensitive,
    Focal,
    GaussianNLL,
    Huber,
    LogCosh,
    LogLoss,
    ModifiedHuber,
    Quantile,
    SquaredEpsilonInsensitive,
    Tweedie,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = ["lbfgs", "fista"]
N, D, ALPHA = 90, 4, 0.05
COMMON = dict(hidden_layer_sizes=(), alpha=ALPHA, tol=1e-9, max_iter=10000, max_fun=100000, random_state=0)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, D)) @ (np.eye(D) + 0.3 * RNG.standard_normal((D, D)))
SCORES = X @ RNG.standard_normal((D, 3))
Y = SCORES + 1.0 + RNG.standard_t(3, size=(N, 3))
CLASSES = (SCORES + RNG.gumbel(size=(N, 3))).argmax(axis=1)
BINARY = (CLASSES > 0).astype(int)
LABELS = (Y > 1).astype(int)
WEIGHT = RNG.uniform(0.2, 2.0, N)
WEIGHT /= WEIGHT.mean()  # C of the support vector machines multiplies a sum

KINKED = dict(tol=1e-4, max_iter=2000)  # what fit's own tolerance is good for
REGRESSION = dict(Estimator=NormRegMLPRegressor)
CLASSIFICATION = dict(Estimator=NormRegMLPClassifier)


def fit(loss, y, solver, sample_weight=None, *, Estimator, **params):
    return Estimator(loss=loss, solver=solver, **{**COMMON, **params}).fit(X, y, sample_weight=sample_weight)


def assert_same_coefficients(ours, reference):
    """To 1e-4, the precision that is promised; both solve smooth, strictly convex problems far more precisely."""
    assert_allclose(ours.coefs_[0], np.atleast_2d(reference.coef_).T, rtol=0, atol=1e-4)
    assert_allclose(ours.intercepts_[0], np.atleast_1d(reference.intercept_), rtol=0, atol=1e-4)


def objective(loss, y, W, b, **terms):
    """F by the oracles, at the weights of a linear model of one or several outputs."""
    loss = LOSSES[loss]() if isinstance(loss, str) else loss
    formula = partial(oracles.LOSSES[loss.name], **loss.get_params())
    layer = [np.reshape(W, (D, -1))], [np.reshape(b, -1)]
    return oracles.objective(X, y, *layer, loss=formula, alpha=ALPHA, **terms)


def assert_reaches(ours, optimum, y, rel=1e-4, **terms):
    """F as the oracle states it: what the model reports, and the reference's to `rel`."""
    value = objective(ours.loss, y, ours.coefs_[0], ours.intercepts_[0], **terms)
    assert ours.objective_ == pytest.approx(value, rel=1e-10)
    assert value == pytest.approx(optimum, rel=rel)


# ------------------------------------------------------------------------------- scikit-learn, coefficients

LOG_LINK = {
    "poisson": ("poisson", PoissonRegressor()),
    "gamma": ("gamma", GammaRegressor()),
    **{
        f"tweedie {power}": (Tweedie(power=power), TweedieRegressor(power=power, link="log"))
        for power in (0, 1, 1.2, 1.5, 1.9, 2, 3)
    },
}


def positive_target(name, rng):
    mean = np.exp(0.4 * SCORES[:, 0] + 0.3)
    if name in ("gamma", "tweedie 2", "tweedie 3"):
        return rng.gamma(2.0, mean / 2)
    return rng.poisson(mean) * rng.gamma(3.0, 1 / 3, N)  # with exact zeros


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("name", LOG_LINK)
@pytest.mark.parametrize("solver", SOLVERS)
def test_generalised_linear_models(solver, name, weight):
    loss, reference = LOG_LINK[name]
    y = positive_target(name, np.random.default_rng(1))
    reference.set_params(alpha=ALPHA, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(X, y, weight)
    ours = fit(loss, y, solver, weight, **REGRESSION)
    assert_same_coefficients(ours, reference)
    assert_allclose(ours.predict(X), reference.predict(X), rtol=1e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_poisson_with_several_targets_is_one_model_each(solver):
    y = np.random.default_rng(1).poisson(np.exp(0.4 * SCORES))
    ours = fit("poisson", y, solver, **REGRESSION)
    for j in range(3):
        reference = PoissonRegressor(alpha=ALPHA, solver="newton-cholesky", tol=1e-10).fit(X, y[:, j])
        assert_allclose(ours.coefs_[0][:, j], reference.coef_, rtol=0, atol=1e-4)


SVM = dict(C=1 / (N * ALPHA), max_iter=1_000_000, random_state=0)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("y", [BINARY, CLASSES], ids=["binary", "multiclass"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_squared_hinge_is_linear_svc(solver, y, weight):
    reference = LinearSVC(loss="squared_hinge", dual=False, tol=1e-10, **SVM).fit(X, y, weight)
    ours = fit("squared_hinge", y, solver, weight, penalize_intercepts=True, **CLASSIFICATION)
    assert_same_coefficients(ours, reference)
    assert_allclose(ours.decision_function(X), reference.decision_function(X), atol=1e-3)
    assert np.array_equal(ours.predict(X), reference.predict(X))


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("epsilon", [0.0, 0.4])
@pytest.mark.parametrize("solver", SOLVERS)
def test_squared_epsilon_insensitive_is_linear_svr(solver, epsilon, weight):
    reference = LinearSVR(loss="squared_epsilon_insensitive", epsilon=epsilon, dual=False, tol=1e-10, **SVM)
    reference.fit(X, Y[:, 0], weight)
    loss = SquaredEpsilonInsensitive(epsilon=epsilon)
    ours = fit(loss, Y[:, 0], solver, weight, penalize_intercepts=True, **REGRESSION)
    assert_same_coefficients(ours, reference)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", SOLVERS)
def test_label_smoothing_is_logistic_regression_on_uncertain_labels(solver, n_classes, smoothing):
    """A row whose label is class k with probability t_k counts as K rows of weights t_k."""
    y = BINARY if n_classes == 2 else CLASSES
    share = (1 - smoothing) * np.eye(n_classes)[y] + smoothing / n_classes
    every_class = np.tile(np.arange(n_classes), N)
    reference = LogisticRegression(C=1 / (N * ALPHA), solver="newton-cholesky", tol=1e-12)
    reference.fit(np.repeat(X, n_classes, axis=0), every_class, sample_weight=share.ravel())
    ours = fit(LogLoss(label_smoothing=smoothing), y, solver, **CLASSIFICATION)
    assert_allclose(ours.coefs_[0], reference.coef_.T, rtol=0, atol=1e-4)
    assert_allclose(ours.predict_proba(X), reference.predict_proba(X), rtol=0, atol=1e-4)


# ------------------------------------------------------------------------------- kinked losses, objectives


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("solver", SOLVERS)
def test_quantile_is_quantile_regressor(solver, quantile, weight):
    loss, terms = Quantile(quantile=quantile), dict(penalty="l1", sample_weight=weight)
    reference = QuantileRegressor(quantile=quantile, alpha=ALPHA).fit(X, Y[:, 0], weight)
    best = objective(loss, Y[:, 0], reference.coef_, reference.intercept_, **terms)
    assert_reaches(fit(loss, Y[:, 0], solver, weight, penalty="l1", **REGRESSION, **KINKED), best, Y[:, 0], **terms)


@pytest.mark.parametrize("solver", SOLVERS)
def test_several_quantiles_are_one_model_each(solver):
    quantiles, best = (0.1, 0.5, 0.9), 0.0
    for j in range(2):
        for q in quantiles:
            reference = QuantileRegressor(quantile=q, alpha=ALPHA).fit(X, Y[:, j])
            best += objective(Quantile(quantile=q), Y[:, j], reference.coef_, reference.intercept_, penalty="l1")
    ours = fit(Quantile(quantile=quantiles), Y[:, :2], solver, penalty="l1", **REGRESSION, **KINKED)
    assert ours.coefs_[0].shape == (D, 6)
    assert_reaches(ours, best, Y[:, :2], penalty="l1")


@pytest.mark.parametrize("solver", SOLVERS)
def test_absolute_error_is_twice_the_median_regressor(solver):
    reference = QuantileRegressor(quantile=0.5, alpha=ALPHA / 2).fit(X, Y[:, 0])
    best = objective("absolute_error", Y[:, 0], reference.coef_, reference.intercept_, penalty="l1")
    ours = fit("absolute_error", Y[:, 0], solver, penalty="l1", **REGRESSION, **KINKED)
    assert_reaches(ours, best, Y[:, 0], penalty="l1")


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_epsilon_insensitive_is_linear_svr(solver, weight):
    loss, terms = EpsilonInsensitive(epsilon=0.4), dict(penalize_intercepts=True, sample_weight=weight)
    reference = LinearSVR(epsilon=0.4, loss="epsilon_insensitive", tol=1e-8, **SVM).fit(X, Y[:, 0], weight)
    best = objective(loss, Y[:, 0], reference.coef_, reference.intercept_, **terms)
    ours = fit(loss, Y[:, 0], solver, weight, penalize_intercepts=True, **REGRESSION, **KINKED)
    assert_reaches(ours, best, Y[:, 0], **terms)


@pytest.mark.parametrize("solver", SOLVERS)
def test_epsilon_insensitive_with_l1_is_a_linear_programme(solver):
    """Over w = p - n with p, n >= 0, the intercept, and the excess of each row, at least |X w + b - y| - 0.4."""
    A = np.hstack([X, -X, np.ones((N, 1))])
    cost = np.concatenate([np.full(2 * D, ALPHA), [0.0], np.full(N, 1 / N)])
    rows = np.vstack([np.hstack([A, -np.eye(N)]), np.hstack([-A, -np.eye(N)])])
    limits = np.concatenate([Y[:, 0] + 0.4, 0.4 - Y[:, 0]])
    bounds = [(0, None)] * (2 * D) + [(None, None)] + [(0, None)] * N
    best = scipy.optimize.linprog(cost, rows, limits, bounds=bounds).fun
    ours = fit(EpsilonInsensitive(epsilon=0.4), Y[:, 0], solver, penalty="l1", **REGRESSION, **KINKED)
    assert_reaches(ours, best, Y[:, 0], penalty="l1")


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("y", [BINARY, CLASSES], ids=["binary", "multiclass"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_hinge_is_linear_svc(solver, y, weight):
    terms = dict(penalize_intercepts=True, sample_weight=weight)
    reference = LinearSVC(loss="hinge", tol=1e-8, **SVM).fit(X, y, weight)
    best = objective("hinge", y, reference.coef_.T, reference.intercept_, **terms)
    ours = fit("hinge", y, solver, weight, penalize_intercepts=True, **CLASSIFICATION, **KINKED)
    assert_reaches(ours, best, y, **terms)


@pytest.mark.parametrize("solver", SOLVERS)
def test_euclidean_is_reweighted_least_squares(solver):
    """Weiszfeld's iteration: every row of the squared problem counts 1 / its distance."""
    A, ridge = np.hstack([X, np.ones((N, 1))]), N * ALPHA * np.diag([1.0] * D + [0.0])
    W = np.zeros((D + 1, 3))
    for _ in range(500):
        scaled = A / (np.linalg.norm(A @ W - Y, axis=1, keepdims=True) + 1e-12)
        W = np.linalg.solve(A.T @ scaled + ridge, scaled.T @ Y)
    best = objective("euclidean", Y, W[:-1], W[-1])
    assert_reaches(fit("euclidean", Y, solver, **REGRESSION, **KINKED), best, Y)


# ----------------------------------------------------------------------------- smooth losses, SciPy on the formula


def minimum(loss, y, n_raw, weight):
    """Smallest F that SciPy finds from zero, with gradients by differences: nobody's formula for them."""

    def F(theta):
        W = theta.reshape(D + 1, n_raw)
        return objective(loss, y, W[:-1], W[-1], sample_weight=weight)

    options = {"gtol": 1e-8}  # not reached by differences: it stops at their precision
    return scipy.optimize.minimize(F, np.zeros((D + 1) * n_raw), method="BFGS", jac="3-point", options=options)


# Brier, focal and gaussian_nll are not convex; on these data both find the same minimum all the same.
SMOOTH = {
    "huber": (Huber(delta=0.7), Y),
    "log_cosh": (LogCosh(), Y),
    "gaussian_nll": (GaussianNLL(min_variance=1e-3), Y[:, 0]),
    "gaussian_nll, two targets": (GaussianNLL(min_variance=1e-3), Y[:, :2]),
    **{
        f"{loss}, {kind}": (loss, y)
        for loss in (ModifiedHuber(), Brier(), Focal(gamma=2.0), Focal(gamma=0.5))
        for kind, y in {"binary": BINARY, "multiclass": CLASSES, "multilabel": LABELS}.items()
    },
}


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("name", SMOOTH)
def test_minimum_of_the_formula(name, weight):
    loss, y = SMOOTH[name]
    estimator = REGRESSION if loss.task == "regression" else CLASSIFICATION
    fits = [fit(loss, y, solver, weight, **estimator) for solver in SOLVERS]
    reference = minimum(loss, y, fits[0].n_outputs_, weight)
    for ours in fits:
        assert_reaches(ours, reference.fun, y, rel=1e-8, sample_weight=weight)
        assert_allclose(ours.coefs_[0], reference.x.reshape(D + 1, -1)[:-1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("y", [BINARY, CLASSES], ids=["binary", "multiclass"])
def test_probabilities_of_modified_huber_are_those_of_sgd_classifier(y):
    ours = fit("modified_huber", y, "lbfgs", **CLASSIFICATION)
    theirs = SGDClassifier(loss="modified_huber").fit(X, y)
    theirs.coef_, theirs.intercept_ = np.ascontiguousarray(ours.coefs_[0].T), ours.intercepts_[0]
    theirs.intercept_ -= 1.5  # the same array: then no class has any probability in some rows, which divide evenly
    wide = np.vstack([X, 4 * X])
    if len(ours.classes_) == 3:
        assert (ours.decision_function(wide) <= -1).all(axis=1).any()
    assert_allclose(ours.predict_proba(wide), theirs.predict_proba(wide), rtol=0, atol=1e-12)
    assert np.array_equal(ours.predict(wide), theirs.predict(wide))


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber"])
def test_margin_losses_decide_as_sgd_classifier(loss):
    ours = fit(loss, CLASSES, "lbfgs", **CLASSIFICATION)
    theirs = SGDClassifier(loss=loss).fit(X, CLASSES)
    theirs.coef_, theirs.intercept_ = np.ascontiguousarray(ours.coefs_[0].T), ours.intercepts_[0]
    assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-12)
    assert np.array_equal(ours.predict(X), theirs.predict(X))
