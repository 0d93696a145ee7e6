"""Losses for classification."""

import numpy as np

from sknormnet._core.losses import LossKernel
from sknormnet.losses.base import CompiledLoss, weighted_mean
from sknormnet.losses.links import ClippedLink, Link, LogitLink, SoftmaxLink
from sknormnet.parameters import check_number

EPS = np.finfo(np.float64).eps


class _OfClasses(CompiledLoss):
    """Losses of class numbers, one column 0, ..., n_classes - 1, or of labels, a column of 0 and 1 for each."""

    task = "classification"
    convex = True
    domain = "class numbers 0, 1, ..., or 0 and 1 in a column for each label"

    def in_domain(self, y: np.ndarray) -> np.ndarray:
        return (y >= 0) & (y == np.floor(y)) & (y < np.inf)

    def _check_block(self, y: np.ndarray, raw: np.ndarray) -> None:
        super()._check_block(y, raw)
        highest = raw.shape[1] - 1 if y.shape[1] != raw.shape[1] else 1
        outside = (y < 0) | (y > highest) | (y != np.floor(y))
        if outside.any():
            raise ValueError(
                f"{self!r} takes class numbers 0 to {highest} as y; {outside.sum()} values are none, the first is "
                f"{y[outside][0]}"
            )

    def _shares(self, y, sample_weight, n_classes) -> np.ndarray:
        """Share of the weights that each raw column's event has."""
        y = np.asarray(y).reshape(len(y), -1)
        if self.n_raw(y.shape[1], n_classes) != y.shape[1]:
            y = y == np.arange(n_classes)
        return weighted_mean(y, sample_weight)


class _OfProbabilities(_OfClasses):
    """Losses of probabilities that a logistic function or softmax makes of raw."""

    def link(self, n_targets: int, n_raw: int) -> Link:
        return LogitLink() if n_raw == n_targets else SoftmaxLink()

    def best_constant(self, y, sample_weight=None, n_classes=None):
        shares = np.clip(self._shares(y, sample_weight, n_classes), EPS, 1 - EPS)
        n_targets = np.reshape(y, (len(y), -1)).shape[1]
        return self.link(n_targets, len(shares)).link(shares[np.newaxis])[0]


class _OfMargin(_OfClasses):
    """Losses of the margin: raw for an event, -raw for its opposite; several classes are one-versus-rest sums."""

    def best_constant(self, y, sample_weight=None, n_classes=None):
        return 2 * self._shares(y, sample_weight, n_classes) - 1


class LogLoss(_OfProbabilities):
    """Negative log-likelihood of classes, also called cross-entropy.

    Domain
        Binary and multilabel: y in {0, 1}, a column for each label. Multiclass: y in {0, ..., n_classes - 1}, in one
        column.
    Link
        logit for binary and multilabel targets, softmax for several classes
    Formula
        Binary: log(1 + exp(raw)) - y*raw, summed over labels. Multiclass: log(sum_k exp(raw_k)) - sum_k y_k*raw_k, y_k
        = 1 for the class, else 0. With label_smoothing = s, y becomes (1 - s)*y + s/2, or (1 - s)*y_k + s/n_classes.
    Constants dropped
        none
    Reference
        Bishop (2006), Pattern Recognition and Machine Learning, sections 4.3.2 and 4.3.4; Szegedy et al. (2016),
        Rethinking the Inception architecture, section 7, for label smoothing.

    Parameters
    ----------
    label_smoothing : float in [0, 1), default=0.0
        Share of each target that is spread evenly over the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import LogLoss
    >>> value, gradient = LogLoss().value_and_gradient(np.array([[1.0]]), np.array([[0.0]]))
    >>> round(value, 4), gradient.item()
    (0.6931, -0.5)
    """

    name = "log_loss"

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def check_parameters(self) -> None:
        check_number(self, "label_smoothing", "in [0, 1)", lambda smoothing: 0 <= smoothing < 1)

    def _shares(self, y, sample_weight, n_classes) -> np.ndarray:
        shares = super()._shares(y, sample_weight, n_classes)
        even = 1 / n_classes if n_classes is not None and n_classes > 2 else 0.5
        return (1 - self.label_smoothing) * shares + self.label_smoothing * even

    def kernel(self) -> LossKernel:
        return LossKernel("log_loss", shape=self.label_smoothing)


class Brier(_OfProbabilities):
    """Quadratic loss on probabilities: bounded, so that wrong labels count less than with `LogLoss`.

    Not convex in raw, and flat where a probability is near 0 or 1: training may start slowly from a bad start.

    Domain
        Binary and multilabel: y in {0, 1}, a column for each label. Multiclass: y in {0, ..., n_classes - 1}, in one
        column.
    Link
        logit for binary and multilabel targets, softmax for several classes
    Formula
        Binary: (p - y)**2, summed over labels. Multiclass: sum_k (p_k - y_k)**2 / 2, y_k = 1 for the class, else 0;
        equal for two classes.
    Constants dropped
        none
    Reference
        Brier (1950), Verification of forecasts expressed in terms of probability.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Brier
    >>> Brier().value_and_gradient(np.array([[1.0]]), np.array([[0.0]]))
    (0.25, array([[-0.25]]))
    """

    name = "brier"
    convex = False

    def kernel(self) -> LossKernel:
        return LossKernel("brier")


