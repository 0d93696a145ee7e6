"""Cross-validation along a path: scores, the two rules, weights and groups, against models and rules of others."""

import numpy as np
import pytest
from fits import assert_same_model
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LassoCV, LogisticRegression
from sklearn.metrics import log_loss, make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, PredefinedSplit, StratifiedKFold

from sknormnet import (
    NormRegMLPClassifier,
    NormRegMLPClassifierCV,
    NormRegMLPRegressor,
    NormRegMLPRegressorCV,
    regularization_path,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ALPHAS = np.geomspace(0.01, 1.0, 5)
EXACT = dict(penalty="l1", solver="fista", tol=1e-9, max_iter=5000)
MSE = "neg_mean_squared_error"
# A network of each solver that steps differently along a path.
NETWORKS = {
    "adam": dict(penalty="group_lasso", solver="adam", learning_rate_init=0.02, max_iter=30, batch_size=15),
    "lbfgs": dict(penalty="l2", solver="lbfgs", max_iter=10),
    "fista": dict(penalty="l1", solver="fista", max_iter=10),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 6))
    return X, 1.5 * X[:, 0] - X[:, 1] + 0.5 * rng.standard_normal(60)


@pytest.fixture(scope="module")
def classes(data):
    X, y = data
    return X, np.digitize(y, [-1.0, 1.0])


def lasso(**params):
    return NormRegMLPRegressorCV(
        (), **{**EXACT, "alphas": ALPHAS, "cv": KFold(3), "scoring": MSE, "random_state": 0, **params}
    )


def network(Estimator, solver="adam", **params):
    return Estimator((4,), "tanh", **{**NETWORKS[solver], "n_alphas": 4, "cv": 3, "random_state": 0, **params})


def plain_of(cv_estimator):
    """The plain estimator with the same parameters."""
    Plain = {NormRegMLPClassifierCV: NormRegMLPClassifier, NormRegMLPRegressorCV: NormRegMLPRegressor}
    plain = Plain[type(cv_estimator)]()
    return plain.set_params(**{k: v for k, v in cv_estimator.get_params(deep=False).items() if hasattr(plain, k)})


def assert_same_fit(model, other):
    """In bits."""
    assert_array_equal(model.scores_path_, other.scores_path_)
    assert model.alpha_ == other.alpha_
    assert_same_model(model, other)
    for W, W_other in zip(model.path_.coefs, other.path_.coefs, strict=True):
        assert_array_equal(W.toarray(), W_other.toarray())


# ------------------------------------------------------------------------------------------------- the scores


def test_lasso_cv(data):
    """The folds are of one size, so that scikit-learn's mean over them, which knows no sizes, is ours."""
    X, y = data
    ours, theirs = lasso().fit(X, y), LassoCV(alphas=ALPHAS, cv=KFold(3), tol=1e-12, max_iter=10**5).fit(X, y)
    # Both stop at residuals of 1e-9; 2e-9 is what is seen.
    assert_allclose(-ours.scores_path_[::-1], theirs.mse_path_, rtol=1e-6)
    assert ours.alpha_ == theirs.alpha_ == ALPHAS[ours.best_index_]
    assert_allclose(ours.coefs_[0].ravel(), theirs.coef_, atol=1e-6)


def test_lasso_cv_finds_the_same_strengths(data):
    X, y = data
    ours = lasso(alphas=None, n_alphas=6, alpha_min_ratio=1e-2).fit(X, y)
    theirs = LassoCV(alphas=6, eps=1e-2, cv=KFold(3)).fit(X, y)
    # alpha_max is a sum of 60 products.
    assert_allclose(ours.alphas_[::-1], theirs.alphas_, rtol=1e-9)


