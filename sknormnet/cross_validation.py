"""The estimators whose alpha is chosen by cross-validation along a path."""

import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, check_random_state, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_method_params, _num_samples

from sknormnet import validation
from sknormnet._core.blas_threads import single_thread
from sknormnet.base import BaseNormRegMLP
from sknormnet.classifier import NormRegMLPClassifier
from sknormnet.path.grid import Grid, check_alphas, find_grid
from sknormnet.path.homotopy import best_points, check_direction, checked_clone, warn_of
from sknormnet.path.jobs import run_jobs
from sknormnet.path.result import assemble
from sknormnet.path.walk import Point, Walk
from sknormnet.regressor import NormRegMLPRegressor

LARGEST_SEED = np.iinfo(np.int32).max


def has_no_parts(estimator: Any) -> bool:
    """For available_if."""
    raise AttributeError(
        "partial_fit goes on with one model, and here alpha is chosen among many by fit: use the plain estimator with "
        "the alpha_ found"
    )


class PathCV(BaseNormRegMLP):
    """Parameters and training of the two estimators with cross-validation, whose second base is the plain one."""

    plain: ClassVar[Any]
    alpha_: float
    alphas: Any
    n_alphas: int
    alpha_min_ratio: float
    cv: Any
    scoring: Any
    n_jobs: int | None
    selection: str
    n_restarts: int
    # Parameters of the plain estimator that have no part in a path.
    warm_start = False
    early_stopping = False
    validation_fraction = 0.1
    validation_scoring = None

    def __init__(self, **parameters):
        self.__dict__.update(parameters)

    @property
    def alpha(self) -> float:
        """The strength chosen, for what looks at a fitted model's parameters."""
        return self.alpha_

    @validation.validated_fit
    def fit(self, X, y, sample_weight=None, **params):
        """Follow the path on every fold and on all data, choose alpha, keep the model of all data there.

        A fit that fails leaves the estimator as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, finite.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets or classes, as the plain estimator takes them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0 of the rows in training, in the scores and, as sums over the folds' test rows, in their means.
        **params : dict
            groups, for the splitter; with metadata routing enabled, whatever the splitter and the scorer request.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If the data or a parameter are not valid, or no strength has a score.
        """
        sample_weight = validation.check_scoring_weight(sample_weight, _num_samples(X))
        self._fit_paths(X, y, sample_weight, *self._route(sample_weight, params))
        return self

    @available_if(has_no_parts)
    def partial_fit(self, X, y):
        """Absent."""

    def get_metadata_routing(self):
        """Metadata of the splitter and the scorer.

        Returns
        -------
        routing : MetadataRouter
        """
        to_splitter = MethodMapping().add(caller="fit", callee="split")
        to_scorer = MethodMapping().add(caller="fit", callee="score")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(splitter=check_cv(self.cv), method_mapping=to_splitter)
            .add(scorer=self._scorer(), method_mapping=to_scorer)
        )

    def _route(self, sample_weight: Any, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the splitter and what the scorer get."""
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            return routed.splitter.split, routed.scorer.score
        unknown = sorted(params.keys() - {"groups"})
        if unknown:
            raise TypeError(
                f"fit got {unknown}; besides sample_weight and groups it takes what splitter and scorer request, once "
                "sklearn.set_config(enable_metadata_routing=True) is set"
            )
        return params, {} if sample_weight is None else {"sample_weight": sample_weight}

    def _plain_estimator(self) -> BaseNormRegMLP:
        """The plain estimator with the same parameters."""
        own = self.get_params(deep=False)
        plain = self.plain(**{name: own[name] for name in self.plain._get_param_names() if name in own})
        if not isinstance(self.random_state, int | np.integer):  # which threads must not share
            plain.random_state = check_random_state(self.random_state).randint(LARGEST_SEED)
        return plain

    def _scorer(self) -> Any:
        plain = self.plain()
        plain._metadata_request = self._get_metadata_request()  # of set_score_request, which counts if scoring is None
        return check_scoring(plain, scoring=self.scoring)

    def _fit_paths(self, X, y, sample_weight, split_params, score_params) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        hook_data = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        plain, scorer = self._plain_estimator(), self._scorer()
        alphas = None if self.alphas is None else check_alphas(self.alphas)
        with single_thread:
            walk = Walk(checked_clone(plain), X, y, sample_weight)
            check_direction(walk, alphas)
            walk.warn_of_settings(stacklevel=6)
            if alphas is None:
                rng = check_random_state(plain.random_state)
                alphas = find_grid(walk, rng, self.n_alphas, self.alpha_min_ratio).alphas
        grid = Grid(alphas)  # the same on all folds
        X, y = indexable(X, y)
        of_classes = is_classifier(self) and walk.problem.n_targets == 1  # which scikit-learn stratifies by
        folds = list(check_cv(self.cv, y if of_classes else None, classifier=of_classes).split(X, y, **split_params))
        if not folds:
            raise ValueError(f"cv={self.cv!r} gave no folds; of a generator, which can be used once only, make a list")
        # Before the attributes are guarded: scikit-learn reads the context after a failure.
        context = self._init_callback_context(max_subtasks=len(folds) + 1, sequential_subtasks=False)

        def follow(walk: Walk, task: Any, certify: bool) -> list[Point]:
            task.call_on_fit_task_begin(**hook_data)
            rng = check_random_state(plain.random_state)
            points = best_points(walk, grid, rng, self.n_restarts, certify=certify)
            task.call_on_fit_task_end(**hook_data)
            return points

        weights = _fold_weights(sample_weight, folds, _num_samples(X))
        if not weights.any():
            raise ValueError("sample_weight is zero in the test rows of every fold, so that nothing can be scored")

        def of_fold(train: np.ndarray, test: np.ndarray, weight: float, task: Any) -> tuple[list[float], list[str]]:
            """Scores at all strengths, and warnings."""
            of_train = _check_method_params(X, {"X": X, "y": y, "sample_weight": sample_weight}, train)
            of_test = _check_method_params(X, {"X": X, "y": y, **score_params}, test)
            try:
                walk_of_fold = Walk(checked_clone(plain).set_params(verbose=False), **of_train, whole=walk)
            except ValueError as error:
                raise ValueError(f"the training rows of fold {task.task_id}: {error}") from error
            points = follow(walk_of_fold, task, False)
            warned = [point.warning for point in points if point.warning is not None]
            if weight == 0:  # then there is nothing to score
                return [np.nan] * len(points), warned
            return [_score(scorer, walk_of_fold.model_at(point), **of_test) for point in points], warned

        with validation.unchanged_on_failure(self):
            context.call_on_fit_task_begin(**hook_data)
            tasks = [context.subcontext(task_name="path", task_id=i) for i in range(len(folds) + 1)]
            jobs: list[Callable[[], Any]] = [partial(follow, walk, tasks[-1], True)]  # the longest first
            jobs += [
                partial(of_fold, train, test, weight, task)
                for (train, test), weight, task in zip(folds, weights, tasks, strict=False)
            ]
            points, *of_folds = run_jobs(jobs, self.n_jobs, walk.cancelled)
            scores, warned = zip(*of_folds, strict=True)
            fitted = _selection(alphas, np.array(scores).T, weights)
            path = assemble(walk, points)
            chosen = path[fitted["one_se_index_" if self.selection == "1se" else "best_index_"]]
            parameters = chosen.get_params(deep=False)
            fitted |= {name: value for name, value in vars(chosen).items() if name not in parameters}
            fitted |= {"path_": path, "alpha_": chosen.alpha}
            for name in ("feature_names_in_", "input_indices_"):  # of an earlier fit, and of a compact model
                self.__dict__.pop(name, None)
            self.__dict__.update(fitted)
            context.call_on_fit_task_end(**hook_data, reconstruction_attributes=lambda: deepcopy(fitted))
            warn_of(points, stacklevel=5)
            if any(warned):
                warnings.warn(
                    f"In {sum(map(bool, warned))} of {len(folds)} folds the solver did not end by itself at some "
                    f"strengths; the first time: {next(filter(None, warned))[0]}",
                    ConvergenceWarning,
                    stacklevel=4,
                )


def _score(scorer: Any, model: BaseNormRegMLP, X: Any, y: Any, **metadata: Any) -> float:
    try:
        return float(scorer(model, X, y, **metadata))
    except (AttributeError, TypeError, ValueError) as error:
        weighs = " (sample_weight is passed on to it)" if "sample_weight" in metadata else ""
        raise ValueError(f"scoring, {scorer!r}, cannot score the model of a fold{weighs}: {error}") from error


def _selection(alphas: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """What the scores of folds that count by weights say of each strength, as attributes."""
    scored = np.flatnonzero(weights)
    weights, of_all, scores = weights[scored], scores, scores[:, scored]
    mean = np.average(scores, axis=1, weights=weights)
    finite = np.isfinite(mean)
    if not finite.any():
        raise ValueError(
            "the mean score is not finite at any strength: some fold's score is NaN or infinite, as R^2 is of a single "
            "row; choose another scoring or larger folds"
        )
    with np.errstate(invalid="ignore"):  # of scores that are not finite
        variance = np.average((scores - mean[:, np.newaxis]) ** 2, axis=1, weights=weights)
    error = np.sqrt(variance / max(1, scores.shape[1] - 1))
    best = _largest(alphas, mean == mean[finite].max())
    return {
        "alphas_": alphas,
        "scores_path_": of_all,
        "mean_scores_": mean,
        "standard_errors_": error,
        "best_index_": best,
        "one_se_index_": _largest(alphas, finite & (mean >= mean[best] - error[best])),
    }


def _largest(alphas: np.ndarray, candidates: np.ndarray) -> int:
    """Number of the largest strength among some, which has the sparsest model."""
    return int(np.argmax(np.where(candidates, alphas, -np.inf)))


def _fold_weights(sample_weight: np.ndarray | None, folds: list, n_samples: int) -> np.ndarray:
    """Weights of the folds' scores; without sample_weight the numbers of their test rows."""
    weights = np.ones(n_samples) if sample_weight is None else sample_weight
    return np.array([_safe_indexing(weights, test).sum() for _, test in folds])


class NormRegMLPClassifierCV(PathCV, NormRegMLPClassifier):
    """NormRegMLPClassifier whose alpha is chosen by cross-validation along a regularization path.

    On the training rows of every fold, and on all rows, `regularization_path` is followed; the score on the test rows
    of the folds chooses the strength. Models are warm-started from strength to strength, so that a
    strength costs much less than a fit.

    Parameters
    ----------
    hidden_layer_sizes, activation, loss, penalty, l1_ratio, layer_weights, feature_weights : optional
    penalize_intercepts, solver, batch_size, learning_rate, learning_rate_init, power_t, max_iter : optional
    shuffle, random_state, tol, verbose, momentum, nesterovs_momentum, beta_1, beta_2, epsilon : optional
    n_iter_no_change, max_fun, dtype, class_weight : optional
        As of `NormRegMLPClassifier`. `max_iter`, `tol` and `n_iter_no_change` count for each strength as
        `regularization_path` says; verbose prints a line for each of the path on all data.

    alphas : array-like of float of shape (n_alphas,), default=None
        Strengths, sorted; None: found on all data, see `regularization_path`.

    n_alphas : int >= 2, default=50
        Number of strengths, if alphas is None.

    alpha_min_ratio : float in (0, 1), default=1e-3
        Smallest strength by the largest, if alphas is None.

    cv : int, cross-validation generator or iterable, default=None
        Splits, as of `sklearn.model_selection.check_cv`; None is 5 folds, stratified.

    scoring : str, callable or None, default=None
        Scorer, higher is better; None is the estimator's `score`. It gets the sample weights of the rows that it scores
        or, with metadata routing enabled, what it requests (for None: by `set_score_request`).

    n_jobs : int or None, default=None
        Number of threads over the folds and the path on all data; None is 1, or what a joblib context says.

    selection : {"best", "1se"}, default="best"
        "best": the strength with the highest mean score, the largest of several. "1se": the largest whose mean score is
        within one standard error of the highest, a sparser model that can hardly be told from the best.

    n_restarts : int >= 1, default=1
        Number of starts of each path; of the models at a strength the one with the smallest objective is kept.

    Attributes
    ----------
    alpha_ : float
        The strength chosen.

    alphas_ : ndarray of shape (n_alphas,)
        All strengths.

    scores_path_ : ndarray of shape (n_alphas, n_folds)
        Score of each fold; NaN for a fold whose test rows have weights of 0.

    mean_scores_, standard_errors_ : ndarray of shape (n_alphas,)
        Of the folds. A fold's score counts by the sum w_k of the sample weights of its test rows, or their number; the
        error is sqrt(sum_k w_k * (score_k - mean)**2 / sum_k w_k / (n_folds - 1)).

    best_index_, one_se_index_ : int
        Places in `alphas_` of the strengths that "best" and "1se" choose.

    path_ : RegularizationPath
        The path on all data. The fitted model is the one at `alpha_`.

    coefs_, intercepts_, objective_, history_, ... : as of NormRegMLPClassifier
        All attributes of the model at `alpha_`.

    See Also
    --------
    NormRegMLPClassifier : The plain estimator.
    regularization_path : The path alone.
    sklearn.linear_model.LassoCV : The same for linear models.

    Notes
    -----
    The path of a network with hidden layers is a homotopy of local solutions: another seed may choose another strength.
    The folds' paths start from the same seed.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 7.10, with the one standard
    error rule. Friedman, Hastie and Tibshirani (2010), J. Stat. Software 33(1).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NormRegMLPClassifierCV((), penalty="l1", solver="fista", max_iter=2000, n_alphas=10, selection="1se")
    >>> model = model.fit(scale(X), y)
    >>> model.scores_path_.shape
    (10, 5)
    >>> bool(model.mean_scores_[model.best_index_] > 0.9)
    True
    >>> bool(model.alpha_ == model.alphas_[model.one_se_index_])
    True
    """

    plain = NormRegMLPClassifier
    _parameter_constraints = validation.path_cv_constraints("classification")

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="log_loss",
        penalty="l2",
        l1_ratio=0.5,
        layer_weights=None,
        feature_weights=None,
        penalize_intercepts=False,
        solver="adam",
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        class_weight=None,
        max_fun=15000,
        dtype=None,
        alphas=None,
        n_alphas=50,
        alpha_min_ratio=1e-3,
        cv=None,
        scoring=None,
        n_jobs=None,
        selection="best",
        n_restarts=1,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            loss=loss,
            penalty=penalty,
            l1_ratio=l1_ratio,
            layer_weights=layer_weights,
            feature_weights=feature_weights,
            penalize_intercepts=penalize_intercepts,
            solver=solver,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            dtype=dtype,
            alphas=alphas,
            n_alphas=n_alphas,
            alpha_min_ratio=alpha_min_ratio,
            cv=cv,
            scoring=scoring,
            n_jobs=n_jobs,
            selection=selection,
            n_restarts=n_restarts,
        )
        self.class_weight = class_weight


