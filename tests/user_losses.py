"""Losses as users write them: NumPy alone, in a module that worker processes can import."""

import numpy as np
from scipy.special import logsumexp

from sknormnet.losses import LogitLink, LogLink, Loss, SoftmaxLink


def weighted(values, gradient, sample_weight):
    """Sum of the values and the gradient, each row times its weight."""
    if sample_weight is not None:
        values = values * sample_weight[:, np.newaxis]
        gradient = gradient * sample_weight[:, np.newaxis]
    return float(values.sum(dtype=np.float64)), gradient


class Linex(Loss):
    """Linear-exponential loss of Varian (1975): exp(a*e) - a*e - 1, e = raw - y."""

    name = "linex"
    convex = True

    def __init__(self, a=1.0):
        self.a = a

    def value_and_gradient(self, y, raw, sample_weight=None):
        z = self.a * (raw - y)
        growth = np.expm1(z)
        return weighted(growth - z, self.a * growth, sample_weight)


class NumpySquaredError(Loss):
    name = "numpy_squared_error"
    convex = True

    def value_and_gradient(self, y, raw, sample_weight=None):
        e = raw - y
        return weighted(0.5 * e**2, e, sample_weight)


class NumpyAbsoluteError(Loss):
    """Has a kink, and says how to smooth it: its Moreau envelope is Huber's function."""

    name = "numpy_absolute_error"
    convex = True
    kinked = True

    def value_and_gradient(self, y, raw, sample_weight=None, smoothing=0.0):
        e = raw - y
        if smoothing == 0.0:
            return weighted(np.abs(e), np.sign(e), sample_weight)
        near = np.abs(e) <= smoothing
        values = np.where(near, e**2 / (2 * smoothing), np.abs(e) - smoothing / 2)
        return weighted(values, np.where(near, e / smoothing, np.sign(e)), sample_weight)


class NumpyLogLoss(Loss):
    """Cross-entropy of class numbers: logistic for one raw column, softmax for more."""

    name = "numpy_log_loss"
    task = "classification"
    convex = True

    def link(self, n_targets, n_raw):
        return LogitLink() if n_raw == n_targets else SoftmaxLink()

    def value_and_gradient(self, y, raw, sample_weight=None):
        if raw.shape[1] == y.shape[1]:
            p = np.exp(-np.logaddexp(0, -raw))
            return weighted(np.logaddexp(0, raw) - y * raw, p - y, sample_weight)
        own = np.arange(raw.shape[1]) == y.astype(int)
        log_p = raw - logsumexp(raw, axis=1, keepdims=True)
        return weighted(np.where(own, -log_p, 0), np.exp(log_p) - own, sample_weight)


class NumpyMargin(Loss):
    """Exponential loss on margins, exp(-s*raw), s in {-1, 1}: a classifier's loss without probabilities."""

    name = "numpy_margin"
    task = "classification"
    convex = True

    def value_and_gradient(self, y, raw, sample_weight=None):
        positive = y if raw.shape[1] == y.shape[1] else np.arange(raw.shape[1]) == y
        s = np.where(positive, 1, -1).astype(raw.dtype)
        values = np.exp(-s * raw)
        return weighted(values, -s * values, sample_weight)


class NumpyPoisson(Loss):
    """Half Poisson deviance with log link."""

    name = "numpy_poisson"
    convex = True
    domain = "y >= 0"

    def in_domain(self, y):
        return y >= 0

    def link(self, n_targets, n_raw):
        return LogLink()

    def value_and_gradient(self, y, raw, sample_weight=None):
        mean = np.exp(raw)
        return weighted(mean - y * raw, mean - y, sample_weight)


class LaplaceNLL(Loss):
    """Negative log-likelihood of Laplace's distribution, with two raw columns per target: median and log scale."""

    name = "laplace_nll"

    def n_raw(self, n_targets, n_classes=None):
        return 2 * n_targets

    def prediction(self, raw, n_targets):
        return raw[:, ::2]

    def standard_deviation(self, raw, n_targets):
        return np.sqrt(2) * np.exp(raw[:, 1::2])

    def value_and_gradient(self, y, raw, sample_weight=None):
        e, log_scale = raw[:, ::2] - y, raw[:, 1::2]
        precision = np.exp(-log_scale)
        gradient = np.empty_like(raw)
        gradient[:, ::2] = np.sign(e) * precision
        gradient[:, 1::2] = 1 - np.abs(e) * precision
        return weighted(log_scale + np.abs(e) * precision, gradient, sample_weight)
