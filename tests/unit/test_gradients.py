"""The whole network's gradient against fourth-order differences, dense and CSR."""

import numpy as np
import pytest
import scipy.sparse as sp

from sknormnet._core.network import Network
from sknormnet.activations import ACTIVATIONS
from sknormnet.losses import LOSSES, Loss, Quantile
from sknormnet.objective import Objective
from sknormnet.penalties import L2
from sknormnet.plan import PenaltyTerm, Plan

DEPTHS = [(), (4,), (4, 3), (4, 3, 5)]
KINDS = {"regression": [(1, None), (3, None)], "classification": [(1, 2), (3, None), (1, 3)]}
SMOOTH = [(LOSSES[name](), *kind) for name in ("squared_error", "log_loss") for kind in KINDS[LOSSES[name].task]]
LOSS_OBJECTS: list[Loss] = [*(cls() for cls in LOSSES.values()), Quantile((0.1, 0.5, 0.9))]
ALL = [(loss, *kind) for loss in LOSS_OBJECTS for kind in KINDS[loss.task]]


def problem(activation, hidden, loss, n_targets, n_classes, *, sparse, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(11, 6)) * (rng.random((11, 6)) < 0.6)
    if loss.task == "regression":
        y = rng.normal(size=(11, n_targets))
        y = y if loss.in_domain(y).all() else np.exp(y)
    else:
        y = rng.integers(0, n_classes or 2, size=(11, n_targets)).astype(float)
    plan = Plan((6, *hidden, loss.n_raw(n_targets, n_classes)), (PenaltyTerm(L2(), 0.1),) * (len(hidden) + 1))
    weight = rng.uniform(0.5, 1.5, 11)
    objective = Objective(plan, activation, loss, sp.csr_array(X) if sparse else X, y, weight / weight.mean())
    return objective, rng.normal(scale=0.7, size=plan.n_parameters), rng


def check_gradient(objective, theta, rng):
    gradient = np.empty_like(theta)
    objective.data_loss(theta, gradient)
    objective.add_smooth_penalty_gradient(theta, gradient)
    scratch = np.empty_like(theta)

    def value(at):
        return objective.data_loss(at, scratch) + objective.penalty(at)

    for h in (1e-3, 1e-5):  # a smaller step where the larger one crosses a kink, of relu or of the loss
        directions = rng.normal(size=(4, theta.size))
        differences = [
            (8 * (value(theta + h * d) - value(theta - h * d)) - (value(theta + 2 * h * d) - value(theta - 2 * h * d)))
            / (12 * h)
            for d in directions
        ]
        errors = np.abs(directions @ gradient - differences) / np.linalg.norm(directions, axis=1)
        if errors.max() < 1e-7 * max(1, np.abs(gradient).max()):
            return
    assert errors.max() < 1e-7 * max(1, np.abs(gradient).max())


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("hidden", DEPTHS, ids=str)
@pytest.mark.parametrize(("loss", "n_targets", "n_classes"), SMOOTH, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient(activation, loss, n_targets, n_classes, hidden, sparse):
    check_gradient(*problem(activation, hidden, loss, n_targets, n_classes, sparse=sparse))


MIXED = [("gelu", "tanh", "softplus"), ("leaky_relu", "silu", "elu"), ("logistic", "identity", "gelu")]


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(("loss", "n_targets", "n_classes"), SMOOTH, ids=str)
@pytest.mark.parametrize("activations", MIXED, ids=str)
def test_gradient_of_mixed_activations(activations, loss, n_targets, n_classes, sparse):
    check_gradient(*problem(activations, (4, 3, 5), loss, n_targets, n_classes, sparse=sparse))


@pytest.mark.parametrize("hidden", [(), (4,)], ids=str)
@pytest.mark.parametrize(("loss", "n_targets", "n_classes"), ALL, ids=str)
def test_gradient_of_every_loss(loss, n_targets, n_classes, hidden):
    check_gradient(*problem("tanh", hidden, loss, n_targets, n_classes, sparse=False))


@pytest.mark.parametrize("smoothing", [0.01, 1.0])
@pytest.mark.parametrize(("loss", "n_targets", "n_classes"), [case for case in ALL if case[0].kinked], ids=str)
def test_gradient_of_the_smoothed_loss(loss, n_targets, n_classes, smoothing):
    objective, theta, rng = problem("tanh", (4,), loss, n_targets, n_classes, sparse=False)
    kinked = objective.data_loss(theta)
    objective.smoothing = smoothing
    assert objective.data_loss(theta) < kinked
    check_gradient(objective, theta, rng)


@pytest.mark.parametrize("n", [1, 63, 64, 5000])
def test_blocks_of_rows_add_up(n):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 30)), rng.normal(size=(n, 2))
    plan = Plan((30, 40, 2), (PenaltyTerm(L2(), 0.0),) * 2)
    theta = rng.normal(size=plan.n_parameters)
    gradient = np.empty_like(theta)
    loss = Objective(plan, "tanh", LOSSES["squared_error"](), X, y).data_loss(theta, gradient)
    (W1, W2), (b1, b2) = plan.split(theta)
    H = np.tanh(X @ W1 + b1)
    residual = H @ W2 + b2 - y
    assert loss == pytest.approx(0.5 * (residual**2).sum() / n, rel=1e-12)
    back = residual @ W2.T * (1 - H**2)
    expected = np.concatenate([(X.T @ back).ravel(), back.sum(0), (H.T @ residual).ravel(), residual.sum(0)]) / n
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def test_only_the_rows_that_are_named_count():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    rows = np.array([40, 3, 3, 17], dtype=np.int64)
    plan = Plan((3, 5, 1), (PenaltyTerm(L2(), 0.0),) * 2)
    theta = rng.normal(size=plan.n_parameters)
    a, b = np.empty_like(theta), np.empty_like(theta)
    loss = LOSSES["squared_error"]()
    named = Objective(plan, "relu", loss, X, y, rows=rows).data_loss(theta, a)
    taken = Objective(plan, "relu", loss, X[rows], y[rows]).data_loss(theta, b)
    assert named == pytest.approx(taken, rel=1e-14)
    np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(3, 1), (20, 3), (5, 4, 1), (40, 17, 33, 2)], ids=str)