class NormRegMLPRegressorCV(PathCV, NormRegMLPRegressor):
    """NormRegMLPRegressor whose alpha is chosen by cross-validation along a regularization path.

    On the training rows of every fold, and on all rows, `regularization_path` is followed; the score on the test rows
    of the folds chooses the strength. Models are warm-started from strength to strength, so that a
    strength costs much less than a fit.

    Parameters
    ----------
    hidden_layer_sizes, activation, loss, penalty, l1_ratio, layer_weights, feature_weights : optional
    penalize_intercepts, solver, batch_size, learning_rate, learning_rate_init, power_t, max_iter : optional
    shuffle, random_state, tol, verbose, momentum, nesterovs_momentum, beta_1, beta_2, epsilon : optional
    n_iter_no_change, max_fun, dtype : optional
        As of `NormRegMLPRegressor`. `max_iter`, `tol` and `n_iter_no_change` count for each strength as
        `regularization_path` says; verbose prints a line for each of the path on all data.

    alphas : array-like of float of shape (n_alphas,), default=None
        Strengths, sorted; None: found on all data, see `regularization_path`.

    n_alphas : int >= 2, default=50
        Number of strengths, if alphas is None.

    alpha_min_ratio : float in (0, 1), default=1e-3
        Smallest strength by the largest, if alphas is None.

    cv : int, cross-validation generator or iterable, default=None
        Splits, as of `sklearn.model_selection.check_cv`; None is 5 folds.

    scoring : str, callable or None, default=None
        Scorer, higher is better; None is the estimator's `score`. It gets the sample weights of the rows that it scores
        or, with metadata routing enabled, what it requests (for None: by `set_score_request`).

    n_jobs : int or None, default=None
        Number of threads over the folds and the path on all data; None is 1, or what a joblib context says.

    selection : {"best", "1se"}, default="best"
        "best": the strength with the highest mean score, the largest of several. "1se": the largest whose mean score is
        within one standard error of the highest, a sparser model that can hardly be told from the best.

    n_restarts : int >= 1, default=1
        Number of starts of each path; of the models at a strength the one with the smallest objective is kept.

    Attributes
    ----------
    alpha_ : float
        The strength chosen.

    alphas_ : ndarray of shape (n_alphas,)
        All strengths.

    scores_path_ : ndarray of shape (n_alphas, n_folds)
        Score of each fold; NaN for a fold whose test rows have weights of 0.

    mean_scores_, standard_errors_ : ndarray of shape (n_alphas,)
        Of the folds. A fold's score counts by the sum w_k of the sample weights of its test rows, or their number; the
        error is sqrt(sum_k w_k * (score_k - mean)**2 / sum_k w_k / (n_folds - 1)).

    best_index_, one_se_index_ : int
        Places in `alphas_` of the strengths that "best" and "1se" choose.

    path_ : RegularizationPath
        The path on all data. The fitted model is the one at `alpha_`.

    coefs_, intercepts_, objective_, history_, ... : as of NormRegMLPRegressor
        All attributes of the model at `alpha_`.

    See Also
    --------
    NormRegMLPRegressor : The plain estimator.
    regularization_path : The path alone.
    sklearn.linear_model.LassoCV : The same for linear models.

    Notes
    -----
    The path of a network with hidden layers is a homotopy of local solutions: another seed may choose another strength.
    The folds' paths start from the same seed.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 7.10, with the one standard
    error rule. Friedman, Hastie and Tibshirani (2010), J. Stat. Software 33(1).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = NormRegMLPRegressorCV((), penalty="l1", solver="fista", n_alphas=20).fit(scale(X), scale(y))
    >>> model.scores_path_.shape
    (20, 5)
    >>> bool(0.4 < model.mean_scores_[model.best_index_] < 0.5)
    True
    >>> model.n_nonzero_ == tuple(model.path_.n_nonzero[model.best_index_])
    True
    """

    plain = NormRegMLPRegressor
    _parameter_constraints = validation.path_cv_constraints("regression")

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="squared_error",
        penalty="l2",
        l1_ratio=0.5,
        layer_weights=None,
        feature_weights=None,
        penalize_intercepts=False,
        solver="adam",
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dtype=None,
        alphas=None,
        n_alphas=50,
        alpha_min_ratio=1e-3,
        cv=None,
        scoring=None,
        n_jobs=None,
        selection="best",
        n_restarts=1,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            loss=loss,
            penalty=penalty,
            l1_ratio=l1_ratio,
            layer_weights=layer_weights,
            feature_weights=feature_weights,
            penalize_intercepts=penalize_intercepts,
            solver=solver,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            dtype=dtype,
            alphas=alphas,
            n_alphas=n_alphas,
            alpha_min_ratio=alpha_min_ratio,
            cv=cv,
            scoring=scoring,
            n_jobs=n_jobs,
            selection=selection,
            n_restarts=n_restarts,
        )
