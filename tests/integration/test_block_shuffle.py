"""shuffle="block": long runs of neighbouring rows, in a documented order."""

import pickle

import numpy as np
import oracles
import pytest
import scipy.sparse
from checkpoints import assert_same_fit, killed
from fits import assert_same_model, make_model
from numpy.testing import assert_allclose
from sklearn.model_selection import train_test_split

from sknormnet import NormRegMLPRegressor, objective
from sknormnet.callbacks import resume
from sknormnet.initializers import glorot_uniform

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SIZE = 7  # rows of a block in these tests, whose tables have 5 columns
RATE = 0.05
CONTAINERS = {"dense": np.asarray, "csr": scipy.sparse.csr_array}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(objective, "BLOCK_VALUES", 5 * SIZE)


def plain_sgd(X, y, rows, epochs, rng):
    """A linear model after steps of one row each, from the start that the estimator draws."""
    theta = glorot_uniform((5, 1), (), np.float64, rng)
    train = rows(rng)
    for _ in range(epochs):
        for i in oracles.block_order(train, SIZE, rng):
            residual = X[i] @ theta[:5] + theta[5] - y[i]
            theta -= RATE * residual * np.append(X[i], 1.0)
    return theta


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("held_out", [False, True])
def test_order_of_a_fit(held_out, container, make_problem):
    """Every step depends on all before it, so that the weights tell the order. 1e-12: rounding of 120 steps."""
    problem = make_problem("regression")

    def rows(rng):
        every = np.arange(60)
        return np.sort(train_test_split(every, test_size=0.2, random_state=rng)[0]) if held_out else every

    parameters = dict(solver="sgd", momentum=0.0, learning_rate_init=RATE, batch_size=1, alpha=0.0, shuffle="block")
    model = NormRegMLPRegressor(
        (), **parameters, early_stopping=held_out, validation_fraction=0.2, max_iter=2, random_state=3
    )
    if held_out:  # of its epochs, the last one
        model.set_params(validation_scoring=lambda estimator, X, y: next(counter))
        counter = iter(range(9))
    model.fit(CONTAINERS[container](problem.X), problem.y)
    expected = plain_sgd(problem.X, problem.y, rows, 2, np.random.RandomState(3))
    assert_allclose(np.append(model.coefs_[0].ravel(), model.intercepts_[0]), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", CONTAINERS)
def test_going_on_is_exact(container, dtype, solver, make_problem, tmp_path, no_fsync):
    """Six epochs, three times two by warm_start, six calls of partial_fit with a pickle between, a fit that is killed
    and resumed: the same bits."""
    problem = make_problem("regression")
    X = CONTAINERS[container](problem.X.astype(dtype))
    common = dict(solver=solver, shuffle="block", tol=0.0)
    whole = make_model(problem, max_iter=6, **common).fit(X, problem.y)
    staged = make_model(problem, max_iter=2, warm_start=True, **common)
    for _ in range(3):
        staged.fit(X, problem.y)
    assert_same_model(staged, whole)
    partial = make_model(problem, **common)
    for _ in range(6):
        partial = pickle.loads(pickle.dumps(partial.partial_fit(X, problem.y)))
    assert_same_model(partial, whole)
    path = killed(make_model(problem, max_iter=6, **common), tmp_path / "fit.npz", 5, X, problem.y, every_epochs=3)
    assert_same_fit(resume(path, X, problem.y), whole)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_fit_on_rows_of_a_table_is_resumed(container, make_problem, tmp_path, no_fsync):
    """Rows of weight zero are skipped and rows are held out; the table's checksum is that of all of it."""
    problem = make_problem("binary")
    X, weight = CONTAINERS[container](problem.X), np.arange(60) % 4 // 2
    common = dict(shuffle="block", early_stopping=True, validation_fraction=0.3, tol=0.0)
    whole = make_model(problem, **common).fit(X, problem.y, weight)
    path = killed(make_model(problem, **common), tmp_path / "fit.npz", 4, X, problem.y, weight)
    assert_same_fit(resume(path, X, problem.y, weight), whole)
    with pytest.raises(ValueError, match="X is not the one that the fit had"):
        resume(path, X * 2, problem.y, weight)


@pytest.mark.parametrize("container", CONTAINERS)
def test_rows_of_weight_zero_are_in_no_block(container, make_problem):
    """Nor do their entries, more than those of others, count for the size of the blocks of a sparse table."""
    problem = make_problem("regression")
    weight = np.arange(60) % 4 // 2
    kept = weight > 0
    X = problem.X * np.where(kept, [[1], [1], [0], [0], [0]], 1).T
    model, expected = (make_model(problem, shuffle="block") for _ in "ab")
    model.fit(CONTAINERS[container](X), problem.y, sample_weight=weight)
    expected.fit(CONTAINERS[container](X[kept]), problem.y[kept])
    assert_same_model(model, expected)


def test_one_block_is_a_plain_shuffle_in_the_first_epoch(monkeypatch, make_problem):
    problem = make_problem("multiclass")
    monkeypatch.setattr(objective, "BLOCK_VALUES", 5 * 60)
    block = make_model(problem, shuffle="block", max_iter=1).fit(problem.X, problem.y)
    assert_same_model(block, make_model(problem, shuffle=True, max_iter=1).fit(problem.X, problem.y))


@pytest.mark.parametrize("before", [True, "block"])
def test_shuffle_may_change_between_warm_starts(before, make_problem):
    """The next epoch starts from the rows in order under "block", from the last order under True."""
    problem = make_problem("binary")
    model = make_model(problem, shuffle=before, warm_start=True, max_iter=2).fit(problem.X, problem.y)
    model.set_params(shuffle=True if before == "block" else "block").fit(problem.X, problem.y)
    assert np.isfinite(model.objective_) and model.t_ == 4 * 60


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_full_batch_solvers_do_not_care(solver, make_problem):
    problem = make_problem("multiclass")
    models = [make_model(problem, solver=solver, shuffle=s).fit(problem.X, problem.y) for s in (True, "block")]
    assert_same_model(*models)


def test_other_strings_are_refused(make_problem):
    problem = make_problem("binary")
    with pytest.raises(ValueError, match="'shuffle' parameter.*'block'.*Got 'blocks'"):
        make_model(problem, shuffle="blocks").fit(problem.X, problem.y)


def test_scikit_learns_mlp_shuffles_all_rows(make_problem):
    problem = make_problem("binary")
    assert make_model(problem, shuffle="block").fit(problem.X, problem.y).to_sklearn().shuffle is True
