"""Penalties of groups and concave ones in fits: linear models with known answers, networks, solvers, bad input."""

import numpy as np
import oracles
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Lasso, MultiTaskLasso
from sklearn.model_selection import GridSearchCV

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import L1, MCP, SCAD, GroupLasso, L2Norm, SparseGroupLasso

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some layers are penalised:UserWarning"),
]

EXACT = dict(hidden_layer_sizes=(), solver="fista", tol=1e-11, max_iter=20000, random_state=0)


def entry(penalty):
    """A penalty as the oracles name it."""
    return penalty.name, penalty.get_params()


def expected_objective(model, X, y, penalty, loss=oracles.squared_error, **terms):
    args = X, y, model.coefs_, model.intercepts_
    terms = dict(alpha=model.alpha, penalty=penalty if isinstance(penalty, list) else entry(penalty)) | terms
    return oracles.objective(*args, loss=loss, activation=model.activation, **terms)


# ------------------------------------------------------------------------------------------------ linear models


def linear_data(n_targets=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(80, 10)) @ (np.eye(10) + 0.3 * rng.normal(size=(10, 10)))
    W = rng.normal(size=(10, n_targets))
    W[4:] = 0.0
    return X, X @ W + 0.5 * rng.normal(size=(80, n_targets)) + 1.0


def gradient_at_zero(X, y):
    return X.T @ (y.mean(axis=0) - y) / len(X)


def test_group_lasso_of_inputs_is_the_multi_task_lasso():
    X, y = linear_data()
    largest = np.linalg.norm(gradient_at_zero(X, y), axis=1).max()
    for alpha in largest * np.geomspace(0.9, 0.01, 8):
        ours = NormRegMLPRegressor(penalty=GroupLasso("input"), alpha=alpha, **EXACT).fit(X, y)
        reference = MultiTaskLasso(alpha=alpha, tol=1e-13, max_iter=100000).fit(X, y)
        assert_allclose(ours.coefs_[0], reference.coef_.T, rtol=0, atol=1e-6)
        assert_allclose(ours.intercepts_[0], reference.intercept_, rtol=0, atol=1e-6)
        gradient = X.T @ (reference.predict(X) - y) / len(X)
        slack = alpha - np.linalg.norm(gradient, axis=1)
        ours_zero, zero = ~ours.coefs_[0].any(axis=1), ~reference.coef_.any(axis=0)
        assert_array_equal(ours_zero[~zero | (slack > 1e-6)], zero[~zero | (slack > 1e-6)])


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
    assert_allclose(model.coefs_[0], expected, rtol=0, atol=1e-8)
    assert_array_equal(model.coefs_[0] == 0, expected == 0)
    assert_allclose(model.intercepts_[0], y.mean(axis=0), rtol=0, atol=1e-8)
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


# ------------------------------------------------------------------------------------------------ networks

SOLVERS = FIRST_ORDER | {"fista": dict(solver="fista")}


