"""JAX: an epoch is one jitted call, a scan over its batches."""

from functools import partial
from importlib.util import find_spec

import numpy as np

from problems import LEARNING_RATE, STRENGTH

VERSION = None
if find_spec("jax"):
    import jax
    import jax.numpy as jnp

    VERSION = jax.__version__
    jax.config.update("jax_enable_x64", True)

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def trainer(shape, dtype, activation):
    X, y = map(jnp.asarray, shape.data(dtype))
    act = jax.nn.relu if activation == "relu" else jnp.tanh
    n_full = shape.n_samples // shape.batch_size * shape.batch_size

    def objective(params, X, y):
        *hidden, (W, b) = params
        for W_hidden, b_hidden in hidden:
            X = act(X @ W_hidden + b_hidden)
        raw = X @ W + b
        if shape.n_classes == 2:
            raw = raw[:, 0]
            losses = jnp.logaddexp(0, raw) - y * raw
        else:
            losses = -jax.nn.log_softmax(raw)[jnp.arange(len(y)), y]
        penalty = 0.5 * sum(jnp.sum(W * W) for W, _ in params)
        return losses.mean() + STRENGTH * penalty

    def step(X, y, state, rows):
        params, m, v, t = state
        loss, gradient = jax.value_and_grad(objective)(params, X[rows], y[rows])
        t += 1
        rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        rate = rate.astype(dtype)
        tree_map = jax.tree.map
        m = tree_map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradient)
        v = tree_map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradient)
        params = tree_map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), params, m, v)
        return (params, m, v, t), loss * len(rows)

    @partial(jax.jit, donate_argnums=2)
    def epoch(X, y, state, order):
        full, rest = order[:n_full].reshape(-1, shape.batch_size), order[n_full:]
        state, losses = jax.lax.scan(partial(step, X, y), state, full)
        total = losses.sum()
        if len(rest):
            state, loss = step(X, y, state, rest)
            total += loss
        return state, total / shape.n_samples

    def train(epochs):
        coefs, intercepts, orders = shape.start(dtype, activation)
        params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in zip(coefs, intercepts, strict=True)]
        zeros = partial(jax.tree.map, jnp.zeros_like)
        state = params, zeros(params), zeros(params), jnp.zeros((), dtype)
        loss_curve = []
        for _ in range(epochs):
            state, loss = epoch(X, y, state, next(orders))
            loss_curve.append(loss)
        loss_curve = [float(loss) for loss in loss_curve]
        return [np.asarray(W) for W, _ in state[0]], [np.asarray(b) for _, b in state[0]]

    return train
