"""What could go wrong silently: steep starts, overflow, users' subclasses of unusual kinds."""

import warnings

import numpy as np
import pytest
import user_losses
from sklearn.exceptions import ConvergenceWarning

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.losses import (
    Gamma,
    GaussianNLL,
    Huber,
    IdentityLink,
    LogitLink,
    LogLoss,
    Quantile,
    SoftmaxLink,
    SquaredError,
    SquaredHinge,
    Tweedie,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["poisson", "gamma", "squared_error"])
def test_lbfgs_recovers_from_a_steep_start(loss, dtype):
    """Curvature from far away must not leave steps below the dtype's precision: the search starts again."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(300, 3))
    y = rng.gamma(2, np.exp(Z @ [1, -0.5, 0.2]) / 2) + 1e-6
    common = dict(hidden_layer_sizes=(), loss=loss, solver="lbfgs", alpha=0, max_iter=1000)
    best = NormRegMLPRegressor(**common, tol=1e-8, random_state=0).fit(Z, y).objective_
    for seed in range(5):
        found = NormRegMLPRegressor(**common, random_state=seed).fit((10 * Z).astype(dtype), y).objective_
        assert found == pytest.approx(best, abs=1e-3)


def test_a_stalled_search_warns():
    X = np.random.default_rng(0).normal(size=(200, 3)) * [1e-4, 1, 1e4]
    model = NormRegMLPRegressor((), solver="lbfgs", loss="log_cosh", alpha=0, dtype="float32", random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, X @ [1e4, 1, 1e-4])
    stalled = model.objective_ > 1e-2
    assert stalled == any(issubclass(w.category, ConvergenceWarning) for w in caught)


def test_fista_starts_from_where_the_gradient_is_huge():
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(300, 3))
    y = rng.gamma(2, np.exp(Z @ [1, -0.5, 0.2]) / 2) + 1e-6
    fits = [
        NormRegMLPRegressor((), loss="gamma", solver=s, alpha=0, max_iter=5000, random_state=1).fit(10 * Z, y)
        for s in ("fista", "lbfgs")
    ]
    assert fits[0].objective_ == pytest.approx(fits[1].objective_, rel=1e-4)


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_warm_starts_of_kinked_losses_never_get_worse(loss, solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    y = X[:, 0] + rng.standard_t(2, size=100)
    model = NormRegMLPRegressor((8,), loss=loss, solver=solver, warm_start=True, random_state=0, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        objectives = [model.set_params(max_iter=n).fit(X, y).objective_ for n in (300, 1, 3, 10, 30)]
    assert np.all(np.diff(objectives) <= 0)


def test_subclasses_of_built_in_losses():
    class Named(Huber):
        pass

    X = np.random.default_rng(0).normal(size=(30, 2))
    assert NormRegMLPRegressor((), loss=Named(delta=0.5), solver="lbfgs").fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9
    with pytest.raises(TypeError, match="Derive it from sknormnet.losses.Loss"):

        class Silent(SquaredError):
            def value_and_gradient(self, y, raw, sample_weight=None, *, smoothing=0.0):
                return 0.0, raw


def test_a_domain_over_several_columns():
    class Survival(user_losses.NumpySquaredError):
        domain = "times > 0 in the first column, 0 or 1 in the second"

        def in_domain(self, y):
            return np.column_stack([y[:, 0] > 0, np.isin(y[:, 1], (0, 1))])

    X = np.random.default_rng(0).normal(size=(30, 2))
    y = np.column_stack([np.abs(X[:, 0]) + 0.1, X[:, 1] > 0])
    NormRegMLPRegressor(loss=Survival(), max_iter=2, n_iter_no_change=np.inf).fit(X, y)
    with pytest.raises(ValueError, match="the first is 3.0"):
        NormRegMLPRegressor(loss=Survival()).fit(X, y * [1, 3])


@pytest.mark.parametrize(("binary", "several"), [(LogitLink, IdentityLink), (IdentityLink, SoftmaxLink)])
def test_probabilities_where_the_fitted_link_gives_them(binary, several):
    class Mixed(user_losses.NumpyLogLoss):
        def link(self, n_targets, n_raw):
            return binary() if n_raw == 1 else several()

    X = np.random.default_rng(0).normal(size=(60, 2))
    for y, link in [(X[:, 0] > 0, binary), (np.digitize(X[:, 0], [-0.5, 0.5]), several)]:
        model = NormRegMLPClassifier((), loss=Mixed(), max_iter=3, n_iter_no_change=np.inf).fit(X, y)
        assert hasattr(model, "predict_proba") == link.gives_probabilities


def test_two_raw_columns_for_two_classes():
    class Pair(user_losses.NumpyLogLoss):
        def n_raw(self, n_targets, n_classes=None):
            return n_targets if n_classes is None else n_classes

        def link(self, n_targets, n_raw):
            return SoftmaxLink()

    X = np.random.default_rng(0).normal(size=(60, 2))
    model = NormRegMLPClassifier((), loss=Pair(), solver="lbfgs").fit(X, X[:, 0] > 0)
    assert model.decision_function(X).shape == (60,)
    np.testing.assert_array_equal(model.decision_function(X) > 0, model.predict(X))
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


@pytest.mark.parametrize("n_raw", [1, 2, 4])
def test_raw_columns_that_a_classifier_cannot_read(n_raw):
    class Odd(user_losses.NumpyLogLoss):
        def n_raw(self, n_targets, n_classes=None):
            return n_raw

    with pytest.raises(ValueError, match=rf"returned {n_raw} for 3 classes; it must be one of \[3\]"):
        NormRegMLPClassifier(loss=Odd()).fit(np.eye(6), np.arange(6) % 3)


def test_what_link_and_prediction_return():
    class NoLink(user_losses.NumpySquaredError):
        def link(self, n_targets, n_raw):
            return None

    class Flat(user_losses.NumpySquaredError):
        def prediction(self, raw, n_targets):
            return raw[:, 0]

    with pytest.raises(TypeError, match="must return a Link"):
        NormRegMLPRegressor(loss=NoLink()).fit(np.eye(4), np.arange(4.0))
    model = NormRegMLPRegressor((), loss=Flat(), solver="lbfgs").fit(np.eye(4), np.arange(4.0))
    with pytest.raises(ValueError, match=r"prediction of Flat\(\) must return an array of shape"):
        model.predict(np.eye(4))


def test_kinked_asks_for_smoothing():
    class Kinked(user_losses.NumpySquaredError):
        kinked = True

    with pytest.raises(TypeError, match="must take a keyword smoothing"):
        NormRegMLPRegressor(loss=Kinked()).fit(np.eye(4), np.arange(4.0))


@pytest.mark.parametrize(
    ("loss", "y", "raw", "value"),
    [
        (SquaredHinge(), 1.0, [[-1e308]], np.inf),
        (SquaredError(), -1e308, [[1e308]], np.inf),
        (Gamma(), 1e-3, [[-712.0]], 1e-3 * np.exp(700) * np.exp(12) - 712),  # exp(712) alone overflows
        (Tweedie(1.1), 0.0, [[-1e12]], 0.0),
        (GaussianNLL(1e-300), 0.0, [[1e160, -690.0]], np.inf),
    ],
    ids=repr,
)
def test_only_true_overflow_is_infinite(loss, y, raw, value):
    got, gradient = loss.value_and_gradient(np.array([[y]]), np.array(raw))
    assert got == pytest.approx(value, rel=1e-12)
    assert not np.isnan(gradient).any()


def test_class_numbers_never_index_beyond_the_columns():
    for y in (5e8, -1.0, np.nan):
        with pytest.raises(ValueError, match="class numbers"):
            LogLoss().kernel().value_and_gradient(np.array([[y]]), np.zeros((1, 3)))


def test_quantile_as_an_array_of_no_dimension():
    assert Quantile(np.array(0.5)).levels == [0.5]
