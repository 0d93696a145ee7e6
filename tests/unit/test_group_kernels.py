"""Compiled penalties of groups beyond the classes of the registry: factors of rows, limits, terms of single weights."""

import numpy as np
import oracles
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal

from sknormnet._core.penalties import GroupKernel
from sknormnet.losses import SquaredError
from sknormnet.objective import Objective
from sknormnet.penalties.base import CompiledPenalty
from sknormnet.plan import PenaltyTerm, Plan
from sknormnet.solvers.monitor import Monitor
from sknormnet.solvers.schedules import make_schedule
from sknormnet.solvers.stochastic import Stochastic

JOINED = np.array([3, 1, 3, 0])
SHAPES = {"mcp": oracles.mcp, "scad": oracles.scad}
# Of four rows. What a case does not name has GroupKernel's default.
CASES = {
    "l2": dict(shape="linear", by="input", l2=0.7),
    "l2, columns": dict(shape="linear", by="output", l2=0.7, inner=0.3),
    "l2, matrix": dict(shape="linear", by="matrix", l2=2.0),
    "l2 alone": dict(shape="linear", by="input", outer=0.0, l2=0.7),
    "non-negative": dict(shape="linear", by="weight", outer=0.0, non_negative=True),
    "non-negative L1": dict(shape="linear", by="weight", non_negative=True, l2=0.2),
    "non-negative rows": dict(shape="linear", by="input", inner=0.2, non_negative=True),
    "non-negative joined": dict(shape="linear", by="input", inner=0.2, l2=0.1, non_negative=True, groups=JOINED),
    "factors": dict(shape="linear", by="input", row_factors=[1.0, 0.0, 2.0, 0.5]),
    "factors, all terms": dict(shape="linear", by="input", inner=0.4, l2=0.3, row_factors=[1.0, 0.0, 2.0, 0.5]),
    "factors, single": dict(shape="linear", by="weight", row_factors=[1.0, 0.0, 2.0, 0.5]),
    "factors, joined": dict(
        shape="linear", by="input", inner=0.4, l2=0.1, groups=JOINED, row_factors=[2.0, 0.0, 2.0, 0.5]
    ),
    "limit": dict(shape="limit", by="input", limit=0.8),
    "limit, columns": dict(shape="limit", by="output", limit=0.8),
    "limit, matrix": dict(shape="limit", by="matrix", limit=0.8),
    "limit, joined": dict(shape="limit", by="input", limit=0.8, groups=JOINED),
    "limit, all terms": dict(shape="limit", by="output", limit=0.5, inner=0.3, l2=0.4, non_negative=True),
    "limit, L1": dict(shape="limit", by="matrix", limit=0.9, inner=0.3),
}
CONCAVE = {
    f"{shape}, {name}": dict(shape=shape, gamma=3.0) | options
    for shape in SHAPES
    for name, options in {
        "joined": dict(by="input", groups=JOINED),
        "factors": dict(by="input", row_factors=[1.0, 0.0, 2.0, 0.5]),
        "single": dict(by="weight", row_factors=[1.0, 0.0, 2.0, 0.5]),
        "l2": dict(by="output", l2=0.3),
    }.items()
}
every_case = pytest.mark.parametrize("case", (CASES | CONCAVE).values(), ids=CASES | CONCAVE)
convex_cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def make(case):
    options = dict(case)
    return GroupKernel(options.pop("shape"), options.pop("by"), **options)


def terms(W, strength, shape, by, outer=1.0, inner=0.0, l2=0.0, gamma=None, groups=None, row_factors=None, **_):
    """The penalty without its constraints, straight from its definition."""
    f = np.ones(len(W)) if row_factors is None else np.asarray(row_factors)
    single = np.sum(f[:, np.newaxis] * (inner * np.abs(W) + l2 * W**2 / 2))
    norms = oracles.group_norms(W, by, groups)
    if groups is not None:
        _, first, sizes = np.unique(groups, return_index=True, return_counts=True)
        factors = f[first] * np.sqrt(sizes)
    else:
        factors = {"weight": np.repeat(f, W.shape[1]), "input": f}.get(by, 1.0)
    grouped = {
        "linear": lambda: np.sum(outer * strength * factors * norms),
        "limit": lambda: 0.0,
        **{name: lambda shape=shape: np.sum(shape(norms, strength * factors, gamma)) for name, shape in SHAPES.items()},
    }[shape]()
    return grouped + strength * single


