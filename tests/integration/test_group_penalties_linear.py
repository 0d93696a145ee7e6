"""Penalties of groups and concave ones on linear models with known answers."""

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Lasso

from sknormnet import NormRegMLPRegressor
from sknormnet.penalties import MCP, SCAD, GroupLasso, L2Norm, SparseGroupLasso

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

EXACT = dict(hidden_layer_sizes=(), solver="fista", tol=1e-11, max_iter=20000, random_state=0)


def expected_objective(model, X, y, penalty, **terms):
    args = X, y, model.coefs_, model.intercepts_
    terms = dict(alpha=model.alpha, penalty=(penalty.name, penalty.get_params())) | terms
    return oracles.objective(*args, loss=oracles.squared_error, **terms)


def linear_data(n_targets=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(80, 10)) @ (np.eye(10) + 0.3 * rng.normal(size=(10, 10)))
    W = rng.normal(size=(10, n_targets))
    W[4:] = 0.0
    return X, X @ W + 0.5 * rng.normal(size=(80, n_targets)) + 1.0


def gradient_at_zero(X, y):
    return X.T @ (y.mean(axis=0) - y) / len(X)


@pytest.mark.parametrize("alpha", [0.02, 0.2, 0.6])
def test_ends_of_the_sparse_group_lasso(alpha):
    X, y = linear_data()
    ours = NormRegMLPRegressor(penalty=SparseGroupLasso(l1_ratio=1.0), alpha=alpha, **EXACT).fit(X, y)
    lasso = Lasso(alpha=alpha, tol=1e-13, max_iter=100000).fit(X, y)
    assert_allclose(ours.coefs_[0], lasso.coef_.T, rtol=0, atol=1e-6)
    assert_array_equal(ours.coefs_[0] == 0, lasso.coef_.T == 0)
    ours = NormRegMLPRegressor(penalty=SparseGroupLasso(l1_ratio=0.0), alpha=alpha, **EXACT).fit(X, y)
    by_rows = NormRegMLPRegressor(penalty=GroupLasso(), alpha=alpha, **EXACT).fit(X, y)
    assert_allclose(ours.coefs_[0], by_rows.coefs_[0], rtol=0, atol=1e-9)
    assert_array_equal(ours.coefs_[0] == 0, by_rows.coefs_[0] == 0)


