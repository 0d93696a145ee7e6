"""A penalty of the user's own, in NumPy, works wherever a built-in one does, and fails as a user must see it."""

import copy
import pickle
import signal
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import oracles
import pytest
import scipy.sparse
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_penalties import Absolute, Box, LogSum, Ridge, RowLasso, SmoothL1

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import L2, GroupLasso, Penalty, ShapePenalty, Sum

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = {
    "plain": dict(solver="sgd", momentum=0.0, learning_rate_init=0.1),
    "heavy ball": dict(solver="sgd", momentum=0.9, nesterovs_momentum=False, learning_rate_init=0.02),
    "nesterov": dict(solver="sgd", momentum=0.9, nesterovs_momentum=True, learning_rate_init=0.02),
    "adam": dict(solver="adam", learning_rate_init=0.02),
    "fista": dict(solver="fista"),
    "lbfgs": dict(solver="lbfgs"),
}
RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5))
Y = np.column_stack([X[:, 0] - X[:, 1], X[:, 1] + np.tanh(X[:, 2])])


def make_model(penalty, solver="adam", **params):
    defaults = dict(hidden_layer_sizes=(6,), activation="tanh", alpha=0.05, batch_size=16, max_iter=15, random_state=0)
    return NormRegMLPRegressor(penalty=penalty, **(defaults | SOLVERS[solver] | params))


def assert_same_model(a, b, atol=1e-12):
    for left, right in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert_allclose(left, right, rtol=0, atol=atol)


# What the same function is called when it is built in.
RESTATED = {
    "rows": (RowLasso(), GroupLasso("input")),
    "shape by weight": (Absolute(), "l1"),
    "shape by input": (Absolute("input"), GroupLasso("input")),
    "shape by output": (Absolute("output"), GroupLasso("output")),
    "smooth": (Ridge(), "l2"),
    "smooth and l2": (Sum((Ridge(), L2()), weights=(0.5, 0.5)), "l2"),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("own, built_in", RESTATED.values(), ids=RESTATED)
def test_restating_a_built_in_penalty(own, built_in, solver):
    if (solver == "lbfgs" and "mooth" not in repr(own) and not own.smooth) or (
        solver == "adam" and own.name[:3] == "own"
    ):
        return  # refused; and under adam a matrix has one second moment, where rows have one each
    a, b = (make_model(penalty, solver).fit(X, Y) for penalty in (own, built_in))
    assert_same_model(a, b, atol=1e-10)
    assert a.objective_ == pytest.approx(b.objective_, rel=1e-10)


FUNCTIONS = [LogSum(0.5), LogSum(by="input"), LogSum(by="output"), LogSum(by="matrix"), SmoothL1(), RowLasso()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("penalty", FUNCTIONS, ids=repr)
def test_every_solver_reports_the_objective(penalty, solver, dtype):
    if solver == "lbfgs" and not penalty.smooth:
        with pytest.raises(ValueError, match=f"{type(penalty).__name__}.*use solver='fista' or 'adam'"):
            make_model(penalty, solver).fit(X, Y)
        return
    model = make_model(penalty, solver, penalize_intercepts=True, max_iter=40).fit(X.astype(dtype), Y.astype(dtype))
    matrices = [np.vstack([W, b]).astype(np.float64) for W, b in zip(model.coefs_, model.intercepts_, strict=True)]
    value = sum(oracles.penalty_value(penalty, W, 0.05) for W in matrices)
    loss = oracles.data_loss(X, Y, model.coefs_, model.intercepts_, loss=oracles.squared_error, activation="tanh")
    assert model.objective_ == pytest.approx(loss + value, rel=1e-5 if dtype == np.float32 else 1e-12)
    assert model.objective_ < model.loss_curve_[0]
    assert {a.dtype for a in model.coefs_} == {np.dtype(dtype)}


@pytest.mark.parametrize("solver", ["plain", "nesterov", "adam", "fista"])
def test_exact_zeros(solver):
    for penalty in (LogSum(by="input"), RowLasso()):
        model = make_model(PerLayer(penalty, "l2", "l2"), solver, alpha=0.2, max_iter=300, batch_size=60).fit(X, Y)
        zero = ~model.coefs_[0].any(axis=1)
        assert 0 < np.count_nonzero(zero) < 5
        assert zero[3:].all()  # inputs that have no effect


# ------------------------------------------------------------------------------- training in other ways, copies

BOTH = pytest.mark.parametrize(
    "own, built_in", [RESTATED["shape by input"], RESTATED["smooth"]], ids=["shape", "whole"]
)


@BOTH
def test_going_on(own, built_in):
    pairs = [make_model(p, warm_start=True, max_iter=4) for p in (own, built_in)]
    for model in pairs:
        model.fit(X, Y).fit(X, Y)
    assert_same_model(*pairs)
    pairs = [make_model(p) for p in (own, built_in)]
    for model in pairs:
        model.partial_fit(X[:30], Y[:30]).partial_fit(X[30:], Y[30:])
    assert_same_model(*pairs)
    pairs = [make_model(p, early_stopping=True).fit(X, Y) for p in (own, built_in)]
    assert_same_model(*pairs)
    table = scipy.sparse.csr_array(np.where(X > 0.5, X, 0))
    assert_same_model(*(make_model(p).fit(table, Y) for p in (own, built_in)))


@BOTH
def test_copies(own, built_in):
    model = make_model(own).fit(X, Y)
    for restored in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), clone(model)):
        assert repr(restored.penalty) == repr(own)
        assert_same_model(restored.fit(X, Y), model, atol=0)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_search(backend):
    def grid(n_jobs=None):
        pipeline = make_pipeline(StandardScaler(), make_model(LogSum(by="input"), max_iter=3))
        prefix = "normregmlpregressor__penalty"
        grid = {f"{prefix}__epsilon": [0.1, 1.0], f"{prefix}__by": ["input", "output"]}
        return GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(X, Y)

    with joblib.parallel_config(backend=backend):
        serial, parallel = grid(), grid(2)
    assert len(set(serial.cv_results_["mean_test_score"])) == 4
    assert_allclose(parallel.cv_results_["mean_test_score"], serial.cv_results_["mean_test_score"], rtol=1e-12)


