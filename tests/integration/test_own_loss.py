"""A loss of the user's own, in NumPy, works wherever a built-in one does."""

import copy
import gc
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import joblib
import numpy as np
import pytest
import scipy.sparse
import user_losses
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_losses import LaplaceNLL, Linex, NumpyAbsoluteError, NumpyLogLoss, NumpyMargin, NumpyPoisson

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.losses import Loss
from sknormnet.testing import check_loss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = ["adam", "sgd", "lbfgs", "fista"]
TASKS = ["regression", "multioutput", "binary", "multiclass", "multilabel"]


def make_model(problem, loss, **params):
    defaults = dict(hidden_layer_sizes=(6,), alpha=0.01, batch_size=16, max_iter=15, learning_rate_init=0.02)
    defaults["random_state"] = 0
    return problem.Estimator(loss=loss, **{**defaults, **params})


def own_loss(problem):
    return Linex(a=0.5) if problem.Estimator is NormRegMLPRegressor else NumpyLogLoss()


def assert_same_model(a, b, rtol):
    assert_allclose(a.loss_curve_, b.loss_curve_, rtol=rtol)
    for left, right in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert_allclose(left, right, rtol=0, atol=1e3 * rtol)


# ------------------------------------------------------------------------------------------------- everywhere


@pytest.mark.parametrize("Own", [Linex, LaplaceNLL, NumpyAbsoluteError, NumpyLogLoss, NumpyMargin, NumpyPoisson])
def test_conformance(Own):
    check_loss(Own())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_every_solver_and_penalty(task, solver, penalty, dtype, make_problem):
    problem = make_problem(task)
    model = make_model(problem, own_loss(problem), solver=solver, penalty=penalty, dtype=dtype, max_iter=40)
    model.fit(problem.X, problem.y)
    assert {a.dtype for a in model.coefs_ + model.intercepts_} == {np.dtype(dtype)}
    assert model.objective_ < model.loss_curve_[0]
    assert model.score(problem.X, problem.y) > 0.4
    if penalty != "l2":
        model.set_params(alpha=0.1).fit(problem.X, problem.y)
        assert any((W == 0).any() for W in model.coefs_)


# Both sides do the same arithmetic but for the order of sums; ten epochs grow that a little.
BUILT_IN = [
    ("regression", user_losses.NumpySquaredError(), "squared_error"),
    ("multioutput", user_losses.NumpySquaredError(), "squared_error"),
    ("multioutput", NumpyAbsoluteError(), "absolute_error"),
    ("counts", NumpyPoisson(), "poisson"),
    ("binary", NumpyLogLoss(), "log_loss"),
    ("multiclass", NumpyLogLoss(), "log_loss"),
    ("multilabel", NumpyLogLoss(), "log_loss"),
]


