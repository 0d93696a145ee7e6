"""Independent NumPy statements of the model: forward pass, losses, penalties and F.

Nothing here imports sknormnet: these are the formulas that the package is held to.
Raw predictions and one-column-per-output targets have the shape (n_samples, n_raw).
"""

import numpy as np
from scipy.special import expit, logsumexp

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "logistic": expit,
}


def raw_prediction(X, coefs, intercepts, activation="relu"):
    """Output of the last layer before the inverse link."""
    raw = X
    for layer, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        raw = raw @ W + b
        if layer < len(coefs) - 1:
            raw = ACTIVATIONS[activation](raw)
    return raw


def squared_error(y, raw):
    return 0.5 * np.sum((raw - y) ** 2, axis=1)


def log_loss(y, raw):
    """One logistic column per output (binary, multilabel) or a softmax row.

    A one-hot y of several columns and a multilabel y look alike, so the caller of
    the softmax form is `softmax_log_loss`.
    """
    return np.sum(np.logaddexp(0.0, raw) - y * raw, axis=1)


def softmax_log_loss(y, raw):
    return logsumexp(raw, axis=1) - np.sum(y * raw, axis=1)


def inverse_link(loss, raw):
    """Mean prediction; minus the target it is the gradient of all three losses."""
    if loss is squared_error:
        return raw
    if loss is log_loss:
        return expit(raw)
    return np.exp(raw - logsumexp(raw, axis=1, keepdims=True))


def penalty_value(W, penalty, l1_ratio=0.5):
    """Omega(W), without any strength."""
    l1, l2 = np.sum(np.abs(W)), 0.5 * np.sum(W**2)
    return {
        "l1": l1,
        "l2": l2,
        "elasticnet": l1_ratio * l1 + (1 - l1_ratio) * l2,
        "none": 0.0,
        None: 0.0,
    }[penalty]


def layer_factors(coefs, scale="uniform", numbers=None):
    """c_l: the scale of each layer, times one number per layer."""
    factors = []
    for W in coefs:
        fan_in, fan_out = W.shape
        factors.append(
            {
                "uniform": 1.0,
                "size": 1.0 / (fan_in * fan_out),
                "fan": (fan_in + fan_out) / (fan_in * fan_out),
            }[scale]
        )
    return np.array(factors) * (1.0 if numbers is None else np.asarray(numbers))


def data_loss(X, y, coefs, intercepts, *, loss, activation="relu", sample_weight=None):
    """(1/S) * sum_i s_i * l(y_i, f(x_i))."""
    y = y.reshape(len(y), -1)
    per_sample = loss(y, raw_prediction(X, coefs, intercepts, activation))
    return np.average(per_sample, weights=sample_weight)


def penalty_term(
    coefs,
    intercepts,
    *,
    penalty="l2",
    alpha=1e-4,
    l1_ratio=0.5,
    factors=None,
    penalize_intercepts=False,
):
    """alpha * sum_l c_l * Omega_l(W_l); `penalty` is one name, or one per layer."""
    if penalty is None or isinstance(penalty, str):
        penalty = [penalty] * len(coefs)
    if factors is None:
        factors = np.ones(len(coefs))
    if penalize_intercepts:
        coefs = [np.vstack([W, b]) for W, b in zip(coefs, intercepts, strict=True)]
    return alpha * sum(c * penalty_value(W, name, l1_ratio) for c, W, name in zip(factors, coefs, penalty, strict=True))


def objective(X, y, coefs, intercepts, *, loss, activation="relu", sample_weight=None, **terms):
    """F at the given weights."""
    return data_loss(
        X,
        y,
        coefs,
        intercepts,
        loss=loss,
        activation=activation,
        sample_weight=sample_weight,
    ) + penalty_term(coefs, intercepts, **terms)


def linear_gradient(X, y, W, b, *, loss):
    """Gradient of the mean loss of a network of one matrix, in W."""
    y = y.reshape(len(y), -1)
    return X.T @ (inverse_link(loss, X @ W + b) - y) / len(y)
