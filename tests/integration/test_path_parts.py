"""Folds and halves, on which paths are followed beside that of all rows: their classes, weights and warnings."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold

from sknormnet import NormRegMLPClassifier, NormRegMLPClassifierCV, PerLayer, stability_selection
from sknormnet.penalties import GroupLasso

SETTINGS = dict(
    penalty=PerLayer(first=GroupLasso("input"), hidden="l2", last="l2"),
    learning_rate_init=0.02,
    max_iter=30,
    random_state=0,
)
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def columns():
    """Two columns of classes; the last third of the rows has all of one of them."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 5))
    second = (X[:, 1] > 0).astype(int)
    return X + np.repeat([0, 1, 2], 30)[:, np.newaxis], np.column_stack([np.repeat([0, 1, 2], 30), second])


def cross_validated(X, y, *, cv, sample_weight=None, **settings):
    return NormRegMLPClassifierCV((4,), n_alphas=4, cv=cv, **{**SETTINGS, **settings}).fit(X, y, sample_weight)


@quiet
@pytest.mark.parametrize("column", [0, None], ids=["one column", "two columns"])
def test_a_fold_without_a_class_has_the_classes_of_all_rows(columns, column):
    X, y = columns
    seen = []

    def scoring(model, X_test, y_test):
        p = model.predict_proba(X_test)
        seen.append([len(of_column) for of_column in model.classes_] if column is None else len(model.classes_))
        return p[0].max() if column is None else p.max()

    model = cross_validated(X, y if column is None else y[:, column], cv=KFold(3), scoring=scoring)
    assert model.scores_path_.shape == (4, 3)
    assert all(n_classes == ([3, 2] if column is None else 3) for n_classes in seen)


@quiet
def test_halves_of_several_columns_are_no_labels(columns, monkeypatch):
    """Where a half has the classes 0 and 1 alone in all columns, it looks like labels."""
    X, y = columns
    y = y.copy()
    y[y == 2] = 0
    y[:2, 0] = 2  # one of two thirds of the pairs of halves has both in one half
    losses = []
    own = NormRegMLPClassifier._outputs

    def outputs(self, loss, n_targets):
        losses.append(own(self, loss, n_targets))
        return losses[-1]

    monkeypatch.setattr(NormRegMLPClassifier, "_outputs", outputs)
    model = NormRegMLPClassifier((3,), **SETTINGS)
    stability_selection(model, X, y, n_resamples=6, n_alphas=3, n_features=2, random_state=0)
    assert {n_raw for _, n_raw in losses} == {4}  # three classes and one of two


@quiet
def test_columns_of_words_and_numbers(columns):
    X, y = columns
    frame = pd.DataFrame({"word": np.array(["u", "v", "w"])[y[:, 0]], "number": y[:, 1]})
    cv = KFold(3, shuffle=True, random_state=0)
    assert_array_equal(cross_validated(X, frame, cv=cv).scores_path_, cross_validated(X, y, cv=cv).scores_path_)
    assert_array_equal(cross_validated(X, frame, cv=3).scores_path_, cross_validated(X, y, cv=KFold(3)).scores_path_)


@quiet
def test_one_column_is_stratified(columns):
    X, y = columns
    y = y[:, :1]
    expected = cross_validated(X, y[:, 0], cv=StratifiedKFold(3)).scores_path_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a column vector was given
        assert_array_equal(cross_validated(X, y, cv=3).scores_path_, expected)


@quiet
def test_a_fold_of_no_weight_has_no_score(columns):
    X, y = columns
    weight = np.repeat([1.0, 1.0, 0.0], 30)
    model = cross_validated(X, y[:, 1], cv=KFold(3), sample_weight=weight)
    assert np.isnan(model.scores_path_).all(axis=0).tolist() == [False, False, True]
    np.testing.assert_allclose(model.mean_scores_, model.scores_path_[:, :2].mean(axis=1))
    error = model.scores_path_[:, :2].std(axis=1)
    np.testing.assert_allclose(model.standard_errors_, error)


@quiet
def test_folds_of_no_weight_at_all_are_refused(columns):
    X, y = columns
    weight = np.repeat([1.0, 1.0, 0.0], 30)
    with pytest.raises(ValueError, match="zero in the test rows of every fold"):
        cross_validated(X, y[:, 1], cv=[(np.arange(60), np.arange(60, 90))], sample_weight=weight)


@quiet
def test_a_fold_with_one_class_is_refused(columns):
    X, _ = columns
    with pytest.raises(ValueError, match="training rows of fold 0: y has one class only"):
        cross_validated(X, np.arange(90) < 45, cv=KFold(2))


@quiet
def test_given_strengths_are_copied(columns):
    X, y = columns
    alphas = np.array([0.01, 0.1])
    model = NormRegMLPClassifierCV((4,), alphas=alphas, cv=3, **SETTINGS).fit(X, y[:, 0])
    assert not np.shares_memory(model.alphas_, alphas)


def test_budgets_of_folds_are_told(columns, capsys):
    X, y = columns
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cross_validated(X, y[:, 0], cv=3, max_iter=1, verbose=True)
    of_path, of_folds = [w for w in caught if w.category is ConvergenceWarning]
    assert str(of_path.message).startswith("At 4 of 4 strengths")
    assert str(of_folds.message).startswith("In 3 of 3 folds the solver did not end by itself")
    assert of_path.filename == of_folds.filename == __file__
    assert capsys.readouterr().out.count("alpha") == 1  # the table of one path
