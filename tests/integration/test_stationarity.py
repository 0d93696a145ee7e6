"""The certificate of stationarity against plain NumPy, what must not change it, and what it refuses."""

import pickle

import numpy as np
import oracles
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.inspection import stationarity
from sknormnet.penalties import MCP, GroupLasso, SparseGroupLasso

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some layers are penalised:UserWarning"),
]

# Rounding of sums over 60 rows is about 1e-14 of the scale; zeros of a hidden unit's slope amplify it.
CLOSE = dict(rtol=1e-10, atol=1e-12)

DERIVATIVES = {
    "identity": lambda a: np.ones_like(a),
    "relu": lambda a: (a > 0).astype(float),
    "tanh": lambda a: 1 - a**2,
    "logistic": lambda a: a * (1 - a),
}
# (groups, slope at the norm t for strength s, L1 share inside groups)
SHAPES = {
    "none": ("weight", lambda t, s: 0 * t, 0.0),
    "l1": ("weight", lambda t, s: s + 0 * t, 0.0),
    "l2": ("weight", lambda t, s: s * t, 0.0),
    "elasticnet": ("weight", lambda t, s: s * (0.3 + 0.7 * t), 0.0),
    "group_lasso": ("input", lambda t, s: s + 0 * t, 0.0),
    "columns": ("output", lambda t, s: s + 0 * t, 0.0),
    "l2_norm": ("matrix", lambda t, s: s + 0 * t, 0.0),
    "sparse_group_lasso": ("input", lambda t, s: 0.5 * s + 0 * t, 0.5),
    "mcp": ("weight", lambda t, s: np.maximum(s - t / 2, 0), 0.0),
}
PENALTIES = {"columns": GroupLasso("output"), "mcp": MCP(gamma=2.0), "sparse_group_lasso": SparseGroupLasso()}


def activations_and_deltas(X, y, coefs, intercepts, *, loss, activation):
    """Backpropagation by the book: inputs of every layer and the loss's gradient in its pre-activations, row by row."""
    inputs = [X]
    for W, b in zip(coefs[:-1], intercepts[:-1], strict=True):
        inputs.append(oracles.ACTIVATIONS[activation](inputs[-1] @ W + b))
    delta = oracles.inverse_link(loss, inputs[-1] @ coefs[-1] + intercepts[-1]) - y
    deltas = [delta]
    for W, a in zip(coefs[:0:-1], inputs[:0:-1], strict=True):
        deltas.insert(0, deltas[0] @ W.T * DERIVATIVES[activation](a))
    return inputs, deltas


def distance_and_subgradient(name, W, gradient, strength):
    """Of -gradient to the subdifferential, and the norm of its smallest element, group by group."""
    by, slope, l1_share = SHAPES[name]
    rows, columns = np.indices(W.shape)
    labels = {"weight": np.arange(W.size).reshape(W.shape), "input": rows, "output": columns, "matrix": 0 * rows}[by]
    distances, subgradients = [], []
    for label in np.unique(labels):
        w, g = W[labels == label], gradient[labels == label]
        t, inner = np.linalg.norm(w), l1_share * strength
        if t > 0:
            outer = slope(t, strength) * w / t
            at_zero = np.maximum(np.abs(g) - inner, 0)
            distances += list(np.where(w == 0, at_zero, np.abs(g + outer + inner * np.sign(w))))
            subgradients += list(outer + inner * np.sign(w))
        else:
            left = np.linalg.norm(np.maximum(np.abs(g) - inner, 0))
            distances.append(max(left - slope(0.0, strength), 0))
    return np.linalg.norm(distances), np.linalg.norm(subgradients)


