"""Classes in several columns: what is refused names the column and leaves the estimator as it was."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from sknormnet import NormRegMLPClassifier
from sknormnet.inspection import stationarity
from sknormnet.losses import LogLoss, Loss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 40
X = RNG.standard_normal((N, 3))
Y = np.column_stack([np.arange(N) % 3, np.arange(N) % 2])
NAMES = np.column_stack([np.array(["oak", "elm", "yew"])[Y[:, 0]], np.array(["no", "yes"])[Y[:, 1]]])


def make_model(**params):
    return NormRegMLPClassifier((4,), max_iter=3, random_state=0, **params)


def with_entry(row, column, value, dtype=object):
    y = NAMES.astype(dtype)
    y[row, column] = value
    return y


BAD_Y = {
    "continuous": (Y + 0.5, "continuous-multioutput"),
    "continuous column": (np.column_stack([NAMES, X[:, 0].astype(object)]), "column 2 of y: .*continuous"),
    "one class": (np.column_stack([Y, np.full(N, 7)]), r"column 2 of y: y has one class only, \[7\]"),
    "one string": (np.column_stack([NAMES, np.full(N, "a")]), r"column 2 of y: y has one class only, \['a'\]"),
    "mixed column": (with_entry(0, 1, 3), "column 1 of y: its classes must be all strings or all numbers"),
    "None": (with_entry(0, 1, None), "column 1 of y: its classes must be all strings or all numbers"),
    "list": (with_entry(0, 1, [1]), "column 1 of y|inhomogeneous"),
    "NaN": (with_entry(3, 0, np.nan), "NaN"),
    "dates": (np.column_stack([NAMES, pd.date_range("2020", periods=N).astype(object)]), "column 2 of y: its classes"),
    "two numbers that are no labels": (Y % 2 + 1, r"0 and 1 only.*pass y.astype\(str\)"),
    "three dimensions": (np.zeros((N, 2, 2)), "dim|array"),
    "length": (Y[1:], "inconsistent"),
}


@pytest.mark.parametrize("case", BAD_Y)
@pytest.mark.parametrize("before", ["columns", "plain"])
def test_bad_y(case, before):
    y, message = BAD_Y[case]
    model = make_model().fit(X, Y if before == "columns" else Y[:, 0])
    state = joblib.hash(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert joblib.hash(vars(model)) == state


def test_class_of_rows_without_weight_does_not_count():
    with pytest.raises(ValueError, match=r"column 1 of y: y has one class only, \[1\] \(of the rows with a positive"):
        make_model().fit(X, Y, sample_weight=Y[:, 1])


LATER = {
    "unknown class": (
        Y + [0, 5],
        r"column 1 of y: y has classes \[5, 6\], which are not among the fitted ones, \[0, 1\]",
    ),
    "more columns": (np.column_stack([Y, Y]), "y has 4 column.*the first fit had 2 columns of classes"),
    "one column": (Y[:, 0], "y has 1 column.*the first fit had 2 columns of classes"),
    "continuous": (Y + 0.5, "column 0 of y: .*continuous"),
}


@pytest.mark.parametrize("class_weight", [None, [{0: 2.0}, {}]])
@pytest.mark.parametrize("case", LATER)
def test_other_data_have_the_same_columns(case, class_weight):
    y, message = LATER[case]
    model = make_model(class_weight=class_weight, warm_start=True)
    with pytest.raises(ValueError, match=f"validation data .*{message}"):
        model.fit(X, Y, X_val=X, y_val=y)
    assert not hasattr(model, "classes_")
    model.fit(X, Y)
    for call in (model.fit, model.partial_fit, lambda X, y: stationarity(model, X, y)):
        with pytest.raises(ValueError, match=message):
            call(X, y)


FIRST = {
    "plain": (Y[:, 0], "the first fit had classes in one column"),
    "labels": (Y % 2, "indicator matrix|0 and 1 only"),
}


@pytest.mark.parametrize("class_weight", [None, [{"oak": 2.0}, {}]])
@pytest.mark.parametrize("kind", FIRST)
def test_columns_do_not_follow_another_kind(kind, class_weight):
    y, message = FIRST[kind]
    model = make_model(warm_start=True).fit(X, y).set_params(class_weight=class_weight)
    if class_weight is not None and kind == "labels":
        message = "class_weight is for classes in one column or several"
    for call in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            call(X, NAMES)


CLASSES = {
    "none": (None, "first call of partial_fit needs classes="),
    "of one column": ([0, 1, 2], "a list with an array of classes for each of the 2 columns"),
    "a column less": ([[0, 1, 2]], "a list with an array of classes for each of the 2 columns"),
    "a column more": ([[0, 1, 2]] * 3, "a list with an array of classes for each of the 2 columns"),
    "one class": ([[0, 1, 2], [1]], "column 1 of y: y has one class only"),
    "not all": ([[0, 1], [0, 1]], r"column 0 of y: y has classes \[2\], which are not among"),
    "mixed": ([[0, 1, 2], [0, "a"]], "column 1 of y"),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes_of_partial_fit(case):
    classes, message = CLASSES[case]
    with pytest.raises(ValueError, match=message):
        make_model().partial_fit(X, Y, classes=classes)
    model = make_model().partial_fit(X, Y, classes=[[0, 1, 2], [0, 1]])
    if classes is not None:
        with pytest.raises(ValueError, match="differ|list with an array|column"):
            model.partial_fit(X, Y, classes=classes)


def test_classes_of_columns_are_not_for_one_column():
    with pytest.raises(ValueError, match="classes= are those of 2 columns, y has one"):
        make_model().partial_fit(X, Y[:, 0], classes=[[0, 1, 2], [0, 1]])


WEIGHTS = {
    "dict": ({0: 2.0}, "must be 'balanced' or a list of dicts"),
    "words": (["balanced", "balanced"], "must be 'balanced' or a list of dicts"),
    "too few": ([{}], r"class_weight has 1 dicts, y has 2 columns"),
    "unknown": ([{}, {7: 1.0}], r"column 1 of y: class_weight names \[7\], which are no classes: \[0, 1\]"),
    "negative": ([{0: -1.0}, {}], "column 0 of y: class_weight must be finite numbers >= 0, got -1.0 for class 0"),
    "nothing left": ([{0: 0.0, 1: 0.0, 2: 0.0}, {}], "class_weight leaves no row"),
    "infinite together": ([{0: 1e200}, {0: 1e200}], "sample_weight times class_weight is infinite"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_class_weights(case):
    class_weight, message = WEIGHTS[case]
    with pytest.raises(ValueError, match=message):
        make_model(class_weight=class_weight).fit(X, Y)


def test_balanced_class_weights_need_all_data():
    with pytest.raises(ValueError, match="needs all data at once; give partial_fit a dict.*list with one for each col"):
        make_model(class_weight="balanced").partial_fit(X, Y, classes=[[0, 1, 2], [0, 1]])


class TwoClasses(Loss):
    """A loss of one's own that has no form for several classes."""

    task = "classification"
    domain = "0 or 1"

    def in_domain(self, y):
        return y < 2

    def n_raw(self, n_targets, n_classes=None):
        if n_classes is not None and n_classes > 2:
            raise ValueError(f"two classes only, got {n_classes}")
        return n_targets

    def value_and_gradient(self, y, raw, sample_weight=None):
        return LogLoss().value_and_gradient(y, raw, sample_weight)


