"""Stability selection: the inputs that are selected again and again, on random halves of the data."""

from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import _safe_indexing, check_random_state, indexable
from sklearn.utils.multiclass import check_classification_targets

from sknormnet._core.blas_threads import single_thread
from sknormnet.base import BaseNormRegMLP
from sknormnet.path.grid import Grid, check_alphas, check_grid, find_grid
from sknormnet.path.homotopy import best_points, check_direction, checked_clone, warn_of_parts, warnings_of
from sknormnet.path.jobs import LARGEST_SEED, run_jobs
from sknormnet.path.result import assemble
from sknormnet.path.walk import Walk
from sknormnet.validation import check_scoring_weight

__all__ = ["StabilitySelection", "stability_selection"]


@dataclass(frozen=True, eq=False)
class StabilitySelection:
    """What `stability_selection` found.

    Attributes
    ----------
    selected : ndarray of int
        Numbers of the inputs whose selection probability is at least `threshold`, ascending.
    probabilities : ndarray of shape (n_features_in,)
        Selection probability of each input: its largest over the strengths.
    stability_path : ndarray of shape (n_alphas, n_features_in)
        Share of the subsamples in which an input is selected, at each strength.
    alphas : ndarray of shape (n_alphas,)
        The strengths.
    threshold : float
        Probability from which on an input counts as stable.
    n_features : int
        Most inputs that one subsample selects.
    mean_selected : float
        How many one subsample selects on average, whatever the strength: q in the bound.
    bound : float
        Bound on the expected number of falsely selected inputs, q^2 / ((2 * threshold - 1) * n_features_in).
    n_resamples : int
        Number of subsamples.
    """

    selected: np.ndarray
    probabilities: np.ndarray
    stability_path: np.ndarray
    alphas: np.ndarray
    threshold: float
    n_features: int
    mean_selected: float
    bound: float
    n_resamples: int


