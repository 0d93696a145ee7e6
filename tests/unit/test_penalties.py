"""The conformance suite of penalties, over the registry: a new penalty inherits it."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from sknormnet.penalties import PENALTIES, ElasticNet

ALL = [cls() for cls in PENALTIES.values()] + [ElasticNet(0.0), ElasticNet(0.9), ElasticNet(1.0)]
FORMULAS = {
    "none": lambda W, p: 0.0,
    "l2": lambda W, p: 0.5 * (W**2).sum(),
    "l1": lambda W, p: np.abs(W).sum(),
    "elasticnet": lambda W, p: p.l1_ratio * np.abs(W).sum() + (1 - p.l1_ratio) * 0.5 * (W**2).sum(),
}
everyone = pytest.mark.parametrize("penalty", ALL, ids=repr)


def sparse_matrix(rng, shape=(7, 5), scale=1.0):
    W = rng.normal(scale=scale, size=shape)
    W[rng.random(shape) < 0.3] = 0.0
    return W


@everyone
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value(penalty, dtype):
    rng = np.random.default_rng(0)
    for shape in [(7, 5), (40, 60), (1, 1)]:
        W = sparse_matrix(rng, shape).astype(dtype)
        expected = 0.3 * FORMULAS[penalty.name](W.astype(np.float64), penalty)
        assert penalty.value(W, 0.3) == pytest.approx(expected, rel=1e-5 if dtype == np.float32 else 1e-13)


@everyone
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prox_by_the_three_point_inequality(penalty, dtype):
    """h(p) + |p - v|^2/2 <= h(z) + |z - v|^2/2 - |z - p|^2/2 for every z, which holds for no other p."""
    rng = np.random.default_rng(1)
    eps = np.finfo(dtype).eps
    for _ in range(1000):
        step, strength = 10.0 ** rng.uniform(-6, 4), 10.0 ** rng.uniform(-3, 2)
        v, z = sparse_matrix(rng, (2, 3)).astype(dtype), sparse_matrix(rng, (2, 3))
        p = penalty.prox(v, step, strength).astype(np.float64)
        assert np.isfinite(p).all()
        h = lambda W, s=step * strength: s * FORMULAS[penalty.name](W, penalty)  # noqa: E731
        left = h(p) + 0.5 * ((p - v) ** 2).sum()
        right = h(z) + 0.5 * ((z - v) ** 2).sum() - 0.5 * ((z - p) ** 2).sum()
        assert left <= right + 100 * eps * (1 + abs(h(z)) + abs(h(p)))


@everyone
def test_prox_is_firmly_non_expansive(penalty):
    rng = np.random.default_rng(2)
    for _ in range(100):
        a, b = sparse_matrix(rng), sparse_matrix(rng)
        p, q = penalty.prox(a, 0.7, 1.3), penalty.prox(b, 0.7, 1.3)
        assert ((p - q) ** 2).sum() <= ((p - q) * (a - b)).sum() + 1e-12


@everyone
def test_subgradient_and_residual(penalty):
    rng = np.random.default_rng(3)
    W = sparse_matrix(rng)
    g = penalty.subgradient(W, 0.4)
    h = 1e-6
    for i, j in np.ndindex(W.shape):
        if W[i, j] != 0:
            up, down = W.copy(), W.copy()
            up[i, j] += h
            down[i, j] -= h
            assert g[i, j] == pytest.approx((penalty.value(up, 0.4) - penalty.value(down, 0.4)) / (2 * h), abs=1e-8)
        else:
            assert g[i, j] == 0
    np.testing.assert_allclose(penalty.residual(W, -g, 0.4), 0, atol=1e-15)
    # p = prox(v) is optimal for |. - v|^2/2 + strength*Omega: the residual at p with gradient p - v is zero.
    v = rng.normal(size=(6, 6))
    p = penalty.prox(v, 1.0, 0.4)
    np.testing.assert_allclose(penalty.residual(p, p - v, 0.4), 0, atol=1e-14)
    assert penalty.residual(W, rng.normal(size=W.shape) + 10, 0.4).min() > 1


@everyone
def test_thresholds_to_exact_zeros(penalty):
    V = np.array([[0.3, -0.3, 2.0, -0.0]])
    zeros = penalty.prox(V, 1.0, 0.5) == 0.0
    l1 = {"l1": 0.5, "elasticnet": 0.5 * getattr(penalty, "l1_ratio", 0)}.get(penalty.name, 0.0)
    assert zeros.tolist() == [[l1 >= 0.3, l1 >= 0.3, False, True]]
    assert penalty.smooth == (l1 == 0)


@everyone
def test_nan_is_not_hidden(penalty):
    assert np.isnan(penalty.prox(np.array([np.nan, 1.0]), 0.1, 0.1)).tolist() == [True, False]


@everyone
def test_read_only_and_non_contiguous(penalty):
    W = np.asfortranarray(sparse_matrix(np.random.default_rng(4)))
    W.setflags(write=False)
    np.testing.assert_array_equal(penalty.prox(W, 0.1, 1.0), penalty.prox(W.copy(order="C"), 0.1, 1.0))
    np.testing.assert_array_equal(penalty.subgradient(W.T, 1.0), penalty.subgradient(W, 1.0).T)


@everyone
def test_parameters(penalty):
    assert clone(penalty).get_params() == penalty.get_params()
    assert repr(pickle.loads(pickle.dumps(penalty))) == repr(penalty)
    kernel = penalty.kernel()
    copy = pickle.loads(pickle.dumps(kernel))
    assert (copy.l1, copy.l2) == (kernel.l1, kernel.l2)


def test_bad_ratio():
    with pytest.raises(ValueError, match=r"l1_ratio of ElasticNet must lie in \[0, 1\]"):
        ElasticNet(1.5).value(np.ones((1, 1)), 1.0)
