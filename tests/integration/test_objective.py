"""One objective: what is reported and minimised is the documented F."""

import numpy as np
import oracles
import pytest
import scipy.sparse
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics import log_loss, mean_squared_error

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.activations import ACTIVATIONS

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some layers are penalised:UserWarning"),
]

TASKS = ("binary", "multiclass", "multilabel", "regression", "multioutput")
SOLVERS = ("sgd", "adam", "lbfgs", "fista")
SPARSE_FORMATS = {
    "dense": lambda X: X,
    "csr": scipy.sparse.csr_matrix,
    "csc": scipy.sparse.csc_array,
}


def expected_objective(model, problem, sample_weight=None, **terms):
    return oracles.objective(
        problem.X,
        problem.encoded,
        model.coefs_,
        model.intercepts_,
        loss=problem.loss,
        activation=model.activation,
        sample_weight=sample_weight,
        **terms,
    )


def test_oracle_losses_agree_with_sklearn_metrics(make_problem):
    problem = make_problem("multiclass")
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((60, 3))
    proba = oracles.inverse_link(oracles.softmax_log_loss, raw)
    assert oracles.softmax_log_loss(problem.encoded, raw).mean() == pytest.approx(log_loss(problem.y, proba))
    binary = problem.y > 0
    proba = oracles.inverse_link(oracles.log_loss, raw[:, :1])
    assert oracles.log_loss(binary[:, None], raw[:, :1]).mean() == pytest.approx(log_loss(binary, proba[:, 0]))
    assert oracles.squared_error(problem.encoded, raw).mean() == pytest.approx(
        1.5 * mean_squared_error(problem.encoded, raw)
    )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_objective_of_each_task_and_solver(task, solver, make_problem):
    problem = make_problem(task)
    model = problem.Estimator((6, 4), solver=solver, alpha=0.03, max_iter=7, random_state=0).fit(problem.X, problem.y)
    expected = expected_objective(model, problem, alpha=0.03)
    assert model.objective_ == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden_layer_sizes", [(), (5,), (5, 4, 3)])
def test_objective_of_each_activation(activation, hidden_layer_sizes, make_problem):
    problem = make_problem("multiclass")
    model = problem.Estimator(hidden_layer_sizes, activation, alpha=0.03, max_iter=5, random_state=0).fit(
        problem.X, problem.y
    )
    expected = expected_objective(model, problem, alpha=0.03)
    assert model.objective_ == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("X_format", SPARSE_FORMATS)
