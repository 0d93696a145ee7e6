"""Activations in the estimators: every one trains, and hidden layers may have different ones."""

import pickle

import numpy as np
import oracles
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.activations import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MIXED = ("gelu", "tanh", "leaky_relu")
SOLVERS = {
    "sgd": {"learning_rate_init": 0.02, "max_iter": 60},
    "adam": {"learning_rate_init": 0.01, "max_iter": 60},
    "lbfgs": {"max_iter": 60},
    "fista": {"max_iter": 60},
}


def make_model(problem, **params):
    return problem.Estimator(**{"hidden_layer_sizes": (7, 5, 4), "alpha": 0.001, "random_state": 0, **params})


def raw_of(model, X):
    return model.predict(X) if isinstance(model, NormRegMLPRegressor) else model.predict_proba(X)


def assert_same_bits(a, b):
    for left, right in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, MIXED], ids=str)
@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_training_lowers_the_objective(task, activation, solver, make_problem):
    """Beyond what the best constant reaches, and F is that of the formulas."""
    problem = make_problem(task)
    hidden = (8,) if isinstance(activation, str) else (7, 5, 4)
    params = dict(activation=activation, hidden_layer_sizes=hidden, batch_size=15)
    model = make_model(problem, solver=solver, **params, **SOLVERS[solver])
    model.fit(problem.X, problem.y)
    expected = oracles.objective(
        problem.X,
        problem.encoded,
        model.coefs_,
        model.intercepts_,
        loss=problem.loss,
        activation=activation,
        alpha=0.001,
    )
    assert model.objective_ == pytest.approx(expected, rel=1e-10)
    shares = np.bincount(problem.y) / len(problem.y) if task == "multiclass" else None
    constant = -(shares @ np.log(shares)) if task == "multiclass" else 0.5 * problem.y.var()
    assert model.objective_ < 0.95 * constant


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_samples", [1, 60, 3000])
def test_prediction_is_the_formulas(n_samples, dtype, make_problem):
    """Rows in one block and in several."""
    problem = make_problem("multioutput", n_samples=max(n_samples, 20))
    model = make_model(problem, activation=MIXED, max_iter=2, dtype=dtype).fit(problem.X, problem.y)
    X = problem.X[:n_samples]
    weights = [W.astype(float) for W in model.coefs_], [b.astype(float) for b in model.intercepts_]
    expected = oracles.raw_prediction(X, *weights, MIXED)
    tolerance = 1e-5 if dtype == "float32" else 1e-13  # some hundred eps: sums of a few terms around 1
    np.testing.assert_allclose(model.predict(X), expected, rtol=tolerance, atol=tolerance)


def test_forms_of_the_same_activations(make_problem):
    problem = make_problem("binary")
    fitted = make_model(problem, activation=MIXED, max_iter=5).fit(problem.X, problem.y)
    assert fitted.hidden_activation_ == MIXED
    for form in (list(MIXED), np.array(MIXED), PerLayer(*MIXED)):
        other = make_model(problem, activation=form, max_iter=5).fit(problem.X, problem.y)
        assert other.hidden_activation_ == MIXED
        assert_same_bits(fitted, other)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_name_is_the_same_as_many(activation, make_problem):
    problem = make_problem("binary")
    one = make_model(problem, activation=activation, max_iter=5).fit(problem.X, problem.y)
    many = make_model(problem, activation=[activation] * 3, max_iter=5).fit(problem.X, problem.y)
    assert one.hidden_activation_ == many.hidden_activation_ == activation
    assert_same_bits(one, many)


@pytest.mark.parametrize(
    ("hidden_layer_sizes", "expected"),
    [((), ()), ((4,), "gelu"), ((4, 4), ("gelu", "elu")), ((4,) * 4, ("gelu", "tanh", "tanh", "elu"))],
)
def test_per_layer_fits_any_depth(hidden_layer_sizes, expected, make_problem):
    problem = make_problem("regression")
    activation = PerLayer(first="gelu", hidden="tanh", last="elu")
    model = make_model(problem, hidden_layer_sizes=hidden_layer_sizes, activation=activation, max_iter=2)
    model.fit(problem.X, problem.y)
    assert model.hidden_activation_ == expected
    assert np.isfinite(model.predict(problem.X)).all()


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_goes_on(solver, make_problem):
    """Six epochs at once, by partial_fit through pickles, and by warm_start."""
    problem = make_problem("multiclass")
    params = dict(activation=MIXED, solver=solver, batch_size=12, tol=0)
    whole = make_model(problem, max_iter=6, **params).fit(problem.X, problem.y)
    staged = make_model(problem, **params)
    for _ in range(6):
        staged = pickle.loads(pickle.dumps(staged.partial_fit(problem.X, problem.y, classes=np.unique(problem.y))))
    warm = make_model(problem, max_iter=3, warm_start=True, **params)
    warm.fit(problem.X, problem.y).fit(problem.X, problem.y)
    assert_same_bits(staged, whole)
    assert_same_bits(warm, whole)
    np.testing.assert_array_equal(raw_of(staged, problem.X), raw_of(whole, problem.X))
    assert staged.hidden_activation_ == warm.hidden_activation_ == MIXED
    assert all(type(name) is str for name in staged.hidden_activation_)  # fitted state is plain


