"""Training in stages: warm_start and partial_fit go on where training stopped."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TASKS = ("binary", "multiclass", "multilabel", "regression", "multioutput")


def make_model(problem, **params):
    defaults = dict(
        hidden_layer_sizes=(6, 4),
        batch_size=12,
        learning_rate_init=0.02,
        penalty="elasticnet",
        alpha=0.01,
        random_state=0,
    )
    return problem.Estimator(**{**defaults, **params})


def partial_fit(model, problem, **params):
    if isinstance(model, NormRegMLPClassifier):
        labels = np.arange(3) if problem.y.ndim == 2 else np.unique(problem.y)
        params["classes"] = labels
    return model.partial_fit(problem.X, problem.y, **params)


def assert_same_weights(a, b, atol=1e-12):
    for name in ("coefs_", "intercepts_"):
        for left, right in zip(getattr(a, name), getattr(b, name), strict=True):
            assert_allclose(left, right, rtol=0, atol=atol)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("task", TASKS)
def test_partial_fit_continues(task, solver, make_problem):
    """Six calls are six epochs: momentum and shuffles go on, nothing reseeds."""
    problem = make_problem(task)
    whole = make_model(problem, solver=solver, max_iter=6).fit(problem.X, problem.y)
    staged = make_model(problem, solver=solver)
    for _ in range(6):
        assert partial_fit(staged, problem) is staged
    assert_same_weights(staged, whole)
    assert staged.t_ == whole.t_
    assert_allclose(staged.loss_curve_, whole.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("restore", [pickle.dumps], ids=["pickle"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_continues_after(solver, restore, make_problem):
    problem = make_problem("regression")
    whole = make_model(problem, solver=solver)
    for _ in range(6):
        partial_fit(whole, problem)
    staged = make_model(problem, solver=solver)
    for _ in range(6):
        staged = pickle.loads(restore(partial_fit(staged, problem)))
    assert_same_weights(staged, whole, 0.0)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_warm_start_continues(solver, learning_rate, make_problem):
    problem = make_problem("multiclass")
    common = dict(solver=solver, learning_rate=learning_rate)
    whole = make_model(problem, max_iter=12, **common).fit(problem.X, problem.y)
    staged = make_model(problem, max_iter=4, warm_start=True, **common)
    for _ in range(3):
        staged.fit(problem.X, problem.y)
    assert_same_weights(staged, whole)
    assert staged.t_ == whole.t_


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_warm_start_of_the_full_batch_solvers(solver, make_problem):
    problem = make_problem("multiclass")
    model = make_model(problem, solver=solver, max_iter=10, warm_start=True)
    objectives = [model.fit(problem.X, problem.y).objective_ for _ in range(4)]
    assert np.all(np.diff(objectives) < 0)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
def test_without_warm_start_fit_starts_anew(solver, make_problem):
    problem = make_problem("binary")
    model = make_model(problem, solver=solver, max_iter=5)
    first = clone(model).fit(problem.X, problem.y)
    again = model.fit(problem.X, problem.y).fit(problem.X, problem.y)
    assert_same_weights(again, first, 0.0)


def test_warm_start_trains_the_weights_it_is_given(make_problem):
    """coefs_ is the fitted truth: what a user writes there is where training goes on."""
    problem = make_problem("regression")
    model = make_model(problem, penalty=None, max_iter=1, warm_start=True)
    model.fit(problem.X, problem.y)
    model.coefs_ = [np.zeros_like(W) for W in model.coefs_]
    model.intercepts_ = [np.zeros_like(b) for b in model.intercepts_]
    model.set_params(learning_rate_init=1e-12).fit(problem.X, problem.y)
    assert all(np.abs(W).max() < 1e-6 for W in model.coefs_)


def test_partial_fit_goes_on_from_fit(make_problem):
    problem = make_problem("binary")
    model = make_model(problem, max_iter=5).fit(problem.X, problem.y)
    before = [W.copy() for W in model.coefs_]
    loss = model.loss_
    for _ in range(20):
        model.partial_fit(problem.X, problem.y)
    assert model.loss_ < loss
    assert np.abs(model.coefs_[0] - before[0]).max() < 1.0


def test_partial_fit_on_a_part_of_the_classes(make_problem):
    problem = make_problem("multiclass")
    model = NormRegMLPClassifier((5,), random_state=0)
    only = problem.y == 0
    model.partial_fit(problem.X[only], problem.y[only], classes=[0, 1, 2])
    assert list(model.classes_) == [0, 1, 2]
    model.partial_fit(problem.X, problem.y)
    assert model.predict_proba(problem.X).shape == (60, 3)


def test_weights_of_partial_fit_keep_the_scale_of_the_first_call(make_problem):
    """Later calls are divided by the first call's mean weight, not by their own."""
    problem = make_problem("regression")
    params = dict(batch_size=60, penalty=None)
    plain = make_model(problem, **params)
    weighted = make_model(problem, **params)
    partial_fit(plain, problem)
    partial_fit(weighted, problem, sample_weight=np.full(60, 3.0))
    assert_same_weights(plain, weighted)
    partial_fit(plain, problem)
    partial_fit(weighted, problem, sample_weight=np.full(60, 6.0))
    assert weighted.loss_ == pytest.approx(2 * plain.loss_)


def test_partial_fit_on_changing_batches(make_problem):
    """Each call may bring another number of rows."""
    problem = make_problem("regression", n_samples=200)
    model = NormRegMLPRegressor((8,), learning_rate_init=0.01, random_state=0)
    start = 0
    for _ in range(30):
        for size in (50, 17, 1, 132):
            rows = slice(start, start + size)
            model.partial_fit(problem.X[rows], problem.y[rows])
            start = (start + size) % 200
    assert model.score(problem.X, problem.y) > 0.8
