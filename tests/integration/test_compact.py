"""compact(): a smaller network with the same predictions."""

import copy
import pickle

import numpy as np
import oracles
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, fitted
from sknormnet.activations import ACTIVATIONS
from sknormnet.inspection import stationarity

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((70, 8))
Y = X[:, 1] - 2 * X[:, 4] + 0.1 * RNG.standard_normal(70)
# Sums of the same terms in another order; a constant unit's output joins an intercept with one rounding.
EXACT = {np.float64: dict(rtol=1e-12, atol=1e-12), np.float32: dict(rtol=2e-5, atol=2e-5)}


def with_dead_parts(
    hidden=(9, 7, 6), activation="tanh", dtype=np.float64, Estimator=NormRegMLPRegressor, y=Y, **params
):
    """A fitted model with dead inputs, constant units and units that nobody reads, in every hidden layer."""
    model = Estimator(hidden, activation, max_iter=3, random_state=0, dtype=np.dtype(dtype).name, **params).fit(X, y)
    for b in model.intercepts_:
        b[:] = RNG.standard_normal(len(b))
    for W in model.coefs_[:-1]:
        W[:, :2] = 0  # constant
    for W in model.coefs_[1:]:
        W[2:4] = 0  # not read
    model.coefs_[0][[0, 3]] = 0
    return model


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(9,), (9, 7), (9, 7, 6)])
def test_the_same_predictions_by_fewer_weights(hidden, activation, dtype):
    model = with_dead_parts(hidden, activation, dtype)
    small = model.compact()
    assert [len(b) for b in small.intercepts_] == [size - 4 for size in hidden] + [1]
    assert_array_equal(small.input_indices_, [1, 2, 4, 5, 6, 7])
    assert small.coefs_[0].shape[0] == 6
    for X_any in (X, X.astype(np.float32), scipy.sparse.csr_array(X), np.asfortranarray(X)):
        assert_allclose(small.predict(X_any), model.predict(X_any), **EXACT[dtype])
    expected = oracles.raw_prediction(X[:, small.input_indices_], small.coefs_, small.intercepts_, activation)
    assert_allclose(small.predict(X), expected[:, 0], **EXACT[dtype])


def test_nothing_dead_is_left_and_nothing_alive_lost():
    small = with_dead_parts().compact()
    assert all(W.any(axis=0).all() and W.any(axis=1).all() for W in small.coefs_)
    again = small.compact()
    for one, two in zip(small.coefs_ + small.intercepts_, again.coefs_ + again.intercepts_, strict=True):
        assert_array_equal(one, two)
    assert_array_equal(small.input_indices_, again.input_indices_)


def test_death_spreads_upwards_and_downwards():
    """Unit 0 of each layer reads unit 0 below alone: constant at the bottom is constant above. Unit 1 of each layer
    is read by unit 1 above alone: what is not read at the top is not read below."""
    model = NormRegMLPRegressor((3, 3, 3), "tanh", max_iter=1, random_state=0).fit(X, Y)
    for W in model.coefs_[1:-1]:
        W[1:, 0] = 0
        W[1, [0, 2]] = 0
    model.coefs_[0][:, 0] = 0
    model.coefs_[-1][1] = 0
    small = model.compact()
    assert [W.shape for W in small.coefs_] == [(8, 1), (1, 1), (1, 1), (1, 1)]
    assert_allclose(small.predict(X), model.predict(X), **EXACT[np.float64])


def test_compact_twice_keeps_the_numbers_of_the_inputs():
    small = with_dead_parts().compact()
    small.coefs_[0][1] = 0  # column 2 of X
    smaller = small.compact()
    assert_array_equal(smaller.input_indices_, [1, 4, 5, 6, 7])
    assert_allclose(smaller.predict(X), small.predict(X), **EXACT[np.float64])


@pytest.mark.parametrize("dead", range(4))
def test_a_layer_that_is_all_zero_leaves_a_constant(dead):
    model = with_dead_parts()
    model.coefs_[dead][:] = 0
    small = model.compact()
    assert min(size for W in small.coefs_ for size in W.shape) == 1
    assert np.ptp(model.predict(X)) == 0
    assert_allclose(small.predict(X), model.predict(X), **EXACT[np.float64])
    assert small.transform(X).shape[1] == small.coefs_[-1].shape[0]
    assert small.to_sklearn().predict(X) == pytest.approx(model.predict(X), abs=1e-12)


