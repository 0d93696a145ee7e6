"""Each loss learns what it is for, on data whose answer is known."""

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification
from sklearn.metrics import d2_pinball_score, mean_poisson_deviance, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.losses import (
    EpsilonInsensitive,
    Focal,
    GaussianNLL,
    Huber,
    LogLoss,
    Quantile,
    SquaredEpsilonInsensitive,
    Tweedie,
    loss_names,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUANTILES = (0.1, 0.5, 0.9)


def regressor(loss, **params):
    defaults = dict(hidden_layer_sizes=(15,), activation="tanh", solver="lbfgs", alpha=1e-4, max_iter=1000)
    return NormRegMLPRegressor(loss=loss, random_state=0, **{**defaults, **params})


# ---------------------------------------------------------------------------------------------- distributions


def mean_and_deviation(X):
    return np.sin(2 * X[:, 0]), 0.2 + 0.4 / (1 + np.exp(-2 * X[:, 0]))


def heteroscedastic(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n, 1))
    mean, deviation = mean_and_deviation(X)
    return X, mean + deviation * rng.standard_normal(n)


def two_targets(n, seed):
    X, y = heteroscedastic(n, seed)
    other = -2 * mean_and_deviation(X)[0] + 0.5 * np.random.default_rng(seed + 100).standard_normal(n)
    return X, np.column_stack([y, other])


@pytest.fixture(scope="module")
def quantile_model():
    return regressor(Quantile(quantile=QUANTILES)).fit(*heteroscedastic(3000, 0))


def test_quantiles_cover_their_share(quantile_model):
    """Within 0.03: three standard errors of the share among 3000 rows that the model has seen."""
    X, y = heteroscedastic(20_000, 1)
    predicted = quantile_model.predict(X)
    assert predicted.shape == (20_000, 3)
    assert_allclose((y[:, None] <= predicted).mean(axis=0), QUANTILES, atol=0.03)
    left = X[:, 0] < 0  # where the deviation is the smaller: bands of one width would cover too much here
    assert_allclose((y[left, None] <= predicted[left]).mean(axis=0), QUANTILES, atol=0.05)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_one_quantile_covers_its_share(quantile):
    model = regressor(Quantile(quantile=quantile)).fit(*heteroscedastic(3000, 0))
    X, y = heteroscedastic(20_000, 1)
    assert model.predict(X).shape == (20_000,)
    assert np.mean(y <= model.predict(X)) == pytest.approx(quantile, abs=0.03)


