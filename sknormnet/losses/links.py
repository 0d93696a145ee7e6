"""Links: how a raw prediction becomes a mean or probabilities.

A loss takes raw predictions and has its link inside; predicting needs the inverse alone.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from sknormnet._core import losses as core


class Link(ABC):
    """Function from means or probabilities to raw predictions, with its inverse, on blocks of shape (n, n_raw).

    Attributes
    ----------
    name : str
        Name of the inverse, the output's activation.
    gives_probabilities : bool
        Whether the inverse gives probabilities of classes.
    symmetric : bool
        Whether inverse(-raw) is 1 - inverse(raw).
    """

    name: ClassVar[str] = "user-defined"
    gives_probabilities: ClassVar[bool] = False
    symmetric: ClassVar[bool] = False

    @abstractmethod
    def link(self, mean: np.ndarray) -> np.ndarray:
        """Raw predictions of means or probabilities."""

    @abstractmethod
    def inverse(self, raw: np.ndarray) -> np.ndarray:
        """Means or probabilities of raw predictions."""

    def log_inverse(self, raw: np.ndarray) -> np.ndarray:
        """Logarithm of `inverse`."""
        with np.errstate(divide="ignore"):
            return np.log(self.inverse(raw))


def _floating(raw: np.ndarray) -> np.ndarray:
    raw = np.asarray(raw)
    return np.ascontiguousarray(raw, dtype=np.float32 if raw.dtype == np.float32 else np.float64)


class IdentityLink(Link):
    """The raw prediction is the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import IdentityLink
    >>> IdentityLink().inverse(np.array([[2.0]]))
    array([[2.]])
    """

    name = "identity"

    def link(self, mean: np.ndarray) -> np.ndarray:
        return mean

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        return raw


class LogLink(Link):
    """The raw prediction is the logarithm of a positive mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import LogLink
    >>> LogLink().inverse(np.array([[0.0]]))
    array([[1.]])
    """

    name = "exp"

    def link(self, mean: np.ndarray) -> np.ndarray:
        return np.log(mean)

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.exp(raw)

    def log_inverse(self, raw: np.ndarray) -> np.ndarray:
        return raw


class LogitLink(Link):
    """Each column is the log-odds of an event: p = 1 / (1 + exp(-raw)).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import LogitLink
    >>> LogitLink().inverse(np.array([[0.0]]))
    array([[0.5]])
    """

    name = "logistic"
    gives_probabilities = True
    symmetric = True

    def link(self, mean: np.ndarray) -> np.ndarray:
        return np.log(mean) - np.log1p(-mean)

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        return core.logistic(_floating(raw))

    def log_inverse(self, raw: np.ndarray) -> np.ndarray:
        return core.logistic(_floating(raw), log=True)


class SoftmaxLink(Link):
    """The columns are log-probabilities of the classes, up to a constant: p_k = exp(raw_k) / sum_j exp(raw_j).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import SoftmaxLink
    >>> SoftmaxLink().inverse(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """

    name = "softmax"
    gives_probabilities = True

    def link(self, mean: np.ndarray) -> np.ndarray:
        log_p = np.log(mean)
        return log_p - log_p.mean(axis=1, keepdims=True)

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        return core.softmax(_floating(raw))

    def log_inverse(self, raw: np.ndarray) -> np.ndarray:
        return core.softmax(_floating(raw), log=True)


class ClippedLink(Link):
    """Each column is 2*p - 1, clipped to [-1, 1].

    Parameters
    ----------
    of_classes : bool
        Whether the columns are classes, whose probabilities are divided by their sum; all alike where it is zero.
    """

    name = "clipped"
    gives_probabilities = True
    symmetric = True

    def __init__(self, of_classes: bool):
        self.of_classes = of_classes

    def link(self, mean: np.ndarray) -> np.ndarray:
        return 2 * mean - 1

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        p = (np.clip(raw, -1, 1) + 1) / 2
        if self.of_classes:
            total = p.sum(axis=1, keepdims=True)
            p[total[:, 0] == 0] = 1
            p /= p.sum(axis=1, keepdims=True)
        return p


class SortedLink(Link):
    """The columns are quantiles, `n_levels` of each target in neighbouring columns, which are sorted.

    References
    ----------
    Chernozhukov, Fernandez-Val and Galichon (2010), Quantile and probability curves without crossing.
    """

    name = "sorted"

    def __init__(self, n_levels: int):
        self.n_levels = n_levels

    def link(self, mean: np.ndarray) -> np.ndarray:
        return mean

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        return np.sort(raw.reshape(len(raw), -1, self.n_levels), axis=2).reshape(raw.shape)


class MeanVarianceLink(Link):
    """The columns are pairs of a mean and s, variance = min_variance + exp(s); the inverse's are mean and variance."""

    name = "mean_variance"

    def __init__(self, min_variance: float):
        self.min_variance = min_variance

    def link(self, mean: np.ndarray) -> np.ndarray:
        raw = np.array(mean)
        raw[:, 1::2] = np.log(raw[:, 1::2] - self.min_variance)
        return raw

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        pairs = np.array(raw)
        with np.errstate(over="ignore"):
            pairs[:, 1::2] = np.exp(pairs[:, 1::2]) + self.min_variance
        return pairs
