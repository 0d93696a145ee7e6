"""Initial weights."""

import itertools
from collections.abc import Sequence

import numpy as np

from sknormnet._core.network import aligned_empty


def glorot_uniform(
    layer_sizes: tuple[int, ...], activation: str | Sequence[str], dtype: np.dtype, rng: np.random.RandomState
) -> np.ndarray:
    """Initial theta: uniform in (-b, b), b = sqrt(6 / (fan_in + fan_out)), or sqrt(2 / ...) into logistic units.

    Activations that scikit-learn does not have get 6, as its relu does: above zero they are linear or nearly so.
    The last matrix, into the raw outputs, takes the factor of the one before it. Draws in the order of scikit-learn's
    MLP (each layer's matrix, then its intercepts), so that the same seed gives the same weights.

    Parameters
    ----------
    layer_sizes : tuple of int
        Inputs, hidden units and raw outputs.
    activation : str or sequence of str
        One name for all hidden layers, or one for each.
    dtype : numpy dtype
        The draws are float64 and then rounded to it.
    rng : numpy.random.RandomState

    Returns
    -------
    theta : ndarray of shape (n_parameters,)

    References
    ----------
    Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, section 4.2.1.
    """
    layers = list(itertools.pairwise(layer_sizes))
    if isinstance(activation, str):
        names = [activation] * len(layers)
    else:
        names = [*activation, activation[-1] if activation else "identity"]
    theta = aligned_empty(sum((fan_in + 1) * fan_out for fan_in, fan_out in layers), dtype)
    start = 0
    for (fan_in, fan_out), name in zip(layers, names, strict=True):
        factor = 2.0 if name == "logistic" else 6.0
        bound = np.sqrt(factor / (fan_in + fan_out))
        for size in (fan_in * fan_out, fan_out):
            theta[start : start + size] = rng.uniform(-bound, bound, size)
            start += size
    return theta
