"""Factors of the inputs' penalty: rescaled columns, unpenalised inputs, and every solver."""

import warnings

import numpy as np
import oracles
import pytest
import scipy.sparse
from fits import PROXIMAL_SOLVERS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, MultiTaskLasso
from sklearn.model_selection import GridSearchCV

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import L1, L2, MCP, SCAD, ElasticNet, GroupLasso, SparseGroupLasso, Sum, WeightDecay

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some layers are penalised:UserWarning"),
]

EXACT = dict(hidden_layer_sizes=(), solver="fista", tol=1e-11, max_iter=20000, random_state=0)
FACTORS = np.array([1.0, 2.0, 0.5, 1.0, 3.0, 0.25, 1.0, 1.0, 4.0, 0.1])
GROUPS = [0, 0, 1, 1, 2, 2, 3, 3, 3, 4]
JOINED = np.array([1.0, 2.0, 0.0, 0.5, 3.0])[GROUPS]


def linear_data(n_targets=1):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 10)) @ (np.eye(10) + 0.3 * rng.normal(size=(10, 10)))
    W = rng.normal(size=(10, n_targets))
    W[4:] = 0.0
    y = X @ W + 0.5 * rng.normal(size=(80, n_targets)) + 1.0
    return X, y if n_targets > 1 else y.ravel()


@pytest.mark.parametrize("solver", ["fista", "lbfgs"])
@pytest.mark.parametrize("alpha", [0.02, 0.3])
def test_l1_is_the_lasso_of_rescaled_columns(alpha, solver):
    """With v = factor * w: the penalty factors of glmnet."""
    X, y = linear_data()
    reference = Lasso(alpha=alpha, tol=1e-14, max_iter=10**6).fit(X / FACTORS, y)
    ours = NormRegMLPRegressor(penalty="l1", alpha=alpha, feature_weights=FACTORS, **(EXACT | {"solver": solver}))
    ours.fit(X, y)
    # lbfgs ends on a relative fall of the objective, whose square root is left in the weights.
    assert_allclose(ours.coefs_[0].ravel(), reference.coef_ / FACTORS, rtol=0, atol=1e-6 if solver == "fista" else 3e-5)
    assert_array_equal(ours.coefs_[0].ravel() == 0, reference.coef_ == 0)


def test_group_lasso_is_the_multi_task_lasso_of_rescaled_columns():
    X, y = linear_data(3)
    reference = MultiTaskLasso(alpha=0.3, tol=1e-14, max_iter=10**6).fit(X / FACTORS, y)
    ours = NormRegMLPRegressor(penalty=GroupLasso(), alpha=0.3, feature_weights=FACTORS, **EXACT).fit(X, y)
    assert_allclose(ours.coefs_[0], (reference.coef_ / FACTORS).T, rtol=0, atol=1e-6)
    assert_array_equal(ours.coefs_[0] == 0, reference.coef_.T == 0)
    assert 0 < np.count_nonzero(reference.coef_) < 30


def test_a_classifiers_l1():
    X, y = linear_data()
    reference = LogisticRegression(C=1 / (80 * 0.02), l1_ratio=1, solver="saga", tol=1e-12, max_iter=10**6)
    reference.fit(X / FACTORS, y > 1)
    ours = NormRegMLPClassifier(penalty="l1", alpha=0.02, feature_weights=FACTORS, **EXACT).fit(X, y > 1)
    assert_allclose(ours.coefs_[0].ravel(), reference.coef_.ravel() / FACTORS, rtol=0, atol=1e-5)


