"""Penalties of groups and concave shapes against closed forms, SciPy, and each other."""

import numpy as np
import oracles
import pytest
import scipy.optimize
from numpy.testing import assert_allclose

from sknormnet.penalties import L1, MCP, SCAD, GroupLasso, L2Norm, SparseGroupLasso


def sparse_matrix(rng, shape=(7, 5), scale=1.0):
    """Single zeros, a row of zeros and a column of zeros where there are several."""
    W = rng.normal(scale=scale, size=shape)
    W[rng.random(shape) < 0.3] = 0.0
    W[1:2], W[:, 2:3] = 0.0, 0.0
    return W


def block_soft_threshold(V, threshold, axis=None):
    norms = np.linalg.norm(V, axis=axis, keepdims=True)
    return np.where(norms > threshold, V * (1 - threshold / np.where(norms > 0, norms, 1)), 0)


def soft_threshold(V, threshold):
    return np.sign(V) * np.maximum(np.abs(V) - threshold, 0)


@pytest.mark.parametrize("step, strength", [(0.3, 0.7), (2.0, 1.0), (1e-3, 5.0)])
def test_block_soft_threshold(step, strength):
    V = sparse_matrix(np.random.default_rng(5))
    s = step * strength
    assert_allclose(GroupLasso().prox(V, step, strength), block_soft_threshold(V, s, axis=1), atol=1e-14)
    assert_allclose(GroupLasso(by="output").prox(V, step, strength), block_soft_threshold(V, s, axis=0), atol=1e-14)
    assert_allclose(L2Norm().prox(V, step, strength), block_soft_threshold(V, s), atol=1e-14)
    joined = GroupLasso(groups=[4, 0, 4, 0, 0, 9, 1]).prox(V, step, strength)
    for rows in ([0, 2], [1, 3, 4], [5], [6]):
        assert_allclose(joined[rows], block_soft_threshold(V[rows], s * np.sqrt(len(rows))), atol=1e-14)


@pytest.mark.parametrize("by, axis", [("input", 1), ("output", 0)])
def test_sparse_group_lasso_thresholds_weights_before_groups(by, axis):
    V = sparse_matrix(np.random.default_rng(6))
    penalty, step = SparseGroupLasso(l1_ratio=0.4, by=by), 0.9
    right = block_soft_threshold(soft_threshold(V, 0.4 * step), 0.6 * step, axis)
    wrong = soft_threshold(block_soft_threshold(V, 0.6 * step, axis), 0.4 * step)
    assert_allclose(penalty.prox(V, step, 1.0), right, atol=1e-14)
    assert np.abs(right - wrong).max() > 0.01
    minimised = [
        ((P - V) ** 2).sum() / 2 + step * oracles.PENALTIES[penalty.name](P, 1.0, **penalty.get_params())
        for P in (right, wrong)
    ]
    assert minimised[0] < minimised[1] - 1e-3


def test_closed_forms_of_concave_shapes():
    """Firm thresholding below the knee's curvature, hard thresholding above; for SCAD, Fan and Li (2001) at step 1."""
    V, lam = np.linspace(-9, 9, 721)[:, np.newaxis], 1.3
    firm = np.where(np.abs(V) <= 3 * lam, soft_threshold(V, lam) / (1 - 1 / 3), V)
    assert_allclose(MCP(gamma=3.0).prox(V, 1.0, lam), firm, atol=1e-14)
    threshold = lam * np.sqrt(3 * 5)
    assert np.abs(np.abs(V) - threshold).min() > 1e-6
    assert_allclose(MCP(gamma=3.0).prox(V, 5.0, lam), np.where(np.abs(V) > threshold, V, 0), atol=1e-14)
    a = 3.7
    middle = np.sign(V) * ((a - 1) * np.abs(V) - a * lam) / (a - 2)
    scad = np.where(np.abs(V) <= 2 * lam, soft_threshold(V, lam), np.where(np.abs(V) <= a * lam, middle, V))
    assert_allclose(SCAD(gamma=a).prox(V, 1.0, lam), scad, atol=1e-14)


