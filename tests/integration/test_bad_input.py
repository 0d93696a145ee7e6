"""Bad input gets an error that names the remedy, and nothing fitted before is lost."""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import ElasticNet

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_SAMPLES, N_FEATURES = 40, 3
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N_SAMPLES, N_FEATURES))
Y = {
    NormRegMLPClassifier: (X[:, 0] > 0).astype(int),
    NormRegMLPRegressor: X[:, 0] + 0.1 * X[:, 1],
}
ESTIMATORS = tuple(Y)


def with_value(array, value, dtype=None):
    array = np.array(array, dtype=dtype)
    array.flat[array.size // 2] = value
    return array


def fitted(Estimator, **params):
    defaults = dict(hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    return Estimator(**{**defaults, **params}).fit(X, Y[Estimator])


def assert_refused(model, match, call, error=(ValueError, TypeError)):
    """The call raises, and the state is what it was, to the last attribute."""
    before, prediction = joblib.hash(vars(model)), model.predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(error, match=match):
            call(model)
    assert joblib.hash(vars(model)) == before
    assert np.array_equal(model.predict(X), prediction)


BAD_X = {
    "nan": (with_value(X, np.nan), "NaN"),
    "infinity": (with_value(X, np.inf), "infinity"),
    "complex": (X + 1j, "[Cc]omplex"),
    "strings": (with_value(X, "a", dtype=object), "convert|dtype|numeric"),
    "objects": (with_value(X, {}, dtype=object), "convert|float|number|argument"),
    "one dimension": (X[:, 0], "[Rr]eshape|2D"),
    "three dimensions": (X[:, :, None], "dim 3|2"),
    "no rows": (X[:0], "0 sample|inconsistent"),
    "no columns": (X[:, :0], "0 feature"),
    "fewer rows than y": (X[:-1], "inconsistent"),
    "sparse with nan": (scipy.sparse.csr_array(with_value(X, np.nan)), "NaN"),
    "sparse with infinity": (scipy.sparse.csc_array(with_value(X, np.inf)), "infinity"),
    "other width with nan": (np.full((N_SAMPLES, 7), np.nan), "NaN"),
    "too large for float32": (with_value(X, 1e300), "infinity|large|float32"),
}


@pytest.mark.parametrize("case", BAD_X)
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_fit_with_bad_X(Estimator, case):
    bad, match = BAD_X[case]
    dtype = "float32" if case == "too large for float32" else None
    model = fitted(Estimator, dtype=dtype)
    assert_refused(model, match, lambda model: model.fit(bad, Y[Estimator]))


BAD_REGRESSION_Y = {
    "nan": (with_value(Y[NormRegMLPRegressor], np.nan), "NaN"),
    "infinity": (with_value(Y[NormRegMLPRegressor], -np.inf), "infinity"),
    "complex": (Y[NormRegMLPRegressor] + 1j, "[Cc]omplex"),
    "strings": (np.array(["a"] * N_SAMPLES), "convert|numeric|string|str"),
    "length": (Y[NormRegMLPRegressor][:-2], "inconsistent"),
    "three dimensions": (np.zeros((N_SAMPLES, 2, 2)), "dim|shape|1d|2d"),
    "none": (None, "y"),
}
BAD_CLASSIFICATION_Y = {
    "nan": (with_value(Y[NormRegMLPClassifier], np.nan, dtype=float), "NaN"),
    "continuous": (Y[NormRegMLPRegressor], "continuous"),
    "one class": (np.zeros(N_SAMPLES, dtype=int), "class"),
    "length": (Y[NormRegMLPClassifier][:-2], "inconsistent"),
    "continuous in several columns": (RNG.random((N_SAMPLES, 2)), "continuous-multioutput"),
    "one class in a column": (RNG.integers(0, 3, (N_SAMPLES, 2)) * [1, 0], "column 1 of y: y has one class only"),
    "two numbers that are no labels": (RNG.integers(1, 3, (N_SAMPLES, 2)), "indicator matrix.*0 and 1 only.*astype"),
    "none": (None, "y"),
}


@pytest.mark.parametrize("case", BAD_REGRESSION_Y)
def test_regressor_with_bad_y(case):
    bad, match = BAD_REGRESSION_Y[case]
    assert_refused(fitted(NormRegMLPRegressor), match, lambda model: model.fit(X, bad))


@pytest.mark.parametrize("case", BAD_CLASSIFICATION_Y)
def test_classifier_with_bad_y(case):
    bad, match = BAD_CLASSIFICATION_Y[case]
    assert_refused(fitted(NormRegMLPClassifier), match, lambda model: model.fit(X, bad))


ONES = np.ones(N_SAMPLES)
BAD_WEIGHTS = {
    "nan": (with_value(ONES, np.nan), "NaN"),
    "infinity": (with_value(ONES, np.inf), "infinity"),
    "one nan for all": (np.nan, "must be finite, got nan"),
    "one infinity for all": (np.inf, "must be finite, got inf"),
    "negative": (with_value(ONES, -1), "[Nn]egative"),
    "all zero": (0 * ONES, "zero|positive"),
    "length": (ONES[:-1], "shape|inconsistent"),
    "two dimensions": (np.ones((N_SAMPLES, 2)), "1D"),
    "complex": (ONES + 1j, "[Cc]omplex"),
    "strings": (np.array(["a"] * N_SAMPLES), "convert|numeric|string|str"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", BAD_WEIGHTS)
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_bad_sample_weights(Estimator, case, method):
    bad, match = BAD_WEIGHTS[case]
    assert_refused(
        fitted(Estimator),
        match,
        lambda model: getattr(model, method)(X, Y[Estimator], sample_weight=bad),
    )


def test_one_class_of_positive_weight():
    y = Y[NormRegMLPClassifier]
    assert_refused(
        fitted(NormRegMLPClassifier),
        "class",
        lambda model: model.fit(X, y, sample_weight=y.astype(float)),
    )


BAD_PARAMETERS = [
    ("solver", "newton"),
    ("activation", "swish"),
    ("activation", 3),
    ("activation", ["swish"]),
    ("activation", ["relu", "tanh"]),
    ("activation", [["relu"]]),
    ("activation", [None]),
    ("activation", PerLayer()),
    ("activation", PerLayer("relu", "relu", "relu", scale="fan")),
    ("loss", "hinged"),
    ("penalty", "l3"),
    ("penalty", 2),
    ("penalty", ["l1"]),
    ("penalty", ["l1", "l2", "l2"]),
    ("penalty", ["l1", "l7"]),
    ("penalty", PerLayer(first="l9", hidden="l2", last="l2")),
    ("penalty", ElasticNet(l1_ratio=1.5)),
    ("alpha", -1.0),
    ("alpha", "much"),
    ("alpha", float("nan")),
    ("alpha", float("inf")),
    ("l1_ratio", 1.2),
    ("l1_ratio", -0.1),
    ("layer_weights", "depth"),
    ("layer_weights", 2.0),
    ("layer_weights", [1.0]),
    ("layer_weights", [1.0, 1.0, 1.0]),
    ("layer_weights", [1.0, -1.0]),
    ("layer_weights", [1.0, float("nan")]),
    ("layer_weights", [1.0, "x"]),
    ("layer_weights", PerLayer(first=-1)),
    ("layer_weights", PerLayer(last="heavy")),
    ("layer_weights", PerLayer(scale="depth")),
    ("penalize_intercepts", "yes"),
    ("hidden_layer_sizes", (0,)),
    ("hidden_layer_sizes", (4, -1)),
    ("hidden_layer_sizes", (2.5,)),
    ("hidden_layer_sizes", 0),
    ("hidden_layer_sizes", "wide"),
    ("batch_size", 0),
    ("batch_size", -5),
    ("batch_size", 2.5),
    ("batch_size", "big"),
    ("learning_rate", "linear"),
    ("learning_rate_init", 0.0),
    ("learning_rate_init", -0.1),
    ("max_iter", 0),
    ("max_iter", 3.5),
    ("tol", -1e-3),
    ("momentum", 1.5),
    ("beta_1", 1.0),
    ("beta_2", -0.1),
    ("epsilon", 0.0),
    ("validation_fraction", 1.0),
    ("n_iter_no_change", 0),
    ("max_fun", 0),
    ("shuffle", "often"),
    ("warm_start", "maybe"),
    ("random_state", "lucky"),
    ("dtype", "int8"),
    ("dtype", "float16"),
]


@pytest.mark.parametrize("name, value", BAD_PARAMETERS)
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_bad_parameter(Estimator, name, value):
    """Each message names the parameter."""
    model = fitted(Estimator).set_params(**{name: value})
    part = {"ElasticNet": "l1_ratio", "PerLayer": "first|last|scale|penalty"}
    match = "|".join([name, part.get(type(value).__name__, name)])
    assert_refused(model, match, lambda model: model.fit(X, Y[Estimator]))


@pytest.mark.parametrize(
    "Estimator, loss",
    [(NormRegMLPClassifier, "squared_error"), (NormRegMLPRegressor, "log_loss")],
)
def test_losses_of_the_other_estimator(Estimator, loss):
    model = fitted(Estimator).set_params(loss=loss)
    assert_refused(model, "loss", lambda model: model.fit(X, Y[Estimator]))


def test_loss_in_the_old_position():
    """MLPRegressor's first positional parameter is the loss."""
    model = NormRegMLPRegressor("squared_error")
    with pytest.raises((ValueError, TypeError), match="loss="):
        model.fit(X, Y[NormRegMLPRegressor])
    with pytest.raises(TypeError, match="positional"):
        NormRegMLPRegressor((4,), "relu", "squared_error")


@pytest.mark.parametrize("method", ["predict", "score", "partial_fit"])
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_other_number_of_features(Estimator, method):
    arguments = () if method == "predict" else (Y[Estimator],)
    assert_refused(
        fitted(Estimator),
        "7 features.*3 features",
        lambda model: getattr(model, method)(np.zeros((N_SAMPLES, 7)), *arguments),
    )


@pytest.mark.parametrize("bad", ["nan", "infinity", "complex", "one dimension"])
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_predict_with_bad_X(Estimator, bad):
    value, match = BAD_X[bad]
    assert_refused(fitted(Estimator), match, lambda model: model.predict(value))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_other_feature_names(Estimator):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = Estimator((4,), max_iter=3).fit(frame, Y[Estimator])
    for columns in (["a", "b", "x"], ["c", "b", "a"]):
        with pytest.raises(ValueError, match="feature names"):
            model.predict(frame.set_axis(columns, axis=1))


@pytest.mark.parametrize("late", [dict(layer_weights=[1.0]), dict(penalty=["l1"])])
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_an_error_after_the_data_were_checked(Estimator, late):
    """The new number of features, their names and the new classes are forgotten again."""
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = Estimator((4,), max_iter=3, random_state=0).fit(frame, Y[Estimator])
    model.set_params(**late)
    before, prediction = joblib.hash(vars(model)), model.predict(frame)
    other = pd.DataFrame(np.column_stack([X, X]), columns=list("uvwxyz"))
    with pytest.raises(ValueError, match="|".join(late)):
        model.fit(other, np.arange(N_SAMPLES) % 4)
    assert joblib.hash(vars(model)) == before
    assert np.array_equal(model.predict(frame), prediction)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_not_fitted(Estimator):
    with pytest.raises(NotFittedError):
        Estimator().predict(X)


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_partial_fit_needs_a_stochastic_solver(Estimator, solver):
    model = Estimator(solver=solver)
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        model.partial_fit(X, Y[Estimator])


def test_partial_fit_with_new_classes():
    y = Y[NormRegMLPClassifier]
    assert_refused(
        fitted(NormRegMLPClassifier),
        "class",
        lambda model: model.partial_fit(X, y + 1),
    )
    with pytest.raises(ValueError, match="classes"):
        NormRegMLPClassifier().partial_fit(X, y)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_early_stopping_needs_rows_to_validate_on(Estimator):
    model = fitted(Estimator).set_params(early_stopping=True, validation_fraction=0.01)
    assert_refused(model, "validation_fraction", lambda model: model.fit(X, Y[Estimator]))
    assert_refused(model, "early_stopping", lambda model: model.partial_fit(X, Y[Estimator]))


def test_warm_start_with_other_data():
    model = fitted(NormRegMLPRegressor, warm_start=True)
    y = np.column_stack([X[:, 0], X[:, 1]])
    assert_refused(model, "warm_start|fit anew", lambda model: model.fit(X, y))
    assert_refused(model, "warm_start|feature|fit anew", lambda model: model.fit(X[:, :2], X[:, 0]))
    classifier = fitted(NormRegMLPClassifier, warm_start=True)
    assert_refused(classifier, "warm_start|fit anew", lambda model: model.fit(X, np.arange(40) % 3))


def test_batch_larger_than_the_data_is_clipped():
    with pytest.warns(UserWarning, match="batch_size"):
        model = fitted(NormRegMLPRegressor, batch_size=1000)
    full = fitted(NormRegMLPRegressor, batch_size=N_SAMPLES)
    assert np.array_equal(model.coefs_[0], full.coefs_[0])


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_parameters_set_after_fit_do_not_change_predictions(Estimator):
    """What a fitted network computes is fitted state."""
    model = fitted(Estimator, activation="relu")
    expected = model.predict(X)
    raw = getattr(model, "decision_function", model.predict)
    expected_raw = raw(X)
    model.set_params(activation="tanh", hidden_layer_sizes=(9, 9), dtype="float32")
    assert np.array_equal(model.predict(X), expected)
    assert np.array_equal(raw(X), expected_raw)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_a_layer_without_penalty(Estimator):
    """Under relu its weights take over what the others lose; tanh is not homogeneous."""
    params = dict(layer_weights=PerLayer(last=0), alpha=0.1)
    with pytest.warns(UserWarning, match="penalise every layer"):
        fitted(Estimator, activation="relu", **params)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted(Estimator, activation="tanh", **params)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize("weight", ["negative", "NaN", "of another length"])
def test_weights_of_a_score(weight, task, make_problem):
    problem = make_problem(task)
    model = problem.Estimator((4,), max_iter=2, tol=1e3, random_state=0).fit(problem.X, problem.y)
    ones = np.ones(len(problem.X))
    bad = {"negative": -ones, "NaN": with_value(ones, np.nan), "of another length": ones[1:]}[weight]
    with pytest.raises(ValueError, match="sample_weight|Negative|inconsistent"):
        model.score(problem.X, problem.y, bad)
    assert np.isfinite(model.score(problem.X, problem.y, with_value(ones, 0)))
