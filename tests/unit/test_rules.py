"""Update rules against NumPy's, and their fixed points: the prox inside the iteration, not after it."""

import numpy as np
import pytest

from sknormnet.losses import SquaredError
from sknormnet.objective import Objective
from sknormnet.penalties import L1, L2, ElasticNet, NoPenalty
from sknormnet.plan import PenaltyTerm, Plan
from sknormnet.solvers.monitor import Monitor
from sknormnet.solvers.schedules import make_schedule
from sknormnet.solvers.stochastic import Stochastic

PENALTIES = [NoPenalty(), L2(), L1(), ElasticNet(0.4)]
STRENGTH = 0.05
RATE = 0.03


def linear_problem(penalty, dtype, n=60, d=300, seed=0):
    """One matrix, more weights than a kernel's chunk would take at once."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(dtype)
    y = (X[:, :4] @ rng.normal(size=(4, 5)) + 0.1 * rng.normal(size=(n, 5))).astype(dtype)
    plan = Plan((d, 5), (PenaltyTerm(penalty, STRENGTH),))
    theta = (0.1 * rng.normal(size=plan.n_parameters)).astype(dtype)
    return Objective(plan, "identity", SquaredError(), X, y), X.astype(float), y.astype(float), theta


def gradient_of(X, y, theta, d):
    W, b = theta[: d * 5].reshape(d, 5), theta[d * 5 :]
    residual = (X @ W + b - y) / len(X)
    return np.concatenate([(X.T @ residual).ravel(), residual.sum(0)])


def reference(rule, penalty, X, y, theta, n_steps):
    """Textbook loops, on the whole data."""
    d = X.shape[1]
    weights = np.arange(theta.size) < d * 5
    l1 = {"l1": STRENGTH, "elasticnet": STRENGTH * 0.4}.get(penalty.name, 0.0) * weights
    l2 = {"l2": STRENGTH, "elasticnet": STRENGTH * 0.6}.get(penalty.name, 0.0) * weights
    in_gradient = l2 if penalty.smooth else 0 * l2
    in_prox = 0 * l2 if penalty.smooth else l2

    def prox(v, step):
        return np.sign(v) * np.maximum(np.abs(v) - step * l1, 0) / (1 + step * in_prox)

    x, v = theta.astype(float), np.zeros(theta.size)
    z, m, s = x.copy(), np.zeros(theta.size), np.zeros(theta.size)
    for t in range(1, n_steps + 1):
        if rule == "heavy ball":
            new = prox(x + 0.9 * v - RATE * (gradient_of(X, y, x, d) + in_gradient * x), RATE)
            x, v = new, new - x
        elif rule == "nesterov":
            new = prox(z - RATE * (gradient_of(X, y, z, d) + in_gradient * z), RATE)
            z, x = new + 0.9 * (new - x), new
        else:
            g = gradient_of(X, y, x, d) + in_gradient * x
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
            scale = np.sqrt(s / (1 - 0.999**t)) + 1e-8 / np.sqrt(1 - 0.999**t)
            x = prox(x - RATE * m / (1 - 0.9**t) / scale, RATE / scale)
    returns_z = rule == "nesterov" and (penalty.smooth or not weights.all())
    if rule == "nesterov":
        return np.where(weights & (not penalty.smooth), x, z) if returns_z else x
    return x


def run(rule, objective, theta, n_steps, *, schedule="constant", batch_size=None, rate=RATE, shuffle=False):
    kind, parameters = {
        "heavy ball": ("sgd", {"momentum": 0.9, "nesterov": False}),
        "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}),
        "adam": ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}),
    }[rule]
    solver = Stochastic(
        kind,
        parameters,
        make_schedule(schedule, rate, power_t=0.5, max_iter=n_steps, solver=kind),
        max_iter=n_steps,
        batch_size=batch_size or objective.n_samples,
        shuffle=shuffle,
    )
    monitor = Monitor(tol=0.0, patience=np.inf)
    return solver.minimize(objective, theta.copy(), monitor=monitor, rng=np.random.RandomState(0)), monitor


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("rule", ["heavy ball", "nesterov", "adam"])
def test_steps_against_numpy(rule, penalty, dtype):
    objective, X, y, theta = linear_problem(penalty, dtype)
    result, _ = run(rule, objective, theta, 10)
    expected = reference(rule, penalty, X, y, theta, 10)
    tolerance = 1e-3 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(result.theta, expected, rtol=tolerance, atol=tolerance)
    if not penalty.smooth:
        assert ((result.theta == 0) == (expected == 0)).mean() > 0.99
        assert (result.theta == 0).any()


def distance_to_stationarity(objective, theta):
    gradient, bounds = np.empty_like(theta), np.empty(1)
    objective.data_loss(theta, gradient, bounds)
    return objective.stationarity(theta, gradient, bounds).absolute


@pytest.mark.parametrize("penalty", [L1(), ElasticNet(0.4)], ids=repr)
@pytest.mark.parametrize("rule", ["heavy ball", "nesterov", "adam"])
def test_fixed_point_is_the_minimum(rule, penalty):
    objective, _, _, theta = linear_problem(penalty, np.float64, d=8)
    result, _ = run(rule, objective, theta, 3000, schedule="cosine", rate=0.05)
    assert distance_to_stationarity(objective, result.theta) < 1e-5


def test_a_prox_after_the_momentum_step_has_another_fixed_point():
    """The negative control: what the rules must not do is visible to the residual."""
    objective, X, y, theta = linear_problem(L1(), np.float64, d=8)
    x, v = theta.copy(), np.zeros_like(theta)
    for _ in range(3000):
        v = 0.9 * v - RATE * gradient_of(X, y, x, 8)
        x = x + v
        x[:40] = np.sign(x[:40]) * np.maximum(np.abs(x[:40]) - RATE * STRENGTH, 0)
    assert distance_to_stationarity(objective, x) > 1e-3


def test_running_means_of_an_epoch():
    objective, X, y, theta = linear_problem(L2(), np.float64)
    _, monitor = run("heavy ball", objective, theta, 1, batch_size=25)
    x, v, losses = theta.copy(), np.zeros_like(theta), []
    for start in (0, 25, 50):
        Xb, yb = X[start : start + 25], y[start : start + 25]
        W = x[:1500].reshape(300, 5)
        penalty = 0.5 * STRENGTH * (W**2).sum()
        losses.append((len(Xb), 0.5 * ((Xb @ W + x[1500:] - yb) ** 2).sum() / len(Xb), penalty))
        g = gradient_of(Xb, yb, x, 300)
        g[:1500] += STRENGTH * x[:1500]
        v = 0.9 * v - RATE * g
        x = x + v
    assert monitor.history["data_loss"][0] == pytest.approx(sum(b * loss for b, loss, _ in losses) / 60, rel=1e-12)
    assert monitor.history["penalty"][0] == pytest.approx(sum(b * p for b, _, p in losses) / 60, rel=1e-12)


def test_schedules():
    cosine = make_schedule("cosine", 1.0, power_t=0.5, max_iter=4, solver="adam")
    ends = [cosine.rates(epoch, 0) for epoch in range(4)]
    np.testing.assert_allclose([a for a, _ in ends], 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4)))
    assert ends[-1][1] == pytest.approx(0, abs=1e-15) and cosine.rates(9, 0) == (0.0, 0.0)
    inverse = make_schedule("invscaling", 1.0, power_t=0.5, max_iter=4, solver="sgd")
    assert inverse.rates(0, 0) == (1.0, 1.0) and inverse.rates(1, 99) == (0.1, 0.1)
    adaptive = make_schedule("adaptive", 1.0, power_t=0.5, max_iter=4, solver="sgd")
    assert adaptive.shrink() and adaptive.rates(0, 0) == (0.2, 0.2)
    while adaptive.shrink():
        pass
    assert adaptive.rates(0, 0)[0] <= 1e-6
    for name in ("constant", "invscaling", "adaptive"):
        assert make_schedule(name, 1.0, power_t=0.5, max_iter=4, solver="adam").rates(3, 50) == (1.0, 1.0)