def test_logistic_regression_on_every_fold(classes):
    X, y = classes
    model = NormRegMLPClassifierCV((), **EXACT, alphas=[0.02, 0.1], cv=3, scoring="neg_log_loss").fit(X, y)
    for k, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
        for i, alpha in enumerate(model.alphas_):
            options = dict(l1_ratio=1.0, solver="saga", tol=1e-8, max_iter=10**5, random_state=0)
            theirs = LogisticRegression(C=1 / (len(train) * alpha), **options).fit(X[train], y[train])
            # saga stops where weights change by 1e-8 of themselves per pass.
            assert_allclose(-model.scores_path_[i, k], log_loss(y[test], theirs.predict_proba(X[test])), rtol=1e-5)


@pytest.mark.parametrize("solver", NETWORKS)
@pytest.mark.parametrize("Estimator", [NormRegMLPClassifierCV, NormRegMLPRegressorCV])
def test_scores_are_those_of_paths_on_the_folds(Estimator, solver, data, classes):
    X, y = classes if Estimator is NormRegMLPClassifierCV else data
    model = network(Estimator, solver, n_restarts=2 if solver == "adam" else 1).fit(X, y)
    Splitter = StratifiedKFold if Estimator is NormRegMLPClassifierCV else KFold
    path = regularization_path(plain_of(model), X, y, alphas=model.alphas_, n_restarts=model.n_restarts)
    for k, (train, test) in enumerate(Splitter(3).split(X, y)):
        of_fold = regularization_path(
            plain_of(model), X[train], y[train], alphas=model.alphas_, n_restarts=model.n_restarts
        )
        scores = [of_fold[i].score(X[test], y[test]) for i in range(len(of_fold))]
        assert_array_equal(model.scores_path_[:, k], scores)
    for name in ("alphas", "data_loss", "penalty", "residual", "n_iter", "starts"):
        assert_array_equal(getattr(model.path_, name), getattr(path, name))
    assert_same_model(model, path[model.best_index_])
    for name in ("objective_", "n_iter_", "stop_reason_", "n_nonzero_", "loss_"):
        assert getattr(model, name) == getattr(path[model.best_index_], name)
    assert model.alpha_ == model.alpha == path.alphas[model.best_index_]


@pytest.mark.parametrize("solver", NETWORKS)
def test_threads_do_not_matter(solver, classes):
    model = network(NormRegMLPClassifierCV, solver, n_jobs=1, random_state=3).fit(*classes)
    for n_jobs in (2, -1):
        assert_same_fit(clone(model).set_params(n_jobs=n_jobs).fit(*classes), model)


def test_random_state(data):
    model = network(NormRegMLPRegressorCV, n_alphas=3, max_iter=5)
    seeded = clone(model).fit(*data)
    assert_same_fit(clone(model).fit(*data), seeded)
    twins = [clone(model).set_params(random_state=np.random.RandomState(5), n_jobs=2).fit(*data) for _ in range(2)]
    assert_same_fit(*twins)
    assert_same_fit(clone(model).set_params(random_state=twins[0].path_[0].random_state).fit(*data), twins[0])
    stream = np.random.RandomState(5)
    first, second = (clone(model).set_params(random_state=stream).fit(*data) for _ in range(2))
    assert_same_fit(first, twins[0])
    assert (first.coefs_[0] != second.coefs_[0]).any()
    free = clone(model).set_params(random_state=None)
    seeds = {clone(free).fit(*data).path_[0].random_state for _ in range(2)}
    assert len(seeds) == 2


# -------------------------------------------------------------------------------------------------- the rules


def choice(scores, alphas=(1.0, 2.0, 3.0, 4.0), weights=None, **params):
    """What is chosen where the scores of the folds at each strength are as given."""
    scores = np.asarray(scores, dtype=float)
    n_folds = scores.shape[1]
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4 * n_folds, 2)), rng.standard_normal(4 * n_folds)

    def scorer(estimator, X_test, y_test, sample_weight=None):
        fold = int(np.flatnonzero(y == y_test[0])[0]) // 4
        return scores[list(alphas).index(estimator.alpha), fold]

    cv = PredefinedSplit(np.repeat(np.arange(n_folds), 4))
    model = NormRegMLPRegressorCV((), penalty="l1", solver="fista", alphas=alphas, cv=cv, scoring=scorer, **params)
    model.fit(X, y, None if weights is None else np.repeat(weights, 4))
    assert_array_equal(model.scores_path_, scores)
    chosen = model.one_se_index_ if model.selection == "1se" else model.best_index_
    assert model.alpha_ == model.alphas_[chosen]
    assert_same_model(model, model.path_[chosen])
    return model