def expected_stationarity(
    X, y, coefs, intercepts, *, loss, activation, names, strengths, weight=None, penalize_intercepts=False
):
    """(absolute, relative, layers_absolute, layers_relative) by the formulas of the documentation."""
    weight = np.ones(len(X)) if weight is None else weight / weight.mean()
    inputs, deltas = activations_and_deltas(X, y, coefs, intercepts, loss=loss, activation=activation)
    residuals, scales = [], []
    for a, delta, W, b, name, strength in zip(inputs, deltas, coefs, intercepts, names, strengths, strict=True):
        a = np.hstack([a, np.ones((len(a), 1))])
        gradient = a.T @ (weight[:, np.newaxis] * delta) / len(X)
        scale = np.mean(weight * np.linalg.norm(a, axis=1) * np.linalg.norm(delta, axis=1))
        W = np.vstack([W, b]) if penalize_intercepts else W
        distance, subgradient = distance_and_subgradient(name, W, gradient[: len(W)], strength)
        residuals.append(np.hypot(distance, np.linalg.norm(gradient[len(W) :])))
        scales.append(scale + subgradient)
    residuals, scales = np.array(residuals), np.array(scales)
    total = np.linalg.norm(residuals)
    return total, total / np.linalg.norm(scales), residuals, residuals / scales


def assert_certificate(found, expected, **tolerance):
    values = (found.absolute, found.relative, found.layers_absolute, found.layers_relative)
    for ours, theirs in zip(values, expected, strict=True):
        assert_allclose(ours, theirs, **(tolerance or CLOSE))


def shortly_fitted(problem, hidden=(6, 4), **parameters):
    """A model with some zeros that is nowhere near a stationary point."""
    model = problem.Estimator(hidden, **{"max_iter": 3, "random_state": 0, **parameters})
    model.fit(problem.X, problem.y)
    for W in model.coefs_:
        W[0] = 0.0
        W[-1, 0] = 0.0
    return model


@pytest.mark.parametrize("penalty", SHAPES)
@pytest.mark.parametrize("task", ["regression", "multioutput", "binary", "multiclass", "multilabel"])
def test_against_numpy(task, penalty, make_problem):
    problem = make_problem(task)
    activation = {"regression": "tanh", "binary": "logistic", "multiclass": "relu"}.get(task, "identity")
    model = shortly_fitted(
        problem, activation=activation, penalty=PENALTIES.get(penalty, penalty), alpha=0.02, l1_ratio=0.3
    )
    expected = expected_stationarity(
        problem.X,
        problem.encoded,
        model.coefs_,
        model.intercepts_,
        loss=problem.loss,
        activation=activation,
        names=[penalty] * 3,
        strengths=[0.02] * 3,
    )
    found = stationarity(model, problem.X, problem.y)
    assert_certificate(found, expected)
    assert 0.001 < found.relative < 1


@pytest.mark.parametrize("penalize_intercepts", [False, True])
def test_weights_layers_and_intercepts(penalize_intercepts, make_problem):
    problem = make_problem("multiclass")
    weight = np.random.default_rng(0).uniform(0.1, 3.0, 60)
    model = shortly_fitted(
        problem,
        activation="tanh",
        penalty=PerLayer(first="group_lasso", hidden="l2", last="l1"),
        layer_weights=[1.0, 0.0, 3.0],
        penalize_intercepts=penalize_intercepts,
        alpha=0.05,
    )
    expected = expected_stationarity(
        problem.X,
        problem.encoded,
        model.coefs_,
        model.intercepts_,
        loss=problem.loss,
        activation="tanh",
        names=["group_lasso", "l2", "l1"],
        strengths=[0.05, 0.0, 0.15],
        weight=weight,
        penalize_intercepts=penalize_intercepts,
    )
    assert_certificate(stationarity(model, problem.X, problem.y, weight), expected)


