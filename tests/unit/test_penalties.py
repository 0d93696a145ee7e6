"""Penalties over the registry and over groupings, against plain definitions, closed forms and SciPy."""

import inspect
import itertools
import pickle

import numpy as np
import oracles
import pytest
import scipy.integrate
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal
from oracles import penalty_value
from penalty_cases import ALL, CONCAVE, CONFORMING, GROUPINGS, REGISTRY
from sklearn.base import clone

from sknormnet.penalties import (
    L1,
    L2,
    MCP,
    PENALTIES,
    SCAD,
    ElasticNet,
    GroupLasso,
    L2Norm,
    MaxNorm,
    NonNegative,
    NoPenalty,
    NuclearNorm,
    SparseGroupLasso,
)
from sknormnet.penalties.base import CompiledPenalty
from sknormnet.testing import check_penalty

everyone = pytest.mark.parametrize("make", ALL.values(), ids=ALL)
convex_ones = [
    pytest.param(make, 1000 if name in REGISTRY | GROUPINGS else 200, id=name)
    for name, make in ALL.items()
    if make(2).convex
]
concave_ones = pytest.mark.parametrize("make", CONCAVE.values(), ids=CONCAVE)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def sparse_matrix(rng, shape=(7, 5), scale=1.0):
    """Single zeros, a row of zeros and a column of zeros where there are several."""
    W = rng.normal(scale=scale, size=shape)
    W[rng.random(shape) < 0.3] = 0.0
    W[1:2], W[:, 2:3] = 0.0, 0.0
    return W


def of_low_rank(penalty):
    """The nuclear norm has no zeros of single weights."""
    return "NuclearNorm" in repr(penalty)


def by_weight(penalty):
    return getattr(getattr(penalty, "penalty", penalty), "by", None) == "weight"


def feasible(penalty, W):
    """The nearest point where the value is finite."""
    return penalty.prox(W, 1.0, 0.0) if penalty.constraint else W


@pytest.mark.parametrize("make", CONFORMING.values(), ids=CONFORMING)
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 3)])
def test_conforms(make, shape):
    check_penalty(make(shape[0]), shape=shape)


