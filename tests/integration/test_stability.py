"""Stability selection: its definition by other means, its bound on data whose truth is known, and what it refuses."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer, stability, stability_selection
from sknormnet.penalties import GroupLasso

LASSO = NormRegMLPRegressor((), penalty="l1", solver="fista", tol=1e-2, max_iter=500)
LOGISTIC = NormRegMLPClassifier((), penalty="l1", solver="fista", tol=1e-2, max_iter=500)
NETWORK = NormRegMLPRegressor(
    (10,),
    "tanh",
    penalty=PerLayer(first=GroupLasso("input"), hidden="l2", last="l2"),
    learning_rate_init=0.02,
    batch_size=50,
    max_iter=50,
)
FEW = {"n_resamples": 20, "n_alphas": 10, "alpha_min_ratio": 0.05, "random_state": 0}


def linear_data(seed, n=100, p=60, effects=(1.5, -1.5, 1.0, -1.0)):
    """The first inputs matter, the others are exchangeable noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X[:, : len(effects)] @ effects + rng.standard_normal(n)


def assert_same(a, b):
    np.testing.assert_array_equal(a.stability_path, b.stability_path)
    np.testing.assert_array_equal(a.selected, b.selected)
    assert (a.mean_selected, a.bound) == (b.mean_selected, b.bound)


def test_shares_are_those_of_the_lasso_paths_of_the_halves(monkeypatch):
    """scikit-learn's lasso_path on the same halves. Solved so exactly that no support differs."""
    X, y = linear_data(0, n=80, p=20)
    halves, alphas = [], np.geomspace(0.02, 1.5, 12)

    def pair(strata, rng, own=stability._pair):
        halves.extend(own(strata, rng))
        return halves[-2:]

    monkeypatch.setattr(stability, "_pair", pair)
    exact = NormRegMLPRegressor((), penalty="l1", solver="fista", tol=1e-8, max_iter=5000)
    found = stability_selection(exact, X, y, alphas=alphas, n_features=6, n_resamples=8, random_state=1)
    shares, n_selected = np.zeros((12, 20)), 0
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        assert np.intersect1d(first, second).size == 0
    for rows in halves:
        assert len(np.unique(rows)) == 40
        A, b = X[rows] - X[rows].mean(axis=0), y[rows] - y[rows].mean()
        W = lasso_path(A, b, alphas=alphas[::-1], tol=1e-12, max_iter=100_000)[1][:, ::-1].T
        last = [max(np.flatnonzero(w), default=-1) for w in W.T]
        order = sorted(range(20), key=lambda j: (-last[j], -abs(W[last[j], j])))
        alive = W[:, order[:6]] != 0
        shares[:, order[:6]] += alive / 8
        n_selected += alive.any(axis=0).sum()
    np.testing.assert_allclose(found.stability_path, shares, atol=1e-12)
    np.testing.assert_allclose(found.probabilities, shares.max(axis=0), atol=1e-12)
    np.testing.assert_array_equal(found.selected, np.flatnonzero(shares.max(axis=0) > 0.75 - 1e-12))
    assert found.mean_selected == n_selected / 8
    np.testing.assert_allclose(found.bound, (n_selected / 8) ** 2 / (0.5 * 20))
    np.testing.assert_array_equal(found.alphas, alphas)


def test_false_selections_stay_below_the_bound():
    """Over six data sets. One path of all the data in place of the halves' would select 12 - 4 false ones."""
    n_false, bounds = [], []
    for seed in range(6):
        X, y = linear_data(seed)
        found = stability_selection(LASSO, X, y, n_features=12, threshold=0.8, **FEW)
        assert set(range(4)) <= set(found.selected)
        n_false.append(np.count_nonzero(found.selected >= 4))
        bounds.append(found.bound)
    np.testing.assert_allclose(bounds, 12**2 / (0.6 * 60))  # each half has twelve alive somewhere
    assert np.mean(n_false) <= np.mean(bounds)


def test_the_bound_holds_for_one_pair_of_halves():
    """It is sharp here, up to chance. Halves drawn one by one share rows, and what both select goes beyond it."""
    n_false, bounds = [], []
    for seed in range(40):
        X, y = linear_data(seed, effects=(), n=60, p=20)
        settings = {**FEW, "n_resamples": 2, "n_features": 5, "threshold": 1.0, "random_state": seed}
        found = stability_selection(LASSO, X, y, **settings)
        n_false.append(len(found.selected))
        bounds.append(found.bound)
    assert np.mean(n_false) <= np.mean(bounds) + 2 * np.std(n_false) / np.sqrt(len(n_false))


def test_nothing_is_stable_among_noise():
    """Every input is as likely as any other to be one of the six first: one in ten halves."""
    X, y = linear_data(0, effects=())
    found = stability_selection(LASSO, X, y, n_features=6, **FEW)
    assert found.mean_selected == 6
    assert found.stability_path.sum(axis=1).max() <= 6 + 1e-9
    assert len(found.selected) <= found.bound
    assert np.median(found.probabilities) <= 0.1


def test_classes():
    X, z = linear_data(1, n=200, p=30, effects=(3, -3))
    found = stability_selection(LOGISTIC, X, np.where(z > 0, "yes", "no"), n_features=3, **FEW)
    assert found.selected.tolist() == [0, 1]
    columns = np.column_stack([z > 0, X[:, 2] > 0])
    assert set(stability_selection(LOGISTIC, X, columns, n_features=3, **FEW).selected) == {0, 1, 2}