def network_data(dtype=np.float64):
    """Five inputs that count, three that do not, and one target that is hardly there."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 8))
    y = np.column_stack([X[:, 0] - X[:, 1], X[:, 2] + np.tanh(X[:, 3] + X[:, 4]), 0.01 * rng.normal(size=60)])
    return X.astype(dtype), y.astype(dtype)


def network(penalty, alpha, **options):
    defaults = dict(activation="tanh", batch_size=60, learning_rate_init=0.02, max_iter=600, n_iter_no_change=600)
    return NormRegMLPRegressor((10, 6), penalty=penalty, alpha=alpha, random_state=0, **(defaults | options))


def zero_groups(W, by):
    """Number of groups, and of those that are exactly zero."""
    zero = {"weight": (W == 0).ravel(), "input": ~W.any(axis=1), "output": ~W.any(axis=0), "matrix": [not W.any()]}[by]
    return len(zero), np.count_nonzero(zero)


NETWORKS = [
    (GroupLasso("input"), "input", 0.15),
    (GroupLasso("output"), "output", 0.2),
    (SparseGroupLasso(0.5), "input", 0.15),
    (SparseGroupLasso(0.5), "weight", 0.15),
    (MCP(), "weight", 0.1),
    (MCP(30.0, by="input"), "input", 0.15),
    (SCAD(), "weight", 0.1),
    (SCAD(30.0, by="output"), "output", 0.2),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty, by, alpha", NETWORKS, ids=[f"{p!r}-{by}" for p, by, _ in NETWORKS])
def test_exact_zeros_in_every_layer(penalty, by, alpha, solver, dtype):
    X, y = network_data(dtype)
    options = {"learning_rate_init": 0.02} | SOLVERS[solver]
    if options["solver"] == "sgd":
        options["learning_rate_init"] = 0.1 if options["momentum"] == 0 else 0.02
    model = network(penalty, alpha, **options).fit(X, y)
    for W in model.coefs_:
        assert W.dtype == dtype
        n, n_zero = zero_groups(W, by)
        assert 0 < n_zero < n
    assert all(np.count_nonzero(b) > 0 for b in model.intercepts_)
    check_report(model, X, y, penalty, rel=1e-5 if dtype == np.float32 else 1e-12)


def check_report(model, X, y, penalty, rel=1e-12, **terms):
    X, y = X.astype(np.float64), y.astype(np.float64)
    last = {key: values[-1] for key, values in model.history_.items()}
    assert model.objective_ == pytest.approx(expected_objective(model, X, y, penalty, **terms), rel=rel)
    assert last["objective"] == pytest.approx(last["data_loss"] + last["penalty"], rel=1e-12)
    assert last["n_nonzero"] == tuple(np.count_nonzero(W) for W in model.coefs_)
    if model.solver == "fista":  # sgd and adam record means over an epoch's batches
        terms = dict(alpha=model.alpha, penalty=entry(penalty)) | terms
        expected = oracles.penalty_term(model.coefs_, model.intercepts_, **terms)
        assert last["penalty"] == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("solver", SOLVERS)
def test_norm_of_a_matrix_takes_it_away_at_once(solver):
    X, y = network_data()
    options = {"learning_rate_init": 0.02} | SOLVERS[solver]
    kept = network(L2Norm(), 0.01, **options).fit(X, y)
    assert all(np.all(W != 0) for W in kept.coefs_)
    check_report(kept, X, y, L2Norm())
    gone = network(L2Norm(), 1.0, **(options | dict(max_iter=1500, n_iter_no_change=1500))).fit(X, y)
    assert all(not W.any() for W in gone.coefs_)


@pytest.mark.parametrize("penalty", [*GROUPED[:2], *GROUPED[3:], SCAD(by="matrix")], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_sgd_step_is_the_prox_of_the_step_without_penalty(penalty, dtype):
    X, y = network_data(dtype)
    options = dict(solver="sgd", momentum=0.0, max_iter=1, learning_rate_init=0.2)
    free = network(None, 0.0, **options).fit(X, y)
    model = network(penalty, 0.3, **options).fit(X, y)
    for V, W, b_free, b in zip(free.coefs_, model.coefs_, free.intercepts_, model.intercepts_, strict=True):
        assert_allclose(W, penalty.prox(V, 0.2, 0.3), rtol=0, atol=1e-6 if dtype == np.float32 else 1e-14)
        assert_array_equal(b, b_free)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("penalty", GROUPED[:2] + GROUPED[3:], ids=repr)
def test_polishing_never_raises_the_objective(penalty, solver):
    X, y = network_data()
    model = network(penalty, 0.04, solver=solver, batch_size=20, max_iter=30, warm_start=True).fit(X, y)
    before, weights = model.objective_, [W.copy() for W in model.coefs_]
    model.set_params(solver="fista", max_iter=40, tol=0.0).fit(X, y)
    assert model.objective_ < before
    assert np.all(np.diff([before, *model.history_["objective"][-model.n_iter_ :]]) <= 1e-13 * before)
    assert any(not np.array_equal(a, b) for a, b in zip(weights, model.coefs_, strict=True))
    check_report(model, X, y, penalty)


@pytest.mark.parametrize("solver", ["sgd", "adam", "fista"])
def test_classifier(solver, make_problem):
    problem = make_problem("multiclass")
    penalty = GroupLasso("input")
    options = dict(activation="tanh", learning_rate_init=0.05, max_iter=200, n_iter_no_change=200, random_state=0)
    model = NormRegMLPClassifier((8,), solver=solver, penalty=penalty, alpha=0.1, **options)
    model.fit(problem.X, problem.y)
    assert model.score(problem.X, problem.y) > 0.6
    assert all(0 < zero_groups(W, "input")[1] < len(W) for W in model.coefs_)
    expected = expected_objective(model, problem.X, problem.encoded, penalty, loss=problem.loss)
    assert model.objective_ == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam", "fista"])
@pytest.mark.parametrize("penalty", [GroupLasso(), SparseGroupLasso(by="output"), MCP()], ids=repr)
def test_sparse_X(penalty, solver):
    X, y = network_data()
    X[np.abs(X) < 0.7] = 0.0
    options = dict(solver=solver, max_iter=30)
    dense = network(penalty, 0.02, **options).fit(X, y)
    sparse = network(penalty, 0.02, **options).fit(scipy.sparse.csr_array(X), y)
    for a, b in zip(dense.coefs_, sparse.coefs_, strict=True):
        assert_allclose(a, b, rtol=0, atol=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam", "fista"])
@pytest.mark.parametrize("penalty", [*GROUPED[:2], *GROUPED[3:], SCAD(by="output")], ids=repr)
def test_penalized_intercepts_are_one_more_row(penalty, solver):
    X, y = network_data()
    options = dict(solver=solver, penalize_intercepts=True)
    model = network(penalty, 0.03, max_iter=20, **options).fit(X, y + 1)
    check_report(model, X, y + 1, penalty, penalize_intercepts=True)
    strong = dict(max_iter=600, n_iter_no_change=600)
    model = network(penalty, 5.0, **strong, **options).fit(X, y + 1)
    assert all(not parameters.any() for parameters in (*model.coefs_, *model.intercepts_))


def test_joined_inputs_and_penalized_intercepts():
    """The intercepts are a group of their own."""
    X, y = linear_data()
    penalty = GroupLasso(groups=[0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    model = NormRegMLPRegressor(penalty=penalty, alpha=0.1, penalize_intercepts=True, **EXACT).fit(X, y)
    expected = expected_objective(model, X, y, penalty, penalize_intercepts=True)
    assert model.objective_ == pytest.approx(expected, rel=1e-12)
    assert model.intercepts_[0].all()


@pytest.mark.parametrize("scale", ["size", "fan"])
@pytest.mark.parametrize("penalty", GROUPED[:2] + GROUPED[3:], ids=repr)
def test_layer_weights(penalty, scale):
    """Concave shapes bend at multiples of each layer's own strength."""
    X, y = network_data()
    for solver in ("adam", "fista"):
        model = network(penalty, 0.5, solver=solver, layer_weights=scale, max_iter=20).fit(X, y)
        check_report(model, X, y, penalty, factors=oracles.layer_factors(model.coefs_, scale))


