"""Sums of penalties and the norm of the whole network: optima, exact zeros, reports, steps."""

import copy

import numpy as np
import oracles
import pytest
import scipy.sparse
from fits import PROXIMAL_SOLVERS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import MultiTaskElasticNet

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import (
    L1,
    L2,
    MCP,
    PENALTIES,
    ElasticNet,
    GroupLasso,
    L2Norm,
    MaxNorm,
    NuclearNorm,
    SparseGroupLasso,
    Sum,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some layers are penalised:UserWarning"),
]

EXACT = dict(hidden_layer_sizes=(), solver="fista", tol=1e-11, max_iter=20000, random_state=0)
NETWORK_WIDE = L2Norm("network")


def linear_data(n_targets=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(80, 10)) @ (np.eye(10) + 0.3 * rng.normal(size=(10, 10)))
    W = rng.normal(size=(10, n_targets))
    W[4:] = 0.0
    return X, X @ W + 0.5 * rng.normal(size=(80, n_targets)) + 1.0


def network_data(dtype=np.float64):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 8))
    y = np.column_stack([X[:, 0] - X[:, 1], X[:, 2] + np.tanh(X[:, 3] + X[:, 4]), 0.01 * rng.normal(size=60)])
    return X.astype(dtype), y.astype(dtype)


def network(penalty, alpha, **options):
    defaults = dict(activation="tanh", batch_size=60, max_iter=600, n_iter_no_change=600, random_state=0)
    return NormRegMLPRegressor((10, 6), penalty=penalty, alpha=alpha, **(defaults | options))


# ------------------------------------------------------------------------------------------------ linear models


@pytest.mark.parametrize("alpha, l1_ratio", [(0.05, 0.5), (0.3, 0.9), (1.0, 0.2)])
def test_group_lasso_and_l2_are_the_multi_task_elastic_net(alpha, l1_ratio):
    X, y = linear_data()
    penalty = Sum((GroupLasso("input"), L2()), weights=(l1_ratio, 1 - l1_ratio))
    ours = NormRegMLPRegressor(penalty=penalty, alpha=alpha, **EXACT).fit(X, y)
    reference = MultiTaskElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-14, max_iter=10**6).fit(X, y)
    assert_allclose(ours.coefs_[0], reference.coef_.T, rtol=0, atol=1e-6)
    assert_allclose(ours.intercepts_[0], reference.intercept_, rtol=0, atol=1e-6)
    assert_array_equal(ours.coefs_[0] == 0, reference.coef_.T == 0)


@pytest.mark.parametrize("solver", ["fista", "lbfgs"])
def test_l1_and_l2_are_the_elastic_net(solver):
    X, y = linear_data(1)
    penalty = Sum((L1(), L2()), weights=(0.7, 0.3))
    ours = NormRegMLPRegressor(penalty=penalty, alpha=0.2, **(EXACT | {"solver": solver})).fit(X, y.ravel())
    reference = SklearnElasticNet(alpha=0.2, l1_ratio=0.7, tol=1e-14, max_iter=10**6).fit(X, y.ravel())
    # lbfgs ends on a relative fall of the objective, whose square root is left in the weights.
    assert_allclose(ours.coefs_[0].ravel(), reference.coef_, rtol=0, atol=1e-6 if solver == "fista" else 1e-5)
    assert_array_equal(ours.coefs_[0].ravel() == 0, reference.coef_ == 0)


# Both sides are the same function; compiled or composed in Python.
EQUAL = [
    (Sum((L1(), GroupLasso("output")), weights=(0.4, 0.6)), SparseGroupLasso(0.4, by="output")),
    (Sum((ElasticNet(0.3), ElasticNet(0.9)), weights=(0.5, 0.5)), ElasticNet(0.6)),
    (Sum((L2Norm(), L2Norm(), GroupLasso()), weights=(0.25, 0.75, 0.0)), L2Norm()),
    (Sum((GroupLasso(groups=range(8)), GroupLasso()), weights=(0.5, 0.5)), GroupLasso()),
    (Sum((MCP(),)), MCP()),
    (Sum((NuclearNorm(), L2()), weights=(1.0, 0.0)), NuclearNorm()),
]