SAME = {
    "all of the mixture is L1": (SparseGroupLasso(l1_ratio=1.0), L1(), 1.0),
    "all of the mixture is by rows": (SparseGroupLasso(l1_ratio=0.0), GroupLasso(), 1.0),
    "all of the mixture is by columns": (SparseGroupLasso(0.0, by="output"), GroupLasso(by="output"), 1.0),
    "rows with numbers of their own": (GroupLasso(groups=[7, 3, 5, 1]), GroupLasso(), 1.0),
    "all rows joined": (GroupLasso(groups=[2, 2, 2, 2]), L2Norm(), 2.0),
    "a late knee": (MCP(gamma=1e12), L1(), 1.0),
    "a late knee by rows": (SCAD(gamma=1e12, by="input"), GroupLasso(), 1.0),
    "a late knee of the matrix": (MCP(gamma=1e12, by="matrix"), L2Norm(), 1.0),
}


@pytest.mark.parametrize("one, other, factor", SAME.values(), ids=SAME)
def test_the_same_penalty_in_other_words(one, other, factor):
    rng = np.random.default_rng(7)
    V, G = sparse_matrix(rng, (4, 3)), rng.normal(size=(4, 3))
    assert one.value(V, 0.6) == pytest.approx(other.value(V, 0.6 * factor), rel=1e-10)
    assert_allclose(one.prox(V, 0.5, 0.6), other.prox(V, 0.5, 0.6 * factor), atol=1e-10)
    assert_allclose(one.subgradient(V, 0.6), other.subgradient(V, 0.6 * factor), atol=1e-10)
    assert_allclose(one.residual(V, G, 0.6), other.residual(V, G, 0.6 * factor), atol=1e-10)


@pytest.mark.parametrize("cls", [GroupLasso, SparseGroupLasso, MCP, SCAD])
def test_columns_are_rows_of_the_transpose(cls):
    rng = np.random.default_rng(8)
    V, G, rows, columns = sparse_matrix(rng), rng.normal(size=(7, 5)), cls(by="input"), cls(by="output")
    assert columns.value(V, 0.6) == pytest.approx(rows.value(V.T, 0.6), rel=1e-14)
    assert_allclose(columns.prox(V, 0.5, 0.6), rows.prox(V.T, 0.5, 0.6).T, atol=1e-15)
    assert_allclose(columns.subgradient(V, 0.6), rows.subgradient(V.T, 0.6).T, atol=1e-15)
    assert_allclose(columns.residual(V, G, 0.6), rows.residual(V.T, G.T, 0.6).T, atol=1e-15)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
def test_residual_of_a_zero_group_by_scipy(l1_ratio, size):
    """The distance of -gradient to l1_ratio * box + (1 - l1_ratio) * ball, found by SciPy."""
    strength, G = 0.8, size * np.random.default_rng(10).normal(size=3)

    def distance(x):
        return np.sum((G + strength * (l1_ratio * x[:3] + (1 - l1_ratio) * x[3:])) ** 2)

    ball = {"type": "ineq", "fun": lambda x: 1 - np.sum(x[3:] ** 2)}
    bounds = [(-1, 1)] * 3 + [(None, None)] * 3
    options = {"ftol": 1e-14, "maxiter": 500}
    found = scipy.optimize.minimize(
        distance, np.full(6, 0.1), method="SLSQP", bounds=bounds, constraints=ball, options=options
    )
    residual = SparseGroupLasso(l1_ratio=l1_ratio).residual(np.zeros((1, 3)), G[np.newaxis], strength)
    assert np.sum(residual**2) == pytest.approx(found.fun, abs=1e-6)


def test_residual_of_groups():
    """Its norm over a group is the group's distance; at zero that is what the gradient has above the threshold."""
    G = np.random.default_rng(11).normal(size=(5, 3))
    zero, norms = np.zeros((5, 3)), np.linalg.norm(G, axis=1)
    residual = GroupLasso().residual(zero, G, 1.5)
    assert_allclose(np.linalg.norm(residual, axis=1), np.maximum(norms - 1.5, 0), atol=1e-14)
    residual = GroupLasso(groups=[0, 0, 0, 1, 2]).residual(zero, G, 0.9)
    joined = max(0, np.linalg.norm(G[:3]) - 0.9 * np.sqrt(3))
    assert np.linalg.norm(residual[:3]) == pytest.approx(joined)
    assert_allclose(np.linalg.norm(residual[3:], axis=1), np.maximum(norms[3:] - 0.9, 0), atol=1e-14)
    residual = L2Norm().residual(zero, G, 1.5)
    assert np.linalg.norm(residual) == pytest.approx(np.linalg.norm(G) - 1.5)
    residual = MCP(by="output").residual(zero, G, 1.5)
    assert_allclose(np.linalg.norm(residual, axis=0), np.maximum(np.linalg.norm(G, axis=0) - 1.5, 0), atol=1e-14)
