"""The estimators with cross-validation among others: kinds of data, parameters, failures, and what a fit leaves."""

import pickle
import threading
import time
from copy import deepcopy

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from fits import assert_same_model
from hooks import Silent
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknormnet import (
    NormRegMLPClassifier,
    NormRegMLPClassifierCV,
    NormRegMLPRegressor,
    NormRegMLPRegressorCV,
    regularization_path,
    stability_selection,
)
from sknormnet.callbacks import Checkpoint
from sknormnet.inspection import stationarity

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make_model(problem, hidden=(), **params):
    regression = problem.task in ("regression", "multioutput")
    Estimator = NormRegMLPRegressorCV if regression else NormRegMLPClassifierCV
    defaults = dict(penalty="l1", solver="fista", max_iter=100, n_alphas=3, cv=3, random_state=0)
    return Estimator(hidden, "tanh", **{**defaults, **params})


def small_network(problem, **params):
    return make_model(problem, (4,), **{"solver": "adam", "learning_rate_init": 0.05, "max_iter": 10, **params})


def assert_same_fit(model, other):
    """In bits."""
    assert_array_equal(model.scores_path_, other.scores_path_)
    assert model.alpha_ == other.alpha_
    assert_same_model(model, other)


def fitted_state(model):
    params = model.get_params(deep=False)
    return joblib.hash({k: v for k, v in vars(model).items() if k not in params and k != "_skl_callbacks"})


# ------------------------------------------------------------------------------------------------------- data


def test_frames(make_problem):
    problem = make_problem("binary")
    names = np.array(["no", "yes"])
    frame = pd.DataFrame(problem.X, columns=list("abcde"), index=np.arange(60)[::-1])
    labels = pd.Series(names[problem.y], index=np.arange(100, 160))
    weight = pd.Series(np.arange(60) % 2 + 1.0, index=np.arange(60) + 7)
    plain = make_model(problem).fit(problem.X, problem.y, weight.to_numpy())
    model = make_model(problem).fit(frame, labels, weight)
    assert_same_fit(model, plain)
    assert list(model.feature_names_in_) == list(model.path_[0].feature_names_in_) == list("abcde")
    assert_array_equal(model.predict(frame), names[plain.predict(problem.X)])
    model.fit(problem.X, labels)
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize("container", [sp.csr_array, sp.csc_matrix, sp.coo_array, sp.dia_array])
def test_sparse(container, make_problem):
    problem = make_problem("regression")
    X = np.where(np.abs(problem.X) > 0.5, problem.X, 0.0)
    dense, sparse = make_model(problem).fit(X, problem.y), make_model(problem).fit(container(X), problem.y)
    # Sums in another order, and fista stops at relative residuals of 1e-4.
    assert_allclose(sparse.scores_path_, dense.scores_path_, rtol=1e-6)
    assert_same_fit(sparse, make_model(problem).fit(sp.csr_array(X), problem.y))


@pytest.mark.parametrize("task", ["multioutput", "multilabel", "columns"])
def test_several_targets(task, make_problem):
    problem = make_problem("multilabel" if task == "columns" else task)
    y = np.array(["a", "b", "c"])[problem.y[:, :2] + problem.y[:, 2:]] if task == "columns" else problem.y
    model = make_model(problem).fit(problem.X, y)
    for k, (train, test) in enumerate(KFold(3).split(problem.X)):
        plain = (NormRegMLPRegressor if task == "multioutput" else NormRegMLPClassifier)().set_params(
            **{name: value for name, value in model.get_params().items() if name in model.path_[0].get_params()}
        )
        path = regularization_path(plain, problem.X[train], y[train], alphas=model.alphas_)
        scores = [path[i].score(problem.X[test], y[test]) for i in range(3)]
        assert_array_equal(model.scores_path_[:, k], scores)
    assert_array_equal(model.predict(problem.X), model.path_.at(alpha=model.alpha_).predict(problem.X))
    if task == "multilabel":
        assert_same_fit(make_model(problem).fit(problem.X, sp.csr_array(y)), model)


def test_float32(make_problem):
    problem = make_problem("regression")
    model = small_network(problem).fit(problem.X.astype(np.float32), problem.y)
    assert {array.dtype for array in model.coefs_ + model.intercepts_} == {np.dtype(np.float32)}
    assert {W.dtype for W in model.path_.coefs} == {np.dtype(np.float32)}
    assert model.scores_path_.dtype == np.float64


def test_class_weight(make_problem):
    problem = make_problem("binary")
    factors = np.array([1.0, 3.0])[problem.y]
    model = make_model(problem, class_weight={1: 3.0}).fit(problem.X, problem.y)
    weighted = make_model(problem, alphas=model.alphas_).fit(problem.X, problem.y, factors)
    # The same fits; scores do not know of the classes' weights.
    assert_same_model(model.path_[0], weighted.path_[0])
    assert_array_equal(np.mean(model.predict(problem.X) == problem.y), model.score(problem.X, problem.y))
    assert (model.scores_path_ != weighted.scores_path_).any()


