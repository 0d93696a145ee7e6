"""Bad targets, parameters and losses get an error that names the loss and the cause, and change nothing."""

import re
import signal
import traceback
import warnings

import joblib
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from user_losses import NumpyPoisson, NumpySquaredError

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.losses import (
    LOSSES,
    EpsilonInsensitive,
    Focal,
    GaussianNLL,
    Huber,
    LogLoss,
    Loss,
    Quantile,
    SquaredEpsilonInsensitive,
    Tweedie,
    loss_names,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
TARGET = np.exp(X[:, 0])  # in every regression loss's domain
CLASSES = np.digitize(X[:, 0], [-0.5, 0.5])
SOLVERS = ["adam", "sgd", "lbfgs", "fista"]


def regressor(**params):
    return NormRegMLPRegressor((4,), max_iter=3, random_state=0, **params)


def classifier(**params):
    return NormRegMLPClassifier((4,), max_iter=3, random_state=0, **params)


def refusal(model, *, y, X=X, method="fit", error=(ValueError, TypeError)):
    """Text of the error that fitting raises; the estimator keeps every attribute as it was."""
    before = joblib.hash(vars(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(error) as caught:
            getattr(model, method)(X, y)
    assert joblib.hash(vars(model)) == before
    return str(caught.value)


def assert_refused(model, *patterns, y, **options):
    """Unfitted and fitted models alike refuse, and the message has every pattern."""
    fitted = type(model)((4,), max_iter=3, random_state=0).fit(X, CLASSES if "Classifier" in repr(model) else TARGET)
    fitted.set_params(**model.get_params(deep=False))
    for each in (model, fitted):
        message = refusal(each, y=y, **options)
        for pattern in patterns:
            assert re.search(pattern, message), f"{pattern!r} is not in: {message}"
    assert not hasattr(model, "coefs_")
    assert np.isfinite(fitted.predict(X)).all()


# ----------------------------------------------------------------------------------------------------- domains

NON_NEGATIVE = ["poisson", Tweedie(power=1), Tweedie(power=1.5), Tweedie(power=1.9)]
POSITIVE = ["gamma", Tweedie(power=2), Tweedie(power=3)]


def class_name(loss):
    return type(LOSSES[loss]() if isinstance(loss, str) else loss).__name__


@pytest.mark.parametrize("loss", NON_NEGATIVE + POSITIVE, ids=str)
def test_targets_outside_the_domain(loss):
    y = TARGET.copy()
    y[[7, 9, 30]] = [-2.5, -1.0, -4.0]
    domain = "y > 0" if loss in POSITIVE else "y >= 0"
    assert_refused(regressor(loss=loss), class_name(loss), re.escape(domain), r"\b3\b.*\b40\b", r"-2\.5", y=y)


@pytest.mark.parametrize("loss", POSITIVE, ids=str)
def test_zero_outside_the_domain(loss):
    y = TARGET.copy()
    y[11] = 0.0
    assert_refused(regressor(loss=loss), class_name(loss), r"\b1\b.*\b40\b", r"\b0(\.0)?\b", y=y)


@pytest.mark.parametrize("loss", NON_NEGATIVE, ids=str)
def test_zero_inside_the_domain(loss):
    y = TARGET.copy()
    y[11] = 0.0
    assert regressor(loss=loss).fit(X, y).objective_ < np.inf


@pytest.mark.parametrize("loss", [Tweedie(power=0), Tweedie(power=-1)], ids=str)
def test_any_target_inside_the_domain(loss):
    assert regressor(loss=loss, learning_rate_init=1e-4).fit(X, TARGET - 1).objective_ < np.inf


def test_domain_in_several_targets_and_in_partial_fit():
    y = np.column_stack([TARGET, TARGET])
    y[3, 1] = -7.25
    assert_refused(regressor(loss="poisson"), "Poisson", r"\b1\b.*\b80\b", r"-7\.25", y=y)
    model = regressor(loss="poisson").partial_fit(X, TARGET)
    assert "Poisson" in refusal(model, y=-TARGET, method="partial_fit")


def test_domain_of_a_users_loss():
    assert_refused(regressor(loss=NumpyPoisson()), "NumpyPoisson", "y >= 0", r"\b40\b.*\b40\b", y=-TARGET)


def test_rows_of_weight_zero_may_lie_outside():
    y, weight = TARGET.copy(), np.ones(40)
    y[5], weight[5] = -1.0, 0.0
    regressor(loss="gamma").fit(X, y, sample_weight=weight)


# -------------------------------------------------------------------------------------------------- parameters

BAD_PARAMETERS = [
    *(Quantile(quantile=q) for q in (0.0, 1.0, -0.1, 1.5, np.nan, "a", None, (), (0.5, 0.5), (0.9, 0.1), (0.5, 1.0))),
    *(Quantile(quantile=q) for q in ((0.1, np.nan), [[0.1, 0.5]], True)),
    *(Huber(delta=delta) for delta in (0.0, -1.0, np.nan, np.inf, "1", None)),
    *(EpsilonInsensitive(epsilon=epsilon) for epsilon in (-0.1, np.nan, np.inf, "0")),
    *(SquaredEpsilonInsensitive(epsilon=epsilon) for epsilon in (-0.1, np.nan, np.inf, None)),
    *(Tweedie(power=power) for power in (0.5, 1e-9, 0.999, np.nan, np.inf, "2")),
    *(GaussianNLL(min_variance=v) for v in (0.0, -1.0, np.nan, np.inf, None)),
    *(LogLoss(label_smoothing=s) for s in (-0.1, 1.1, np.nan, "0.1")),
    *(Focal(gamma=gamma) for gamma in (-1.0, np.nan, np.inf, "2")),
]


@pytest.mark.parametrize("loss", BAD_PARAMETERS, ids=repr)
def test_bad_parameters_are_refused_by_fit(loss):
    """Not by the constructor: clone and set_params must be able to pass values through."""
    (name,) = loss.get_params()
    if loss.task == "classification":
        assert_refused(classifier(loss=loss), name, y=CLASSES)
    else:
        assert_refused(regressor(loss=loss), name, y=TARGET)


@pytest.mark.parametrize("quantile", [np.array([0.1, 0.9]), [0.1, 0.9], (0.1, 0.9), (0.5,), np.float32(0.25)], ids=str)
def test_forms_of_quantiles(quantile):
    model = regressor(loss=Quantile(quantile=quantile)).fit(X, TARGET)
    assert model.n_outputs_ == np.size(quantile)


# ---------------------------------------------------------------------------------------------- names and tasks


@pytest.mark.parametrize("name", loss_names("classification"))
def test_a_classifiers_loss_on_a_regressor(name):
    fitting = [re.escape(repr(other)) for other in loss_names("regression")]
    assert_refused(regressor(loss=LOSSES[name]()), class_name(name), "regression", *fitting, y=TARGET)
    assert_refused(regressor(loss=name), re.escape(repr(name)), *fitting, y=TARGET)


@pytest.mark.parametrize("name", loss_names("regression"))
def test_a_regressors_loss_on_a_classifier(name):
    fitting = [re.escape(repr(other)) for other in loss_names("classification")]
    assert_refused(classifier(loss=LOSSES[name]()), class_name(name), "classification", *fitting, y=CLASSES)
    assert_refused(classifier(loss=name), re.escape(repr(name)), *fitting, y=CLASSES)


@pytest.mark.parametrize("loss", ["mse", "", None, 3, np.square, Huber, ["huber"]], ids=str)
def test_what_is_no_loss(loss):
    assert_refused(regressor(loss=loss), "'huber'", "'squared_error'", y=TARGET)


# -------------------------------------------------------------------------------------- what a loss cannot predict


@pytest.mark.parametrize("name", [name for name in loss_names("regression") if name != "gaussian_nll"])
def test_standard_deviation_is_refused(name):
    model = regressor(loss=name).fit(X, TARGET)
    with pytest.raises(ValueError, match="gaussian_nll"):
        model.predict(X, return_std=True)
    assert np.array_equal(model.predict(X, return_std=False), model.predict(X))


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
def test_no_probabilities(name, method):
    for model in (classifier(loss=name), classifier(loss=LOSSES[name]()).fit(X, CLASSES)):
        assert not hasattr(model, method)
        with pytest.raises(AttributeError) as caught:
            getattr(model, method)
        messages = f"{caught.value} {caught.value.__cause__}"
        for with_probabilities in ("log_loss", "brier", "focal", "modified_huber"):
            assert with_probabilities in messages
        assert name in messages or class_name(name) in messages
    assert model.decision_function(X).shape == (40, 3)
    assert set(model.predict(X)) <= {0, 1, 2}


@pytest.mark.parametrize("name", loss_names("classification"))
def test_unfitted_classifiers_say_so(name):
    model = classifier(loss=name)
    methods = ["predict", "decision_function"]
    methods += ["predict_proba", "predict_log_proba"] if "hinge" not in name else []
    for method in methods:
        with pytest.raises(NotFittedError):
            getattr(model, method)(X)


@pytest.mark.parametrize("name", ["log_loss", "brier", "focal", "modified_huber"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities(name, n_classes):
    model = classifier(loss=name).fit(X, np.minimum(CLASSES, n_classes - 1))
    p = model.predict_proba(X)
    assert p.shape == (40, n_classes)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(model.predict_log_proba(X), np.log(p), rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------------ a user's loss gone wrong


class Wrong(Loss):
    """What a case of WRONG_ANSWERS makes of the right value and gradient."""

    name = "wrong_loss"

    def __init__(self, case=None):
        self.case = case

    def value_and_gradient(self, y, raw, sample_weight=None):
        value, gradient = 0.5 * float(np.sum((raw - y) ** 2)), raw - y
        return (value, gradient) if self.case is None else WRONG_ANSWERS[self.case][1](value, gradient)


# What the message says, and how the answer is spoiled.
WRONG_ANSWERS = {
    "no tuple": ("tuple|pair|gradient", lambda value, gradient: value),
    "nothing": ("tuple|pair|gradient", lambda value, gradient: None),
    "three": ("tuple|pair|gradient", lambda value, gradient: (value, gradient, gradient)),
    "the gradient first": ("value|gradient", lambda value, gradient: (gradient, value)),
    "gradient of one dimension": ("gradient", lambda value, gradient: (value, gradient[:, 0])),
    "gradient transposed": ("gradient", lambda value, gradient: (value, gradient.T)),
    "too few rows": ("gradient", lambda value, gradient: (value, gradient[:-1])),
    "too many columns": ("gradient", lambda value, gradient: (value, np.hstack([gradient, gradient]))),
    "gradient of one number": ("gradient", lambda value, gradient: (value, 0.0)),
    "gradient of None": ("gradient", lambda value, gradient: (value, None)),
    "gradient of integers": ("gradient", lambda value, gradient: (value, gradient.astype(int))),
    "gradient of objects": ("gradient", lambda value, gradient: (value, gradient.astype(object))),
    "gradient of strings": ("gradient", lambda value, gradient: (value, gradient.astype(str))),
    "complex gradient": ("gradient", lambda value, gradient: (value, gradient + 0j)),
    "gradient of NaN": ("NaN", lambda value, gradient: (value, np.full_like(gradient, np.nan))),
    "one NaN": (
        "NaN",
        lambda value, gradient: (value, np.where(np.arange(len(gradient))[:, None] == 2, np.nan, gradient)),
    ),
    "value of one per row": ("value", lambda value, gradient: (gradient[:, 0] ** 2, gradient)),
    "value of a string": ("value", lambda value, gradient: ("1.0", gradient)),
    "value of None": ("value", lambda value, gradient: (None, gradient)),
    "complex value": ("value", lambda value, gradient: (value + 1j, gradient)),
    "value of NaN": ("NaN", lambda value, gradient: (float("nan"), gradient)),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", WRONG_ANSWERS)
def test_a_users_loss_that_answers_wrongly(case, solver):
    assert_refused(regressor(loss=Wrong(case), solver=solver), "Wrong|wrong_loss", WRONG_ANSWERS[case][0], y=TARGET)


def test_a_users_loss_that_answers_rightly():
    np.testing.assert_allclose(
        regressor(loss=Wrong()).fit(X, TARGET).coefs_[0], regressor().fit(X, TARGET).coefs_[0], rtol=1e-12
    )


@pytest.mark.parametrize("n_raw", [0, -1, 1.5, None, True, "2", (1,)], ids=repr)
def test_a_users_loss_with_an_impossible_number_of_columns(n_raw):
    loss = Wrong()
    loss.n_raw = lambda n_targets, n_classes=None: n_raw
    with pytest.raises(ValueError, match=r"n_raw.*Wrong"):
        regressor(loss=loss).fit(X, TARGET)


class Trouble(Exception):
    pass


class Failing(NumpySquaredError):
    """Fails at its third block."""

    name = "failing"
    calls = 0

    def __init__(self, error=Trouble):
        self.error = error

    def value_and_gradient(self, y, raw, sample_weight=None):
        type(self).calls += 1
        if self.calls == 3:
            if self.error == "Ctrl-C":
                signal.raise_signal(signal.SIGINT)
            raise self.error("the user's own")
        return super().value_and_gradient(y, raw, sample_weight)


ERRORS = [Trouble, ValueError, FloatingPointError, MemoryError, StopIteration, KeyboardInterrupt, SystemExit]


@pytest.mark.parametrize("error", [*ERRORS, "Ctrl-C"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_an_exception_comes_through_with_its_traceback(solver, error):
    model = regressor(loss=Failing(error), solver=solver)
    fitted = regressor().fit(X, TARGET).set_params(loss=Failing(error), solver=solver)
    for each in (model, fitted):
        before, Failing.calls = joblib.hash(vars(each)), 0
        with pytest.raises(KeyboardInterrupt if error == "Ctrl-C" else error) as caught:
            each.fit(X, TARGET)
        assert error == "Ctrl-C" or str(caught.value) == "the user's own"
        frames = traceback.extract_tb(caught.value.__traceback__)
        assert ("value_and_gradient", __file__) in [(frame.name, frame.filename) for frame in frames]
        assert Failing.calls == 3
        assert joblib.hash(vars(each)) == before
    assert not hasattr(model, "coefs_")
    assert np.isfinite(model.fit(X, TARGET).predict(X)).all()  # calls go on from the third
