"""Classes in several columns: what is fitted, against models of one column each, and what a model of them gives."""

import pickle

import numpy as np
import oracles
import pandas as pd
import pytest
import scipy.sparse as sp
import user_losses
from checkpoints import assert_same_fit, killed
from fits import assert_same_model
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.utils.class_weight import compute_sample_weight

import sknormnet.fitted
from sknormnet import NormRegMLPClassifier
from sknormnet.callbacks import resume
from sknormnet.inspection import stationarity
from sknormnet.losses import LogLoss, loss_names

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 120
X = RNG.standard_normal((N, 5))
NOISY = X @ RNG.standard_normal((5, 3)) + 0.5 * RNG.standard_normal((N, 3))
NUMBERS = np.column_stack([np.digitize(NOISY[:, 0], [-1, 1]), NOISY[:, 1] > 0, np.digitize(NOISY[:, 2], [-1, 0, 1])])
NAMES = [np.array(["oak", "elm", "yew"]), np.array(["no", "yes"]), np.array([30, -7, 4, 11])]
MIXED = np.empty((N, 3), dtype=object)
for j, names in enumerate(NAMES):
    MIXED[:, j] = names[NUMBERS[:, j]]
WIDTHS = (3, 1, 4)
SOLVERS = ("sgd", "adam", "lbfgs", "fista")


def make_model(**params):
    defaults = dict(
        hidden_layer_sizes=(6,), max_iter=6, learning_rate_init=0.05, batch_size=10, alpha=1e-3, random_state=0
    )
    return NormRegMLPClassifier(**{**defaults, **params})


def sum_of_heads(loss):
    """The sum of a plain loss over heads, as a function of targets and raw predictions."""

    def of_row(y, raw):
        parts = np.split(raw, np.cumsum(WIDTHS)[:-1], axis=1)
        return sum(loss(y[:, [j]], part) for j, part in enumerate(parts))

    return of_row


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_linear_model_is_a_logistic_regression_for_each_column(solver, weighted):
    """Without hidden layers the objective is the sum of theirs at the same alpha: C = 1 / (alpha * sum of weights)."""
    alpha = 0.01
    weight = np.linspace(0.5, 2, N) if weighted else np.ones(N)
    model = make_model(hidden_layer_sizes=(), solver=solver, alpha=alpha, tol=1e-7, max_iter=5000)
    model.fit(X, NUMBERS, weight)
    assert model.stop_reason_ in ("stationary", "stalled")  # lbfgs may find nothing lower before it is at tol
    for j, p in enumerate(model.predict_proba(X)):
        reference = LogisticRegression(C=1 / (alpha * weight.sum()), tol=1e-10, max_iter=5000)
        reference.fit(X, NUMBERS[:, j], weight)
        # gradients of 1e-7 over a curvature of at least alpha
        assert_allclose(p, reference.predict_proba(X), atol=1e-5)


def test_columns_that_are_the_same_have_the_head_of_one():
    """Each head takes the steps that it takes alone, from the same start."""
    common = dict(hidden_layer_sizes=(), solver="sgd", shuffle=False, tol=0, max_iter=1, warm_start=True)
    y = NUMBERS[:, 2]
    model, alone = make_model(**common).fit(X, np.c_[y, y]), make_model(**common).fit(X, y)
    model.coefs_, model.intercepts_ = [np.hstack(alone.coefs_ * 2)], [np.hstack(alone.intercepts_ * 2)]
    del model._training_state, alone._training_state
    for _ in range(5):
        model.fit(X, np.c_[y, y])
        alone.fit(X, y)
    # The same sums, which matrix products of other widths may add up in another order.
    assert_allclose(model.coefs_[0], np.hstack(alone.coefs_ * 2), rtol=1e-9)
    assert_array_equal(model.predict(X), np.c_[alone.predict(X), alone.predict(X)])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("column", [0, 1])
