"""What every loss of the registry has in common, under every solver."""

import operator

import numpy as np
import oracles
import pandas as pd
import pytest
import user_losses
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.losses import LOSSES, Huber, Quantile, Tweedie, loss_names

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = ["adam", "sgd", "lbfgs", "fista"]
REGRESSION, CLASSIFICATION = loss_names("regression"), loss_names("classification")
POSITIVE = ("poisson", "gamma", "tweedie")
CASES = [
    *((name, task) for name in REGRESSION for task in ("regression", "multioutput")),
    *((name, task) for name in CLASSIFICATION for task in ("binary", "multiclass", "multilabel")),
]


def problem_of(name, task, make_problem):
    problem = make_problem(task)
    if name in POSITIVE:
        problem.y = np.exp(problem.y / 3)
    return problem


def make_model(problem, loss, **params):
    defaults = dict(hidden_layer_sizes=(6,), activation="tanh", alpha=0.01, max_iter=20, random_state=0)
    return problem.Estimator(loss=loss, **{**defaults, **params})


def encoded(model, y):
    """The target in the columns that a loss sees, in float64."""
    if isinstance(model, NormRegMLPClassifier) and y.ndim == 1:
        y = np.searchsorted(model.classes_, y)
    return y.reshape(len(y), -1).astype(np.float64)


def recomputed_objective(model, loss, X, y, weight=None):
    """F from the fitted arrays: forward pass and penalty by the oracles, the loss on raw predictions."""
    raw = oracles.raw_prediction(X, model.coefs_, model.intercepts_, model.activation)
    total = loss.value_and_gradient(encoded(model, y), raw, weight)[0]
    mean = total / (len(y) if weight is None else weight.sum())
    return mean + oracles.penalty_term(model.coefs_, model.intercepts_, alpha=model.alpha)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("name", "task"), CASES)
def test_the_objective_is_what_it_says(name, task, solver, weighted, make_problem):
    """The unsmoothed F, at the parameters that fit ends with."""
    problem = problem_of(name, task, make_problem)
    X, y = problem.X, problem.y
    weight = np.random.default_rng(0).uniform(0.1, 2, len(y)) if weighted else None
    model = make_model(problem, name, solver=solver).fit(X, y, sample_weight=weight)
    expected = recomputed_objective(model, LOSSES[name](), X, y, weight)
    assert model.objective_ == pytest.approx(expected, rel=1e-12)
    for key in ("data_loss", "penalty", "objective"):
        assert np.isfinite(model.history_[key]).all()
    assert model.objective_ < model.history_["objective"][0]
    if solver in ("lbfgs", "fista"):  # the last iterate, but the best one of a kinked loss, which falls unevenly
        ends = min if LOSSES[name].kinked else operator.itemgetter(-1)
        assert model.objective_ == pytest.approx(ends(model.history_["objective"]), rel=1e-12)
    assert model.predict(X).shape == y.shape
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.score(X, y))


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
@pytest.mark.parametrize(("name", "task"), CASES)
def test_weights_are_repeated_rows(name, task, solver, make_problem):
    """To rounding, which a few iterations grow but little."""
    problem = problem_of(name, task, make_problem)
    times = np.random.default_rng(0).integers(0, 4, len(problem.y))
    X, y = np.repeat(problem.X, times, axis=0), np.repeat(problem.y, times, axis=0)
    model = make_model(problem, name, solver=solver, max_iter=8)
    repeated = clone(model).fit(X, y)
    model.fit(problem.X, problem.y, sample_weight=times)
    assert model.objective_ == pytest.approx(repeated.objective_, rel=1e-9)
    for left, right in zip(model.coefs_ + model.intercepts_, repeated.coefs_ + repeated.intercepts_, strict=True):
        assert_allclose(left, right, rtol=0, atol=1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("name", "task"), CASES)
