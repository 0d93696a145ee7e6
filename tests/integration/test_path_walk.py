"""How a path goes from strength to strength, and what its models start from."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from sklearn.utils import check_random_state

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer, regularization_path
from sknormnet.losses import Huber
from sknormnet.path.grid import find_grid
from sknormnet.path.walk import Cancelled, SettlingMonitor, Walk
from sknormnet.penalties import GroupLasso
from sknormnet.solvers import Stochastic

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
GROUPS = PerLayer(first=GroupLasso("input"), hidden="l2", last="l2")


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X), scale(y)


def epochs_until_settled(unit, *, is_first):
    monitor = SettlingMonitor(tol=1e-3, patience=5, is_first=is_first)
    while not monitor.exhausted and monitor.n_epochs < 1000:
        loss = unit * (1 + 0.9**monitor.n_epochs)
        monitor.record(np.zeros(1), data_loss=loss, penalty=0.0, n_nonzero=(1,), learning_rate=1.0)
    return monitor.n_epochs


def test_settling_does_not_depend_on_the_unit_of_the_objective():
    by_unit = [epochs_until_settled(unit, is_first=False) for unit in (1e-4, 1.0, 1e4)]
    assert 20 < by_unit[0] == by_unit[1] == by_unit[2] < 100


def test_the_first_strength_settles_later_where_the_unit_is_large():
    by_unit = [epochs_until_settled(unit, is_first=True) for unit in (1e-4, 0.5, 1e4)]
    assert 20 < by_unit[0] == by_unit[1] < by_unit[2]


@pytest.mark.parametrize("level", [0.0, 2e5])
def test_a_target_in_large_units_is_told(diabetes, level):
    """adam's steps do not reach it: without a word the path would be of models that say nothing."""
    X, y = diabetes
    model = NormRegMLPRegressor((5,), penalty=GROUPS, max_iter=50, random_state=0)
    with pytest.warns(ConvergenceWarning, match="scaled targets"):
        regularization_path(model, X, level + 1e5 * y, n_alphas=5)


