"""What can be said about a fitted model: functions of the estimator and data."""

from typing import Any

import numpy as np

from sknormnet._core.blas_threads import single_thread
from sknormnet._core.network import aligned_empty
from sknormnet.base import BaseNormRegMLP
from sknormnet.objective import Objective, Stationarity
from sknormnet.warm_start import normalized_weight

__all__ = ["Stationarity", "stationarity"]


def stationarity(estimator: BaseNormRegMLP, X: Any, y: Any, sample_weight: Any = None) -> Stationarity:
    """Certificate of stationarity: how far the fitted weights are from a stationary point of the objective.

    The residual of a layer is the Euclidean distance, over its weights and intercepts, of minus the data loss's
    gradient on all of X to strength times the subdifferential of the penalty. It is zero exactly at a stationary point,
    where the penalty balances the gradient of what is not zero and outweighs the gradient of what is. A zero that does
    not belong there is visible.

    Parameters
    ----------
    estimator : NormRegMLPClassifier or NormRegMLPRegressor
        Fitted, by any solver; it is left as it is. The network and its loss are the fitted ones; alpha, the penalty and
        the layer weights are the present parameters, so that ``set_params(alpha=...)`` shows how far a solution is from
        the next one on a path.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The training data, or any other.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets, or classes among `classes_`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights >= 0, times those of the classes as the fit had them, normalised to mean 1 as in `fit`.

    Returns
    -------
    Stationarity
        With `absolute`, `relative`, `layers_absolute` and `layers_relative`.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If the penalty is "weight_decay", which is no part of the objective; if `compact` made the model; or X, y or
        sample_weight are not valid.
    TypeError
        If the estimator is none of this package.

    Notes
    -----
    With g_l the data loss's gradient in layer l, Omega_l its penalty and strength_l = alpha times its layer weight,

        residual_l = dist(-g_l, strength_l * subdifferential of Omega_l)
        scale_l    = (1/n) * sum_i s_i * |a_i| * |delta_i|  +  strength_l * |subgradient of smallest norm of Omega_l|
        absolute   = sqrt(sum_l residual_l^2)
        relative   = sqrt(sum_l residual_l^2) / sqrt(sum_l scale_l^2),  0/0 = 0

    where a_i is the layer's input for row i with a 1 for the intercept, delta_i the loss's gradient in the layer's
    pre-activations, and s_i the weights of mean 1. No residual exceeds its scale, so that relative residuals lie in
    [0, 1] and do not depend on the units of the loss. An intercept that is not penalised contributes its gradient.

    All is computed in the dtype of the fitted weights; in float32, rounding leaves about 1e-7 of a relative residual.
    Where a model interpolates at alpha = 0, residual and scale vanish together: look at `absolute`.

    Where the objective has kinks besides the penalty's, the gradient is the one that training takes: slope 0 of relu at
    0, slope 0 of a loss at its kink (of "absolute_error", where a prediction equals its target). For a loss with kinks
    the residual is then an upper bound of the distance to the subdifferential: a small one certifies, a large one says
    nothing, because minima lie on kinks. Of a relu network with a pre-activation of exactly 0 in some row it is neither
    bound; next to a kink it stays large, however close a minimum on the kink is.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet import NormRegMLPRegressor
    >>> from sknormnet.inspection import stationarity
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 5))
    >>> y = X[:, 0] + np.tanh(X[:, 1])
    >>> model = NormRegMLPRegressor((4,), "tanh", penalty="l1", alpha=0.01, solver="fista", tol=1e-6, max_iter=5000,
    ...                             random_state=0).fit(X, y)
    >>> model.stop_reason_
    'stationary'
    >>> bool(stationarity(model, X, y).relative <= 1e-6)
    True
    >>> model.coefs_[0][0] = 0.0  # an input that matters
    >>> bool(stationarity(model, X, y).relative > 0.1)
    True
    """
    if not isinstance(estimator, BaseNormRegMLP):
        raise TypeError(
            f"estimator must be a NormRegMLPClassifier or NormRegMLPRegressor, got {type(estimator).__name__}; of a "
            "pipeline, give the last step, and X as the steps before transform it"
        )
    loss = estimator._loss()
    if hasattr(estimator, "input_indices_"):
        raise ValueError(
            "a model that compact() made has no objective of its own: give the model that it was made from"
        )
    estimator._validate_params()
    weights, intercepts, layer_sizes = estimator._checked_layers()
    dtype = weights[0].dtype
    with single_thread:
        X, target, sample_weight = estimator._check_data(X, y, sample_weight, dtype, going_on=True, as_fitted=True)
        loss.check_target(target.y)
        plan = estimator._make_plan(layer_sizes)
        weight = normalized_weight(sample_weight, dtype)
        objective = Objective(plan, estimator.hidden_activation_, loss, X, target.y, weight)
        objective.check_within_objective("the certificate is about", "use penalty='l2'")
        theta = plan.join(weights, intercepts, dtype)
        gradient, bounds = aligned_empty(theta.size, dtype), np.empty(objective.n_layers)
        objective.data_loss(theta, gradient, bounds)
        objective.add_smooth_penalty_gradient(theta, gradient)
        return objective.stationarity(theta, gradient, bounds)
