"""What a loss is."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from sknormnet.losses.links import Link


class Loss(BaseEstimator, ABC):
    """Loss per sample, as a function of the target and the raw prediction (before the inverse link).

    A loss over several outputs is their sum. Parameters are constructor arguments, with ``get_params``, ``set_params``
    and ``clone`` as scikit-learn's estimators have them, so that ``loss__<parameter>`` works in a grid.
    """

    name: ClassVar[str]
    task: ClassVar[str]  # "regression" or "classification"

    @abstractmethod
    def n_raw(self, n_targets: int, n_classes: int | None = None) -> int:
        """Number of raw columns that a model with this loss has.

        Parameters
        ----------
        n_targets : int
            Columns of the encoded target.
        n_classes : int or None
            Number of classes where the target is one column of class numbers.
        """

    @abstractmethod
    def link(self, n_targets: int, n_raw: int) -> Link:
        """Link between the raw prediction and the mean or the probabilities."""

    @abstractmethod
    def check_target(self, y: np.ndarray) -> None:
        """Raise ValueError where y has values outside the loss's domain."""

    @abstractmethod
    def kernel(self) -> Any:
        """Compiled form, which the solvers call once per block of rows."""

    def value_and_gradient(
        self, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """Weighted sum of the losses of a block, and its gradient in raw.

        Parameters
        ----------
        y : ndarray of shape (n, n_targets)
        raw : ndarray of shape (n, n_raw)
            float32 or float64; y and sample_weight are converted to it.
        sample_weight : ndarray of shape (n,), default=None
            None counts every row once.

        Returns
        -------
        value : float
        gradient : ndarray of shape (n, n_raw)
        """
        raw = np.ascontiguousarray(raw)
        if raw.dtype != np.float32:
            raw = raw.astype(np.float64, copy=False)
        y = np.ascontiguousarray(y, dtype=raw.dtype)
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(sample_weight, dtype=raw.dtype)
        return self.kernel().value_and_gradient(y, raw, sample_weight)
