"""Penalties as users write them: NumPy alone, in a module that worker processes can import."""

import numpy as np

from sknormnet.penalties import Penalty, ShapePenalty


class LogSum(ShapePenalty):
    """strength * log(1 + t / epsilon) of Candes, Wakin and Boyd (2008)."""

    name = "log_sum"

    def __init__(self, epsilon=1.0, by="weight", groups=None):
        super().__init__(by, groups)
        self.epsilon = epsilon

    def shape_value(self, t, strength):
        return strength * np.log1p(t / self.epsilon)

    def shape_slope(self, t, strength):
        return strength / (self.epsilon + t)

    def shape_prox(self, t, step, strength):
        # The larger root u of (u - t) * (u + epsilon) + s = 0, written so that nothing cancels, or 0.
        e, s = self.epsilon, step * strength
        root = np.sqrt(np.maximum(t + e - 2 * np.sqrt(s), 0)) * np.sqrt(t + e + 2 * np.sqrt(s))
        b = np.maximum(np.abs(t - e) + root, 1e-30)
        u = np.clip(np.where(t > e, b / 2, 2 * (t * e - s) / b), 0, t)
        return np.where(u * (t - u / 2) > s * np.log1p(u / e), u, 0)


class Absolute(ShapePenalty):
    """strength * t: L1 by weight, group lasso by input or output."""

    name = "absolute"
    convex = True

    def shape_value(self, t, strength):
        return strength * t

    def shape_slope(self, t, strength):
        return strength + 0 * t

    def shape_prox(self, t, step, strength):
        return np.maximum(t - step * strength, 0)


class SmoothL1(Penalty):
    """Sum of sqrt(w^2 + delta^2) - delta: L1 with a round corner."""

    name = "smooth_l1"
    smooth = True
    convex = True

    def __init__(self, delta=0.1):
        self.delta = delta

    def value(self, W, strength):
        root = np.hypot(W, self.delta)
        return strength * float(np.sum(W * (W / (root + self.delta)), dtype=np.float64))  # root - delta would cancel

    def subgradient(self, W, strength):
        return (strength * (W / np.hypot(W, self.delta))).astype(W.dtype, copy=False)


class Ridge(Penalty):
    """L2, restated."""

    name = "ridge"
    smooth = True
    convex = True

    def value(self, W, strength):
        return 0.5 * strength * float(np.sum(W**2, dtype=np.float64))

    def subgradient(self, W, strength):
        return W * W.dtype.type(strength)


class RowLasso(Penalty):
    """GroupLasso("input"), restated."""

    name = "own_group_lasso"
    convex = True

    def value(self, W, strength):
        return strength * float(np.sum(_norms(W), dtype=np.float64))

    def subgradient(self, W, strength):
        return _directions(W) * W.dtype.type(strength)

    def prox(self, V, step, strength):
        return _directions(V) * np.maximum(_norms(V) - V.dtype.type(step * strength), 0)

    def residual(self, W, gradient, strength):
        at_zero = self.prox(gradient, 1.0, strength)
        return np.abs(np.where(W.any(axis=1, keepdims=True), gradient + self.subgradient(W, strength), at_zero))


def _norms(W):
    """Of rows, as a column; divided by the largest first, because squares overflow and underflow."""
    largest = np.max(np.abs(W), axis=1, keepdims=True)
    scaled = np.divide(W, largest, out=np.zeros_like(W), where=largest > 0)
    return largest * np.linalg.norm(scaled, axis=1, keepdims=True)


def _directions(W):
    """Rows of norm 1, or zero."""
    largest = np.max(np.abs(W), axis=1, keepdims=True)
    scaled = np.divide(W, largest, out=np.zeros_like(W), where=largest > 0)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.divide(scaled, norms, out=np.zeros_like(W), where=norms > 0)


class Box(Penalty):
    """Constraint: all weights between -limit and limit."""

    name = "box"
    convex = True
    constraint = True

    def __init__(self, limit=0.5):
        self.limit = limit

    def value(self, W, strength):
        return 0.0 if np.max(np.abs(W)) <= W.dtype.type(self.limit) else np.inf

    def subgradient(self, W, strength):
        return np.zeros_like(W)

    def prox(self, V, step, strength):
        return np.clip(V, -self.limit, self.limit).astype(V.dtype, copy=False)

    def residual(self, W, gradient, strength):
        # At a bound, what points outward is held.
        held = (np.abs(W) >= W.dtype.type(self.limit)) & (W * gradient < 0)
        return np.where(held, 0, np.abs(gradient)).astype(W.dtype, copy=False)
