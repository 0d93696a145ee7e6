"""check_penalty passes right penalties and catches, by name, what is wrong with others."""

import re

import numpy as np
import pytest
from user_penalties import LogSum

from sknormnet.penalties import L1, L2, MCP, SCAD, GroupLasso, L2Norm, MaxNorm, NonNegative, SparseGroupLasso, Sum
from sknormnet.testing import check_penalty


def block_soft_threshold(V, threshold):
    """By rows; a row of zeros stays what it is."""
    norms = np.linalg.norm(V, axis=1, keepdims=True)
    return V * np.maximum(0, 1 - np.divide(threshold, norms, out=np.ones_like(norms), where=norms > 0))


def soft_threshold(V, threshold):
    return np.sign(V) * np.maximum(np.abs(V) - threshold, 0)


# Each class breaks one thing, and the message names it.


class NegativeValue(L1):
    def value(self, W, strength):
        return super().value(W, strength) * (1 if np.max(np.abs(W)) < 100 else -1)


class ConstantInValue(L1):
    def value(self, W, strength):
        return super().value(W, strength) + strength


class ArrayValue(L1):
    def value(self, W, strength):
        return strength * np.sum(np.abs(W), axis=0)


class FloorInValue(GroupLasso):
    """A group norm that is smoothed where it is zero."""

    def value(self, W, strength):
        return strength * float(np.sum(np.sqrt(np.sum(np.square(W, dtype=np.float64), axis=1) + 1e-12)))


class HalfSubgradient(GroupLasso):
    def subgradient(self, W, strength):
        return super().subgradient(W, strength) / 2


class SubgradientOfZero(L1):
    def subgradient(self, W, strength):
        return np.where(W == 0, W.dtype.type(strength), super().subgradient(W, strength))


class LargeSubgradient(SparseGroupLasso):
    """An element of the subdifferential, where single weights are zero, that is not the smallest."""

    def subgradient(self, W, strength):
        inside = (W == 0) & (W != 0).any(axis=1, keepdims=True)
        return super().subgradient(W, strength) + (0.3 * strength * inside).astype(W.dtype)


class FlatSubgradient(GroupLasso):
    def subgradient(self, W, strength):
        return super().subgradient(W, strength).ravel()


class LongStep(GroupLasso):
    def prox(self, V, step, strength):
        return super().prox(V, 1.01 * step, strength)


class StrengthIgnored(GroupLasso):
    def prox(self, V, step, strength):
        return super().prox(V, step, 1.0)


class WrongOrder(SparseGroupLasso):
    """Rows first, then single weights: the norm must be that of the soft-thresholded row."""

    def prox(self, V, step, strength):
        s = step * strength / 2
        return soft_threshold(block_soft_threshold(V, s), s).astype(V.dtype)


class LargestFirst(Sum):
    """The matrix first, then rows, then single weights."""

    def __init__(self):
        super().__init__((L1(), GroupLasso("input"), L2Norm()), weights=(0.5, 0.3, 0.2))

    def prox(self, V, step, strength):
        for penalty, weight in zip(self.penalties[::-1], self.weights[::-1], strict=True):
            V = penalty.prox(V, step, strength * weight)
        return V


class ConstraintFirst(LargestFirst):
    """What is thresholded afterwards need not have been scaled that far."""

    def __init__(self):
        Sum.__init__(self, (L1(), MaxNorm(1.0)), weights=(1.0, 1.0))


class L2First(LargestFirst):
    """What is shrunk first must be thresholded by less."""

    def __init__(self):
        Sum.__init__(self, (GroupLasso("output"), L2()), weights=(1.0, 1.0))


class LocalMinimum(MCP):
    """Firm thresholding at every step; at steps above gamma, its stationary point is a maximum."""

    def prox(self, V, step, strength):
        share = 1 - step / self.gamma
        inner = soft_threshold(V, step * strength) / share
        return np.where(np.abs(V) > self.gamma * strength, V, inner).astype(V.dtype)


class NeverBack(SCAD):
    """Ends beyond its knee or at zero, at every step."""

    def prox(self, V, step, strength):
        return np.where(np.abs(V) > self.gamma * strength, V, 0).astype(V.dtype)


class ZeroDivided(GroupLasso):
    def prox(self, V, step, strength):
        norms = np.linalg.norm(V, axis=1, keepdims=True)
        return (V / norms * np.maximum(0, norms - step * strength)).astype(V.dtype)


class NormOverflows(GroupLasso):
    def subgradient(self, W, strength):
        norms = np.sqrt(np.sum(W**2, axis=1, keepdims=True))
        return np.where(W == 0, 0, strength * W / norms).astype(W.dtype)


class ResidualOfGradient(GroupLasso):
    def residual(self, W, gradient, strength):
        return np.abs(gradient + self.subgradient(W, strength))


class ResidualByWeights(GroupLasso):
    """Zero rows are thresholded weight by weight."""

    def residual(self, W, gradient, strength):
        at_zero = np.maximum(np.abs(gradient) - strength, 0)
        return np.where((W != 0).any(axis=1, keepdims=True), super().residual(W, gradient, strength), at_zero)


class ModifiesArgument(L1):
    def prox(self, V, step, strength):
        V -= np.clip(V, -step * strength, step * strength)
        return V


class ReadsWrongOrder(GroupLasso):
    def value(self, W, strength):
        return super().value(np.ravel(W, order="K").reshape(W.shape), strength)


class Float64Only(L1):
    def prox(self, V, step, strength):
        return super().prox(V.astype(np.float64), step, strength)