def project(W, shape, by, limit=np.inf, groups=None, non_negative=False, **_):
    """Some feasible point; W itself if it is one."""
    W = np.maximum(W, 0) if non_negative else W
    if shape == "limit":
        W = W * min(1, limit / oracles.group_norms(W, by, groups).max())
    return W


def matrix(seed, shape=(4, 3)):
    """Single zeros, and a row and a column of zeros."""
    W = np.random.default_rng(seed).normal(size=shape)
    W[0, 0] = W[1] = W[:, 2] = 0.0
    return W


@every_case
@both_dtypes
def test_value(case, dtype):
    W = project(matrix(0), **case).astype(dtype)
    for strength in (0.0, 0.6):
        expected = terms(W.astype(np.float64), strength, **case)
        assert make(case).value(W, strength) == pytest.approx(expected, rel=1e-5 if dtype == np.float32 else 1e-13)
    outside = -W if case.get("non_negative") else 2 * W
    if case.get("non_negative") or case["shape"] == "limit":
        assert make(case).value(outside, 0.0) == np.inf


@both_dtypes
def test_a_limit_forgives_rounding(dtype):
    """What the prox has projected is inside, what lies outside by more than half the digits is not."""
    kernel = GroupKernel("limit", "input", limit=0.7)
    P = kernel.prox(np.random.default_rng(1).normal(size=(200, 50)).astype(dtype), 1.0, 0.0)
    assert kernel.value(P, 0.0) == 0.0
    assert kernel.value(P * dtype(1 + 1e-3), 0.0) == np.inf
    assert_allclose(np.linalg.norm(P, axis=1), 0.7, rtol=1e-6 if dtype == np.float32 else 1e-14)


@convex_cases
@both_dtypes
def test_prox_by_the_three_point_inequality(case, dtype):
    """h(p) + |p - v|^2/2 <= h(z) + |z - v|^2/2 - |z - p|^2/2 for every feasible z, which holds for no other p."""
    rng = np.random.default_rng(1)
    eps, kernel = np.finfo(dtype).eps, make(case)
    for _ in range(300):
        step, strength = 10.0 ** rng.uniform(-6, 4), 10.0 ** rng.uniform(-3, 2)
        v = rng.normal(size=(4, 3)).astype(dtype)
        p = kernel.prox(v, step, strength).astype(np.float64)
        assert_array_equal(p >= 0, True if case.get("non_negative") else p >= 0)
        if case["shape"] == "limit":
            assert oracles.group_norms(p, case["by"], case.get("groups")).max() <= case["limit"] * (1 + 4 * eps)
        for scale in (1.0, 0.1, 1e-3):
            z = project(p + scale * rng.normal(size=v.shape), **case)
            h_p, h_z = (step * terms(W, strength, **case) for W in (p, z))
            left = h_p + 0.5 * ((p - v) ** 2).sum()
            right = h_z + 0.5 * ((z - v) ** 2).sum() - 0.5 * ((z - p) ** 2).sum()
            assert left <= right + 100 * eps * (1 + abs(h_z) + abs(h_p))


@pytest.mark.parametrize("case", CONCAVE.values(), ids=CONCAVE)
def test_prox_of_concave_shapes_by_search(case):
    """Searches without derivatives from several starts find nothing better."""
    rng = np.random.default_rng(2)
    kernel = make(case)
    for step, scale in [(0.5, 1.0), (2.5, 3.0), (8.0, 5.0)]:
        V = scale * rng.normal(size=(4, 1))
        f = lambda w: ((w - V.ravel()) ** 2).sum() / 2 + step * terms(w.reshape(4, 1), 0.6, **case)  # noqa: B023, E731
        starts = [V.ravel() * share for share in (0, 0.5, 1, [1, 0, 0, 1], [0, 1, 1, 0])]
        options = dict(xatol=1e-8, fatol=1e-14, maxiter=2000)
        found = min(scipy.optimize.minimize(f, w, method="Nelder-Mead", options=options).fun for w in starts)
        assert f(kernel.prox(V, step, 0.6).ravel()) <= found + 1e-10


