"""Constraints hold exactly, under every solver and from any start, and the minimum is that of other programs."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Lasso, LinearRegression
from user_penalties import Box

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import L1, L2, ElasticNet, GroupLasso, L2Norm, MaxNorm, NonNegative, NuclearNorm, Sum

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some layers are penalised:UserWarning"),
]

SOLVERS = {
    "plain": dict(solver="sgd", momentum=0.0, learning_rate_init=0.1),
    "heavy ball": dict(solver="sgd", momentum=0.9, nesterovs_momentum=False, learning_rate_init=0.05),
    "nesterov": dict(solver="sgd", momentum=0.9, nesterovs_momentum=True, learning_rate_init=0.05),
    "adam": dict(solver="adam", learning_rate_init=0.05),
    "fista": dict(solver="fista"),
}
every_solver = pytest.mark.parametrize("solver", [*SOLVERS, "lbfgs"])
EXACT = dict(hidden_layer_sizes=(), solver="fista", tol=1e-11, max_iter=20000, random_state=0)


def data(dtype=np.float64):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 8))
    y = 2 * np.column_stack([X[:, 0] - X[:, 1], X[:, 2] + np.tanh(X[:, 3] + X[:, 4]), 0.01 * rng.normal(size=60)])
    return X.astype(dtype), y.astype(dtype)


def network(penalty, solver, **options):
    defaults = dict(activation="tanh", alpha=0.01, batch_size=20, max_iter=30, random_state=0)
    return NormRegMLPRegressor(
        (7, 6), penalty=penalty, **(defaults | SOLVERS.get(solver, {"solver": solver}) | options)
    )


def excess(penalty, W):
    """How far outside: zero or less is inside."""
    if isinstance(penalty, Sum):
        return max(excess(part, W) for part in penalty.penalties)
    if isinstance(penalty, MaxNorm):
        axis = {"output": 0, "input": 1, "matrix": None}[penalty.by]
        return np.max(np.linalg.norm(W.astype(np.float64), axis=axis)) / penalty.limit - 1
    if isinstance(penalty, Box):
        return np.max(np.abs(W)) - penalty.limit
    return np.max(-W) if isinstance(penalty, NonNegative) else 0.0


CONSTRAINTS = [
    NonNegative(),
    MaxNorm(0.5),
    MaxNorm(0.5, by="input"),
    MaxNorm(1.0, by="matrix"),
    Box(0.3),
    Sum((L1(), NonNegative())),
    Sum((NonNegative(), MaxNorm(0.5))),
    Sum((L1(), MaxNorm(0.5))),
    Sum((GroupLasso(), MaxNorm(1.0, by="matrix"))),
]


def assert_holds(model, penalty, touched=True):
    """In every layer; a projected group's norm is the limit but for the rounding of its weights."""
    rounding = 4 * np.finfo(model.coefs_[0].dtype).eps
    outside = [excess(penalty, W) for W in model.coefs_]
    assert max(outside) <= rounding
    if touched:  # or the test would not need the constraint
        assert max(outside) > -1e-3
    assert np.isfinite(model.objective_)
    assert np.isfinite(model.loss_curve_).all()


def takes(solver, penalty):
    return solver != "lbfgs" or ("NonNegative" in repr(penalty) and "MaxNorm" not in repr(penalty))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
@every_solver
@pytest.mark.parametrize("penalty", CONSTRAINTS, ids=repr)
def test_hold_in_every_layer(penalty, solver, alpha, dtype):
    if not takes(solver, penalty):
        with pytest.raises(ValueError, match="solver='fista' or 'adam'"):
            network(penalty, solver, alpha=alpha).fit(*data())
        return
    assert_holds(network(penalty, solver, alpha=alpha).fit(*data(dtype)), penalty)


@every_solver
@pytest.mark.parametrize("penalty", CONSTRAINTS, ids=repr)
def test_hold_after_a_start_outside_and_a_single_epoch(penalty, solver):
    if not takes(solver, penalty):
        return
    X, y = data()
    for start in (network(None, "sgd", learning_rate_init=0.1, max_iter=20).fit(X, 5 * y), None):
        model = network(penalty, solver, max_iter=1) if start is None else start
        model.set_params(penalty=penalty, max_iter=1, warm_start=True, **SOLVERS.get(solver, {"solver": solver}))
        assert start is None or max(excess(penalty, W) for W in start.coefs_) > 0.1
        assert_holds(model.fit(X, y), penalty, touched=False)


@pytest.mark.parametrize("solver", ["heavy ball", "nesterov", "adam"])
@pytest.mark.parametrize("penalty", CONSTRAINTS[:6], ids=repr)
def test_partial_fit_early_stopping_and_other_tables(penalty, solver):
    X, y = data()
    model = network(penalty, solver)
    for _ in range(3):
        assert_holds(model.partial_fit(X, y), penalty, touched=False)
    assert_holds(network(penalty, solver, early_stopping=True, max_iter=5).fit(X, y), penalty, touched=False)
    sparse = network(penalty, solver, max_iter=3).fit(scipy.sparse.csr_array(X), y)
    dense = network(penalty, solver, max_iter=3).fit(X, y)
    assert_allclose(sparse.coefs_[0], dense.coefs_[0], rtol=0, atol=1e-12)
    classes = NormRegMLPClassifier((5,), penalty=penalty, max_iter=5, random_state=0).fit(X, y[:, 0] > 0)
    assert_holds(classes, penalty, touched=False)


@every_solver
def test_penalized_intercepts_are_constrained_too(solver):
    X, y = data()
    for penalize in (True, False):
        model = network(NonNegative(), solver, penalize_intercepts=penalize, alpha=0.0, max_iter=60).fit(X, y - 3)
        least = min(b.min() for b in model.intercepts_)
        assert least >= 0 if penalize else least < 0
        assert_holds(model, NonNegative())


