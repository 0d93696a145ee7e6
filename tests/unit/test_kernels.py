"""Links against extended precision and closed forms; values of all kernels on every instruction set of this machine."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest

from sknormnet._core.activations import instruction_set
from sknormnet._core.losses import logistic, softmax

DTYPES = [np.float32, np.float64]


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
    names = ("test_kernels", "test_activations", "test_rules", "test_losses", "test_penalty_closed_forms")
    here = [__file__.replace("test_kernels", name) for name in names]
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
