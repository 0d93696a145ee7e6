"""Validation data of one's own: what is noted, what is kept and when the fit stops."""

import warnings

import numpy as np
import oracles
import pandas as pd
import pytest
import scipy.sparse as sp
from fits import assert_same_model, epochs, halves, make_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sknormnet.losses import Quantile

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = ("sgd", "adam", "lbfgs", "fista")
TASKS = ("binary", "multiclass", "multilabel", "regression", "multioutput")
# The same arithmetic in double, summed in another order.
ROUNDING = 1e-12


def mean_loss(problem, model, X, y, weight=None):
    target = np.eye(3)[y] if problem.task == "multiclass" else y.reshape(len(y), -1)
    raw = oracles.raw_prediction(X, model.coefs_, model.intercepts_)
    return np.average(problem.loss(target, raw), weights=weight)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_history_has_score_and_loss_of_each_epochs_model(solver, task, weighted, make_problem):
    problem = make_problem(task)
    train, val = halves(problem)
    weight = np.random.default_rng(0).uniform(0.1, 5.0, 20) if weighted else None
    model = make_model(problem, solver=solver).fit(*train, **val, sample_weight_val=weight)
    by_epoch = epochs(problem, train, 6, solver=solver)

    scores = [m.score(val["X_val"], val["y_val"], weight) for m in by_epoch]
    losses = [mean_loss(problem, m, *val.values(), weight) for m in by_epoch]
    assert model.history_["validation_score"] == pytest.approx(scores, rel=ROUNDING, abs=ROUNDING)
    assert model.history_["validation_loss"] == pytest.approx(losses, rel=ROUNDING)
    assert model.validation_scores_ == model.history_["validation_score"]
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ is None
    assert model.stop_reason_ == "max_iter"
    assert_same_model(model, by_epoch[np.argmax(scores)])  # the first of the best


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_best_epoch_is_kept_never_the_start(solver, early_stopping, make_problem):
    """Validation targets of the opposite sign: every step makes the score worse."""
    problem = make_problem("regression")
    val = {"X_val": problem.X, "y_val": -problem.y}
    common = dict(solver=solver, learning_rate_init=1e-3, tol=0.0)
    model = make_model(problem, early_stopping=early_stopping, **common).fit(problem.X, problem.y, **val)
    assert np.argmax(model.validation_scores_) == 0
    assert_same_model(model, make_model(problem, max_iter=1, **common).fit(problem.X, problem.y))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss, score", [("absolute_error", np.nan), ("squared_error", np.nan), ("huber", -np.inf)])
def test_scores_that_are_all_nan_choose_the_last_epoch_and_warn(solver, loss, score, make_problem):
    """The full-batch solvers remember their start for a kinked loss: it must not come back."""
    problem = make_problem("regression")
    common = dict(solver=solver, loss=loss, alpha=0.0, learning_rate_init=1e-3, max_iter=3)
    model = make_model(problem, validation_scoring=lambda estimator, X, y: score, **common)
    with pytest.warns(UserWarning, match="validation score was NaN or minus infinity in every epoch") as caught:
        model.fit(problem.X, problem.y, X_val=problem.X, y_val=-problem.y)
    assert {w.filename for w in caught if "NaN" in str(w.message)} == {__file__}
    assert np.isnan(model.best_validation_score_)
    assert_same_model(model, make_model(problem, **common).fit(problem.X, problem.y))


