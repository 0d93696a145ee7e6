"""What a penalty is."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from sknormnet._core.python_penalties import PythonPenaltyKernel


class Penalty(BaseEstimator, ABC):
    """Function Omega of one weight matrix of shape (fan_in, fan_out); the base of users' own penalties.

    The strength is an argument, never part of a penalty: the objective has strength * Omega(W), with strength = alpha
    times the layer's weight. A smooth penalty joins the gradient; any other is taken by its prox. Parameters are
    constructor arguments, with ``get_params``, ``set_params`` and ``clone`` as scikit-learn's estimators have them.

    A penalty of one's own defines `value` and `subgradient` and says whether it is smooth; if it is not, `prox` and
    `residual` too. Matrices are float32 or float64, and so is what is returned. In training it is called with the
    interpreter's lock held. If it is not smooth, all weights of its matrix share one second moment under adam, so that
    the metric of the prox is a number. A function of single weights' sizes, or of groups' norms, is written with less
    as a `ShapePenalty`. `sknormnet.testing.check_penalty` checks either.

    Attributes
    ----------
    name : str
    smooth : bool
        Whether Omega is differentiable everywhere.
    convex : bool
        Claimed, and checked by check_penalty.
    constraint : bool
        Whether Omega is infinite for some W: it then holds at strength 0 too.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet import NormRegMLPRegressor
    >>> from sknormnet.penalties import Penalty
    >>> class SmoothL1(Penalty):
    ...     "Sum of sqrt(w^2 + delta^2) - delta: L1 with a round corner."
    ...     name, smooth, convex = "smooth_l1", True, True
    ...     def __init__(self, delta=0.1):
    ...         self.delta = delta
    ...     def value(self, W, strength):
    ...         return strength * (np.hypot(W, self.delta) - self.delta).sum()
    ...     def subgradient(self, W, strength):
    ...         return strength * W / np.hypot(W, self.delta)
    >>> X, y = np.eye(3), [0.0, 1.0, 5.0]
    >>> model = NormRegMLPRegressor((), penalty=SmoothL1(), alpha=0.01, solver="lbfgs").fit(X, y)
    >>> model.coefs_[0][[0, 2], 0].round(2)
    array([-0.97,  3.97])
    """

    name: ClassVar[str] = "own"
    smooth: bool = False
    decoupled: ClassVar[bool] = False  # outside the objective: the full-batch solvers refuse it
    convex: bool = False
    constraint: bool = False
    scales: bool = True  # with the strength, as constraints do not
    network_wide: bool = False  # one term for all layers together

    @abstractmethod
    def value(self, W: np.ndarray, strength: float) -> float:
        """strength * Omega(W)."""

    @abstractmethod
    def subgradient(self, W: np.ndarray, strength: float) -> np.ndarray:
        """Element of smallest norm of the subdifferential of strength * Omega at W, which is shaped like W."""

    def prox(self, V: np.ndarray, step: float, strength: float) -> np.ndarray:
        """argmin over W of 0.5 * ||W - V||^2 + step * strength * Omega(W)."""
        raise TypeError(f"{type(self).__name__} has no prox, which a penalty that is not smooth must define")

    def residual(self, W: np.ndarray, gradient: np.ndarray, strength: float) -> np.ndarray:
        """Distance of -gradient to the subdifferential of strength * Omega at W, element by element."""
        if not self.smooth:
            raise TypeError(f"{type(self).__name__} has no residual, which a penalty that is not smooth must define")
        return np.abs(gradient + self.subgradient(W, strength))

    def kernel(self) -> Any:
        """Compiled form. Of a penalty that is written in Python: an adapter, which calls its methods."""
        if not self.smooth:
            lacking = [name for name in ("prox", "residual") if getattr(type(self), name) is getattr(Penalty, name)]
            if lacking:
                raise TypeError(
                    f"{type(self).__name__} must define {' and '.join(lacking)}, or say smooth = True if it is "
                    "differentiable everywhere"
                )
        return PythonPenaltyKernel(self)


class CompiledPenalty(Penalty):
    """A penalty whose formulas stand in the compiled core."""

    @abstractmethod
    def kernel(self) -> Any:
        """Compiled form: value, prox, subgradient and residual on contiguous arrays."""

    def value(self, W: np.ndarray, strength: float) -> float:
        """strength * Omega(W)."""
        return self.kernel().value(floating(W), strength)

    def subgradient(self, W: np.ndarray, strength: float) -> np.ndarray:
        """Element of smallest norm of the subdifferential of strength * Omega at W, which is shaped like W."""
        return self.kernel().subgradient(floating(W), strength)

    def prox(self, V: np.ndarray, step: float, strength: float) -> np.ndarray:
        """argmin over W of 0.5 * ||W - V||^2 + step * strength * Omega(W)."""
        return self.kernel().prox(floating(V), step, strength)

    def residual(self, W: np.ndarray, gradient: np.ndarray, strength: float) -> np.ndarray:
        """Distance of -gradient to the subdifferential of strength * Omega at W, element by element."""
        W = floating(W)
        return self.kernel().residual(W, np.ascontiguousarray(gradient, dtype=W.dtype), strength)


def floating(array: np.ndarray) -> np.ndarray:
    """The array in the form that kernels take: contiguous, float32 or float64."""
    array = np.ascontiguousarray(array)
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)
