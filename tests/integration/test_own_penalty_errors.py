"""What a penalty of the user's own does wrong in training is named, and leaves the estimator as it was."""

import signal
import traceback

import joblib
import numpy as np
import pytest
from fits import SOLVERS
from numpy.testing import assert_array_equal
from own_penalty_fits import X, Y, make_model
from user_penalties import Absolute, Ridge, RowLasso

from sknormnet.penalties import Penalty, ShapePenalty

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
    a, b = (make_model(penalty, solver).fit(X, Y) for penalty in (Scribbling(), RowLasso()))
    for left, right in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert_array_equal(left, right)


def test_what_a_subclass_must_define():
    with pytest.raises(TypeError, match="shape_prox"):
        type("Empty", (ShapePenalty,), {"shape_value": None, "shape_slope": None})()
    with pytest.raises(TypeError, match="subgradient"):
        type("Empty", (Penalty,), {"value": None})()
    half = type("Half", (Penalty,), {"value": RowLasso.value, "subgradient": RowLasso.subgradient})
    with pytest.raises(TypeError, match="Half must define prox and residual, or say smooth = True"):
        make_model(half()).fit(X, Y)