@pytest.mark.parametrize("solver", ["sgd", "adam", "fista"])
def test_a_penalty_for_each_layer(solver):
    X, y = network_data()
    penalty = PerLayer(first=GroupLasso("input"), hidden="l2", last="l2")
    model = network(penalty, 0.3, solver=solver, layer_weights=[1, 0.2, 0.2]).fit(X, y)
    assert_array_equal(~model.coefs_[0].any(axis=1), [False] * 5 + [True] * 3)
    assert all(np.all(W != 0) for W in model.coefs_[1:])
    names = [("group_lasso", {}), "l2", "l2"]
    expected = expected_objective(model, X, y, names, factors=[1, 0.2, 0.2])
    assert model.objective_ == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("penalty", [GroupLasso(), SparseGroupLasso(), L2Norm(), MCP(), SCAD()], ids=repr)
def test_a_name_is_the_default_object(penalty):
    X, y = network_data()
    by_name, by_object = (network(p, 0.02, max_iter=5).fit(X, y) for p in (penalty.name, penalty))
    assert by_name.objective_ == by_object.objective_
    assert clone(by_object).fit(X, y).objective_ == by_object.objective_


def test_grid():
    X, y = network_data()
    for penalty, grid in [
        (SparseGroupLasso(groups=[0, 0, 1, 1, 2, 2, 3, 3]), {"penalty__l1_ratio": [0.0, 0.5, 1.0]}),
        (MCP(), {"penalty__gamma": [1.5, 3.0, 30.0], "penalty__by": ["weight", "input"]}),
        (PerLayer(first=SCAD(), hidden="l2", last="l2"), {"penalty__first__gamma": [2.5, 5.0]}),
    ]:
        # Joined inputs fit the first matrix only, so that the model has no other.
        model = NormRegMLPRegressor((), penalty=penalty, alpha=0.1, solver="fista", max_iter=50, random_state=0)
        search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
        assert len(set(search.cv_results_["mean_test_score"])) == np.prod([len(values) for values in grid.values()])
        key, best = next(iter(search.best_params_.items()))
        assert search.best_estimator_.get_params()[key] == best


