"""history_: one entry an epoch, the data loss apart from the penalty."""

import warnings

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOLVERS = ("sgd", "adam", "lbfgs", "fista")
KEYS = {
    "data_loss",
    "penalty",
    "objective",
    "n_nonzero",
    "residual",
    "learning_rate",
    "validation_score",
    "validation_loss",
    "seconds",
}


@pytest.mark.parametrize("penalty", ["l2", "l1", None])
@pytest.mark.parametrize("solver", SOLVERS)
def test_one_entry_an_epoch(solver, penalty, make_problem):
    problem = make_problem("regression")
    model = problem.Estimator((6, 4), solver=solver, penalty=penalty, alpha=0.02, max_iter=9, random_state=0).fit(
        problem.X, problem.y
    )
    history = model.history_

    assert set(history) == KEYS
    assert {len(column) for column in history.values()} == {model.n_iter_}
    assert_allclose(history["objective"], np.add(history["data_loss"], history["penalty"]))
    assert history["n_nonzero"][-1] == tuple(np.count_nonzero(W) for W in model.coefs_)
    assert all(score is None for score in history["validation_score"])
    assert all(seconds >= 0 for seconds in history["seconds"])
    if penalty is None:
        assert not any(history["penalty"])


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_full_batch_history_ends_at_the_objective(solver, penalty, make_problem):
    problem = make_problem("binary")
    model = problem.Estimator((6, 4), solver=solver, penalty=penalty, alpha=0.02, max_iter=9, random_state=0).fit(
        problem.X, problem.y
    )
    history = model.history_
    data_loss = oracles.data_loss(problem.X, problem.y, model.coefs_, model.intercepts_, loss=problem.loss)
    assert history["data_loss"][-1] == pytest.approx(data_loss, rel=1e-9)
    assert history["objective"][-1] == pytest.approx(model.objective_, rel=1e-9)
    # both solvers descend
    assert np.all(np.diff(history["objective"]) <= 1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_loss_curve_is_the_running_mean_of_the_batches(solver, make_problem):
    """A rate near zero leaves theta in place, so the mean is F itself."""
    problem = make_problem("multiclass")
    model = problem.Estimator(
        (6,),
        solver=solver,
        alpha=0.02,
        batch_size=12,
        learning_rate_init=1e-13,
        max_iter=3,
        random_state=0,
    ).fit(problem.X, problem.y)
    assert_allclose(model.loss_curve_, 3 * [model.objective_], rtol=1e-9)
    assert model.loss_ == model.loss_curve_[-1]
    assert model.best_loss_ == min(model.loss_curve_)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_learning_rates(solver, make_problem):
    problem = make_problem("regression")

    def rates(**params):
        model = problem.Estimator(
            (4,),
            solver=solver,
            learning_rate_init=0.01,
            max_iter=8,
            random_state=0,
            **params,
        )
        return np.array(model.fit(problem.X, problem.y).history_["learning_rate"])

    assert_allclose(rates(learning_rate="constant"), 0.01)
    cosine = rates(learning_rate="cosine")
    assert np.all(np.diff(cosine) < 0)
    assert cosine[0] <= 0.01 and cosine[-1] < 0.002


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_validation_scores(task, make_problem):
    problem = make_problem(task)
    model = problem.Estimator((6,), early_stopping=True, max_iter=20, learning_rate_init=0.01, random_state=0).fit(
        problem.X, problem.y
    )
    assert model.history_["validation_score"] == list(model.validation_scores_)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert len(model.validation_scores_) == model.n_iter_


@pytest.mark.parametrize("solver", SOLVERS)
def test_only_an_unfinished_run_warns(solver, make_problem):
    problem = make_problem("regression")
    model = problem.Estimator(
        (), solver=solver, alpha=0.1, learning_rate_init=0.01, max_iter=2, tol=1e-3, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(problem.X, problem.y)
    model.set_params(max_iter=5000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model.fit(problem.X, problem.y)
    assert 2 < model.n_iter_ < 5000
