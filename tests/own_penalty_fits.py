"""Fits with penalties of users: the data and the model."""

import numpy as np
from fits import SOLVERS

from sknormnet import NormRegMLPRegressor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5))
Y = np.column_stack([X[:, 0] - X[:, 1], X[:, 1] + np.tanh(X[:, 2])])


def make_model(penalty, solver="adam", **params):
    defaults = dict(hidden_layer_sizes=(6,), activation="tanh", alpha=0.05, batch_size=16, max_iter=15, random_state=0)
    return NormRegMLPRegressor(penalty=penalty, **(defaults | SOLVERS[solver] | params))
