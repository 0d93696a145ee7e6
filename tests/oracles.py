"""Independent NumPy statements of the model: forward pass, losses, penalties and F.

Nothing here imports sknormnet: these are the formulas that the package is held to.
Raw predictions and one-column-per-output targets have the shape (n_samples, n_raw).
"""

import mpmath as mp
import numpy as np
from penalty_oracles import (  # noqa: F401
    PENALTIES,
    elasticnet,
    group_lasso,
    group_norms,
    infinite_where,
    joined,
    log_sum,
    mcp,
    of_groups,
    penalty_value,
    scad,
    sparse_group_lasso,
    weighted_inputs,
    weighted_terms,
)
from scipy.special import expit, logsumexp, ndtr

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "logistic": expit,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "gelu": lambda z: z * ndtr(z),
    "silu": lambda z: z * expit(z),
    "softplus": lambda z: np.logaddexp(0, z),
}


def raw_prediction(X, coefs, intercepts, activation="relu"):
    """Output of the last layer before the inverse link; activation is a name, or has one per hidden layer."""
    names = [activation] * (len(coefs) - 1) if isinstance(activation, str) else activation
    raw = X
    for layer, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        raw = raw @ W + b
        if layer < len(coefs) - 1:
            raw = ACTIVATIONS[names[layer]](raw)
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


# The losses of the package on its encoded targets: one column of class numbers with several raw columns, else one or
# several columns of 0 and 1. One value per row.


def onehot(y, raw):
    """1 for what is so, 0 for what is not, in raw's shape."""
    return np.asarray(y) if y.shape == raw.shape else (y == np.arange(raw.shape[1])).astype(float)


def probabilities(y, raw):
    """Logistic for each label, softmax for one column of class numbers."""
    return expit(raw) if y.shape == raw.shape else np.exp(raw - logsumexp(raw, axis=1, keepdims=True))


def absolute_error(y, raw):
    return np.sum(np.abs(raw - y), axis=1)


def huber(y, raw, delta=1.0):
    e = np.abs(raw - y)
    return np.sum(np.where(e <= delta, e**2 / 2, delta * (e - delta / 2)), axis=1)


def log_cosh(y, raw):
    return np.sum(np.log(np.cosh(raw - y)), axis=1)


def pinball(y, raw, quantile=0.5):
    """Several quantiles of a target lie in neighbouring columns."""
    n_quantiles = np.size(quantile)
    under = np.repeat(y, n_quantiles, axis=1) - raw
    q = np.tile(np.atleast_1d(quantile), y.shape[1])
    return np.sum(np.where(under >= 0, q * under, (q - 1) * under), axis=1)


def epsilon_insensitive(y, raw, epsilon=0.1):
    return np.sum(np.maximum(0, np.abs(raw - y) - epsilon), axis=1)


def squared_epsilon_insensitive(y, raw, epsilon=0.1):
    return np.sum(np.maximum(0, np.abs(raw - y) - epsilon) ** 2, axis=1)


def euclidean(y, raw):
    return np.linalg.norm(raw - y, axis=1)


def poisson(y, raw):
    return np.sum(np.exp(raw) - y * raw, axis=1)


def gamma(y, raw):
    return np.sum(raw + y * np.exp(-raw), axis=1)


def tweedie(y, raw, power=1.5):
    if power == 1:
        return poisson(y, raw)
    if power == 2:
        return gamma(y, raw)
    constant = y**2 / 2 if power == 0 else 0
    mean = np.exp(raw)
    return np.sum(mean ** (2 - power) / (2 - power) - y * mean ** (1 - power) / (1 - power) + constant, axis=1)


def gaussian_nll(y, raw, min_variance=1e-6):
    """Mean and log(variance - min_variance) of a target lie in neighbouring columns."""
    mean, variance = raw[:, ::2], min_variance + np.exp(raw[:, 1::2])
    return np.sum(np.log(variance) + (y - mean) ** 2 / variance, axis=1) / 2


def smoothed_log_loss(y, raw, label_smoothing=0.0):
    n_classes = 2 if y.shape == raw.shape else raw.shape[1]
    target = (1 - label_smoothing) * onehot(y, raw) + label_smoothing / n_classes
    return (log_loss if y.shape == raw.shape else softmax_log_loss)(target, raw)


def brier(y, raw):
    squares = np.sum((probabilities(y, raw) - onehot(y, raw)) ** 2, axis=1)
    return squares if y.shape == raw.shape else squares / 2


def margin(y, raw):
    return (2 * onehot(y, raw) - 1) * raw


def hinge(y, raw):
    return np.sum(np.maximum(0, 1 - margin(y, raw)), axis=1)


def squared_hinge(y, raw):
    return np.sum(np.maximum(0, 1 - margin(y, raw)) ** 2, axis=1)