def test_a_warning_of_the_first_strength_outlives_it():
    """The search ends too low there, so that the path goes on and drops its first strengths."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 5))
    y = 1e5 * (X[:, 0] + X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(300))
    model = NormRegMLPRegressor((10,), penalty="group_lasso", max_iter=1000, random_state=0)
    with pytest.warns(ConvergenceWarning, match="At 1 of 15 strengths.*Maximum number of epochs .1000."):
        path = regularization_path(model, X, y, n_alphas=15)
    assert path.n_iter.max() < 100


@quiet
def test_a_constant_rate_ends_in_two_epochs_of_decay_and_moments_go_on(iris, monkeypatch):
    make, given = NormRegMLPClassifier._make_stochastic, []

    def noted(self, n_samples, state, *args, **kwargs):
        given.append(dict(state or {}))
        return make(self, n_samples, state, *args, **kwargs)

    monkeypatch.setattr(NormRegMLPClassifier, "_make_stochastic", noted)
    model = NormRegMLPClassifier((4,), penalty=GROUPS, learning_rate_init=0.02, max_iter=50, random_state=0)
    path = regularization_path(model, *iris, alphas=[1e-3, 2e-3, 4e-3])
    for history in path.histories:
        np.testing.assert_allclose(history["learning_rate"][-3:], [0.02, 0.02, 0.01])
    assert not given[0]
    steps = [state["steps_done"] for state in given[1:]]  # within a strength, and from each to the next
    assert np.all(np.diff([0, *steps]) > 0)


def test_a_decay_that_diverges_is_told(iris, monkeypatch):
    minimize, n_calls = Stochastic.minimize, [0]

    def broken(self, objective, theta, **kwargs):
        n_calls[0] += 1
        if n_calls[0] == 2:
            theta[0] = np.nan
        return minimize(self, objective, theta, **kwargs)

    monkeypatch.setattr(Stochastic, "minimize", broken)
    model = NormRegMLPClassifier((4,), penalty=GROUPS, max_iter=20, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        path = regularization_path(model, *iris, alphas=[1e-3, 2e-3])
    assert path.stop_reasons[0] == "diverged"
    assert np.isfinite(path.objective).all()


@quiet
def test_at_takes_the_best_fit_where_nothing_was_validated(iris):
    path = regularization_path(NormRegMLPClassifier((), penalty="l1", solver="fista"), *iris, n_alphas=12)
    found = np.flatnonzero(path.n_features == 4)
    assert len(found) > 1
    assert path.at(n_features=4).alpha == path.alphas[found[np.argmin(path.data_loss[found])]]


@quiet
def test_at_takes_no_score_that_is_none(iris):
    path = regularization_path(
        NormRegMLPClassifier((), penalty="l1", solver="fista"), *iris, n_alphas=12, X_val=iris[0], y_val=iris[1]
    )
    found = np.flatnonzero(path.n_features == 4)
    best = path.at(n_features=4).alpha
    path.validation_scores[found[path.alphas[found] != best][0]] = np.nan
    assert path.at(n_features=4).alpha == best


def test_refits_start_from_the_best_fit(iris, monkeypatch):
    starts, follow = [], Walk.follow

    def noted(walk, alphas, theta, *args, **kwargs):
        if list(alphas) == [0.0]:
            starts.append(theta.copy())
        return follow(walk, alphas, theta, *args, **kwargs)

    monkeypatch.setattr(Walk, "follow", noted)
    model = NormRegMLPClassifier((), penalty="l1", solver="fista")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        path = regularization_path(model, *iris, alphas=[1e-3, 2e-3], relax=True)
    (start,) = starts
    np.testing.assert_array_equal(start[:12], path.coefs[0].toarray()[np.argmin(path.data_loss)])


@quiet
@pytest.mark.parametrize("solver", ["adam", "sgd", "fista"])
def test_the_null_model_has_the_intercept_of_the_data(diabetes, solver):
    X, y = diabetes
    model = NormRegMLPRegressor((), penalty="l1", solver=solver, tol=1e-2, learning_rate_init=0.01, random_state=0)
    path = regularization_path(model, X, y + 3, n_alphas=6)
    assert path.n_features[-1] == 0
    np.testing.assert_allclose(path[-1].intercepts_[0], 3, rtol=1e-6)
    if solver == "fista":
        assert path.alphas[-1] == pytest.approx(np.abs(X.T @ y).max() / len(y), rel=1e-8)


@quiet
@pytest.mark.parametrize("n_alphas", [3, 5])
def test_float32_ends_at_the_largest_alpha(diabetes, n_alphas):
    """The mean of the target, far from zero, leaves little of float32 for the rest."""
    X, y = diabetes
    lasso = NormRegMLPRegressor((), penalty="l1", solver="fista", random_state=0)
    path = regularization_path(lasso, X.astype(np.float32), y + 1e4, n_alphas=n_alphas)
    np.testing.assert_allclose(path.alphas[-1], np.abs(X.T @ y).max() / len(y), rtol=1e-3)


@quiet
def test_inputs_that_no_output_reads_are_dead(iris):
    penalty = PerLayer(first="l2", last="l1")
    model = NormRegMLPClassifier((4,), "tanh", penalty=penalty, learning_rate_init=0.02, max_iter=100, random_state=0)
    path = regularization_path(model, *iris, n_alphas=6)
    assert path.n_features[-1] == 0 < path.n_nonzero[-1, 0]
    assert not path.n_units[-1].any()


def test_the_search_leaves_the_stream_as_it_was(iris):
    walk = Walk(NormRegMLPClassifier((3,), penalty="l1", learning_rate_init=0.05, max_iter=30), *iris)
    rng = check_random_state(0)
    find_grid(walk, rng, 5, 0.1)
    assert rng.randint(2**31) == check_random_state(0).randint(2**31)


class AfterSome:
    """An event that is set when it is looked at for the fifth time."""

    looked = 0

    def is_set(self):
        self.looked += 1
        return self.looked >= 5


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "fista"])
def test_cancelled_at_the_next_epoch_or_iteration(iris, solver):
    walk = Walk(NormRegMLPClassifier((4,), penalty="l1", solver=solver, tol=0.0, random_state=0), *iris)
    walk.cancelled = event = AfterSome()
    rng = check_random_state(0)
    with pytest.raises(Cancelled):
        list(walk.follow([1e-4], walk.start(rng), rng))
    assert event.looked == 5


@quiet
def test_records_of_a_model(diabetes):
    X, y = diabetes
    model = NormRegMLPRegressor((3,), penalty="l1", loss=Huber(), max_iter=20, random_state=0)
    path = regularization_path(model, X, y, alphas=[0.01, 0.02])
    first, second = path
    assert first._fitted_loss is not second._fitted_loss
    for fitted in (first, second):
        assert fitted.t_ == fitted.n_iter_ * len(y)
        assert fitted.loss_ == fitted.loss_curve_[-1] == fitted.history_["objective"][-1]


def test_verbose_names_the_columns_once(diabetes, capsys):
    model = NormRegMLPRegressor((), penalty="l1", solver="fista", verbose=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regularization_path(clone(model), *diabetes, n_alphas=4, n_restarts=2, relax=True)
    assert capsys.readouterr().out.count("objective") == 1
