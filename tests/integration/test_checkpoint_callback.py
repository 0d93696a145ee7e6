"""What Checkpoint saves and when, and what it refuses."""

import joblib
import numpy as np
import pytest
from checkpoints import Kill, assert_same_fit, check_every_epoch
from fits import make_model
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer, checkpoint, warm_start
from sknormnet.callbacks import Checkpoint, resume
from sknormnet.losses import Loss, SquaredError
from sknormnet.penalties import Penalty

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("no_fsync"),
]


# ------------------------------------------------------------------------------------------- what is not our own


class OwnLoss(Loss):
    def __init__(self, factor=2.0):
        self.factor = factor

    def value_and_gradient(self, y, raw, sample_weight=None):
        value, gradient = SquaredError().value_and_gradient(y, raw, sample_weight)
        return self.factor * value, self.factor * gradient


class OwnPenalty(Penalty):
    smooth = True

    def value(self, W, strength):
        return strength * float(np.sum(W**4))

    def subgradient(self, W, strength):
        return strength * 4 * W**3


class OwnRegressor(NormRegMLPRegressor):
    pass


def own_scorer(estimator, X, y):
    return -np.abs(estimator.predict(X) - y).max()


OWN = {
    "loss": ("loss .*OwnLoss", dict(loss=OwnLoss())),
    "penalty": ("penalty .*OwnPenalty", dict(penalty=PerLayer("l1", "l2", OwnPenalty()))),
    "scorer": ("validation_scoring .*function", dict(validation_scoring=own_scorer, early_stopping=True)),
    "class": ("the class .*OwnRegressor", dict()),
}


@pytest.mark.parametrize("own", OWN)
def test_what_is_not_ours_needs_an_estimator(own, make_problem, tmp_path):
    problem = make_problem("regression")
    named, params = OWN[own]
    Estimator = OwnRegressor if own == "class" else NormRegMLPRegressor

    def make(**more):
        return Estimator((4,), max_iter=4, random_state=0, **params, **more)

    path = tmp_path / "fit"
    check_every_epoch(make, path, problem.X, problem.y, estimator=True)
    with pytest.raises(ValueError, match=f"{named}.*estimator="):
        resume(path, problem.X, problem.y)
    with pytest.raises(ValueError, match=r"estimator has alpha=0.5; the fit in .*fit had 0.0001"):
        resume(path, problem.X, problem.y, estimator=make(alpha=0.5))
    with pytest.raises(ValueError, match=r"estimator is a .*Classifier; the fit in .*Regressor"):
        resume(path, problem.X, problem.y, estimator=NormRegMLPClassifier())
    given = make(verbose=False)
    resume(path, problem.X, problem.y, estimator=given)
    assert not hasattr(given, "coefs_")


# ----------------------------------------------------------------------------------------------- when, and where


def count_saves(monkeypatch):
    saved = []
    original = checkpoint.storage.write
    monkeypatch.setattr(checkpoint.storage, "write", lambda *args: saved.append(args[0]) or original(*args))
    return saved


@pytest.mark.parametrize(("every", "expected"), [(1, 12 + 1), (4, 3 + 1), (5, 3 + 1), (100, 1 + 1)])
def test_every_epochs(every, expected, make_problem, tmp_path, monkeypatch):
    """At the start, every k epochs while there are more to come, and at the end; the state is made for these alone."""
    saved, asked = count_saves(monkeypatch), []
    original = warm_start.Standing.attributes
    monkeypatch.setattr(warm_start.Standing, "attributes", lambda self: asked.append(1) or original(self))
    problem = make_problem("regression")
    model = make_model(problem, max_iter=12, tol=0.0).set_callbacks(Checkpoint(tmp_path / "fit", every_epochs=every))
    model.fit(problem.X, problem.y)
    assert len(saved) == len(asked) == expected
    assert sorted(tmp_path.iterdir()) == [tmp_path / "fit"]
    model.partial_fit(problem.X, problem.y)
    assert len(saved) == expected


def test_every_seconds(make_problem, tmp_path, monkeypatch):
    """The clock is asked once an epoch, and once in a save."""
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(now))
    saved = count_saves(monkeypatch)
    problem = make_problem("regression")
    saver = Checkpoint(tmp_path / "fit", every_epochs=None, every_seconds=30)
    make_model(problem, max_iter=9, tol=0.0).set_callbacks(saver).fit(problem.X, problem.y)
    assert len(saved) == 1 + 2 + 1  # at 0; asked at 20, 30, 40 since; ...


