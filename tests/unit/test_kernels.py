"""Activations and links against extended precision and closed forms, on every instruction set of this machine."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest

from sknormnet._core.activations import activation_backward, activation_value, instruction_set
from sknormnet._core.losses import logistic, softmax
from sknormnet.activations import ACTIVATIONS

DTYPES = [np.float32, np.float64]
ORACLES = {
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "logistic": (lambda z: 1 / (1 + np.exp(-z)), lambda z: 1 / (2 + np.exp(-z) + np.exp(z))),
}


def exactly(function, z):
    """function at 40 digits, rounded to double."""
    with mpmath.workdps(40):
        return np.array([float(function(mpmath.mpf(float(v)))) for v in z.ravel()]).reshape(z.shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["tanh", "logistic"])
def test_accurate_to_a_few_ulp(name, dtype):
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.uniform(-25, 25, 400), rng.uniform(-1, 1, 400), 10.0 ** rng.uniform(-30, 0, 200)])
    z = z.astype(dtype)[np.newaxis]
    oracle = mpmath.tanh if name == "tanh" else lambda v: 1 / (1 + mpmath.exp(-v))
    expected = exactly(oracle, z)
    error = np.abs(activation_value(name, z).astype(np.float64) - expected)
    assert (error <= 3 * np.finfo(dtype).eps * np.abs(expected)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 7, 16, 100, 3000])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_derivative(name, columns, dtype):
    rng = np.random.default_rng(1)
    z = rng.normal(size=(37, columns)).astype(dtype)
    delta = rng.normal(size=z.shape).astype(dtype)
    value, slope = ORACLES[name]
    a = activation_value(name, z)
    back, sums = activation_backward(name, a, delta)
    tolerance = 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(a, value(z.astype(np.float64)), rtol=tolerance, atol=tolerance)
    expected = delta * slope(z.astype(np.float64))
    np.testing.assert_allclose(back, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(sums, expected.sum(axis=0), rtol=0, atol=100 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_is_not_hidden(name, dtype):
    z = np.array([[np.nan, 1.0, -1.0]], dtype=dtype)
    assert np.isnan(activation_value(name, z)).tolist() == [[True, False, False]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits(dtype):
    z = np.array([[-np.inf, -1e4, 0.0, 1e4, np.inf]], dtype=dtype)
    np.testing.assert_array_equal(activation_value("tanh", z), [[-1, -1, 0, 1, 1]])
    np.testing.assert_array_equal(activation_value("logistic", z), [[0, 0, 0.5, 1, 1]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_links_are_probabilities_at_any_raw(dtype):
    raw = np.array([[0.0, 1.0, 2.0], [1e4, -1e4, 0.0], [700.0, 700.0, -700.0]], dtype=dtype)
    p, log_p = softmax(raw), softmax(raw, log=True)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)
    assert np.isfinite(log_p).all()
    shifted = raw.astype(np.float64) - raw.max(axis=1, keepdims=True)
    expected = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_p, expected, rtol=8 * np.finfo(dtype).eps, atol=1e-300)
    np.testing.assert_allclose(logistic(raw, log=True), -np.logaddexp(0, -raw.astype(float)), rtol=1e-6, atol=1e-37)


def test_log_probability_of_a_dominating_class_keeps_its_digits():
    raw = np.array([[0.0, 40.0]])
    with mpmath.workdps(40):
        expected = float(-mpmath.log1p(mpmath.exp(-40)))
    assert softmax(raw, log=True)[0, 1] == pytest.approx(expected, rel=1e-14)
    assert logistic(np.array([[40.0]]), log=True)[0, 0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("wish", ["baseline", "avx2"])
def test_narrower_instruction_sets_pass_too(wish):
    order = ["portable", "baseline", "avx2", "avx512"]
    if order.index(instruction_set()) <= order.index(wish):
        pytest.skip(f"this process already runs {instruction_set()}")
    here = [__file__, __file__.replace("test_kernels", "test_rules"), __file__.replace("test_kernels", "test_losses")]
    here.append(__file__.replace("test_kernels", "test_penalty_closed_forms"))
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-k",
            "not narrower and not conformance",
            *here,
        ],
        env={**os.environ, "SKNORMNET_SIMD": wish},
        capture_output=True,
        text=True,
        cwd=os.path.dirname(__file__),
    )
    assert run.returncode == 0, run.stdout[-3000:]