# ------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_parameters_are_those_of_the_plain_estimator_and_its_own(task, make_problem):
    model = make_model(make_problem(task))
    plain = (NormRegMLPRegressor if task == "regression" else NormRegMLPClassifier)()
    own = {"alphas", "n_alphas", "alpha_min_ratio", "cv", "scoring", "n_jobs", "selection", "n_restarts"}
    without = {"alpha", "warm_start", "early_stopping", "validation_fraction", "validation_scoring"}
    assert set(model.get_params()) == set(plain.get_params()) - without | own
    defaults = type(model)().get_params()
    assert {name: defaults[name] for name in plain.get_params().keys() - without} == {
        name: value for name, value in plain.get_params().items() if name not in without
    }


BAD = {
    "selection": (dict(selection="first"), "selection"),
    "n_alphas": (dict(n_alphas=1), "n_alphas"),
    "unsorted": (dict(alphas=[0.1, 1.0, 0.5]), "sorted"),
    "negative": (dict(alphas=[-1.0, 1.0]), "finite and >= 0"),
    "empty": (dict(alphas=[]), "at least one number"),
    "ratio": (dict(alpha_min_ratio=1.0), "alpha_min_ratio"),
    "restarts": (dict(n_restarts=0), "n_restarts"),
    "no folds": (dict(cv=[]), "gave no folds"),
    "too many folds": (dict(cv=100), "n_splits=100"),
    "not a scorer": (dict(scoring="good"), "scoring"),
    "no number": (dict(scoring=lambda *_: {}), "cannot score the model of a fold"),
    "no decision": (dict(scoring="roc_auc"), "cannot score the model of a fold"),
    "no strength": (dict(penalty="max_norm"), "alpha does not scale the penalty"),
    "no threads": (dict(n_jobs=0), "n_jobs"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case, make_problem):
    params, message = BAD[case]
    problem = make_problem("regression")
    model = make_model(problem).fit(problem.X, problem.y)
    before = fitted_state(model)
    with pytest.raises(ValueError, match=message):
        model.set_params(**params).fit(problem.X, problem.y)
    assert fitted_state(model) == before


def test_refused_of_the_data(make_problem):
    problem = make_problem("binary")
    X, y = problem.X, problem.y
    with pytest.raises(ValueError, match="descending"):
        small_network(problem, alphas=[1.0, 0.1]).fit(X, y)
    for unknown in (dict(X_val=X, y_val=y), dict(check_input=False)):
        with pytest.raises(TypeError, match=next(iter(unknown))):
            make_model(problem).fit(X, y, **unknown)
    with pytest.raises(ValueError, match="training rows of fold 1: y has one class only"):
        make_model(problem, cv=[(y >= 0, y == 0), (y == 0, y == 1)]).fit(X, y)
    with pytest.raises(ValueError, match=r"sample_weight.*\(59,\)"):
        make_model(problem).fit(X, y, np.ones(59))
    with pytest.raises(ValueError, match="Negative"):
        make_model(problem).fit(X, y, -np.ones(60))
    once = make_model(problem, cv=iter(list(KFold(2).split(X)))).fit(X, y)
    with pytest.raises(ValueError, match="make a list"):
        once.fit(X, y)
    with pytest.raises(TypeError, match="early_stopping"):
        type(once)(early_stopping=True)
    for follow in (regularization_path, stability_selection):
        with pytest.raises(TypeError, match="take its path_"):
            follow(make_model(problem), X, y)


def test_one_fold_has_no_error(make_problem):
    problem = make_problem("regression")
    model = make_model(problem, cv=[(np.arange(40), np.arange(40, 60))], selection="1se").fit(problem.X, problem.y)
    assert_array_equal(model.standard_errors_, 0.0)
    assert model.one_se_index_ == model.best_index_


# ------------------------------------------------------------------------------------- a fit that does not end


class Stop(Exception):
    pass


class FailingTask(Silent):
    """Fails where the path of the first fold begins, or where the fit ends."""

    def __init__(self, where):
        self.where, self.torn_down = where, False

    def on_fit_task_begin(self, estimator, context):
        if self.where == "path" and (context.task_name, context.task_id) == ("path", 0):
            raise Stop

    def on_fit_task_end(self, estimator, context):
        if self.where == context.task_name == "fit":
            raise Stop

    def teardown(self, estimator, context):
        self.torn_down = True


def fails(estimator, X, y):
    raise Stop


@pytest.mark.parametrize("case", ["path", "fit", "scorer"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_failure_changes_nothing_and_ends_all_threads(case, n_jobs, make_problem):
    problem = make_problem("regression")
    model = small_network(problem).fit(problem.X, problem.y)
    model.set_params(n_jobs=n_jobs, alphas=[0.1, 1.0])
    hook = FailingTask(case)
    model.set_callbacks(hook)
    if case == "scorer":
        model.set_params(scoring=fails)
    elif case == "path" and n_jobs == 2:  # the path of all data, in the other thread, goes on for ever
        model.set_params(max_iter=10**7, tol=0.0, n_iter_no_change=10**7)
    before, threads = fitted_state(model), threading.active_count()
    with pytest.raises(Stop):
        model.fit(problem.X, problem.y)
    assert fitted_state(model) == before
    assert hook.torn_down
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)  # joblib's own threads, which have nothing left to do
    assert threading.active_count() <= threads


# -------------------------------------------------------------------------------------------------- callbacks


class Recorder(Silent):
    """Notes every hook, with the estimator that the fit's end gives."""

    def __init__(self):
        self.events, self.fitted, self.metadata = [], None, []

    def setup(self, estimator, context):
        self.events.append(("setup", context.max_subtasks))

    def teardown(self, estimator, context):
        self.events.append(("teardown", None))

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.events.append(("begin", context.task_name, context.task_id))
        self.metadata.append(metadata)

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.events.append(("end", context.task_name, context.task_id))
        self.fitted = fitted_estimator


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_task_for_each_path(n_jobs, make_problem):
    problem = make_problem("binary")
    recorder, weight = Recorder(), np.ones(60)
    model = small_network(problem, n_jobs=n_jobs).set_callbacks(recorder).fit(problem.X, problem.y, weight)
    events = recorder.events
    assert events[:2] == [("setup", 4), ("begin", "fit", 0)]
    assert events[-2:] == [("end", "fit", 0), ("teardown", None)]
    for hook in ("begin", "end"):
        assert sorted(i for name, task, i in events[2:-2] if (name, task) == (hook, "path")) == [0, 1, 2, 3]
    assert all(events.index(("begin", "path", i)) < events.index(("end", "path", i)) for i in range(4))
    assert all(list(metadata) == ["sample_weight"] for metadata in recorder.metadata)
    assert_same_model(recorder.fitted, model)
    assert recorder.fitted.alpha_ == model.alpha_
    assert not np.shares_memory(recorder.fitted.coefs_[0], model.coefs_[0])
    assert_same_fit(small_network(problem).fit(problem.X, problem.y, weight), model)


def test_callbacks_of_others(make_problem, tmp_path, capsys):
    problem = make_problem("binary")
    monitor = ScoringMonitor(scoring="accuracy")
    model = make_model(problem, n_jobs=2).set_callbacks(ProgressBar(), monitor).fit(problem.X, problem.y)
    assert "100%" in capsys.readouterr().out
    (entry,) = monitor.get_logs().data
    assert (entry["task_name"], entry["accuracy"]) == ("fit", model.score(problem.X, problem.y))
    with pytest.raises(TypeError, match="Checkpoint saves one fit"):
        small_network(problem).set_callbacks(Checkpoint(tmp_path / "fit.npz")).fit(problem.X, problem.y)


# ------------------------------------------------------------------------------------------- among estimators


def test_all_that_a_fitted_model_has(make_problem):
    problem = make_problem("multiclass")
    X, y = problem.X, problem.y
    model = small_network(problem, selection="1se", penalty="group_lasso").fit(X, y)
    chosen = model.path_[model.one_se_index_]
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform"):
        assert_array_equal(getattr(model, name)(X), getattr(chosen, name)(X))
    assert set(vars(model)) - set(model.get_params()) == {
        name for name in vars(chosen) if name not in chosen.get_params()
    } | {
        "alpha_",
        "alphas_",
        "scores_path_",
        "mean_scores_",
        "standard_errors_",
        "best_index_",
        "one_se_index_",
        "path_",
    }
    assert_array_equal(model.feature_importances_, chosen.feature_importances_)
    assert (
        stationarity(model, X, y).relative
        == stationarity(chosen, X, y).relative
        == model.path_.residual[model.one_se_index_]
    )
    assert_array_equal(model.to_sklearn().predict(X), model.predict(X))
    compact = model.compact()
    assert_allclose(compact.predict_proba(X), model.predict_proba(X), rtol=1e-12)
    assert not hasattr(compact.fit(X, y), "input_indices_")
    assert not hasattr(model, "partial_fit") and hasattr(chosen, "partial_fit")
    for copied in (pickle.loads(pickle.dumps(model)), deepcopy(model), clone(model).fit(X, y)):
        assert_same_fit(copied, model)
    selected = SelectFromModel(make_model(problem), threshold=1e-9).fit(X, y)
    assert_array_equal(selected.get_support(), selected.estimator_.feature_importances_ > 0)
    assert not hasattr(clone(model), "alpha")


def test_in_a_search_and_a_pipeline(make_problem):
    problem = make_problem("regression")
    pipe = make_pipeline(StandardScaler(), make_model(problem, penalty="elasticnet"))
    grid = {"normregmlpregressorcv__l1_ratio": [0.1, 1.0]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(problem.X, problem.y)
    alone = clone(pipe).set_params(**search.best_params_).fit(problem.X, problem.y)
    assert_same_fit(search.best_estimator_[-1], alone[-1])
    assert search.score(problem.X, problem.y) == alone.score(problem.X, problem.y) > 0.5
