"""A fit that was killed at any moment, resumed from its checkpoint, ends with the bits of an undisturbed one."""

import signal
import subprocess
import sys
import time
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from checkpoints import KeepAll, Kill, assert_same_fit, killed
from fits import halves, make_model
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer, checkpoint, warm_start
from sknormnet.callbacks import Checkpoint, resume
from sknormnet.losses import LOSSES, Huber, Loss, SquaredError
from sknormnet.penalties import L1, L2, GroupLasso, Penalty, Sum

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch):
    """Which is slow, and matters where a machine loses its power."""
    monkeypatch.setattr(checkpoint.storage.os, "fsync", lambda file: None)


STEPS = dict(solver="sgd", momentum=0.5, learning_rate_init=0.2, batch_size=20)


def check_every_epoch(make, path, *args, estimator=None, **kwargs):
    """Resume from the start, from every epoch and from the end; make() is an unfitted estimator."""
    whole = make().fit(*args, **kwargs)
    keeper = KeepAll(path)
    watched = make().set_callbacks(Checkpoint(path, every_epochs=1), keeper).fit(*args, **kwargs)
    assert_same_fit(watched, whole)
    assert len(keeper.kept) >= watched.n_iter_ + 1
    for kept in keeper.kept:
        own = {} if estimator is None else {"estimator": make()}
        assert_same_fit(resume(kept, *args, **own, **kwargs), whole)
    return whole


EARLY = {
    "accuracy": dict(),
    "loss": dict(validation_scoring="loss"),
    "scorer": dict(validation_scoring="roc_auc"),
    "adaptive": dict(learning_rate="adaptive", validation_scoring="loss", n_iter_no_change=2),
    "cosine": dict(learning_rate="cosine", validation_scoring="loss"),
    "max_iter": dict(validation_scoring="loss", max_iter=4),
    "tolerance": dict(validation_scoring="loss", tol=1.0),
    "warm start": dict(warm_start=True),
}


@pytest.mark.parametrize("own", [False, True], ids=["split", "X_val"])
@pytest.mark.parametrize("params", EARLY)
def test_early_stopping(params, own, make_problem, tmp_path):
    problem = make_problem("binary")
    params = dict(early_stopping=True, n_iter_no_change=3, max_iter=7, **STEPS) | EARLY[params]
    data, validation = halves(problem) if own else ((problem.X, problem.y), {})
    if own:
        validation["sample_weight_val"] = np.linspace(0, 2, 20)
    weight = np.linspace(1, 2, len(data[0]))
    whole = check_every_epoch(lambda: make_model(problem, **params), tmp_path / "fit", *data, weight, **validation)
    assert whole.best_validation_score_ is not None


def test_watched_validation_data(make_problem, tmp_path):
    """Without early stopping: the best parameters are restored, the objective decides when to stop."""
    problem = make_problem("regression")
    data, validation = halves(problem)
    params = dict(max_iter=6, validation_scoring="loss", learning_rate_init=0.3)
    check_every_epoch(lambda: make_model(problem, **params), tmp_path / "fit", *data, **validation)


def test_patience(make_problem, tmp_path):
    problem = make_problem("regression")
    params = dict(max_iter=20, tol=0.05, n_iter_no_change=3)
    whole = check_every_epoch(lambda: make_model(problem, **params), tmp_path / "fit", problem.X, problem.y)
    assert whole.stop_reason_ == "patience" and whole.n_iter_ < 20


LABELS = {
    "integers": np.array([3, 5, 9]),
    "strings": np.array(["a", "bb", "c\u0000d"]),
    "objects": np.array(["a", "bb", "\u00e9"], dtype=object),  # classes_ then is an array of strings
    "floats": np.array([-1.0, 0.0, 2.0]),
    "bytes": np.array([1, 2, 3], dtype=np.uint8),
}


@pytest.mark.parametrize("class_weight", [None, "balanced", "dict"])
@pytest.mark.parametrize("labels", LABELS)
def test_classes(labels, class_weight, make_problem, tmp_path):
    problem = make_problem("multiclass")
    y = LABELS[labels][problem.y]
    if class_weight == "dict":
        class_weight = dict(zip(LABELS[labels].tolist(), (0.5, 2.0, 0.0), strict=True))
    params = dict(class_weight=class_weight, max_iter=1)
    whole = check_every_epoch(lambda: make_model(problem, **params), tmp_path / "fit", problem.X, y)
    assert list(whole.classes_) == list(LABELS[labels][: 2 if isinstance(class_weight, dict) else 3])