@pytest.mark.parametrize("solver", ["fista", "lbfgs"])
def test_l2_by_the_normal_equations(solver):
    X, y = linear_data()
    ours = NormRegMLPRegressor(penalty="l2", alpha=0.3, feature_weights=FACTORS, **(EXACT | {"solver": solver}))
    ours.fit(X, y)
    A = X - X.mean(axis=0)
    expected = np.linalg.solve(A.T @ A / 80 + 0.3 * np.diag(FACTORS), A.T @ y / 80)
    assert_allclose(ours.coefs_[0].ravel(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("penalty", [L1(), ElasticNet(), GroupLasso(), SparseGroupLasso(), MCP(), MCP(by="input")])
def test_zero_leaves_inputs_unpenalised(penalty):
    """The others vanish: least squares on what is left."""
    X, y = linear_data(2)
    factors = np.where(np.arange(10) % 3 == 0, 0.0, 1e4)
    ours = NormRegMLPRegressor(penalty=penalty, alpha=0.1, feature_weights=factors, **EXACT).fit(X, y)
    reference = LinearRegression().fit(X[:, ::3], y)
    assert_allclose(ours.coefs_[0][::3], reference.coef_.T, rtol=0, atol=1e-6)
    assert not np.delete(ours.coefs_[0], np.arange(0, 10, 3), axis=0).any()


WEIGHTED = [
    (L1(), FACTORS),
    (ElasticNet(0.7), FACTORS),
    (GroupLasso(), FACTORS),
    (GroupLasso(groups=GROUPS), JOINED),
    (SparseGroupLasso(0.5), FACTORS),
    (SparseGroupLasso(0.5, groups=GROUPS), JOINED),
    (MCP(), FACTORS),
    (MCP(by="input", groups=GROUPS), JOINED),
    (SCAD(by="input"), FACTORS),
    (Sum((GroupLasso(), L2())), FACTORS),
    (L2(), FACTORS),
]
everyone = pytest.mark.parametrize("penalty, factors", WEIGHTED, ids=[repr(p) for p, _ in WEIGHTED])


def network(penalty, factors, **options):
    defaults = dict(activation="tanh", batch_size=80, max_iter=100, alpha=0.1, random_state=0)
    penalty = PerLayer(penalty, "l2", "l2")
    return NormRegMLPRegressor((6,), penalty=penalty, feature_weights=factors, **(defaults | options))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", PROXIMAL_SOLVERS)
@everyone
def test_every_solver_reports_the_objective(penalty, factors, solver, dtype):
    X, y = (array.astype(dtype) for array in linear_data(2))
    model = network(penalty, factors, **PROXIMAL_SOLVERS[solver]).fit(X, y)
    first, last = (W.astype(np.float64) for W in model.coefs_)
    value = oracles.weighted_inputs(penalty, first, 0.1, factors) + 0.05 * np.sum(last**2)
    loss = oracles.data_loss(X, y, model.coefs_, model.intercepts_, loss=oracles.squared_error, activation="tanh")
    assert model.objective_ == pytest.approx(loss + value, rel=1e-5 if dtype == np.float32 else 1e-12)
    assert model.objective_ < model.loss_curve_[0]


@everyone
def test_one_sgd_step(penalty, factors):
    """Input by input, the prox of the step without penalty at the factor times the strength."""
    X, y = linear_data(2)
    options = dict(solver="sgd", momentum=0.0, max_iter=1, learning_rate_init=0.1)
    free = network("none", None, **options).fit(X, y)
    model = network(penalty, factors, **options).fit(X, y)
    for factor in np.unique(factors):
        rows = factors == factor
        alone = penalty
        if getattr(penalty, "groups", None) is not None:
            alone = type(penalty)(**penalty.get_params() | {"groups": np.asarray(GROUPS)[rows]})
        V = free.coefs_[0][rows]
        if penalty.smooth:
            start = network("none", None, **options | {"learning_rate_init": 1e-300}).fit(X, y).coefs_[0][rows]
            expected = V - 0.1 * alone.subgradient(start, 0.1 * factor)
        else:
            expected = alone.prox(V, 0.1, 0.1 * factor)
        assert_allclose(model.coefs_[0][rows], expected, rtol=0, atol=1e-14)


def test_lbfgs_takes_what_it_takes_without():
    X, y = linear_data(2)
    for penalty in (L1(), ElasticNet(0.7), L2()):
        model = network(penalty, JOINED, solver="lbfgs", max_iter=500).fit(X, y)
        assert np.all(model.coefs_[0][JOINED == 0] != 0)
        assert model.objective_ < model.loss_curve_[0]
    with pytest.raises(ValueError, match="'fista' or 'adam'"):
        network(GroupLasso(), FACTORS, solver="lbfgs").fit(X, y)


def test_decoupled_decay_of_inputs():
    """One step takes rate * alpha * factor of each input's weights off."""
    X, y = linear_data(2)
    options = dict(solver="sgd", momentum=0.0, max_iter=1, learning_rate_init=0.1)
    start = network("none", None, **options | {"learning_rate_init": 1e-300}).fit(X, y).coefs_[0]
    free, model = (network(p, f, **options).fit(X, y) for p, f in (("none", None), (WeightDecay(), FACTORS)))
    assert_allclose(model.coefs_[0], free.coefs_[0] - 0.01 * FACTORS[:, np.newaxis] * start, rtol=0, atol=1e-14)


@pytest.mark.parametrize("penalty", [L1(), GroupLasso(), SparseGroupLasso(groups=GROUPS)], ids=repr)
def test_penalized_intercepts_have_factor_one(penalty):
    X, y = linear_data(2)
    model = NormRegMLPRegressor(penalty=penalty, alpha=0.1, feature_weights=JOINED, penalize_intercepts=True, **EXACT)
    model.fit(X, y)
    W, b = model.coefs_[0], model.intercepts_[0]
    intercepts = oracles.PENALTIES["l1" if penalty.name == "l1" else "group_lasso"](b[np.newaxis], 0.1)
    if penalty.name == "sparse_group_lasso":
        intercepts = oracles.PENALTIES[penalty.name](b[np.newaxis], 0.1)
    value = oracles.weighted_inputs(penalty, W, 0.1, JOINED) + intercepts
    loss = oracles.data_loss(X, y, [W], [b], loss=oracles.squared_error)
    assert model.objective_ == pytest.approx(loss + value, rel=1e-12)


def test_ones_change_nothing_and_any_sequence_will_do():
    X, y = linear_data(2)
    plain = network(L1(), None).fit(X, y)
    for factors in (np.ones(10), [1] * 10, tuple(np.ones(10, dtype=np.float32))):
        model = network(L1(), factors).fit(scipy.sparse.csr_array(X) if isinstance(factors, list) else X, y)
        for V, W in zip(plain.coefs_, model.coefs_, strict=True):
            assert_allclose(V, W, rtol=0, atol=1e-12)


def test_going_on_and_grids():
    X, y = linear_data(2)
    model = network(GroupLasso(), FACTORS, warm_start=True, max_iter=5).fit(X, y)
    assert model.set_params(feature_weights=FACTORS[::-1]).fit(X, y).objective_ < np.inf
    model = network(GroupLasso(), FACTORS)
    for _ in range(5):
        model.partial_fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        grid = GridSearchCV(
            network(L1(), None, max_iter=5, batch_size=20),
            {"feature_weights": [None, FACTORS, JOINED]},
            cv=2,
            error_score="raise",
        ).fit(X, y)
    assert len(set(grid.cv_results_["mean_test_score"])) == 3