@every_case
def test_subgradient_and_residual(case):
    kernel, h = make(case), 1e-6
    W = project(matrix(3), **case)
    if case["shape"] == "limit":
        W *= 0.5  # inside; at the limit: below
    g = kernel.subgradient(W, 0.4)
    for i, j in np.ndindex(W.shape):
        if W[i, j] != 0:
            up, down = W.copy(), W.copy()
            up[i, j] += h
            down[i, j] -= h
            difference = (terms(up, 0.4, **case) - terms(down, 0.4, **case)) / (2 * h)
            assert g[i, j] == pytest.approx(difference, abs=1e-8)
        else:
            assert g[i, j] == 0
    assert_allclose(kernel.residual(W, -g, 0.4), 0, atol=1e-15)
    # p = prox(v) is optimal for |. - v|^2/2 + strength*Omega: the residual at p with gradient p - v is zero.
    v = np.random.default_rng(4).normal(size=(4, 3))
    p = kernel.prox(v, 1.0, 0.4)
    assert_allclose(kernel.residual(p, p - v, 0.4), 0, atol=1e-14)
    far = kernel.residual(p, p - v + 10, 0.4)
    assert (far[p != 0].min() if (p != 0).any() else 1) > (0 if case["shape"] == "limit" else 1)


def test_residual_at_a_limit_by_scipy():
    """The distance of -gradient to the sum of the normal cone and the L1 term's subdifferential."""
    rng = np.random.default_rng(5)
    kernel = GroupKernel("limit", "input", limit=1.0, inner=0.3)
    for _ in range(20):
        W = rng.normal(size=(1, 3))
        W[0, 2] = 0.0
        W /= np.linalg.norm(W)
        G = rng.normal(size=(1, 3))

        def distance(x, W=W, G=G):
            s = np.where(W[0] == 0, x[:3], 0.3 * np.sign(W[0]))
            return np.sum((G[0] + s + x[3] * W[0]) ** 2)

        bounds = [(-0.3, 0.3)] * 3 + [(0, None)]
        found = scipy.optimize.minimize(distance, np.zeros(4), method="L-BFGS-B", bounds=bounds, tol=1e-14)
        assert np.sum(kernel.residual(W, G, 1.0) ** 2) == pytest.approx(found.fun, abs=1e-8)
    assert_array_equal(kernel.residual(0.9 * W, 0 * W, 0.0), 0)
    assert kernel.residual(0.9 * W, -W, 0.0).max() > 0.1  # inside there is no cone


def test_residual_of_non_negative_zeros():
    kernel = GroupKernel("linear", "weight", outer=0.0, inner=0.5, non_negative=True)
    W, G = np.array([[0.0, 0.0, 0.0, 2.0]]), np.array([[3.0, -0.4, -0.7, 1.0]])
    assert_allclose(kernel.residual(W, G, 1.0), [[0.0, 0.0, 0.2, 1.5]], atol=1e-15)


@every_case
@both_dtypes
def test_nan_is_not_hidden(case, dtype):
    V = np.ones((4, 3), dtype=dtype)
    V[2, 1] = np.nan
    kernel = make(case)
    assert np.isnan(kernel.prox(V, 0.1, 0.1)[2, 1])
    assert np.isnan(kernel.prox(V, 1e9, 1e9)[2, 1])
    assert not np.isfinite(kernel.value(V, 0.1))
    assert np.isnan(kernel.residual(V, V, 0.1)).any()


@every_case
@both_dtypes
def test_zeros(case, dtype):
    zero, kernel = np.zeros((4, 3), dtype=dtype), make(case)
    with np.errstate(all="raise"):
        for strength in (0.0, 0.3):
            for result in (kernel.prox(zero, 1e9, strength), kernel.subgradient(zero, strength)):
                assert result.dtype == dtype
                assert_array_equal(result, 0)
            assert_array_equal(kernel.residual(zero, zero, strength), 0)
            assert kernel.value(zero, strength) == 0