def test_booleans_and_frames(make_problem, tmp_path):
    problem = make_problem("binary")
    X, y = pd.DataFrame(problem.X, columns=list("abcde")), pd.Series(problem.y == 1)
    whole = check_every_epoch(lambda: make_model(problem, max_iter=2), tmp_path / "fit", X, y)
    assert list(whole.feature_names_in_) == list("abcde") and whole.classes_.dtype == bool


@pytest.mark.parametrize("value", [{1}, np.array(["a", 1], dtype=object)])
def test_attributes_that_no_file_can_hold_are_named_at_once(value, make_problem, tmp_path):
    problem = make_problem("binary")
    model = make_model(problem, max_iter=10**9).set_callbacks(Checkpoint(tmp_path / "fit"))
    model.note_ = value
    with pytest.raises(TypeError, match="cannot save note_, which holds"):
        model.fit(problem.X, problem.y)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss, make_problem, tmp_path):
    task = LOSSES[loss].task
    problem = make_problem("multioutput" if task == "regression" else "multiclass")
    y = np.exp(problem.y) if task == "regression" else problem.y
    params = dict(loss=LOSSES[loss](), max_iter=2, learning_rate_init=0.01)
    check_every_epoch(lambda: make_model(problem, **params), tmp_path / "fit", problem.X, y)


def test_parameters_of_all_kinds(make_problem, tmp_path):
    problem = make_problem("regression")
    params = dict(
        hidden_layer_sizes=[5, 4],
        activation=PerLayer("tanh", "relu", "softplus"),
        loss=Huber(np.float64(1.25)),
        penalty=[Sum((L1(), GroupLasso("input", groups=np.array([0, 0, 1, 1, 2])))), "mcp", L2()],
        layer_weights=PerLayer(2, 1, np.float32(0.5), scale="fan"),
        feature_weights=(1, 1, 0, 0, 2.5),
        dtype=np.float32,
        n_iter_no_change=np.inf,
        alpha=1e-300,
    )
    whole = check_every_epoch(lambda: make_model(problem, max_iter=2, **params), tmp_path / "fit", problem.X, problem.y)
    assert whole.coefs_[0].dtype == np.float32


