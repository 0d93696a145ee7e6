"""Warnings about settings come once for a call, and point to it."""

import warnings

import pytest
from sklearn.datasets import load_iris

from sknormnet import NormRegMLPClassifier, NormRegMLPClassifierCV, regularization_path, stability_selection

X, y = load_iris(return_X_y=True)
ALPHAS = [0.01, 1e4]

CALLS = {
    "fit": lambda **settings: NormRegMLPClassifier(**settings).fit(X, y),
    "partial_fit": lambda **settings: NormRegMLPClassifier(**settings).partial_fit(X, y, classes=[0, 1, 2]),
    "regularization_path": lambda **settings: regularization_path(
        NormRegMLPClassifier(**settings), X, y, alphas=ALPHAS
    ),
    "cross-validation": lambda **settings: NormRegMLPClassifierCV(alphas=ALPHAS, cv=3, **settings).fit(X, y),
    "stability_selection": lambda **settings: stability_selection(
        NormRegMLPClassifier(**settings), X, y, alphas=ALPHAS, n_resamples=4, n_features=2, random_state=0
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 1000}, "batch_size=1000 is larger than the 150 training samples"),
        ({"layer_weights": [1, 0]}, "Some layers are penalised"),
    ],
)
def test_once_and_at_the_users_line(call, settings, message):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[call](hidden_layer_sizes=(3,), penalty="l1", max_iter=10, random_state=0, **settings)
    (warning,) = [w for w in caught if w.category is UserWarning]
    assert str(warning.message).startswith(message)
    assert warning.filename == __file__


def test_no_batches_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        NormRegMLPClassifier((3,), solver="lbfgs", batch_size=1000, max_iter=10, tol=10).fit(X, y)
