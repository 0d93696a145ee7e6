"""Same seed, same model as scikit-learn's multilayer perceptrons.

With equal batches, alpha here is scikit-learn's alpha divided by the batch size (by
the number of samples for lbfgs), since the penalty here does not shrink with the batch.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import xlogy
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network import _base as sklearn_base

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TASKS = ("binary", "multiclass", "multilabel", "regression", "multioutput")
ALPHA = 0.01
BATCH_SIZE = 12

RULES = {
    "sgd-plain": dict(solver="sgd", momentum=0.0, nesterovs_momentum=False),
    "sgd-momentum": dict(solver="sgd", nesterovs_momentum=False),
    "sgd-nesterov": dict(solver="sgd", nesterovs_momentum=True),
    "sgd-invscaling": dict(
        solver="sgd",
        learning_rate="invscaling",
        learning_rate_init=0.1,
        power_t=0.4,
    ),
    "adam": dict(solver="adam"),
    "adam-betas": dict(solver="adam", beta_1=0.8, beta_2=0.95, epsilon=1e-4),
}


@pytest.fixture(autouse=True)
def summed_squared_loss(monkeypatch):
    """Make scikit-learn's squared loss the one whose gradient it uses.

    It averages the loss over the outputs, but its gradient is that of their sum.
    """

    def squared_loss(y_true, y_pred, sample_weight=None):
        return 0.5 * np.mean(np.sum((y_true - y_pred) ** 2, axis=1))

    monkeypatch.setitem(sklearn_base.LOSS_FUNCTIONS, "squared_error", squared_loss)


def sklearn_twin(problem, *, divisor=BATCH_SIZE, **params):
    classifier = problem.task not in ("regression", "multioutput")
    Twin = MLPClassifier if classifier else MLPRegressor
    return Twin(alpha=ALPHA * divisor, **params).fit(problem.X, problem.y)


def assert_same_weights(ours, theirs, atol):
    assert len(ours.coefs_) == len(theirs.coefs_)
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert_allclose(a, b, rtol=0, atol=atol)
    for a, b in zip(ours.intercepts_, theirs.intercepts_, strict=True):
        assert_allclose(a, b, rtol=0, atol=atol)


def stochastic_params(**params):
    defaults = dict(
        hidden_layer_sizes=(7, 4),
        batch_size=BATCH_SIZE,
        learning_rate_init=0.02,
        max_iter=20,
        tol=0.0,
        n_iter_no_change=1000,
        random_state=3,
    )
    return {**defaults, **params}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("task", TASKS)
def test_update_rules(task, rule, make_problem):
    problem = make_problem(task)
    params = stochastic_params(**RULES[rule])
    ours = problem.Estimator(alpha=ALPHA, **params).fit(problem.X, problem.y)
    theirs = sklearn_twin(problem, **params)

    assert ours.n_iter_ == theirs.n_iter_ == 20
    assert ours.t_ == theirs.t_
    assert ours.out_activation_ == theirs.out_activation_
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=1e-9)
    assert ours.loss_curve_[-1] < ours.loss_curve_[0]
    assert_same_weights(ours, theirs, 1e-7)


@pytest.mark.parametrize("activation", ["identity", "tanh", "logistic"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_activations(task, solver, activation, make_problem):
    problem = make_problem(task)
    params = stochastic_params(solver=solver, activation=activation)
    ours = problem.Estimator(alpha=ALPHA, **params).fit(problem.X, problem.y)
    theirs = sklearn_twin(problem, **params)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_same_weights(ours, theirs, 1e-7)


def test_without_shuffling(make_problem):
    problem = make_problem("multiclass")
    params = stochastic_params(solver="sgd", shuffle=False)
    ours = problem.Estimator(alpha=ALPHA, **params).fit(problem.X, problem.y)
    theirs = sklearn_twin(problem, **params)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_same_weights(ours, theirs, 1e-7)


def test_default_batch_size(make_problem):
    problem = make_problem("binary", n_samples=400)
    params = stochastic_params(solver="adam", batch_size="auto")
    ours = problem.Estimator(alpha=ALPHA, **params).fit(problem.X, problem.y)
    theirs = sklearn_twin(problem, divisor=200, **params)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_same_weights(ours, theirs, 1e-7)


@pytest.mark.parametrize("task", TASKS)
def test_adaptive_schedule(task, make_problem):
    """scikit-learn lets one more epoch pass before it divides the rate."""
    problem = make_problem(task)
    params = stochastic_params(solver="sgd", learning_rate="adaptive", learning_rate_init=0.1, tol=0.05)
    params["n_iter_no_change"] = 3
    ours = problem.Estimator(alpha=ALPHA, **params).fit(problem.X, problem.y)
    params["n_iter_no_change"] = 2
    theirs = sklearn_twin(problem, **params)

    assert ours.history_["learning_rate"][-1] < 0.1 / 5 + 1e-12
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_same_weights(ours, theirs, 1e-7)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("task", TASKS)
def test_stopping_by_training_loss(task, solver, make_problem):
    problem = make_problem(task)
    params = stochastic_params(solver=solver, max_iter=300, tol=0.01)
    params["n_iter_no_change"] = 4
    ours = problem.Estimator(alpha=ALPHA, **params).fit(problem.X, problem.y)
    params["n_iter_no_change"] = 3
    theirs = sklearn_twin(problem, **params)
    assert ours.n_iter_ == theirs.n_iter_ < 300
    assert_same_weights(ours, theirs, 1e-7)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("task", [task for task in TASKS if task != "multiclass"])  # ours is stratified there too
def test_early_stopping(task, solver, make_problem):
    problem = make_problem(task, n_samples=75)
    params = stochastic_params(
        solver=solver,
        max_iter=200,
        tol=1e-3,
        early_stopping=True,
        validation_fraction=0.2,
    )
    params["n_iter_no_change"] = 5
    ours = problem.Estimator(alpha=ALPHA, **params).fit(problem.X, problem.y)
    params["n_iter_no_change"] = 4
    theirs = sklearn_twin(problem, **params)

    assert ours.n_iter_ == theirs.n_iter_ < 200
    assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-9)
    assert_allclose(ours.best_validation_score_, theirs.best_validation_score_, atol=1e-9)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert_same_weights(ours, theirs, 1e-7)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("task", TASKS)
def test_lbfgs(task, activation, make_problem):
    """scikit-learn keeps no loss curve here, so it is fitted once per iteration."""
    problem = make_problem(task)
    params = dict(
        hidden_layer_sizes=(7, 4),
        activation=activation,
        solver="lbfgs",
        random_state=3,
    )
    ours = problem.Estimator(alpha=ALPHA, max_iter=10, **params)
    ours.fit(problem.X, problem.y)
    assert ours.n_iter_ == len(ours.history_["objective"]) == 10
    for iteration in (1, 2, 5, 10):
        theirs = sklearn_twin(problem, divisor=60, max_iter=iteration, **params)
        assert_allclose(ours.history_["objective"][iteration - 1], theirs.loss_, rtol=1e-7)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-7)
    assert_same_weights(ours, theirs, 1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_predictions(task, make_problem):
    problem = make_problem(task)
    params = stochastic_params(solver="adam")
    ours = problem.Estimator(alpha=ALPHA, **params).fit(problem.X, problem.y)
    theirs = sklearn_twin(problem, **params)
    X = make_problem(task, n_samples=33, seed=1).X
    assert ours.predict(X).shape == theirs.predict(X).shape
    assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-7)
    assert ours.score(problem.X, problem.y) == pytest.approx(theirs.score(problem.X, problem.y), abs=1e-7)
    if hasattr(theirs, "predict_proba"):
        proba = ours.predict_proba(X)
        assert_allclose(proba, theirs.predict_proba(X), atol=1e-7)
        assert_allclose(ours.predict_log_proba(X), np.log(proba), rtol=1e-6)
        assert np.array_equal(ours.classes_, theirs.classes_)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_poisson(solver, make_problem):
    problem = make_problem("regression")
    y = np.random.default_rng(0).poisson(np.exp(0.5 * problem.X[:, 0]))
    params = stochastic_params(solver=solver)
    divisor = len(y) if solver == "lbfgs" else BATCH_SIZE
    ours = problem.Estimator(loss="poisson", alpha=ALPHA, **params).fit(problem.X, y)
    theirs = MLPRegressor(loss="poisson", alpha=ALPHA * divisor, **params).fit(problem.X, y)
    assert_same_weights(ours, theirs, atol=1e-9)
    assert_allclose(ours.predict(problem.X), theirs.predict(problem.X), rtol=1e-9)
    if solver != "lbfgs":
        constant = np.mean(xlogy(y, y) - y)  # of the deviance, which is dropped here
        assert_allclose(np.array(ours.loss_curve_) + constant, theirs.loss_curve_, rtol=1e-10)