def modified_huber(y, raw):
    m = margin(y, raw)
    return np.sum(np.where(m >= -1, np.maximum(0, 1 - m) ** 2, -4 * m), axis=1)


def focal(y, raw, gamma=2.0):
    p = probabilities(y, raw)
    own = np.where(y == 1, p, 1 - p) if y.shape == raw.shape else np.take_along_axis(p, y.astype(int), axis=1)
    return np.sum(-((1 - own) ** gamma) * np.log(own), axis=1)


LOSSES = {
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "quantile": pinball,
    "epsilon_insensitive": epsilon_insensitive,
    "squared_epsilon_insensitive": squared_epsilon_insensitive,
    "euclidean": euclidean,
    "poisson": poisson,
    "gamma": gamma,
    "tweedie": tweedie,
    "gaussian_nll": gaussian_nll,
    "log_loss": smoothed_log_loss,
    "brier": brier,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "modified_huber": modified_huber,
    "focal": focal,
}


def inverse_link(loss, raw):
    """Mean prediction; minus the target it is the gradient of all three losses."""
    if loss is squared_error:
        return raw
    if loss is log_loss:
        return expit(raw)
    return np.exp(raw - logsumexp(raw, axis=1, keepdims=True))


def layer_factors(coefs, scale="uniform", numbers=None):
    """c_l: the scale of each layer, times one number per layer."""
    shape_factor = {
        "uniform": lambda fan_in, fan_out: 1.0,
        "size": lambda fan_in, fan_out: 1.0 / (fan_in * fan_out),
        "fan": lambda fan_in, fan_out: (fan_in + fan_out) / (fan_in * fan_out),
    }[scale]
    factors = [shape_factor(*W.shape) for W in coefs]
    return np.array(factors) * (1.0 if numbers is None else np.asarray(numbers))


def data_loss(X, y, coefs, intercepts, *, loss, activation="relu", sample_weight=None):
    """(1/S) * sum_i s_i * l(y_i, f(x_i))."""
    y = y.reshape(len(y), -1)
    per_sample = loss(y, raw_prediction(X, coefs, intercepts, activation))
    return np.average(per_sample, weights=sample_weight)


def penalty_term(coefs, intercepts, *, penalty="l2", alpha=1e-4, l1_ratio=0.5, factors=None, penalize_intercepts=False):
    """Sum of the layers' penalties at strength alpha * c_l.

    `penalty` is an entry, or a list with one per layer; an entry is a name, or a name and its parameters. Penalised
    intercepts are one more row, a group of its own.
    """
    if not isinstance(penalty, list):
        penalty = [penalty] * len(coefs)
    factors = np.ones(len(coefs)) if factors is None else factors
    total = 0.0
    for c, W, b, entry in zip(factors, coefs, intercepts, penalty, strict=True):
        name, parameters = entry if isinstance(entry, tuple) else (entry or "none", {})
        if entry == "elasticnet":
            parameters = {"l1_ratio": l1_ratio}
        if penalize_intercepts:
            W = np.vstack([W, b])
            if parameters.get("groups") is not None:
                parameters = {**parameters, "groups": [*parameters["groups"], max(parameters["groups"]) + 1]}
        total += PENALTIES[name](W, alpha * c, **parameters)
    return total


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


# The same losses in extended precision: the terms whose sum is the value, and those of its slope. What is lost to
# rounding is judged against the largest term.


def _residual(y, raw, name, delta=1.0, quantile=0.5, epsilon=0.1):
    e = raw - y
    size, sign = abs(e), mp.sign(e)
    if name == "squared_error" or (name == "huber" and size <= delta):
        return [e**2 / 2], [e]
    if name == "absolute_error":
        return [size], [sign]
    if name == "huber":
        return [delta * size, -(mp.mpf(delta) ** 2) / 2], [delta * sign]
    if name == "log_cosh":
        return [mp.log(mp.cosh(e))], [mp.tanh(e)]
    if name == "quantile":
        slope = -mp.mpf(quantile) if e < 0 else (1 - mp.mpf(quantile)) * sign
        return [slope * e], [slope]
    epsilon = mp.mpf(epsilon)
    if size <= epsilon:
        return [mp.mpf(0)], [mp.mpf(0)]
    if name == "epsilon_insensitive":
        return [size, -epsilon], [sign]
    return [size**2, -2 * epsilon * size, epsilon**2], [2 * e, -2 * epsilon * sign]


def _log_link(y, raw, name, power=1.5):
    power = {"poisson": 1, "gamma": 2}.get(name, power)
    if power == 0:
        return [mp.exp(2 * raw) / 2, -y * mp.exp(raw), y**2 / 2], [mp.exp(2 * raw), -y * mp.exp(raw)]
    mean_power, y_power = 2 - mp.mpf(power), 1 - mp.mpf(power)
    slopes = [mp.exp(mean_power * raw), -y * mp.exp(y_power * raw)]
    value = slopes[0] / mean_power if mean_power else raw
    return [value, slopes[1] / y_power if y_power else -y * raw], slopes