def test_one_column_is_the_plain_classifier(column, solver):
    y = NUMBERS[:, [column]]
    with pytest.warns(match="column-vector"):
        model = make_model(solver=solver).fit(X, y)
    assert_same_model(model, make_model(solver=solver).fit(X, y[:, 0]))
    assert isinstance(model.classes_, np.ndarray) and model.predict(X).shape == (N,)


@pytest.mark.parametrize("name", loss_names("classification"))
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_loss_and_solver(solver, name):
    model = make_model(loss=name, solver=solver, activation="tanh", max_iter=30).fit(X, MIXED)
    terms = dict(penalty="l2", alpha=1e-3)
    # The encoding is that of the sorted classes.
    targets = np.column_stack([np.searchsorted(np.unique(y), y) for y in (NAMES[j][NUMBERS[:, j]] for j in range(3))])
    expected = oracles.objective(
        X, targets, model.coefs_, model.intercepts_, loss=sum_of_heads(oracles.LOSSES[name]), activation="tanh", **terms
    )
    assert model.objective_ == pytest.approx(expected, rel=1e-10)
    assert model.objective_ < model.loss_curve_[0]
    assert model.score(X, MIXED) > 0.25  # of 24 combinations
    assert hasattr(model, "predict_proba") == (name not in ("hinge", "squared_hinge"))


@pytest.mark.parametrize("penalty", ["l1", "group_lasso", "nuclear"])
def test_penalties_and_float32(penalty):
    model = make_model(solver="adam", penalty=penalty, alpha=0.05, max_iter=40).fit(X.astype(np.float32), NUMBERS)
    assert {array.dtype for array in model.coefs_} == {np.dtype(np.float32)}
    assert all(p.dtype == np.float32 for p in model.predict_proba(X.astype(np.float32)))
    assert penalty == "nuclear" or model.sparsity_ > 0


def test_fitted_attributes_and_predictions():
    model = make_model().fit(X, MIXED)
    assert [classes.tolist() for classes in model.classes_] == [["elm", "oak", "yew"], ["no", "yes"], [-7, 4, 11, 30]]
    assert model.n_outputs_ == 8 and model.out_activation_ == ("softmax", "logistic", "softmax")
    p, log_p, decision = model.predict_proba(X), model.predict_log_proba(X), model.decision_function(X)
    assert [part.shape for part in p] == [part.shape for part in log_p] == [(N, 3), (N, 2), (N, 4)]
    assert [part.shape for part in decision] == [(N, 3), (N,), (N, 4)]
    raw = oracles.raw_prediction(X, model.coefs_, model.intercepts_)
    assert_allclose(np.column_stack(decision), raw, rtol=1e-10)
    assert_allclose(p[0], softmax(raw[:, :3], axis=1), rtol=1e-10)
    assert_allclose(p[1], np.column_stack([expit(-raw[:, 3]), expit(raw[:, 3])]), rtol=1e-10)
    assert_allclose(p[2], softmax(raw[:, 4:], axis=1), rtol=1e-10)
    for part, log_part in zip(p, log_p, strict=True):
        assert_allclose(log_part, np.log(part), rtol=1e-10)
    predicted = model.predict(X)
    assert predicted.dtype == object and predicted.shape == (N, 3)
    for j, part in enumerate(p):
        assert predicted[:, j].tolist() == model.classes_[j][part.argmax(axis=1)].tolist()


