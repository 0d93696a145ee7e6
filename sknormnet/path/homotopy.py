"""The path over alpha."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from sknormnet import validation
from sknormnet._core.blas_threads import single_thread
from sknormnet.base import BaseNormRegMLP
from sknormnet.path.grid import Grid, check_alphas, check_grid, check_scaled, find_grid
from sknormnet.path.relax import relaxed
from sknormnet.path.result import RegularizationPath, assemble
from sknormnet.path.walk import Point, Walk
from sknormnet.solvers import FitResult

FARTHEST = 1e3  # times the last strength: so far, about, a path goes on where it leaves the model not empty
LEAST_RATIO = 1.005  # of the strengths on the way there, which would be without number on a grid of equals
NOISE = 1e-6  # of the objective, or the root of eps: by so much a solver may seem to be better than the null model


def regularization_path(
    estimator: BaseNormRegMLP,
    X: Any,
    y: Any,
    *,
    alphas: Any = None,
    n_alphas: int = 100,
    alpha_min_ratio: float = 1e-3,
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: Any = None,
    n_restarts: int = 1,
    relax: bool = False,
) -> RegularizationPath:
    """Models over the strength of the penalty, from dense to empty, each from where the one before ended.

    At the first strength adam and sgd go on until the objective has not fallen by the share `tol` of itself per epoch,
    and not by `tol`, averaged over `n_iter_no_change` epochs; their budget is `max_iter` epochs. At the others, which
    start close to where they end, they wait for four tenths of those epochs, six times the share counts as settled, and
    the budget is a tenth of `max_iter`. Where the learning rate is constant, two epochs follow in which it goes to
    zero, so that noise does not hide what is zero. "cosine" decays over the budget of each strength, which is then used
    up. The moments go on from strength to strength; where the objective still ends above its start, as after a spike of
    adam, the strength is gone through again with fresh moments and a tenth of the rate. lbfgs and fista stop as in
    `fit` at every strength, by `tol` and `max_iter`.

    Parameters
    ----------
    estimator : NormRegMLPClassifier or NormRegMLPRegressor
        With any loss, penalty and layer weights; it is cloned, its random_state too, so that a RandomState stays where
        it is. Its alpha does not matter.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training data.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets or classes.
    alphas : array-like of float of shape (n_alphas,), default=None
        Strengths >= 0, ascending. Without hidden layers they may also descend, from empty to dense: other networks do
        not leave zero. None: n_alphas strengths in equal ratios up to the one at which the model is empty. Without
        hidden layers, and for a loss without kinks, that is the smallest at which zero weights are stationary;
        otherwise it is searched for by a walk with long strides. Where the model is not empty there, the path goes on
        until it is, for up to about a thousand times that strength, and as many strengths are dropped at the weak end:
        then a path over these `alphas` alone may be another one.
    n_alphas : int >= 2, default=100
        Number of strengths, if alphas is None.
    alpha_min_ratio : float in (0, 1), default=1e-3
        Smallest strength by the largest, if alphas is None.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, as in `fit`.
    X_val, y_val, sample_weight_val : default=None
        Validation data: the model at each strength is scored on them, by the estimator's `validation_scoring`. They
        change no model.
    n_restarts : int >= 1, default=1
        Number of whole paths, each from initial weights of its own. Of the models at a strength the one with the
        smallest objective is kept; for "weight_decay", which is no term of it, that is the smallest data loss.
    relax : bool, default=False
        Whether to refit each distinct support without the penalty, for `RegularizationPath.relaxed`: what is zero stays
        zero, alpha is 0 for the rest, and constraints still hold.

    Returns
    -------
    path : RegularizationPath

    Raises
    ------
    ValueError
        If alphas are not sorted numbers >= 0; if alpha does not scale the penalty, as of constraints alone; if alphas
        are to be found and there is no end; if early_stopping is set; or if the data or a parameter are not valid.
    TypeError
        If the estimator is none of this package.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        Once, if a solver's budget ended before the solver at some strengths; and once for refits.

    Notes
    -----
    Without hidden layers and with a convex loss and penalty every model is a global minimum. A network's objective has
    many local minima: the path is then a homotopy of local solutions, which another seed may replace by others, and an
    input that has left may come back. `n_restarts` keeps the best of several.

    The time is about that of one fit for the first strength and a few epochs for each other one. Memory grows with the
    number of weights that are not zero. Callbacks of the estimator are not called; verbose prints a line for each
    strength.

    relax=True adds one fit for each distinct support, with the budget of the first strength. Nothing holds those fits
    back: the larger supports overfit as unpenalised networks do, and where classes are separable weights grow until the
    budget ends. It is meant for the sparse end of a path.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via coordinate descent,
    J. Stat. Software 33(1). Lemhadri, Ruan, Abraham and Tibshirani (2021), LassoNet, JMLR 22(127): from dense to
    sparse.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPClassifier, PerLayer, regularization_path
    >>> from sknormnet.penalties import GroupLasso
    >>> X, y = load_iris(return_X_y=True)
    >>> penalty = PerLayer(first=GroupLasso("input"), hidden="l2", last="l2")
    >>> model = NormRegMLPClassifier((8,), "tanh", penalty=penalty, learning_rate_init=0.01, random_state=0)
    >>> path = regularization_path(model, scale(X), y, n_alphas=20)
    >>> int(path.n_features[0]), int(path.n_features[-1])
    (4, 0)
    >>> path.selected_features(2)
    array([2, 3])
    """
    if alphas is not None:
        alphas = check_alphas(alphas)
    check_grid(n_alphas, alpha_min_ratio)
    check_restarts(n_restarts)
    if not isinstance(relax, bool | np.bool_):
        raise ValueError(f"relax must be True or False, got {relax!r}")
    validation.check_given_together(X_val, y_val, sample_weight_val)
    with single_thread:
        walk = Walk(checked_clone(estimator), X, y, sample_weight)
        check_direction(walk, alphas)
        walk.warn_of_settings(stacklevel=4)
        validate = None
        if X_val is not None:
            given = (X_val, y_val, sample_weight_val)
            held_out = walk.model._check_validation_data(given, walk.problem.loss, walk.problem.X.dtype)
            validate = walk.model._validator(held_out, walk.problem)
        rng = check_random_state(walk.model.random_state)
        grid = find_grid(walk, rng, n_alphas, alpha_min_ratio) if alphas is None else Grid(alphas)
        score = None if validate is None else lambda theta: validate(theta)[0]
        points = best_points(walk, grid, rng, n_restarts, score=score)
        refits = relaxed(walk, points, rng, score) if relax else []
    warn_of(points, "the solver")
    warn_of(refits, "the solver of the refit")
    path = assemble(walk, points)
    return replace(path, relaxed=replace(assemble(walk, refits), _without_penalty=True)) if relax else path


def checked_clone(estimator: Any) -> BaseNormRegMLP:
    """A clone with valid parameters, of an estimator that has a path."""
    if not isinstance(estimator, BaseNormRegMLP):
        raise TypeError(
            f"estimator must be a NormRegMLPClassifier or NormRegMLPRegressor, got {type(estimator).__name__}; of a "
            "pipeline, give the last step, and X as the steps before transform it"
        )
    model = clone(estimator)
    if "alpha" not in model.get_params(deep=False):
        raise TypeError(f"{type(estimator).__name__} follows a path itself: fit it, and take its path_")
    model._validate_params()
    if model.early_stopping:
        raise ValueError(
            "a path goes on at each strength until the objective settles: set early_stopping=False, and give X_val and "
            "y_val for the validation score of each strength"
        )
    return model


def check_restarts(n_restarts: Any) -> None:
    if isinstance(n_restarts, bool) or not isinstance(n_restarts, Integral) or n_restarts < 1:
        raise ValueError(f"n_restarts must be an integer >= 1, got {n_restarts!r}")


def check_direction(walk: Walk, alphas: np.ndarray | None) -> None:
    """Raise ValueError where there is no path, or none in this direction."""
    check_scaled(walk)
    if alphas is not None and len(alphas) > 1 and alphas[0] > alphas[-1] and walk.objective.n_layers > 1:
        raise ValueError(
            "descending alphas lead from the empty model to the dense one, but a network with hidden layers does not "
            "leave zero, where its gradient is zero: give ascending alphas, such as alphas[::-1]"
        )


def best_points(
    walk: Walk,
    grid: Grid,
    rng: np.random.RandomState,
    n_restarts: int = 1,
    *,
    score: Callable[[np.ndarray], float] | None = None,
    certify: bool = True,
) -> list[Point]:
    """The solution at each strength, sparse, the best of n_restarts starts."""
    best: list[Point] = []
    for start in range(n_restarts):
        points: list[Point] = []
        for point in _one_start(walk, grid, rng, certify):
            points.append(replace(point.sparse(), start=start))
            if score is not None:
                points[-1].score = score(point.theta)
        before, points = points[: -len(grid.alphas)], points[-len(grid.alphas) :]  # where the path went on beyond them
        points[0].warning = next((point.warning for point in before if point.warning is not None), points[0].warning)
        if start == 0:
            best, grid = points, Grid(np.array([point.alpha for point in points]))
        else:
            best = [new if new.objective < old.objective else old for old, new in zip(best, points, strict=True)]
    return best


def _one_start(walk: Walk, grid: Grid, rng: np.random.RandomState, certify: bool) -> Iterator[Point]:
    alphas, noise = grid.alphas, max(NOISE, float(np.sqrt(np.finfo(walk.objective.dtype).eps)))
    beyond = np.empty(0)
    if grid.vanishing is not None:
        ratio = max(alphas[-1] / alphas[-2], LEAST_RATIO)
        beyond = alphas[-1] * ratio ** np.arange(1, 2 + int(np.log(FARTHEST) / np.log(ratio)))
    for i, point in enumerate(walk.follow(np.append(alphas, beyond), walk.start(rng), rng, certify=certify), start=1):
        if i >= len(alphas) and grid.null is not None:
            result = FitResult(grid.null, point.n_iter, "stationary")
            null = replace(walk.point(point.alpha, result, point.history, certify), seconds=point.seconds)
            point = null if null.objective <= point.objective + noise * abs(point.objective) else point
        yield point
        if i >= len(alphas) and grid.is_ended_by(point):
            return


def warn_of(points: Sequence[Point], what: str = "the solver", *, stacklevel: int = 3) -> None:
    """One warning for all strengths that ask for one."""
    warned = [point for point in points if point.warning is not None]
    warned.sort(key=lambda point: point.stop_reason != "diverged")  # what is worst is told
    if warned:
        warnings.warn(
            f"At {len(warned)} of {len(points)} strengths of the path {what} did not end by itself, such as "
            f"alpha={warned[0].alpha:.3g}: {warned[0].warning}",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def warnings_of(points: Sequence[Point]) -> list[str]:
    """What a path asks to be told, for `warn_of_parts`."""
    return [point.warning for point in points if point.warning is not None]


def warn_of_parts(warned: Sequence[list[str]], what: str, *, stacklevel: int = 3) -> None:
    """One warning for the paths of all parts of the rows."""
    texts = [text for text, *_ in filter(None, warned)]
    if texts:
        warnings.warn(
            f"In {len(texts)} of {len(warned)} {what} the solver did not end by itself at some strengths; the first "
            f"time: {texts[0]}",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
