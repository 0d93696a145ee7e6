"""Kinds of input and output, training in stages, and serialisation."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknormnet import NormRegMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TASKS = ("binary", "multiclass", "multilabel", "regression", "multioutput")
SOLVERS = ("sgd", "adam", "lbfgs", "fista")


def make_model(problem, **params):
    defaults = dict(hidden_layer_sizes=(6, 4), max_iter=8, random_state=0)
    return problem.Estimator(**{**defaults, **params})


def assert_same_weights(a, b, atol=0.0):
    for name in ("coefs_", "intercepts_"):
        for left, right in zip(getattr(a, name), getattr(b, name), strict=True):
            assert left.shape == right.shape
            assert_allclose(left, right, rtol=0, atol=atol)


def test_boolean_and_integer_frames(make_problem):
    problem = make_problem("binary")
    frame = pd.DataFrame({"flag": problem.X[:, 0] > 0, "count": np.arange(60)})
    model = make_model(problem).fit(frame, problem.y > 0)
    assert model.classes_.dtype == bool
    assert model.predict(frame).dtype == bool


def sparse_X(rng, n_samples=60):
    X = rng.standard_normal((n_samples, 12))
    X[rng.random(X.shape) < 0.7] = 0.0
    X[3] = 0.0
    return X


@pytest.mark.parametrize("container", ["csr_matrix", "csc_matrix", "csr_array"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("hidden_layer_sizes", [(), (6, 4)])
def test_sparse_is_dense(hidden_layer_sizes, solver, container, make_problem):
    problem = make_problem("multiclass")
    X = sparse_X(np.random.default_rng(0))
    sparse = getattr(scipy.sparse, container)(X)
    model = make_model(
        problem,
        hidden_layer_sizes=hidden_layer_sizes,
        solver=solver,
        penalty="elasticnet",
        alpha=0.01,
        batch_size=16,
    )
    dense = clone(model).fit(X, problem.y)
    model.fit(sparse, problem.y)
    assert_same_weights(model, dense, 1e-9)
    assert model.objective_ == pytest.approx(dense.objective_, rel=1e-9)
    assert_allclose(model.predict_proba(sparse), dense.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_float32_is_kept(task, solver, make_problem):
    problem = make_problem(task)
    X = problem.X.astype(np.float32)
    model = make_model(problem, solver=solver).fit(X, problem.y)
    assert {W.dtype for W in model.coefs_ + model.intercepts_} == {X.dtype}
    if hasattr(model, "predict_proba"):
        assert model.predict_proba(X).dtype == np.float32
        assert model.predict_log_proba(X).dtype == np.float32
    else:
        assert model.predict(X).dtype == np.float32
    double = make_model(problem, solver=solver).fit(problem.X, problem.y)
    assert model.objective_ == pytest.approx(double.objective_, rel=1e-3)


@pytest.mark.parametrize("given", [np.float32, np.float64, np.int64, np.float16, bool])
@pytest.mark.parametrize("asked", [None, "float32", "float64"])
def test_dtype(asked, given, make_problem):
    problem = make_problem("regression")
    X = (10 * problem.X).astype(given)
    model = make_model(problem, dtype=asked).fit(X, problem.y)
    default = np.float32 if given is np.float32 else np.float64
    assert model.coefs_[0].dtype == (default if asked is None else np.dtype(asked))
    assert np.all(np.isfinite(model.predict(X)))


def test_fit_does_not_write_to_its_arguments(make_problem):
    problem = make_problem("multioutput")
    X, y, weight = problem.X.copy(), problem.y.copy(), np.arange(60.0)
    make_model(problem).fit(X, y, sample_weight=weight)
    assert np.array_equal(X, problem.X)
    assert np.array_equal(y, problem.y)
    assert np.array_equal(weight, np.arange(60.0))


@pytest.mark.parametrize("task", TASKS)
def test_shapes_of_predictions(task, make_problem):
    problem = make_problem(task)
    model = make_model(problem).fit(problem.X, problem.y)
    n_outputs = {"binary": 1, "regression": 1}.get(task, 3)
    assert model.n_outputs_ == n_outputs
    assert model.n_layers_ == 4
    assert [W.shape for W in model.coefs_] == [(5, 6), (6, 4), (4, n_outputs)]
    for n_samples in (1, 2, 60):
        X = problem.X[:n_samples]
        assert model.predict(X).shape == problem.y[:n_samples].shape
        if hasattr(model, "predict_proba"):
            columns = 2 if task == "binary" else 3
            assert model.predict_proba(X).shape == (n_samples, columns)
            decision = model.decision_function(X)
            assert decision.shape == ((n_samples,) if task == "binary" else (n_samples, 3))


def test_a_single_column_of_targets(make_problem):
    problem = make_problem("regression")
    flat = make_model(problem).fit(problem.X, problem.y)
    with pytest.warns(DataConversionWarning):
        column = make_model(problem).fit(problem.X, problem.y[:, None])
    assert_same_weights(flat, column)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_log_probabilities_are_finite(task, make_problem):
    problem = make_problem(task)
    for dtype in ("float32", "float64"):
        model = make_model(problem, dtype=dtype).fit(problem.X, problem.y)
        X = np.vstack([1e6 * problem.X, -1e6 * problem.X])
        log_proba = model.predict_log_proba(X)
        assert np.all(np.isfinite(log_proba)) and np.all(log_proba <= 0)
        assert log_proba.min() < -1e4
        proba = model.predict_proba(X)
        assert np.all((proba >= 0) & (proba <= 1))
        if task != "multilabel":
            assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
            assert_allclose(np.exp(log_proba).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_decision_function_agrees_with_predict(task, make_problem):
    problem = make_problem(task)
    model = make_model(problem).fit(problem.X, problem.y)
    decision = model.decision_function(problem.X)
    proba = model.predict_proba(problem.X)
    if task == "multiclass":
        predicted = model.classes_[decision.argmax(axis=1)]
        assert np.array_equal(proba.argmax(axis=1), decision.argmax(axis=1))
    else:
        predicted = (decision > 0).astype(int)
        positive = proba[:, 1] if task == "binary" else proba
        assert_allclose(positive, 1 / (1 + np.exp(-decision)))
    assert np.array_equal(model.predict(problem.X), predicted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden_layer_sizes", [(), (100, 30)])
def test_predictions_do_not_depend_on_the_number_of_rows(hidden_layer_sizes, dtype, make_problem):
    problem = make_problem("multioutput")
    model = make_model(problem, hidden_layer_sizes=hidden_layer_sizes)
    model.fit(problem.X.astype(dtype), problem.y)
    X = np.random.default_rng(0).standard_normal((70_001, 5)).astype(dtype)
    everything = model.predict(X)
    rtol = 1e-11 if dtype == np.float64 else 1e-4
    for rows in (slice(0, 1), slice(0, 513), slice(69_990, None), slice(5, 50_000)):
        assert_allclose(model.predict(X[rows]), everything[rows], rtol=rtol, atol=1e-6)
    sparse = scipy.sparse.csr_array(X[:20_000])
    assert_allclose(model.predict(sparse), everything[:20_000], rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_within_a_pipeline(task, make_problem):
    problem = make_problem(task, n_samples=90)
    pipeline = make_pipeline(StandardScaler(), make_model(problem, max_iter=100))
    scores = cross_val_score(pipeline, problem.X, problem.y, cv=3, error_score="raise")
    assert np.all(np.isfinite(scores))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_pickle_and_clone(task, solver, make_problem):
    problem = make_problem(task)
    model = make_model(problem, solver=solver).fit(problem.X, problem.y)
    restored = pickle.loads(pickle.dumps(model))
    assert_same_weights(restored, model)
    assert np.array_equal(restored.predict(problem.X), model.predict(problem.X))
    assert restored.history_ == model.history_
    copy = clone(model)
    assert not hasattr(copy, "coefs_")
    assert_same_weights(copy.fit(problem.X, problem.y), model)


def test_a_plain_fit_keeps_no_moments(make_problem):
    """Fitted state is arrays, numbers and strings; a pickle holds the weights once."""
    problem = make_problem("binary")
    model = make_model(problem, hidden_layer_sizes=(400, 400), max_iter=2)
    model.fit(problem.X, problem.y)
    n_bytes = sum(array.nbytes for array in model.coefs_ + model.intercepts_)
    assert len(pickle.dumps(model)) < 1.1 * n_bytes + 10_000


@pytest.mark.parametrize("kind", ["object", "category", "str", "list"])
def test_classes_have_the_type_of_scikit_learns(kind):
    labels = pd.Series(["b", "a", "c"] * 10, dtype="object" if kind == "list" else kind)
    y = labels.tolist() if kind == "list" else labels
    X = np.random.default_rng(0).standard_normal((30, 2))
    ours = NormRegMLPClassifier((3,), max_iter=2, random_state=0).fit(X, y)
    theirs = MLPClassifier((3,), max_iter=2, random_state=0).fit(X, y)
    assert ours.classes_.dtype == theirs.classes_.dtype == ours.predict(X).dtype
    assert ours.classes_.tolist() == ["a", "b", "c"]