def test_one_standard_error_by_hand():
    scores = [[1.0, 4.0, 2.0], [3.0, 5.0, 4.0], [2.0, 5.0, 3.5], [0.1, 6.1, 3.1]]
    model = choice(scores, selection="1se")
    assert_allclose(model.mean_scores_, [7 / 3, 4, 3.5, 3.1])
    # The highest mean, 4, has deviations of -1, 1 and 0: the root of 2/3 over 2 is 0.577. 3.5 is within it; 3.1 is
    # not, though its own error, 1.7, would reach.
    assert_allclose(model.standard_errors_[1], np.sqrt(1 / 3))
    assert_allclose(model.standard_errors_, np.std(scores, axis=1, ddof=1) / np.sqrt(3))
    assert (model.best_index_, model.one_se_index_, model.alpha_) == (1, 2, 3.0)
    assert choice(scores).alpha_ == 2.0
    falling = choice(scores[::-1], alphas=(4.0, 3.0, 2.0, 1.0), selection="1se")
    assert (falling.best_index_, falling.one_se_index_, falling.alpha_) == (2, 1, 3.0)


def test_of_equal_scores_the_strongest_penalty():
    tied = [[1.0, 2.0], [2.0, 1.0], [1.5, 1.5], [0.0, 0.0]]
    assert choice(tied).best_index_ == 2
    assert choice(tied[::-1], alphas=(4.0, 3.0, 2.0, 1.0)).best_index_ == 1
    # The error of the third, whose folds agree, is zero.
    assert choice(tied, selection="1se").alpha_ == 3.0


def test_weights_of_the_folds_by_hand():
    scores, weights = [[1.0, 4.5], [3.0, 2.0], [2.0, 2.5], [0.0, 3.0]], [3.0, 1.0]
    model = choice(scores, weights=weights)
    assert_allclose(model.mean_scores_, [1.875, 2.75, 2.125, 0.75])
    assert_allclose(
        model.standard_errors_[:2], [np.sqrt((3 * 0.875**2 + 2.625**2) / 4), np.sqrt((3 / 16 + 9 / 16) / 4)]
    )
    assert (model.best_index_, model.one_se_index_) == (1, 1)
    assert choice(scores).best_index_ == 0


def test_scores_that_are_not_finite():
    nan, inf = np.nan, np.inf
    model = choice([[1.0, 2.0], [nan, 5.0], [0.0, 2.0], [inf, 5.0]], selection="1se")
    assert (model.best_index_, model.one_se_index_) == (0, 2)
    assert choice([[1.0, 2.0], [-inf, 5.0], [0.0, 1.0], [nan, 5.0]]).best_index_ == 0
    with pytest.raises(ValueError, match="not finite at any strength"):
        choice([[nan, 1.0]] * 4)


# --------------------------------------------------------------------------------------------------- metadata


@pytest.mark.parametrize("scoring", [None, MSE])
def test_weights_are_repeated_rows(scoring, data):
    """In the fits, in the scores and in the means over the folds."""
    X, y = data
    weight, fold = np.arange(60) % 4, np.arange(60) % 3
    rows = np.repeat(np.arange(60), weight)
    weighted = lasso(alphas=None, n_alphas=4, scoring=scoring, cv=PredefinedSplit(fold)).fit(X, y, weight)
    repeated = lasso(alphas=None, n_alphas=4, scoring=scoring, cv=PredefinedSplit(fold[rows])).fit(X[rows], y[rows])
    # fista stops at relative residuals of 1e-9.
    for name in ("alphas_", "scores_path_", "mean_scores_", "standard_errors_", "alpha_"):
        assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-6)
    assert_allclose(weighted.coefs_[0], repeated.coefs_[0], atol=1e-6)
    unweighted = lasso(alphas=weighted.alphas_, scoring=scoring, cv=PredefinedSplit(fold)).fit(X, y)
    assert abs(unweighted.mean_scores_ / weighted.mean_scores_ - 1).max() > 0.01