def test_quantiles_are_sorted_within_each_target():
    X, y = two_targets(300, 0)
    model = regressor(Quantile(quantile=(0.3, 0.4, 0.5, 0.6)), max_iter=1).fit(X, y)
    raw = oracles.raw_prediction(X, model.coefs_, model.intercepts_, "tanh").reshape(300, 2, 4)
    assert (np.diff(raw) < 0).any(), "the raw quantiles do not cross"
    predicted = model.predict(X)
    assert predicted.shape == (300, 8)
    assert_allclose(predicted, np.sort(raw, axis=2).reshape(300, 8), rtol=0, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_score_of_quantiles_is_d2_pinball(quantile_model, weighted):
    X, y = heteroscedastic(500, 2)
    weight = np.random.default_rng(0).uniform(0.1, 2, 500) if weighted else None
    predicted = quantile_model.predict(X)
    scores = [d2_pinball_score(y, predicted[:, j], alpha=q, sample_weight=weight) for j, q in enumerate(QUANTILES)]
    assert quantile_model.score(X, y, sample_weight=weight) == pytest.approx(np.mean(scores), rel=1e-12)
    assert np.mean(scores) > 0.3


def test_score_of_quantiles_of_two_targets():
    X, y = two_targets(400, 0)
    model = regressor(Quantile(quantile=(0.2, 0.7)), max_iter=50).fit(X, y)
    predicted = model.predict(X).reshape(400, 2, 2)
    scores = [
        d2_pinball_score(y[:, t], predicted[:, t, j], alpha=q) for t in range(2) for j, q in enumerate((0.2, 0.7))
    ]
    assert model.score(X, y) == pytest.approx(np.mean(scores), rel=1e-12)
    one = regressor(Quantile(quantile=0.2), max_iter=50).fit(X, y)
    assert one.score(X, y) == pytest.approx(d2_pinball_score(y, one.predict(X), alpha=0.2), rel=1e-12)


def test_early_stopping_watches_the_score_of_the_quantiles():
    X, y = heteroscedastic(300, 0)
    model = regressor(
        Quantile(quantile=QUANTILES), solver="adam", early_stopping=True, max_iter=30, learning_rate_init=0.01
    ).fit(X, y)
    assert -1 < model.best_validation_score_ < 1
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_gaussian_nll_recovers_the_deviation():
    model = regressor("gaussian_nll").fit(*heteroscedastic(4000, 0))
    X, _ = heteroscedastic(5000, 1)
    mean, deviation = mean_and_deviation(X)
    predicted, std = model.predict(X, return_std=True)
    assert predicted.shape == std.shape == (5000,)
    assert np.array_equal(predicted, model.predict(X))
    assert np.mean(np.abs(std / deviation - 1)) < 0.1
    assert np.mean(np.abs(predicted - mean)) < 0.1 * deviation.mean()


def test_gaussian_nll_with_two_targets():
    X, y = two_targets(2000, 0)
    model = regressor("gaussian_nll").fit(X, y)
    predicted, std = model.predict(X, return_std=True)
    assert predicted.shape == std.shape == model.predict(X).shape == (2000, 2)
    assert model.n_outputs_ == 4
    raw = oracles.raw_prediction(X, model.coefs_, model.intercepts_, "tanh")
    assert_allclose(predicted, raw[:, ::2], rtol=0, atol=1e-12)
    assert_allclose(std, np.sqrt(1e-6 + np.exp(raw[:, 1::2])), rtol=1e-12)
    deviation = np.column_stack([mean_and_deviation(X)[1], np.full(2000, 0.5)])
    assert_allclose(np.mean(np.abs(std / deviation - 1), axis=0), 0, atol=0.1)
    assert model.score(X, y) == pytest.approx(r2_score(y, predicted), rel=1e-12)


def test_the_least_variance_is_a_floor():
    """Without noise the variance falls to its floor and training stays finite."""
    X = np.linspace(-1, 1, 50)[:, None]
    model = regressor(GaussianNLL(min_variance=0.01), max_iter=1000).fit(X, 2 * X[:, 0])
    _, std = model.predict(X, return_std=True)
    assert (std >= 0.1).all()
    assert std.max() < 0.11


# --------------------------------------------------------------------------------------------------- outliers


def with_outliers(n, seed, clean):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n, 1))
    signal = np.sin(2 * X[:, 0])
    y = signal + 0.1 * rng.standard_normal(n)
    if not clean:
        y[rng.permutation(n)[: n // 10]] += 30.0
    return X, y, signal


def error_under_outliers(loss, **params):
    model = regressor(loss, **params).fit(*with_outliers(600, 0, clean=False)[:2])
    X, _, signal = with_outliers(2000, 1, clean=True)
    return np.sqrt(np.mean((model.predict(X) - signal) ** 2))


@pytest.mark.parametrize(
    "loss", ["absolute_error", "huber", Huber(delta=0.2), "log_cosh", EpsilonInsensitive(epsilon=0.1)], ids=str
)
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_robust_losses_survive_gross_outliers(solver, loss):
    """A tenth of the targets is 30 too high: ten such rows in a hundred move a mean by 3, a median hardly."""
    params = dict(solver="adam", learning_rate_init=0.01, batch_size=50) if solver == "adam" else {}
    assert error_under_outliers(loss, **params) < 0.3


def test_squared_error_does_not_survive_gross_outliers():
    assert error_under_outliers("squared_error") > 2


def test_euclidean_survives_outliers_of_several_targets():
    X, _, signal = with_outliers(600, 0, clean=True)
    rng = np.random.default_rng(3)
    truth = np.column_stack([signal, np.cos(X[:, 0]), X[:, 0]])
    y = truth + 0.1 * rng.standard_normal(truth.shape)
    y[rng.permutation(600)[:60]] += [30.0, -30.0, 30.0]
    errors = {}
    for loss in ("euclidean", "squared_error"):
        model = regressor(loss).fit(X, y)
        errors[loss] = np.sqrt(np.mean((model.predict(X) - truth) ** 2))
    assert errors["euclidean"] < 0.3
    assert errors["squared_error"] > 2


def test_a_wide_tube_ignores_small_errors():
    """Errors within epsilon cost nothing: with epsilon above the noise the loss reaches zero."""
    X, y, _ = with_outliers(300, 0, clean=True)
    for loss in (EpsilonInsensitive(epsilon=0.5), SquaredEpsilonInsensitive(epsilon=0.5)):
        model = regressor(loss, alpha=0.0).fit(X, y)
        assert model.objective_ < 1e-4
        assert np.abs(model.predict(X) - y).max() < 0.52


# ----------------------------------------------------------------------------------------------------- counts


def counts(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 3))
    rate = np.exp(2 * X[:, 0] - X[:, 1] + np.sin(3 * X[:, 2]) - 1)
    exposure = rng.uniform(0.2, 2.0, n)
    return X, rate, exposure, rng.poisson(rate * exposure)


def test_poisson_beats_squared_error_on_counts():
    X, _, exposure, y = counts(1500, 0)
    X_new, _, exposure_new, y_new = counts(5000, 1)
    deviance = {}
    for loss in ("poisson", "squared_error"):
        model = regressor(loss, alpha=1e-3, max_iter=100).fit(X, y / exposure, sample_weight=exposure)
        predicted = np.maximum(model.predict(X_new), 1e-2)  # squared error predicts negative rates, too
        deviance[loss] = mean_poisson_deviance(y_new / exposure_new, predicted, sample_weight=exposure_new)
    assert deviance["poisson"] < 0.97 * deviance["squared_error"]


@pytest.mark.parametrize("loss", ["poisson", Tweedie(power=1.5), Tweedie(power=0), "gamma"], ids=str)
def test_log_link_losses_recover_the_mean(loss):
    """Exposure is a weight, and the target is the rate."""
    X, rate, exposure, y = counts(2000, 0)
    y = y / exposure
    if loss == "gamma":
        y = rate * np.random.default_rng(0).gamma(3.0, 1 / 3, 2000)
    model = regressor(loss, alpha=1e-3, max_iter=100).fit(X, y, sample_weight=exposure)
    predicted = model.predict(X)
    assert model.out_activation_ == "exp"
    assert (predicted > 0).all()
    assert np.mean(np.abs(np.log(predicted / rate))) < 0.2


# --------------------------------------------------------------------------------------------- classification

CLASSIFICATION = [*loss_names("classification"), LogLoss(label_smoothing=0.1), Focal(gamma=1.0)]


def classifier(loss, **params):
    return NormRegMLPClassifier(
        (16,), loss=loss, learning_rate_init=0.01, max_iter=40, batch_size=32, random_state=0, **params
    )


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, train_size=900, random_state=0)


