"""Hidden features, importances and sparsity of fitted models, used as scikit-learn uses them."""

import numpy as np
import oracles
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, fitted
from sknormnet.activations import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((80, 6))
Y = np.tanh(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * RNG.standard_normal(80)
LABELS = np.where(Y > 0, "up", "down")
ESTIMATORS = {NormRegMLPRegressor: Y, NormRegMLPClassifier: LABELS}


def fit(Estimator=NormRegMLPRegressor, hidden=(7, 4), X=X, **params):
    return Estimator(hidden, **{"max_iter": 20, "random_state": 0, **params}).fit(X, ESTIMATORS[Estimator])


def hidden_features(model, X):
    """The network without its last matrix, by the oracle; its last activation is the oracle's too."""
    z = oracles.raw_prediction(X, model.coefs_[:-1], model.intercepts_[:-1], model.hidden_activation_)
    return oracles.ACTIVATIONS[model.hidden_activation_](z)


@pytest.mark.parametrize("hidden", [(7,), (7, 4)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_transform_is_the_last_hidden_layer(Estimator, activation, hidden):
    model = fit(Estimator, hidden, activation=activation)
    features = model.transform(X)
    assert features.shape == (len(X), hidden[-1])
    # The order of summation, and a few ulp of the core's tanh and exp.
    assert_allclose(features, hidden_features(model, X), rtol=1e-11, atol=1e-13)
    assert_array_equal(model.transform(scipy.sparse.csr_array(X)).round(11), features.round(11))


def test_the_last_matrix_on_the_features_gives_the_prediction():
    model = fit()
    assert_allclose((model.transform(X) @ model.coefs_[-1] + model.intercepts_[-1])[:, 0], model.predict(X), rtol=1e-12)


def test_transform_in_blocks(monkeypatch):
    model = fit()
    expected = model.transform(X)
    monkeypatch.setattr(fitted, "BLOCK_BYTES", 8 * 4 * 9)  # nine rows of four features
    assert_allclose(model.transform(X), expected, rtol=1e-12)


def test_transform_keeps_the_dtype_of_the_fit():
    model = fit(X=X.astype(np.float32))
    assert model.transform(X).dtype == np.float32
    assert fit(X=X.astype(np.float32), dtype="float64").transform(X.astype(np.float32)).dtype == np.float64


def test_names_of_the_features():
    model = fit()
    assert_array_equal(model.get_feature_names_out(), [f"normregmlpregressor{i}" for i in range(4)])
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = fit(NormRegMLPClassifier, X=frame).set_output(transform="pandas")
    features = model.transform(frame)
    assert isinstance(features, pd.DataFrame)
    assert list(features.columns) == [f"normregmlpclassifier{i}" for i in range(4)]
    assert_array_equal(features.index, frame.index)
    with pytest.raises(ValueError, match="input_features"):
        model.get_feature_names_out(["a", "b"])


def test_set_output_survives_clone_and_reaches_fit_transform():
    model = clone(fit().set_output(transform="pandas"))
    assert list(model.fit_transform(X, Y)) == [f"normregmlpregressor{i}" for i in range(4)]


def test_in_pipelines_and_unions():
    pipeline = make_pipeline(StandardScaler(), NormRegMLPClassifier((5,), random_state=0), LogisticRegression())
    pipeline.fit(X, LABELS)
    features = pipeline[:-1].transform(X)
    assert_array_equal(LogisticRegression().fit(features, LABELS).predict(features), pipeline.predict(X))
    assert pipeline[:-1].get_feature_names_out()[-1] == "normregmlpclassifier4"
    union = make_union(StandardScaler(), NormRegMLPRegressor((3,), random_state=0)).fit(X, Y)
    features = union.transform(X)
    assert features.shape == (80, 9)
    assert union.get_feature_names_out()[-1] == "normregmlpregressor__normregmlpregressor2"
    assert LinearRegression().fit(features, Y).score(features, Y) > 0.3


NEEDS_HIDDEN = ("transform", "fit_transform", "get_feature_names_out", "set_output")


@pytest.mark.parametrize("hidden", [(), [], np.array([], dtype=int)], ids=repr)
def test_absent_without_hidden_layers(hidden):
    for model in (NormRegMLPRegressor(hidden), fit(hidden=hidden)):
        assert not any(hasattr(model, name) for name in NEEDS_HIDDEN)
        assert model.__sklearn_tags__().transformer_tags is None
    with pytest.raises(AttributeError) as raised:
        model.transform(X)
    assert "hidden_layer_sizes" in str(raised.value.__cause__)
    with pytest.raises(TypeError, match="transform"):
        make_pipeline(NormRegMLPRegressor(hidden), LinearRegression()).fit(X, Y)


def test_the_fitted_network_counts_not_the_parameter():
    model = fit().set_params(hidden_layer_sizes=())
    assert model.transform(X).shape == (80, 4)
    assert not hasattr(model, "fit_transform")
    model = fit(hidden=()).set_params(hidden_layer_sizes=(3,))
    assert not hasattr(model, "transform")
    assert model.fit_transform(X, Y).shape == (80, 3)


@pytest.mark.parametrize("hidden", [(3,), 3, [3], "a", None])
def test_unfitted(hidden):
    model = NormRegMLPRegressor(hidden)
    assert all(hasattr(model, name) for name in NEEDS_HIDDEN)
    for call in (lambda: model.transform(X), lambda: model.get_feature_names_out(), model.compact, model.to_sklearn):
        with pytest.raises(NotFittedError):
            call()
    for name in ("feature_importances_", "sparsity_", "n_nonzero_"):
        assert not hasattr(model, name)


def test_importances_are_the_norms_of_the_first_matrixs_rows():
    model = fit()
    assert_allclose(model.feature_importances_, np.linalg.norm(model.coefs_[0], axis=1), rtol=1e-14)
    model = fit(X=X.astype(np.float32))
    assert_allclose(model.feature_importances_, np.linalg.norm(model.coefs_[0].astype(float), axis=1), rtol=1e-14)


@pytest.mark.parametrize("magnitude", [1e-300, 1e-170, 1e-30, 1e170, 1e300])
def test_importances_of_extreme_weights(magnitude):
    model = fit(hidden=())
    model.coefs_[0][:] = 0
    model.coefs_[0][2] = magnitude
    assert_allclose(model.feature_importances_, [0, 0, magnitude, 0, 0, 0], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("penalty", ["group_lasso", "l1"])
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_select_from_model_selects_the_inputs_that_are_left(Estimator, penalty, dtype):
    model = Estimator((5,), "tanh", penalty=penalty, alpha=0.04, solver="fista", max_iter=2000, random_state=0)
    selection = SelectFromModel(model, threshold=np.finfo(float).tiny).fit(X.astype(dtype), ESTIMATORS[Estimator])
    left = selection.estimator_.coefs_[0].any(axis=1)
    assert 0 < left.sum() < 6
    assert_array_equal(selection.get_support(), left)
    assert selection.transform(X).shape == (80, left.sum())


def test_zeros_are_counted():
    model = fit(activation="tanh", penalty="l1", alpha=0.01, solver="fista", max_iter=300)
    assert model.n_nonzero_ == tuple(model.history_["n_nonzero"][-1])
    assert all(isinstance(count, int) for count in model.n_nonzero_)
    zeros = sum((W == 0).sum() for W in model.coefs_)
    assert 0 < zeros < 74
    assert model.sparsity_ == pytest.approx(zeros / (6 * 7 + 7 * 4 + 4))
    assert fit().sparsity_ == 0.0


@pytest.mark.parametrize("hidden", [(3,), ()])
def test_html_representation(hidden):
    for model in (NormRegMLPRegressor(hidden), fit(hidden=hidden)):
        assert "NormRegMLPRegressor" in model._repr_html_()
        assert model._get_doc_link() == ""  # not a page of scikit-learn's


# Solvers that learn what the checks ask for in few iterations.
CHECKED = [
    NormRegMLPRegressor((), solver="fista", max_iter=100),
    NormRegMLPClassifier((), solver="fista", max_iter=100),
    NormRegMLPClassifier(dtype="float64"),
]


@parametrize_with_checks(CHECKED)
def test_estimator_checks(estimator, check):
    """Without features, where a transformer's checks do not apply, and where it does not keep float32."""
    check(estimator)