def problem_of(task, make_problem):
    problem = make_problem("multioutput" if task == "counts" else task)
    if task == "counts":
        problem.y = np.random.default_rng(0).poisson(np.exp(problem.y / 3))
    return problem


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("task", "own", "name"), BUILT_IN)
def test_restating_a_built_in_loss(task, own, name, solver, weighted, make_problem):
    problem = problem_of(task, make_problem)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(problem.y)) if weighted else None
    models = [
        make_model(problem, loss, solver=solver, activation="tanh", max_iter=10).fit(problem.X, problem.y, weight)
        for loss in (own, name)
    ]
    assert_same_model(*models, rtol=1e-10)
    assert models[0].objective_ == pytest.approx(models[1].objective_, rel=1e-10)
    assert_allclose(models[0].predict(problem.X), models[1].predict(problem.X), rtol=1e-6)
    if task in ("binary", "multiclass", "multilabel"):
        assert_allclose(models[0].predict_proba(problem.X), models[1].predict_proba(problem.X), rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_restating_in_float32(solver, make_problem):
    problem = make_problem("multioutput")
    X = problem.X.astype(np.float32)
    own, built_in = (
        make_model(problem, loss, solver=solver, max_iter=5).fit(X, problem.y)
        for loss in (user_losses.NumpySquaredError(), "squared_error")
    )
    assert own.predict(X).dtype == np.float32
    assert_allclose(own.loss_curve_, built_in.loss_curve_, rtol=1e-4)


def test_several_raw_columns_and_a_standard_deviation(make_problem):
    problem = make_problem("multioutput")
    model = make_model(problem, LaplaceNLL(), max_iter=100).fit(problem.X, problem.y)
    assert model.n_outputs_ == 6
    median, std = model.predict(problem.X, return_std=True)
    assert median.shape == std.shape == problem.y.shape
    assert 0.5 < np.std((problem.y - median) / std) < 2
    assert model.score(problem.X, problem.y) > 0.5


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_a_classifiers_loss_without_probabilities(task, make_problem):
    problem = make_problem(task)
    model = make_model(problem, NumpyMargin(), max_iter=60).fit(problem.X, problem.y)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba") as caught:
        _ = model.predict_proba
    assert "NumpyMargin() does not define probabilities" in str(caught.value.__cause__)
    assert model.decision_function(problem.X).shape == ((60,) if task == "binary" else (60, 3))
    assert model.score(problem.X, problem.y) > 0.5


# ------------------------------------------------------------------------------------- training in other ways


def test_sparse_is_dense(make_problem):
    problem = make_problem("multiclass")
    X = np.where(np.random.default_rng(0).random(problem.X.shape) < 0.5, 0, problem.X)
    dense = make_model(problem, NumpyLogLoss()).fit(X, problem.y)
    assert_same_model(make_model(problem, NumpyLogLoss()).fit(scipy.sparse.csr_array(X), problem.y), dense, 1e-10)


def own_and_built_in(problem, **params):
    return [make_model(problem, loss, **params) for loss in (user_losses.NumpySquaredError(), "squared_error")]


@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start(solver, make_problem):
    problem = make_problem("regression")
    own, built_in = own_and_built_in(problem, solver=solver, warm_start=True, max_iter=4)
    for model in (own, built_in):
        model.fit(problem.X, problem.y).fit(problem.X, problem.y)
    assert_same_model(own, built_in, 1e-9)


def test_partial_fit(make_problem):
    problem = make_problem("regression")
    own, built_in = own_and_built_in(problem)
    for model in (own, built_in):
        for rows in (slice(0, 30), slice(30, 60)):
            model.partial_fit(problem.X[rows], problem.y[rows])
    assert_same_model(own, built_in, 1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
def test_early_stopping(solver, make_problem):
    problem = make_problem("regression")
    own, built_in = own_and_built_in(problem, solver=solver, early_stopping=True)
    for model in (own, built_in):
        model.fit(problem.X, problem.y)
    assert_allclose(own.validation_scores_, built_in.validation_scores_, rtol=1e-8)
    assert_same_model(own, built_in, 1e-10)


# --------------------------------------------------------------------------- copies, grids and worker processes


def test_copies(make_problem):
    problem = make_problem("regression")
    model = make_model(problem, Linex(a=0.7)).fit(problem.X, problem.y)
    for restored in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert restored.loss.a == 0.7
        assert np.array_equal(restored.predict(problem.X), model.predict(problem.X))
        assert_same_model(restored.fit(problem.X, problem.y), model, 1e-15)
    unfitted = clone(model)
    assert unfitted.loss is not model.loss and unfitted.get_params()["loss__a"] == 0.7
    assert_same_model(unfitted.fit(problem.X, problem.y), model, 1e-15)
    unfitted.set_params(loss__a=0.2)
    assert (unfitted.loss.a, model.loss.a) == (0.2, 0.7)


def grid(problem, n_jobs=None):
    model = make_pipeline(StandardScaler(), make_model(problem, Linex(), max_iter=5))
    return GridSearchCV(
        model, {"normregmlpregressor__loss__a": [0.1, 0.5, 1.0]}, cv=2, n_jobs=n_jobs, error_score="raise"
    )


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_search(backend, make_problem):
    problem = make_problem("regression")
    serial = grid(problem).fit(problem.X, problem.y)
    with joblib.parallel_config(backend=backend):
        parallel = grid(problem, n_jobs=2).fit(problem.X, problem.y)
    assert len(set(serial.cv_results_["mean_test_score"])) == 3
    assert_allclose(parallel.cv_results_["mean_test_score"], serial.cv_results_["mean_test_score"], rtol=1e-12)
    assert parallel.best_estimator_[-1].loss.a == serial.best_params_["normregmlpregressor__loss__a"]


SCRIPT = """
import numpy as np
from sklearn.model_selection import GridSearchCV
from sknormnet import NormRegMLPRegressor
from sknormnet.losses import Loss
from sknormnet.testing import check_loss

class Linex(Loss):
    name = "linex"

    def __init__(self, a=1.0):
        self.a = a

    def value_and_gradient(self, y, raw, sample_weight=None):
        z = self.a * (raw - y)
        return float(np.sum(np.expm1(z) - z)), self.a * np.expm1(z)

if __name__ == "__main__":
    X = np.random.default_rng(0).standard_normal((60, 3))
    model = NormRegMLPRegressor((4,), loss=Linex(), max_iter=5, random_state=0)
    for n_jobs in (1, 2):
        search = GridSearchCV(model, {"loss__a": [0.1, 1.0]}, cv=2, n_jobs=n_jobs, error_score="raise")
        print(search.fit(X, X[:, 0]).cv_results_["mean_test_score"].tolist())
"""


def test_a_loss_in_main_under_loky(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    serial, parallel = done.stdout.splitlines()
    assert serial == parallel


def test_cross_validation_of_a_classifier(make_problem):
    problem = make_problem("multiclass")
    scores = cross_val_score(make_model(problem, NumpyLogLoss()), problem.X, problem.y, error_score="raise")
    assert np.isfinite(scores).all()


def test_fits_in_threads(make_problem):
    problem = make_problem("multioutput")
    models = [make_model(problem, Linex(), solver=solver) for solver in SOLVERS]
    serial = [clone(model).fit(problem.X, problem.y) for model in models]
    with ThreadPoolExecutor(4) as pool:
        for model, expected in zip(pool.map(lambda m: m.fit(problem.X, problem.y), models), serial, strict=True):
            for left, right in zip(model.coefs_, expected.coefs_, strict=True):
                assert np.array_equal(left, right)


# --------------------------------------------------------------------------------------------- what users do


class Hoarding(user_losses.NumpySquaredError):
    name = "hoarding"
    kept: ClassVar[list] = []

    def value_and_gradient(self, y, raw, sample_weight=None):
        answer = super().value_and_gradient(y, raw, sample_weight)
        self.kept.extend([y, raw, sample_weight, answer[1]])
        return answer


@pytest.mark.parametrize("solver", SOLVERS)
def test_arrays_may_be_kept(solver, make_problem):
    """They stay valid memory when the fit is long over."""
    problem = make_problem("multioutput", n_samples=500)
    model = make_model(problem, Hoarding(), solver=solver, max_iter=3)
    model.fit(problem.X, problem.y, sample_weight=np.arange(1.0, 501))
    expected = model.coefs_[0].copy()
    del model
    gc.collect()
    assert len(Hoarding.kept) >= 12
    for array in Hoarding.kept:
        assert np.isfinite(array).all()
        if array.flags.writeable:
            array[:] = 1e300
    Hoarding.kept.clear()
    again = make_model(problem, Hoarding(), solver=solver, max_iter=3)
    again.fit(problem.X, problem.y, sample_weight=np.arange(1.0, 501))
    assert np.array_equal(again.coefs_[0], expected)
    Hoarding.kept.clear()


class Scribbling(user_losses.NumpySquaredError):
    """Overwrites its arguments, and returns one of them."""

    name = "scribbling"

    def value_and_gradient(self, y, raw, sample_weight=None):
        raw -= y
        y[:] = np.nan
        value = 0.5 * np.sum(raw**2 * sample_weight[:, np.newaxis])
        raw *= sample_weight[:, np.newaxis]
        sample_weight[:] = np.nan
        return value, raw


class Unusual(user_losses.NumpySquaredError):
    """Returns a value and a gradient of unusual types and layouts."""

    name = "unusual"

    def value_and_gradient(self, y, raw, sample_weight=None):
        value, gradient = super().value_and_gradient(y, raw, sample_weight)
        gradient = np.asfortranarray(gradient, dtype=np.longdouble)
        gradient.flags.writeable = False
        return np.array(value), gradient


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", [Scribbling(), Unusual()], ids=lambda loss: loss.name)
def test_arguments_are_the_losss_own_and_any_array_will_do(loss, solver, make_problem):
    problem = make_problem("multioutput")
    weight = np.random.default_rng(0).uniform(0.5, 2, 60)
    models = [
        make_model(problem, each, solver=solver).fit(problem.X, problem.y, weight)
        for each in (loss, user_losses.NumpySquaredError())
    ]
    assert_same_model(*models, rtol=1e-12)


class Nested(user_losses.NumpySquaredError):
    """Trains another network inside, with the core and with a loss of the user's own."""

    name = "nested"

    def value_and_gradient(self, y, raw, sample_weight=None):
        X = np.linspace(-1, 1, 20)[:, np.newaxis]
        for loss in ("squared_error", Linex()):
            NormRegMLPRegressor((2,), loss=loss, max_iter=1, random_state=0).fit(X, X[:, 0]).predict(X)
        return super().value_and_gradient(y, raw, sample_weight)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_inside_a_loss(solver, make_problem):
    problem = make_problem("regression")
    nested, plain = (
        make_model(problem, loss, solver=solver, max_iter=3).fit(problem.X, problem.y)
        for loss in (Nested(), user_losses.NumpySquaredError())
    )
    assert_same_model(nested, plain, 1e-15)


class Subnormal(user_losses.NumpySquaredError):
    name = "subnormal"

    def value_and_gradient(self, y, raw, sample_weight=None):
        assert np.array([1e-310])[0] * 0.5 > 0, "subnormal numbers are flushed to zero"
        return super().value_and_gradient(y, raw, sample_weight)


def test_arithmetic_is_ieee_inside_a_loss(make_problem):
    problem = make_problem("regression")
    make_model(problem, Subnormal()).fit(problem.X, problem.y)


def test_what_a_subclass_must_define():
    class Empty(Loss):
        name = "empty"

    with pytest.raises(TypeError, match="value_and_gradient"):
        Empty()


def test_the_smallest_loss_there_is():
    class Plain(Loss):
        def value_and_gradient(self, y, raw, sample_weight=None):
            return 0.5 * np.sum((raw - y) ** 2), raw - y

    X = np.random.default_rng(0).standard_normal((30, 2))
    model = NormRegMLPRegressor((), loss=Plain(), solver="lbfgs", alpha=0.0, tol=1e-10).fit(X, X[:, 0])
    assert_allclose(model.coefs_[0].ravel(), [1, 0], atol=1e-6)
    with pytest.raises(ValueError, match="Plain"):
        NormRegMLPClassifier(loss=Plain()).fit(X, X[:, 0] > 0)


def test_nothing_is_called_after_an_exception():
    calls = []

    class Once(user_losses.NumpySquaredError):
        def value_and_gradient(self, y, raw, sample_weight=None):
            calls.append(len(y))
            raise KeyError("once")

    X = np.ones((20_000, 2))  # several blocks of rows
    with pytest.raises(KeyError, match="once"):
        NormRegMLPRegressor((), loss=Once(), solver="lbfgs").fit(X, X[:, 0])
    assert len(calls) == 1
