"""Inputs and call orders that once crashed, or quietly did something else."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet._core.network import LayerPenalties, Network, RowOrder
from sknormnet.losses import LOSSES, LogLoss, SquaredError
from sknormnet.penalties import L1

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = X[:, 0] - 2 * X[:, 1] + 0.1 * RNG.normal(size=60)


def regressor(**params):
    return NormRegMLPRegressor(**{"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0, **params})


def broken_csr(part):
    table = sp.csr_matrix(X)
    if part == "short indptr":
        table.indptr = table.indptr[:-30].copy()
    elif part == "short indices":
        table.indices = table.indices[:5].copy()
    elif part == "short data":
        table.data = table.data[:5].copy()
    elif part == "falling indptr":
        table.indptr[3] = 40
    else:
        table.indices[7] = 99
    return table


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("part", ["short indptr", "short indices", "short data", "falling indptr", "column"])
def test_malformed_csr_is_refused(part, weighted):
    weight = (np.arange(60) % 2).astype(float) if weighted else None
    with pytest.raises(ValueError):
        regressor().fit(broken_csr(part), Y, weight)
    with pytest.raises(ValueError):
        regressor().fit(X, Y).predict(broken_csr(part))


def test_csr_with_strided_or_mixed_parts():
    table = sp.csr_matrix(X)
    expected = regressor().fit(table, Y).predict(table)
    padded = np.zeros(2 * table.nnz)
    padded[::2] = table.data
    for data, indices, indptr in [
        (padded[::2], table.indices, table.indptr),
        (table.data, table.indices.astype(np.int64), table.indptr.astype(np.int64)),
    ]:
        assert_array_equal(
            regressor().fit(sp.csr_matrix((data, indices, indptr), shape=X.shape), Y).predict(table), expected
        )


def test_unaligned_tables():
    raw = np.frombuffer(b"\0" + X.tobytes(), dtype=np.uint8)[1:].view(np.uint8)
    unaligned = np.ndarray(X.shape, dtype=float, buffer=raw.data)
    assert_allclose(regressor().fit(unaligned, Y).predict(unaligned), regressor().fit(X, Y).predict(X))


@pytest.mark.parametrize("values", [(-1, 1), (0, 2), (3, 5)])
def test_labels_are_zeros_and_ones(values):
    labels = np.where(X[:, :2] > 0, *values[::-1])
    with pytest.raises(ValueError, match="0 and 1 only"):
        NormRegMLPClassifier((3,), max_iter=2).fit(X, labels)


class NoKernel(SquaredError):
    def kernel(self):
        return None


class TooWide(SquaredError):
    def n_raw(self, n_targets, n_classes=None):
        return 3000


class NoPenaltyKernel(L1):
    def kernel(self):
        return None


@pytest.mark.parametrize(
    "params", [{"loss": NoKernel()}, {"loss": TooWide()}, {"penalty": NoPenaltyKernel()}], ids=lambda p: next(iter(p))
)
def test_parts_that_do_not_fit_raise(params):
    with pytest.raises((TypeError, ValueError)):
        regressor(**params).fit(X, Y)


def test_blocks_that_do_not_belong_together():
    with pytest.raises(ValueError, match="does not fit"):
        SquaredError().value_and_gradient(np.ones((3, 1)), np.ones((3, 4)))
    with pytest.raises(ValueError, match="does not fit"):
        LogLoss().value_and_gradient(np.ones((3, 2)), np.ones((3, 3)))
    network = Network((5, 3), "relu", np.float64)
    with pytest.raises(ValueError, match="class numbers"):
        network.bind(X, np.full((60, 1), 3.0), None, LOSSES["log_loss"]().kernel())
    with pytest.raises(ValueError, match="one term"):
        network.penalty(np.zeros(network.n_parameters), LayerPenalties([], [], False))
    with pytest.raises(TypeError):
        network.bind(X, None, None, LOSSES["log_loss"]().kernel())


def test_a_network_can_be_bound_again():
    network = Network((5, 40), "relu", np.float64)
    weights, intercepts = [np.ones((5, 40))], [np.zeros(40)]
    network.forward(weights, intercepts, X)
    network.bind(X, np.zeros((60, 40)), None, LOSSES["squared_error"]().kernel(), RowOrder(np.arange(60), 60))
    theta = np.concatenate([weights[0].ravel(), intercepts[0]])
    expected = 0.5 * ((X @ weights[0]) ** 2).sum() / 60
    assert network.value_and_gradient(theta, np.empty_like(theta)) == pytest.approx(expected)


def test_cosine_starts_again_in_every_fit():
    model = regressor(learning_rate="cosine", warm_start=True).fit(X, Y)
    before = model.coefs_[0].copy()
    model.fit(X, 3 * Y)
    assert model.history_["learning_rate"][:5] == model.history_["learning_rate"][5:]
    assert not np.allclose(before, model.coefs_[0])


def test_cosine_goes_on_through_partial_fit():
    model = regressor(learning_rate="cosine", max_iter=4)
    for _ in range(6):
        model.partial_fit(X, Y)
    assert_allclose(
        model.history_["learning_rate"], 1e-3 * 0.5 * (1 + np.cos(np.pi * np.arange(6).clip(max=4) / 4)), atol=1e-18
    )


def test_warm_starts_keep_the_validation_split():
    model = regressor(warm_start=True, early_stopping=True, max_iter=3)
    seen = []
    score = model._validation_score
    model._validation_score = lambda loss, y, *rest: (seen.append(y.copy()), score(loss, y, *rest))[1]
    model.fit(X, Y).fit(X, Y)
    assert_array_equal(seen[0], seen[-1])


def test_from_early_stopping_to_none():
    model = regressor(warm_start=True, early_stopping=True).fit(X, Y)
    model.set_params(early_stopping=False).fit(X[:54], Y[:54])
    model.partial_fit(X[:54], Y[:54])


def test_other_bit_generators_go_on():
    model = regressor(random_state=np.random.RandomState(np.random.PCG64(0)), warm_start=True)
    model.fit(X, Y).fit(X, Y)
    model.partial_fit(X, Y)


def test_adaptive_rate_goes_on_and_shrinks_in_partial_fit():
    params = dict(solver="sgd", learning_rate="adaptive", learning_rate_init=0.05, n_iter_no_change=2, tol=0.1)
    model = regressor(**params)
    for _ in range(20):
        model.partial_fit(X, Y)
    assert model.history_["learning_rate"][-1] < 0.05 / 20


def test_tiny_epsilon_and_a_dead_feature():
    table = np.column_stack([X, np.zeros(60)]).astype(np.float32)
    model = regressor(epsilon=1e-46, alpha=0.0).fit(table, Y)
    assert all(np.isfinite(W).all() for W in model.coefs_)


def test_a_steep_schedule_ends_at_rate_zero():
    model = regressor(solver="sgd", learning_rate="invscaling", power_t=300.0).fit(X, Y)
    assert model.history_["learning_rate"][-1] == 0.0


def test_layers_without_units_are_refused():
    model = regressor().fit(X, Y)
    model.coefs_ = [np.zeros((5, 0)), np.zeros((0, 1))]
    model.intercepts_ = [np.zeros(0), np.zeros(1)]
    with pytest.raises(ValueError, match="do not fit the network"):
        model.predict(X)


def test_every_iteration_of_fista_is_recorded():
    model = regressor(solver="fista", max_iter=300, penalty="l1", alpha=0.01).fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_)
    assert (np.diff(model.loss_curve_) <= 0).all()