def test_a_linear_model_loses_inputs_only():
    model = NormRegMLPRegressor((), penalty="l1", alpha=0.3, solver="fista", max_iter=500).fit(X, Y)
    small = model.compact()
    assert_array_equal(small.input_indices_, np.flatnonzero(model.coefs_[0]))
    assert_allclose(small.predict(X), model.predict(X), **EXACT[np.float64])
    assert not hasattr(small, "transform")


def test_without_dead_parts_it_is_a_copy():
    model = NormRegMLPRegressor((4,), max_iter=3, random_state=0, warm_start=True).fit(X, Y)
    small = model.compact()
    assert_array_equal(small.predict(X), model.predict(X))
    small.coefs_[0][:] = 0
    small.history_["objective"].clear()
    assert model.coefs_[0].all()
    assert model.history_["objective"]
    assert not hasattr(model, "input_indices_")
    assert hasattr(model, "_training_state")


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_classifiers(kind):
    y = {"binary": Y > 0, "multiclass": np.digitize(Y, [-1, 1]), "multilabel": (X[:, :3] > 0).astype(int)}[kind]
    model = with_dead_parts(Estimator=NormRegMLPClassifier, y=y)
    small = model.compact()
    assert_array_equal(small.predict(X), model.predict(X))
    for method in ("predict_proba", "predict_log_proba", "decision_function"):
        assert_allclose(getattr(small, method)(X), getattr(model, method)(X), **EXACT[np.float64])
    assert_array_equal(small.classes_, model.classes_)


def test_everything_else_fits_together():
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(8)])
    model = with_dead_parts().fit(frame, Y)
    for W in model.coefs_[:-1]:
        W[:, :2] = 0
    model.coefs_[0][3] = 0
    small = model.compact().set_output(transform="pandas")
    features = small.transform(frame)
    assert list(features) == [f"normregmlpregressor{i}" for i in range(4)]
    assert_allclose(features, model.transform(frame)[:, 2:], **EXACT[np.float64])
    assert_allclose(small.feature_importances_, np.linalg.norm(model.coefs_[0], axis=1), rtol=1e-12)
    assert small.n_nonzero_ == tuple(W.size for W in small.coefs_)
    assert small.sparsity_ == 0.0 < model.sparsity_
    assert small.n_features_in_ == 8
    assert (small.n_layers_, small.n_outputs_) == (model.n_layers_, model.n_outputs_)
    assert_array_equal(small.feature_names_in_, frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        small.predict(frame[frame.columns[::-1]])
    for other in (pickle.loads(pickle.dumps(small)), copy.deepcopy(small)):
        assert_array_equal(other.predict(frame), small.predict(frame))
    assert_allclose(small.to_sklearn().predict(frame), model.predict(frame), **EXACT[np.float64])
    assert clone(small).get_params() == model.get_params()
    assert "NormRegMLPRegressor" in small._repr_html_()


def test_in_blocks(monkeypatch):
    model = with_dead_parts()
    expected = model.predict(X)
    small = model.compact()
    monkeypatch.setattr(fitted, "BLOCK_BYTES", 8 * 9 * 13)  # thirteen rows of nine numbers
    assert_allclose(small.predict(X), expected, **EXACT[np.float64])
    assert_allclose(small.predict(scipy.sparse.csr_array(X)), expected, **EXACT[np.float64])


@pytest.mark.parametrize("dead", [True, False])
def test_training_does_not_go_on(dead):
    model = with_dead_parts(warm_start=True) if dead else NormRegMLPRegressor((4,), warm_start=True).fit(X, Y)
    small = model.compact()
    expected = small.predict(X)
    for train in (small.fit, small.partial_fit):
        with pytest.raises(ValueError, match="compact"):
            train(X, Y)
    assert_array_equal(small.predict(X), expected)


def test_it_has_no_certificate():
    with pytest.raises(ValueError, match="give the model that it was made from"):
        stationarity(with_dead_parts().compact(), X, Y)


def test_a_fit_from_the_start_is_like_any_other():
    model = with_dead_parts(hidden=(5,))
    small = model.compact().fit(X, Y)
    assert not hasattr(small, "input_indices_")
    assert small.coefs_[0].shape == (8, 5)
    assert_array_equal(small.predict(X), model.fit(X, Y).predict(X))
    small.partial_fit(X, Y)
