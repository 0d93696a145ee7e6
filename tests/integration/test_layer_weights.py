"""Per-layer strengths and penalties, and how a grid search reaches them."""

import pickle

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import L1, L2, ElasticNet, NoPenalty

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Some layers are penalised:UserWarning"),
]

ALPHA = 0.1


def fitted(problem, **params):
    defaults = dict(hidden_layer_sizes=(6, 4), alpha=ALPHA, max_iter=5, random_state=0)
    return problem.Estimator(**{**defaults, **params}).fit(problem.X, problem.y)


def penalty_of(model, problem):
    """What the fitted model adds to the data loss."""
    return model.objective_ - oracles.data_loss(
        problem.X, problem.encoded, model.coefs_, model.intercepts_, loss=problem.loss
    )


# The published forms for a weight matrix; ours are half of them.
PUBLISHED = {
    "size": lambda W: np.sum(W**2) / (W.shape[0] * W.shape[1]),
    "fan": lambda W: np.sum(W**2) * (W.shape[0] + W.shape[1]) / (W.shape[0] * W.shape[1]),
}


def differences(function, W):
    """Gradient by central differences; exact for squares but for rounding."""
    gradient = np.empty_like(W)
    for index in np.ndindex(W.shape):
        step = np.zeros_like(W)
        step[index] = 1e-3
        gradient[index] = (function(W + step) - function(W - step)) / 2e-3
    return gradient


@pytest.mark.parametrize("hidden_layer_sizes", [(), (6,), (6, 4)])
@pytest.mark.parametrize("scale", PUBLISHED)
def test_penalty_is_half_the_published_form(scale, hidden_layer_sizes, make_problem):
    problem = make_problem("multioutput")
    model = fitted(problem, hidden_layer_sizes=hidden_layer_sizes, layer_weights=scale)
    published = sum(PUBLISHED[scale](W) for W in model.coefs_)
    assert penalty_of(model, problem) == pytest.approx(0.5 * ALPHA * published)


