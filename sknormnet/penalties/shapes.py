"""A penalty of one's own from three functions of a norm."""

from abc import abstractmethod

import numpy as np

from sknormnet._core.python_penalties import ShapeKernel
from sknormnet.penalties.groups import OfGroups


class ShapePenalty(OfGroups):
    """Base of users' own penalties that are a function rho of the sizes of weights or of the norms of groups.

    Omega(W) = sum_g rho(||W_g||_2), whose strength is an argument of rho. A subclass defines rho, its slope and its
    prox, on arrays of norms t >= 0; value, subgradient, prox and residual of matrices follow, with exact zeros, for any
    grouping that `by` and `groups` name. In training value and prox are called with the interpreter's lock held, once
    each per layer and step, for all groups at once.

    Parameters
    ----------
    by : {"weight", "input", "output", "matrix"}, default="weight"
        Groups: single weights, rows (all weights of an input), columns (all weights that enter a unit), or all of it. A
        subclass that has parameters of its own takes `by` and `groups` in its ``__init__`` if it wants to offer them.
    groups : array-like of int of shape (fan_in,), default=None
        With ``by="input"``, the group of each input, as in `GroupLasso`.

    Attributes
    ----------
    convex : bool, default=False
        Claimed, and checked by `sknormnet.testing.check_penalty`.
    longest_step : float, default=infinity
        For a rho that is constant beyond some t. Under adam, steps grow without bound where gradients vanish, and its
        prox would then remove weights of any size: it is taken with at most this step. A good choice is the largest one
        up to which t^2/2 + step * rho(t) is convex. Where rho goes on rising, gradients do not vanish, and a shorter
        prox would weaken the penalty: leave it at infinity.

    Examples
    --------
    The log-sum penalty, rho(t) = strength * log(1 + t / epsilon) (Candes, Wakin and Boyd, 2008):

    >>> import numpy as np
    >>> from sknormnet.penalties import ShapePenalty
    >>> class LogSum(ShapePenalty):
    ...     name = "log_sum"
    ...     def __init__(self, epsilon=1.0, by="weight", groups=None):
    ...         super().__init__(by, groups)
    ...         self.epsilon = epsilon
    ...     def shape_value(self, t, strength):
    ...         return strength * np.log1p(t / self.epsilon)
    ...     def shape_slope(self, t, strength):
    ...         return strength / (self.epsilon + t)
    ...     def shape_prox(self, t, step, strength):
    ...         # The larger root u of (u - t) * (u + epsilon) + s = 0, written so that nothing cancels, or 0.
    ...         e, s = self.epsilon, step * strength
    ...         root = np.sqrt(np.maximum(t + e - 2 * np.sqrt(s), 0)) * np.sqrt(t + e + 2 * np.sqrt(s))
    ...         b = np.maximum(np.abs(t - e) + root, 1e-30)
    ...         u = np.clip(np.where(t > e, b / 2, 2 * (t * e - s) / b), 0, t)
    ...         return np.where(u * (t - u / 2) > s * np.log1p(u / e), u, 0)
    >>> LogSum(epsilon=0.1).prox(np.array([[0.5, 2.0]]), step=1.0, strength=0.2).round(3)
    array([[0. , 1.9]])
    """

    name = "own shape"
    convex = False
    by = "weight"
    longest_step = np.inf

    def __init__(self, by="weight", groups=None):
        self.by = by
        self.groups = groups

    @abstractmethod
    def shape_value(self, t: np.ndarray, strength: float | np.ndarray) -> np.ndarray:
        """rho(t) of norms t >= 0; rho(0) = 0. A strength that differs between groups is an array shaped like t."""

    @abstractmethod
    def shape_slope(self, t: np.ndarray, strength: float | np.ndarray) -> np.ndarray:
        """Derivative of rho at t, at 0 from the right."""

    @abstractmethod
    def shape_prox(self, t: np.ndarray, step: float | np.ndarray, strength: float | np.ndarray) -> np.ndarray:
        """Global minimiser over u >= 0 of (u - t)^2 / 2 + step * rho(u)."""

    def kernel(self) -> ShapeKernel:
        groups = self._checked_groups()
        return ShapeKernel(self, by=self.by, groups=groups, longest_step=float(self.longest_step))
