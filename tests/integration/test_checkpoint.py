"""A fit that was killed at any moment, resumed from its checkpoint, ends with the bits of an undisturbed one."""

import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from checkpoints import Kill, assert_same_fit, check_every_epoch, killed
from fits import halves, make_model

from sknormnet import PerLayer, checkpoint
from sknormnet.callbacks import Checkpoint, resume
from sknormnet.losses import LOSSES, Huber
from sknormnet.penalties import L1, L2, GroupLasso, Sum

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("no_fsync"),
]


STEPS = dict(solver="sgd", momentum=0.5, learning_rate_init=0.2, batch_size=20)


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


@pytest.mark.parametrize("narrow_first", [True, False])
def test_indices_of_another_width_are_the_same_data(narrow_first, tmp_path, make_problem):
    problem = make_problem("regression")
    narrow = scipy.sparse.csr_array(np.where(problem.X > 0, problem.X, 0))
    wide = narrow.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    first, second = (narrow, wide) if narrow_first else (wide, narrow)
    path = killed(make_model(problem), tmp_path / "fit", 3, first, problem.y)
    assert_same_fit(resume(path, second, problem.y), make_model(problem).fit(first, problem.y))