STREAMS = {
    "RandomState": lambda: np.random.RandomState(3),
    "PCG64": lambda: np.random.RandomState(np.random.PCG64(3)),
    "Philox": lambda: np.random.RandomState(np.random.Philox(3)),
    "SFC64": lambda: np.random.RandomState(np.random.SFC64(3)),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("warm", [False, True])
def test_random_state_objects(stream, warm, make_problem, tmp_path):
    """The object itself is moved on as it would have been, but in warm starts, which go on with a stream of theirs."""
    problem = make_problem("regression")

    def make():
        model = make_model(problem, random_state=STREAMS[stream](), early_stopping=True, warm_start=warm, max_iter=3)
        return model.fit(problem.X, problem.y) if warm else model

    check_every_epoch(make, tmp_path / "fit", problem.X, problem.y)


def test_no_random_state(make_problem, tmp_path):
    problem = make_problem("regression")
    before = np.random.get_state()  # noqa: NPY002
    whole = make_model(problem, random_state=None).fit(problem.X, problem.y)
    np.random.set_state(before)  # noqa: NPY002
    path = killed(make_model(problem, random_state=None), tmp_path / "fit", 3, problem.X, problem.y)
    np.random.random(7)  # noqa: NPY002
    assert_same_fit(resume(path, problem.X, problem.y), whole)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_warm_starts(solver, make_problem, tmp_path):
    """The third of three fits is killed; a fourth goes on from where it ended."""
    problem = make_problem("multiclass")
    whole = make_model(problem, solver=solver, warm_start=True, max_iter=3)
    model = make_model(problem, solver=solver, warm_start=True, max_iter=3)
    for m in (whole, model):
        m.fit(problem.X, problem.y).fit(problem.X, problem.y)
    whole.fit(problem.X, problem.y)
    model = resume(killed(model, tmp_path / "fit", 2, problem.X, problem.y), problem.X, problem.y)
    assert_same_fit(model, whole)
    assert len(model.loss_curve_) == 9
    model.set_callbacks()
    assert_same_fit(model.fit(problem.X, problem.y), whole.fit(problem.X, problem.y))
    assert_same_fit(model.partial_fit(problem.X, problem.y), whole.partial_fit(problem.X, problem.y))


def test_killed_again_and_again(make_problem, tmp_path):
    problem = make_problem("regression")
    whole = make_model(problem, max_iter=9).fit(problem.X, problem.y)
    path = killed(make_model(problem, max_iter=9), tmp_path / "fit", 2, problem.X, problem.y)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            resume(path, problem.X, problem.y, callbacks=[Checkpoint(path, every_epochs=1), Kill(3)])
    model = resume(path, problem.X, problem.y)
    assert_same_fit(model, whole)
    (saver,) = model._skl_callbacks
    assert (saver.path, saver.every_epochs, saver.every_seconds) == (path, 1, 60.0)


def test_a_fit_that_a_callback_stopped_stays_so(make_problem, tmp_path):
    class Stop(Kill):
        def on_fit_task_end(self, estimator, context):
            return context.task_id + 1 == self.at

    problem = make_problem("regression")
    path = tmp_path / "fit"
    model = make_model(problem).set_callbacks(Checkpoint(path), Stop(3)).fit(problem.X, problem.y)
    resumed = resume(path, problem.X, problem.y)
    assert_same_fit(resumed, model)
    assert (resumed.n_iter_, resumed.stop_reason_) == (3, "callback")


def test_divergence_comes_again(make_problem, tmp_path):
    problem = make_problem("regression")
    params = dict(hidden_layer_sizes=(), solver="sgd", batch_size=60, learning_rate_init=1.5, max_iter=2000)
    whole = make_model(problem, **params).fit(problem.X, problem.y)
    assert whole.stop_reason_ == "diverged"
    path = tmp_path / "fit"
    make_model(problem, **params).set_callbacks(Checkpoint(path, every_epochs=5)).fit(problem.X, problem.y)
    assert_same_fit(resume(path, problem.X, problem.y), whole)


SCRIPT = """
import os, signal, sys, warnings
import numpy as np
from sknormnet import NormRegMLPClassifier
from sknormnet.callbacks import Checkpoint

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.standard_normal((200, 6))
y = np.array(["no", "yes"])[(X[:, 0] * X[:, 1] > 0).astype(int)]
model = NormRegMLPClassifier(
    (8,), penalty="l1", early_stopping=True, n_iter_no_change=np.inf, max_iter=int(sys.argv[2]), random_state=0
)
saves = []
savez = np.savez

def die_in_the_seventh(file, **arrays):
    saves.append(1)
    if len(saves) == 7:
        file.write(b"half a file")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    savez(file, **arrays)

if sys.argv[3] == "while saving":
    np.savez = die_in_the_seventh
model.set_callbacks(Checkpoint(sys.argv[1], every_epochs=1))
print("fitting", flush=True)
model.fit(X, y)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("moment", ["at random", "while saving"])
def test_sigkill(moment, tmp_path):
    path = tmp_path / "fit.npz"
    command = [sys.executable, "-c", SCRIPT, str(path), "1000000", moment]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == "fitting", process.stderr.read()
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if moment == "at random":
            time.sleep(0.3)
            process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(SCRIPT.split("saves = []")[0].replace("int(sys.argv[2])", "1000000"), names)
    X, y, model = names["X"], names["y"], names["model"]

    class StopLater(Kill):  # 1000000 epochs are too many
        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            return fitted_estimator.n_iter_ == self.at

    with open(path, "rb") as file:
        done = checkpoint._read(file)["attributes"]["n_iter_"]
    assert done > 0 if moment == "at random" else done == 5
    resumed = resume(path, X, y, callbacks=[StopLater(done + 10)])
    assert_same_fit(resumed, model.set_callbacks(StopLater(done + 10)).fit(X, y))
    assert resumed.n_iter_ == done + 10


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
