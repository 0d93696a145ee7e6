"""Losses of the residual raw - y: means, medians and quantiles."""

from collections.abc import Sequence
from numbers import Real

import numpy as np
from sklearn.metrics import d2_pinball_score
from sklearn.utils.validation import check_consistent_length

from sknormnet._core.losses import LossKernel
from sknormnet.losses.base import CompiledLoss, weighted_mean, weighted_quantile
from sknormnet.losses.links import IdentityLink, Link, SortedLink
from sknormnet.parameters import check_number


class SquaredError(CompiledLoss):
    """Half squared error, whose best prediction is the mean.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        (raw - y)**2 / 2, summed over outputs
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
    convex = True

    def best_constant(self, y, sample_weight=None, n_classes=None):
        return weighted_mean(y, sample_weight)

    def kernel(self) -> LossKernel:
        return LossKernel("residual", width=1)


class AbsoluteError(CompiledLoss):
    """Absolute error, whose best prediction is the median.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        abs(raw - y), summed over outputs; gradient 0 at raw = y
    Constants dropped
        none
    Reference
        Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 10.6.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import AbsoluteError
    >>> AbsoluteError().value_and_gradient(np.array([[1.0]]), np.array([[3.0]]))
    (2.0, array([[1.]]))
    """

    name = "absolute_error"
    convex = True
    kinked = True

    def best_constant(self, y, sample_weight=None, n_classes=None):
        return weighted_quantile(y, sample_weight, 0.5)

    def kernel(self) -> LossKernel:
        return LossKernel("residual", lower=-1, upper=1)


class Huber(CompiledLoss):
    """Squared error of small residuals, absolute error of large ones.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        e**2 / 2 where abs(e) <= delta, delta * (abs(e) - delta/2) elsewhere, e = raw - y, summed over outputs
    Constants dropped
        none
    Reference
        Huber (1964), Robust estimation of a location parameter.

    Parameters
    ----------
    delta : float > 0, default=1.0
        Residual, in units of y, from which the loss is linear.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Huber
    >>> Huber(delta=0.5).value_and_gradient(np.array([[1.0]]), np.array([[3.0]]))
    (0.875, array([[0.5]]))
    """

    name = "huber"
    convex = True

    def __init__(self, delta=1.0):
        self.delta = delta

    def check_parameters(self) -> None:
        check_number(self, "delta", "> 0", lambda delta: delta > 0)

    def kernel(self) -> LossKernel:
        return LossKernel("residual", lower=-self.delta, upper=self.delta, width=1)


class LogCosh(CompiledLoss):
    """Logarithm of the hyperbolic cosine: smooth, quadratic near zero, linear far away.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        log(cosh(raw - y)), summed over outputs
    Constants dropped
        none
    Reference
        Green (1990), Bayesian reconstructions from emission tomography data using a modified EM algorithm, section III.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import LogCosh
    >>> value, gradient = LogCosh().value_and_gradient(np.array([[0.0]]), np.array([[1.0]]))
    >>> round(value, 4), round(gradient.item(), 4)
    (0.4338, 0.7616)
    """

    name = "log_cosh"
    convex = True

    def kernel(self) -> LossKernel:
        return LossKernel("log_cosh")


class Quantile(CompiledLoss):
    """Pinball loss, whose best prediction is a quantile; several quantiles at once with a sequence.

    With Q quantiles the model has Q raw columns for each target, neighbouring columns belonging to one target, and
    predicts as many, sorted within each target. The score of a regressor is the D^2 pinball score, averaged over
    quantiles and targets.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        quantile * (y - raw) where y >= raw, (1 - quantile) * (raw - y) elsewhere, summed over outputs and quantiles;
        gradient 0 at raw = y
    Constants dropped
        none
    Reference
        Koenker and Bassett (1978), Regression quantiles.

    Parameters
    ----------
    quantile : float in (0, 1), or strictly increasing sequence of them, default=0.5

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Quantile
    >>> Quantile(0.75).value_and_gradient(np.array([[3.0]]), np.array([[1.0]]))
    (1.5, array([[-0.75]]))
    >>> Quantile((0.25, 0.75)).value_and_gradient(np.array([[3.0]]), np.array([[1.0, 5.0]]))
    (1.0, array([[-0.25,  0.25]]))
    """

    name = "quantile"
    convex = True
    kinked = True

    def __init__(self, quantile=0.5):
        self.quantile = quantile

    @property
    def levels(self) -> list[float]:
        """The quantiles as a list."""
        return [float(self.quantile)] if np.ndim(self.quantile) == 0 else list(self.quantile)

    def check_parameters(self) -> None:
        rule = "a number in (0, 1) or a strictly increasing sequence of them"
        if not isinstance(self.quantile, Real | Sequence | np.ndarray) or isinstance(self.quantile, str | bool):
            raise TypeError(f"quantile of Quantile must be {rule}, got {self.quantile!r}")
        levels = self.levels
        if not all(isinstance(level, Real) and not isinstance(level, bool) for level in levels):
            raise TypeError(f"quantile of Quantile must be {rule}, got {self.quantile!r}")
        if not levels or not all(0 < level < 1 for level in levels) or not (np.diff(levels) > 0).all():
            raise ValueError(f"quantile of Quantile must be {rule}, got {self.quantile!r}")

    def n_raw(self, n_targets: int, n_classes: int | None = None) -> int:
        return n_targets * len(self.levels)

    def link(self, n_targets: int, n_raw: int) -> Link:
        return IdentityLink() if n_raw == n_targets else SortedLink(len(self.levels))

    def score(self, y: np.ndarray, prediction: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """D^2 pinball score: 1 - (mean pinball loss) / (that of the empirical quantile), averaged."""
        check_consistent_length(y, prediction, sample_weight)
        y, levels = np.asarray(y).reshape(len(y), -1), self.levels
        prediction = np.asarray(prediction).reshape(len(y), -1)
        scores = [
            d2_pinball_score(y, prediction[:, q :: len(levels)], alpha=level, sample_weight=sample_weight)
            for q, level in enumerate(levels)
        ]
        return float(np.mean(scores))

    def best_constant(self, y, sample_weight=None, n_classes=None):
        return np.column_stack([weighted_quantile(y, sample_weight, level) for level in self.levels]).ravel()

    def kernel(self) -> LossKernel:
        return LossKernel("quantile", levels=self.levels)


class EpsilonInsensitive(CompiledLoss):
    """Absolute error beyond a tube that costs nothing: the loss of support vector regression.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        max(0, abs(raw - y) - epsilon), summed over outputs; gradient 0 at the edge of the tube
    Constants dropped
        none
    Reference
        Vapnik (1995), The Nature of Statistical Learning Theory, section 6.1.

    Parameters
    ----------
    epsilon : float >= 0, default=0.1
        Half width of the tube, in units of y.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import EpsilonInsensitive
    >>> EpsilonInsensitive(0.5).value_and_gradient(np.array([[1.0]]), np.array([[3.0]]))
    (1.5, array([[1.]]))
    """

    name = "epsilon_insensitive"
    convex = True
    kinked = True

    def __init__(self, epsilon=0.1):
        self.epsilon = epsilon

    def check_parameters(self) -> None:
        check_number(self, "epsilon", ">= 0", lambda epsilon: epsilon >= 0)

    def best_constant(self, y, sample_weight=None, n_classes=None):
        # The loss has the slope of half the sum of the absolute distances to both edges of the tube.
        y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        edges = np.concatenate([y - self.epsilon, y + self.epsilon])
        weight = None if sample_weight is None else np.tile(sample_weight, 2)
        return weighted_quantile(edges, weight, 0.5)

    def kernel(self) -> LossKernel:
        return LossKernel("residual", lower=-1, upper=1, tube=self.epsilon)


class SquaredEpsilonInsensitive(CompiledLoss):
    """Squared error beyond a tube that costs nothing.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        max(0, abs(raw - y) - epsilon)**2, summed over outputs
    Constants dropped
        none
    Reference
        Fan, Chang, Hsieh, Wang and Lin (2008), LIBLINEAR, appendix on support vector regression.

    Parameters
    ----------
    epsilon : float >= 0, default=0.1
        Half width of the tube, in units of y.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import SquaredEpsilonInsensitive
    >>> SquaredEpsilonInsensitive(0.5).value_and_gradient(np.array([[1.0]]), np.array([[3.0]]))
    (2.25, array([[3.]]))
    """

    name = "squared_epsilon_insensitive"
    convex = True

    def __init__(self, epsilon=0.1):
        self.epsilon = epsilon

    def check_parameters(self) -> None:
        check_number(self, "epsilon", ">= 0", lambda epsilon: epsilon >= 0)

    def kernel(self) -> LossKernel:
        return LossKernel("residual", width=0.5, tube=self.epsilon)


class Euclidean(CompiledLoss):
    """Euclidean distance of a row's outputs, not squared: rows count by how far they are, whatever the direction.

    Domain
        y in (-inf, inf), raw in (-inf, inf).
    Link
        identity
    Formula
        norm(raw - y), over outputs; gradient (raw - y) / norm(raw - y), and 0 at raw = y
    Constants dropped
        none
    Reference
        Haldane (1948), Note on the median of a multivariate distribution.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Euclidean
    >>> Euclidean().value_and_gradient(np.array([[1.0, 2.0]]), np.array([[4.0, 6.0]]))
    (5.0, array([[0.6, 0.8]]))
    """

    name = "euclidean"
    convex = True
    kinked = True

    def kernel(self) -> LossKernel:
        return LossKernel("euclidean", lower=0, upper=1)