@pytest.mark.parametrize("solver", PROXIMAL_SOLVERS)
@pytest.mark.parametrize("total, penalty", EQUAL, ids=[repr(total) for total, _ in EQUAL])
def test_equal_sums_train_equally(total, penalty, solver):
    X, y = network_data()
    if getattr(total.penalties[0], "groups", None) is not None:
        total, penalty = PerLayer(total, "l2", "l2"), PerLayer(penalty, "l2", "l2")
    a, b = (network(p, 0.05, max_iter=10, **PROXIMAL_SOLVERS[solver]).fit(X, y) for p in (total, penalty))
    # Under adam the composed form has one second moment for the matrix, where groups have one each: other steps.
    if solver == "adam" and not all(compiled(getattr(p, "first", p)) for p in (total, penalty)):
        return
    for V, W in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert_allclose(V, W, rtol=0, atol=1e-10)
    assert a.objective_ == pytest.approx(b.objective_, rel=1e-9)


def compiled(penalty):
    return type(penalty.kernel()).__name__ in ("GroupKernel", "ElementwiseKernel")


# ----------------------------------------------------------------------------------------------------- networks

SUMS = {
    "l1 + l2": (Sum((L1(), L2())), 0.1),
    "l1 + group_lasso + l2_norm": (Sum((L1(), GroupLasso("output"), L2Norm()), weights=(0.5, 0.5, 0.1)), 0.1),
    "group_lasso + l2_norm + l2": (Sum((GroupLasso("input"), L2Norm(), L2()), weights=(1.0, 0.1, 0.1)), 0.12),
    "l1 + max_norm": (Sum((L1(), MaxNorm(1.0))), 0.1),
    "mcp + l2": (Sum((MCP(), L2()), weights=(1.0, 0.1)), 0.1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", PROXIMAL_SOLVERS)
@pytest.mark.parametrize("penalty, alpha", SUMS.values(), ids=SUMS)
def test_exact_zeros_and_report(penalty, alpha, solver, dtype):
    X, y = network_data(dtype)
    model = network(penalty, alpha, **PROXIMAL_SOLVERS[solver]).fit(X, y)
    for W in model.coefs_:
        assert W.dtype == dtype
        assert 0 < np.count_nonzero(W) < W.size
    value = sum(oracles.penalty_value(penalty, W.astype(np.float64), alpha) for W in model.coefs_)
    loss = oracles.data_loss(X, y, model.coefs_, model.intercepts_, loss=oracles.squared_error, activation="tanh")
    assert model.objective_ == pytest.approx(loss + value, rel=1e-5 if dtype == np.float32 else 1e-12)


STEPPED = [*(penalty for penalty, _ in SUMS.values()), NuclearNorm(), Sum((NuclearNorm(), L2())), MaxNorm(0.5)]


WITHOUT = [
    Sum((L1(), L2()), weights=(0, 1)),
    Sum((GroupLasso(), L2()), weights=(0, 1)),
    Sum((NuclearNorm(), MCP(), GroupLasso(), GroupLasso("output"), L2()), weights=(0, 0, 0, 0, 1)),
]


@pytest.mark.parametrize("penalty", WITHOUT, ids=repr)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
def test_terms_of_weight_zero_are_none(penalty, solver):
    X, y = network_data(np.float64)
    expected = network("l2", 0.1, solver=solver, max_iter=20).fit(X, y)
    model = network(penalty, 0.1, solver=solver, max_iter=20).fit(X, y)
    for W, V in zip(model.coefs_, expected.coefs_, strict=True):
        assert_allclose(W, V, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("penalize_intercepts", [False, True])
@pytest.mark.parametrize("penalty", [cls() for cls in PENALTIES.values() if not cls.constraint], ids=repr)
def test_alpha_zero_is_no_penalty(penalty, penalize_intercepts, solver):
    X, y = network_data(np.float64)
    penalties = [penalty] if penalty.name != "l2_norm" else [penalty, L2Norm("network")]
    for each in penalties:
        options = dict(solver=solver, max_iter=20, penalize_intercepts=penalize_intercepts)
        expected = network(None, 0.0, **options).fit(X, y)
        model = network(each, 0.0, **options).fit(X, y)
        for W, V in zip(model.coefs_ + model.intercepts_, expected.coefs_ + expected.intercepts_, strict=True):
            assert_allclose(W, V, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("penalty", STEPPED, ids=repr)
def test_one_sgd_step_is_the_prox_of_the_step_without_penalty(penalty, dtype):
    X, y = network_data(dtype)
    options = dict(solver="sgd", momentum=0.0, max_iter=1, learning_rate_init=0.2)
    free = network(None, 0.0, **options)
    if penalty.constraint:  # a fit begins with the projection
        standing = network(penalty, 0.0, **options | {"learning_rate_init": 1e-300}).fit(X, y)
        free = standing.set_params(penalty=None, warm_start=True, **options)
    free.fit(X, y)
    model = network(penalty, 0.3, **options).fit(X, y)
    for V, W, b_free, b in zip(free.coefs_, model.coefs_, free.intercepts_, model.intercepts_, strict=True):
        rounding = 1e-6 if dtype == np.float32 else 1e-14
        assert_allclose(W, penalty.prox(V, 0.2, 0.3), rtol=0, atol=rounding)
        assert_allclose(b, b_free, rtol=0, atol=rounding)


@pytest.mark.parametrize("solver", PROXIMAL_SOLVERS)
@pytest.mark.parametrize("penalty", [SUMS["l1 + group_lasso + l2_norm"][0], NuclearNorm(), NETWORK_WIDE], ids=repr)
def test_sparse_tables_intercepts_and_going_on(penalty, solver):
    X, y = network_data()
    X[np.random.default_rng(0).random(X.shape) < 0.5] = 0
    options = dict(max_iter=4, penalize_intercepts=True, **PROXIMAL_SOLVERS[solver] | {"learning_rate": "constant"})
    dense = network(penalty, 0.05, **options).fit(X, y)
    sparse = network(penalty, 0.05, **options).fit(scipy.sparse.csr_array(X), y)
    assert_allclose(sparse.loss_curve_, dense.loss_curve_, rtol=1e-10)
    rows = [np.vstack([W, b]) for W, b in zip(dense.coefs_, dense.intercepts_, strict=True)]
    if penalty is NETWORK_WIDE:
        value = 0.05 * np.sqrt(sum((W**2).sum() for W in rows))
    else:
        value = sum(oracles.penalty_value(penalty, W, 0.05) for W in rows)
    loss = oracles.data_loss(X, y, dense.coefs_, dense.intercepts_, loss=oracles.squared_error, activation="tanh")
    assert dense.objective_ == pytest.approx(loss + value, rel=1e-12)
    going_on = dense.set_params(warm_start=True, max_iter=2)
    before = dense.objective_
    assert going_on.fit(X, y).objective_ < before
    if solver != "fista":
        parts = network(penalty, 0.05, **options)
        for _ in range(4):
            parts.partial_fit(X, y)
        whole = network(penalty, 0.05, **options).fit(X, y)
        assert_allclose(parts.coefs_[0], whole.coefs_[0], rtol=0, atol=1e-12)
    early = network(
        penalty, 0.05, **options | {"early_stopping": True, "validation_fraction": 0.3, "batch_size": 20}
    ).fit(X, y)
    assert np.isfinite(early.validation_scores_).all()


# ------------------------------------------------------------------------------------ one norm of all matrices


def gradients(model, X, y):
    """Of the data loss in every matrix, by hand, for tanh and squared error."""
    layers = [X]
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        layers.append(np.tanh(layers[-1] @ W + b))
    delta = (layers[-1] @ model.coefs_[-1] + model.intercepts_[-1] - y) / len(X)
    slopes = []
    for k in reversed(range(len(layers))):
        slopes.insert(0, layers[k].T @ delta)
        if k:
            delta = delta @ model.coefs_[k].T * (1 - layers[k] ** 2)
    return slopes


def test_norm_of_the_network_is_stationary_and_reached_by_all():
    X, y = network_data()
    alpha = 0.05
    fista = network(NETWORK_WIDE, alpha, solver="fista", tol=1e-8, max_iter=20000).fit(X, y)
    norm = np.sqrt(sum((W**2).sum() for W in fista.coefs_))
    for W, slope in zip(fista.coefs_, gradients(fista, X, y), strict=True):
        assert_allclose(slope, -alpha * W / norm, rtol=0, atol=1e-7)
    loss = oracles.data_loss(X, y, fista.coefs_, fista.intercepts_, loss=oracles.squared_error, activation="tanh")
    assert fista.objective_ == pytest.approx(loss + alpha * norm, rel=1e-12)
    rng = np.random.default_rng(0)
    for solver in ("plain", "heavy ball", "nesterov", "adam"):
        options = PROXIMAL_SOLVERS[solver] | {"learning_rate": "cosine", "max_iter": 2000, "n_iter_no_change": 2000}
        model = copy.deepcopy(fista).set_params(warm_start=True, **options)
        model.coefs_ = [W + 0.02 * rng.normal(size=W.shape) for W in model.coefs_]  # within the minimum's valley
        model.fit(X, y)
        assert model.loss_curve_[len(fista.loss_curve_)] > fista.objective_ * (1 + 1e-3)
        # Full batches, 2000 steps of a first-order method in a flat valley.
        assert model.objective_ == pytest.approx(fista.objective_, rel=1e-4)
        norm = np.sqrt(sum((W**2).sum() for W in model.coefs_))
        for W, slope in zip(model.coefs_, gradients(model, X, y), strict=True):
            assert_allclose(slope, -alpha * W / norm, rtol=0, atol=5e-3)


@pytest.mark.parametrize("solver", PROXIMAL_SOLVERS)
def test_a_large_strength_zeroes_the_network_at_once(solver):
    X, y = network_data()
    model = network(NETWORK_WIDE, 1.5, **PROXIMAL_SOLVERS[solver] | {"max_iter": 1500, "n_iter_no_change": 1500}).fit(
        X, y
    )
    assert all(not W.any() for W in model.coefs_)
    kept = network(NETWORK_WIDE, 0.02, **PROXIMAL_SOLVERS[solver]).fit(X, y)
    assert all(W.all() for W in kept.coefs_)
    assert kept.n_features_in_ == 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("penalize_intercepts", [False, True])
def test_one_step_of_the_network_is_the_prox_of_all_weights(penalize_intercepts, dtype):
    X, y = network_data(dtype)
    options = dict(solver="sgd", momentum=0.0, max_iter=1, learning_rate_init=0.2)
    free = network(None, 0.0, **options).fit(X, y)
    model = network(NETWORK_WIDE, 2.0, penalize_intercepts=penalize_intercepts, **options).fit(X, y)
    parts = free.coefs_ + (free.intercepts_ if penalize_intercepts else [])
    shrink = 1 - 0.2 * 2.0 / np.sqrt(sum(np.sum(np.square(part, dtype=np.float64)) for part in parts))
    assert 0 < shrink < 1
    atol = 1e-6 if dtype == np.float32 else 1e-14
    for V, W in zip(free.coefs_, model.coefs_, strict=True):
        assert_allclose(W, shrink * V, rtol=0, atol=atol)
    for c, b in zip(free.intercepts_, model.intercepts_, strict=True):
        assert_allclose(b, shrink * c if penalize_intercepts else c, rtol=0, atol=atol)


@pytest.mark.parametrize("solver", PROXIMAL_SOLVERS)
def test_without_hidden_layers_the_network_is_its_matrix(solver):
    X, y = linear_data()
    options = dict(hidden_layer_sizes=(), alpha=0.3, max_iter=20, random_state=0, **PROXIMAL_SOLVERS[solver])
    a, b = (NormRegMLPRegressor(penalty=p, **options).fit(X, y) for p in (NETWORK_WIDE, L2Norm()))
    assert_allclose(a.coefs_[0], b.coefs_[0], rtol=0, atol=1e-12)
    assert a.objective_ == pytest.approx(b.objective_, rel=1e-12)


def test_a_classifier_takes_both():
    X, y = network_data()
    for penalty in (NETWORK_WIDE, SUMS["l1 + group_lasso + l2_norm"][0]):
        model = NormRegMLPClassifier((5,), penalty=penalty, alpha=1e-3, max_iter=200, random_state=0)
        assert model.fit(X, y[:, 0] > 0).score(X, y[:, 0] > 0) > 0.8
