"""What a penalty is."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator


class Penalty(BaseEstimator, ABC):
    """Function Omega of one weight matrix of shape (fan_in, fan_out).

    The strength is an argument, never part of a penalty: the objective has strength * Omega(W), with strength = alpha
    times the layer's weight. A smooth penalty joins the gradient; any other is taken by its prox. Parameters are
    constructor arguments, with ``get_params``, ``set_params`` and ``clone`` as scikit-learn's estimators have them.
    """

    name: ClassVar[str]
    smooth: bool
    decoupled: ClassVar[bool] = False  # outside the objective: the full-batch solvers refuse it
    convex: ClassVar[bool] = False  # claimed, and checked by sknormnet.testing.check_penalty

    @abstractmethod
    def kernel(self) -> Any:
        """Compiled form: value, prox, subgradient and residual on contiguous arrays."""

    def value(self, W: np.ndarray, strength: float) -> float:
        """strength * Omega(W)."""
        return self.kernel().value(_floating(W), strength)

    def subgradient(self, W: np.ndarray, strength: float) -> np.ndarray:
        """Element of smallest norm of the subdifferential of strength * Omega at W, which is shaped like W."""
        return self.kernel().subgradient(_floating(W), strength)

    def prox(self, V: np.ndarray, step: float, strength: float) -> np.ndarray:
        """argmin over W of 0.5 * ||W - V||^2 + step * strength * Omega(W)."""
        return self.kernel().prox(_floating(V), step, strength)

    def residual(self, W: np.ndarray, gradient: np.ndarray, strength: float) -> np.ndarray:
        """Distance of -gradient to the subdifferential of strength * Omega at W, element by element."""
        W = _floating(W)
        return self.kernel().residual(W, np.ascontiguousarray(gradient, dtype=W.dtype), strength)


def _floating(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)
