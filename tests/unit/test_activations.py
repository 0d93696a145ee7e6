"""Activations and their derivatives against extended precision, on all instruction sets."""

import os
import subprocess
import sys

import mpmath as mp
import numpy as np
import pytest
from scipy.special import expit, ndtr

from sknormnet._core.activations import activation_backward, activation_forward, activation_value
from sknormnet._core.network import Network
from sknormnet.activations import ACTIVATIONS
from sknormnet.initializers import glorot_uniform

DTYPES = [np.float32, np.float64]
SMOOTH_RELUS = ["gelu", "silu", "softplus"]


def normal(z):
    """Distribution function and density of the standard normal; mpmath's erfc gives up far out."""
    if abs(z) > 1000:
        return mp.mpf(int(z > 0)), mp.mpf(0)
    return mp.erfc(-z / mp.sqrt(2)) / 2, mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


def logistic(z):
    return 1 / (1 + mp.exp(-z))


# Values and slopes in extended precision.
ORACLES = {
    "identity": (lambda z: z, lambda z: mp.mpf(1)),
    "relu": (lambda z: max(z, mp.mpf(0)), lambda z: mp.mpf(int(z > 0))),
    "tanh": (mp.tanh, lambda z: mp.sech(z) ** 2),
    "logistic": (logistic, lambda z: logistic(z) * logistic(-z)),
    "leaky_relu": (lambda z: z if z > 0 else z / 100, lambda z: mp.mpf(1) if z > 0 else mp.mpf(1) / 100),
    "elu": (lambda z: z if z > 0 else mp.expm1(z), lambda z: mp.mpf(1) if z > 0 else mp.exp(z)),
    "gelu": (lambda z: z * normal(z)[0], lambda z: normal(z)[0] + z * normal(z)[1]),
    "silu": (lambda z: z * logistic(z), lambda z: logistic(z) * (1 + z * logistic(-z))),
    "softplus": (lambda z: mp.log1p(mp.exp(z)), logistic),
}
# The same slopes in double, for arrays.
SLOPES = {
    "identity": np.ones_like,
    "relu": lambda z: (z > 0).astype(float),
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "logistic": lambda z: expit(z) * expit(-z),
    "leaky_relu": lambda z: np.where(z > 0, 1, 0.01),
    "elu": lambda z: np.exp(np.minimum(z, 0)),
    "gelu": lambda z: ndtr(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi),
    "silu": lambda z: expit(z) * (1 + z * expit(-z)),
    "softplus": expit,
}


def exactly(function, z):
    """function at 40 digits, rounded to double."""
    with mp.workdps(40):
        return np.array([float(function(mp.mpf(float(v)))) for v in z.ravel()]).reshape(z.shape)


def arguments(dtype):
    """All magnitudes of a dtype, the ranges where an exponential matters more densely; one row."""
    rng = np.random.default_rng(0)
    limits = np.finfo(dtype)
    powers = rng.uniform(np.log10(limits.tiny), np.log10(limits.max), 150)
    parts = [rng.uniform(-width, width, 150) for width in (1, 5, 15, 40, 110, 800)]
    parts += [10.0**powers * rng.choice([-1, 1], 150), [0.0, limits.tiny, -limits.tiny, limits.max, limits.min]]
    return np.concatenate(parts).astype(dtype)[np.newaxis]


def slope(name, z):
    """The derivative as a step computes it."""
    return activation_backward(name, activation_forward(name, z)[1], np.ones_like(z))[0]