@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("solver", SOLVERS)
def test_patience_counts_epochs_without_improvement(solver, patience, make_problem):
    """The first score is the best: it and exactly n_iter_no_change others are seen."""
    problem = make_problem("regression")
    model = make_model(
        problem,
        solver=solver,
        early_stopping=True,
        n_iter_no_change=patience,
        max_iter=50,
        learning_rate_init=1e-3,
        tol=0.0,
    ).fit(problem.X, problem.y, X_val=problem.X, y_val=-problem.y)
    assert model.n_iter_ == len(model.validation_scores_) == 1 + patience
    assert model.stop_reason_ == "patience"


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_early_stopping_the_score_stops_nothing(solver, make_problem):
    problem = make_problem("regression")
    val = {"X_val": problem.X, "y_val": -problem.y}
    common = dict(solver=solver, n_iter_no_change=2, max_iter=12, learning_rate_init=1e-3, tol=1e-12)
    watched = make_model(problem, **common).fit(problem.X, problem.y, **val)
    alone = make_model(problem, **common).fit(problem.X, problem.y)
    assert watched.history_["objective"] == alone.history_["objective"]
    assert watched.stop_reason_ == alone.stop_reason_


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_internal_split_equals_the_same_rows_given(task, make_problem):
    """scikit-learn's split, drawn after the initial weights, stratified where there are classes."""
    problem = make_problem(task)
    inside = make_model(problem, early_stopping=True, shuffle=False, batch_size=60, validation_fraction=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # batch_size is cut
        inside.fit(problem.X, problem.y)
    rng = np.random.RandomState(0)
    for fan_in, fan_out in [(W.shape[0], W.shape[1]) for W in inside.coefs_]:
        rng.uniform(size=(fan_in, fan_out))
        rng.uniform(size=fan_out)
    stratify = problem.y if task in ("binary", "multiclass") else None
    train, rows = train_test_split(np.arange(60), test_size=0.2, random_state=rng, stratify=stratify)
    given = make_model(problem, early_stopping=True, shuffle=False, batch_size=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        given.fit(problem.X[train], problem.y[train], X_val=problem.X[rows], y_val=problem.y[rows])
    # Batches gather the rows in the same order, so that both do the same arithmetic, but for the sum of products.
    assert inside.validation_scores_ == pytest.approx(given.validation_scores_, rel=1e-9)
    assert inside.history_["validation_loss"] == pytest.approx(given.history_["validation_loss"], rel=1e-9)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_sample_weights_weigh_the_rows_held_out(task, make_problem):
    problem = make_problem(task)
    weight = np.random.default_rng(0).uniform(0.1, 5.0, 60)
    model = make_model(problem, hidden_layer_sizes=(), early_stopping=True, validation_fraction=0.2)
    model.fit(problem.X, problem.y, weight)
    rng = np.random.RandomState(0)
    rng.uniform(size=6)  # initial weights
    _, rows = train_test_split(
        np.arange(60), test_size=0.2, random_state=rng, stratify=problem.y if task == "binary" else None
    )
    X, y, weight = problem.X[rows], problem.y[rows], weight[rows]
    assert model.best_validation_score_ == pytest.approx(model.score(X, y, weight), rel=ROUNDING)
    loss = model.history_["validation_loss"][np.argmax(model.validation_scores_)]
    assert loss == pytest.approx(mean_loss(problem, model, X, y, weight), rel=ROUNDING)


RARE = {
    "one row of two classes": np.arange(60) == 7,
    "one row of three classes": np.where(np.arange(60) == 7, 2, np.arange(60) % 2),
    "more classes than rows held out": np.arange(60) % 10,
}


@pytest.mark.parametrize("case", RARE)
def test_classes_too_rare_to_split_warn_at_the_users_line(case, make_problem):
    """The rows are those of scikit-learn's split that is not stratified."""
    problem, y = make_problem("multiclass"), RARE[case]
    seen = []

    def note(estimator, X, y):
        seen.append(X)
        return 0.0

    model = make_model(problem, hidden_layer_sizes=(), early_stopping=True, validation_scoring=note, max_iter=1)
    with pytest.warns(UserWarning, match="the validation set is not stratified") as caught:
        model.fit(problem.X, y)
    assert [w.filename for w in caught if "stratified" in str(w.message)] == [__file__]
    rng = np.random.RandomState(0)
    rng.uniform(size=model.coefs_[0].size + model.intercepts_[0].size)  # initial weights
    _, rows = train_test_split(np.arange(60), test_size=0.1, random_state=rng)
    assert np.array_equal(seen[0], problem.X[rows])


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_targets_without_classes_are_split_without_a_word(task, make_problem):
    problem = make_problem(task)
    y = problem.y.copy()
    y[1:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make_model(problem, early_stopping=True).fit(problem.X, y)
    assert len(model.validation_scores_) == 6


def test_rows_of_weight_zero_are_dropped(make_problem):
    problem = make_problem("binary")
    train, val = halves(problem)
    weight = np.tile([0.0, 2.0, 1.0, 0.5], 5)
    kept = weight > 0
    X_val = val["X_val"].copy()
    y_val = val["y_val"].copy()
    y_val[~kept] = 17  # not even a class
    common = dict(early_stopping=True, max_iter=15)
    model = make_model(problem, **common).fit(*train, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    other = make_model(problem, **common).fit(
        *train, X_val=X_val[kept], y_val=y_val[kept], sample_weight_val=weight[kept]
    )
    assert_same_model(model, other)
    assert model.history_["validation_loss"] == other.history_["validation_loss"]


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_only_ratios_of_validation_weights_count(scale, make_problem):
    problem = make_problem("regression")
    train, val = halves(problem)
    weight = np.linspace(1.0, 2.0, 20)
    X = train[0].astype(np.float32)
    small, large = (
        make_model(problem).fit(X, train[1], **val, sample_weight_val=w).history_["validation_loss"]
        for w in (weight, weight * scale)
    )
    assert large == pytest.approx(small, rel=1e-6)  # float32


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array, np.asfortranarray, list])
@pytest.mark.parametrize("sparse_train", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_kind_of_table(dtype, sparse_train, kind, make_problem):
    problem = make_problem("regression")
    train, val = halves(problem)
    X, y = train[0].astype(dtype), train[1].astype(dtype)
    X = sp.csr_array(X) if sparse_train else X
    dense = make_model(problem).fit(X, y, **val)
    model = make_model(problem).fit(X, y, X_val=kind(val["X_val"]), y_val=list(val["y_val"]))
    assert model.coefs_[0].dtype == dtype
    assert model.validation_scores_ == pytest.approx(
        dense.validation_scores_, rel=1e-12 if dtype is np.float64 else 1e-4
    )


def test_frames_and_string_classes(make_problem):
    problem = make_problem("binary")
    names = np.array(["no", "yes"], dtype=object)
    X = pd.DataFrame(problem.X, columns=list("abcde"))
    y = pd.Series(names[problem.y])
    plain = make_model(problem).fit(problem.X[:40], problem.y[:40], X_val=problem.X[40:], y_val=problem.y[40:])
    for scoring in (None, "accuracy"):
        model = make_model(problem, validation_scoring=scoring)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*feature names")
            model.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
        assert model.validation_scores_ == plain.validation_scores_


@pytest.mark.parametrize("loss", ["gaussian_nll", Quantile([0.1, 0.5, 0.9]), "absolute_error"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "fista"])
def test_losses_with_several_columns_or_kinks(solver, loss, make_problem):
    problem = make_problem("regression")
    train, val = halves(problem)
    model = make_model(problem, solver=solver, loss=loss).fit(*train, **val)
    assert model.best_validation_score_ == pytest.approx(model.score(*val.values()), rel=ROUNDING)
    best = np.argmax(model.validation_scores_)
    raw = oracles.raw_prediction(val["X_val"], model.coefs_, model.intercepts_)
    y = val["y_val"][:, np.newaxis]
    formula = {
        "gaussian_nll": oracles.gaussian_nll,
        "absolute_error": oracles.absolute_error,
    }.get(loss, lambda y, raw: oracles.pinball(y, raw, [0.1, 0.5, 0.9]))
    assert model.history_["validation_loss"][best] == pytest.approx(np.mean(formula(y, raw)), rel=1e-9)


@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
def test_partial_fit_with_validation_data(task, make_problem):
    """As many calls as epochs, and the score of each; patience counts calls."""
    problem = make_problem(task)
    classes = {} if task == "regression" else {"classes": np.unique(problem.y) if task == "binary" else range(3)}
    (X, y), val = halves(problem)
    whole = make_model(problem, early_stopping=True, n_iter_no_change=2, max_iter=60, tol=1e-3).fit(X, y, **val)
    assert whole.stop_reason_ == "patience"
    staged = make_model(problem, early_stopping=True, n_iter_no_change=2, tol=1e-3)
    for call in range(1, whole.n_iter_ + 1):
        staged.partial_fit(X, y, **classes, **val)
        assert (staged.stop_reason_ == "patience") == (call == whole.n_iter_)
        assert staged.validation_scores_[-1] == pytest.approx(staged.score(*val.values()), rel=ROUNDING)
    assert staged.history_["validation_score"] == whole.history_["validation_score"]
    assert staged.best_validation_score_ == whole.best_validation_score_


def test_partial_fit_with_early_stopping_needs_validation_data(make_problem):
    problem = make_problem("regression")
    with pytest.raises(ValueError, match="give X_val and y_val"):
        make_model(problem, early_stopping=True).partial_fit(problem.X, problem.y)


@pytest.mark.parametrize("tol, n_iter", [(0.0, 12), (1e-9, 3)])
@pytest.mark.parametrize("solver", SOLVERS)
def test_an_improvement_by_tol_counts(solver, tol, n_iter, make_problem):
    """As in scikit-learn: with tol=0 a score that stays the same does not use up patience."""
    problem = make_problem("regression")
    model = make_model(
        problem,
        solver=solver,
        early_stopping=True,
        validation_scoring=lambda estimator, X, y: 0.5,
        n_iter_no_change=2,
        tol=tol,
        max_iter=12,
    ).fit(problem.X, problem.y)
    assert model.n_iter_ == n_iter


@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start_holds_out_the_same_rows(solver, make_problem):
    """Others would have been trained on before."""
    problem = make_problem("multiclass")
    seen = []

    def note(estimator, X, y):
        seen.append(X)
        return 0.0

    model = make_model(problem, solver=solver, early_stopping=True, warm_start=True, validation_scoring=note)
    for _ in range(3):
        model.fit(problem.X, problem.y)
    assert len(seen) == 18
    assert all(np.array_equal(X, seen[0]) for X in seen)


def test_warm_start_chooses_among_its_own_epochs(make_problem):
    problem = make_problem("regression")
    train, val = halves(problem)
    model = make_model(problem, warm_start=True, max_iter=4).fit(*train, **val)
    first = model.history_["validation_score"]
    model.fit(*train, **val)
    assert model.history_["validation_score"][:4] == first
    assert model.best_validation_score_ == max(model.history_["validation_score"][4:])
    assert model.score(*val.values()) == pytest.approx(model.best_validation_score_, rel=ROUNDING)


def test_weights_that_vanish_in_float32(make_problem):
    """Divided by the mean of all they are zeros, and a mean loss weighted by them is 0/0."""
    problem = make_problem("binary")
    (X, y), val = halves(problem)
    tiny = np.where(np.arange(40) == 0, 1e300, 1e-300)
    with pytest.raises(ValueError, match="weights of the validation data are all zero in float32.*sample_weight"):
        make_model(problem, dtype="float32", early_stopping=True).fit(X, y, tiny)
    model = make_model(problem, dtype="float32").fit(X, y, tiny, **val)
    assert np.isfinite(model.validation_scores_).all()
