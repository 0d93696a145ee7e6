"""Zero patterns of linear models from alpha_max down: scikit-learn's sparse models are the oracle."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, MultiTaskElasticNet, MultiTaskLasso

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, penalties
from sknormnet.penalties import L2, GroupLasso

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

L1_RATIO = 0.7
N_ALPHAS = 20
SURE = 1e-6  # a weight, or the room below the threshold, that is not a matter of where two solvers stopped
EXACT = dict(tol=1e-10, max_iter=20_000, max_fun=100_000)


def regression_data(n_targets):
    rng = np.random.default_rng(n_targets)
    X = rng.normal(size=(60, 10)) @ (np.eye(10) + 0.2 * rng.normal(size=(10, 10)))
    W = rng.normal(size=(10, n_targets)) * (np.arange(10) < 4)[:, None]
    return X, np.squeeze(X @ W + 1.0 + 0.5 * rng.normal(size=(60, n_targets)))


def classification_data(n_classes):
    rng = np.random.default_rng(n_classes)
    X = rng.normal(size=(90, 7))
    W = rng.normal(size=(7, n_classes)) * (np.arange(7) < 4)[:, None]
    return X, (X @ W + rng.gumbel(size=(90, n_classes)) + 0.5 * np.arange(n_classes)).argmax(axis=1)


def linear(Reference, **params):
    return lambda n, alpha: Reference(alpha=alpha, tol=1e-13, max_iter=100_000, **params)


def logistic(solver):
    def reference(n, alpha):
        options = dict(tol=1e-9, max_iter=100_000, random_state=0)
        return LogisticRegression(C=1 / (n * alpha), l1_ratio=1.0, solver=solver, **options)

    return reference


def sum_of_groups_and_squares():
    return penalties.Sum((GroupLasso("input"), L2()), weights=(L1_RATIO, 1 - L1_RATIO))


@dataclass(frozen=True)
class Case:
    """A model of scikit-learn, and the parameters that make ours the same with the same alpha.

    ratio is the share of alpha that thresholds; liblinear penalises the intercept, as one more row.
    """

    reference: Callable[[int, float], Any]
    make_penalty: Callable[[], Any]
    n_outputs: int = 1
    n_classes: int | None = None
    by_row: bool = False
    ratio: float = 1.0
    lowest: float = 1e-3
    penalize_intercepts: bool = False
    lbfgs: bool = True

    def data(self):
        return regression_data(self.n_outputs) if self.n_classes is None else classification_data(self.n_classes)

    def ours(self, **params):
        Estimator = NormRegMLPRegressor if self.n_classes is None else NormRegMLPClassifier
        common = dict(l1_ratio=L1_RATIO, penalize_intercepts=self.penalize_intercepts, random_state=0)
        return Estimator((), penalty=self.make_penalty(), **(common | EXACT | params))

    def gradient(self, W, b):
        """Of the data loss, in W and in b."""
        X, y = self.data()
        if self.n_classes is None:
            loss, target = oracles.squared_error, y.reshape(len(y), -1)
        elif self.n_classes == 2:
            loss, target = oracles.log_loss, y[:, None]
        else:
            loss, target = oracles.softmax_log_loss, np.eye(self.n_classes)[y]
        slope = oracles.inverse_link(loss, X @ W + b) - target
        return X.T @ slope / len(X), slope.mean(axis=0)

    def sizes(self, W, b):
        """Of what vanishes together: penalised weights or rows, or their gradients."""
        W = np.vstack([W, b]) if self.penalize_intercepts else W
        return np.linalg.norm(W, axis=1) if self.by_row else np.abs(W)

    def constant(self):
        """Zero weights and the intercepts that are optimal with them."""
        X, y = self.data()
        if self.n_classes is None:
            b = np.atleast_1d(y.mean(axis=0))
        else:
            b = np.log(np.bincount(y) / len(y))
            b = b[1:] - b[0] if self.n_classes == 2 else b
        return np.zeros((X.shape[1], len(b))), 0 * b if self.penalize_intercepts else b

    def alpha_max(self):
        return self.sizes(*self.gradient(*self.constant())).max() / self.ratio


CASES = {
    "Lasso": Case(linear(Lasso), lambda: "l1"),
    "ElasticNet": Case(linear(ElasticNet, l1_ratio=L1_RATIO), lambda: "elasticnet", ratio=L1_RATIO),
    "MultiTaskLasso": Case(linear(MultiTaskLasso), lambda: GroupLasso("input"), n_outputs=3, by_row=True, lbfgs=False),
    "MultiTaskElasticNet": Case(
        linear(MultiTaskElasticNet, l1_ratio=L1_RATIO),
        sum_of_groups_and_squares,
        n_outputs=3,
        by_row=True,
        ratio=L1_RATIO,
        lbfgs=False,
    ),
    "binary, saga": Case(logistic("saga"), lambda: "l1", n_classes=2, lowest=1e-2),
    "binary, liblinear": Case(logistic("liblinear"), lambda: "l1", n_classes=2, lowest=1e-2, penalize_intercepts=True),
    # With an odd number of classes the optimum is unique, see test_linear_models.py.
    "multinomial, saga": Case(logistic("saga"), lambda: "l1", n_classes=3, lowest=1e-2),
}


def each(*solvers):
    """Every case with every solver that takes its penalty."""
    pairs = [(name, solver) for name, case in CASES.items() for solver in solvers if case.lbfgs or solver != "lbfgs"]
    return pytest.mark.parametrize("name, solver", pairs)


@cache
def reference_path(name):
    """alpha, W and b from alpha_max down."""
    case = CASES[name]
    X, y = case.data()
    path = []
    for alpha in case.alpha_max() * np.geomspace(1, case.lowest, N_ALPHAS):
        reference = case.reference(len(X), alpha).fit(X, y)
        W, b = np.atleast_2d(reference.coef_).T, np.atleast_1d(reference.intercept_)
        # saga stops when the weights are settled: where all stay zero, that is before the intercept is.
        path.append((alpha, W, b) if W.any() else (alpha, *case.constant()))
    return path


def check_path(name, fit):
    case, n_zero, n_not = CASES[name], 0, 0
    X, y = case.data()
    for alpha, W_reference, b_reference in reference_path(name):
        model = fit(case, alpha, X, y)
        W, b = model.coefs_[0], model.intercepts_[0]
        # softmax does not see a shift of all intercepts
        shift = b.mean() - b_reference.mean() if case.n_classes == 3 else 0.0
        # Both stop at residuals below 1e-7, and the smallest curvature is 1e-3; 4e-7 is what is seen.
        assert_allclose(W, W_reference, rtol=0, atol=1e-5)
        assert_allclose(b - shift, b_reference, rtol=0, atol=1e-5)
        sizes = case.sizes(W_reference, b_reference)
        room = alpha * case.ratio - case.sizes(*case.gradient(W_reference, b_reference))
        zero, sure = sizes == 0, np.where(sizes == 0, room, sizes) > SURE
        assert_array_equal((case.sizes(W, b) == 0)[sure], zero[sure])
        n_zero, n_not = n_zero + np.count_nonzero(sure & zero), n_not + np.count_nonzero(sure & ~zero)
    assert min(n_zero, n_not) > 2 * N_ALPHAS, "a path of which hardly anything was compared"


@each("fista", "lbfgs")
def test_path(name, solver):
    check_path(name, lambda case, alpha, X, y: case.ours(solver=solver, alpha=alpha).fit(X, y))


@each("adam")
def test_path_by_adam_then_polish(name, solver):
    def fit(case, alpha, X, y):
        model = case.ours(solver=solver, alpha=alpha, warm_start=True, batch_size=15, learning_rate_init=0.02)
        model.set_params(learning_rate="cosine", max_iter=60).fit(X, y)
        rough = model.objective_
        model.set_params(solver="fista", **EXACT).fit(X, y)
        assert model.objective_ <= rough
        return model

    check_path(name, fit)


@each("fista", "lbfgs")
def test_alpha_max(name, solver):
    case = CASES[name]
    X, y = case.data()
    for factor, some_left in ((1 + 1e-6, False), (0.99, True)):
        model = case.ours(solver=solver, alpha=factor * case.alpha_max()).fit(X, y)
        assert case.sizes(model.coefs_[0], model.intercepts_[0]).any() == some_left
