"""check_loss passes right losses and catches, by name, what is wrong with others."""

import re

import numpy as np
import pytest
from user_losses import Linex, NumpyAbsoluteError, NumpyLogLoss, NumpyMargin

from sknormnet.losses import Huber, IdentityLink, LogLink, LogLoss, Loss, Poisson, SquaredError
from sknormnet.testing import check_loss


class Square(Loss):
    """A right loss, to be broken: half the squared error."""

    convex = True

    def __init__(self, a=1.0):
        self.a = a

    def value(self, e):
        return e**2 / 2

    def slope(self, e):
        return e

    def value_and_gradient(self, y, raw, sample_weight=None):
        weight = np.ones_like(raw[:, :1]) if sample_weight is None else sample_weight[:, np.newaxis]
        e = raw - y
        return float(np.sum(weight * self.value(e), dtype=np.float64)), weight * self.slope(e)


class Labels(Square):
    task = "classification"

    def n_raw(self, n_targets, n_classes=None):
        if n_classes is not None and n_classes > 2:
            raise ValueError("two classes or labels only")
        return n_targets


class AboveTen(Square):
    domain = "y > 10"

    def in_domain(self, y):
        return y > 10


class Simplex(Square):
    """Its targets are rows, not single numbers."""

    def check_target(self, y):
        if not np.allclose(np.sum(y, axis=1), 1):
            raise ValueError("rows of y must sum to 1")


@pytest.mark.parametrize(
    "loss",
    [Square(), Linex(a=0.7), Linex(a=-1.5), NumpyAbsoluteError(), NumpyLogLoss(), NumpyMargin(), Labels()],
    ids=repr,
)
def test_right_losses_pass(loss):
    check_loss(loss)


def test_a_loss_of_a_local_class_passes():
    class Local(Square):
        pass

    check_loss(Local(a=2.0))


def test_targets_can_be_given():
    with pytest.raises(ValueError, match="pass some as y"):
        check_loss(AboveTen())
    check_loss(AboveTen(), y=[11, 12.5, 40])
    with pytest.raises(ValueError, match="rows of y must sum to 1"):
        check_loss(Simplex())
    check_loss(Simplex(), y=np.random.default_rng(0).dirichlet([1, 1, 1], size=20))


def test_numbers_of_classes_can_be_given():
    class FiveClasses(LogLoss):
        def n_raw(self, n_targets, n_classes=None):
            if n_classes != 5:
                raise ValueError("five classes only")
            return 5

    check_loss(FiveClasses(), n_classes=[5])
    with pytest.raises(AssertionError, match="refuses every kind of target"):
        check_loss(FiveClasses())


def test_takes_an_instance():
    for wrong in (Square, "squared_error", None):
        with pytest.raises(TypeError, match="instance of a subclass"):
            check_loss(wrong)


# ------------------------------------------------------------------------------------------------------- broken

BROKEN = {}


def broken(message):
    """Register a loss with what check_loss must say about it."""

    def register(cls):
        BROKEN[cls.__name__] = (cls, message)
        return cls

    return register


@broken("1 target(s): the gradient is not the derivative of the value")
class WrongGradient(Square):
    def slope(self, e):
        return 1.0001 * e


@broken("3 target(s): the gradient is not the derivative of the value")
class WrongGradientOfTheSecondOutput(Square):
    def slope(self, e):
        wrong = e.copy()
        wrong[:, 1:2] *= 2
        return wrong


@broken("the value is not differentiable at most points")
class Steps(Square):
    def value(self, e):
        return np.floor(1e4 * e)