@pytest.mark.parametrize("by, shape", [("input", (5, 1)), ("output", (1, 5))])
@pytest.mark.parametrize("name", ["linear", "mcp", "scad", "limit"])
def test_groups_of_one_weight_are_single_weights(name, by, shape):
    options = dict(inner=0.2, l2=0.1, gamma=3.0, limit=0.8)
    one, other = GroupKernel(name, by, **options), GroupKernel(name, "weight", **options)
    V, G = np.random.default_rng(6).normal(size=(2, *shape))
    P = one.prox(V, 0.5, 0.6)
    assert_array_equal(P, other.prox(V, 0.5, 0.6))
    assert one.value(P, 0.6) == other.value(P, 0.6)
    assert_array_equal(one.residual(P, G, 0.6), other.residual(P, G, 0.6))


@pytest.mark.parametrize("by, shape", [("input", (1, 5)), ("output", (5, 1))])
@pytest.mark.parametrize("name", ["linear", "mcp", "scad", "limit"])
def test_a_group_that_is_all_of_a_matrix(name, by, shape):
    options = dict(inner=0.2, l2=0.1, gamma=3.0, limit=0.8)
    one, other = GroupKernel(name, by, **options), GroupKernel(name, "matrix", **options)
    V, G = np.random.default_rng(6).normal(size=(2, *shape))
    P = one.prox(V, 0.5, 0.6)
    assert_allclose(P, other.prox(V, 0.5, 0.6), rtol=1e-14)
    assert_allclose(one.value(P, 0.6), other.value(P, 0.6), rtol=1e-14)
    assert_allclose(one.residual(P, G, 0.6), other.residual(P, G, 0.6), rtol=1e-14)


OVERFLOWING = {
    "rows": dict(by="input"),
    "joined rows": dict(by="input", groups=JOINED),
    "columns": dict(by="output"),
    "single weights": dict(by="weight"),
}


@both_dtypes
@pytest.mark.parametrize("options", OVERFLOWING.values(), ids=OVERFLOWING)
@pytest.mark.parametrize("name", ["linear", "mcp", "limit"])
def test_squares_that_overflow_in_one_group_leave_the_others_as_they_are(name, options, dtype):
    """Of its own group the large weight makes the norm, all else being lost in its rounding."""
    kernel = GroupKernel(name, gamma=3.0, limit=0.8, inner=0.1, l2=0.05, **options)
    V, G = np.random.default_rng(8).normal(size=(2, 4, 3)).astype(dtype)
    large = V.copy()
    large[1, 2] = 0.1 * np.sqrt(np.finfo(dtype).max) * 1e3
    own = {"rows": np.s_[1, :], "joined rows": np.s_[1, :], "columns": np.s_[:, 2], "single weights": np.s_[1, 2]}
    others = np.ones((4, 3), dtype=bool)
    others[next(where for name, where in own.items() if OVERFLOWING[name] is options)] = False
    P, expected = kernel.prox(large, 0.5, 0.6), kernel.prox(V, 0.5, 0.6)
    assert_array_equal(P[others], expected[others])
    end = 0.8 if name == "limit" else (large[1, 2] - (0.5 * 0.6) * 0.1) / (1 + 0.5 * 0.6 * 0.05)
    assert_allclose(P[1, 2], end, rtol=4 * np.finfo(dtype).eps)
    assert_array_equal(kernel.subgradient(large, 0.6)[others], kernel.subgradient(V, 0.6)[others])
    if name != "limit":  # beyond it there is no subdifferential
        assert_array_equal(kernel.residual(large, G, 0.6)[others], kernel.residual(V, G, 0.6)[others])


BAD = [
    (dict(by="output", row_factors=[1.0]), "feature_weights need by='weight' or by='input', got by='output'"),
    (dict(by="matrix", row_factors=[1.0]), "got by='matrix'"),
    (dict(by="input", groups=[0, 0, 1], row_factors=[1.0, 2.0, 1.0]), "feature_weights differ within a group"),
    (dict(by="input", groups=[0, 0], row_factors=[1.0]), "feature_weights has 1 entries, groups has 2"),
    (dict(by="output", groups=[0, 0]), "groups join inputs; they need by='input'"),
]


