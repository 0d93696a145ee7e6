"""Group lasso on the first layer finds the inputs that count; benchmarks/selection.py is the whole experiment."""

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale

from sknormnet import NormRegMLPRegressor, PerLayer
from sknormnet.penalties import GroupLasso

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def selected(model):
    return np.flatnonzero(model.coefs_[0].any(axis=1)).tolist()


@pytest.mark.parametrize("seed", [3, 7])
def test_friedman_1(seed):
    """Five inputs of fifty, at three strengths over a factor 1.3; the range found there is one of 1.7."""
    X, y = make_friedman1(2000, 50, noise=1.0, random_state=seed)
    X, y = scale(X).astype(np.float32), scale(y).astype(np.float32)
    for alpha in (0.0115, 0.0132, 0.015):
        model = NormRegMLPRegressor(
            penalty=PerLayer(first=GroupLasso("input"), hidden="l2", last="l2"),
            layer_weights=PerLayer(first=1, hidden=10, last=10),
            alpha=alpha,
            learning_rate="cosine",
            batch_size=1000,
            max_iter=600,
            random_state=seed,
            warm_start=True,
        ).fit(X, y)
        assert selected(model) == [0, 1, 2, 3, 4]
        assert all(np.all(W != 0) for W in (model.coefs_[1], *model.intercepts_))
        before = model.objective_
        model.set_params(solver="fista", max_iter=50).fit(X, y)
        assert selected(model) == [0, 1, 2, 3, 4]
        assert model.objective_ <= before