SCRIPT = """
import numpy as np
from sklearn.model_selection import GridSearchCV
from sknormnet import NormRegMLPRegressor
from sknormnet.penalties import Penalty, ShapePenalty

class Absolute(ShapePenalty):
    def shape_value(self, t, strength):
        return strength * t

    def shape_slope(self, t, strength):
        return strength + 0 * t

    def shape_prox(self, t, step, strength):
        return np.maximum(t - step * strength, 0)

class Ridge(Penalty):
    smooth = True

    def __init__(self, factor=1.0):
        self.factor = factor

    def value(self, W, strength):
        return self.factor * strength * np.sum(W**2)

    def subgradient(self, W, strength):
        return 2 * self.factor * strength * W

if __name__ == "__main__":
    X = np.random.default_rng(0).standard_normal((60, 3))
    model = NormRegMLPRegressor((4,), alpha=0.1, max_iter=5, random_state=0)
    for n_jobs in (1, 2):
        grid = [{"penalty": [Absolute("input"), Absolute("output")]},
                {"penalty": [Ridge()], "penalty__factor": [0.1, 1.0]}]
        search = GridSearchCV(model, grid, cv=2, n_jobs=n_jobs, error_score="raise")
        print(search.fit(X, X[:, 0]).cv_results_["mean_test_score"].tolist())
"""