def test_float32_is_close_to_float64(name, task, solver, make_problem):
    problem = problem_of(name, task, make_problem)
    double = make_model(problem, name, solver=solver).fit(problem.X, problem.y)
    single = clone(double).fit(problem.X.astype(np.float32), problem.y)
    assert {a.dtype for a in single.coefs_ + single.intercepts_} == {np.dtype(np.float32)}
    raw = single.predict(problem.X.astype(np.float32))
    assert raw.dtype == np.float32 or problem.Estimator is NormRegMLPClassifier
    assert single.objective_ == pytest.approx(double.objective_, rel=1e-2)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_string_labels_in_frames(name, make_problem):
    problem = make_problem("multiclass")
    names = np.array(["ash", "birch", "cedar"])
    frame = pd.DataFrame(problem.X, columns=list("abcde"))
    model = make_model(problem, name).fit(frame, pd.Series(names[problem.y]))
    numbers = make_model(problem, name).fit(problem.X, problem.y)
    assert model.classes_.tolist() == names.tolist()
    assert model.predict(frame).tolist() == names[numbers.predict(problem.X)].tolist()
    assert_allclose(model.decision_function(frame), numbers.decision_function(problem.X), rtol=1e-12)
    two = make_model(problem, name).fit(frame, pd.Series(np.where(problem.y == 1, "yes", "no")))
    assert two.decision_function(frame).shape == (60,)
    assert set(two.predict(frame)) <= {"no", "yes"}
    assert np.array_equal(two.predict(frame) == "yes", two.decision_function(frame) > 0)


# -------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize("names", [REGRESSION, CLASSIFICATION], ids=["regression", "classification"])
def test_grid_over_names(names, make_problem):
    problem = problem_of("poisson", "regression", make_problem)
    if names is CLASSIFICATION:
        problem = make_problem("multiclass")
    search = GridSearchCV(make_model(problem, names[0], max_iter=5), {"loss": names}, cv=2, error_score="raise")
    search.fit(problem.X, problem.y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.loss in names


def test_grid_over_a_parameter_of_the_loss(make_problem):
    problem = make_problem("regression")
    grid = {"loss__delta": [0.01, 1.0, 10.0], "alpha": [0.01, 0.1]}
    search = GridSearchCV(make_model(problem, Huber()), grid, cv=2, error_score="raise").fit(problem.X, problem.y)
    assert len(np.unique(search.cv_results_["mean_test_score"])) == 6
    assert search.best_estimator_.loss.delta == search.best_params_["loss__delta"]
    both = {"loss": [Huber(delta=0.5), Quantile(quantile=0.5), "squared_error"]}
    GridSearchCV(make_model(problem, Huber()), both, cv=2, error_score="raise").fit(problem.X, problem.y)


def test_parameters_of_the_loss_are_the_models(make_problem):
    model = NormRegMLPRegressor(loss=Huber(delta=3.0))
    assert model.get_params()["loss__delta"] == 3.0
    assert model.set_params(loss__delta=2.0).loss.delta == 2.0
    assert clone(model).loss.delta == 2.0 and clone(model).loss is not model.loss
    model.set_params(loss=Tweedie(), loss__power=1.2)
    assert model.get_params()["loss__power"] == 1.2
    with pytest.raises(ValueError, match="delta"):
        model.set_params(loss__delta=1.0)


def test_repr_shows_the_loss():
    assert "Huber(delta=2.0)" in repr(NormRegMLPRegressor(loss=Huber(delta=2.0)))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_string_is_the_loss_with_defaults(name, task, make_problem):
    problem = problem_of(name, task, make_problem)
    by_name = make_model(problem, name, max_iter=3).fit(problem.X, problem.y)
    by_object = make_model(problem, LOSSES[name](), max_iter=3).fit(problem.X, problem.y)
    assert by_name.objective_ == by_object.objective_
    assert np.array_equal(by_name.coefs_[0], by_object.coefs_[0])


# ---------------------------------------------------------------------------------------- one loss after another


@pytest.mark.parametrize(
    ("fitted", "later"),
    [("poisson", "squared_error"), ("squared_error", "poisson"), ("gaussian_nll", "huber")],
)
def test_another_loss_does_not_change_a_fitted_regressor(fitted, later, make_problem):
    problem = problem_of("poisson", "multioutput", make_problem)
    model = make_model(problem, fitted).fit(problem.X, problem.y)
    before = model.predict(problem.X)
    model.set_params(loss=later)
    assert np.array_equal(model.predict(problem.X), before)
    model.fit(problem.X, problem.y)
    expected = make_model(problem, later).fit(problem.X, problem.y)
    assert np.array_equal(model.predict(problem.X), expected.predict(problem.X))


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize(("fitted", "later"), [("log_loss", "focal"), ("modified_huber", "log_loss")])
def test_another_loss_does_not_change_a_fitted_classifier(fitted, later, task, make_problem):
    problem = make_problem(task)
    model = make_model(problem, fitted).fit(problem.X, problem.y)
    before = model.predict_proba(problem.X)
    model.set_params(loss=later)
    assert np.array_equal(model.predict_proba(problem.X), before)
    model.fit(problem.X, problem.y)
    expected = make_model(problem, later).fit(problem.X, problem.y)
    assert np.array_equal(model.predict_proba(problem.X), expected.predict_proba(problem.X))


def test_another_loss_does_not_change_what_a_fitted_classifier_can_do(make_problem):
    problem = make_problem("multiclass")
    with_probabilities = make_model(problem, "log_loss").fit(problem.X, problem.y).set_params(loss="hinge")
    assert with_probabilities.predict_proba(problem.X).shape == (60, 3)
    without = make_model(problem, "hinge").fit(problem.X, problem.y).set_params(loss="log_loss")
    assert not hasattr(without, "predict_proba")
    assert hasattr(without.fit(problem.X, problem.y), "predict_proba")


def test_another_parameter_does_not_change_a_fitted_model(make_problem):
    problem = make_problem("multioutput")
    model = make_model(problem, Quantile(quantile=(0.2, 0.8))).fit(problem.X, problem.y)
    before = model.predict(problem.X)
    assert before.shape == (60, 6)
    model.set_params(loss__quantile=(0.2, 0.5, 0.8))
    assert np.array_equal(model.predict(problem.X), before)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_warm_start_under_another_loss(solver, make_problem):
    problem = make_problem("multioutput")
    model = make_model(problem, "squared_error", solver=solver, warm_start=True).fit(problem.X, problem.y)
    before = [W.copy() for W in model.coefs_]
    model.set_params(loss="gaussian_nll")
    with pytest.raises(ValueError, match=r"\(6, 3\).*\(6, 6\)"):
        model.fit(problem.X, problem.y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.coefs_, strict=True))
    model.set_params(loss="huber").fit(problem.X, problem.y)
    scratch = make_model(problem, "huber", solver=solver).fit(problem.X, problem.y)
    assert model.history_["objective"][20] < scratch.history_["objective"][0]