def orthogonal_data():
    """X'X = n and columns of mean zero: F is |W - z|^2/2 plus the penalty, with z = X'y/n."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 8))
    X = np.linalg.qr(X - X.mean(axis=0))[0] * np.sqrt(60)
    z = rng.normal(size=(8, 4)) * rng.choice([0.3, 1.0, 3.0], size=(8, 1))
    y = X @ z + 0.3 * rng.normal(size=(60, 4)) + [1, -2, 3, 0]
    return X, y, X.T @ y / 60


def shrink(z, labels, function):
    """Every group, weights with one label, scaled so that its norm t becomes function(t, number of rows)."""
    W = np.zeros_like(z)
    for label in np.unique(labels):
        group = labels == label
        t = np.linalg.norm(z[group])
        W[group] = z[group] * function(t, group.any(axis=1).sum()) / t
    return W


def soft(t, s):
    return np.sign(t) * np.maximum(np.abs(t) - s, 0)


def firm(t, s, gamma):
    return t if t > gamma * s else soft(t, s) / (1 - 1 / gamma)


def scad_threshold(t, s, gamma):
    return soft(t, s) if t <= 2 * s else t if t > gamma * s else ((gamma - 1) * t - gamma * s) / (gamma - 2)


ROWS, COLUMNS = np.indices((8, 4))
LABELS = {"weight": 4 * ROWS + COLUMNS, "input": ROWS, "output": COLUMNS, "matrix": 0 * ROWS}
JOINED = np.array([3, 0, 3, 1, 1, 3, 7, 0])
S = 0.9
CLOSED_FORMS = [
    (GroupLasso(), lambda z: shrink(z, ROWS, lambda t, n: soft(t, S))),
    (GroupLasso(by="output"), lambda z: shrink(z, COLUMNS, lambda t, n: soft(t, S))),
    (GroupLasso(groups=JOINED), lambda z: shrink(z, JOINED[ROWS], lambda t, n: soft(t, S * np.sqrt(n)))),
    (L2Norm(), lambda z: shrink(z, 0 * ROWS, lambda t, n: soft(t, S))),
    (SparseGroupLasso(0.3), lambda z: shrink(soft(z, 0.3 * S), ROWS, lambda t, n: soft(t, 0.7 * S))),
    *[
        (MCP(gamma, by), lambda z, gamma=gamma, by=by: shrink(z, LABELS[by], lambda t, n: firm(t, S, gamma)))
        for gamma in (1.3, 3.0)
        for by in LABELS
    ],
    *[(SCAD(3.7, by), lambda z, by=by: shrink(z, LABELS[by], lambda t, n: scad_threshold(t, S, 3.7))) for by in LABELS],
]


@pytest.mark.parametrize("penalty, closed_form", CLOSED_FORMS, ids=[repr(penalty) for penalty, _ in CLOSED_FORMS])
def test_orthogonal_design(penalty, closed_form):
    X, y, z = orthogonal_data()
    model = NormRegMLPRegressor(penalty=penalty, alpha=S, **EXACT).fit(X, y)
    expected = closed_form(z)
    assert_allclose(model.coefs_[0], expected, rtol=0, atol=1e-7)  # about the square root of rounding in F
    assert_array_equal(model.coefs_[0] == 0, expected == 0)
    assert_allclose(model.intercepts_[0], y.mean(axis=0), rtol=0, atol=1e-7)
    assert model.objective_ == pytest.approx(expected_objective(model, X, y, penalty), rel=1e-12)


ALPHA_MAX = [
    (GroupLasso(), lambda G: np.linalg.norm(G, axis=1).max()),
    (GroupLasso(by="output"), lambda G: np.linalg.norm(G, axis=0).max()),
    (
        GroupLasso(groups=[0, 0, 0, 0, 1, 1, 1, 1, 2, 2]),
        lambda G: max(np.linalg.norm(rows) / np.sqrt(len(rows)) for rows in (G[:4], G[4:8], G[8:])),
    ),
    (L2Norm(), np.linalg.norm),
    (MCP(gamma=100.0), lambda G: np.abs(G).max()),
    (SCAD(gamma=100.0, by="input"), lambda G: np.linalg.norm(G, axis=1).max()),
]


@pytest.mark.parametrize("penalty, alpha_max", ALPHA_MAX, ids=[repr(penalty) for penalty, _ in ALPHA_MAX])
def test_alpha_max(penalty, alpha_max):
    X, y = linear_data()
    largest = alpha_max(gradient_at_zero(X, y))
    model = NormRegMLPRegressor(penalty=penalty, alpha=largest * (1 + 1e-6), **EXACT).fit(X, y)
    assert not model.coefs_[0].any()
    assert_allclose(model.intercepts_[0], y.mean(axis=0), rtol=0, atol=1e-6)  # the square root of rounding in F
    assert NormRegMLPRegressor(penalty=penalty, alpha=0.99 * largest, **EXACT).fit(X, y).coefs_[0].any()


FIRST_ORDER = {
    "plain": dict(solver="sgd", momentum=0.0, learning_rate_init=0.03),
    "heavy ball": dict(solver="sgd", momentum=0.9, nesterovs_momentum=False, learning_rate_init=0.003),
    "nesterov": dict(solver="sgd", momentum=0.9, nesterovs_momentum=True, learning_rate_init=0.003),
    "adam": dict(solver="adam", learning_rate_init=0.02, learning_rate="cosine"),
}
GROUPED = [
    GroupLasso(),
    GroupLasso("output"),
    GroupLasso(groups=JOINED),
    SparseGroupLasso(0.4),
    L2Norm(),
    MCP(),
    MCP(by="input"),
    SCAD(),
]


@pytest.mark.parametrize("name", FIRST_ORDER)
@pytest.mark.parametrize("penalty", GROUPED, ids=repr)
def test_first_order_solvers_end_at_the_optimum_of_fista(penalty, name):
    """A prox outside the momentum, or with another step than the gradient's, has another fixed point."""
    X, y, _ = orthogonal_data()
    X = X @ (np.eye(8) + 0.1 * np.random.default_rng(2).normal(size=(8, 8)))  # F remains convex with MCP and SCAD
    common = dict(hidden_layer_sizes=(), penalty=penalty, alpha=0.5, random_state=0)
    optimum = NormRegMLPRegressor(**(EXACT | common)).fit(X, y)
    options = dict(batch_size=60, max_iter=4000, n_iter_no_change=4000, tol=0.0) | FIRST_ORDER[name]
    model = NormRegMLPRegressor(**common, **options).fit(X, y)
    assert_allclose(model.coefs_[0], optimum.coefs_[0], rtol=0, atol=1e-2 if name == "adam" else 1e-3)
    assert model.objective_ >= optimum.objective_ * (1 - 1e-9)