def test_no_class_is_lost():
    """Two rows of 42 are of a class: without halves of each class every other half would lack it or have both."""
    X, y = np.random.default_rng(0).standard_normal((42, 5)), np.repeat([0, 1, 2], [20, 20, 2])
    X[:, 0] += 3 * y
    stability_selection(LOGISTIC, X, y, n_features=2, **FEW)
    pairs = [stability._pair(stability._strata(LOGISTIC, y, 42), np.random.RandomState(i)) for i in range(20)]
    assert all(np.bincount(y[rows]).tolist() == [10, 10, 1] for rows in np.concatenate(pairs))


def test_one_row_has_no_halves():
    with pytest.raises(ValueError, match="halves need two rows or more"):
        stability_selection(LASSO, np.ones((1, 3)), np.ones(1), **FEW)


def test_pairs_of_odd_strata_share_no_row():
    strata = [np.arange(7), np.arange(7, 10)]
    for seed in range(20):
        first, second = stability._pair(strata, np.random.RandomState(seed))
        assert len(first) == len(second) == 4
        assert not np.intersect1d(first, second).size
        assert (first < 7).sum() == (second < 7).sum() == 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_network():
    """An interaction, which no linear selection sees."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 15))
    y = np.tanh(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.standard_normal(300)
    settings = {"n_features": 4, "n_resamples": 10, "n_alphas": 15, "random_state": 0}
    found = stability_selection(NETWORK, X, y, **settings)
    assert found.selected.tolist() == [0, 1, 2]
    assert_same(found, stability_selection(NETWORK, X, y, n_jobs=2, **settings))
    assert not hasattr(NETWORK, "coefs_")


@pytest.mark.parametrize(
    "as_container", [sp.coo_array, sp.bsr_matrix, pd.DataFrame, np.ndarray.tolist], ids=["coo", "bsr", "frame", "list"]
)
def test_kinds_of_tables(as_container):
    X, y = linear_data(2, p=10)
    expected = stability_selection(LASSO, X, y, **FEW)
    found = stability_selection(LASSO, as_container(X), pd.Series(y, index=np.arange(100)[::-1]), **FEW)
    np.testing.assert_allclose(found.stability_path, expected.stability_path, atol=0.05)  # CSR sums in another order


def test_weights_follow_their_rows():
    """What is true of the heavy rows counts, however the light ones contradict it; rows of weight 0 are none."""
    X, y = linear_data(3, n=200, p=10, effects=(2,))
    heavy = np.arange(200) % 2 == 0
    y[~heavy] = 50 * X[~heavy, 1]
    found = stability_selection(LASSO, X, y, sample_weight=np.where(heavy, 1, 1e-9), n_features=1, **FEW)
    assert found.selected.tolist() == [0]
    alone = stability_selection(LASSO, X[heavy], y[heavy], n_features=1, **FEW)
    assert_same(alone, stability_selection(LASSO, X, y, sample_weight=heavy.astype(float), n_features=1, **FEW))


def test_number_of_inputs_follows_from_the_bound():
    X, y = linear_data(0)
    for max_false, threshold, n_features in ((1, 0.75, 5), (1, 0.9, 6), (2.5, 0.8, 9), (0.6, 1.0, 6), (1e9, 0.6, 26)):
        found = stability_selection(
            LASSO, X, y, max_false=max_false, threshold=threshold, **{**FEW, "n_resamples": 2, "n_alphas": 3}
        )
        assert found.n_features == n_features
        assert found.bound <= max_false * (1 + 1e-12)


def test_one_warning_says_in_how_many_halves_the_budget_ended():
    X, y = linear_data(0, p=10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stability_selection(NormRegMLPRegressor((), penalty="l1", solver="fista", max_iter=2), X, y, **FEW)
    (warning,) = caught
    assert warning.category is ConvergenceWarning
    assert str(warning.message).startswith("In 20 of 20 subsamples")
    assert warning.filename == __file__


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_resamples": 0}, "n_resamples must be an even number >= 2"),
        ({"n_resamples": 5}, "n_resamples must be an even number >= 2"),
        ({"n_resamples": 10.0}, "n_resamples must be an even number >= 2"),
        ({"threshold": 0.5}, "threshold must be a number above 0.5"),
        ({"threshold": 1.1}, "at most 1; got 1.1"),
        ({"max_false": 0}, "max_false must be a number > 0"),
        ({"max_false": 0.1}, "raise max_false or threshold"),
        ({"n_features": 0}, "whole number from 1 to 10, the number of inputs; got 0"),
        ({"n_features": 11}, "whole number from 1 to 10"),
        ({"alphas": [0.1, 0.3, 0.2]}, "alphas must be sorted"),
        ({"alphas": [0.0, 1e-9]}, "every input is alive at every strength"),
        ({"sample_weight": -np.ones(100)}, "sample_weight|Negative"),
    ],
)
def test_bad_settings(settings, message):
    X, y = linear_data(0, p=10)
    with pytest.raises(ValueError, match=message):
        stability_selection(LASSO, X, y, **{"n_resamples": 2, **settings})


def test_bad_data():
    X, y = linear_data(0, p=10)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        stability_selection(LASSO, X, y[:-1])
    with pytest.raises(ValueError, match="X must be a table"):
        stability_selection(LASSO, X[:, 0], y)
    with pytest.raises(ValueError, match=r"the classes \['rare'\] have one row each"):
        stability_selection(LOGISTIC, X, ["rare"] + ["a", "b"] * 49 + ["a"])
    with pytest.raises(ValueError, match="Unknown label type"):
        stability_selection(LOGISTIC, X, y)
    with pytest.raises(ValueError, match="every input is alive at every strength"):
        stability_selection(NormRegMLPRegressor((), penalty="l2", solver="lbfgs"), X, y, n_resamples=2, n_alphas=3)
    with pytest.raises(TypeError, match="estimator must be a NormRegMLPClassifier"):
        stability_selection("lasso", X, y)