def test_equal_weights_are_none(data):
    X, y = data
    model = lasso(cv=PredefinedSplit(np.arange(60) < 15)).fit(X, y)
    for weight in (np.ones(60), 1.0, [1] * 60):
        other = lasso(cv=model.cv).fit(X, y, sample_weight=weight)
        assert_allclose(other.mean_scores_, model.mean_scores_, rtol=1e-9)
        assert_allclose(other.standard_errors_, model.standard_errors_, rtol=1e-6)


GROUPS = np.arange(60) // 2 % 7


@pytest.mark.parametrize("routing", [False, True])
def test_groups(routing, data):
    X, y = data
    folds = list(GroupKFold(3).split(X, y, GROUPS))
    with config_context(enable_metadata_routing=routing):
        model = lasso(cv=GroupKFold(3), n_jobs=2).fit(X, y, groups=GROUPS)
        assert_same_fit(model, lasso(cv=folds).fit(X, y))
        with pytest.raises(ValueError, match="groups"):
            lasso(cv=GroupKFold(3)).fit(X, y)


def test_routed_weights_follow_the_request_of_score(data):
    X, y = data
    weight = np.arange(60) % 3 + 1.0
    everywhere = lasso(scoring=None).fit(X, y, weight)
    with config_context(enable_metadata_routing=True):
        routed = clone(lasso(scoring=None).set_score_request(sample_weight=True)).fit(X, y, weight)
        assert_same_fit(routed, everywhere)
        in_fits = lasso(scoring=None).set_score_request(sample_weight=False).fit(X, y, weight)
        assert_array_equal(in_fits.path_.data_loss, everywhere.path_.data_loss)
        assert (in_fits.scores_path_ != everywhere.scores_path_).any()
        with pytest.raises(UnsetMetadataPassedError, match=r"NormRegMLPRegressorCV\.set_score_request"):
            lasso(scoring=None).fit(X, y, weight)


def test_metadata_of_a_scorer(data):
    X, y = data
    cost = np.linspace(0, 1, 60)

    def costs(y_true, y_pred, cost, unit):
        return -unit * mean_absolute_error(y_true, y_pred, sample_weight=cost)

    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(costs).set_score_request(cost=True, unit=True)
        model = lasso(scoring=scorer).fit(X, y, cost=cost, unit=2.0)
        with pytest.raises(TypeError, match="price"):
            lasso(scoring=scorer).fit(X, y, cost=cost, unit=2.0, price=1.0)
    for k, (train, test) in enumerate(KFold(3).split(X)):
        path = regularization_path(plain_of(model), X[train], y[train], alphas=ALPHAS)
        expected = [costs(y[test], path[i].predict(X[test]), cost[test], 2.0) for i in range(len(path))]
        assert_array_equal(model.scores_path_[:, k], expected)


def test_routed_through_a_search(data):
    X, y = data
    weight = np.arange(60) % 3 + 1.0
    with config_context(enable_metadata_routing=True):
        model = NormRegMLPRegressorCV(
            (), penalty="elasticnet", solver="fista", n_alphas=3, cv=GroupKFold(2), random_state=0
        )
        model.set_score_request(sample_weight=True).set_fit_request(sample_weight=True)
        search = GridSearchCV(model, {"l1_ratio": [0.2, 1.0]}, cv=GroupKFold(2), error_score="raise")
        search.fit(X, y, sample_weight=weight, groups=GROUPS)
        alone = clone(search.best_estimator_).fit(X, y, sample_weight=weight, groups=GROUPS)
    assert_same_fit(search.best_estimator_, alone)
    assert search.score(X, y) == alone.score(X, y)