@pytest.mark.parametrize("loss", CLASSIFICATION, ids=str)
def test_digits(loss, digits):
    X, X_new, y, y_new = digits
    model = classifier(loss).fit(X, y)
    assert model.score(X_new, y_new) > 0.9
    parity = classifier(loss).fit(X, np.where(y % 2, "odd", "even"))
    assert parity.score(X_new, np.where(y_new % 2, "odd", "even")) > 0.9


@pytest.mark.parametrize("solver", ["lbfgs", "fista", "sgd"])
@pytest.mark.parametrize("loss", CLASSIFICATION, ids=str)
def test_iris(loss, solver):
    X, y = load_iris(return_X_y=True)
    model = classifier(loss, solver=solver).set_params(max_iter=100).fit(scale(X), y)
    assert model.score(scale(X), y) > 0.93


@pytest.mark.parametrize("loss", CLASSIFICATION, ids=str)
def test_multilabel(loss):
    X, Y = make_multilabel_classification(600, 20, n_classes=4, random_state=0)
    X, X_new, Y, Y_new = train_test_split(scale(X), Y, random_state=0)
    model = classifier(loss).fit(X, Y)
    assert model.predict(X_new).shape == Y_new.shape
    assert 0.45 < Y_new.mean() < 0.55
    assert np.mean(model.predict(X_new) == Y_new) > 0.75
