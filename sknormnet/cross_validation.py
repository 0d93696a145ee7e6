"""The estimators whose alpha is chosen by cross-validation along a path."""

from typing import Any, ClassVar

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed

from sknormnet import validation
from sknormnet._core.blas_threads import single_thread
from sknormnet.base import BaseNormRegMLP
from sknormnet.classifier import NormRegMLPClassifier
from sknormnet.path.grid import Grid, check_alphas, find_grid
from sknormnet.path.homotopy import best_points, check_direction, checked_clone, warn_of
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
    # Parameters of the plain estimator that have no part in a path.
    warm_start = False
    early_stopping = False
    validation_fraction = 0.1
    validation_scoring = None

    def __init__(
        self,
        hidden_layer_sizes,
        activation,
        *,
        loss,
        penalty,
        l1_ratio,
        layer_weights,
        feature_weights,
        penalize_intercepts,
        solver,
        batch_size,
        learning_rate,
        learning_rate_init,
        power_t,
        max_iter,
        shuffle,
        random_state,
        tol,
        verbose,
        momentum,
        nesterovs_momentum,
        beta_1,
        beta_2,
        epsilon,
        n_iter_no_change,
        max_fun,
        dtype,
        alphas,
        n_alphas,
        alpha_min_ratio,
        cv,
        scoring,
        n_jobs,
        selection,
        n_restarts,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.layer_weights = layer_weights
        self.feature_weights = feature_weights
        self.penalize_intercepts = penalize_intercepts
        self.solver = solver
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dtype = dtype
        self.alphas = alphas
        self.n_alphas = n_alphas
        self.alpha_min_ratio = alpha_min_ratio
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.selection = selection
        self.n_restarts = n_restarts

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
            Weights of the rows in training, in the scores and, as sums over the folds' test rows, in their means.
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
        routed = self._route(sample_weight, params)
        with validation.unchanged_on_failure(self):
            self._fit_paths(X, y, sample_weight, *routed)
        return self

    partial_fit = available_if(has_no_parts)(lambda self: None)

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
        return check_scoring(self.plain(), scoring=self.scoring)

    def _fit_paths(self, X, y, sample_weight, split_params, score_params) -> None:
        plain, scorer = self._plain_estimator(), self._scorer()
        alphas = None if self.alphas is None else check_alphas(self.alphas)
        with single_thread:
            walk = Walk(checked_clone(plain), X, y, sample_weight)
            check_direction(walk, alphas)
            rng = check_random_state(plain.random_state)
            found = find_grid(walk, rng, self.n_alphas, self.alpha_min_ratio) if alphas is None else Grid(alphas)
            grid = Grid(found.alphas)  # the same on all folds
            folds = list(check_cv(self.cv, y, classifier=is_classifier(self)).split(X, y, **split_params))
            context = self._init_callback_context(max_subtasks=len(folds) + 1, sequential_subtasks=False)
            hook_data = {"estimator": self, "X": X, "y": y, "metadata": None}
            context.call_on_fit_task_begin(**hook_data)
            tasks = [context.subcontext(task_name="path", task_id=i) for i in range(len(folds) + 1)]

            def path(walk: Walk, task: Any, certify: bool) -> list[Point]:
                task.call_on_fit_task_begin(**hook_data)
                rng = check_random_state(plain.random_state)
                points = best_points(walk, grid, rng, self.n_restarts, certify=certify)
                task.call_on_fit_task_end(**hook_data)
                return points

            def fold_scores(train: np.ndarray, test: np.ndarray, task: Any) -> list[float]:
                X_train, y_train, weight = _rows(train, X, y, sample_weight)
                of_fold = Walk(checked_clone(plain), X_train, y_train, weight, walk.cancelled)
                X_test, y_test = _rows(test, X, y)
                metadata = {name: _of_rows(value, test, len(y)) for name, value in score_params.items()}
                return [
                    float(scorer(of_fold.model_at(point), X_test, y_test, **metadata))
                    for point in path(of_fold, task, False)
                ]

            # The longest first; threads, because the core holds no lock.
            jobs = [delayed(path)(walk, tasks[-1], True)]
            jobs += [delayed(fold_scores)(*fold, task) for fold, task in zip(folds, tasks, strict=False)]
            try:
                points, *scores = Parallel(n_jobs=self.n_jobs, require="sharedmem")(jobs)
            except BaseException:
                walk.cancelled.set()  # or threads would go on
                raise
            context.call_on_fit_task_end(**hook_data)
        warn_of(points, stacklevel=5)
        self._choose(grid.alphas, np.array(scores).T, _fold_weights(sample_weight, folds))
        self.path_ = assemble(walk, points)
        chosen = self.path_[self.one_se_index_ if self.selection == "1se" else self.best_index_]
        parameters = chosen.get_params(deep=False)
        self.__dict__.update({name: value for name, value in vars(chosen).items() if name not in parameters})
        self.alpha_ = chosen.alpha

    def _choose(self, alphas: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> None:
        """Set what cross-validation says of each strength."""
        mean = np.average(scores, axis=1, weights=weights)
        if not np.isfinite(mean).any():
            raise ValueError(f"the score, {self.scoring!r}, is not finite at any strength")
        variance = np.average((scores - mean[:, np.newaxis]) ** 2, axis=1, weights=weights)
        self.alphas_ = alphas
        self.scores_path_ = scores
        self.mean_scores_ = mean
        self.standard_errors_ = np.sqrt(variance / max(1, scores.shape[1] - 1))
        highest = np.nanmax(np.where(np.isfinite(mean), mean, np.nan))
        self.best_index_ = _largest(alphas, mean == highest)
        self.one_se_index_ = _largest(alphas, mean >= highest - self.standard_errors_[self.best_index_])


def _largest(alphas: np.ndarray, candidates: np.ndarray) -> int:
    """Number of the largest strength among some, which has the sparsest model."""
    return int(np.argmax(np.where(candidates, alphas, -np.inf)))


def _rows(rows: np.ndarray, *tables: Any) -> list[Any]:
    return [None if table is None else _safe_indexing(table, rows) for table in tables]


def _of_rows(value: Any, rows: np.ndarray, n: int) -> Any:
    """Metadata of rows; what has another length is meant for all."""
    return _safe_indexing(value, rows) if hasattr(value, "__len__") and len(value) == n else value


def _fold_weights(sample_weight: Any, folds: list) -> np.ndarray | None:
    """Weights of the folds' scores."""
    if sample_weight is None or np.ndim(sample_weight) == 0:
        return None
    return np.array([np.sum(_safe_indexing(np.asarray(sample_weight), test)) for _, test in folds])


class NormRegMLPClassifierCV(PathCV, NormRegMLPClassifier):
    """NormRegMLPClassifier whose alpha is chosen by cross-validation along a regularization path.

    On the training rows of every fold, and on all rows, `regularization_path` is followed; the score on the test rows
    of the folds chooses the strength. Models are warm-started from strength to strength, so that all strengths together
    cost a few fits.

    Parameters
    ----------
    hidden_layer_sizes, activation, loss, penalty, l1_ratio, layer_weights, feature_weights : optional
    penalize_intercepts, solver, batch_size, learning_rate, learning_rate_init, power_t, max_iter : optional
    shuffle, random_state, tol, verbose, momentum, nesterovs_momentum, beta_1, beta_2, epsilon : optional
    n_iter_no_change, max_fun, dtype, class_weight : optional
        As of `NormRegMLPClassifier`. `max_iter`, `tol` and `n_iter_no_change` count for each strength as
        `regularization_path` says; verbose prints a line for each.

    alphas : array-like of float of shape (n_alphas,), default=None
        Strengths, sorted; None: found on all data, see `regularization_path`.

    n_alphas : int >= 2, default=50
        Number of strengths, if alphas is None.

    alpha_min_ratio : float in (0, 1), default=1e-3
        Smallest strength by the largest, if alphas is None.

    cv : int, cross-validation generator or iterable, default=None
        Splits, as of `sklearn.model_selection.check_cv`; None is 5 folds, stratified.

    scoring : str, callable or None, default=None
        Scorer, higher is better; None is the estimator's `score`.

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
        Score of each fold.

    mean_scores_, standard_errors_ : ndarray of shape (n_alphas,)
        Of the folds; folds count by the sample weights of their test rows.

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
    of the folds chooses the strength. Models are warm-started from strength to strength, so that all strengths together
    cost a few fits.

    Parameters
    ----------
    hidden_layer_sizes, activation, loss, penalty, l1_ratio, layer_weights, feature_weights : optional
    penalize_intercepts, solver, batch_size, learning_rate, learning_rate_init, power_t, max_iter : optional
    shuffle, random_state, tol, verbose, momentum, nesterovs_momentum, beta_1, beta_2, epsilon : optional
    n_iter_no_change, max_fun, dtype : optional
        As of `NormRegMLPRegressor`. `max_iter`, `tol` and `n_iter_no_change` count for each strength as
        `regularization_path` says; verbose prints a line for each.

    alphas : array-like of float of shape (n_alphas,), default=None
        Strengths, sorted; None: found on all data, see `regularization_path`.

    n_alphas : int >= 2, default=50
        Number of strengths, if alphas is None.

    alpha_min_ratio : float in (0, 1), default=1e-3
        Smallest strength by the largest, if alphas is None.

    cv : int, cross-validation generator or iterable, default=None
        Splits, as of `sklearn.model_selection.check_cv`; None is 5 folds.

    scoring : str, callable or None, default=None
        Scorer, higher is better; None is the estimator's `score`.

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
        Score of each fold.

    mean_scores_, standard_errors_ : ndarray of shape (n_alphas,)
        Of the folds; folds count by the sample weights of their test rows.

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
