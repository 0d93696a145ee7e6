"""class_weight: factors of the sample weights, by class."""

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_sample_weight

from sknormnet import NormRegMLPClassifier
from sknormnet.inspection import stationarity

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = ("sgd", "adam", "lbfgs", "fista")
NAMES = {
    "int": np.array([3, -1, 8]),
    "float": np.array([3.0, -1.0, 8.0]),
    "str": np.array(["oak", "elm", "yew"]),
    "object": np.array(["oak", "elm", "yew"], dtype=object),
}


def make_model(class_weight=None, **params):
    defaults = dict(
        hidden_layer_sizes=(6,), max_iter=6, learning_rate_init=0.05, batch_size=10, alpha=1e-3, random_state=0
    )
    return NormRegMLPClassifier(class_weight=class_weight, **{**defaults, **params})


@pytest.fixture
def rare(make_problem):
    """Three classes of unequal frequency."""
    problem = make_problem("multiclass")
    keep = np.r_[np.flatnonzero(problem.y == 0)[:4], np.flatnonzero(problem.y > 0)]
    return problem.X[keep], problem.y[keep]


def assert_same_model(model, other):
    for ours, theirs in zip(model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert_array_equal(ours, theirs)
    assert model.history_["objective"] == other.history_["objective"]
    assert model.objective_ == other.objective_


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_balanced_is_scikit_learns_sample_weight(solver, early_stopping, rare):
    X, y = rare
    common = dict(solver=solver, early_stopping=early_stopping)
    model = make_model("balanced", **common).fit(X, y)
    assert_same_model(model, make_model(**common).fit(X, y, compute_sample_weight("balanced", y)))


@pytest.mark.parametrize("kind", NAMES)
def test_dict_is_scikit_learns_sample_weight(kind, rare):
    X, y = rare
    y = NAMES[kind][y]
    weights = dict(zip(NAMES[kind].tolist(), [2.0, 0.5, 1], strict=True))
    model = make_model(weights).fit(X, y)
    assert_same_model(model, make_model().fit(X, y, compute_sample_weight(weights, y)))
    part = {label: weight for label, weight in weights.items() if weight != 1}
    assert_same_model(model, make_model(part).fit(X, pd.Series(y)))  # others have 1


def test_bool_classes(make_problem):
    problem = make_problem("binary")
    model = make_model({True: 3.0}).fit(problem.X, problem.y == 1)
    assert_same_model(model, make_model({1: 3.0}).fit(problem.X, problem.y))


def test_times_sample_weight(rare):
    X, y = rare
    weight = np.random.default_rng(0).uniform(0.1, 2.0, len(y))
    expected = make_model().fit(X, y, weight * compute_sample_weight("balanced", y))
    assert_same_model(make_model("balanced").fit(X, y, weight), expected)


def test_rows_of_weight_zero_are_dropped_before_classes_are_counted(rare):
    X, y = rare
    weight = np.ones(len(y))
    weight[y == 1] = np.arange((y == 1).sum()) % 2
    kept = weight > 0
    assert_same_model(make_model("balanced").fit(X, y, weight), make_model("balanced").fit(X[kept], y[kept]))


def test_class_of_weight_zero_is_left_out(rare):
    X, y = rare
    model = make_model({1: 0}).fit(X, y)
    assert model.classes_.tolist() == [0, 2]
    assert_same_model(model, make_model().fit(X[y != 1], y[y != 1]))


def test_warm_start_leaves_the_class_of_weight_zero_out_again(rare):
    X, y = rare
    model = make_model({1: 0}, warm_start=True).fit(X, y).fit(X, y)
    assert_same_model(model, make_model(warm_start=True).fit(X[y != 1], y[y != 1]).fit(X[y != 1], y[y != 1]))


def test_linear_model_agrees_with_logistic_regression(make_problem):
    """The same convex objective: mean over weighted rows here, a sum there."""
    problem = make_problem("binary", n_samples=200)
    alpha, weights = 0.01, {0: 1.0, 1: 7.0}
    total = np.where(problem.y == 1, 7.0, 1.0).sum()
    reference = LogisticRegression(C=1 / (alpha * total), class_weight=weights, tol=1e-10, max_iter=1000)
    reference.fit(problem.X, problem.y)
    model = make_model(weights, hidden_layer_sizes=(), solver="lbfgs", alpha=alpha, tol=1e-8, max_iter=1000)
    model.fit(problem.X, problem.y)
    # gradients of 1e-8 over a curvature of at least alpha
    np.testing.assert_allclose(model.coefs_[0].ravel(), reference.coef_.ravel(), atol=1e-5)


def test_partial_fit_takes_a_dict(rare):
    X, y = rare
    weights = {0: 5.0, 2: 0.5}
    model, other = make_model(weights), make_model()
    for rows in (slice(0, 20), slice(20, None)):
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        other.partial_fit(X[rows], y[rows], compute_sample_weight(weights | {1: 1.0}, y[rows]), classes=[0, 1, 2])
    assert_same_model(model, other)


def test_partial_fit_may_name_classes_that_are_yet_to_come(rare):
    X, y = rare
    model = make_model({0: 2.0, 1: 3.0}).partial_fit(X[y > 0], y[y > 0], classes=[0, 1, 2])
    model.partial_fit(X, y)
    assert model.classes_.tolist() == [0, 1, 2]


def test_warm_start_may_name_classes_of_the_first_fit(rare):
    X, y = rare
    model = make_model({0: 2.0}, warm_start=True).fit(X, y)
    assert model.fit(X[y > 0], y[y > 0]).classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("class_weight", ["balanced", {0: 5.0, 1: 0.0}])
@pytest.mark.parametrize("scoring", [None, "accuracy"])
def test_training_datas_class_weights_weigh_validation_data(scoring, class_weight, rare):
    """Not those of the validation data's own frequencies."""
    X, y = rare
    X_val, y_val = X[::2], y[::2]
    model = make_model(class_weight, validation_scoring=scoring).fit(X, y, X_val=X_val, y_val=y_val)
    if class_weight == "balanced":
        weight = (len(y) / (3 * np.bincount(y)))[y_val]
    else:
        weight = compute_sample_weight(class_weight | {2: 1.0}, y_val)
    score = accuracy_score(y_val, model.predict(X_val), sample_weight=weight)
    assert model.best_validation_score_ == pytest.approx(score, rel=1e-12)
    kept = weight > 0
    expected = log_loss(
        y_val[kept], model.predict_proba(X_val[kept]), sample_weight=weight[kept], labels=model.classes_
    )
    best = np.argmax(model.validation_scores_)
    assert model.history_["validation_loss"][best] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 5.0, 2: 0.1}])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_certificate_is_about_the_weighted_objective(penalty, class_weight, rare):
    X, y = rare
    model = make_model(
        class_weight, activation="tanh", solver="fista", penalty=penalty, alpha=0.01, tol=1e-5, max_iter=5000
    ).fit(X, y)
    assert model.stop_reason_ == "stationary"
    assert stationarity(model, X, y).relative <= 1e-5 * (1 + 1e-6)  # the same sums in another order
    weighed = stationarity(model.set_params(class_weight=None), X, y)
    assert weighed.relative <= 1e-5 * (1 + 1e-6)  # the fit's weights count, whatever the parameter says now
    assert stationarity(model.fit(X, y).set_params(class_weight=class_weight), X, y).relative <= 1e-5 * (1 + 1e-6)