def underflow(z):
    """Below |z| times some smallest normal numbers, a result may have lost its digits or be zero."""
    return 8 * np.maximum(1, np.minimum(np.abs(z), 1000)) * np.finfo(z.dtype).tiny


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_is_accurate_to_a_few_ulp(name, dtype):
    """3.2 eps is the largest error found among 10,000 arguments (gelu): 4 are allowed."""
    z = arguments(dtype)
    expected = exactly(ORACLES[name][0], z)
    error = np.abs(activation_value(name, z).astype(np.float64) - expected)
    assert (error <= 4 * np.finfo(dtype).eps * np.abs(expected) + underflow(z)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slope_is_accurate(name, dtype):
    """Slopes are at most 1.13 and some cross zero: a bound on the error itself, and in the lower tail on its ratio."""
    z = arguments(dtype)
    expected = exactly(ORACLES[name][1], z)
    error = np.abs(slope(name, z).astype(np.float64) - expected)
    eps = np.finfo(dtype).eps
    assert error.max() <= 3 * eps
    if name in SMOOTH_RELUS:
        assert (error <= 8 * eps * np.abs(expected) + underflow(z))[z < -2].all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 7, 16, 100, 3000])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_at_every_width(name, columns, dtype):
    rng = np.random.default_rng(1)
    z = rng.normal(size=(37, columns)).astype(dtype)
    delta = rng.normal(size=z.shape).astype(dtype)
    a, a_or_slope = activation_forward(name, z)
    np.testing.assert_array_equal(a, activation_value(name, z))  # predicting and training take different loops
    back, sums = activation_backward(name, a_or_slope, delta)
    tolerance = 8 * np.finfo(dtype).eps  # of numbers around 1; sums add up 37 of them
    expected = delta * SLOPES[name](z.astype(np.float64))
    np.testing.assert_allclose(back, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(sums, expected.sum(axis=0), rtol=0, atol=100 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_is_not_hidden(name, dtype):
    z = np.array([[np.nan, 1.0, -1.0]], dtype=dtype)
    a, a_or_slope = activation_forward(name, z)
    assert np.isnan(a).tolist() == [[True, False, False]]
    assert np.isnan(activation_value(name, z)).tolist() == [[True, False, False]]
    assert np.isnan(a_or_slope).tolist() == [[True, False, False]]


# At -infinity, -1e4, 0, 1e4 and infinity.
LIMITS = {
    "identity": ([-np.inf, -1e4, 0, 1e4, np.inf], [1, 1, 1, 1, 1]),
    "relu": ([0, 0, 0, 1e4, np.inf], [0, 0, 0, 1, 1]),
    "tanh": ([-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
    "logistic": ([0, 0, 0.5, 1, 1], [0, 0, 0.25, 0, 0]),
    "leaky_relu": ([-np.inf, -100, 0, 1e4, np.inf], [0.01, 0.01, 0.01, 1, 1]),
    "elu": ([-1, -1, 0, 1e4, np.inf], [0, 0, 1, 1, 1]),
    "gelu": ([0, 0, 0, 1e4, np.inf], [0, 0, 0.5, 1, 1]),
    "silu": ([0, 0, 0, 1e4, np.inf], [0, 0, 0.5, 1, 1]),
    "softplus": ([0, 0, np.log(2), 1e4, np.inf], [0, 0, 0.5, 1, 1]),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_limits(name, dtype):
    z = np.array([[-np.inf, -1e4, 0.0, 1e4, np.inf]], dtype=dtype)
    value, derivative = (np.array(expected).astype(dtype)[np.newaxis] for expected in LIMITS[name])
    np.testing.assert_array_max_ulp(activation_value(name, z), value, maxulp=1)
    np.testing.assert_array_max_ulp(slope(name, z), derivative, maxulp=1)


SCRIPT = """
import sys
import numpy as np
from sknormnet._core.activations import ACTIVATIONS, activation_forward
z = np.load(sys.argv[1])
np.save(sys.argv[2], np.stack([np.stack(activation_forward(name, z)) for name in ACTIVATIONS]))
"""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", ["baseline", "avx2", "avx512"])
def test_instruction_sets_agree(level, dtype, tmp_path):
    """Each is within 4 eps of the truth, values relatively and slopes (at most 1.13) absolutely, so they are within 8.

    A machine that lacks a level runs the one below.
    """
    z = arguments(dtype)
    here = np.stack([np.stack(activation_forward(name, z)) for name in ACTIVATIONS])
    np.save(tmp_path / "z.npy", z)
    subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "z.npy", tmp_path / "out.npy"],
        env={**os.environ, "SKNORMNET_SIMD": level},
        check=True,
    )
    there = np.load(tmp_path / "out.npy")
    eps = np.finfo(dtype).eps
    value, other = here[:, 0].astype(np.float64), there[:, 0].astype(np.float64)
    assert (np.abs(value - other) <= 8 * eps * np.abs(value) + underflow(z)).all()
    kept = [list(ACTIVATIONS).index(name) for name in SMOOTH_RELUS]
    assert np.abs(here[kept, 1] - there[kept, 1]).max() <= 6 * eps


def test_initial_weights_take_the_factor_of_their_activation():
    """2 into logistic units, 6 elsewhere; the last matrix as the one before it; draws in scikit-learn's order."""
    sizes, dtype = (3, 5, 4, 2), np.dtype(np.float64)
    theta = glorot_uniform(sizes, ("relu", "logistic"), dtype, np.random.RandomState(0))
    rng = np.random.RandomState(0)
    expected = []
    for factor, fan_in, fan_out in [(6, 3, 5), (2, 5, 4), (2, 4, 2)]:
        bound = np.sqrt(factor / (fan_in + fan_out))
        expected += [rng.uniform(-bound, bound, fan_in * fan_out), rng.uniform(-bound, bound, fan_out)]
    np.testing.assert_array_equal(theta, np.concatenate(expected))


@pytest.mark.parametrize("name", ["logistic", "gelu"])
def test_initial_weights_of_one_name_or_many_are_the_same(name):
    sizes, dtype = (3, 5, 4, 2), np.dtype(np.float64)
    one, many = (glorot_uniform(sizes, a, dtype, np.random.RandomState(0)) for a in (name, (name, name)))
    np.testing.assert_array_equal(one, many)


def test_network_wants_one_activation_per_hidden_layer():
    with pytest.raises(ValueError, match="for each of 2 hidden layers, got 1"):
        Network((3, 4, 4, 1), ["relu"], np.float64)