def test_penalties_in_main_under_loky(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    serial, parallel = done.stdout.splitlines()
    assert serial == parallel


def test_fits_in_threads_give_the_same_bits():
    models = [
        make_model(p, solver) for p in (LogSum(by="input"), RowLasso()) for solver in ("adam", "nesterov", "fista")
    ]
    models += [make_model(SmoothL1(), solver) for solver in ("lbfgs", "adam")]
    serial = [clone(model).fit(X, Y) for model in models]
    shared = LogSum(by="output")  # one object in two fits at once
    models += [make_model(shared), make_model(shared)]
    serial += [clone(model).fit(X, Y) for model in models[-2:]]
    with ThreadPoolExecutor(2) as pool:
        for model, expected in zip(pool.map(lambda m: m.fit(X, Y), models), serial, strict=True):
            assert_same_model(model, expected, atol=0)


def test_a_classifier():
    for penalty in (LogSum(by="input"), SmoothL1(), RowLasso()):
        model = NormRegMLPClassifier((6,), penalty=penalty, alpha=1e-3, learning_rate_init=0.05, random_state=0)
        assert model.fit(X, Y[:, 0] > 0).score(X, Y[:, 0] > 0) > 0.9


# ------------------------------------------------------------------------------------------- what users do wrong


class Trouble(Exception):
    pass


ANSWERS = {
    "flat": (lambda a: a.ravel(), ValueError, "its argument's shape"),
    "a row less": (lambda a: a[1:], ValueError, "its argument's shape"),
    "a number": (lambda a: 0.5, TypeError, "must return an array"),
    "None": (lambda a: None, TypeError, "must return an array"),
    "a list": (lambda a: a.tolist(), TypeError, "must return an array"),
    "whole numbers": (lambda a: a.astype(int), TypeError, "must return an array"),
    "complex": (lambda a: a + 0j, TypeError, "must return an array"),
    "NaN": (lambda a: a * np.nan, ValueError, "returned NaN"),
}


class Broken(Penalty):
    """RowLasso or Ridge with one method that answers with something else from its third call on."""

    def __init__(self, method, answer, smooth=False):
        self.method = method
        self.answer = answer
        self.smooth = smooth

    def _ask(self, method, *arguments):
        result = getattr(Ridge() if self.smooth else RowLasso(), method)(*arguments)
        if method != self.method:
            return result
        Broken.calls += 1
        return self.answer(result) if Broken.calls >= 3 else result

    def value(self, W, strength):
        return self._ask("value", W, strength)

    def subgradient(self, W, strength):
        return self._ask("subgradient", W, strength)

    def prox(self, V, step, strength):
        return self._ask("prox", V, step, strength)

    def residual(self, W, gradient, strength):
        return self._ask("residual", W, gradient, strength)


class BrokenShape(ShapePenalty):
    def __init__(self, method, answer, by="input"):
        super().__init__(by)
        self.method = method
        self.answer = answer

    def _ask(self, method, *arguments):
        result = getattr(Absolute(), method)(*arguments)
        if method != self.method:
            return result
        Broken.calls += 1
        return self.answer(result) if Broken.calls >= 3 else result

    def shape_value(self, t, strength):
        return self._ask("shape_value", t, strength)

    def shape_slope(self, t, strength):
        return self._ask("shape_slope", t, strength)

    def shape_prox(self, t, step, strength):
        return self._ask("shape_prox", t, step, strength)


def state(model):
    return joblib.hash({key: value for key, value in vars(model).items() if key != "penalty"})


def refusal(penalty, solver, error):
    """What fitting raises; new and fitted estimators keep every attribute as it was."""
    for model in (make_model(penalty, solver), make_model("l2", "adam").fit(X, Y)):
        model.set_params(penalty=penalty, **SOLVERS[solver])
        before, Broken.calls = state(model), 0
        with pytest.raises(error) as caught:
            model.fit(X, Y)
        assert state(model) == before
    return caught.value


STOCHASTIC = ["heavy ball", "nesterov", "adam"]
CALLED = [("prox", solver, False) for solver in [*STOCHASTIC, "fista"]]
CALLED += [("subgradient", solver, True) for solver in [*STOCHASTIC, "fista", "lbfgs"]]
CALLED += [("residual", "fista", False)]
SHAPE_CALLED = [("shape_prox", solver) for solver in [*STOCHASTIC, "fista"]]
SHAPE_CALLED += [("shape_value", solver) for solver in [*STOCHASTIC, "fista"]] + [("shape_slope", "fista")]


@pytest.mark.parametrize("answer, error, message", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("method, solver, smooth", CALLED)
def test_a_wrong_answer_is_named(method, solver, smooth, answer, error, message):
    text = str(refusal(Broken(method, answer, smooth), solver, error))
    assert f"Broken.{method}" in text
    assert message in text


@pytest.mark.parametrize("answer, error, message", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("method, solver", SHAPE_CALLED)
def test_a_wrong_answer_of_a_shape_is_named(method, solver, answer, error, message):
    if answer(np.ones(2)) is not None and np.shape(answer(np.ones(2))) == (2,) and message == "its argument's shape":
        return  # norms are flat as they are
    text = str(refusal(BrokenShape(method, answer), solver, error))
    assert f"BrokenShape.{method}" in text
    assert message in text


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("answer", [lambda v: "1.0", lambda v: np.array([v, v]), lambda v: None, lambda v: 1j])
def test_a_value_that_is_no_number(answer, solver):
    text = str(refusal(Broken("value", answer, solver == "lbfgs"), solver, TypeError))
    assert "Broken.value must return a number" in text


ERRORS = [Trouble, ValueError, FloatingPointError, MemoryError, StopIteration, KeyboardInterrupt, SystemExit, "Ctrl-C"]


class Raising:
    def __init__(self, error):
        self.error = error

    def __call__(self, result):
        if self.error == "Ctrl-C":
            signal.raise_signal(signal.SIGINT)
        raise self.error("the user's own")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("Own", [Broken, BrokenShape])
def test_an_exception_comes_through_with_its_traceback(Own, solver, error):
    if Own is BrokenShape:
        if solver == "lbfgs":
            return
        penalties = [BrokenShape(method, Raising(error)) for method in ("shape_prox", "shape_value")]
    else:
        methods = ("subgradient", "value") if solver == "lbfgs" else ("prox", "value")
        penalties = [Broken(method, Raising(error), solver == "lbfgs") for method in methods]
    for penalty in penalties:
        raised = refusal(penalty, solver, KeyboardInterrupt if error == "Ctrl-C" else error)
        assert error == "Ctrl-C" or str(raised) == "the user's own"
        frames = traceback.extract_tb(raised.__traceback__)
        assert ("__call__", __file__) in [(frame.name, frame.filename) for frame in frames]
        assert Broken.calls <= 4  # the other layer's may have been called once more


class Scribbling(RowLasso):
    """Overwrites its arguments and returns one of them."""

    def _scribble(self, method, W, *arguments):
        result = getattr(RowLasso(), method)(W, *arguments)
        W[:] = 7 if method == "value" else result
        return result if method == "value" else W

    def value(self, W, strength):
        return self._scribble("value", W, strength)

    def subgradient(self, W, strength):
        return self._scribble("subgradient", W, strength)

    def prox(self, V, step, strength):
        return self._scribble("prox", V, step, strength)

    def residual(self, W, gradient, strength):
        return self._scribble("residual", W, gradient, strength)


@pytest.mark.parametrize("solver", ["heavy ball", "nesterov", "adam", "fista"])
def test_arguments_are_the_penaltys_own(solver):
    assert_same_model(*(make_model(p, solver).fit(X, Y) for p in (Scribbling(), RowLasso())), atol=0)


@pytest.mark.parametrize("solver", ["heavy ball", "nesterov", "adam", "fista"])
def test_a_constraint_of_ones_own_at_strength_zero(solver):
    model = make_model(Box(0.2), solver, alpha=0.0).fit(X, Y)
    assert max(np.abs(W).max() for W in model.coefs_) == pytest.approx(0.2, rel=1e-15)


def test_what_a_subclass_must_define():
    with pytest.raises(TypeError, match="shape_prox"):
        type("Empty", (ShapePenalty,), {"shape_value": None, "shape_slope": None})()
    with pytest.raises(TypeError, match="subgradient"):
        type("Empty", (Penalty,), {"value": None})()
    half = type("Half", (Penalty,), {"value": RowLasso.value, "subgradient": RowLasso.subgradient})
    with pytest.raises(TypeError, match="Half must define prox and residual, or say smooth = True"):
        make_model(half()).fit(X, Y)
