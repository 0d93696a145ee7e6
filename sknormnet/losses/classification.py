"""Losses for classification."""

import numpy as np

from sknormnet._core.losses import LossKernel
from sknormnet.losses.base import Loss
from sknormnet.losses.links import Link, LogitLink, SoftmaxLink


class LogLoss(Loss):
    """Negative log-likelihood of classes, also called cross-entropy.

    Domain
        Binary and multilabel: y in {0, 1}, a column for each label. Multiclass: y in {0, ..., n_classes - 1}, in one
        column.
    Link
        logit for binary and multilabel targets, softmax for several classes
    Formula
        Binary: log(1 + exp(raw)) - y*raw, summed over labels. Multiclass: log(sum_k exp(raw_k)) - raw_y.
    Constants dropped
        none
    Reference
        Bishop (2006), Pattern Recognition and Machine Learning, sections 4.3.2 and 4.3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import LogLoss
    >>> value, gradient = LogLoss().value_and_gradient(np.array([[1.0]]), np.array([[0.0]]))
    >>> round(value, 4), gradient.item()
    (0.6931, -0.5)
    """

    name = "log_loss"
    task = "classification"

    def n_raw(self, n_targets: int, n_classes: int | None = None) -> int:
        if n_targets == 1 and n_classes is not None and n_classes > 2:
            return n_classes
        return n_targets

    def link(self, n_targets: int, n_raw: int) -> Link:
        return LogitLink() if n_raw == n_targets else SoftmaxLink()

    def check_target(self, y: np.ndarray) -> None:
        pass  # the classifier encodes its classes

    def value_and_gradient(
        self, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        y, n_raw = np.asarray(y), np.shape(raw)[1]
        highest = n_raw - 1 if y.shape[1] != n_raw else 1
        outside = (y < 0) | (y > highest) | (y != np.floor(y))
        if outside.any():
            raise ValueError(
                f"log_loss takes class numbers 0 to {highest} as y; {outside.sum()} values are none, the first is "
                f"{y[outside][0]}"
            )
        return super().value_and_gradient(y, raw, sample_weight)

    def kernel(self) -> LossKernel:
        return LossKernel("log_loss")