class Hinge(_OfMargin):
    """Loss of the linear support vector machine. Its raw predictions are no probabilities.

    Domain
        Binary and multilabel: y in {0, 1}, a column for each label. Multiclass: y in {0, ..., n_classes - 1}, in one
        column.
    Link
        identity
    Formula
        max(0, 1 - m), m = raw for y = 1 and -raw for y = 0, summed over labels; for several classes the sum over
        classes of "this one against the rest". Gradient 0 at m = 1.
    Constants dropped
        none
    Reference
        Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 12.3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Hinge
    >>> Hinge().value_and_gradient(np.array([[1.0]]), np.array([[0.5]]))
    (0.5, array([[-1.]]))
    """

    name = "hinge"
    kinked = True

    def best_constant(self, y, sample_weight=None, n_classes=None):
        return np.where(self._shares(y, sample_weight, n_classes) > 0.5, 1.0, -1.0)

    def kernel(self) -> LossKernel:
        return LossKernel("margin", lower=0, upper=1)


class SquaredHinge(_OfMargin):
    """Squared hinge loss, without a half. Its raw predictions are no probabilities.

    Domain
        Binary and multilabel: y in {0, 1}, a column for each label. Multiclass: y in {0, ..., n_classes - 1}, in one
        column.
    Link
        identity
    Formula
        max(0, 1 - m)**2, m = raw for y = 1 and -raw for y = 0, summed over labels; for several classes the sum over
        classes of "this one against the rest"
    Constants dropped
        none
    Reference
        Fan, Chang, Hsieh, Wang and Lin (2008), LIBLINEAR, section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import SquaredHinge
    >>> SquaredHinge().value_and_gradient(np.array([[1.0]]), np.array([[0.5]]))
    (0.25, array([[-1.]]))
    """

    name = "squared_hinge"

    def kernel(self) -> LossKernel:
        return LossKernel("margin", lower=0, width=0.5)


class ModifiedHuber(_OfMargin):
    """Squared hinge loss that is linear for margins below -1, which robs outliers of their weight.

    Its raw predictions, clipped to [-1, 1], are 2*p - 1. Probabilities are often exactly 0 or 1.

    Domain
        Binary and multilabel: y in {0, 1}, a column for each label. Multiclass: y in {0, ..., n_classes - 1}, in one
        column.
    Link
        raw = 2*p - 1, clipped to [-1, 1]; the p of several classes are divided by their sum
    Formula
        max(0, 1 - m)**2 where m >= -1, -4*m elsewhere, m = raw for y = 1 and -raw for y = 0, summed over labels; for
        several classes the sum over classes of "this one against the rest"
    Constants dropped
        none
    Reference
        Zhang (2004), Statistical behavior and consistency of classification methods based on convex risk minimization.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import ModifiedHuber
    >>> ModifiedHuber().value_and_gradient(np.array([[1.0]]), np.array([[-2.0]]))
    (8.0, array([[-4.]]))
    """

    name = "modified_huber"

    def link(self, n_targets: int, n_raw: int) -> Link:
        return ClippedLink(of_classes=n_raw != n_targets)

    def kernel(self) -> LossKernel:
        return LossKernel("margin", lower=0, upper=4, width=0.5)


class Focal(_OfProbabilities):
    """Log loss in which samples that are classified well count little.

    Not convex in raw for gamma > 0. Its probabilities are not calibrated: it is no proper scoring rule.

    Domain
        Binary and multilabel: y in {0, 1}, a column for each label. Multiclass: y in {0, ..., n_classes - 1}, in one
        column.
    Link
        logit for binary and multilabel targets, softmax for several classes
    Formula
        -(1 - p)**gamma * log(p), p the probability of the class that y names, summed over labels
    Constants dropped
        none
    Reference
        Lin, Goyal, Girshick, He and Dollar (2017), Focal loss for dense object detection.

    Parameters
    ----------
    gamma : float >= 0, default=2.0
        Exponent; 0 is `LogLoss`.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Focal
    >>> value, _ = Focal(gamma=2).value_and_gradient(np.array([[1.0]]), np.array([[0.0]]))
    >>> round(value, 4)
    0.1733
    """

    name = "focal"
    convex = False

    def __init__(self, gamma=2.0):
        self.gamma = gamma

    def check_parameters(self) -> None:
        check_number(self, "gamma", ">= 0", lambda gamma: gamma >= 0)

    def best_constant(self, y, sample_weight=None, n_classes=None):
        return CompiledLoss.best_constant(self, y, sample_weight, n_classes)

    def kernel(self) -> LossKernel:
        return LossKernel("focal", shape=self.gamma)
