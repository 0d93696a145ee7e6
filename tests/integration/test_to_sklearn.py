"""to_sklearn(): scikit-learn's MLP with the same network."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier, MLPRegressor
from user_losses import Linex, NumpyLogLoss

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.activations import ACTIVATIONS
from sknormnet.conversion import SKLEARN_ACTIVATIONS
from sknormnet.losses import LogitLink, LogLoss, Quantile

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 5))
Z = X[:, 0] - X[:, 1] * X[:, 2] + 0.1 * RNG.standard_normal(90)
THIRD = np.digitize(Z, [-0.5, 0.5])
CLASSES = {
    "binary": (Z > 0).astype(int),
    "booleans": Z > 0,
    "strings": np.where(Z > 0, "yes", "no"),
    "objects": np.where(Z > 0, "yes", "no").astype(object),
    "multiclass": THIRD,
    "string classes": np.array(["b", "c", "a"])[THIRD],
    "negative floats": THIRD - 5.0,
    "labels": (X[:, :3] > 0).astype(int),
    "two labels": (X[:, :2] > 0).astype(int),
}
TARGETS = {"one": Z, "two": np.column_stack([Z, X[:, 3]])}
# Both compute in float64; sums differ in their order, tanh and exp by a few ulp.
EXACT = dict(rtol=0, atol=1e-12)


def classifier(y, **params):
    return NormRegMLPClassifier(**{"hidden_layer_sizes": (6, 4), "max_iter": 20, "random_state": 0, **params}).fit(X, y)


def regressor(y=Z, **params):
    return NormRegMLPRegressor(**{"hidden_layer_sizes": (6, 4), "max_iter": 20, "random_state": 0, **params}).fit(X, y)


@pytest.mark.parametrize("hidden", [(6, 4), (3,), ()])
@pytest.mark.parametrize("target", CLASSES)
def test_classifiers(target, hidden):
    y = CLASSES[target]
    model = classifier(y, hidden_layer_sizes=hidden, solver="lbfgs", penalty="l1")
    mlp = model.to_sklearn()
    reference = MLPClassifier(hidden, max_iter=2).fit(X, y)  # what scikit-learn stores for such a target
    assert type(mlp) is MLPClassifier
    assert_array_equal(mlp.predict(X), model.predict(X))
    assert mlp.predict(X).dtype == reference.predict(X).dtype
    assert_allclose(mlp.predict_proba(X), model.predict_proba(X), **EXACT)
    assert_array_equal(mlp.classes_, reference.classes_)
    assert mlp.classes_.dtype == reference.classes_.dtype
    assert mlp._label_binarizer.y_type_ == reference._label_binarizer.y_type_
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mlp, name) == getattr(reference, name), name
    assert mlp.score(X, y) == model.score(X, y)


@pytest.mark.parametrize("activation", SKLEARN_ACTIVATIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_regressors(target, activation):
    model = regressor(TARGETS[target], activation=activation)
    mlp = model.to_sklearn()
    assert type(mlp) is MLPRegressor
    assert (mlp.loss, mlp.activation, mlp.out_activation_) == ("squared_error", activation, "identity")
    assert_allclose(mlp.predict(X), model.predict(X), **EXACT)
    assert_allclose(mlp.predict(scipy.sparse.csr_array(X)), model.predict(X), **EXACT)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie"])
def test_log_links_become_poisson(loss):
    model = regressor(np.exp(Z), loss=loss)
    mlp = model.to_sklearn()
    assert (mlp.loss, mlp.out_activation_) == ("poisson", "exp")
    assert_allclose(mlp.predict(X), model.predict(X), rtol=1e-12)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", Quantile(0.2), Linex()])
def test_other_losses_with_the_raw_output(loss):
    model = regressor(loss=loss)
    assert_allclose(model.to_sklearn().predict(X), model.predict(X), **EXACT)


@pytest.mark.parametrize("loss", ["brier", "focal", LogLoss(label_smoothing=0.1), NumpyLogLoss()])
@pytest.mark.parametrize("target", ["binary", "multiclass"])
def test_other_losses_of_probabilities(loss, target):
    model = classifier(CLASSES[target], loss=loss)
    assert_allclose(model.to_sklearn().predict_proba(X), model.predict_proba(X), **EXACT)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber"])
@pytest.mark.parametrize("target", ["binary", "multiclass", "labels"])
def test_classification_losses_without_such_an_output_are_refused(loss, target):
    with pytest.raises(ValueError, match="MLPClassifier has .* output.*inverse link '(identity|clipped)'"):
        classifier(CLASSES[target], loss=loss).to_sklearn()


class Shifted(Linex):
    def prediction(self, raw, n_targets):
        return raw + 1


@pytest.mark.parametrize("loss", ["gaussian_nll", Quantile([0.1, 0.9]), Shifted()])
def test_regression_losses_without_such_an_output_are_refused(loss):
    with pytest.raises(ValueError, match="MLPRegressor predicts"):
        regressor(loss=loss).to_sklearn()


class TwoColumns(NumpyLogLoss):
    def n_raw(self, n_targets, n_classes=None):
        return n_classes


class TwoLogisticColumns(TwoColumns):
    def link(self, n_targets, n_raw):
        return LogitLink()


@pytest.mark.parametrize("loss", [TwoColumns(), TwoLogisticColumns()])
def test_two_columns_for_two_classes_are_refused(loss):
    with pytest.raises(ValueError, match="1 logistic output.* has 2 with the inverse link '(softmax|logistic)'"):
        classifier(CLASSES["binary"], loss=loss).to_sklearn()


@pytest.mark.parametrize("activations", [["gelu"], ["relu", "tanh"]])
def test_activations_that_scikit_learn_lacks_are_refused(activations):
    model = regressor(hidden_layer_sizes=(3,) * len(activations), activation=activations)
    with pytest.raises(ValueError, match=f"one activation.*{activations[-1]}"):
        model.to_sklearn()


def test_this_packages_activations_are_scikit_learns_or_refused():
    for activation in ACTIVATIONS:
        if activation in SKLEARN_ACTIVATIONS:
            regressor(activation=activation).to_sklearn()
        else:
            with pytest.raises(ValueError, match=activation):
                regressor(activation=activation).to_sklearn()


def test_float32_stays():
    model = NormRegMLPRegressor((4,), max_iter=5, random_state=0).fit(X.astype(np.float32), Z)
    mlp = model.to_sklearn()
    assert all(part.dtype == np.float32 for part in mlp.coefs_ + mlp.intercepts_)
    assert_allclose(mlp.predict(X.astype(np.float32)), model.predict(X), rtol=1e-5, atol=1e-5)


def test_names_of_features():
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = NormRegMLPRegressor((4,), max_iter=5).fit(frame, Z)
    mlp = model.to_sklearn()
    assert_array_equal(mlp.feature_names_in_, frame.columns)
    assert_allclose(mlp.predict(frame), model.predict(frame), **EXACT)
    with pytest.raises(ValueError, match="feature names"):
        mlp.predict(frame[list("edcba")])
    assert not hasattr(regressor().to_sklearn(), "feature_names_in_")


def test_training_parameters_go_along_but_alpha():
    params = dict(solver="sgd", learning_rate_init=0.02, momentum=0.5, batch_size=30, validation_fraction=0.2, tol=1e-3)
    mlp = regressor(alpha=0.5, **params).to_sklearn()
    assert {name: mlp.get_params()[name] for name in params} == params
    assert mlp.hidden_layer_sizes == (6, 4)
    assert mlp.alpha == MLPRegressor().alpha
    mlp = regressor(solver="fista", learning_rate="cosine", penalty="l1").to_sklearn()
    assert (mlp.solver, mlp.learning_rate) == ("adam", "constant")


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "fista"])
@pytest.mark.parametrize("target", ["binary", "strings", "multiclass", "labels", "one"])
def test_scikit_learn_goes_on_with_it(target, solver, early_stopping):
    y = TARGETS[target] if target in TARGETS else CLASSES[target]
    fit = regressor if target in TARGETS else classifier
    model = fit(y, solver=solver, early_stopping=early_stopping, max_iter=4)
    mlp = model.to_sklearn()
    loaded = pickle.loads(pickle.dumps(mlp))
    assert_array_equal(loaded.predict(X), mlp.predict(X))
    clone(mlp).fit(X, y)
    mlp.set_params(warm_start=True, max_iter=2).fit(X, y)
    if mlp.solver != "lbfgs":
        loaded.set_params(early_stopping=False)
        before = [W.copy() for W in loaded.coefs_]
        loaded.partial_fit(X, y)
        steps = [np.abs(new - old).max() for new, old in zip(loaded.coefs_, before, strict=True)]
        assert 0 < max(steps) < 0.1  # from the weights, not from new ones


def test_a_poisson_model_goes_on_improving():
    """The losses of the two packages differ by a constant; scikit-learn's patience must not start from ours."""
    y = RNG.poisson(np.exp(2 + X[:, 0]))
    mlp = regressor(y, loss="poisson", max_iter=5, n_iter_no_change=3).to_sklearn()
    mlp.set_params(warm_start=True, max_iter=30).fit(X, y)
    assert mlp.n_iter_ == 30


def test_nothing_is_shared():
    model = regressor(random_state=np.random.RandomState(0))
    expected = model.predict(X)
    mlp = model.to_sklearn()
    assert mlp.random_state is not model.random_state
    mlp.set_params(warm_start=True).fit(X, Z)
    assert_array_equal(model.predict(X), expected)