def stability_selection(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    n_resamples: int = 100,
    n_features: int | None = None,
    threshold: float = 0.75,
    max_false: float = 1.0,
    alphas: Any = None,
    n_alphas: int = 50,
    alpha_min_ratio: float = 1e-2,
    sample_weight: Any = None,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> StabilitySelection:
    """Select the inputs that are among the first on the paths of most random halves of the data.

    On each of `n_resamples` random halves of the rows a regularization path is run, and its first `n_features` inputs
    are taken: those that are the last to leave as the strength grows. An input is selected at a strength if it is one
    of them and alive there. It is stable if, at some strength, it is selected in at least the share `threshold` of the
    halves.

    Parameters
    ----------
    estimator : NormRegMLPClassifier or NormRegMLPRegressor
        With a penalty that removes inputs, such as ``PerLayer(first=GroupLasso("input"), hidden="l2", last="l2")`` or
        "l1". It is cloned and not changed; its callbacks are not called and verbose prints nothing.
    X : {array-like, sparse matrix} of shape (n_samples, n_features_in)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    n_resamples : even int >= 2, default=100
        Number of subsamples.
    n_features : int >= 1, default=None
        Number of inputs that each subsample selects, less where fewer live at any strength. None: as many as the bound
        allows, the largest q with q^2 / ((2 * threshold - 1) * n_features_in) <= max_false.
    threshold : float in (0.5, 1], default=0.75
        Share of the subsamples from which on an input is stable.
    max_false : float > 0, default=1.0
        The bound that is wanted, where n_features is None. Above n_features_in, of which more cannot be false, it
        counts as that.
    alphas : array-like of float of shape (n_alphas,), default=None
        Strengths, the same for all subsamples, as in `regularization_path`. None: n_alphas in equal ratios up to the
        one at which the model of all the data is empty.
    n_alphas : int >= 2, default=50
        Number of strengths, if alphas is None.
    alpha_min_ratio : float in (0, 1), default=0.01
        Smallest strength by the largest, if alphas is None.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights >= 0, which follow their rows into the subsamples. Rows of weight 0 are left out before anything is
        drawn.
    random_state : int, RandomState instance or None, default=None
        Determines the subsamples, and initial weights and shuffles on each of them, in place of the estimator's. The
        result does not depend on n_jobs.
    n_jobs : int, default=None
        Subsamples that are worked on at the same time, in threads of this process. None is 1, -1 all processors.

    Returns
    -------
    StabilitySelection

    Raises
    ------
    ValueError
        If a parameter or the data are not valid, max_false allows no input, a class has fewer than two rows, or no
        input ever leaves.
    TypeError
        If the estimator is none of this package.

    Notes
    -----
    Let q be the number of inputs that a subsample selects on average, over the whole range of strengths: at most
    `n_features`. The expected number of selected inputs that do not matter is at most

        q^2 / ((2 * threshold - 1) * n_features_in),

    whatever the number of rows and the loss, if two conditions hold (Meinshausen and Buehlmann, theorem 1): the inputs
    that do not matter are exchangeable, each of them as likely to be selected as any other, and the ones that matter
    are selected more easily than those. Nobody can check the first on real data; inputs that are correlated with ones
    that matter break it, and are selected for them. Without conditions the same number bounds the stable inputs that a
    subsample selects with a probability of q / n_features_in at most, which is that of a random choice (Shah and
    Samworth, theorem 1). Both are about the mean over data sets. They say nothing about inputs that matter and are
    missed: a small q misses more of them.

    The rows are split at random n_resamples / 2 times, into two halves of floor(n / 2) rows that share none: by such
    pairs the bound holds for any number of them (Shah and Samworth). One column of classes is halved class by class,
    floor(n_k / 2) rows of class k, so that no class is lost; given the classes, the halves of a pair are still
    independent and alike, but for strengths that were found on all rows. Several columns of classes are halved as they
    come, and a half in which a column has one class only is refused.

    The costs are those of n_resamples paths on half the rows.

    References
    ----------
    Meinshausen and Buehlmann (2010), Stability selection, JRSS B 72(4), sections 2.2 to 2.4. Shah and Samworth (2013),
    Variable selection with error control: another look at stability selection, JRSS B 75(1), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet import NormRegMLPRegressor, stability_selection
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 50))
    >>> y = X[:, 3] - 2 * X[:, 7] + rng.standard_normal(200)
    >>> lasso = NormRegMLPRegressor((), penalty="l1", solver="fista", tol=1e-2)
    >>> stable = stability_selection(lasso, X, y, n_resamples=50, n_alphas=20, random_state=0)
    >>> stable.selected
    array([3, 7])
    >>> stable.n_features, stable.bound  # five inputs of each half: at most one false one is to be expected
    (5, 1.0)
    """
    model = checked_clone(estimator)
    _check_numbers(n_resamples, threshold, max_false)
    X, y, sample_weight = _of_positive_weight(X, y, sample_weight)
    n_rows, n_inputs = X.shape
    n_features = _checked_n_features(n_features, threshold, max_false, n_inputs)
    if alphas is not None:
        alphas = check_alphas(alphas)
    check_grid(n_alphas, alpha_min_ratio)
    rng = check_random_state(random_state)
    strata = _strata(estimator, y, n_rows)
    halves = [half for _ in range(n_resamples // 2) for half in _pair(strata, rng)]
    seed, *seeds = rng.randint(LARGEST_SEED, size=n_resamples + 1)
    with single_thread:
        walk = Walk(clone(model).set_params(random_state=seed), X, y, sample_weight)
        check_direction(walk, alphas)
        walk.warn_of_settings(stacklevel=4)
        if alphas is None:
            alphas = find_grid(walk, check_random_state(seed), n_alphas, alpha_min_ratio).alphas
    jobs = [
        partial(
            _alive_and_selected,
            clone(model).set_params(random_state=seed, verbose=False),
            (X, y, sample_weight),
            rows,
            alphas,
            n_features,
            walk,
        )
        for rows, seed in zip(halves, seeds, strict=True)
    ]
    n_alive = np.zeros((len(alphas), n_inputs), dtype=int)
    n_selected, n_selected_anywhere = np.zeros_like(n_alive), 0
    warned = []
    for alive, packed, texts in run_jobs(jobs, n_jobs, walk.cancelled):
        warned.append(texts)
        n_alive += np.unpackbits(alive, axis=1, count=n_inputs)
        selected = np.unpackbits(packed, axis=1, count=n_inputs)
        n_selected += selected
        n_selected_anywhere += int(selected.any(axis=0).sum())
    if np.all(n_alive == n_resamples):
        raise ValueError(
            "every input is alive at every strength in every subsample, so that none is selected before another: give "
            "the first layer a penalty that removes inputs, such as PerLayer(first=GroupLasso('input'), hidden='l2', "
            "last='l2'), and alphas, if any, up to those that do"
        )
    warn_of_parts(warned, "subsamples")
    stability_path = n_selected / n_resamples
    probabilities = stability_path.max(axis=0)
    mean_selected = n_selected_anywhere / n_resamples
    return StabilitySelection(
        selected=np.flatnonzero(probabilities >= threshold),
        probabilities=probabilities,
        stability_path=stability_path,
        alphas=np.array(alphas, dtype=np.float64),
        threshold=float(threshold),
        n_features=n_features,
        mean_selected=mean_selected,
        bound=mean_selected**2 / ((2 * threshold - 1) * n_inputs),
        n_resamples=int(n_resamples),
    )


def _alive_and_selected(
    model: BaseNormRegMLP,
    tables: tuple[Any, Any, Any],
    rows: np.ndarray,
    alphas: np.ndarray,
    n_features: int,
    whole: Walk,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Of each strength and input of a path, in bits, whether it is alive, and one of the first too; warnings."""
    X, y, sample_weight = _rows_of(tables, rows)
    walk = Walk(model, X, y, sample_weight, whole=whole)
    points = best_points(walk, Grid(alphas), check_random_state(model.random_state), certify=False)
    path = assemble(walk, points)
    (alive, *_), first = path.alive, np.zeros(path.n_features_in, dtype=bool)
    first[path.feature_order[:n_features]] = True
    return np.packbits(alive, axis=1), np.packbits(alive & first, axis=1), warnings_of(points)


def _check_numbers(n_resamples: Any, threshold: Any, max_false: Any) -> None:
    if not isinstance(n_resamples, Integral) or int(n_resamples) < 2 or n_resamples % 2:
        raise ValueError(f"n_resamples must be an even number >= 2, since halves come in pairs; got {n_resamples!r}")
    if not isinstance(threshold, Real) or not 0.5 < float(threshold) <= 1:
        raise ValueError(
            f"threshold must be a number above 0.5, for which there is a bound, and at most 1; got {threshold!r}"
        )
    if not isinstance(max_false, Real) or not float(max_false) > 0:
        raise ValueError(f"max_false must be a number > 0, got {max_false!r}")


def _checked_n_features(n_features: Any, threshold: float, max_false: float, n_inputs: int) -> int:
    """How many inputs each subsample selects."""
    if n_features is None:
        most = int(np.sqrt(min(max_false, n_inputs) * (2 * threshold - 1) * n_inputs) * (1 + 1e-12))  # rounding
        if most < 1:
            raise ValueError(
                f"with {n_inputs} inputs and threshold={threshold} even one input for each subsample has a bound of "
                f"{1 / ((2 * threshold - 1) * n_inputs):.3g} false selections, above max_false={max_false}: raise "
                "max_false or threshold"
            )
        return most
    if isinstance(n_features, bool) or not isinstance(n_features, Integral) or not 1 <= int(n_features) <= n_inputs:
        raise ValueError(
            f"n_features must be None or a whole number from 1 to {n_inputs}, the number of inputs; got {n_features!r}"
        )
    return int(n_features)


def _of_positive_weight(X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray | None]:
    """Tables that rows can be taken of, without the rows that do not count."""
    X, y = (a if hasattr(a, "shape") else np.asarray(a) for a in indexable(X, y))
    if len(X.shape) != 2 or not len(y.shape):
        raise ValueError(f"X must be a table of rows and columns, and y a column or more; got {X.shape} and {y.shape}")
    if sample_weight is None:
        return X, y, None
    weight = np.asarray(check_scoring_weight(sample_weight, X.shape[0]))
    return _rows_of((X, y, weight), np.flatnonzero(weight)) if (weight == 0).any() else (X, y, weight)


def _rows_of(tables: tuple[Any, Any, Any], rows: np.ndarray) -> tuple[Any, Any, Any]:
    X, y, sample_weight = (None if table is None else _safe_indexing(table, rows) for table in tables)
    return X, y, sample_weight


def _strata(estimator: Any, y: Any, n_rows: int) -> list[np.ndarray]:
    """Numbers of the rows that are halved together."""
    if n_rows < 2:
        raise ValueError(f"halves need two rows or more (with a positive weight), got {n_rows}")
    column = is_classifier(estimator) and (len(y.shape) == 1 or y.shape[1] == 1)
    if not column:
        return [np.arange(n_rows)]
    check_classification_targets(y)
    classes, numbers, counts = np.unique(np.ravel(y), return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            f"the classes {classes[counts < 2].tolist()} have one row each, which half of the data cannot have: leave "
            "such rows out, or join classes"
        )
    return [np.flatnonzero(numbers == k) for k in range(len(classes))]


def _pair(strata: list[np.ndarray], rng: np.random.RandomState) -> list[np.ndarray]:
    """Two halves of the rows of each stratum that share none, in their order."""
    drawn = [(rng.permutation(rows), len(rows) // 2) for rows in strata]
    return [
        np.sort(np.concatenate([rows[:half] for rows, half in drawn])),
        np.sort(np.concatenate([rows[half : 2 * half] for rows, half in drawn])),
    ]