@pytest.mark.parametrize("hidden_layer_sizes", [(), (6,), (6, 4)])
@pytest.mark.parametrize("scale", PUBLISHED)
def test_step_takes_half_the_published_gradient(scale, hidden_layer_sizes, make_problem):
    """One step of sgd is W - rate * (gradient of the data loss + that of the penalty)."""
    problem = make_problem("multioutput")
    options = dict(hidden_layer_sizes=hidden_layer_sizes, solver="sgd", momentum=0.0, batch_size=60, max_iter=1)
    start = fitted(problem, **options, penalty=None, learning_rate_init=1e-15)
    free = fitted(problem, **options, penalty=None, learning_rate_init=0.5)
    model = fitted(problem, **options, layer_weights=scale, learning_rate_init=0.5)
    for W_0, W_free, W in zip(start.coefs_, free.coefs_, model.coefs_, strict=True):
        expected = 0.5 * ALPHA * differences(PUBLISHED[scale], W_0)
        assert_allclose((W_free - W) / 0.5, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
@pytest.mark.parametrize("scale", PUBLISHED)
def test_full_batch_solvers_end_where_the_gradients_balance(scale, solver, make_problem):
    problem = make_problem("multioutput")
    options = dict(solver=solver, activation="tanh", layer_weights=scale, alpha=1.0)
    model = fitted(problem, **options, tol=1e-9, max_iter=20000, max_fun=100000)
    for layer, W in enumerate(model.coefs_):

        def data_loss(V, layer=layer):
            coefs = [*model.coefs_[:layer], V, *model.coefs_[layer + 1 :]]
            terms = dict(loss=problem.loss, activation="tanh")
            return oracles.data_loss(problem.X, problem.encoded, coefs, model.intercepts_, **terms)

        pull = 0.5 * differences(PUBLISHED[scale], W)
        assert np.abs(pull).max() > 0.01
        # The error of the differences of a tanh network, step^2/6 times its third derivative, is about 1e-6.
        assert_allclose(differences(data_loss, W), -pull, rtol=0, atol=1e-5)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_equal_layer_weights_scale_alpha(solver, penalty, make_problem):
    problem = make_problem("multiclass")
    common = dict(solver=solver, penalty=penalty)
    weighted = fitted(problem, alpha=0.01, layer_weights=[3, 3, 3], **common)
    scaled = fitted(problem, alpha=0.03, **common)
    for a, b in zip(weighted.coefs_, scaled.coefs_, strict=True):
        assert_allclose(a, b, rtol=0, atol=1e-10)


def test_one_sgd_step_decays_each_layer_by_its_weight(make_problem):
    """W_c - W_0 = -learning_rate * alpha * c * W, so it is linear in c."""
    problem = make_problem("regression")

    def one_step(layer_weights):
        return fitted(
            problem,
            solver="sgd",
            momentum=0.0,
            batch_size=60,
            max_iter=1,
            layer_weights=layer_weights,
        ).coefs_

    zero, one = one_step([0, 0, 0]), one_step([1, 1, 1])
    mixed = one_step([2, 0, 5])
    for W_0, W_1, W, c in zip(zero, one, mixed, (2, 0, 5), strict=True):
        assert np.abs(W_1 - W_0).max() > 0
        assert_allclose(W - W_0, c * (W_1 - W_0), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "hidden_layer_sizes, sequence",
    [((), [2.0]), ((6,), [2.0, 5.0]), ((6, 4), [2, 3, 5]), ((6, 4, 3), [2, 3, 3, 5])],
)
def test_per_layer_keeps_its_meaning_at_every_depth(hidden_layer_sizes, sequence, make_problem):
    problem = make_problem("regression")
    common = dict(hidden_layer_sizes=hidden_layer_sizes)
    by_role = fitted(problem, layer_weights=PerLayer(first=2, hidden=3, last=5), **common)
    by_position = fitted(problem, layer_weights=sequence, **common)
    array = fitted(problem, layer_weights=np.array(sequence), **common)
    for model in (by_role, array):
        assert model.objective_ == by_position.objective_
        for a, b in zip(model.coefs_, by_position.coefs_, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("Estimator", [NormRegMLPClassifier, NormRegMLPRegressor])
def test_grid_over_layer_weights_and_depth(Estimator, make_problem):
    task = "binary" if Estimator is NormRegMLPClassifier else "regression"
    problem = make_problem(task)
    search = GridSearchCV(
        Estimator(layer_weights=PerLayer(), alpha=0.1, max_iter=10, random_state=0),
        {
            "hidden_layer_sizes": [(), (5,), (5, 4)],
            "layer_weights__first": [0.1, 1, 10],
        },
        cv=2,
        error_score="raise",
    ).fit(problem.X, problem.y)
    assert len(search.cv_results_["params"]) == 9
    chosen = search.best_params_["layer_weights__first"]
    assert search.best_estimator_.layer_weights.first == chosen
    # the object the user passed is not the one the search changed
    assert search.estimator.layer_weights.first == 1


def test_grid_within_a_pipeline(make_problem):
    problem = make_problem("binary")
    pipeline = make_pipeline(
        StandardScaler(),
        NormRegMLPClassifier((4,), layer_weights=PerLayer(), max_iter=5),
    )
    search = GridSearchCV(
        pipeline,
        {
            "normregmlpclassifier__layer_weights__last": [0.1, 10],
            "normregmlpclassifier__layer_weights__scale": ["uniform", "size", "fan"],
        },
        cv=2,
        error_score="raise",
    ).fit(problem.X, problem.y)
    assert len(search.cv_results_["params"]) == 6


def test_grid_over_forms_of_layer_weights(make_problem):
    problem = make_problem("regression")
    values = [None, "uniform", "size", "fan", PerLayer(first=2), [1, 2]]
    search = GridSearchCV(
        NormRegMLPRegressor((4,), max_iter=5),
        {"layer_weights": values},
        cv=2,
        error_score="raise",
    ).fit(problem.X, problem.y)
    assert len(search.cv_results_["params"]) == len(values)


PER_LAYER_PENALTIES = [
    (["l1", "l2", "l2"], ["l1", "l2", "l2"]),
    (["l1", None, "none"], ["l1", None, None]),
    (PerLayer(first="l1", hidden="l2", last="l2"), ["l1", "l2", "l2"]),
    (PerLayer(first=L1(), hidden=NoPenalty(), last="l2"), ["l1", None, "l2"]),
    ([L1(), L2(), ElasticNet(l1_ratio=0.5)], ["l1", "l2", "elasticnet"]),
    (L1(), "l1"),
    (L2(), "l2"),
    (ElasticNet(l1_ratio=0.5), "elasticnet"),
    (NoPenalty(), None),
]


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
@pytest.mark.parametrize("penalty, names", PER_LAYER_PENALTIES)
def test_penalty_per_layer(penalty, names, solver, make_problem):
    problem = make_problem("regression")
    model = fitted(problem, solver=solver, penalty=penalty, alpha=0.02, layer_weights=[3, 1, 2])
    expected = oracles.penalty_term(
        model.coefs_,
        model.intercepts_,
        penalty=names,
        alpha=0.02,
        factors=[3, 1, 2],
    )
    assert penalty_of(model, problem) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
def test_l1_on_the_first_layer_alone_leaves_the_others_dense(solver, make_problem):
    problem = make_problem("regression")
    model = fitted(
        problem,
        solver=solver,
        activation="tanh",
        penalty=PerLayer(first="l1", hidden="l2", last="l2"),
        learning_rate_init=0.02,
        max_iter=100,
        alpha=0.03,
    )
    zeros = [np.count_nonzero(W == 0.0) for W in model.coefs_]
    assert zeros[0] > 0 and zeros[1:] == [0, 0]


def test_elasticnet_object_has_its_own_ratio(make_problem):
    """The flat l1_ratio serves the string alone."""
    problem = make_problem("regression")
    by_object = fitted(problem, penalty=ElasticNet(l1_ratio=0.9), l1_ratio=0.1)
    by_string = fitted(problem, penalty="elasticnet", l1_ratio=0.9)
    assert by_object.objective_ == by_string.objective_


@pytest.mark.parametrize(
    "make, name, value",
    [
        (PerLayer, "first", 3),
        (PerLayer, "scale", "fan"),
        (lambda: ElasticNet(l1_ratio=0.2), "l1_ratio", 0.7),
    ],
)
def test_parts_have_parameters(make, name, value):
    part = make()
    assert name in part.get_params()
    part.set_params(**{name: value})
    copy = clone(part)
    assert copy is not part
    assert copy.get_params() == part.get_params()
    assert pickle.loads(pickle.dumps(part)).get_params()[name] == value
    assert name in repr(part)
    with pytest.raises(ValueError, match="nonsense"):
        part.set_params(nonsense=1)


def test_nested_parameters_of_the_estimator():
    model = NormRegMLPClassifier(
        penalty=PerLayer(first=ElasticNet(l1_ratio=0.2)),
        layer_weights=PerLayer(last=4),
    )
    params = model.get_params(deep=True)
    assert params["layer_weights__last"] == 4
    assert params["penalty__first__l1_ratio"] == 0.2
    copy = clone(model).set_params(layer_weights__last=7, penalty__first__l1_ratio=0.8, penalty__hidden="l1")
    assert copy.layer_weights.last == 7
    assert copy.penalty.first.l1_ratio == 0.8
    assert model.layer_weights.last == 4
    assert model.penalty.first.l1_ratio == 0.2


def test_fit_leaves_the_parameters_alone(make_problem):
    problem = make_problem("regression")
    params = dict(
        hidden_layer_sizes=[6, 4],
        layer_weights=PerLayer(first=2),
        penalty=[L1(), "l2", None],
    )
    model = problem.Estimator(max_iter=3, **params).fit(problem.X, problem.y)
    for name, value in params.items():
        assert getattr(model, name) is value
    restored = pickle.loads(pickle.dumps(model))
    assert restored.layer_weights.first == 2
    assert np.array_equal(restored.predict(problem.X), model.predict(problem.X))