@pytest.mark.parametrize("loss", oracles.LOSSES)
def test_gradient_of_every_loss_by_differences(loss):
    """A network of one matrix without a penalty: the residual is the gradient's norm, the scale that of its rows."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 3))
    classes = loss in ("log_loss", "brier", "hinge", "squared_hinge", "modified_huber", "focal")
    y = rng.integers(0, 2, 40) if classes else np.exp(rng.standard_normal(40))
    Estimator = NormRegMLPClassifier if classes else NormRegMLPRegressor
    model = Estimator((), loss=loss, penalty=None, max_iter=2, random_state=0).fit(X, y)
    raw, h = oracles.raw_prediction(X, model.coefs_, model.intercepts_), 1e-5
    delta = np.empty_like(raw)
    for k in range(raw.shape[1]):
        above, below = raw.copy(), raw.copy()
        above[:, k] += h
        below[:, k] -= h
        value = oracles.LOSSES[loss]
        delta[:, k] = (value(y[:, np.newaxis], above) - value(y[:, np.newaxis], below)) / (2 * h)
    extended = np.hstack([X, np.ones((40, 1))])
    residual = np.linalg.norm(extended.T @ delta / 40)
    scale = np.mean(np.linalg.norm(extended, axis=1) * np.linalg.norm(delta, axis=1))
    found = stationarity(model, X, y)
    # the error of second-order differences at h = 1e-5
    assert_allclose([found.absolute, found.relative], [residual, residual / scale], rtol=1e-6)


# ------------------------------------------------------------------------------------- what must not change it


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_sample_weights_are_repeated_rows(penalty, make_problem):
    problem = make_problem("binary")
    model = shortly_fitted(problem, activation="tanh", penalty=penalty, alpha=0.02)
    times = np.random.default_rng(1).integers(0, 4, 60)
    weighted = stationarity(model, problem.X, problem.y, 2.5 * times)
    repeated = stationarity(model, np.repeat(problem.X, times, axis=0), np.repeat(problem.y, times))
    assert_certificate(
        weighted, (repeated.absolute, repeated.relative, repeated.layers_absolute, repeated.layers_relative)
    )
    plain = stationarity(model, problem.X, problem.y)
    assert abs(plain.relative - weighted.relative) > 1e-4
    assert stationarity(model, problem.X, problem.y, np.full(60, 7.0)) == plain


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("hidden", [(), (6, 4)])
def test_csr_is_dense(hidden, index, make_problem):
    problem = make_problem("multiclass")
    model = shortly_fitted(problem, hidden, activation="tanh", penalty="l1")
    X = np.where(np.random.default_rng(0).random(problem.X.shape) < 0.4, problem.X, 0)
    table = sp.csr_array(X)
    table.indices, table.indptr = table.indices.astype(index), table.indptr.astype(index)
    dense = stationarity(model, X, problem.y)
    assert_certificate(
        stationarity(model, table, problem.y),
        (dense.absolute, dense.relative, dense.layers_absolute, dense.layers_relative),
    )


def test_float32(make_problem):
    problem = make_problem("regression")
    model = shortly_fitted(problem, activation="tanh", penalty="l1", alpha=0.02)
    exact = stationarity(model, problem.X, problem.y)
    model.coefs_ = [W.astype(np.float32) for W in model.coefs_]
    model.intercepts_ = [b.astype(np.float32) for b in model.intercepts_]
    rounded = stationarity(model, problem.X, problem.y)
    # 60 rows of rounding errors of 6e-8
    assert_certificate(
        rounded, (exact.absolute, exact.relative, exact.layers_absolute, exact.layers_relative), rtol=1e-4
    )
    assert rounded.absolute != exact.absolute


def test_many_rows_come_in_blocks():
    """Blocks of at most 2,048 rows; features' norms are kept from one call of the core to the next."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, 3))
    y = X[:, :1] + rng.standard_normal((5000, 1))
    model = NormRegMLPRegressor((5,), "tanh", alpha=0.01, max_iter=2, solver="fista", random_state=0).fit(X, y[:, 0])
    expected = expected_stationarity(
        X,
        y,
        model.coefs_,
        model.intercepts_,
        loss=oracles.squared_error,
        activation="tanh",
        names=["l2"] * 2,
        strengths=[0.01] * 2,
    )
    assert_certificate(stationarity(model, X, y[:, 0]), expected)
    assert model.history_["residual"][-1] == pytest.approx(expected[1], rel=1e-10)


