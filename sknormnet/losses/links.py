"""Links: how a raw prediction becomes a mean or probabilities.

A loss takes raw predictions and has its link inside; predicting needs the inverse alone.
"""

from abc import ABC, abstractmethod

import numpy as np

from sknormnet._core import losses as core


class Link(ABC):
    """Inverse of a link function, on blocks of shape (n, n_raw)."""

    name: str

    @abstractmethod
    def inverse(self, raw: np.ndarray) -> np.ndarray:
        """Mean or probabilities, shape (n, n_raw)."""

    def log_inverse(self, raw: np.ndarray) -> np.ndarray:
        """Logarithm of `inverse`, finite wherever raw is."""
        raise TypeError(f"the {self.name} link does not give probabilities")


class IdentityLink(Link):
    """The raw prediction is the mean."""

    name = "identity"

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        return raw


class LogitLink(Link):
    """Each column is the log-odds of an event: p = 1 / (1 + exp(-raw))."""

    name = "logistic"

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        return core.logistic(raw)

    def log_inverse(self, raw: np.ndarray) -> np.ndarray:
        return core.logistic(raw, log=True)


class SoftmaxLink(Link):
    """The columns are log-probabilities of the classes, up to a constant: p_k = exp(raw_k) / sum_j exp(raw_j)."""

    name = "softmax"

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        return core.softmax(raw)

    def log_inverse(self, raw: np.ndarray) -> np.ndarray:
        return core.softmax(raw, log=True)


LINKS: dict[str, Link] = {link.name: link for link in (IdentityLink(), LogitLink(), SoftmaxLink())}
