"""validation_scoring, refused validation data, and routing them through pipelines and searches."""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from fits import assert_same_model, epochs, halves, make_model
from numpy.testing import assert_array_equal
from sklearn.metrics import accuracy_score, get_scorer, log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.losses import Quantile

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SCORERS = [
    ("binary", "accuracy"),
    ("binary", "neg_log_loss"),
    ("multiclass", "neg_log_loss"),
    ("binary", "roc_auc"),
    ("multilabel", "f1_macro"),
    ("regression", "r2"),
    ("regression", "neg_mean_squared_error"),
    ("multioutput", "neg_mean_squared_error"),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task, scoring", SCORERS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scorer_by_name_scores_each_epochs_model(solver, task, scoring, weighted, make_problem):
    problem = make_problem(task)
    train, val = halves(problem)
    weight = np.linspace(0.1, 3.0, 20) if weighted else None
    keywords = {} if weight is None else {"sample_weight": weight}
    model = make_model(problem, solver=solver, validation_scoring=scoring, max_iter=4)
    model.fit(*train, **val, sample_weight_val=weight)
    scorer = get_scorer(scoring)
    by_epoch = epochs(problem, train, 4, solver=solver)
    expected = [scorer(each, *val.values(), **keywords) for each in by_epoch]
    assert model.validation_scores_ == pytest.approx(expected, rel=1e-12, abs=1e-12)  # weights of mean 1
    assert_same_model(model, by_epoch[np.argmax(expected)])


@pytest.mark.parametrize("task", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
def test_loss_as_score(solver, task, make_problem):
    """Minus the mean loss: scikit-learn's log loss, or half its squared error."""
    problem = make_problem(task)
    train, val = halves(problem)
    model = make_model(problem, solver=solver, validation_scoring="loss").fit(*train, **val)
    if task == "multiclass":
        loss = log_loss(val["y_val"], model.predict_proba(val["X_val"]))
    else:
        loss = mean_squared_error(val["y_val"], model.predict(val["X_val"])) / 2
    assert model.best_validation_score_ == pytest.approx(-loss, rel=1e-9)
    assert [-score for score in model.validation_scores_] == model.history_["validation_loss"]


@pytest.mark.parametrize("given", [False, True])
def test_callable_gets_arrays_and_a_model_that_predicts(given, make_problem):
    problem = make_problem("binary")
    X, y = pd.DataFrame(problem.X, columns=list("abcde")), pd.Series(np.array(["no", "yes"])[problem.y])
    seen = []

    def scorer(estimator, X, y):
        seen.append((X.shape, estimator.coefs_))
        return accuracy_score(y, estimator.predict(X))

    model = make_model(problem, validation_scoring=scorer, early_stopping=not given)
    plain = make_model(problem, early_stopping=not given)
    data = {"X_val": X[40:], "y_val": y[40:]} if given else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*feature names")
        model.fit(X, y, **data)
    plain.fit(X, y, **data)
    assert model.validation_scores_ == plain.validation_scores_
    assert_same_model(model, plain)
    assert {shape for shape, _ in seen} == {(20 if given else 6, 5)}
    assert all(not np.array_equal(W[0], seen[0][1][0]) for _, W in seen[1:])  # a model of its own each time


def test_callable_gets_weights_where_there_are_any(make_problem):
    problem = make_problem("regression")
    train, val = halves(problem)
    seen = []

    def scorer(estimator, X, y, sample_weight=None):
        seen.append(sample_weight)
        return 0.0

    weight = np.linspace(1.0, 3.0, 20)
    make_model(problem, validation_scoring=scorer, max_iter=1).fit(*train, **val, sample_weight_val=weight)
    make_model(problem, validation_scoring=scorer, max_iter=1).fit(*train, **val)
    assert seen[0] == pytest.approx(weight / weight.mean())
    assert seen[1] is None


def test_nan_is_worse_than_everything(make_problem):
    problem = make_problem("regression")
    train, val = halves(problem)
    scores = iter([np.nan, 1.0, np.nan, 0.5, np.nan, np.nan])
    model = make_model(problem, validation_scoring=lambda estimator, X, y: next(scores)).fit(*train, **val)
    assert model.best_validation_score_ == 1.0
    assert_same_model(model, make_model(problem, max_iter=2).fit(*train))


def broken(estimator, X, y):
    raise RuntimeError("no score today")


GOOD = {"X_val": lambda X: X, "y_val": lambda y: y}
REFUSED = {
    "without y_val": ({"y_val": lambda y: None}, {}, "X_val and y_val belong together"),
    "without X_val": ({"X_val": lambda X: None}, {}, "X_val and y_val belong together"),
    "other columns": ({"X_val": lambda X: X[:, :3]}, {}, "X has 3 features, but NormRegMLPClassifier is expecting 5"),
    "other names": ({"X_val": lambda X: pd.DataFrame(X, columns=list("vwxyz"))}, {}, "feature names"),
    "unequal length": ({"X_val": lambda X: X[:7]}, {}, r"inconsistent numbers of samples: \[7, 20\]"),
    "no rows": ({"X_val": lambda X: X[:0], "y_val": lambda y: y[:0]}, {}, "0 sample"),
    "NaN": ({"X_val": lambda X: X * np.nan}, {}, "NaN"),
    "unknown class": (
        {"y_val": lambda y: np.where(y > 0, 2, 0)},
        {},
        r"classes \[2\], which are not among .*leave such rows out",
    ),
    "other type of class": ({"y_val": lambda y: y.astype(str)}, {}, "not among the fitted ones"),
    "labels": ({"y_val": lambda y: np.c_[y, y]}, {}, "indicator matrix"),
    "continuous": ({"y_val": lambda y: y + 0.5}, {}, "continuous"),
    "negative weight": ({"sample_weight_val": lambda _: np.full(20, -1.0)}, {}, "[Nn]egative"),
    "zero weights": ({"sample_weight_val": lambda _: np.zeros(20)}, {}, "at least one non-zero number"),
    "one weight for all": ({"sample_weight_val": lambda _: np.nan}, {}, "must be finite, got nan"),
    "number of weights": ({"sample_weight_val": lambda _: np.ones(7)}, {}, "sample_weight"),
    "a metric": ({}, {"validation_scoring": accuracy_score}, "metric function rather than a scorer"),
    "no scorer": ({}, {"validation_scoring": "acuracy"}, "'validation_scoring' parameter"),
    "scorer raises": ({}, {"validation_scoring": broken}, "no score today"),
    "scorer of probabilities": (
        {},
        {"validation_scoring": "neg_log_loss", "loss": "hinge"},
        "validation_scoring.*predict_proba",
    ),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", REFUSED)
def test_refused_data_leave_the_estimator_as_it_was(case, method, make_problem):
    changed, params, message = REFUSED[case]
    problem = make_problem("binary")
    (X, y), val = halves(problem)
    X = pd.DataFrame(X, columns=list("abcde")) if case == "other names" else X
    val = {name: change(val.get(name)) for name, change in {**GOOD, **changed}.items()}
    first = X if method == "partial_fit" else problem.X[:40, :4]  # a fit may change what is known about features
    model = make_model(problem, loss=params.get("loss", "log_loss")).fit(first, y).set_params(**params)
    before = joblib.hash(vars(model))
    with pytest.raises((ValueError, RuntimeError), match=message):
        getattr(model, method)(X, y, **val)
    assert joblib.hash(vars(model)) == before


def test_only_weights_are_given(make_problem):
    problem = make_problem("regression")
    with pytest.raises(ValueError, match="belong together"):
        make_model(problem).fit(problem.X, problem.y, sample_weight_val=np.ones(60))


def test_regression_refuses_too(make_problem):
    problem = make_problem("regression")
    model = make_model(problem, loss="poisson")
    with pytest.raises(ValueError, match=r"validation data .*: Poisson"):
        model.fit(problem.X, np.abs(problem.y), X_val=problem.X, y_val=problem.y)
    with pytest.raises(ValueError, match="validation data .* has 2 targets, the first fit had 1"):
        make_model(problem).fit(problem.X, problem.y, X_val=problem.X, y_val=np.c_[problem.y, problem.y])
    several = make_model(problem, loss=Quantile((0.1, 0.9)), early_stopping=True, validation_scoring="r2")
    with pytest.raises(ValueError, match="validation_scoring.*cannot score this model.*number of output"):
        several.fit(problem.X, problem.y)
    assert not hasattr(model, "coefs_")


def test_pipeline_transforms_validation_data(make_problem):
    problem = make_problem("binary")
    (X, y), val = halves(problem)
    scaler = StandardScaler().fit(100 * X + 7)
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_model(problem, early_stopping=True).set_fit_request(X_val=True, y_val=True)
        pipe = Pipeline([("scale", StandardScaler()), ("net", model)], transform_input=["X_val"])
        pipe.fit(100 * X + 7, y, X_val=100 * val["X_val"] + 7, y_val=val["y_val"])
    alone = make_model(problem, early_stopping=True).fit(
        scaler.transform(100 * X + 7), y, X_val=scaler.transform(100 * val["X_val"] + 7), y_val=val["y_val"]
    )
    assert_same_model(pipe[-1], alone)
    assert pipe[-1].validation_scores_ == alone.validation_scores_
    score = pipe.score(100 * val["X_val"] + 7, val["y_val"])
    assert pipe[-1].best_validation_score_ == pytest.approx(score, rel=1e-12)


class Recorder(NormRegMLPRegressor):
    """Keeps the X_val of its fit."""

    def fit(self, X, y, *, X_val=None, y_val=None):
        self.seen_ = X_val
        return super().fit(X, y, X_val=X_val, y_val=y_val)


@pytest.mark.parametrize("n_val", [59, 60, 61])
def test_a_search_slices_whatever_is_as_long_as_X(n_val, make_problem):
    """scikit-learn's rule, which fit's documentation warns of: with n_val = n a fold sees its rows of X_val only."""
    problem = make_problem("regression")
    rng = np.random.default_rng(1)
    X_val, y_val = rng.standard_normal((n_val, 5)), rng.standard_normal(n_val)
    rows = {"train": []}

    def scorer(estimator, X, y):
        rows["train"].append(estimator.seen_)
        return 0.0

    with sklearn.config_context(enable_metadata_routing=True):
        model = Recorder((3,), max_iter=2, random_state=0).set_fit_request(X_val=True, y_val=True)
        search = GridSearchCV(model, {"alpha": [0.1]}, cv=KFold(3), refit=False, scoring=scorer)
        search.fit(problem.X, problem.y, X_val=X_val, y_val=y_val)
    for seen, (train, _) in zip(rows["train"], KFold(3).split(problem.X), strict=True):
        assert_array_equal(seen, X_val[train] if n_val == 60 else X_val)


def test_search_over_scorings(make_problem):
    problem = make_problem("binary")
    model = NormRegMLPClassifier((4,), early_stopping=True, max_iter=5, random_state=0)
    grid = {"validation_scoring": [None, "loss", "neg_log_loss"]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(problem.X, problem.y)
    assert search.best_params_["validation_scoring"] in grid["validation_scoring"]