@pytest.mark.parametrize(
    "bad",
    [dict(every_epochs=0), dict(every_epochs=1.5), dict(every_epochs=True), dict(every_seconds=0.0)]
    + [dict(every_seconds=np.nan), dict(every_seconds="60"), dict(every_seconds=None)],
)
def test_bad_parameters(bad):
    with pytest.raises(ValueError, match="every_"):
        Checkpoint("fit", **bad)


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_full_batch_solvers_are_refused(solver, make_problem, tmp_path):
    problem = make_problem("regression")
    model = make_model(problem, solver=solver).set_callbacks(Checkpoint(tmp_path / "fit"))
    with pytest.raises(ValueError, match=rf"\['adam', 'sgd'\]; '{solver}' cannot"):
        model.fit(problem.X, problem.y)
    assert not hasattr(model, "coefs_") and list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told_at_once(make_problem, tmp_path):
    problem = make_problem("regression")
    model = make_model(problem, max_iter=10**9).set_callbacks(Checkpoint(tmp_path / "no" / "fit"))
    with pytest.raises(FileNotFoundError):
        model.fit(problem.X, problem.y)
    with pytest.raises(FileNotFoundError):
        resume(tmp_path / "no" / "fit", problem.X, problem.y)


def test_in_a_pipeline(make_problem, tmp_path):
    problem = make_problem("regression")
    path = tmp_path / "fit"
    pipe = make_pipeline(StandardScaler(), make_model(problem))
    with pytest.raises(TypeError, match=r"not of a Pipeline; set it on the network"):
        pipe.set_callbacks(Checkpoint(path)).fit(problem.X, problem.y)
    pipe.set_callbacks()
    pipe[-1].set_callbacks(Checkpoint(path))
    pipe.fit(problem.X, problem.y)
    assert_same_fit(resume(path, pipe[0].transform(problem.X), problem.y), pipe[-1])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_in_a_search_the_refit_is_saved(n_jobs, make_problem, tmp_path, monkeypatch):
    problem = make_problem("binary")
    path = tmp_path / "fit"
    saved = count_saves(monkeypatch)
    pipe = make_pipeline(StandardScaler(), make_model(problem, max_iter=3).set_callbacks(Checkpoint(path)))
    search = GridSearchCV(pipe, {"normregmlpclassifier__alpha": [1e-4, 1.0]}, cv=2, n_jobs=n_jobs)
    with joblib.parallel_config(backend="threading"):  # one Checkpoint for all clones
        search.fit(problem.X, problem.y)
    assert len(saved) == 2
    best = search.best_estimator_
    resumed = resume(path, best[0].transform(problem.X), problem.y)
    assert_same_fit(resumed, best[-1])
    assert accuracy_score(problem.y, resumed.predict(best[0].transform(problem.X))) == search.score(
        problem.X, problem.y
    )


class FitInside(Kill):
    """Another fit in the middle of one, as in another process."""

    def __init__(self, at, other, *data):
        self.at, self.other, self.data = at, other, data

    def on_fit_task_end(self, estimator, context):
        if context.task_id + 1 == self.at:
            self.other.fit(*self.data)


def test_two_fits_at_once(make_problem, tmp_path):
    problem = make_problem("regression")
    path, data = tmp_path / "fit", (problem.X, problem.y)
    saver = Checkpoint(path, every_epochs=1)
    for other, cause in ((Checkpoint(path), "written by another fit"), (saver, "saves another fit to .*fit now")):
        inner = make_model(problem).set_callbacks(other)
        model = make_model(problem).set_callbacks(saver, FitInside(3, inner, *data))
        with pytest.raises(RuntimeError, match=cause):
            model.fit(*data)
    make_model(problem).set_callbacks(saver).fit(*data)  # one after the other is no conflict
    assert_same_fit(resume(path, *data), make_model(problem).fit(*data))


def test_a_model_that_a_callback_gets_can_go_on(make_problem):
    """By warm start and by partial_fit, as if its fit had ended there; the fit that goes on does not notice."""

    class Keep(Kill):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if context.task_id + 1 == self.at:
                self.model = fitted_estimator

    problem = make_problem("regression")
    keeper = Keep(4)
    params = dict(max_iter=8, tol=0.0, penalty="l1", solver="sgd")
    whole = make_model(problem, **params).set_callbacks(keeper).fit(problem.X, problem.y)
    parts = [keeper.model.set_callbacks() for _ in range(2)]
    parts[1] = checkpoint.clone(whole.set_callbacks()).set_params(max_iter=4, warm_start=True).fit(problem.X, problem.y)
    assert parts[0].history_["objective"] == parts[1].history_["objective"] == whole.history_["objective"][:4]
    for _ in range(4):
        parts[0].partial_fit(problem.X, problem.y)
        parts[1].partial_fit(problem.X, problem.y)
    for model in parts:
        assert model.history_["objective"] == whole.history_["objective"]
        assert all(np.array_equal(W, V) for W, V in zip(model.coefs_, whole.coefs_, strict=True))