def test_buffers_follow_the_rows(make_problem):
    """lbfgs evaluates F with and without its gradient, over blocks of rows and a shorter last one."""
    problem = make_problem("regression", n_samples=5001)
    params = dict(hidden_layer_sizes=(30,), solver="lbfgs", max_iter=20, alpha=0.01)
    gelu = make_model(problem, activation="gelu", **params).fit(problem.X, problem.y)
    expected = oracles.objective(
        problem.X, problem.y, gelu.coefs_, gelu.intercepts_, loss=problem.loss, activation="gelu", alpha=0.01
    )
    assert gelu.objective_ == pytest.approx(expected, rel=1e-10)
    assert gelu.objective_ < 0.2 * 0.5 * problem.y.var()


def test_early_stopping(make_problem):
    problem = make_problem("binary", n_samples=200)
    params = dict(early_stopping=True, learning_rate_init=0.01, batch_size=20, n_iter_no_change=30)
    model = make_model(problem, activation=MIXED, **params).fit(problem.X, problem.y)
    assert model.best_validation_score_ > 0.75


def test_parameters_set_after_fit_do_not_change_predictions(make_problem):
    problem = make_problem("multiclass")
    model = make_model(problem, activation=MIXED, max_iter=3).fit(problem.X, problem.y)
    expected = model.predict_proba(problem.X)
    model.set_params(activation=["relu"])
    np.testing.assert_array_equal(model.predict_proba(problem.X), expected)


def test_grids(make_problem):
    problem = make_problem("binary")
    model = make_model(problem, hidden_layer_sizes=(5, 4), max_iter=10)
    sequences = ["tanh", ("gelu", "tanh"), ["silu", "relu"]]
    search = GridSearchCV(model, {"activation": sequences}, cv=2).fit(problem.X, problem.y)
    assert search.best_estimator_.hidden_activation_ in ("tanh", ("gelu", "tanh"), ("silu", "relu"))
    model = model.set_params(activation=PerLayer("relu", "relu", "relu"))
    grid = {"activation__first": ["gelu", "tanh"], "hidden_layer_sizes": [(4,), (4, 4), (4, 4, 4)]}
    search = GridSearchCV(model, grid, cv=2).fit(problem.X, problem.y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["activation__first"] in search.best_estimator_.hidden_activation_
    assert model.get_params()["activation__first"] == "relu"


@pytest.mark.parametrize("activation", [["gelu", "tanh"], PerLayer("gelu", "tanh", "elu")], ids=str)
def test_fit_leaves_the_parameter_alone(activation, make_problem):
    problem = make_problem("binary")
    model = make_model(problem, hidden_layer_sizes=(4, 3), activation=activation, max_iter=2)
    assert model.fit(problem.X, problem.y).activation is activation
    repeated = clone(model).fit(problem.X, problem.y)
    assert_same_bits(model, repeated)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity", ("leaky_relu", "tanh", "tanh")], ids=str)
def test_a_penalty_that_can_be_evaded(activation, make_problem):
    """A homogeneous activation between a penalised layer and one that is not."""
    problem = make_problem("binary")
    model = make_model(problem, activation=activation, layer_weights=[1, 0, 0, 0], max_iter=2)
    with pytest.warns(UserWarning, match="penalise every layer"):
        model.fit(problem.X, problem.y)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("activation", ["gelu", ("tanh", "relu", "relu")], ids=str)
def test_a_penalty_that_cannot_be_evaded(activation, make_problem):
    problem = make_problem("binary")
    make_model(problem, activation=activation, layer_weights=[1, 0, 0, 0], max_iter=2).fit(problem.X, problem.y)


@pytest.mark.parametrize("Estimator", [NormRegMLPClassifier, NormRegMLPRegressor])
@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (["relu", "tanh", "elu"], "3 entries, but the network has 2 hidden layers"),
        (["relu", "swish"], "one of .*'softplus'.*got 'swish'"),
        (PerLayer(), "names all three"),
    ],
    ids=str,
)
def test_bad_activation(Estimator, activation, message, make_problem):
    problem = make_problem("binary")
    with pytest.raises(ValueError, match=message):
        Estimator((4, 4), activation).fit(problem.X, problem.y)
