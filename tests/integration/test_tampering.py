"""Damaged fitted state: pickles are looked at when they are loaded, arrays again when they are used."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.penalties import L2Norm

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 4))
ESTIMATORS = {NormRegMLPRegressor: X[:, :2] - X[:, 2:], NormRegMLPClassifier: np.digitize(X[:, 0], [-0.5, 0.0, 0.5])}


def fitted(Estimator=NormRegMLPRegressor, hidden=(5, 3), **params):
    return Estimator(hidden, max_iter=3, random_state=0, **params).fit(X, ESTIMATORS[Estimator])


def with_value(array, value):
    array = np.array(array)
    array.flat[array.size // 2] = value
    return array


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, dtype=np.uint8)
    out = np.ndarray(array.shape, array.dtype, buffer=raw.data, offset=1)
    out[:] = array
    return out


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


# What still is the same numbers works, in any layout.
SAME = {
    "Fortran order": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "read-only": read_only,
    "nested list": lambda a: a.tolist(),
    "subclass": lambda a: a.view(np.ma.MaskedArray),
}
DAMAGED = {
    "a row less": lambda a: a[:-1],
    "a row more": lambda a: np.concatenate([a, a[:1]]),
    "transposed": lambda a: a.T if a.ndim == 2 else a[:, np.newaxis],
    "flat": lambda a: a.ravel() if a.ndim == 2 else a[np.newaxis],
    "a scalar": lambda a: np.float64(1),
    "empty": lambda a: a[:0],
    "no axis": lambda a: np.array(1.0),
    "another dtype": lambda a: a.astype(np.float32),
    "integers": lambda a: a.astype(np.int64),
    "complex": lambda a: a.astype(complex),
    "objects": lambda a: a.astype(object),
    "strings": lambda a: a.astype(str),
    "long double": lambda a: a.astype(np.longdouble),
    "a dict": lambda a: {},
    "None": lambda a: None,
    "NaN": lambda a: with_value(a, np.nan),
}
NOT_FINITE = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}


def tampered(model, name, i, change):
    parts = list(getattr(model, name))
    parts[i] = change(parts[i])
    setattr(model, name, parts)
    return model


@pytest.mark.parametrize("change", SAME)
@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_other_layouts_work(name, change):
    model = fitted()
    expected = model.predict(X), model.transform(X)
    for i in range(3):
        tampered(model, name, i, SAME[change])
    for loaded in (model, pickle.loads(pickle.dumps(model))):
        assert_allclose(loaded.predict(X), expected[0], rtol=1e-12)
        assert_allclose(loaded.transform(X), expected[1], rtol=1e-12)
        assert_allclose(loaded.compact().predict(X), expected[0], rtol=1e-12)


@pytest.mark.parametrize("change", DAMAGED)
@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_damaged_arrays_are_refused(Estimator, name, change):
    for i in range(3):
        model = tampered(fitted(Estimator, warm_start=True), name, i, DAMAGED[change])
        for call in (model.predict, model.transform):
            # What comes behind the hidden layers does not matter to transform, unless it does not fit.
            if not (call == model.transform and change == "NaN" and i == 2):
                with pytest.raises((ValueError, TypeError)):
                    call(X)
        with pytest.raises(ValueError, match="state of a NormRegMLP"):
            pickle.loads(pickle.dumps(model))
        if change != "NaN":
            with pytest.raises((ValueError, TypeError)):
                model.fit(X, ESTIMATORS[Estimator])


@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_another_byte_order(name):
    model = fitted()
    expected = model.predict(X)
    for i in range(3):
        tampered(model, name, i, lambda a: a.astype(a.dtype.newbyteorder()))
    with pytest.raises(ValueError, match="dtype"):
        model.predict(X)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), expected)  # NumPy converts what it loads


@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_unaligned_arrays_do_not_reach_blas(name):
    for i in range(3):
        model = tampered(fitted(), name, i, unaligned)
        with pytest.raises(ValueError, match="aligned"):
            model.predict(X)


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_pickles_must_be_finite(activation, name, value):
    for i in range(3):
        model = tampered(fitted(activation=activation), name, i, lambda a: with_value(a, NOT_FINITE[value]))
        for load in (lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy):
            with pytest.raises(ValueError, match=rf"{name}\[{i}\] contains NaN or infinity"):
                load(model)


@pytest.mark.parametrize(
    "attributes",
    [
        {"coefs_": []},
        {"intercepts_": []},
        {"coefs_": None},
        {"coefs_": 3.0},
        {"coefs_": [], "intercepts_": [], "n_layers_": 1},
        {"n_layers_": 3},
        {"n_layers_": "four"},
        {"n_outputs_": 1},
        {"n_features_in_": 5},
        {"n_features_in_": None},
    ],
    ids=str,
)
def test_attributes_that_do_not_fit(attributes):
    model = fitted()
    vars(model).update(attributes)
    with pytest.raises((ValueError, TypeError)):
        model.predict(X)
    with pytest.raises(ValueError, match="state of a NormRegMLPRegressor is damaged"):
        pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("name", ["coefs_", "intercepts_", "n_layers_", "n_outputs_", "n_features_in_"])
def test_attributes_that_are_missing(name):
    state = vars(fitted()).copy()
    del state[name]
    model = NormRegMLPRegressor()
    if name == "coefs_":
        model.__setstate__(state)  # an estimator that is not fitted
    else:
        with pytest.raises(ValueError, match=name):
            model.__setstate__(state)


def test_an_unknown_activation():
    model = fitted()
    model.hidden_activation_ = "swish"
    with pytest.raises(ValueError, match="hidden_activation_ must be one of"):
        copy.deepcopy(model)


@pytest.mark.parametrize(
    "indices",
    [
        [0, 1, 2],
        np.array([0, 1, 9]),
        np.array([-1, 0, 1]),
        np.array([0.0, 1.0, 2.0]),
        np.array([[0, 1, 2]]),
        np.array([0]),
    ],
    ids=str,
)
def test_input_indices_of_a_compact_model(indices):
    model = fitted()
    model.coefs_[0][3] = 0
    small = model.compact()
    assert_array_equal(small.input_indices_, [0, 1, 2])
    small.input_indices_ = indices
    for call in (lambda: small.predict(X), lambda: pickle.loads(pickle.dumps(small))):
        with pytest.raises((ValueError, AttributeError)):
            call()


@pytest.mark.parametrize("solver, moments", [("adam", "first"), ("adam", "second"), ("sgd", "first")])
@pytest.mark.parametrize("change", ["a row less", "another dtype", "NaN", "no axis", "a dict"])
def test_moments_of_the_optimiser(change, moments, solver):
    model = fitted(warm_start=True, solver=solver)
    optimizer = model._training_state["optimizer"]
    optimizer[moments] = DAMAGED[change](optimizer[moments])
    with pytest.raises(ValueError, match=f"optimiser's {moments} moments"):
        pickle.loads(pickle.dumps(model))


def test_infinite_moments_are_sound():
    """In float32 the square of a gradient of 1e20 is infinite, and the step zero."""
    model = fitted(warm_start=True)
    model._training_state["optimizer"]["second"][0] = np.inf
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.fit(X, ESTIMATORS[NormRegMLPRegressor]).coefs_[0][0, 0], model.coefs_[0][0, 0])


def test_infinite_moments_under_the_norm_of_the_network():
    """The layer's step is zero and it stays, whatever the strength, which takes the others' weights."""
    model = fitted(warm_start=True, penalty=L2Norm("network"), alpha=1e-6)
    first = model.coefs_[0]
    model._training_state["optimizer"]["second"][0] = np.inf
    loaded = pickle.loads(pickle.dumps(model)).set_params(alpha=1e6).fit(X, ESTIMATORS[NormRegMLPRegressor])
    assert_array_equal(loaded.coefs_[0], first)
    assert np.abs(loaded.coefs_[1]).max() < 1e-3


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_sound_models_pass(Estimator, tmp_path):
    path = tmp_path / "model.joblib"
    for model in (Estimator(), fitted(Estimator, warm_start=True), fitted(Estimator, hidden=()).compact()):
        joblib.dump(model, path)
        for loaded in (joblib.load(path), joblib.load(path, mmap_mode="r"), copy.copy(model), copy.deepcopy(model)):
            assert hasattr(loaded, "coefs_") == hasattr(model, "coefs_")
            if hasattr(model, "coefs_"):
                assert_array_equal(loaded.predict(X), model.predict(X))


def test_large_features_may_still_overflow():
    model = fitted(hidden=())
    model.coefs_[0][:] = 10
    assert np.isinf(model.predict(np.full((1, 4), 1e308))).all()


@pytest.mark.parametrize("state", [None, 3, [], {"solver": "adam"}], ids=repr)
def test_training_states_that_are_none(state):
    model = fitted(warm_start=True)
    model._training_state = state
    with pytest.raises(ValueError, match="training state"):
        pickle.loads(pickle.dumps(model))


def test_an_order_of_rows_far_beyond_the_table_takes_no_memory():
    model = fitted(warm_start=True)
    model._training_state["optimizer"]["order"][0] = 10**13
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.fit(X, ESTIMATORS[NormRegMLPRegressor]).coefs_[0].shape, model.coefs_[0].shape)


def test_counts_that_are_no_counts():
    model = fitted(warm_start=True)
    model._training_state["optimizer"]["steps_done"] = 2**70
    with pytest.raises(ValueError, match="counts"):
        pickle.loads(pickle.dumps(model))
