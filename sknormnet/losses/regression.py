"""Losses for regression."""

import numpy as np

from sknormnet._core.losses import LossKernel
from sknormnet.losses.base import Loss
from sknormnet.losses.links import IdentityLink, Link


class SquaredError(Loss):
    """Half squared error.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        0.5 * (raw - y)**2, summed over outputs
    Constants dropped
        none
    Reference
        Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 2.4.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import SquaredError
    >>> SquaredError().value_and_gradient(np.array([[1.0]]), np.array([[3.0]]))
    (2.0, array([[2.]]))
    """

    name = "squared_error"
    task = "regression"

    def n_raw(self, n_targets: int, n_classes: int | None = None) -> int:
        return n_targets

    def link(self, n_targets: int, n_raw: int) -> Link:
        return IdentityLink()

    def check_target(self, y: np.ndarray) -> None:
        pass  # every finite number

    def kernel(self) -> LossKernel:
        return LossKernel("squared_error")
