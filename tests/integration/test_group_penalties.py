"""Penalties of groups and concave ones in networks: exact zeros, reports, solvers, layers, bad input."""

import warnings

import numpy as np
import oracles
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import L1, L2, MCP, SCAD, ElasticNet, GroupLasso, L2Norm, SparseGroupLasso, WeightDecay

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some layers are penalised:UserWarning"),
]

ALL = [
    GroupLasso(),
    GroupLasso("output"),
    SparseGroupLasso(0.4),
    L2Norm(),
    MCP(),
    MCP(by="input"),
    SCAD(),
]
everyone = pytest.mark.parametrize("penalty", ALL, ids=repr)


def entry(penalty):
    """A penalty as the oracles name it."""
    return penalty.name, penalty.get_params()


def expected_objective(model, X, y, penalty, loss=oracles.squared_error, **terms):
    args = X, y, model.coefs_, model.intercepts_
    terms = dict(alpha=model.alpha, penalty=penalty if isinstance(penalty, list) else entry(penalty)) | terms
    return oracles.objective(*args, loss=loss, activation=model.activation, **terms)


SOLVERS = {
    "plain": dict(solver="sgd", momentum=0.0, learning_rate_init=0.1),
    "heavy ball": dict(solver="sgd", momentum=0.9, nesterovs_momentum=False),
    "nesterov": dict(solver="sgd", momentum=0.9, nesterovs_momentum=True),
    "adam": dict(solver="adam", learning_rate="cosine"),
    "fista": dict(solver="fista"),
}


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
    (L1(), "weight", 0.05),
    (ElasticNet(0.7), "weight", 0.05),
    (GroupLasso("input"), "input", 0.15),
    (GroupLasso("output"), "output", 0.2),
    (SparseGroupLasso(0.5), "input", 0.15),
    (SparseGroupLasso(0.5), "weight", 0.15),
    (MCP(), "weight", 0.1),
    (MCP(30.0, by="input"), "input", 0.15),
    (MCP(30.0, by="output"), "output", 0.2),
    (SCAD(), "weight", 0.1),
    (SCAD(30.0, by="output"), "output", 0.2),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty, by, alpha", NETWORKS, ids=[f"{p!r}-{by}" for p, by, _ in NETWORKS])
def test_exact_zeros_in_every_layer(penalty, by, alpha, solver, dtype):
    X, y = network_data(dtype)
    model = network(penalty, alpha, **SOLVERS[solver]).fit(X, y)
    for W in model.coefs_:
        assert W.dtype == dtype
        n, n_zero = zero_groups(W, by)
        assert 0 < n_zero < n
    assert all(np.count_nonzero(b) > 0 for b in model.intercepts_)
    check_report(model, X, y, penalty, rel=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "penalty, alpha, solver",
    [(penalty, 0.1, solver) for penalty in (L2(), ElasticNet(0.0)) for solver in [*SOLVERS, "lbfgs"]]
    + [(WeightDecay(), 0.5, solver) for solver in SOLVERS if solver != "fista"],
    ids=repr,
)
def test_squares_leave_no_zero(penalty, alpha, solver, dtype):
    """At a strength that takes most of the weights' size away; momentum multiplies that of l2 by ten, but no decay."""
    X, y = network_data(dtype)
    options = SOLVERS.get(solver, dict(solver=solver))
    free, model = (network(penalty, alpha, **options).fit(X, y) for alpha in (0.0, alpha))
    assert all(np.all(W != 0) for W in model.coefs_)
    assert model.history_["n_nonzero"][-1] == tuple(W.size for W in model.coefs_)
    assert sum(np.sum(W**2) for W in model.coefs_) < 0.5 * sum(np.sum(W**2) for W in free.coefs_)


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
    kept = network(L2Norm(), 0.01, **SOLVERS[solver]).fit(X, y)
    assert all(np.all(W != 0) for W in kept.coefs_)
    check_report(kept, X, y, L2Norm())
    gone = network(L2Norm(), 1.0, max_iter=1500, n_iter_no_change=1500, **SOLVERS[solver]).fit(X, y)
    assert all(not W.any() for W in gone.coefs_)


@pytest.mark.parametrize("penalty", [*ALL, SCAD(by="matrix")], ids=repr)
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
@everyone
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
@pytest.mark.parametrize("penalty", [*ALL, SCAD(by="output")], ids=repr)
def test_penalized_intercepts_are_one_more_row(penalty, solver):
    X, y = network_data()
    options = dict(solver=solver, penalize_intercepts=True)
    model = network(penalty, 0.03, max_iter=20, **options).fit(X, y + 1)
    check_report(model, X, y + 1, penalty, penalize_intercepts=True)
    strong = dict(max_iter=600, n_iter_no_change=600)
    model = network(penalty, 5.0, **strong, **options).fit(X, y + 1)
    assert all(not parameters.any() for parameters in (*model.coefs_, *model.intercepts_))


@pytest.mark.parametrize("scale", ["size", "fan"])
@everyone
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


@everyone
def test_divergence_is_not_hidden(penalty):
    """A threshold that takes NaN or an overflowing norm for zero would go on training from zero weights."""
    X, y = network_data(np.float32)
    model = network(penalty, 0.1, solver="sgd", learning_rate_init=1e30, max_iter=50, penalize_intercepts=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            model.fit(X, y)
        except ValueError as error:  # nothing finite to keep
            caught.append(error)
    assert ["diverged" in str(getattr(said, "message", said)) for said in caught] == [True]


# ------------------------------------------------------------------------------------------------ bad input


@everyone
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