@pytest.mark.parametrize("penalty", GROUPED[:2] + GROUPED[3:], ids=repr)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_divergence_is_not_hidden(penalty, solver):
    """A threshold that takes NaN for zero would go on training from zero weights."""
    X, y = network_data()
    X = X.astype(np.float32) * 1e18
    model = network(penalty, 0.1, solver=solver, max_iter=20, learning_rate_init=1e10, penalize_intercepts=True)
    with pytest.raises(ValueError, match="diverge"):
        model.set_params(activation="identity").fit(X, y)


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("penalty", GROUPED[:2] + GROUPED[3:], ids=repr)
def test_lbfgs_refuses(penalty):
    X, y = network_data()
    with pytest.raises(ValueError, match=r"fista.*adam") as caught:
        network(penalty, 0.1, solver="lbfgs").fit(X, y)
    assert repr(penalty) in str(caught.value)
    network(penalty, 0.0, solver="lbfgs", max_iter=3).fit(X, y)
    mixed = PerLayer(first="l1", hidden=penalty, last="l2")
    network(mixed, 0.1, solver="lbfgs", layer_weights=[1, 0, 1], max_iter=3).fit(X, y)
    fitted = network(L1(), 0.1, solver="lbfgs", max_iter=3).fit(X, y)
    weights = fitted.coefs_
    with pytest.raises(ValueError, match="fista"):
        fitted.set_params(penalty=penalty).fit(X, y)
    assert fitted.coefs_ is weights


BAD = [
    (GroupLasso(by="rows"), "by of GroupLasso"),
    (MCP(by="rows"), "by of MCP"),
    (GroupLasso(groups=[0] * 7), "groups.*7.*8"),
    (GroupLasso(groups=[0] * 9), "groups.*9.*8"),
    (SparseGroupLasso(groups=[0, 1]), "groups.*2.*8"),
    (GroupLasso(groups=[0, 1, 2, 3, 4, 5, 6, -1]), "groups of GroupLasso"),
    (GroupLasso(groups=np.linspace(0, 1, 8)), "groups of GroupLasso"),
    (GroupLasso(by="output", groups=[0] * 8), "groups of GroupLasso"),
    (SparseGroupLasso(l1_ratio=1.5), "l1_ratio of SparseGroupLasso"),
    (MCP(gamma=1), "gamma of MCP"),
    (SCAD(gamma=2), "gamma of SCAD"),
]


@pytest.mark.parametrize("solver", ["sgd", "adam", "fista"])
@pytest.mark.parametrize("penalize_intercepts", [False, True])
@pytest.mark.parametrize("penalty, message", BAD, ids=[repr(penalty) for penalty, _ in BAD])
def test_bad_parameters(penalty, message, penalize_intercepts, solver):
    X, y = network_data()
    model = network(PerLayer(first=penalty, hidden="l2", last="l2"), 0.1, solver=solver, max_iter=1)
    model.set_params(penalize_intercepts=penalize_intercepts)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def test_joined_inputs_fit_one_layer():
    """Given for all layers, the error says which matrix they do not fit, or at least how many inputs it has."""
    X, y = network_data()
    with pytest.raises(ValueError, match=r"groups.*8.*10"):
        network(GroupLasso(groups=[0] * 8), 0.1).fit(X, y)
    with pytest.raises(ValueError, match="groups"):
        NormRegMLPRegressor((), penalty=GroupLasso(groups=[0] * 8)).fit(X[:, :5], y)


def test_unknown_name():
    X, y = network_data()
    with pytest.raises(ValueError, match="group_lasso"):
        network("grouplasso", 0.1).fit(X, y)