REFUSED = {
    "unknown class": ({0: 1.0, 7: 2.0}, r"class_weight names \[7\], which are no classes: \[0, 1, 2\]"),
    "negative": ({0: -1.0}, "finite numbers >= 0, got -1.0 for class 0"),
    "infinite": ({0: np.inf}, "finite numbers >= 0, got inf"),
    "NaN": ({0: np.nan}, "finite numbers >= 0, got nan"),
    "text": ({0: "2"}, "finite numbers >= 0, got '2'"),
    "bool": ({0: True}, "finite numbers >= 0, got True"),
    "None": ({0: None}, "finite numbers >= 0, got None"),
    "all zero": ({0: 0, 1: 0, 2: 0}, "class_weight leaves no row"),
    "one class left": ({0: 0, 1: 0}, "one class only"),
    "list": ([1.0, 2.0, 3.0], "class_weight of one column of classes must be 'balanced' or a dict"),
    "other word": ("balance", "'class_weight' parameter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_class_weights_leave_the_estimator_as_it_was(case, rare):
    class_weight, message = REFUSED[case]
    model = make_model().fit(*rare).set_params(class_weight=class_weight)
    before = joblib.hash(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(*rare)
    assert joblib.hash(vars(model)) == before


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0}])
def test_labels_have_no_class_weights(class_weight, make_problem):
    problem = make_problem("multilabel")
    with pytest.raises(ValueError, match="class_weight is for classes in one column"):
        make_model(class_weight).fit(problem.X, problem.y)


def test_refused_by_partial_fit(rare):
    X, y = rare
    with pytest.raises(ValueError, match="needs all data at once; give partial_fit a dict"):
        make_model("balanced").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"class_weight names \[9\]"):
        make_model({9: 2.0}).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="class_weight leaves no row"):
        make_model({0: 0.0}).partial_fit(X[y == 0], y[y == 0], classes=[0, 1, 2])


def test_refused_where_the_product_overflows(rare):
    X, y = rare
    with pytest.raises(ValueError, match="sample_weight times class_weight is infinite"):
        make_model({0: 1e308}).fit(X, y, np.full(len(y), 100.0))


def test_clone_and_search(rare):
    X, y = rare
    weights = {0: 2.0, 1: 1.0}
    model = clone(make_model(weights))
    assert model.class_weight == weights
    search = GridSearchCV(model, {"class_weight": [None, "balanced", weights]}, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 3
