"""Losses for regression that are half deviances or likelihoods of a distribution."""

import numpy as np

from sknormnet._core.losses import LossKernel
from sknormnet.losses.base import CompiledLoss, weighted_mean
from sknormnet.losses.links import Link, LogLink, MeanVarianceLink
from sknormnet.parameters import check_number

LEAST = 10 * np.finfo(np.float64).eps  # of a mean whose logarithm is taken, as in scikit-learn's losses


class _OfLogMean(CompiledLoss):
    """Deviances whose raw prediction is the logarithm of the mean."""

    def link(self, n_targets: int, n_raw: int) -> Link:
        return LogLink()

    def best_constant(self, y, sample_weight=None, n_classes=None):
        return np.log(np.maximum(weighted_mean(y, sample_weight), LEAST))


class Poisson(_OfLogMean):
    """Half deviance of the Poisson distribution, for counts and rates.

    For counts seen over different exposures take count / exposure as the target and the exposure as sample weight.

    Domain
        y in [0, inf), raw in (-inf, inf).
    Link
        log
    Formula
        exp(raw) - y*raw, summed over outputs
    Constants dropped
        y*log(y) - y
    Reference
        McCullagh and Nelder (1989), Generalized Linear Models, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Poisson
    >>> Poisson().value_and_gradient(np.array([[3.0]]), np.array([[0.0]]))
    (1.0, array([[-2.]]))
    """

    name = "poisson"
    convex = True
    domain = "y >= 0"

    def in_domain(self, y: np.ndarray) -> np.ndarray:
        return (y >= 0) & (y < np.inf)

    def kernel(self) -> LossKernel:
        return LossKernel("poisson")


class Gamma(_OfLogMean):
    """Half deviance of the gamma distribution, for positive amounts whose spread grows with their mean.

    Domain
        y in (0, inf), raw in (-inf, inf).
    Link
        log
    Formula
        raw + y*exp(-raw), summed over outputs
    Constants dropped
        -log(y) - 1
    Reference
        McCullagh and Nelder (1989), Generalized Linear Models, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Gamma
    >>> Gamma().value_and_gradient(np.array([[3.0]]), np.array([[0.0]]))
    (3.0, array([[-2.]]))
    """

    name = "gamma"
    convex = True
    domain = "y > 0"

    def in_domain(self, y: np.ndarray) -> np.ndarray:
        return (y > 0) & (y < np.inf)

    def kernel(self) -> LossKernel:
        return LossKernel("gamma")


class Tweedie(_OfLogMean):
    """Half deviance of the Tweedie family: variance proportional to mean**power.

    Power 0 is the normal distribution, 1 Poisson, 2 gamma, 3 inverse Gaussian; between 1 and 2 lie amounts that are
    sums of gamma variables, with a mass at zero, such as insurance claims.

    Domain
        y in (-inf, inf) for power <= 0, [0, inf) for 1 <= power < 2, (0, inf) for power >= 2; raw in (-inf, inf).
    Link
        log
    Formula
        exp((2-power)*raw) / (2-power) - y*exp((1-power)*raw) / (1-power), summed over outputs; at power 0, 1 and 2
        (exp(raw) - y)**2 / 2, exp(raw) - y*raw and raw + y*exp(-raw)
    Constants dropped
        max(y, 0)**(2-power) / ((1-power) * (2-power)), none at power 0, y*log(y) - y at 1, -log(y) - 1 at 2
    Reference
        Jorgensen (1997), The Theory of Dispersion Models, chapter 4.

    Parameters
    ----------
    power : float <= 0 or >= 1, default=1.5

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Tweedie
    >>> Tweedie(1.5).value_and_gradient(np.array([[3.0]]), np.array([[0.0]]))
    (8.0, array([[-2.]]))
    """

    name = "tweedie"

    def __init__(self, power=1.5):
        self.power = power

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Between powers 1 and 2 both terms are convex in raw."""
        return 1 <= self.power <= 2

    @property
    def domain(self) -> str:
        if self.power <= 0:
            return "finite y"
        return "y >= 0" if self.power < 2 else "y > 0"

    def check_parameters(self) -> None:
        check_number(self, "power", "<= 0 or >= 1", lambda power: power <= 0 or power >= 1)

    def in_domain(self, y: np.ndarray) -> np.ndarray:
        if self.power <= 0:
            return np.isfinite(y)
        return ((y >= 0) if self.power < 2 else (y > 0)) & (y < np.inf)

    def kernel(self) -> LossKernel:
        return LossKernel("tweedie", shape=self.power)


class GaussianNLL(CompiledLoss):
    """Negative log-likelihood of a normal distribution whose mean and variance both depend on the features.

    The model has two raw columns for each target, the mean and s, next to each other; ``predict`` gives the means and
    ``predict(X, return_std=True)`` also the standard deviations. Not convex in both columns.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity for the mean; s = log(variance - min_variance)
    Formula
        (log(variance) + (mean - y)**2 / variance) / 2, variance = min_variance + exp(s), summed over targets
    Constants dropped
        log(2*pi) / 2
    Reference
        Nix and Weigend (1994), Estimating the mean and variance of the target probability distribution.

    Parameters
    ----------
    min_variance : float > 0, default=1e-6
        Smallest variance, in squared units of y: the loss is unbounded below without one.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import GaussianNLL
    >>> value, gradient = GaussianNLL().value_and_gradient(np.array([[1.0]]), np.array([[3.0, 0.0]]))
    >>> round(value, 4), gradient.round(4)
    (2.0, array([[ 2. , -1.5]]))
    """

    name = "gaussian_nll"

    def __init__(self, min_variance=1e-6):
        self.min_variance = min_variance

    def check_parameters(self) -> None:
        check_number(self, "min_variance", "> 0", lambda variance: variance > 0)

    def n_raw(self, n_targets: int, n_classes: int | None = None) -> int:
        return 2 * n_targets

    def link(self, n_targets: int, n_raw: int) -> Link:
        return MeanVarianceLink(self.min_variance)

    def prediction(self, raw: np.ndarray, n_targets: int) -> np.ndarray:
        return np.ascontiguousarray(raw[:, ::2])

    def standard_deviation(self, raw: np.ndarray, n_targets: int) -> np.ndarray:
        return np.sqrt(self.link(n_targets, raw.shape[1]).inverse(raw)[:, 1::2])

    def best_constant(self, y, sample_weight=None, n_classes=None):
        mean = weighted_mean(y, sample_weight)
        variance = weighted_mean((np.reshape(y, (len(y), -1)) - mean) ** 2, sample_weight)
        return np.column_stack([mean, np.log(np.maximum(variance - self.min_variance, LEAST))]).ravel()

    def kernel(self) -> LossKernel:
        return LossKernel("gaussian_nll", shape=self.min_variance)
