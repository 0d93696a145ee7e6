"""What a loss is."""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score

from sknormnet._core.losses import LossKernel, PythonLossKernel
from sknormnet.losses.links import IdentityLink, Link


class Loss(BaseEstimator, ABC):
    """Loss per sample, as a function of the target and the raw prediction (before the inverse link).

    A loss over several outputs is their sum. Parameters are constructor arguments, with ``get_params``, ``set_params``
    and ``clone`` as scikit-learn's estimators have them, so that ``loss__<parameter>`` works in a grid.

    A loss of your own is a subclass with one method, `value_and_gradient`; the defaults of everything else are those
    of a regression loss with one raw prediction for each target. It is called without the core's speed: once per
    block of rows, with the GIL.

    Attributes
    ----------
    name : str
        What the loss is called as a string; losses of your own need none.
    task : {"regression", "classification"}
        What the loss fits.
    convex : bool
        Whether the loss is convex in raw. Claimed, and checked by `sknormnet.testing.check_loss`.
    kinked : bool
        Whether lbfgs and fista shall replace the loss by its Moreau envelope, min_u l(y, u) + ||u - raw||^2 / (2 *
        smoothing), and let the smoothing go to zero. `value_and_gradient` then takes a keyword ``smoothing``.
    domain : str
        The targets that the loss takes, in words; `in_domain` says it in numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet import NormRegMLPRegressor
    >>> from sknormnet.losses import Loss
    >>> class FourthPower(Loss):
    ...     def value_and_gradient(self, y, raw, sample_weight=None):
    ...         weight = 1 if sample_weight is None else sample_weight[:, None]
    ...         return np.sum(weight * (raw - y) ** 4), 4 * weight * (raw - y) ** 3
    >>> X = np.arange(5.0)[:, None]
    >>> model = NormRegMLPRegressor((), loss=FourthPower(), solver="lbfgs", alpha=0, tol=1e-8)
    >>> bool(np.allclose(model.fit(X, 3 * X.ravel() + 1).predict([[10.0]]), 31, atol=1e-2))
    True
    """

    name: ClassVar[str]
    task: ClassVar[str] = "regression"
    convex: ClassVar[bool] = False
    kinked: ClassVar[bool] = False
    domain: Any = "finite y"

    @abstractmethod
    def value_and_gradient(
        self, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """Weighted sum of the losses of a block of rows, and its gradient in raw.

        Parameters
        ----------
        y : ndarray of shape (n, n_targets)
            For classification one column of class numbers 0, 1, ..., or a column of 0 and 1 for each label.
        raw : ndarray of shape (n, n_raw)
            float32 or float64.
        sample_weight : ndarray of shape (n,), default=None
            None counts every row once.

        Returns
        -------
        value : float
            Sum over rows of weight * loss; infinity where a formula overflows, never NaN.
        gradient : ndarray of shape (n, n_raw)
            Of that sum.
        """

    def in_domain(self, y: np.ndarray) -> np.ndarray:
        """Which values of y the loss takes, an array of bool of y's shape."""
        return np.isfinite(y)

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError where a constructor argument is out of its range."""

    def check_target(self, y: np.ndarray) -> None:
        """Raise ValueError where y has values outside the domain."""
        y = np.asarray(y)
        inside = np.asarray(self.in_domain(y))
        if inside.shape != y.shape:
            raise ValueError(f"in_domain of {self!r} must return an array of y's shape, {y.shape}; got {inside.shape}")
        outside = ~inside.astype(bool)
        if outside.any():
            raise ValueError(
                f"{self!r} takes targets in its domain only, {self.domain}: {np.count_nonzero(outside)} of {y.size} "
                f"values lie outside, the first is {y[outside][0]}"
            )

    def n_raw(self, n_targets: int, n_classes: int | None = None) -> int:
        """Number of raw columns that a model with this loss has.

        Parameters
        ----------
        n_targets : int
            Columns of the encoded target.
        n_classes : int or None
            Number of classes where the target is one column of class numbers.
        """
        return n_targets if n_classes is None or n_classes == 2 else n_classes

    def link(self, n_targets: int, n_raw: int) -> Link:
        """Link between the raw prediction and the mean or the probabilities."""
        return IdentityLink()

    def prediction(self, raw: np.ndarray, n_targets: int) -> np.ndarray:
        """What a regressor predicts from raw, shape (n, n_columns): the inverse link."""
        return self.link(n_targets, raw.shape[1]).inverse(raw)

    def standard_deviation(self, raw: np.ndarray, n_targets: int) -> np.ndarray:
        """Standard deviation of the targets, shape (n, n_targets), where the loss estimates one."""
        raise ValueError(
            f"{self!r} does not estimate a standard deviation: predict(X, return_std=True) needs loss='gaussian_nll'"
        )

    def score(self, y: np.ndarray, prediction: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """Score of a regressor's prediction, higher is better: R^2."""
        return float(r2_score(y, prediction, sample_weight=sample_weight))

    def best_constant(
        self, y: np.ndarray, sample_weight: np.ndarray | None = None, n_classes: int | None = None
    ) -> np.ndarray:
        """Raw prediction of shape (n_raw,) that as a constant has the smallest sum of losses.

        Found numerically unless a loss has a closed form; of a loss that is not convex, a local minimum.
        """
        y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        n_raw = self.n_raw(y.shape[1], n_classes)

        def mean(raw: np.ndarray, keywords: dict[str, Any]) -> tuple[float, np.ndarray]:
            block = np.broadcast_to(raw, (len(y), n_raw)).copy()
            value, gradient = self.value_and_gradient(y, block, sample_weight, **keywords)
            return value / len(y), gradient.sum(axis=0) / len(y)

        def minimum(raw: np.ndarray, **keywords: float) -> np.ndarray:
            options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000}
            function = partial(mean, keywords=keywords)
            return scipy.optimize.minimize(function, raw, jac=True, method="L-BFGS-B", options=options).x

        raw, spread = np.zeros(n_raw), np.ptp(y) or 1.0
        if self.task == "regression" and isinstance(self.link(y.shape[1], n_raw), IdentityLink):
            raw = np.repeat(np.median(y, axis=0), n_raw // y.shape[1])
        if self.kinked:
            for smoothing in spread * 10.0 ** -np.arange(1, 7):
                raw = minimum(raw, smoothing=smoothing)
        else:
            raw = minimum(raw)
        polished = scipy.optimize.minimize(  # without derivatives: finds a kink itself
            lambda raw: mean(raw, {})[0],
            raw,
            method="Powell",
            bounds=scipy.optimize.Bounds(raw - spread, raw + spread),
            options={"xtol": 1e-9, "ftol": 1e-12},
        )
        return polished.x if polished.fun < mean(raw, {})[0] else raw

    def kernel(self) -> LossKernel:
        """Compiled form, which the solvers call once per block of rows; here an adapter of `value_and_gradient`."""
        return PythonLossKernel(self)


class CompiledLoss(Loss):
    """Base of the built-in losses: the formula stands in the kernels, and the method calls it there."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "value_and_gradient" in vars(cls):
            raise TypeError(
                f"{cls.__name__} overrides value_and_gradient of a compiled loss, which training would not call. "
                "Derive it from sknormnet.losses.Loss; its method may call that of a built-in loss"
            )

    @abstractmethod
    def kernel(self) -> LossKernel:
        """Compiled form, which the solvers call once per block of rows."""

    def _check_block(self, y: np.ndarray, raw: np.ndarray) -> None:
        """Raise ValueError where y and raw do not belong together."""
        if y.ndim != 2 or raw.ndim != 2:
            raise ValueError(f"y and raw must have two dimensions, got shapes {y.shape} and {raw.shape}")
        self.kernel().check_columns(y.shape[1], raw.shape[1])

    def value_and_gradient(
        self, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None = None, *, smoothing: float = 0.0
    ) -> tuple[float, np.ndarray]:
        """Weighted sum of the losses of a block of rows, and its gradient in raw.

        Parameters
        ----------
        y : array-like of shape (n, n_targets)
        raw : array-like of shape (n, n_raw)
            float32 or float64; y and sample_weight are converted to it.
        sample_weight : array-like of shape (n,), default=None
            None counts every row once.
        smoothing : float >= 0, default=0
            Parameter of the Moreau envelope of a kinked loss.

        Returns
        -------
        value : float
        gradient : ndarray of shape (n, n_raw)
        """
        self.check_parameters()
        raw = np.asarray(raw)
        self._check_block(np.asarray(y), raw)
        raw = np.ascontiguousarray(raw, dtype=np.float32 if raw.dtype == np.float32 else np.float64)
        y = np.ascontiguousarray(y, dtype=raw.dtype)
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(sample_weight, dtype=raw.dtype)
        kernel = self.kernel()
        if smoothing:
            if not self.kinked or not 0 < smoothing < np.inf:
                raise ValueError(f"smoothing must be > 0 and is for losses with kinks; got {smoothing} for {self!r}")
            kernel.smoothing = smoothing
        return kernel.value_and_gradient(y, raw, sample_weight)


def weighted_mean(y: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
    """Mean of each column of y."""
    y = np.asarray(y, dtype=np.float64)
    return np.average(y.reshape(len(y), -1), axis=0, weights=sample_weight)


def weighted_quantile(y: np.ndarray, sample_weight: np.ndarray | None, level: float) -> np.ndarray:
    """The smallest value of each column at which the share of the weights reaches level."""
    y = np.asarray(y, dtype=np.float64)
    y = y.reshape(len(y), -1)
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    quantiles = []
    for column in y.T:
        order = np.argsort(column)
        share = np.cumsum(weight[order])
        quantiles.append(column[order[np.searchsorted(share, level * share[-1]).clip(max=len(y) - 1)]])
    return np.array(quantiles)
