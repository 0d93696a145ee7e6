"""relax=True: each distinct support of a path refitted without the penalty, against oracles on the same support."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer, regularization_path
from sknormnet.inspection import stationarity
from sknormnet.path.relax import relaxed
from sknormnet.path.walk import Walk
from sknormnet.penalties import L1, MCP, GroupLasso, MaxNorm, NonNegative, SparseGroupLasso, Sum

FULL_BATCH = {"fista": {"tol": 1e-8, "max_iter": 5000}, "lbfgs": {"tol": 1e-8, "max_iter": 5000}}
STOCHASTIC = {
    "adam": {"learning_rate_init": 0.03, "learning_rate": "cosine", "batch_size": 60, "tol": 0, "max_iter": 300},
    "sgd": {"learning_rate_init": 0.03, "learning_rate": "cosine", "batch_size": 60, "tol": 0, "max_iter": 300},
}


def linear_data(n_outputs=3, n=60, d=8, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    W = rng.standard_normal((d, n_outputs)) * (rng.random((d, n_outputs)) < 0.5)
    return X, X @ W + 0.5 * rng.standard_normal((n, n_outputs)) + 1, rng.uniform(0.5, 2, n)


def supports(path):
    """Of each strength, the non-zero weights of the first layer."""
    return [row.toarray().reshape(path.layer_sizes[:2]) != 0 for row in path.coefs[0]]


@pytest.mark.parametrize(
    ("solver", "tolerance"),
    # Minibatches of all rows make adam and sgd deterministic; a schedule of 300 epochs ends that close.
    [("fista", 1e-6), ("lbfgs", 1e-6), ("adam", 3e-3), ("sgd", 3e-3)],
)
def test_relaxed_lasso_is_least_squares_on_each_outputs_support(solver, tolerance):
    X, Y, weight = linear_data()
    model = NormRegMLPRegressor((), penalty="l1", solver=solver, random_state=0, **(FULL_BATCH | STOCHASTIC)[solver])
    path = regularization_path(model, X, Y, n_alphas=6, alpha_min_ratio=0.05, sample_weight=weight, relax=True)
    assert len({used.tobytes() for used in supports(path)}) >= 5
    for i, used in enumerate(supports(path)):
        refit = path.relaxed[i]
        np.testing.assert_array_equal(refit.coefs_[0] != 0, used)
        for k in range(3):
            oracle = LinearRegression().fit(X[:, used[:, k]], Y[:, k], weight) if used[:, k].any() else None
            coef, intercept = (oracle.coef_, oracle.intercept_) if oracle else ([], np.average(Y[:, k], weights=weight))
            np.testing.assert_allclose(refit.coefs_[0][used[:, k], k], coef, atol=tolerance)
            np.testing.assert_allclose(refit.intercepts_[0][k], intercept, atol=tolerance)


def test_relaxed_logistic_regression():
    X, z, _ = linear_data(1, n=200)
    y = (z[:, 0] + np.random.default_rng(1).logistic(size=200) > 1).astype(int)
    model = NormRegMLPClassifier((), penalty="l1", solver="lbfgs", **FULL_BATCH["lbfgs"])
    path = regularization_path(model, X, y, n_alphas=6, alpha_min_ratio=0.05, relax=True)
    for i, used in enumerate(supports(path)):
        used = used[:, 0]
        if used.any():
            oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X[:, used], y)
            expected = oracle.predict_proba(X[:, used])[:, 1]
        else:
            expected = y.mean()
        np.testing.assert_allclose(path.relaxed[i].predict_proba(X)[:, 1], expected, atol=1e-5)


def test_relaxed_softmax_has_no_gradient_on_its_support():
    X, Z, _ = linear_data(n=200)
    y = np.argmax(Z + np.random.default_rng(1).gumbel(size=Z.shape), axis=1)
    model = NormRegMLPClassifier((), penalty="l1", solver="fista", **FULL_BATCH["fista"])
    path = regularization_path(model, X, y, n_alphas=5, alpha_min_ratio=0.05, relax=True)
    for i, used in enumerate(supports(path)):
        gradient = X.T @ (path.relaxed[i].predict_proba(X) - np.eye(3)[y]) / len(y)
        np.testing.assert_allclose(gradient[used], 0, atol=1e-6)
        assert np.all(path.relaxed[i].coefs_[0][~used] == 0)
        assert path.relaxed.residual[i] < 1e-6


@pytest.mark.parametrize("solver", ["fista", "lbfgs"])
def test_constraints_still_hold(solver):
    X, Y, _ = linear_data(1)
    penalty = Sum((L1(), NonNegative()))
    model = NormRegMLPRegressor((), penalty=penalty, solver=solver, **FULL_BATCH[solver])
    path = regularization_path(model, X, -Y[:, 0], n_alphas=6, relax=True)
    A, b = X - X.mean(axis=0), -Y[:, 0] + Y[:, 0].mean()
    for i, used in enumerate(supports(path)):
        expected = np.zeros(8)
        if used.any():
            expected[used[:, 0]] = scipy.optimize.nnls(A[:, used[:, 0]], b)[0]
        np.testing.assert_allclose(path.relaxed[i].coefs_[0][:, 0], expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["fista", "adam", "sgd"])
@pytest.mark.parametrize(
    "first",
    [
        GroupLasso("input"),
        SparseGroupLasso(),
        Sum((GroupLasso("output"), MaxNorm(1.0, by="output"))),
        MCP(by="input", gamma=10.0),
    ],
    ids=repr,
)
def test_networks(first, solver):
    """The zeros stay, nothing else is held, and the fit to the data is closer."""
    X, Y, _ = linear_data(2)
    model = NormRegMLPRegressor(
        (5,),
        "tanh",
        penalty=PerLayer(first=first, hidden="l2", last="l2"),
        solver=solver,
        max_iter=100,
        batch_size=60,
        learning_rate_init=0.01,
        random_state=1,
    )
    path = regularization_path(model, X, Y, n_alphas=8, alpha_min_ratio=0.01, relax=True)
    assert len(path.relaxed) == len(path)
    np.testing.assert_array_equal(path.relaxed.alphas, path.alphas)
    assert len(np.unique(path.n_nonzero[:, 0])) >= 2
    for plain, refit in zip(path.coefs, path.relaxed.coefs, strict=True):
        assert ((plain != 0) != (refit != 0)).nnz == 0
    # adam and sgd end next to a minimum, from which they may have started where nothing but an intercept is left
    assert np.all(path.relaxed.data_loss <= path.data_loss * (1 if solver == "fista" else 1 + 1e-4))
    assert np.all(path.relaxed.penalty == 0)
    if isinstance(first, Sum):
        assert max(np.linalg.norm(model.coefs_[0], axis=0).max() for model in path.relaxed) <= 1 + 1e-9


def test_each_support_is_refitted_once(monkeypatch):
    X, Y, _ = linear_data(1)
    refits, follow = [], Walk.follow

    def counted(walk, alphas, *arguments, **keywords):
        refits.append(list(alphas))
        return follow(walk, refits[-1], *arguments, **keywords)

    monkeypatch.setattr(Walk, "follow", counted)
    model = NormRegMLPRegressor((), penalty="l1", solver="fista", **FULL_BATCH["fista"])
    alphas = np.geomspace(0.01, 3, 40)
    path = regularization_path(model, X, Y[:, 0], alphas=alphas, relax=True)
    n_supports = len({used.tobytes() for used in supports(path)})
    assert n_supports < 20
    assert refits.count([0.0]) == n_supports == len(refits) - 1
    descending = regularization_path(model, X, Y[:, 0], alphas=alphas[::-1], relax=True)
    np.testing.assert_allclose(descending.relaxed.coefs[0].toarray(), path.relaxed.coefs[0].toarray()[::-1], atol=1e-6)


def test_what_a_relaxed_path_is():
    X, Y, _ = linear_data(1, n=120)
    train, valid = (X[:80], Y[:80, 0]), (X[80:], Y[80:, 0])
    model = NormRegMLPRegressor((), penalty="l1", solver="fista", random_state=0, **FULL_BATCH["fista"])
    path = regularization_path(model, *train, X_val=valid[0], y_val=valid[1], n_alphas=10, relax=True)
    plain = regularization_path(model, *train, X_val=valid[0], y_val=valid[1], n_alphas=10)
    np.testing.assert_array_equal(plain.coefs[0].toarray(), path.coefs[0].toarray())  # relax changes no model
    assert plain.relaxed is None
    assert path.relaxed.relaxed is None
    assert path.relaxed[3].alpha == 0
    assert path[3].alpha == path.alphas[3]
    np.testing.assert_allclose(path.relaxed.validation_scores, [m.score(*valid) for m in path.relaxed], rtol=1e-12)
    np.testing.assert_array_equal(path.relaxed.n_features, path.n_features)
    found = path.relaxed.at(alpha=path.alphas[4])
    np.testing.assert_array_equal(found.coefs_[0], path.relaxed[4].coefs_[0])
    # The certificate of an estimator is over all its weights, those that are held at zero among them.
    assert path.relaxed.residual[4] < 1e-7 < 1e-3 < stationarity(found, *train).relative


def test_intercepts_are_held_where_they_are_penalized():
    X, Y, _ = linear_data(2)
    model = NormRegMLPRegressor((), penalty="l1", penalize_intercepts=True, solver="fista", **FULL_BATCH["fista"])
    path = regularization_path(model, X, Y, n_alphas=8, relax=True)
    held = path.intercepts[0] == 0
    assert held.any()
    assert not held.all()
    np.testing.assert_array_equal(path.relaxed.intercepts[0] == 0, held)


def test_other_intercepts_are_free_even_at_zero():
    X, Y, _ = linear_data(1)
    walk = Walk(NormRegMLPRegressor((), penalty="l1", solver="fista", **FULL_BATCH["fista"]), X, Y[:, 0])
    theta = np.concatenate([np.arange(8.0) % 2, [0.0]])  # every other weight, no intercept
    (point,) = walk.follow([1e9], theta.copy(), np.random.RandomState(0))
    point = replace(point, theta=theta).sparse()
    (refit,) = relaxed(walk, [point], np.random.RandomState(0), None)
    oracle = LinearRegression().fit(X[:, 1::2], Y[:, 0])
    np.testing.assert_allclose(refit.theta.toarray()[0, [1, 3, 5, 7, 8]], [*oracle.coef_, oracle.intercept_], atol=1e-6)
    assert np.all(refit.theta.toarray()[0, :8:2] == 0)


def test_refits_of_separable_classes_say_that_their_budget_ended():
    X = np.linspace(-1, 1, 20)[:, np.newaxis]
    model = NormRegMLPClassifier((), penalty="l1", solver="fista", tol=1e-4, max_iter=100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regularization_path(model, X, X[:, 0] > 0, alphas=[0.1, 0.2], relax=True)
    (warning,) = caught
    assert warning.category is ConvergenceWarning
    assert str(warning.message).startswith("At 2 of 2 strengths of the path the solver of the refit did not end")
    assert warning.filename == __file__


def test_relax_is_true_or_false():
    with pytest.raises(ValueError, match="relax must be True or False, got 'yes'"):
        regularization_path(NormRegMLPRegressor(penalty="l1"), [[0.0], [1.0]], [0.0, 1.0], relax="yes")