@pytest.mark.parametrize("n", [1, 7, 5000])
def test_bounds_of_the_layers_gradients(n, sizes, dtype, sparse):
    """The sum over rows of |input, 1| * |delta|: short rows, whole vectors and tails, several blocks."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, sizes[0])) * (rng.random((n, sizes[0])) < 0.5)
    y, weight = rng.normal(size=(n, sizes[-1])), rng.uniform(0.5, 2, n)
    plan = Plan(sizes, (PenaltyTerm(L2(), 0.0),) * (len(sizes) - 1))
    theta = 0.5 * rng.normal(size=plan.n_parameters)
    weights, intercepts = plan.split(theta)
    inputs = [X]
    for W, b in zip(weights[:-1], intercepts[:-1], strict=True):
        inputs.append(np.tanh(inputs[-1] @ W + b))
    delta = weight[:, np.newaxis] * (inputs[-1] @ weights[-1] + intercepts[-1] - y) / n
    expected = []
    for layer in reversed(range(len(weights))):
        a = np.hstack([inputs[layer], np.ones((n, 1))])
        expected.insert(0, np.linalg.norm(a, axis=1) @ np.linalg.norm(delta, axis=1))
        if layer:
            delta = delta @ weights[layer].T * (1 - inputs[layer] ** 2)

    table = (sp.csr_array(X) if sparse else X).astype(dtype)
    loss = LOSSES["squared_error"]()
    objective = Objective(plan, "tanh", loss, table, y.astype(dtype), weight.astype(dtype))
    theta, plain, gradient = theta.astype(dtype), *np.empty((2, theta.size), dtype)
    value = objective.data_loss(theta, plain)
    for _ in range(2):  # the second time with the features' norms known
        bounds = np.full(len(sizes) - 1, np.nan)
        assert objective.data_loss(theta, gradient, bounds) == value
        np.testing.assert_array_equal(gradient, plain)
        # rounding of a row's float32 numbers, and of sums over rows in double
        np.testing.assert_allclose(bounds, expected, rtol=1e-5 if dtype == np.float32 else 1e-13)


def test_bounds_of_the_rows_that_are_named():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    rows = np.array([40, 3, 3, 17], dtype=np.int64)
    plan = Plan((3, 5, 1), (PenaltyTerm(L2(), 0.0),) * 2)
    theta, (gradient, a, b) = (
        rng.normal(size=plan.n_parameters),
        (np.empty(plan.n_parameters), np.empty(2), np.empty(2)),
    )
    loss = LOSSES["squared_error"]()
    for table in (X, sp.csr_array(X)):
        Objective(plan, "relu", loss, table, y, rows=rows).data_loss(theta, gradient, a)
        Objective(plan, "relu", loss, X[rows], y[rows]).data_loss(theta, gradient, b)
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_bounds_of_data_bound_anew_need_a_gradient_and_a_number_for_each_layer():
    network = Network((3, 2, 1), "relu", np.float64)
    network.bind(np.ones((4, 3)), np.ones((4, 1)), None, LOSSES["squared_error"]().kernel())
    theta, bounds = np.ones(network.n_parameters), np.empty((2, 2))
    network.value_and_gradient(theta, theta.copy(), bounds[0])
    network.bind(3 * np.ones((4, 3)), np.ones((4, 1)), None, LOSSES["squared_error"]().kernel())
    network.value_and_gradient(theta, theta.copy(), bounds[1])
    # relu units are 4 and then 10, raw is 9 and 21, the target 1; rows of features have the norms 2 and sqrt(28)
    np.testing.assert_allclose(bounds, [[8 * np.sqrt(2) * 2, 8 * np.sqrt(33)], [20 * np.sqrt(56), 20 * np.sqrt(201)]])
    with pytest.raises(ValueError, match="bounds need a gradient"):
        network.value_and_gradient(theta, None, np.empty(2))
    with pytest.raises(ValueError, match="one number per layer"):
        network.value_and_gradient(theta, theta.copy(), np.empty(3))