@pytest.mark.parametrize("penalize_intercepts", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet", None, "none"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_objective_of_each_penalty(solver, penalty, penalize_intercepts, X_format, make_problem):
    problem = make_problem("regression")
    model = problem.Estimator(
        (6, 4),
        solver=solver,
        penalty=penalty,
        alpha=0.03,
        l1_ratio=0.3,
        penalize_intercepts=penalize_intercepts,
        max_iter=7,
        random_state=0,
    ).fit(SPARSE_FORMATS[X_format](problem.X), problem.y)
    expected = expected_objective(
        model,
        problem,
        penalty=penalty,
        alpha=0.03,
        l1_ratio=0.3,
        penalize_intercepts=penalize_intercepts,
    )
    assert model.objective_ == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("penalize_intercepts", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_intercepts_are_penalised_on_request_only(solver, penalty, penalize_intercepts, make_problem):
    """A strength that kills every penalised parameter."""
    problem = make_problem("regression")
    y = problem.y + 5.0
    model = problem.Estimator(
        (),
        solver=solver,
        penalty=penalty,
        alpha=1e4,
        penalize_intercepts=penalize_intercepts,
        learning_rate="cosine",
        learning_rate_init=1e-4 if solver == "sgd" else 0.05,
        max_iter=2000,
        tol=1e-8,
        random_state=0,
    ).fit(problem.X, y)
    assert np.abs(model.coefs_[0]).max() < 1e-2
    if penalize_intercepts:
        assert abs(model.intercepts_[0][0]) < 1e-2
    elif solver in ("lbfgs", "fista"):
        assert model.intercepts_[0][0] == pytest.approx(y.mean(), abs=1e-2)
    else:
        assert model.intercepts_[0][0] > 0.5


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("task", TASKS)
def test_objective_with_sample_weights(task, penalty, make_problem):
    problem = make_problem(task)
    sample_weight = np.random.default_rng(1).integers(0, 4, 60) * 0.7
    model = problem.Estimator((6, 4), penalty=penalty, alpha=0.03, max_iter=7, random_state=0).fit(
        problem.X, problem.y, sample_weight=sample_weight
    )
    expected = expected_objective(model, problem, sample_weight, penalty=penalty, alpha=0.03)
    assert model.objective_ == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "layer_weights, scale, numbers",
    [
        (None, "uniform", None),
        ("uniform", "uniform", None),
        ("size", "size", None),
        ("fan", "fan", None),
        ([0.5, 0.0, 2.0], "uniform", [0.5, 0.0, 2.0]),
        (PerLayer(first=2, hidden=3, last=0.5), "uniform", [2, 3, 0.5]),
        (PerLayer(first=2, hidden=3, last=5, scale="size"), "size", [2, 3, 5]),
        (PerLayer(first=2, hidden=3, last=5, scale="fan"), "fan", [2, 3, 5]),
    ],
)
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_objective_with_layer_weights(penalty, layer_weights, scale, numbers, make_problem):
    problem = make_problem("regression")
    model = problem.Estimator(
        (6, 4),
        penalty=penalty,
        layer_weights=layer_weights,
        alpha=0.1,
        max_iter=7,
        random_state=0,
    ).fit(problem.X, problem.y)
    factors = oracles.layer_factors(model.coefs_, scale, numbers)
    expected = expected_objective(model, problem, penalty=penalty, alpha=0.1, factors=factors)
    assert model.objective_ == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
@pytest.mark.parametrize("Estimator", [NormRegMLPClassifier, NormRegMLPRegressor])
def test_alpha_means_the_same_for_every_batch_size(Estimator, penalty, make_problem):
    task = "binary" if Estimator is NormRegMLPClassifier else "regression"
    problem = make_problem(task, n_samples=192)
    common = dict(penalty=penalty, alpha=0.05, random_state=0)
    optimum = Estimator((), solver="fista", tol=1e-9, max_iter=5000, **common).fit(problem.X, problem.y).objective_
    for batch_size, epochs in ((8, 150), (64, 300), (192, 600)):
        model = Estimator(
            (),
            solver="sgd",
            batch_size=batch_size,
            learning_rate="cosine",
            learning_rate_init=0.02,
            max_iter=epochs,
            n_iter_no_change=epochs,
            **common,
        ).fit(problem.X, problem.y)
        assert model.objective_ == pytest.approx(optimum, rel=1e-3)


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_integer_weights_are_repeated_rows(task, solver, penalty, make_problem):
    problem = make_problem(task)
    sample_weight = np.random.default_rng(1).integers(0, 4, 60)
    model = problem.Estimator(
        (6,),
        "tanh",
        solver=solver,
        penalty=penalty,
        alpha=0.01,
        learning_rate_init=0.02,
        max_iter=15,
        random_state=0,
    )
    weighted = clone(model).fit(problem.X, problem.y, sample_weight=sample_weight)
    repeated = clone(model).fit(problem.X.repeat(sample_weight, axis=0), problem.y.repeat(sample_weight))
    assert_same_model(weighted, repeated)
    scaled = clone(model).fit(problem.X, problem.y, sample_weight=sample_weight * 7.5)
    assert_same_model(weighted, scaled)


@pytest.mark.parametrize(
    "solver, early_stopping",
    [(solver, False) for solver in SOLVERS] + [("sgd", True), ("adam", True)],
)
def test_rows_of_weight_zero_are_absent(solver, early_stopping, make_problem):
    """Also in minibatches and before the validation rows are split off."""
    problem = make_problem("binary")
    sample_weight = np.random.default_rng(1).integers(0, 3, 60).astype(float)
    kept = sample_weight > 0
    model = problem.Estimator(
        (6,),
        solver=solver,
        batch_size=8,
        early_stopping=early_stopping,
        validation_fraction=0.2,
        max_iter=15,
        random_state=0,
    )
    weighted = clone(model).fit(problem.X, problem.y, sample_weight=sample_weight)
    X = problem.X.copy()
    X[~kept] = 1e6
    outliers = clone(model).fit(X, problem.y, sample_weight=sample_weight)
    absent = clone(model).fit(problem.X[kept], problem.y[kept], sample_weight=sample_weight[kept])
    assert_same_model(weighted, absent)
    assert_same_model(outliers, absent)


def assert_same_model(a, b, atol=1e-8):
    assert a.objective_ == pytest.approx(b.objective_, abs=atol)
    for name in ("coefs_", "intercepts_"):
        for left, right in zip(getattr(a, name), getattr(b, name), strict=True):
            assert_allclose(left, right, rtol=0, atol=atol)


@pytest.mark.parametrize("batch_size", [60, 15])
@pytest.mark.parametrize("penalty", ["l1", "elasticnet", "l2"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task, alpha", [("multiclass", 0.02), ("multioutput", 0.05)])
def test_exact_zeros_in_every_layer(task, alpha, solver, penalty, batch_size, make_problem):
    problem = make_problem(task)
    model = problem.Estimator(
        (10, 8),
        "tanh",
        solver=solver,
        penalty=penalty,
        alpha=alpha,
        l1_ratio=0.7,
        batch_size=batch_size,
        learning_rate_init=0.05 if solver == "sgd" else 0.02,
        max_iter=300,
        n_iter_no_change=300,
        random_state=0,
    ).fit(problem.X, problem.y)
    zeros = [np.count_nonzero(W == 0.0) for W in model.coefs_]
    assert model.score(problem.X, problem.y) > 0.4
    if penalty == "l2":
        assert zeros == [0, 0, 0]
    else:
        assert min(zeros) > 0
        assert all(z < W.size for z, W in zip(zeros, model.coefs_, strict=True))
        assert all(np.all(b != 0.0) for b in model.intercepts_)