def test_data_frames_with_classes_of_strings(make_problem):
    problem = make_problem("multiclass")
    frame = pd.DataFrame(problem.X, columns=list("abcde"))
    labels = np.array(["low", "middle", "high"])[problem.y]
    model = NormRegMLPClassifier((4,), max_iter=3, random_state=0).fit(frame, pd.Series(labels))
    by_name = stationarity(model, frame, pd.Series(labels))
    assert by_name == stationarity(model.set_params(), frame, labels)
    some = labels != "middle"
    assert stationarity(model, frame[some], labels[some]).relative > 0  # classes may be missing
    with pytest.raises(ValueError, match="feature names"):
        stationarity(model, frame[list("edcba")], labels)
    with pytest.raises(ValueError, match=r"classes \['other'\].*not among the fitted"):
        stationarity(model, frame, np.where(some, labels, "other"))


@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
def test_the_estimator_stays_as_it_is(task, make_problem):
    problem = make_problem(task)
    model = problem.Estimator((4,), warm_start=True, max_iter=3, random_state=0).fit(problem.X, problem.y)
    before, arrays = pickle.dumps(model), [id(W) for W in model.coefs_]
    stationarity(model, problem.X[:40], problem.y[:40], np.arange(40.0))
    assert pickle.dumps(model) == before and [id(W) for W in model.coefs_] == arrays
    with pytest.raises(ValueError, match="features"):
        stationarity(model, problem.X[:, :3], problem.y)
    assert pickle.dumps(model) == before


# ------------------------------------------------------------------------------------------- what it refuses


def test_refusals(make_problem):
    problem = make_problem("regression")
    X, y = problem.X, problem.y
    with pytest.raises(NotFittedError):
        stationarity(NormRegMLPRegressor(), X, y)
    with pytest.raises(TypeError, match="got Pipeline; of a pipeline, give the last step"):
        stationarity(make_pipeline(StandardScaler(), NormRegMLPRegressor(max_iter=2)).fit(X, y), X, y)
    decayed = NormRegMLPRegressor((4,), penalty="weight_decay", max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="no part of the objective.*use penalty='l2'"):
        stationarity(decayed, X, y)
    model = NormRegMLPRegressor((4,), loss="poisson", max_iter=2).fit(X, np.exp(y))
    with pytest.raises(ValueError, match="5 features"):
        stationarity(model, X[:, :4], np.exp(y))
    with pytest.raises(ValueError, match="Poisson.*domain"):
        stationarity(model, X, -np.exp(y))
    with pytest.raises(ValueError, match="targets"):
        stationarity(model, X, np.exp(np.c_[y, y]))
    with pytest.raises(ValueError, match="inconsistent"):
        stationarity(model, X, np.exp(y[:-1]))
    with pytest.raises(ValueError, match="non-zero|is zero"):
        stationarity(model, X, np.exp(y), np.zeros(60))
    with pytest.raises(ValueError, match="NaN"):
        stationarity(model, np.full_like(X, np.nan), np.exp(y))
    with pytest.raises(ValueError, match="'alpha' parameter"):
        stationarity(model.set_params(alpha=-1.0), X, np.exp(y))


def test_refusals_of_a_classifier(make_problem):
    problem = make_problem("binary")
    model = NormRegMLPClassifier((4,), max_iter=2).fit(problem.X, problem.y)
    with pytest.raises(ValueError, match=r"classes \[2\].*not among the fitted"):
        stationarity(model, problem.X, problem.y + 1)
    with pytest.raises(ValueError, match="classes in one column"):
        stationarity(model, problem.X, np.c_[problem.y, 1 - problem.y])
