"""Paths over alpha: oracles without hidden layers, what holds with them, and the models that a path gives."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, MultiTaskLasso, enet_path, lasso_path
from sklearn.preprocessing import scale
from sklearn.svm import l1_min_c

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer, regularization_path
from sknormnet.inspection import stationarity
from sknormnet.losses import Loss
from sknormnet.path.walk import Walk
from sknormnet.penalties import L1, L2, MCP, ElasticNet, GroupLasso, L2Norm, NonNegative, Sum

EXACT = {"solver": "fista", "tol": 1e-9, "max_iter": 20_000}
GROUPS = PerLayer(first=GroupLasso("input"), hidden="l2", last="l2")


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X) + 0.3, scale(y)  # not centred: intercepts count


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def network_path(iris):
    model = NormRegMLPClassifier((8,), "tanh", penalty=GROUPS, learning_rate_init=0.01, random_state=0)
    X, y = iris
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return regularization_path(model, X[::2], y[::2], n_alphas=25, X_val=X[1::2], y_val=y[1::2])


# ------------------------------------------------------------------------------------------------------ depth 0


@pytest.mark.parametrize("solver", ["fista", "lbfgs"])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # lbfgs stalls at the precision of float64
def test_equals_scikit_learns_linear_paths(diabetes, solver, l1_ratio):
    X, y = diabetes
    model = NormRegMLPRegressor((), penalty=ElasticNet(l1_ratio), **EXACT | {"solver": solver})
    path = regularization_path(model, X, y, n_alphas=30)
    centred = X - X.mean(axis=0), y - y.mean()
    if l1_ratio == 1:
        _, coefs, _ = lasso_path(*centred, alphas=path.alphas[::-1], tol=1e-13, max_iter=100_000)
    else:
        _, coefs, _ = enet_path(*centred, l1_ratio=l1_ratio, alphas=path.alphas[::-1], tol=1e-13, max_iter=100_000)
    np.testing.assert_allclose(path.coefs[0].toarray(), coefs[:, ::-1].T, atol=1e-5)
    largest = np.abs(centred[0].T @ centred[1]).max() / len(y) / l1_ratio
    assert path.alphas[-1] == pytest.approx(largest, rel=1e-8)
    assert path.n_features[-1] == 0 < path.n_features[-2]


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_l1_logistic_regression(diabetes, weighted):
    X, y = diabetes[0], diabetes[1] > 0.3
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
    model = NormRegMLPClassifier((), penalty="l1", **EXACT)
    path = regularization_path(model, X, y, n_alphas=10, sample_weight=weight)
    if not weighted:  # the intercept of l1_min_c is zero, which is right for as many rows of each class
        probability = y.mean()
        assert path.alphas[-1] == pytest.approx(np.abs(X.T @ (y - probability)).max() / len(y), rel=1e-8)
        balanced = np.r_[np.flatnonzero(y), np.flatnonzero(~y)[: y.sum()]]
        alpha = regularization_path(model, X[balanced], y[balanced], n_alphas=2).alphas[-1]
        assert alpha == pytest.approx(1 / (l1_min_c(X[balanced], y[balanced], loss="log") * len(balanced)), rel=1e-8)
    total = len(y) if weight is None else weight.sum()
    for i in (0, 4, 8):
        oracle = LogisticRegression(C=1 / (total * path.alphas[i]), l1_ratio=1, solver="saga", tol=1e-9, max_iter=10**5)
        oracle.fit(X, y, weight)
        np.testing.assert_allclose(path[i].coefs_[0].ravel(), oracle.coef_.ravel(), atol=1e-5)


def test_equals_multi_task_lasso(diabetes):
    X, y = diabetes
    Y = np.column_stack([y, y + X[:, 0], X[:, 1] ** 2])
    path = regularization_path(NormRegMLPRegressor((), penalty=GroupLasso("input"), **EXACT), X, Y, n_alphas=8)
    centred = X - X.mean(axis=0), Y - Y.mean(axis=0)
    largest = np.linalg.norm(centred[0].T @ centred[1], axis=1).max() / len(y)
    assert path.alphas[-1] == pytest.approx(largest, rel=1e-8)
    for i in range(0, 8, 3):
        oracle = MultiTaskLasso(path.alphas[i], tol=1e-12, max_iter=100_000).fit(X, Y)
        np.testing.assert_allclose(path[i].coefs_[0], oracle.coef_.T, atol=1e-5)


@pytest.mark.parametrize("penalty", ["l1", "group_lasso", "l2_norm", "mcp", "nuclear", Sum([L1(), NonNegative()])])
def test_zero_is_stationary_from_the_largest_alpha_on(iris, penalty):
    X = iris[0]
    Y = X @ np.random.default_rng(0).standard_normal((4, 3))
    model = NormRegMLPRegressor((), penalty=penalty, **EXACT)
    alpha = regularization_path(model, X + 1, Y, n_alphas=2, alpha_min_ratio=0.5).alphas[-1]
    null = model.set_params(alpha=1e6).fit(X + 1, Y)
    assert not null.coefs_[0].any()
    assert stationarity(null.set_params(alpha=alpha * (1 + 1e-6)), X + 1, Y).absolute < 1e-7
    assert stationarity(null.set_params(alpha=alpha * 0.99), X + 1, Y).absolute > 1e-4


def test_features_without_penalty_are_in_the_null_model(diabetes):
    X, y = diabetes
    weights = np.ones(X.shape[1])
    weights[2] = 0
    path = regularization_path(
        NormRegMLPRegressor((), penalty="l1", feature_weights=weights, **EXACT), X, y, n_alphas=5
    )
    A = np.column_stack([X[:, 2], np.ones(len(y))])
    residual = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
    assert path.alphas[-1] == pytest.approx(np.abs(X.T @ residual).max() / len(y), rel=1e-8)
    assert path.n_features[-1] == 1


def test_warm_equals_cold_and_up_equals_down_where_convex(diabetes):
    X, y = diabetes
    model = NormRegMLPRegressor((), penalty="elasticnet", **EXACT)
    up = regularization_path(model, X, y, n_alphas=8)
    down = regularization_path(model, X, y, alphas=up.alphas[::-1])
    np.testing.assert_allclose(down.coefs[0].toarray()[::-1], up.coefs[0].toarray(), atol=1e-5)
    for i in (0, 3, 6):
        cold = clone(model).set_params(alpha=up.alphas[i]).fit(X, y)
        np.testing.assert_allclose(up[i].coefs_[0], cold.coefs_[0], atol=1e-5)
        assert up.objective[i] == pytest.approx(cold.objective_, rel=1e-10)


@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("loss", ["absolute_error", "gaussian_nll"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_ends_empty_with_losses_that_have_kinks_or_negative_values(diabetes, hidden, loss):
    X, y = diabetes
    model = NormRegMLPRegressor(hidden, loss=loss, penalty="l1", learning_rate_init=0.02, random_state=0)
    path = regularization_path(model, X, y, n_alphas=6)
    assert path.n_features[0] > 0 == path.n_features[-1]


# --------------------------------------------------------------------------------------------- with hidden layers


def test_strengths_that_hardly_differ(iris):
    model = NormRegMLPClassifier((3,), penalty="l1", learning_rate_init=0.02, max_iter=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        path = regularization_path(model, *iris, n_alphas=5, alpha_min_ratio=1 - 1e-9)
    assert path.n_features[-1] == 0


def test_from_dense_to_empty(network_path):
    assert len(network_path) == len(network_path.alphas) == 25
    assert (np.diff(network_path.alphas) > 0).all()
    assert network_path.n_features[0] == 4
    assert network_path.n_features[-1] == 0
    assert network_path.n_features_in == 4
    assert network_path.layer_sizes == (4, 8, 3)
    assert network_path.n_units.shape == (25, 1)
    assert network_path.validation_scores[0] > 0.9
    assert network_path.validation_scores[-1] < 0.5
    assert set(network_path.selected_features(2)) == {2, 3}  # the petals


@pytest.mark.parametrize("penalty", ["l2", "weight_decay", Sum([L2(), NonNegative()])], ids=str)
def test_penalties_without_zeros_end_nearly_constant(iris, penalty):
    X, y = iris
    model = NormRegMLPClassifier((8,), penalty=penalty, learning_rate_init=0.02, random_state=0)
    path = regularization_path(model, X, y, n_alphas=6)
    assert path.data_loss[0] < 0.2
    assert path.data_loss[-1] > 0.9 * np.log(3)


@pytest.mark.parametrize("solver", ["adam", "sgd", "fista", "lbfgs"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_solver_and_the_same_seed_gives_the_same_path(iris, solver):
    X, y = iris
    model = NormRegMLPClassifier((5,), "tanh", penalty="l1", solver=solver, learning_rate_init=0.02, random_state=0)
    path = regularization_path(model, X, y, n_alphas=6)
    again = regularization_path(model, X, y, n_alphas=6)
    assert path.n_features[-1] == 0
    np.testing.assert_allclose(path.alphas[1:] / path.alphas[:-1], 1e3 ** (1 / 5))
    for first, second in zip(path.coefs, again.coefs, strict=True):
        assert (first != second).nnz == 0


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "fista"])
def test_the_null_model_is_fitted_too(diabetes, solver):
    X, y = diabetes
    model = NormRegMLPRegressor((), penalty="l1", solver=solver, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        path = regularization_path(model, X, y, n_alphas=5)
    null = path[-1]
    np.testing.assert_allclose(null.predict(X), y.mean(), atol=1e-3)
    assert path.n_features[-1] == 0
    assert len(null.history_["objective"]) == null.n_iter_


def test_models_are_fitted_estimators(network_path, iris):
    X, y = iris
    for i in (0, 10, -1):
        model = network_path[i]
        assert model.alpha == network_path.alphas[i]
        assert model.score(X[1::2], y[1::2]) == network_path.validation_scores[i]
        assert model.n_nonzero_ == tuple(network_path.n_nonzero[i])
        assert model.objective_ == network_path.objective[i]
        certificate = stationarity(model, X[::2], y[::2])
        assert certificate.relative == pytest.approx(network_path.residual[i], rel=1e-9)
        assert len(model.history_["objective"]) == model.n_iter_ == network_path.n_iter[i]
        assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()
    assert (np.flatnonzero(network_path[15].feature_importances_) == np.flatnonzero(network_path.alive[0][15])).all()
    norms = np.array([network_path[i].feature_importances_ for i in range(25)])
    np.testing.assert_allclose(network_path.feature_norms, norms * network_path.alive[0], rtol=1e-12)
    assert network_path[3].set_params(warm_start=True).fit(X, y).score(X, y) > 0.9  # and can be trained on


def test_models_do_not_share_memory(network_path):
    before = network_path[0].coefs_[0].copy()
    model = network_path[0]
    model.coefs_[0][:] = 7
    model.classes_[:] = 7
    model.history_["objective"].clear()
    assert (network_path[0].coefs_[0] == before).all()
    assert network_path[0].classes_.tolist() == [0, 1, 2]
    assert network_path[0].history_["objective"]


def test_at_finds_models(network_path):
    for n in np.unique(network_path.n_features):
        assert (network_path.at(n_features=n).coefs_[0].any(axis=1)).sum() == n
    found = np.flatnonzero(network_path.n_features == 4)
    best = found[np.argmax(network_path.validation_scores[found])]
    assert network_path.at(n_features=4).alpha == network_path.alphas[best]
    assert network_path.at(alpha=network_path.alphas[3]).alpha == network_path.alphas[3]


def test_path_survives_pickling(network_path):
    again = pickle.loads(pickle.dumps(network_path))
    assert (again.alphas == network_path.alphas).all()
    assert (again[5].coefs_[0] == network_path[5].coefs_[0]).all()
    assert "25 strengths" in repr(again)


def test_order_of_entry(diabetes):
    X, y = diabetes
    path = regularization_path(NormRegMLPRegressor((), penalty="l1", **EXACT), X, y, n_alphas=200)
    weights = path.coefs[0].toarray()
    last = [np.flatnonzero(weights[:, j]).max(initial=-1) for j in range(10)]
    order = path.feature_order
    assert sorted(order) == list(range(10))
    assert (np.diff(np.array(last)[order]) <= 0).all()
    for n in range(11):
        assert set(path.selected_features(n)) == set(order[:n])
        assert (np.diff(path.selected_features(n)) > 0).all()


def test_friedmans_inputs_leave_last():
    X, y = make_friedman1(1000, 20, noise=1.0, random_state=0)
    X, y = scale(X).astype(np.float32), scale(y).astype(np.float32)
    model = NormRegMLPRegressor((20,), penalty=GROUPS, learning_rate_init=0.01, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        path = regularization_path(model, X, y, n_alphas=40)
    assert path.selected_features(5).tolist() == [0, 1, 2, 3, 4]
    assert path[0].coefs_[0].dtype == np.float32


def test_restarts_keep_the_smallest_objective(iris):
    X, y = iris
    model = NormRegMLPClassifier((4,), penalty=GROUPS, solver="fista", max_iter=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        one = regularization_path(model, X, y, n_alphas=6)
        three = regularization_path(model, X, y, alphas=one.alphas, n_restarts=3)
    assert (three.objective <= one.objective).all()
    assert (three.objective[three.starts == 0] == one.objective[three.starts == 0]).all()
    assert len(set(three.starts)) > 1


def test_a_spike_is_gone_through_again(iris, monkeypatch):
    # Where gradients are nearly zero adam's steps are nearly arbitrary: such spikes were kept before.
    descend, calls = Walk._descend, []

    def with_spikes(walk, *arguments):
        result, *others = descend(walk, *arguments)
        calls.append(arguments[4])  # the rate
        if len(calls) % 4 == 0:
            result.theta *= 5
        return result, *others

    monkeypatch.setattr(Walk, "_descend", with_spikes)
    X, y = iris
    model = NormRegMLPClassifier((6,), "tanh", penalty=GROUPS, learning_rate_init=0.01, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        path = regularization_path(model, X, y, alphas=np.geomspace(1e-4, 1e-2, 10))
    assert calls.count(0.001) > 0
    for i in range(1, 10):  # the model before, under the present strength
        penalty = path.penalty[i - 1] * path.alphas[i] / path.alphas[i - 1]
        assert path.objective[i] <= 1.02 * (path.data_loss[i - 1] + penalty)


def test_memory_grows_with_what_is_not_zero():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 500)).astype(np.float32)
    y = X[:, 0] + 0.1 * rng.standard_normal(60).astype(np.float32)
    model = NormRegMLPRegressor((50,), penalty=GROUPS, max_iter=40, learning_rate_init=0.02, random_state=0)
    dense = 500 * 50 * 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tracemalloc.start()
        path = regularization_path(model, X, y, alphas=np.geomspace(0.02, 2, 100))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 0 < path.n_features.max() < 250
    assert most < 100 * dense / 4


def test_sparse_tables_and_frames(iris):
    import pandas as pd

    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = NormRegMLPClassifier((), penalty="l1", **EXACT)
    path = regularization_path(model, frame, names[y], n_alphas=4, X_val=frame, y_val=names[y])
    assert path.feature_names_in.tolist() == ["a", "b", "c", "d"]
    assert path[0].predict(frame)[0] == "setosa"
    assert path.validation_scores[0] == path[0].score(frame, names[y])
    other = regularization_path(model, sp.csr_array(X), y, alphas=path.alphas)
    np.testing.assert_allclose(other.coefs[0].toarray(), path.coefs[0].toarray(), atol=1e-4)


def test_verbose_prints_a_line_for_each_strength(diabetes, capsys):
    X, y = diabetes
    regularization_path(NormRegMLPRegressor((), penalty="l1", verbose=True, **EXACT), X, y, n_alphas=4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].split() == ["alpha", "data", "loss", "objective", "inputs", "epochs", "seconds"]


def test_a_users_own_loss_and_penalty(diabetes):
    class Half(Loss):
        task = "regression"

        def value_and_gradient(self, y, raw, sample_weight=None):
            error = raw - y
            weight = 1 if sample_weight is None else sample_weight[:, np.newaxis]
            return float((0.5 * weight * error**2).sum()), weight * error

    X, y = diabetes
    own = regularization_path(NormRegMLPRegressor((), loss=Half(), penalty="l1", **EXACT), X, y, n_alphas=4)
    built_in = regularization_path(NormRegMLPRegressor((), penalty="l1", **EXACT), X, y, n_alphas=4)
    np.testing.assert_allclose(own.alphas, built_in.alphas, rtol=1e-8)
    np.testing.assert_allclose(own.coefs[0].toarray(), built_in.coefs[0].toarray(), atol=1e-5)  # of two fits by fista


def test_the_estimator_stays_as_it_was(iris):
    stream = np.random.RandomState(0)
    model = NormRegMLPClassifier((3,), penalty="l1", max_iter=20, random_state=stream, alpha=0.5)
    before = clone(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regularization_path(model, *iris, n_alphas=3)
    assert model.alpha == 0.5
    assert not hasattr(model, "coefs_")
    assert stream.randint(2**31) == before.random_state.randint(2**31)


# --------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alphas": [0.1, 0.3, 0.2]}, "must be sorted"),
        ({"alphas": [0.1, 0.1]}, "each once"),
        ({"alphas": [-0.1, 0.1]}, "finite and >= 0, got -0.1"),
        ({"alphas": [0.1, np.nan]}, "finite and >= 0"),
        ({"alphas": []}, "at least one number"),
        ({"alphas": [[0.1]]}, "shape"),
        ({"alphas": "many"}, "sequence of numbers"),
        ({"alphas": [0.2, 0.1]}, "alphas\\[::-1\\]"),
        ({"n_alphas": 1}, "n_alphas must be an integer >= 2"),
        ({"alpha_min_ratio": 1.0}, "between 0 and 1"),
        ({"n_restarts": 0}, "n_restarts"),
        ({"X_val": np.ones((3, 4))}, "belong together"),
    ],
)
def test_bad_arguments(iris, options, message):
    with pytest.raises(ValueError, match=message):
        regularization_path(NormRegMLPClassifier((3,), penalty="l1"), *iris, **options)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty": "max_norm"}, "alpha does not scale the penalty"),
        ({"penalty": None}, "alpha does not scale the penalty"),
        ({"penalty": "l1", "layer_weights": [0, 0]}, "alpha does not scale the penalty"),
        ({"penalty": "l1", "early_stopping": True}, "early_stopping=False"),
        ({"penalty": "group_lasso", "solver": "lbfgs"}, "use solver='fista' or 'adam'"),
        ({"penalty": "l1", "tol": -1}, "'tol' parameter"),
    ],
)
def test_bad_estimators(iris, parameters, message):
    with pytest.raises(ValueError, match=message):
        regularization_path(NormRegMLPClassifier((3,), **parameters), *iris)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_features_and_targets_that_are_too_large(diabetes):
    X, y = diabetes
    with pytest.raises(ValueError, match="scale the features and the targets"):
        regularization_path(NormRegMLPRegressor((), penalty="l1"), 1e20 * X, 1e20 * y)


def test_other_estimators_are_refused(iris):
    with pytest.raises(TypeError, match="of a pipeline, give the last step"):
        regularization_path(LogisticRegression(), *iris)


def test_numbers_of_inputs_that_are_not_there():
    X, y = load_diabetes(return_X_y=True)
    path = regularization_path(NormRegMLPRegressor((), penalty="l1", **EXACT), scale(X), scale(y), n_alphas=5)
    missing = min(set(range(10)) - set(path.n_features.tolist()))
    nearest = sorted(set(path.n_features.tolist()), key=lambda n: abs(n - missing))[0]
    with pytest.raises(ValueError, match=rf"no strength of the path gives {missing} inputs; .*\b{nearest}\b"):
        path.at(n_features=missing)
    with pytest.raises(ValueError, match="path has more$"):  # no other way to so many
        path.at(n_features=11)
    with pytest.raises(ValueError, match="must be an integer >= 0, got '2'"):
        path.at(n_features="2")
    with pytest.raises(ValueError, match="the nearest is"):
        path.at(alpha=path.alphas[0] * 1.5)
    with pytest.raises(ValueError, match="either n_features or alpha"):
        path.at()
    with pytest.raises(ValueError, match="from 0 to 10"):
        path.selected_features(11)
    with pytest.raises(IndexError, match="5 strengths"):
        path[5]
    with pytest.raises(TypeError, match="number of a strength"):
        path[0.1]


def test_mcp_and_network_norm_have_paths(iris):
    X, y = iris
    for penalty in (MCP(by="input"), L2Norm("network")):
        model = NormRegMLPClassifier((4,), "tanh", penalty=penalty, learning_rate_init=0.02, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            path = regularization_path(model, X, y, n_alphas=6)
        assert path.n_features[0] == 4
        assert path.n_features[-1] == 0


def test_divergence_on_the_way_keeps_the_models_before(iris):
    X, y = iris
    rates = []

    class Exploding(Loss):
        """Squared error that is infinite now and then for a while."""

        task = "regression"

        def value_and_gradient(self, y, raw, sample_weight=None):
            rates.append(1)
            error = raw - y
            value = np.inf if 80 <= len(rates) < 90 and len(rates) % 2 else float((0.5 * error**2).sum())
            return value, error

    model = NormRegMLPRegressor((3,), loss=Exploding(), penalty="l1", max_iter=50, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        path = regularization_path(model, X, y.astype(float), alphas=np.geomspace(1e-3, 1, 20))
    assert "diverged" in path.stop_reasons
    assert all(np.isfinite(W.data).all() for W in path.coefs)
