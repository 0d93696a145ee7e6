"""A path on every fold and on all rows, and the choice of a strength by the folds' scores."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

import numpy as np
from sklearn import get_config
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, check_random_state, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_method_params, _num_samples

from sknormnet import validation
from sknormnet._core.blas_threads import single_thread
from sknormnet.base import BaseNormRegMLP
from sknormnet.path.grid import Grid, check_alphas, find_grid
from sknormnet.path.homotopy import best_points, check_direction, checked_clone, warn_of, warn_of_parts, warnings_of
from sknormnet.path.jobs import LARGEST_SEED, run_jobs
from sknormnet.path.result import assemble
from sknormnet.path.walk import Point, Walk


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
        weights = _fold_weights(sample_weight, folds, _num_samples(X))
        scored = np.flatnonzero(weights).tolist()
        if not scored:
            raise ValueError("sample_weight is zero in the test rows of every fold, so that nothing can be scored")
        # Before the attributes are guarded: scikit-learn reads the context after a failure.
        context = self._init_callback_context(max_subtasks=len(scored) + 1, sequential_subtasks=False)

        def follow(walk: Walk, task: Any, certify: bool) -> list[Point]:
            task.call_on_fit_task_begin(**hook_data)
            rng = check_random_state(plain.random_state)
            points = best_points(walk, grid, rng, self.n_restarts, certify=certify)
            task.call_on_fit_task_end(**hook_data)
            return points

        def of_fold(k: int, task: Any) -> tuple[list[float], list[str]]:
            """Scores at all strengths, and warnings."""
            train, test = folds[k]
            of_train = _check_method_params(X, {"X": X, "y": y, "sample_weight": sample_weight}, train)
            of_test = _check_method_params(X, {"X": X, "y": y, **score_params}, test)
            try:
                walk_of_fold = Walk(checked_clone(plain).set_params(verbose=False), **of_train, whole=walk)
            except ValueError as error:
                raise ValueError(f"the training rows of fold {k}: {error}") from error
            points = follow(walk_of_fold, task, False)
            return [_score(scorer, walk_of_fold.model_at(point), **of_test) for point in points], warnings_of(points)

        with validation.unchanged_on_failure(self):
            context.call_on_fit_task_begin(**hook_data)
            tasks = [context.subcontext(task_name="path", task_id=i) for i in range(len(scored) + 1)]
            jobs: list[Callable[[], Any]] = [partial(follow, walk, tasks[-1], True)]  # the longest first
            jobs += [partial(of_fold, k, task) for k, task in zip(scored, tasks, strict=False)]
            points, *of_folds = run_jobs(jobs, self.n_jobs, walk.cancelled)
            scores_of_folds, warned = zip(*of_folds, strict=True)
            scores = np.full((len(alphas), len(folds)), np.nan)
            scores[:, scored] = np.transpose(scores_of_folds)
            fitted = _selection(alphas, scores, weights)
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
            warn_of_parts(warned, "folds", stacklevel=5)


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
