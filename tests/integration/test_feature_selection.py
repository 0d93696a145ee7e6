"""Group lasso on the first layer finds the inputs that count, as a step of a pipeline too.

benchmarks/selection.py is the whole experiment.
"""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_friedman1
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
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


def test_a_selector_in_a_pipeline():
    """Two inputs of twenty count, the next step is one that noise inputs hurt, and alpha is searched for."""
    X = np.random.default_rng(0).standard_normal((600, 20))
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(20)])
    y = np.where(np.tanh(2 * X[:, 4]) > X[:, 9], "yes", "no")
    network = NormRegMLPClassifier(
        (20,),
        "tanh",
        penalty=PerLayer(first=GroupLasso("input"), hidden="l2", last="l2"),
        learning_rate_init=0.02,
        batch_size=50,
        max_iter=100,
        random_state=0,
    )
    selector = SelectFromModel(network, threshold=np.finfo(float).tiny)
    pipeline = make_pipeline(StandardScaler(), selector, KNeighborsClassifier()).set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"selectfrommodel__estimator__alpha": [1e-4, 0.1]}, cv=3).fit(frame, y)
    assert search.best_estimator_[-1].feature_names_in_.tolist() == ["x4", "x9"]
    assert search.best_score_ > 0.9
    assert search.cv_results_["mean_test_score"][0] < 0.85  # with all of them