class CoarseInFloat32(L1):
    def prox(self, V, step, strength):
        P = super().prox(V, step, strength)
        return P if V.dtype == np.float64 else np.round(P, 1)


class HalfValueInFloat32(L1):
    def value(self, W, strength):
        return super().value(W, strength) * (0.5 if W.dtype == np.float32 else 1.0)


class CannotBeCloned(L1):
    def __init__(self, scale=1.0):
        self.scale = float(scale) + 1


class ClonesDiffer(L1):
    def __init__(self):
        self.id = id(self)

    def value(self, W, strength):
        return super().value(W, strength) * (self.id % 997 + 1)


class SmoothL1(L1):
    smooth = True


class SmoothIsNone(L1):
    smooth = None


class ConvexMCP(MCP):
    convex = True


class OtherInTraining(L1):
    """Consistent but for the kernel, which is what training calls."""

    def value(self, W, strength):
        return super().value(W, 2 * strength)

    def subgradient(self, W, strength):
        return super().subgradient(W, 2 * strength)

    def prox(self, V, step, strength):
        return super().prox(V, step, 2 * strength)

    def residual(self, W, gradient, strength):
        return super().residual(W, gradient, 2 * strength)


class LooseLimit(MaxNorm):
    def prox(self, V, step, strength):
        return MaxNorm(1.01 * self.limit, self.by).prox(V, step, strength)


class LimitOnlyWithStrength(MaxNorm):
    def prox(self, V, step, strength):
        return super().prox(V, step, strength) if strength > 0 else V


class NoConstraintSaid(NonNegative):
    constraint = False


class UserSlope(LogSum):
    def shape_slope(self, t, strength):
        return strength / (1 + self.epsilon + t)


class UserProx(LogSum):
    """The stationary point, without a look at zero."""

    def shape_prox(self, t, step, strength):
        b = t - self.epsilon
        return np.maximum((b + np.sqrt(np.maximum((t + self.epsilon) ** 2 - 4 * step * strength, 0))) / 2, 0)


WRONG = [
    (NegativeValue, "the value is -"),
    (ConstantInValue, "the value at W = 0"),
    (ArrayValue, "the value is no number"),
    (FloorInValue, "the value at W = 0"),
    (HalfSubgradient, "the subgradient is not the derivative of the value"),
    (SubgradientOfZero, "W = 0 has the least value, but its subgradient is"),
    (LargeSubgradient, "the subgradient is not the one of smallest norm"),
    (FlatSubgradient, "subgradient has not its argument's shape and dtype"),
    (LongStep, "prox is not the minimum"),
    (StrengthIgnored, "the prox at strength 0 is not the identity"),
    (WrongOrder, "prox is not the minimum"),
    (LargestFirst, "prox is not the minimum"),
    (ConstraintFirst, "prox is not the minimum"),
    (L2First, "prox is not the minimum"),
    (LooseLimit, "leads where the value is infinite"),
    (LimitOnlyWithStrength, "leads where the value is infinite"),
    (NoConstraintSaid, "the value is inf"),
    (UserSlope, "the subgradient is not the derivative of the value"),
    (UserProx, "prox is not the minimum"),
    (LocalMinimum, "prox is not the minimum"),
    (NeverBack, "prox is not the minimum"),
    (ZeroDivided, "prox is not finite"),
    (NormOverflows, "subgradient is not finite for float64 weights of size"),
    (ResidualOfGradient, "the residual"),
    (ResidualByWeights, "the residual is not the smallest of gradient + subdifferential"),
    (ModifiesArgument, "prox modifies its argument"),
    (ReadsWrongOrder, "Fortran order gives another value"),
    (Float64Only, "prox has not its argument's shape and dtype"),
    (CoarseInFloat32, "the prox in float32 is not that in float64"),
    (HalfValueInFloat32, "the value in float32 is not that in float64"),
    (CannotBeCloned, "cannot be copied"),
    (ClonesDiffer, "its clone has another value"),
    (SmoothL1, "claims to be smooth, but has a kink where weights are 0"),
    (SmoothIsNone, "smooth must be a bool"),
    (ConvexMCP, "claims to be convex"),
    (OtherInTraining, "training gets another value than value's"),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("Wrong, message", WRONG, ids=lambda x: getattr(x, "__name__", None))
def test_what_is_wrong_is_named(Wrong, message, seed):
    with pytest.raises(AssertionError, match=re.escape(message)) as caught:
        check_penalty(Wrong(), random_state=seed)
    assert str(caught.value).startswith(f"{Wrong.__name__}(")


class Renamed(GroupLasso):
    """A subclass that changes nothing."""


@pytest.mark.parametrize("penalty", [Renamed(), L2(), L2Norm(), MCP(gamma=1.5), SCAD(by="output")], ids=repr)
@pytest.mark.parametrize("shape", [(4, 3), (1, 1), (2, 40)])
def test_what_is_right_passes_for_every_seed(penalty, shape):
    for seed in range(3):
        check_penalty(penalty, shape=shape, random_state=seed)


def test_shape_fits_the_groups():
    penalty = GroupLasso(groups=[0, 0, 1, 2, 2, 2])
    check_penalty(penalty, shape=(6, 2))
    with pytest.raises(ValueError, match="groups"):
        check_penalty(penalty, shape=(4, 2))


def test_same_seed_same_message():
    messages = []
    for _ in range(2):
        with pytest.raises(AssertionError) as caught:
            check_penalty(LongStep(), random_state=7)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("thing", [L1, "l1", None])
def test_takes_an_instance(thing):
    with pytest.raises(TypeError, match=re.escape("instance of a subclass of sknormnet.penalties.Penalty")):
        check_penalty(thing)