@pytest.mark.parametrize("options, message", BAD)
def test_bad_factors(options, message):
    with pytest.raises(ValueError, match=message):
        GroupKernel("linear", **options)


def test_factors_of_other_rows():
    with pytest.raises(ValueError, match="feature_weights has 2 entries, but the layer has 4 inputs"):
        GroupKernel("linear", "input", row_factors=[1.0, 2.0]).value(np.ones((4, 3)), 1.0)


# ------------------------------------------------------------------------------------------------ in training


class Compiled(CompiledPenalty):
    """A penalty that is its kernel."""

    smooth = False

    def __init__(self, case):
        self.case = case

    def kernel(self):
        return make(self.case)


def problem(case, strength, dtype, penalize_intercepts=False):
    """Four inputs, three outputs, and one step's gradient without penalties."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(40, 4)).astype(dtype)
    y = (X @ rng.normal(size=(4, 3)) + 1).astype(dtype)
    plan = Plan((4, 3), (PenaltyTerm(Compiled(case), strength),), penalize_intercepts)
    theta = (0.1 * rng.normal(size=plan.n_parameters)).astype(dtype)
    return Objective(plan, "identity", SquaredError(), X, y), theta


def train(objective, theta, kind, n_steps, rate=0.05, **options):
    parameters = {
        "sgd": {"momentum": 0.9, "nesterov": False},
        "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
    }[kind] | options
    schedule = make_schedule("cosine", rate, power_t=0.5, max_iter=n_steps, solver=kind)
    batch = objective.n_samples
    solver = Stochastic(kind, parameters, schedule, max_iter=n_steps, batch_size=batch, shuffle=False)
    monitor = Monitor(tol=0.0, patience=np.inf)
    return solver.minimize(objective, theta.copy(), monitor=monitor, rng=np.random.RandomState(0)).theta


SOLVERS = [("sgd", {}), ("sgd", {"nesterov": True}), ("adam", {})]


@convex_cases
@both_dtypes
@pytest.mark.parametrize("solver, options", SOLVERS, ids=["heavy ball", "nesterov", "adam"])
def test_training_ends_where_the_residual_is_zero(case, dtype, solver, options):
    """At strength 0 the constraints are left, and hold."""
    for strength in (0.0, 0.1):
        objective, theta = problem(case, strength, dtype)
        theta = train(objective, theta, solver, 3000, **options)
        kernel, W = make(case), theta[:12].reshape(4, 3)
        assert np.isfinite(kernel.value(W, strength))
        gradient = np.empty_like(theta)
        objective.data_loss(theta, gradient)
        # Rounding of a limit that is reached leaves a little of the gradient along w.
        assert kernel.residual(W, gradient[:12].reshape(4, 3), strength).max() < (2e-4 if dtype == np.float32 else 1e-5)


@both_dtypes
def test_intercepts_have_factor_one(dtype):
    case = dict(shape="linear", by="input", row_factors=[0.0, 0.0, 0.0, 0.0])
    objective, theta = problem(case, 2.0, dtype, penalize_intercepts=True)
    theta = train(objective, theta, "adam", 1000)
    assert np.all(theta[:12] != 0)
    assert_array_equal(theta[12:], 0)


LARGE = {
    "rows": dict(shape="linear", by="input", inner=0.3, l2=0.2),
    "rows with factors": dict(shape="linear", by="input", inner=0.3, row_factors=np.linspace(0, 2, 211)),
    "joined rows": dict(shape="linear", by="input", groups=np.arange(211) // 5, inner=0.3),
    "columns": dict(shape="mcp", by="output", gamma=3.0),
    "matrix": dict(shape="linear", by="matrix"),
    "limit": dict(shape="limit", by="input", limit=0.3),
    "single": dict(shape="mcp", by="weight", gamma=3.0),
    "single with factors": dict(shape="scad", by="weight", gamma=3.7, row_factors=np.linspace(0, 2, 211)),
    "single, bounded": dict(shape="linear", by="weight", non_negative=True),
}


def labels_of(case, rows, columns):
    """Numbers of the groups, an array of the matrix's shape."""
    i, j = np.indices((rows, columns))
    i = np.append(case["groups"], -1)[i] if "groups" in case else i
    return {"weight": i * columns + j, "input": i, "output": j, "matrix": 0 * i}[case["by"]]


