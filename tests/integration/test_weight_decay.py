"""Decoupled weight decay against plain statements of AdamW and of momentum with decay."""

import numpy as np
import pytest

from sknormnet import NormRegMLPRegressor
from sknormnet.penalties import WeightDecay

X = np.random.default_rng(0).standard_normal((40, 5))
Y = X[:, 0] + 0.1 * X[:, 1]
RATE, ALPHA, EPOCHS = 0.01, 0.1, 15


def gradients(weights):
    """Of the mean half squared error of a tanh network of one hidden layer."""
    W1, b1, W2, b2 = weights
    H = np.tanh(X @ W1 + b1)
    delta = (H @ W2 + b2 - Y[:, np.newaxis]) / len(X)
    below = delta @ W2.T * (1 - H**2)
    return [X.T @ below, below.sum(0), H.T @ delta, delta.sum(0)]


def adamw(weights, decays):
    """Loshchilov and Hutter (2019), algorithm 2."""
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for t in range(1, EPOCHS + 1):
        for w, g, m, v, decay in zip(weights, gradients(weights), first, second, decays, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g**2 - v)
            w -= RATE * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-12) + decay * w)
    return weights


def momentum(weights, decays):
    velocities = [np.zeros_like(w) for w in weights]
    for _ in range(EPOCHS):
        for w, g, v, decay in zip(weights, gradients(weights), velocities, decays, strict=True):
            v *= 0.9
            v -= RATE * g
            w += v - RATE * decay * w
    return weights


def model(**params):
    return NormRegMLPRegressor(
        (4,),
        "tanh",
        penalty="weight_decay",
        batch_size=len(X),
        learning_rate_init=RATE,
        n_iter_no_change=np.inf,
        nesterovs_momentum=False,
        epsilon=1e-12,
        random_state=0,
        **params,
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("penalize_intercepts", [False, True])
@pytest.mark.parametrize(("solver", "reference"), [("adam", adamw), ("sgd", momentum)])
def test_steps(solver, reference, penalize_intercepts):
    start = model(solver="sgd", momentum=0.0, alpha=0.0, max_iter=1).set_params(learning_rate_init=1e-300).fit(X, Y)
    weights = [w.copy() for pair in zip(start.coefs_, start.intercepts_, strict=True) for w in pair]
    decays = [ALPHA, ALPHA * penalize_intercepts] * 2
    expected = reference(weights, decays)
    fitted = model(solver=solver, alpha=ALPHA, max_iter=EPOCHS, penalize_intercepts=penalize_intercepts).fit(X, Y)
    got = [w for pair in zip(fitted.coefs_, fitted.intercepts_, strict=True) for w in pair]
    for ours, theirs in zip(got, expected, strict=True):
        # epsilon is added before the bias correction here, as in scikit-learn
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    assert fitted.history_["penalty"] == [0.0] * EPOCHS
    assert all((W != 0).all() for W in fitted.coefs_)


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_solvers_of_the_objective_refuse_it(solver):
    with pytest.raises(ValueError, match="no part of the objective"):
        NormRegMLPRegressor(penalty=WeightDecay(), solver=solver).fit(X, Y)
    NormRegMLPRegressor((), penalty=WeightDecay(), alpha=0.0, solver=solver).fit(X, Y)