KINDS = {
    "int": (NUMBERS * 3 - 2, "i"),
    "float": (NUMBERS * 0.0 + NUMBERS, "f"),
    "float32": (NUMBERS.astype(np.float32), "f"),
    "strings": (NUMBERS.astype(str), "U"),
    "objects": (NUMBERS.astype(str).astype(object), "U"),
    "strings of two classes": (np.where(NUMBERS > 0, "more", "none"), "U"),
    "mixed": (MIXED, "O"),
    "list": (NUMBERS.tolist(), "i"),
    "frame": (pd.DataFrame(NUMBERS), "i"),
    "mixed frame": (pd.DataFrame({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1] > 0, "c": MIXED[:, 0]}), "O"),
    "categories": (pd.DataFrame(NUMBERS.astype(str)).astype("category"), "U"),
    "sparse": (sp.csr_array(NUMBERS), "i"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_kind(kind):
    y, letter = KINDS[kind]
    model = make_model(max_iter=100, solver="lbfgs").fit(X, y)
    predicted = model.predict(X)
    assert predicted.dtype.kind == letter
    assert isinstance(model.classes_, list) and len(model.classes_) == 3
    truth = y.toarray() if sp.issparse(y) else np.asarray(y)
    assert model.score(X, y) == (predicted == truth).all(axis=1).mean() > 0.6
    numbers = np.column_stack([np.unique(truth[:, j].tolist(), return_inverse=True)[1] for j in range(3)])
    if numbers.max() > 1:
        assert_same_model(model, make_model(max_iter=100, solver="lbfgs").fit(X, numbers))


def test_zeros_and_ones_are_labels_unless_they_are_strings():
    model = make_model().fit(X, NUMBERS > 0)
    assert isinstance(model.classes_, np.ndarray) and model.predict_proba(X).shape == (N, 3)
    columns = make_model().fit(X, (NUMBERS > 0).astype(int).astype(str))
    assert_same_model(model, columns)  # two classes have one logit, as a label has
    assert_array_equal(columns.predict(X) == "1", model.predict(X) == 1)


def test_score_is_the_weighted_share_of_rows_that_are_right_in_all_columns():
    model = make_model().fit(X, MIXED)
    weight = np.linspace(0, 3, N)
    hits = (model.predict(X) == MIXED).all(axis=1)
    assert 0 < hits.mean() < 1
    assert model.score(X, MIXED) == hits.mean()
    assert model.score(X, MIXED, weight) == pytest.approx(np.average(hits, weights=weight), rel=1e-12)
    other = MIXED.copy()
    other[:, 0] = "unheard of"
    assert model.score(X, other) == 0
    with pytest.raises(ValueError, match="shape of the prediction"):
        model.score(X, MIXED[:, :2])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_early_stopping_scores_exact_matches(solver):
    held_out = dict(X_val=X[80:], y_val=MIXED[80:], sample_weight_val=np.linspace(1, 2, 40))
    model = make_model(solver=solver, early_stopping=True, max_iter=30, n_iter_no_change=5)
    model.fit(X[:80], MIXED[:80], **held_out)
    score = model.score(X[80:], MIXED[80:], held_out["sample_weight_val"])
    assert model.best_validation_score_ == pytest.approx(score, rel=1e-12)
    losses = [
        log_loss(NUMBERS[80:, j], p[:, np.argsort(np.argsort(NAMES[j]))], sample_weight=held_out["sample_weight_val"])
        for j, p in enumerate(model.predict_proba(X[80:]))
    ]
    best = np.argmax(model.validation_scores_)
    assert model.history_["validation_loss"][best] == pytest.approx(sum(losses), rel=1e-9)
    split = make_model(solver=solver, early_stopping=True, validation_fraction=0.25).fit(X, MIXED)
    assert len(split.validation_scores_) == split.n_iter_
    assert {score * 30 for score in split.validation_scores_} <= set(map(float, range(31)))  # shares of 30 rows


def mean_of_columns(estimator, X, y):
    return np.mean([np.mean(estimator.predict(X)[:, j] == y[:, j]) for j in range(y.shape[1])])


def test_scoring_of_ones_own():
    data, held_out = (X[:80], MIXED[:80]), dict(X_val=X[80:], y_val=MIXED[80:])
    model = make_model(validation_scoring=mean_of_columns).fit(*data, **held_out)
    assert model.best_validation_score_ == mean_of_columns(model, X[80:], MIXED[80:])
    by_loss = make_model(validation_scoring="loss").fit(*data, **held_out)
    assert by_loss.best_validation_score_ == -min(by_loss.history_["validation_loss"])


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_balanced_is_scikit_learns_sample_weight(solver, early_stopping):
    common = dict(solver=solver, early_stopping=early_stopping, max_iter=4)
    model = make_model(class_weight="balanced", **common).fit(X, NUMBERS)
    weight = compute_sample_weight("balanced", NUMBERS)
    assert_same_model(model, make_model(**common).fit(X, NUMBERS, weight))


def test_list_of_dicts_is_scikit_learns_sample_weight():
    weights = [{"oak": 2.0, "elm": 0.5, "yew": 1}, {"no": 1, "yes": 3.0}, {30: 1.0, -7: 4.0, 4: 1, 11: 0.25}]
    expected = np.prod([compute_sample_weight(w, MIXED[:, j]) for j, w in enumerate(weights)], axis=0)
    model = make_model(class_weight=weights).fit(X, MIXED)
    assert_same_model(model, make_model().fit(X, MIXED, expected))
    part = [{label: w for label, w in weights[j].items() if w != 1} for j in range(3)]
    assert_same_model(model, make_model(class_weight=part).fit(X, MIXED))  # others have 1
    validated = make_model(class_weight=weights).fit(X[:80], MIXED[:80], X_val=X[80:], y_val=MIXED[80:])
    score = validated.score(X[80:], MIXED[80:], expected[80:])
    assert validated.best_validation_score_ == pytest.approx(score, rel=1e-12)
    in_parts, other = make_model(class_weight=weights), make_model()
    for rows in (slice(0, 60), slice(60, None)):
        in_parts.partial_fit(X[rows], MIXED[rows], classes=NAMES)
        other.partial_fit(X[rows], MIXED[rows], expected[rows], classes=NAMES)
    assert_same_model(in_parts, other)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_goes_on(solver):
    whole = make_model(solver=solver, tol=0).fit(X, MIXED)
    staged = make_model(solver=solver, tol=0)
    for _ in range(6):
        staged = pickle.loads(pickle.dumps(staged.partial_fit(X, MIXED, classes=NAMES)))
    assert_same_model(staged, whole)
    warm = make_model(solver=solver, tol=0, warm_start=True, max_iter=3).fit(X, MIXED).fit(X, MIXED)
    assert_same_model(warm, whole)


@pytest.mark.parametrize("class_weight", [None, "balanced", [{"elm": 2.0}, {}, {30: 0.5}]])
def test_a_killed_fit_is_resumed(class_weight, tmp_path, no_fsync):
    common = dict(class_weight=class_weight, early_stopping=True, tol=0)
    whole = make_model(**common).fit(X, MIXED)
    path = killed(make_model(**common), tmp_path / "fit.npz", 5, X, MIXED, every_epochs=3)
    assert_same_fit(resume(path, X, MIXED), whole)


def test_partial_fit_sees_classes_one_by_one():
    """A part that holds zeros and ones only is no indicator matrix where classes of columns are named."""
    few = (NUMBERS < 2).all(axis=1)
    model = make_model().partial_fit(X[few], NUMBERS[few], classes=[[2, 0, 1], [0, 1], range(4)])
    assert [classes.tolist() for classes in model.classes_] == [[0, 1, 2], [0, 1], [0, 1, 2, 3]]
    model.partial_fit(X, NUMBERS).partial_fit(X[few], NUMBERS[few], classes=[[0, 1, 2], [1, 0], [3, 2, 1, 0]])
    assert model.predict(X).shape == (N, 3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_loss_of_ones_own(solver):
    common = dict(solver=solver, activation="tanh", max_iter=10)
    model = make_model(loss=user_losses.NumpyLogLoss(), **common).fit(X, MIXED)
    expected = make_model(loss=LogLoss(), **common).fit(X, MIXED)
    # The order of sums differs, and ten epochs let that grow a little.
    assert_allclose(np.hstack(model.predict_proba(X)), np.hstack(expected.predict_proba(X)), rtol=1e-8)
    assert not hasattr(make_model(loss=user_losses.NumpyMargin()).fit(X, MIXED), "predict_proba")


class TwoColumnsForTwoClasses(user_losses.NumpyLogLoss):
    def n_raw(self, n_targets, n_classes=None):
        return n_classes or n_targets


def test_softmax_over_two_classes():
    """The decision is then the difference of two raw columns: the log-odds."""
    model = make_model(loss=TwoColumnsForTwoClasses()).fit(X, MIXED)
    assert model.n_outputs_ == 9 and model.out_activation_ == "softmax"
    p, decision = model.predict_proba(X)[1], model.decision_function(X)[1]
    assert_allclose(decision, np.log(p[:, 1] / p[:, 0]), rtol=1e-9, atol=1e-12)
    assert_array_equal(model.predict(X)[:, 1] == "yes", decision > 0)


def test_certificate():
    model = make_model(activation="tanh", solver="fista", penalty="l1", alpha=0.01, tol=1e-5, max_iter=5000)
    model.set_params(class_weight="balanced").fit(X, MIXED)
    assert model.stop_reason_ == "stationary"
    # The same sums in another order.
    assert stationarity(model, X, MIXED).relative <= 1e-5 * (1 + 1e-6)


def test_smaller_and_other_models():
    model = make_model(penalty="group_lasso", alpha=0.05, solver="fista", max_iter=300).fit(X, MIXED)
    small = model.compact()
    assert_allclose(np.hstack(small.predict_proba(X)), np.hstack(model.predict_proba(X)), rtol=1e-10)
    assert_array_equal(small.predict(X), model.predict(X))
    assert model.transform(X).shape == (N, 6) and model.feature_importances_.shape == (5,)
    with pytest.raises(ValueError, match="MLPClassifier has no classes in several columns"):
        model.to_sklearn()
    assert "class_weight=[{}, {}]" in repr(make_model(class_weight=[{}, {}]))


@pytest.mark.parametrize("sparse", [False, True])
def test_predictions_in_blocks(sparse, monkeypatch):
    table = sp.csr_array(X) if sparse else X
    model = make_model().fit(table, MIXED)
    methods = (model.predict_proba, model.predict_log_proba, model.decision_function, model.predict)
    whole = [method(table) for method in methods]
    monkeypatch.setattr(sknormnet.fitted, "BLOCK_BYTES", 8 * 8 * 50)  # 50 rows: the last block is shorter
    for expected, method in zip(whole, methods, strict=True):
        parts = method(table)
        assert type(parts) is type(expected)
        for part, other in zip(parts, expected, strict=True):
            if part.dtype.kind == "f":  # matrix products of fewer rows may add up in another order
                assert_allclose(part, other, rtol=1e-12)
            else:
                assert_array_equal(part, other)


def test_searches_and_cross_validation():
    for y, cv in ((NUMBERS, 2), (MIXED, KFold(2))):  # scikit-learn chooses no splits for a y of mixed types
        search = GridSearchCV(make_model(), {"alpha": [1e-3, 1e-2]}, cv=cv, error_score="raise").fit(X, y)
        assert search.best_estimator_.predict(X).shape == (N, 3)
        assert cross_val_predict(make_model(), X, y, cv=cv).shape == (N, 3)


class KeepsModels:
    def __init__(self):
        self.scores = []

    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...
    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.scores.append(fitted_estimator.score(X, MIXED))


def test_callbacks_get_models_of_each_epoch():
    keeper = KeepsModels()
    make_model(max_iter=3).set_callbacks(keeper).fit(X, MIXED)
    assert keeper.scores == [make_model(max_iter=k).fit(X, MIXED).score(X, MIXED) for k in (1, 2, 3)]