@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("columns", [7, 16, 32, 50])
@pytest.mark.parametrize("rule", ["heavy ball", "nesterov", "adam"])
@both_dtypes
def test_steps_of_large_matrices(case, columns, rule, dtype):
    """Textbook loops around the prox; the penalty that an epoch reports is that of the points it came from."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(50, 211)).astype(dtype)
    y = (X[:, :4] @ rng.normal(size=(4, columns))).astype(dtype)
    kernel, rate, strength, n = make(case), 0.02, 0.05, 211 * columns
    plan = Plan((211, columns), (PenaltyTerm(Compiled(case), strength),))
    theta = (0.1 * rng.normal(size=plan.n_parameters)).astype(dtype)
    objective = Objective(plan, "identity", SquaredError(), X, y)
    labels = np.unique(labels_of(case, 211, columns), return_inverse=True)[1].reshape(211, columns)
    sizes = np.bincount(labels.ravel())
    X, y, W, b = (
        X.astype(float),
        y.astype(float),
        theta[:n].reshape(211, columns).astype(float),
        theta[n:].astype(float),
    )
    x, z, v, v_b, m, s = W.copy(), W, 0 * W, 0 * b, np.zeros(theta.size), np.zeros(theta.size)
    penalties = []
    for t in range(1, 4):
        penalties.append(terms(x, strength, **case))
        at = z if rule == "nesterov" else x
        r = (X @ at + b - y) / 50
        g, g_b = X.T @ r, r.sum(0)
        if rule == "heavy ball":
            new = kernel.prox(x + 0.9 * v - rate * g, rate, strength)
            x, v, v_b = new, new - x, 0.9 * v_b - rate * g_b
            b = b + v_b
        elif rule == "nesterov":
            new = kernel.prox(z - rate * g, rate, strength)
            x, z, v_b = new, new + 0.9 * (new - x), 0.9 * v_b - rate * g_b
            b = b + 0.9 * v_b - rate * g_b
        else:
            g = np.concatenate([g.ravel(), g_b])
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
            mean = (np.bincount(labels.ravel(), s[:n]) / sizes)[labels]
            d = np.sqrt(mean / (1 - 0.999**t)) + 1e-8 / np.sqrt(1 - 0.999**t)
            point = x - rate * m[:n].reshape(x.shape) / (1 - 0.9**t) / d
            new = np.empty_like(x)
            for step in np.unique(rate / d):  # the prox of all groups at each group's step
                here = rate / d == step
                new[here] = kernel.prox(point, min(step, kernel.longest_step), strength)[here]
            x = new
            d_b = np.sqrt(s[n:] / (1 - 0.999**t)) + 1e-8 / np.sqrt(1 - 0.999**t)
            b = b - rate * m[n:] / (1 - 0.9**t) / d_b
        if rule == "adam" and case["by"] == "weight":
            break  # thousands of steps of the prox
    kind = {"heavy ball": "sgd", "nesterov": "sgd"}.get(rule, rule)
    parameters = {"momentum": 0.9, "nesterov": rule == "nesterov"}
    if kind == "adam":
        parameters = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
    schedule = make_schedule("constant", rate, power_t=0.5, max_iter=t, solver=kind)
    solver = Stochastic(kind, parameters, schedule, max_iter=t, batch_size=50, shuffle=False)
    monitor = Monitor(tol=0.0, patience=np.inf)
    result = solver.minimize(objective, theta.copy(), monitor=monitor, rng=np.random.RandomState(0)).theta
    tolerance = 2e-4 if dtype == np.float32 else 1e-11
    assert_allclose(result[:n].reshape(x.shape), x, rtol=0, atol=tolerance)
    assert_allclose(result[n:], b, rtol=0, atol=tolerance)
    assert_allclose(monitor.history["penalty"], penalties, rtol=1e-3 if dtype == np.float32 else 1e-10, atol=1e-12)