class ManyColumns(TwoClasses):
    def n_raw(self, n_targets, n_classes=None):
        return 7


class NoNumberTwo(TwoClasses):
    def n_raw(self, n_targets, n_classes=None):
        return Loss.n_raw(self, n_targets, n_classes)


OWN = {
    "n_raw raises": (TwoClasses(), "column 0 of y: two classes only, got 3"),
    "n_raw is wrong": (ManyColumns(), r"column 0 of y: n_raw of ManyColumns\(\) returned 7 for 3 classes"),
    "domain": (NoNumberTwo(), r"column 0 of y.*NoNumberTwo\(\) takes targets in its domain only, 0 or 1"),
}


@pytest.mark.parametrize("case", OWN)
def test_losses_of_ones_own(case):
    loss, message = OWN[case]
    with pytest.raises(ValueError, match=message):
        make_model(loss=loss).fit(X, Y)


def test_two_columns_of_two_classes_suit_a_loss_of_two():
    assert make_model(loss=TwoClasses()).fit(X, NAMES[:, [1, 1]]).n_outputs_ == 2


def test_scikit_learns_accuracy_has_no_such_targets():
    with pytest.raises(ValueError, match="multiclass-multioutput"):
        make_model(validation_scoring="accuracy").fit(X, Y, X_val=X, y_val=Y)


DAMAGED = {
    "a column less": lambda classes: classes[:-1],
    "a class less": lambda classes: [classes[0][:-1], classes[1]],
    "an array": lambda classes: classes[0],
    "no arrays": lambda classes: [None, None],
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_classes(case):
    model = make_model().fit(X, Y)
    model.classes_ = DAMAGED[case](model.classes_)
    for load in (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))):
        with pytest.raises(ValueError, match="damaged"):
            load(model)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            getattr(model, method)(X)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError):
        getattr(make_model(class_weight=[{}, {}]), method)(X)