def _margin(y, raw, name, label_smoothing=0.0, gamma=2.0):
    sign = 2 * y - 1
    m = sign * raw
    if name == "log_loss":
        target = (1 - mp.mpf(label_smoothing)) * y + mp.mpf(label_smoothing) / 2
        return [mp.log1p(mp.exp(raw)), -target * raw], [1 / (1 + mp.exp(-raw)), -target]
    if name in ("brier", "focal"):
        p, q = 1 / (1 + mp.exp(-m)), 1 / (1 + mp.exp(m))
        if name == "brier":
            return [q**2], [-2 * sign * q**2 * p]
        log_p, gamma = -mp.log1p(mp.exp(-m)), mp.mpf(gamma)
        return [-(q**gamma) * log_p], [sign * gamma * q**gamma * p * log_p, -sign * q ** (gamma + 1)]
    if m >= 1:
        return [mp.mpf(0)], [mp.mpf(0)]
    if name == "hinge":
        return [mp.mpf(1), -m], [-sign]
    if name == "modified_huber" and m < -1:
        return [-4 * m], [-4 * sign]
    return [mp.mpf(1), -2 * m, m**2], [-2 * sign, 2 * raw]


def _softmax(own, raw, name, label_smoothing=0.0, gamma=2.0):
    n = len(raw)
    shares = [mp.exp(x - raw[own]) for x in raw]
    rest = mp.fsum(s for k, s in enumerate(shares) if k != own)
    p, wrong, log_p = [s / (1 + rest) for s in shares], rest / (1 + rest), -mp.log1p(rest)
    if name == "log_loss":
        target = [mp.mpf(label_smoothing) / n + (k == own) * (1 - mp.mpf(label_smoothing)) for k in range(n)]
        value = [raw[own] - log_p, *(-t * x for t, x in zip(target, raw, strict=True))]
        return value, [[p[k], -target[k]] for k in range(n)]
    if name == "brier":
        distance = [p[k] if k != own else -wrong for k in range(n)]
        products = [p[k] * distance[k] for k in range(n)]
        slopes = [[products[k], *(-p[k] * product for product in products)] for k in range(n)]
        return [d**2 / 2 for d in distance], slopes
    gamma = mp.mpf(gamma)
    factors = [-gamma * wrong ** (gamma - 1) * p[own] * log_p, wrong**gamma]
    return [-(wrong**gamma) * log_p], [[f * (p[k] if k != own else -wrong) for f in factors] for k in range(n)]


def exact_terms(name, y, raw, **parameters):
    """Terms of the value of one row, and of its gradient, a list for each column of raw; in mpmath's precision."""
    y, raw = [mp.mpf(float(v)) for v in y], [mp.mpf(float(v)) for v in raw]
    if name == "euclidean":
        norm = mp.sqrt(mp.fsum((r - t) ** 2 for r, t in zip(raw, y, strict=True)))
        return [norm], [[(r - t) / norm if norm else mp.mpf(0)] for r, t in zip(raw, y, strict=True)]
    if name == "gaussian_nll":
        (target,), (mean, s) = y, raw
        variance = mp.mpf(parameters.get("min_variance", 1e-6)) + mp.exp(s)
        square, share = (target - mean) ** 2 / variance / 2, mp.exp(s) / variance
        return [mp.log(variance) / 2, square], [[(mean - target) / variance], [share / 2, -square * share]]
    if len(y) != len(raw) and name in ("log_loss", "brier", "focal"):
        return _softmax(int(y[0]), raw, name, **parameters)
    levels = parameters.get("quantile", 0.5)
    if np.ndim(levels) == 1:  # of one target
        columns = [_residual(y[0], r, name, quantile=q) for r, q in zip(raw, levels, strict=True)]
        return [term for value, _ in columns for term in value], [slope for _, slope in columns]
    if len(y) != len(raw):  # one against the rest
        y = [mp.mpf(k == y[0]) for k in range(len(raw))]
    regression = _log_link if name in ("poisson", "gamma", "tweedie") else _residual
    margins = ("log_loss", "brier", "focal", "hinge", "squared_hinge", "modified_huber")
    columns = [
        (_margin if name in margins else regression)(t, r, name, **parameters) for t, r in zip(y, raw, strict=True)
    ]
    return [term for value, _ in columns for term in value], [slope for _, slope in columns]


def block_order(rows, size, rng):
    """The documented order of shuffle="block": numpy's shuffle of the blocks, then of the rows of each."""
    blocks = np.arange(-(-len(rows) // size))
    rng.shuffle(blocks)
    order = []
    for block in blocks:
        members = rows[block * size : (block + 1) * size].copy()
        rng.shuffle(members)
        order.append(members)
    return np.concatenate(order)