@pytest.mark.parametrize("groups", [[0, 0, 2], [7, 7, 0], [2**40, 2**40, 2**62]])
@pytest.mark.parametrize("solver", ["sgd", "adam", "fista"])
def test_numbers_of_groups_are_names(groups, solver):
    """Gaps between them, and as many numbers up to the largest as there are weights, mean nothing."""
    X, y = linear_data(1)
    X, y, options = X[:, 2:5], y[:, 0], dict(alpha=0.2, solver=solver, max_iter=30, random_state=0)
    named = NormRegMLPRegressor((), penalty=GroupLasso(groups=groups), **options).fit(X, y)
    counted = NormRegMLPRegressor((), penalty=GroupLasso(groups=[0, 0, 1]), **options).fit(X, y)
    assert_allclose(named.coefs_[0], counted.coefs_[0], rtol=0, atol=1e-12)
    assert named.objective_ == pytest.approx(expected_objective(counted, X, y, GroupLasso(groups=[0, 0, 1])), rel=1e-12)


def test_joined_inputs_and_penalized_intercepts():
    """The intercepts are a group of their own."""
    X, y = linear_data()
    penalty = GroupLasso(groups=[0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    model = NormRegMLPRegressor(penalty=penalty, alpha=0.1, penalize_intercepts=True, **EXACT).fit(X, y)
    expected = expected_objective(model, X, y, penalty, penalize_intercepts=True)
    assert model.objective_ == pytest.approx(expected, rel=1e-12)
    assert model.intercepts_[0].all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("penalty", [MCP(), MCP(1.3), SCAD(), MCP(by="input")], ids=repr)
def test_concave_shapes_stay_settled_under_adam(penalty):
    """Where gradients vanish, adam's steps grow; the prox of such a step would remove even large weights."""
    rng = np.random.default_rng(0)
    X = np.linalg.qr(rng.standard_normal((64, 4)))[0] * 8
    y = X @ [3.0, -2.0, 1.0, 0.0]
    common = dict(hidden_layer_sizes=(), penalty=penalty, alpha=0.5, random_state=0, tol=0.0)
    settled = NormRegMLPRegressor(**common, solver="fista", max_iter=500).fit(X, y).objective_
    model = NormRegMLPRegressor(
        **common, batch_size=64, learning_rate_init=0.02, max_iter=20_000, n_iter_no_change=np.inf
    ).fit(X, y)
    late = np.array(model.history_["objective"][5000:])
    assert late.max() <= 1.01 * settled + 1e-9
