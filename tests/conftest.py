"""Small data sets and the estimator that suits each kind of target."""

import os
from types import SimpleNamespace

import hypothesis
import numpy as np
import oracles
import pytest

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor

# Python processes that tests start must import the installed package, not the source tree below the current folder.
os.environ["PYTHONSAFEPATH"] = "1"

# Property tests: the same examples every time, or, with --hypothesis-profile=nightly, many new ones.
hypothesis.settings.register_profile("ci", max_examples=100, derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("nightly", max_examples=2000, print_blob=True, deadline=None, database=None)
hypothesis.settings.load_profile("ci")


def _target(task, scores, rng):
    if task == "regression":
        return scores[:, 0] + 0.1 * rng.standard_normal(len(scores))
    if task == "multioutput":
        return scores + 0.1 * rng.standard_normal(scores.shape)
    noisy = scores + 0.5 * rng.standard_normal(scores.shape)
    if task == "binary":
        return (noisy[:, 0] > 0).astype(int)
    if task == "multiclass":
        return noisy.argmax(axis=1)
    return (noisy > 0).astype(int)  # multilabel


@pytest.fixture(scope="session")
def make_problem():
    """A function of a task's name that makes data, encoded target and estimator."""

    def make(task, n_samples=60, n_features=5, seed=0):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n_samples, n_features))
        W = rng.standard_normal((n_features, 3)) * (rng.random((n_features, 3)) < 0.7)
        W[0] = [1.5, -1.0, 0.5]
        y = _target(task, X @ W + 0.5 * np.tanh(X[:, :1] * X[:, 1:2]), rng)
        regression = task in ("regression", "multioutput")
        if regression:
            loss = oracles.squared_error
        elif task == "multiclass":
            loss = oracles.softmax_log_loss
        else:
            loss = oracles.log_loss
        return SimpleNamespace(
            task=task,
            X=X,
            y=y,
            encoded=np.eye(3)[y] if task == "multiclass" else y.reshape(n_samples, -1),
            loss=loss,
            Estimator=NormRegMLPRegressor if regression else NormRegMLPClassifier,
        )

    return make


@pytest.fixture
def no_fsync(monkeypatch):
    """Saves that do not wait for the disk, which matters where a machine loses its power."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