@pytest.mark.parametrize(("name", "task"), CASES)
def test_partial_fit(name, task, make_problem):
    problem = problem_of(name, task, make_problem)
    model = make_model(problem, name, batch_size=60, shuffle=False)
    classes = {"classes": np.unique(problem.y)} if task in ("binary", "multiclass") else {}
    for _ in range(3):
        model.partial_fit(problem.X, problem.y, **classes)
    whole = make_model(problem, name, batch_size=60, shuffle=False, max_iter=3).fit(problem.X, problem.y)
    assert_allclose(model.coefs_[0], whole.coefs_[0], rtol=0, atol=1e-12)


# -------------------------------------------------------------------------- scikit-learn's suite, for each loss

QUICK = dict(max_iter=100, learning_rate_init=0.02)
CHECKED = [
    *(NormRegMLPRegressor(loss=name, **QUICK) for name in REGRESSION),
    *(NormRegMLPClassifier(loss=name, **QUICK) for name in CLASSIFICATION),
    NormRegMLPRegressor(loss=user_losses.Linex(a=0.5), **QUICK),
    NormRegMLPClassifier(loss=user_losses.NumpyMargin(), **QUICK),
]
# Written for transformers, which seldom look at y: it holds class numbers from 0 on.
TRANSFORMER_CHECKS = (
    "check_transformer_data_not_an_array",
    "check_transformer_general",
    "check_transformer_preserve_dtypes",
    "check_transformer_n_iter",
)


def expected_failures(estimator):
    if estimator.loss == "modified_huber":
        reason = "asks for probabilities above zero; those of modified_huber are zero from a margin of -1 down"
        return {"check_classifiers_multilabel_output_format_predict_proba": reason}
    failures = {}
    if estimator.loss in POSITIVE:
        failures["check_regressor_multioutput"] = "uses negative targets whatever the tag positive_only says"
    if estimator.loss == "gamma":
        failures |= dict.fromkeys(TRANSFORMER_CHECKS, "uses targets of zero whatever the tag positive_only says")
    return failures


@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
