"""Initial weights."""

import itertools

import numpy as np

from sknormnet._core.network import aligned_empty


def glorot_uniform(
    layer_sizes: tuple[int, ...], activation: str, dtype: np.dtype, rng: np.random.RandomState
) -> np.ndarray:
    """Initial theta: uniform in (-b, b), b = sqrt(6 / (fan_in + fan_out)), or sqrt(2 / ...) with logistic units.

    Draws in the order of scikit-learn's MLP (each layer's matrix, then its intercepts), so that the same seed gives the
    same weights.

    Parameters
    ----------
    layer_sizes : tuple of int
        Inputs, hidden units and raw outputs.
    activation : str
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
    factor = 2.0 if activation == "logistic" else 6.0
    layers = list(itertools.pairwise(layer_sizes))
    theta = aligned_empty(sum((fan_in + 1) * fan_out for fan_in, fan_out in layers), dtype)
    start = 0
    for fan_in, fan_out in layers:
        bound = np.sqrt(factor / (fan_in + fan_out))
        for size in (fan_in * fan_out, fan_out):
            theta[start : start + size] = rng.uniform(-bound, bound, size)
            start += size
    return theta