@everyone
@both_dtypes
def test_value(make, dtype):
    rng = np.random.default_rng(0)
    for shape in [(7, 5), (40, 60), (1, 1), (1, 9), (9, 1)]:
        W, penalty = sparse_matrix(rng, shape).astype(dtype), make(shape[0])
        for strength, M in itertools.product((0.3, 1.7), (W, feasible(penalty, W))):
            expected = penalty_value(penalty, M.astype(np.float64), strength)
            assert penalty.value(M, strength) == pytest.approx(expected, rel=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("gamma", [2.5, 3.7])
def test_definitions_are_the_integrals_of_the_published_slopes(gamma):
    """Zhang (2010); Fan and Li (2001)."""
    strength = 0.8
    slopes = {
        oracles.mcp: lambda t: max(0, strength - t / gamma),
        oracles.scad: lambda t: strength if t <= strength else max(0, gamma * strength - t) / (gamma - 1),
    }
    for shape, slope in slopes.items():
        for t in (0.0, 0.3, 0.8, 1.5, 2.9, 10.0):
            integral, _ = scipy.integrate.quad(slope, 0, t, points=[p for p in (strength, gamma * strength) if p < t])
            assert shape(t, strength, gamma) == pytest.approx(integral, abs=1e-10)


@pytest.mark.parametrize("make, n_draws", convex_ones)
@both_dtypes
def test_prox_by_the_three_point_inequality(make, n_draws, dtype):
    """h(p) + |p - v|^2/2 <= h(z) + |z - v|^2/2 - |z - p|^2/2 for every z, which holds for no other p."""
    rng = np.random.default_rng(1)
    eps, penalty = np.finfo(dtype).eps, make(3)
    for _ in range(n_draws):
        step, strength = 10.0 ** rng.uniform(-6, 4), 10.0 ** rng.uniform(-3, 2)
        v, z = rng.normal(size=(3, 2)).astype(dtype), feasible(penalty, rng.normal(size=(3, 2)))
        p = penalty.prox(v, step, strength).astype(np.float64)
        assert np.isfinite(p).all()
        h_p, h_z = (step * penalty_value(penalty, W, strength) for W in (p, z))
        left = h_p + 0.5 * ((p - v) ** 2).sum()
        right = h_z + 0.5 * ((z - v) ** 2).sum() - 0.5 * ((z - p) ** 2).sum()
        assert np.isfinite(right)
        assert left <= right + 100 * eps * (1 + abs(h_z) + abs(h_p))


# Below and above gamma and gamma - 1, where the scalar problem stops being convex.
STEPS = (1e-6, 0.1, 0.99, 1.0, 1.02, 1.5, 2.0, 2.69, 2.71, 2.99, 3.01, 3.69, 3.71, 10.0, 1e4)


@concave_ones
@pytest.mark.parametrize("step", STEPS)
def test_prox_of_a_concave_shape_is_the_global_minimum(make, step):
    """No point of a fine grid of group norms is better, and the direction of a group stays."""
    rng = np.random.default_rng(3)
    penalty = make(3)
    shape, joined = {"mcp": oracles.mcp, "scad": oracles.scad}[penalty.name], oracles.joined(penalty.groups)
    for _ in range(20):
        strength = 10.0 ** rng.uniform(-1, 1)
        V = rng.normal(size=(3, 2)) * strength * max(step, np.sqrt(step), 1) * rng.choice([0.3, 1.0, 3.0])
        P = penalty.prox(V, step, strength)
        before, after = (oracles.group_norms(W, penalty.by, penalty.groups) for W in (V, P))
        for t, u, s in np.nditer([before, after, strength * joined]):
            grid = np.append(np.linspace(0, t, 2001), u)
            minimised = (grid - t) ** 2 / 2 + step * shape(grid, s, penalty.gamma)
            assert minimised[-1] <= minimised.min() + 1e-13 * t**2
        total = lambda W: ((W - V) ** 2).sum() / 2 + step * penalty_value(penalty, W, strength)  # noqa: B023, E731
        radial = np.sum((before - after) ** 2) / 2 + step * shape(after, strength * joined, penalty.gamma).sum()
        assert total(P) == pytest.approx(radial, rel=1e-10)


@everyone
def test_prox_by_scipy(make):
    """A search without derivatives, from several starts, finds nothing better."""
    rng = np.random.default_rng(4)
    penalty = make(2)
    for step, scale in [(0.5, 1.0), (6.0, 4.0)]:
        V = scale * rng.normal(size=(2, 1))
        f = lambda w: ((w - V.ravel()) ** 2).sum() / 2 + step * penalty_value(penalty, w.reshape(2, 1), 0.6)  # noqa: B023, E731
        starts = [V.ravel() * share for share in (0, 0.9, [1, 0], [0, 1])]
        starts = [feasible(penalty, w.reshape(2, 1)).ravel() for w in starts]
        options = dict(xatol=1e-8, fatol=1e-14, maxiter=500)
        found = min(
            (scipy.optimize.minimize(f, w, method="Nelder-Mead", options=options) for w in starts),
            key=lambda result: result.fun,
        )
        P = penalty.prox(V, step, 0.6)
        slack = 1e-5 * found.fun if penalty.constraint else 1e-12  # as far as the oracles let weights out
        assert f(P.ravel()) <= found.fun + slack
        if penalty.convex and not penalty.constraint:  # whose corners a simplex may get stuck in
            assert_allclose(P.ravel(), found.x, rtol=0, atol=1e-5)  # a search resolves the square root of rounding


@everyone
def test_subgradient_and_residual(make):
    rng = np.random.default_rng(9)
    penalty = make(7)
    W = 0.5 * feasible(penalty, sparse_matrix(rng))  # differences need room
    g = penalty.subgradient(W, 0.4)
    h = 1e-6
    for i, j in np.ndindex(W.shape):
        if W[i, j] != 0:
            up, down = W.copy(), W.copy()
            up[i, j] += h
            down[i, j] -= h
            difference = (penalty_value(penalty, up, 0.4) - penalty_value(penalty, down, 0.4)) / (2 * h)
            assert g[i, j] == pytest.approx(difference, abs=1e-8)
        elif not of_low_rank(penalty):
            assert g[i, j] == 0
    assert_allclose(penalty.residual(W, -g, 0.4), 0, atol=1e-14)
    # p = prox(v) is optimal for |. - v|^2/2 + strength*Omega: the residual at p with gradient p - v is zero.
    v = rng.normal(size=(7, 6))
    p = penalty.prox(v, 1.0, 0.4)
    assert_allclose(penalty.residual(p, p - v, 0.4), 0, atol=1e-13)
    if not penalty.constraint:
        assert penalty.residual(W, rng.normal(size=W.shape) + 10, 0.4).min() > 1


SINGLE = [L1(), ElasticNet(0.9), SparseGroupLasso(0.8), GroupLasso("output"), MCP(), SCAD(), MCP(by="output")]
JOINT = [L2(), NoPenalty(), ElasticNet(0.3), GroupLasso(), SparseGroupLasso(0.3), L2Norm(), SCAD(by="matrix")]


@pytest.mark.parametrize("penalty", SINGLE + JOINT, ids=repr)
def test_thresholds_to_exact_zeros(penalty):
    zeros = penalty.prox(np.array([[0.3, -0.3, 2.0, -0.0]]), 1.0, 0.5) == 0.0
    assert zeros.tolist() == [[penalty in SINGLE, penalty in SINGLE, False, True]]


@everyone
def test_smooth_or_zeros(make):
    penalty, P = make(1), make(1).prox(np.full((1, 4), 0.05), 1.0, 0.5)
    parts = getattr(getattr(penalty, "penalty", penalty), "penalties", [penalty])
    assert P.any() == all(part.smooth or part.constraint for part in parts)


@everyone
@both_dtypes
def test_zero_groups(make, dtype):
    W = sparse_matrix(np.random.default_rng(12)).astype(dtype)
    W[:2] = 0.0
    penalty = make(7)
    with np.errstate(all="raise"):
        for result in (penalty.prox(W, 0.1, 0.2), penalty.subgradient(W, 0.2)):
            assert result.dtype == dtype
            assert np.isfinite(result).all()
            if not of_low_rank(penalty):
                assert_array_equal(result[W == 0], 0)
        assert_array_equal(penalty.prox(0 * W, 1e9, 1.0), 0)
        assert_array_equal(penalty.residual(0 * W, 0 * W, 1.0), 0)
        assert penalty.value(0 * W, 1.0) == 0.0


@everyone
@pytest.mark.parametrize("dtype, size", [(np.float64, 1e200), (np.float32, 1e30)])
def test_weights_whose_squares_overflow(make, dtype, size):
    """What is positively homogeneous gives the same at every size; concave shapes leave large weights alone."""
    penalty = make(7)
    V = sparse_matrix(np.random.default_rng(13))
    huge = (size * V).astype(dtype)
    if penalty.name in ("l1", "group_lasso", "sparse_group_lasso", "l2_norm"):
        rtol = 1e-5 if dtype == np.float32 else 1e-12
        P = penalty.prox(huge, 0.5 * size, 1.0).astype(np.float64) / size
        assert_allclose(P, penalty.prox(V, 0.5, 1.0), rtol=rtol, atol=rtol)
        assert_allclose(penalty.subgradient(huge, 1.0), penalty.subgradient(V, 1.0), rtol=rtol, atol=rtol)
        assert penalty.value(huge, 1.0) == pytest.approx(size * penalty.value(V, 1.0), rel=rtol)
    elif penalty.name in ("mcp", "scad"):
        rtol = 1e-6 if dtype == np.float32 else 1e-15
        assert_allclose(penalty.prox(huge, 0.5, 1.0), huge, rtol=rtol)
        assert_array_equal(penalty.subgradient(huge, 1.0), 0)


@everyone
@pytest.mark.parametrize("dtype, size", [(np.float64, 1e-200), (np.float32, 1e-30)])
def test_weights_whose_squares_underflow(make, dtype, size):
    """They may be taken for zeros, not for more than they are."""
    penalty = make(7)
    tiny = (size * sparse_matrix(np.random.default_rng(14))).astype(dtype)
    for step in (1e-6, 1.0, 1e6):
        bound = np.linalg.norm(tiny) if of_low_rank(penalty) else np.abs(tiny)
        assert np.all(np.abs(penalty.prox(tiny, step, 1.0)) <= bound)
    assert np.all(np.abs(penalty.subgradient(tiny, 1.0)) <= 2)
    if not penalty.constraint:
        assert 0 <= penalty.value(tiny, 1.0) <= 100 * size


@everyone
def test_nan_is_not_hidden(make):
    """It spreads over its group and no further."""
    P = make(2).prox(np.array([[np.nan, 1.0], [2.0, 3.0]]), 0.1, 0.1)
    assert np.isnan(P[0, 0])
    if make(2).name in ("l1", "l2", "elasticnet", "none", "weight_decay", "non_negative") or by_weight(make(2)):
        assert np.isfinite(P).tolist() == [[False, True], [True, True]]


def close(a, b):
    assert_allclose(a, b, rtol=1e-13, atol=1e-14)


@everyone
def test_read_only_and_non_contiguous(make):
    W = np.asfortranarray(sparse_matrix(np.random.default_rng(15)))
    W.setflags(write=False)
    penalty, C = make(7), W.copy(order="C")
    same = assert_array_equal if type(penalty).prox is CompiledPenalty.prox else close  # NumPy sums in another order
    same(penalty.prox(W, 0.1, 1.0), penalty.prox(C, 0.1, 1.0))
    same(penalty.subgradient(W, 1.0), penalty.subgradient(C, 1.0))
    same(penalty.value(W, 1.0), penalty.value(C, 1.0))
    same(make(5).prox(W.T, 0.1, 1.0), make(5).prox(C.T.copy(), 0.1, 1.0))


@everyone
def test_parameters(make):
    penalty, W = make(7), sparse_matrix(np.random.default_rng(16))
    assert repr(clone(penalty)) == repr(penalty)
    assert repr(pickle.loads(pickle.dumps(penalty))) == repr(penalty)
    if type(penalty).value is CompiledPenalty.value:
        assert pickle.loads(pickle.dumps(penalty.kernel())).value(W, 0.3) == penalty.value(W, 0.3)


def test_registry():
    assert {name: cls.name for name, cls in PENALTIES.items()} == {name: name for name in PENALTIES}
    grouped = {"group_lasso": GroupLasso, "sparse_group_lasso": SparseGroupLasso, "l2_norm": L2Norm}
    single = {"none": NoPenalty, "l2": L2, "l1": L1, "elasticnet": ElasticNet, "mcp": MCP, "scad": SCAD}
    further = {"nuclear": NuclearNorm, "max_norm": MaxNorm, "non_negative": NonNegative}
    assert (grouped | single | further).items() <= PENALTIES.items()
    assert [name for name, cls in PENALTIES.items() if cls.constraint] == ["max_norm", "non_negative"]
    assert [name for name, cls in PENALTIES.items() if not cls.convex] == ["mcp", "scad"]


@pytest.mark.parametrize("cls", PENALTIES.values(), ids=PENALTIES)
def test_docstrings(cls):
    text = inspect.getdoc(cls)
    assert ">>>" in text
    if cls is not NoPenalty:
        assert "References\n----------" in text
        assert "(19" in text or "(20" in text
    for parameter in inspect.signature(cls).parameters:
        assert f"\n{parameter} : " in text


BAD = [
    (ElasticNet(1.5), r"l1_ratio of ElasticNet must be in \[0, 1\]"),
    (SparseGroupLasso(l1_ratio=-0.1), "l1_ratio of SparseGroupLasso"),
    (SparseGroupLasso(l1_ratio=1.1), "l1_ratio of SparseGroupLasso"),
    (SparseGroupLasso(l1_ratio=float("nan")), "l1_ratio of SparseGroupLasso"),
    (MCP(gamma=1.0), "gamma of MCP"),
    (MCP(gamma=-3.0), "gamma of MCP"),
    (MCP(gamma=float("nan")), "gamma of MCP"),
    (SCAD(gamma=2.0), "gamma of SCAD"),
    *[
        (cls(by=by), f"by of {cls.__name__}")
        for cls in (GroupLasso, SparseGroupLasso, MCP, SCAD)
        for by in ("row", None)
    ],
    (GroupLasso(by="weight"), "by of GroupLasso"),
    (GroupLasso(by="output", groups=[0, 1, 1]), "groups"),
    (SparseGroupLasso(by="output", groups=[0, 1, 1]), "groups"),
    (GroupLasso(groups=[0, -1, 1]), "groups"),
    (GroupLasso(groups=[0, 0.5, 1]), "groups"),
    (GroupLasso(groups=["a", "b", "b"]), "groups"),
    (GroupLasso(groups=[[0, 1, 1]]), "groups"),
    (GroupLasso(groups=[0]), "groups"),
    (SparseGroupLasso(groups=[0, 1, 1, 1]), "groups"),
]


@pytest.mark.parametrize("penalty, message", BAD, ids=[repr(penalty) for penalty, _ in BAD])
def test_bad_parameters(penalty, message):
    """Checked where they are used, not in the constructor."""
    W = np.ones((3, 2))
    for use in (
        lambda: penalty.value(W, 1.0),
        lambda: penalty.prox(W, 1.0, 1.0),
        lambda: penalty.subgradient(W, 1.0),
        lambda: penalty.residual(W, W, 1.0),
    ):
        with pytest.raises(ValueError, match=message):
            use()
