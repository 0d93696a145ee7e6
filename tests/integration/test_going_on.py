"""fit(10 epochs) = 2 x 5 by warm_start = 10 x partial_fit = the same with a pickle in between = killed and resumed.

All in bits: the same numbers go through the same operations, so that there is nothing to tolerate.
"""

import io
import itertools
import pickle

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from checkpoints import assert_same_fit, killed
from fits import assert_same_model

from sknormnet.callbacks import resume
from sknormnet.penalties import L1, L2, PENALTIES, GroupLasso, L2Norm, MaxNorm, Sum

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("no_fsync"),
]

RULES = {
    "sgd": dict(solver="sgd", momentum=0.0),
    "momentum": dict(solver="sgd", nesterovs_momentum=False),
    "nesterov": dict(solver="sgd"),
    "adam": dict(solver="adam"),
}
OTHER_PENALTIES = {
    "of the network": L2Norm("network"),
    "of matrices": MaxNorm(by="matrix", limit=0.8),
    "sum": Sum((L1(), GroupLasso(), L2())),
    "sum with a constraint": Sum((L1(), MaxNorm(limit=0.5))),
    "per layer": ("l1", "max_norm"),
}


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def dumped(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


def assert_same_end(model, whole):
    """Weights, history and counters; n_iter_ and the like tell of the last call."""
    assert_same_model(model, whole)
    for key, values in whole.history_.items():
        assert key == "seconds" or model.history_[key] == values, key
    for name in ("t_", "loss_", "best_loss_", "objective_"):
        assert getattr(model, name) == getattr(whole, name), name


def check_ways(problem, path, *data, warm=True, **params):
    """Ten epochs at once against the same in stages."""
    if len(data) == 0:
        data = problem.X, problem.y
    common = dict(
        hidden_layer_sizes=(4,), learning_rate_init=0.1, batch_size=16, alpha=0.02, tol=0.0, random_state=0, max_iter=10
    )

    def make(**more):
        return problem.Estimator(**{**common, **params, **more})

    whole = make().fit(*data)
    assert whole.n_iter_ == 10
    if warm:
        stage = make(max_iter=5, warm_start=True).fit(*data)
        for between in (pickled, dumped):
            assert_same_end(between(stage).fit(*data), whole)
    parts = make()
    classes = {} if problem.task in ("regression", "multioutput") else {"classes": np.unique(problem.y)}
    if problem.task == "multilabel":
        classes = {}
    for i in range(10):
        parts = {3: pickled, 6: dumped}.get(i, lambda model: model)(parts.partial_fit(*data, **classes))
    assert_same_end(parts, whole)
    assert_same_fit(resume(killed(make(), path, 6, *data, every_epochs=4), *data), whole)


@pytest.mark.parametrize("rule", ["nesterov", "adam"])  # whose steps differ most between penalties
@pytest.mark.parametrize("penalty", [*PENALTIES, *OTHER_PENALTIES])
def test_penalties(penalty, rule, make_problem, tmp_path):
    penalty = OTHER_PENALTIES.get(penalty, penalty)
    check_ways(make_problem("regression"), tmp_path / "fit.npz", penalty=penalty, **RULES[rule])


@pytest.mark.parametrize("penalty", ["l2", "l1"])  # under one that is not smooth Nesterov's rule has another state
@pytest.mark.parametrize("rule", RULES)
def test_data(rule, penalty, make_problem, tmp_path):
    weights = np.random.default_rng(1).uniform(0, 3, 60)
    for dtype, sparse in itertools.product(("float32", "float64"), (False, True)):
        problem = make_problem("multiclass" if sparse == (penalty == "l1") else "regression")
        X = sp.csr_array(problem.X * (np.abs(problem.X) > 0.5)) if sparse else problem.X
        weight = weights if sparse != (dtype == "float32") else None
        check_ways(problem, tmp_path / "fit.npz", X.astype(dtype), problem.y, weight, penalty=penalty, **RULES[rule])


@pytest.mark.parametrize("weight", [None, "equal", "different"])
@pytest.mark.parametrize("task", ["binary", "multilabel", "multioutput"])
def test_targets_and_weights(task, weight, make_problem, tmp_path):
    """Equal weights count as none, in the first call of partial_fit and in every other."""
    problem = make_problem(task)
    weights = {None: None, "equal": np.full(60, 3.0), "different": np.linspace(0, 3, 60)}
    check_ways(problem, tmp_path / "fit.npz", problem.X, problem.y, weights[weight])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("learning_rate", ["invscaling", "adaptive", "cosine"])
def test_schedules(learning_rate, rule, make_problem, tmp_path):
    """Cosine falls to zero in every fit: two fits of 5 epochs are not one of 10."""
    params = dict(learning_rate=learning_rate, penalty="l1", **RULES[rule])
    if learning_rate == "adaptive" and rule != "adam":
        params |= dict(learning_rate_init=0.2, n_iter_no_change=2, batch_size=60)
    check_ways(make_problem("regression"), tmp_path / "fit.npz", warm=learning_rate != "cosine", **params)


def test_a_plateau_goes_on_in_a_warm_start(make_problem):
    """The rate falls after three epochs without improvement, one of them in the first fit."""
    problem = make_problem("regression")
    params = dict(solver="sgd", learning_rate="adaptive", tol=1e9, n_iter_no_change=3, random_state=0)
    model = problem.Estimator(max_iter=2, warm_start=True, **params)
    for _ in range(4):
        model.fit(problem.X, problem.y)
    whole = problem.Estimator(max_iter=8, **params).fit(problem.X, problem.y)
    assert whole.history_["learning_rate"] == model.history_["learning_rate"]
    assert len(set(whole.history_["learning_rate"])) == 3


@pytest.mark.parametrize("change", ["data", "alpha", "weights"])
def test_another_problem_starts_with_all_patience(change, make_problem):
    """As along a path of strengths: that the new objective is above the old one is no lack of improvement."""
    problem = make_problem("regression")
    model = problem.Estimator((4,), max_iter=5, n_iter_no_change=3, warm_start=True, random_state=0)
    model.fit(problem.X, problem.y)
    y = problem.y
    if change == "data":
        y = 10 * y
    elif change == "alpha":
        model.set_params(alpha=100.0)
    else:
        model.intercepts_[-1] += 10
    model.fit(problem.X, y)
    assert model.stop_reason_ == "max_iter"
    assert min(model.loss_curve_[5:]) > model.loss_curve_[4]


def test_patience_that_ended_a_fit_starts_anew(make_problem):
    problem = make_problem("regression")
    model = problem.Estimator((4,), n_iter_no_change=3, tol=1e9, warm_start=True, random_state=0)
    for _ in range(2):
        assert model.fit(problem.X, problem.y).n_iter_ == 4  # the first epoch is better than none
        assert model.stop_reason_ == "patience"