@broken("the gradient has not raw's shape and dtype")
class FlatGradient(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        value, gradient = super().value_and_gradient(y, raw, sample_weight)
        return value, gradient[:, 0]


@broken("the gradient has not raw's shape and dtype")
class WideGradient(Square):
    def slope(self, e):
        return e.astype(np.float64)


@broken("the gradient has not raw's shape and dtype")
class ListGradient(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        value, gradient = super().value_and_gradient(y, raw, sample_weight)
        return value, gradient.tolist()


@broken("the value is no number")
class ValuesOfRows(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        return np.sum(self.value(raw - y), axis=1), raw - y


@broken("returns no pair")
class ValueAlone(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        return super().value_and_gradient(y, raw, sample_weight)[0]


@broken("modifies raw")
class ModifiesRaw(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        result = super().value_and_gradient(y, raw, sample_weight)
        raw -= y
        return result


@broken("modifies sample_weight")
class ModifiesWeights(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        result = super().value_and_gradient(y, raw, sample_weight)
        if sample_weight is not None:
            sample_weight /= sample_weight.sum()
        return result


@broken("Fortran order gives another")
class ReadsMemory(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        return super().value_and_gradient(y, raw.ravel(order="K").reshape(raw.shape), sample_weight)


@broken("a block is not the sum of its rows")
class Mean(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        value, gradient = super().value_and_gradient(y, raw, sample_weight)
        return value / len(y), gradient / len(y)


@broken("a block is not the sum of its rows")
class CentredByTheBatch(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        return super().value_and_gradient(y, raw - raw.mean(), sample_weight)


@broken("weights do not multiply the rows, in the value")
class NoWeights(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        return super().value_and_gradient(y, raw)


@broken("weights do not multiply the rows, in the gradient")
class WeightsInTheValueAlone(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        return super().value_and_gradient(y, raw, sample_weight)[0], raw - y


@broken("weights of 1 are not the same as no weights")
class AnyWeightDoubles(Square):
    def value_and_gradient(self, y, raw, sample_weight=None):
        return super().value_and_gradient(y, raw, None if sample_weight is None else 2 * sample_weight)


@broken("the value in float32 is not that in float64")
class OverflowsInSinglePrecision(Square):
    def value(self, e):
        return np.log(np.exp(50 * e) + np.exp(-50 * e)) / 50

    def slope(self, e):
        return np.tanh(50 * e)


@broken("claims to be convex")
class Bounded(Square):
    def value(self, e):
        return -np.exp(-(e**2))

    def slope(self, e):
        return 2 * e * np.exp(-(e**2))


@broken("the value is NaN at the float64 raw")
class InfinityMinusInfinity(Square):
    def value(self, e):
        return np.cosh(e) - np.sinh(e)

    def slope(self, e):
        return -np.exp(-e)


@broken("the gradient is NaN at the float64 raw")
class InfinityOverInfinity(Square):
    def value(self, e):
        return np.logaddexp(0, e)

    def slope(self, e):
        return np.exp(e) / (1 + np.exp(e))


@broken("cannot be copied")
class ConvertsItsParameter(Square):
    def __init__(self, a=1):
        self.a = [a]


@broken("its clone has another value")
class ReadsAnAttribute(Square):
    def __init__(self, a=1.0):
        super().__init__(a)
        self.shift = 0.0

    def value(self, e):
        return e**2 / 2 + self.shift

    def check_parameters(self):
        self.shift = 1.0


@broken("a second call gives another value")
class CountsItsCalls(Square):
    def value(self, e):
        self.calls = getattr(self, "calls", 0) + 1
        return e**2 / 2 + self.calls


@broken("check_target accepts -1.0")
class AcceptsEverything(Poisson):
    def check_target(self, y):
        pass


@broken("in_domain gives no array of bool")
class OneAnswerForAll(Square):
    def in_domain(self, y):
        return np.isfinite(y)[:, :1]


@broken("is better")
class SecondBest(Square):
    def best_constant(self, y, sample_weight=None, n_classes=None):
        return np.median(y, axis=0)


@broken("is better")
class BestWithoutWeights(SquaredError):
    def best_constant(self, y, sample_weight=None, n_classes=None):
        return np.mean(y, axis=0)


@broken("best_constant gives no 1 finite numbers")
class ScalarConstant(Square):
    def best_constant(self, y, sample_weight=None, n_classes=None):
        return float(np.mean(y))


class HalfLogLink(LogLink):
    def link(self, mean):
        return np.log(mean) / 2


@broken("the link's inverse does not undo the link")
class WrongLink(Poisson):
    def link(self, n_targets, n_raw):
        return HalfLogLink()


class NoProbabilityLink(IdentityLink):
    gives_probabilities = True


@broken("probabilities outside [0, 1]")
class WrongProbabilities(LogLoss):
    def link(self, n_targets, n_raw):
        return NoProbabilityLink()


@broken("prediction gives no two-dimensional array")
class FlatPrediction(Square):
    def prediction(self, raw, n_targets):
        return raw[:, 0]


@broken("takes no smoothing")
class NoSmoothing(Square):
    kinked = True


@broken("not those of the Moreau envelope")
class IgnoresSmoothing(NumpyAbsoluteError):
    def value_and_gradient(self, y, raw, sample_weight=None, smoothing=0.0):
        return super().value_and_gradient(y, raw, sample_weight)


@broken("not those of the Moreau envelope")
class ShiftedEnvelope(NumpyAbsoluteError):
    def value_and_gradient(self, y, raw, sample_weight=None, smoothing=0.0):
        value, gradient = super().value_and_gradient(y, raw, sample_weight, smoothing)
        total = raw.size if sample_weight is None else raw.shape[1] * sample_weight.sum()
        return value + total * smoothing / 2, gradient


@broken("not those of the Moreau envelope")
class TwiceTheSmoothing(NumpyAbsoluteError):
    def value_and_gradient(self, y, raw, sample_weight=None, smoothing=0.0):
        return super().value_and_gradient(y, raw, sample_weight, 2 * smoothing)


@broken("training gets another value")
class AnotherKernel(Square):
    def kernel(self):
        return Huber(0.1).kernel()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_losses_are_caught(name):
    cls, message = BROKEN[name]
    with pytest.raises(AssertionError, match=rf"^{name}\(.*\) on .*{re.escape(message)}"):
        check_loss(cls())
