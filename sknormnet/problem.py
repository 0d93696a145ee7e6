"""What a fit solves, made of an estimator's parameters and data."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sknormnet.losses import Loss
from sknormnet.plan import Plan


@dataclass
class Target:
    """An encoded target.

    Attributes
    ----------
    y : ndarray of shape (n, n_targets)
        In the dtype of the arithmetic.
    given : ndarray
        As it was before.
    stratify : ndarray or None
        What a validation split is stratified by.
    """

    y: np.ndarray
    given: np.ndarray
    stratify: np.ndarray | None = None


@dataclass
class Problem:
    """What a fit solves, but for the weights of rows and what is held out.

    Attributes
    ----------
    X : ndarray, CSR or SelectedRows of shape (n, n_features)
        As the core reads it.
    target : Target
    sample_weight : ndarray of shape (n,) or None
        Positive, not normalised.
    plan : Plan
    activation : str or tuple of str
    loss : Loss
        Of all targets.
    """

    X: Any
    target: Target
    sample_weight: np.ndarray | None
    plan: Plan
    activation: str | tuple[str, ...]
    loss: Loss

    @property
    def n_targets(self) -> int:
        return self.target.y.shape[1]