def test_a_constraint_on_one_layer_leaves_the_others_alone():
    X, y = data()
    model = network(PerLayer(first=NonNegative(), hidden=None, last="l2"), "adam", alpha=1e-3).fit(X, y)
    assert model.coefs_[0].min() == 0.0
    assert model.coefs_[1].min() < 0 > model.coefs_[2].min()


# --------------------------------------------------------------------------------- linear models of other programs


def linear_data(n_targets=1):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 10)) @ (np.eye(10) + 0.3 * rng.normal(size=(10, 10)))
    W = rng.normal(size=(10, 2)) @ rng.normal(size=(2, n_targets))  # of rank 2
    return X, X @ W + 0.5 * rng.normal(size=(80, n_targets)) + 1.0


NON_NEGATIVE = {
    "non-negative least squares": (NonNegative(), 0.5, LinearRegression(positive=True)),
    "Lasso": (Sum((L1(), NonNegative())), 0.1, Lasso(alpha=0.1, positive=True, tol=1e-14, max_iter=10**6)),
    "ElasticNet": (
        Sum((ElasticNet(0.3), NonNegative())),
        0.2,
        SklearnElasticNet(alpha=0.2, l1_ratio=0.3, positive=True, tol=1e-14, max_iter=10**6),
    ),
}


@pytest.mark.parametrize("solver", ["fista", "lbfgs"])
@pytest.mark.parametrize("penalty, alpha, reference", NON_NEGATIVE.values(), ids=NON_NEGATIVE)
def test_non_negative_linear_models(penalty, alpha, reference, solver):
    X, y = linear_data()
    reference.fit(X, y.ravel())
    ours = NormRegMLPRegressor(penalty=penalty, alpha=alpha, **(EXACT | {"solver": solver})).fit(X, y.ravel())
    # lbfgs ends on a relative fall of the objective, whose square root is left in the weights.
    assert_allclose(ours.coefs_[0].ravel(), reference.coef_, rtol=0, atol=1e-6 if solver == "fista" else 1e-5)
    assert_allclose(ours.intercepts_[0], reference.intercept_, rtol=0, atol=1e-6 if solver == "fista" else 1e-5)
    assert_array_equal(ours.coefs_[0].ravel() == 0, reference.coef_ == 0)
    assert 0 < np.count_nonzero(reference.coef_) < 10


def test_non_negative_least_squares_of_scipy():
    X, y = linear_data()
    expected, _ = scipy.optimize.nnls(X - X.mean(axis=0), (y - y.mean()).ravel())
    ours = NormRegMLPRegressor(penalty="non_negative", **EXACT).fit(X, y.ravel())
    assert_allclose(ours.coefs_[0].ravel(), expected, rtol=0, atol=1e-6)


def descend(X, y, project, n_iter=20000):
    """Proximal gradient on centred data, the textbook's loop."""
    X, y = X - X.mean(axis=0), y - y.mean(axis=0)
    step = len(X) / np.linalg.norm(X, 2) ** 2
    W = np.zeros((X.shape[1], y.shape[1]))
    for _ in range(n_iter):
        W = project(W - step * X.T @ (X @ W - y) / len(X), step)
    return W


def clipped(W, limit, axis):
    norms = np.linalg.norm(W, axis=axis, keepdims=True)
    return W * np.minimum(1, limit / np.maximum(norms, 1e-300))


def clipped_singular_values(W, threshold):
    U, sigma, Vt = np.linalg.svd(W, full_matrices=False)
    return U * np.maximum(sigma - threshold, 0) @ Vt


PROJECTED = {
    "columns": (MaxNorm(0.8), lambda W, step: clipped(W, 0.8, 0)),
    "rows": (MaxNorm(0.8, by="input"), lambda W, step: clipped(W, 0.8, 1)),
    "matrix": (MaxNorm(2.0, by="matrix"), lambda W, step: clipped(W, 2.0, (0, 1))),
    "non-negative columns": (
        Sum((NonNegative(), MaxNorm(0.8))),
        lambda W, step: clipped(np.maximum(W, 0), 0.8, 0),
    ),
    "L1 and columns": (
        Sum((L1(), MaxNorm(0.8))),
        lambda W, step: clipped(np.sign(W) * np.maximum(np.abs(W) - 0.3 * step, 0), 0.8, 0),
    ),
    "nuclear": (NuclearNorm(), lambda W, step: clipped_singular_values(W, 0.3 * step)),
    "nuclear and L2": (
        Sum((NuclearNorm(), L2())),
        lambda W, step: clipped_singular_values(W / (1 + 0.3 * step), 0.3 * step / (1 + 0.3 * step)),
    ),
    "norm": (L2Norm(), lambda W, step: W * max(0, 1 - 0.3 * step / np.linalg.norm(W))),
    "norm of the network": (L2Norm("network"), lambda W, step: W * max(0, 1 - 0.3 * step / np.linalg.norm(W))),
}


@pytest.mark.parametrize("penalty, project", PROJECTED.values(), ids=PROJECTED)
def test_linear_models_by_proximal_gradient(penalty, project):
    X, y = linear_data(4)
    expected = descend(X, y, project)
    ours = NormRegMLPRegressor(penalty=penalty, alpha=0.3, **EXACT).fit(X, y)
    assert_allclose(ours.coefs_[0], expected, rtol=0, atol=1e-6)
    ranks = [np.linalg.matrix_rank(W, tol=1e-8) for W in (ours.coefs_[0], expected)]
    assert ranks[0] == ranks[1]
    assert "Nuclear" not in repr(penalty) or ranks[0] < 4
