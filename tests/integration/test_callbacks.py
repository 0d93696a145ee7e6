"""scikit-learn's callback protocol: one task per epoch, models on demand, and stopping."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from fits import assert_same_model, epochs, make_model
from hooks import Silent
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknormnet.base
import sknormnet.solvers.monitor

SOLVERS = ("sgd", "adam", "lbfgs", "fista")
ignore_unfinished = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Recorder:
    """Notes every hook; stop(n) says after how many epochs to stop, fail names a hook that raises."""

    def __init__(self, stop=None, fail=None):
        self.stop = stop
        self.fail = fail
        self.events = []

    def _note(self, hook, context, **more):
        self.events.append({"hook": hook, "task": context.task_name, "id": context.task_id, **more})
        if self.fail == (hook, context.task_name):
            raise RuntimeError(f"{hook} of {context.task_name} failed")

    def setup(self, estimator, context):
        self._note("setup", context, most=context.max_subtasks)

    def teardown(self, estimator, context):
        self._note("teardown", context)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self._note("begin", context, X=X, y=y, metadata=metadata, model=fitted_estimator)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self._note("end", context, X=X, y=y, metadata=metadata, model=fitted_estimator)
        return context.task_name == "epoch" and self.stop is not None and context.task_id + 1 >= self.stop

    def of(self, hook, task="epoch"):
        return [event for event in self.events if (event["hook"], event["task"]) == (hook, task)]


@ignore_unfinished
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_one_task_an_epoch(solver, loss, make_problem):
    problem = make_problem("regression")
    recorder = Recorder()
    model = make_model(problem, solver=solver, loss=loss, max_iter=9).set_callbacks(recorder).fit(problem.X, problem.y)
    hooks = [(event["hook"], event["task"], event["id"]) for event in recorder.events]
    assert hooks[:2] == [("setup", "fit", 0), ("begin", "fit", 0)]
    assert hooks[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]
    assert hooks[2:-2] == [(hook, "epoch", k) for k in range(model.n_iter_) for hook in ("begin", "end")]
    assert recorder.events[0]["most"] == 9
    assert len(model.loss_curve_) == model.n_iter_


@ignore_unfinished
@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_fitted_estimator_is_the_model_of_its_epoch(solver, task, make_problem):
    """The end of one epoch is the beginning of the next, and equals a fit that ended there."""
    problem = make_problem(task)
    recorder = Recorder()
    model = make_model(problem, solver=solver).set_callbacks(recorder).fit(problem.X, problem.y)
    begins, ends = ([event["model"] for event in recorder.of(hook)] for hook in ("begin", "end"))
    for at_end, alone in zip(ends, epochs(problem, (problem.X, problem.y), 6, solver=solver), strict=True):
        assert_same_model(at_end, alone)
        assert_array_equal(at_end.predict(problem.X), alone.predict(problem.X))
        assert at_end.score(problem.X, problem.y) == alone.score(problem.X, problem.y)
    for at_end, at_begin in zip(ends[:-1], begins[1:], strict=True):
        assert_same_model(at_end, at_begin)
    assert not np.array_equal(begins[0].coefs_[0], ends[0].coefs_[0])
    assert_same_model(recorder.of("end", "fit")[0]["model"], model)


@ignore_unfinished
def test_hooks_get_the_data_as_the_user_gave_them(make_problem):
    problem = make_problem("binary")
    X, y = pd.DataFrame(problem.X, columns=list("abcde")), pd.Series(np.array(["no", "yes"])[problem.y])
    weight = np.linspace(0.5, 1.5, 60)
    recorder = Recorder()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*feature names")
        make_model(problem).set_callbacks(recorder).fit(X, y, weight)
        for event in recorder.of("begin") + recorder.of("end"):
            assert event["X"] is X and event["y"] is y and event["metadata"]["sample_weight"] is weight
            assert set(event["model"].predict(event["X"])) <= {"no", "yes"}


@ignore_unfinished
@pytest.mark.parametrize("solver", SOLVERS)
def test_fitted_bits_and_cost_are_those_without_callbacks(solver, make_problem, monkeypatch):
    problem = make_problem("binary")
    model = make_model(problem, solver=solver).set_callbacks(Recorder(), Silent()).fit(problem.X, problem.y)

    def refuse(*args, **kwargs):
        raise AssertionError("a model is made that nobody asked for")

    monkeypatch.setattr(sknormnet.base.EpochTasks, "__init__", refuse)
    plain = make_model(problem, solver=solver).fit(problem.X, problem.y)
    assert_same_model(model, plain)
    assert model.history_["objective"] == plain.history_["objective"]
    assert set(vars(model)) - set(vars(plain)) == {"_skl_callbacks"}


@ignore_unfinished
def test_models_are_made_on_demand(make_problem, monkeypatch):
    problem = make_problem("regression")
    made = []
    original = sknormnet.base.BaseNormRegMLP._network_attributes
    monkeypatch.setattr(
        sknormnet.base.BaseNormRegMLP, "_network_attributes", lambda *args: made.append(1) or original(*args)
    )
    make_model(problem).set_callbacks(Silent()).fit(problem.X, problem.y)
    assert len(made) == 1  # the fitted attributes
    made.clear()
    make_model(problem).set_callbacks(Recorder()).fit(problem.X, problem.y)
    assert len(made) == 1 + 2 * 6 + 1  # beginnings and ends of the epochs, and the end of the fit


@ignore_unfinished
@pytest.mark.parametrize("warm_start", [False, True])
def test_models_of_a_refit_have_its_history_so_far_and_no_records_of_the_earlier_fit(warm_start, make_problem):
    problem = make_problem("binary")
    first, second = Recorder(), Recorder()
    model = make_model(problem, warm_start=warm_start).set_callbacks(first).fit(problem.X, problem.y)
    model.set_callbacks(second).fit(problem.X, problem.y)
    earlier = 6 if warm_start else 0
    for epoch, (one, two) in enumerate(zip(first.of("end"), second.of("end"), strict=True), 1):
        assert not hasattr(two["model"], "objective_")
        assert vars(one["model"]).keys() == vars(two["model"]).keys()
        assert two["model"].history_["objective"] == model.history_["objective"][: earlier + epoch]
    assert len(model.history_["objective"]) == earlier + 6


class Vandal(Silent):
    """Uses the models that it gets as any fitted model, and then destroys them."""

    def __init__(self, X, y):
        self.data = X, y

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        X, y = self.data
        expected = fitted_estimator.predict(X)
        assert_allclose(fitted_estimator.to_sklearn().predict(X), expected, rtol=1e-12)
        assert_allclose(fitted_estimator.compact().predict(X), expected, rtol=1e-12)
        given = fitted_estimator.coefs_ + fitted_estimator.intercepts_
        assert not np.array_equal(fitted_estimator.set_callbacks().partial_fit(X, y).predict(X), expected)
        for part in given:
            part[:] = np.nan


@ignore_unfinished
@pytest.mark.parametrize("warm_start", [False, True])
def test_what_is_done_to_its_models_does_not_reach_the_fit(warm_start, make_problem):
    problem = make_problem("regression")
    model, alone = (make_model(problem, warm_start=warm_start) for _ in range(2))
    for _ in range(2):
        model.set_callbacks(Vandal(problem.X, problem.y)).fit(problem.X, problem.y)
        assert_same_model(model, alone.fit(problem.X, problem.y))
    assert model.history_["objective"] == alone.history_["objective"]


def test_in_the_middle_of_a_first_fit_the_estimator_is_not_fitted(make_problem):
    problem = make_problem("regression")

    class Eager(Silent):
        def on_fit_task_end(self, estimator, context):
            estimator.predict(problem.X)

    with pytest.raises(NotFittedError):
        make_model(problem).set_callbacks(Eager()).fit(problem.X, problem.y)


@ignore_unfinished
@pytest.mark.parametrize("solver", SOLVERS)
def test_seconds_are_without_those_of_callbacks(solver, make_problem, monkeypatch):
    """By a clock that moves while callbacks run only."""

    class Slow(Silent):
        now = 0.0

        def on_fit_task_begin(self, estimator, context):
            self.now += 1.0

        def on_fit_task_end(self, estimator, context):
            self.now += 10.0

    slow = Slow()
    monkeypatch.setattr(sknormnet.solvers.monitor.time, "perf_counter", lambda: slow.now)
    problem = make_problem("regression")
    model = make_model(problem, solver=solver).set_callbacks(slow).fit(problem.X, problem.y)
    assert slow.now >= 6 * 11
    assert model.history_["seconds"] == [0.0] * 6


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_true_stops_the_fit_without_a_warning(solver, early_stopping, make_problem):
    problem = make_problem("regression")
    common = dict(solver=solver, early_stopping=early_stopping, tol=0.0)
    model = make_model(problem, max_iter=50, **common).set_callbacks(Recorder(stop=4), Silent())
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model.fit(problem.X, problem.y)
    assert model.stop_reason_ == "callback"
    assert model.n_iter_ == len(model.loss_curve_) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert_same_model(model, make_model(problem, max_iter=4, **common).fit(problem.X, problem.y))


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_true_stops_a_kinked_loss_too(solver, make_problem):
    """Not only the minimisation of one smoothing."""
    problem = make_problem("regression")
    recorder = Recorder(stop=3)
    model = make_model(problem, solver=solver, loss="absolute_error", max_iter=60).set_callbacks(recorder)
    model.fit(problem.X, problem.y)
    assert (model.stop_reason_, model.n_iter_, len(recorder.of("end"))) == ("callback", 3, 3)


HOOKS = [("setup", "fit"), ("begin", "fit"), ("begin", "epoch"), ("end", "epoch"), ("end", "fit")]


@ignore_unfinished
@pytest.mark.parametrize("hook", HOOKS, ids=" of ".join)
@pytest.mark.parametrize("solver", SOLVERS)
def test_failing_hook_leaves_the_estimator_as_it_was(solver, hook, make_problem):
    problem = make_problem("regression")
    model = make_model(problem, solver=solver, max_iter=3).fit(problem.X, problem.y)
    before = joblib.hash(vars(model))
    recorder = Recorder(fail=hook)
    model.set_params(alpha=0.5).set_callbacks(recorder)
    with pytest.raises(RuntimeError, match=f"{hook[0]} of {hook[1]} failed"):
        model.fit(problem.X, problem.y)
    assert recorder.events[-1]["hook"] == "teardown"
    assert joblib.hash(vars(model.set_params(alpha=1e-3).set_callbacks())) == before


def test_teardown_follows_a_refused_fit(make_problem):
    problem = make_problem("regression")
    recorder = Recorder()
    model = make_model(problem).set_callbacks(recorder)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(problem.X * np.nan, problem.y)
    assert [event["hook"] for event in recorder.events] == ["setup", "begin", "teardown"]
    assert not hasattr(model, "coefs_")


def test_divergence_is_not_hidden_by_a_stop(make_problem):
    """A linear model under too long steps grows by a factor in each epoch."""
    problem = make_problem("regression")
    model = make_model(problem, hidden_layer_sizes=(), solver="sgd", batch_size=60, learning_rate_init=1.5)
    model.set_callbacks(Recorder(stop=6))
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(problem.X, problem.y)
    assert model.stop_reason_ == "diverged"
    assert model.n_iter_ == 6


def test_clone_shares_callbacks_and_partial_fit_calls_none(make_problem):
    problem = make_problem("regression")
    recorder = Recorder()
    model = make_model(problem).set_callbacks(recorder)
    assert clone(model)._skl_callbacks == [recorder]
    model.partial_fit(problem.X, problem.y)
    assert recorder.events == []


def logged(monitor):
    return [row["r2"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]


@ignore_unfinished
@pytest.mark.parametrize("solver", SOLVERS)
def test_scoring_monitor(solver, make_problem):
    problem = make_problem("regression")
    monitor = ScoringMonitor(scoring="r2")
    make_model(problem, solver=solver).set_callbacks(monitor).fit(problem.X, problem.y)
    alone = epochs(problem, (problem.X, problem.y), 6, solver=solver)
    assert logged(monitor) == [model.score(problem.X, problem.y) for model in alone]


@ignore_unfinished
def test_scoring_monitor_in_a_pipeline(make_problem):
    problem = make_problem("regression")
    monitor = ScoringMonitor(scoring="r2")
    pipe = make_pipeline(StandardScaler(), make_model(problem).set_callbacks(monitor)).fit(problem.X, problem.y)
    alone = epochs(problem, (pipe[0].transform(problem.X), problem.y), 6)
    assert logged(monitor) == [model.score(pipe[0].transform(problem.X), problem.y) for model in alone]


@pytest.mark.parametrize("inside", ["pipeline", "search"])
def test_a_users_callback_stops_fits_inside(inside, make_problem):
    """Told of the data that its step got; the epochs of every fit are counted from 0."""
    problem = make_problem("regression")
    recorder = Recorder(stop=3)
    pipe = make_pipeline(StandardScaler(), make_model(problem).set_callbacks(recorder))
    grid = {"normregmlpregressor__alpha": [1e-4, 1e-2]}
    model = pipe if inside == "pipeline" else GridSearchCV(pipe, grid, cv=2, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model.fit(problem.X, problem.y)
    best = model[-1] if inside == "pipeline" else model.best_estimator_[-1]
    assert (best.stop_reason_, best.n_iter_) == ("callback", 3)
    ends = recorder.of("end")
    assert [event["id"] for event in ends] == [0, 1, 2] * (1 if inside == "pipeline" else 2 * 2 + 1)
    assert_allclose(ends[-1]["X"], StandardScaler().fit_transform(problem.X))


@ignore_unfinished
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scoring_monitor_in_a_search(n_jobs, make_problem):
    problem = make_problem("regression")
    monitor = ScoringMonitor(scoring="r2")
    model = make_model(problem, max_iter=3).set_callbacks(monitor)
    grid = {"alpha": [1e-4, 1e-2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(model, grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(problem.X, problem.y)
    assert len(logged(monitor)) == 3 * (2 * 2 + 1)  # epochs of the folds and of the refit
    assert search.best_estimator_.score(problem.X, problem.y) in logged(monitor)


@ignore_unfinished
@pytest.mark.parametrize("inside", [None, "pipeline", "search"])
def test_progress_bar(inside, make_problem, capsys):
    problem = make_problem("regression")
    model = make_model(problem)
    if inside == "pipeline":
        model = make_pipeline(StandardScaler(), model)
    elif inside == "search":
        model = GridSearchCV(model, {"alpha": [1e-4, 1e-2]}, cv=2)
    model.set_callbacks(ProgressBar()).fit(problem.X, problem.y)
    assert "NormRegMLPRegressor" in capsys.readouterr().out


class Pickler(Silent):
    def __init__(self):
        self.restored = []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        pickle.dumps(estimator)
        self.restored.append(pickle.loads(pickle.dumps(fitted_estimator)))


@ignore_unfinished
def test_models_can_be_pickled_in_a_hook(make_problem):
    problem = make_problem("regression")
    pickler = Pickler()
    model = make_model(problem, max_iter=2).set_callbacks(pickler).fit(problem.X, problem.y)
    assert len(pickler.restored) == 3  # of two epochs and of the fit
    assert_array_equal(pickler.restored[1].predict(problem.X), model.predict(problem.X))
