"""Which strengths a path goes through."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.optimize

from sknormnet.objective import Objective
from sknormnet.path.walk import Point, Walk
from sknormnet.warm_start import restore_rng, save_rng

HUGE = 1e30  # as a strength: keeps at zero whatever a penalty can keep there, in float32 too
SMALLEST = float(np.finfo(float).resolution)  # where nothing has an effect the grid ends here, as of LassoCV
START = 1e-2  # the search for the empty model starts where the penalty is this share of the data loss
MOST_DOUBLINGS = 60
FEW = 50  # coordinates for which a finite-difference Jacobian is cheap
NEARLY = 0.01  # of what the inputs can lower the loss by: a model that lowers it by less counts as constant


def check_alphas(alphas: Any) -> np.ndarray:
    """Strengths that the user gave.

    Raises
    ------
    ValueError
        If they are not finite numbers >= 0 that rise or fall throughout.
    """
    try:
        values = np.array(alphas, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"alphas must be a flat sequence of numbers, got {alphas!r}") from error
    if values.ndim != 1 or not values.size:
        raise ValueError(
            f"alphas must be a flat sequence with at least one number, got shape {values.shape}; None lets the path "
            "find them"
        )
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(f"alphas must be finite and >= 0, got {values[~(np.isfinite(values) & (values >= 0))][0]}")
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(
            "alphas must be sorted, each once: ascending leads from the dense to the empty model; np.unique(alphas) "
            "sorts them"
        )
    return values


def check_grid(n_alphas: Any, alpha_min_ratio: Any) -> None:
    """What strengths are found by."""
    if isinstance(n_alphas, bool) or not isinstance(n_alphas, Integral) or n_alphas < 2:
        raise ValueError(f"n_alphas must be an integer >= 2, got {n_alphas!r}; for given strengths use alphas=")
    if isinstance(alpha_min_ratio, bool) or not isinstance(alpha_min_ratio, Real) or not 0 < float(alpha_min_ratio) < 1:
        raise ValueError(f"alpha_min_ratio must be a number between 0 and 1, got {alpha_min_ratio!r}")


def check_scaled(walk: Walk) -> None:
    """Raise ValueError where alpha changes nothing."""
    terms = walk.plan(1.0).terms
    if not any(term.penalty.scales and term.strength > 0 for term in terms):
        penalties = ", ".join(dict.fromkeys(repr(term.penalty) for term in terms))
        raise ValueError(
            f"alpha does not scale the penalty ({penalties}), so that there is no path over it: use a penalty such as "
            "'l1' or 'group_lasso', with a layer weight above 0"
        )


@dataclass(frozen=True)
class Grid:
    """The strengths of a path, and how it ends.

    Attributes
    ----------
    alphas : ndarray of shape (n_alphas,)
    vanishing : ndarray of bool of shape (n_parameters,) or None
        The path goes on until these parameters are zero, or the model is empty; None: it ends with the last strength.
    null : ndarray of shape (n_parameters,) or None
        The model in which they are zero, a stationary point at the last strength.
    """

    alphas: np.ndarray
    vanishing: np.ndarray | None = None
    null: np.ndarray | None = None

    def is_ended_by(self, point: Point) -> bool:
        """Whether the path may end at a point."""
        return self.vanishing is None or _is_emptied(point, self.vanishing)


def _is_emptied(point: Point, vanishing: np.ndarray) -> bool:
    return point.is_empty or not point.theta[vanishing].any()


def find_grid(walk: Walk, rng: np.random.RandomState, n_alphas: int, alpha_min_ratio: float) -> Grid:
    """n_alphas strengths in equal ratios, up to that from which on the model is constant.

    Without hidden layers, for a loss without kinks and a penalty that makes zeros, that is the smallest at which zero
    weights are stationary. Otherwise it is the one at which a walk with long strides finds the model empty or, if the
    penalty makes no zeros, hardly better than a constant; rng is left as it was.

    Raises
    ------
    ValueError
        If no strength is found.
    """
    objective, null = walk.objective, None
    objective.set_plan(walk.plan(1.0))
    parts = objective.proximal_parts
    vanishing = np.zeros(objective.n_parameters, dtype=bool)
    for part in parts:
        ones = np.ones(part.shape, objective.dtype)
        zero = np.zeros_like(ones)
        held = [part.kernel.residual(zero, gradient, HUGE) == 0 for gradient in (ones, -ones)]
        vanishing[part.where] = (held[0] & held[1]).ravel()  # a sign constraint holds against one of the two
    zeros = vanishing if vanishing.any() else None
    if zeros is not None and objective.n_layers == 1 and not objective.kinked:
        alpha, null = _where_zero_is_stationary(objective, zeros)
    else:
        alpha = _where_walk_ends(walk, restore_rng(save_rng(rng)), zeros)
    return Grid(alpha * np.geomspace(alpha_min_ratio, 1, n_alphas), zeros, null)


def _where_zero_is_stationary(objective: Objective, vanishing: np.ndarray) -> tuple[float, np.ndarray]:
    (part,) = objective.proximal_parts
    _, null, gradient = _least_loss(objective, ~vanishing)
    gradient[~vanishing] = 0
    zero, gradient = np.zeros(part.shape, objective.dtype), part.of(gradient)

    def is_stationary(alpha: float) -> bool:
        return not part.kernel.residual(zero, gradient, alpha * part.strength).any()

    high = 1.0
    while not is_stationary(high):
        high *= 2
        if high > HUGE:  # as where the loss overflowed
            raise ValueError("no alpha makes the model empty: scale the features and the targets, or give alphas")
    while is_stationary(high / 2) and high > SMALLEST:
        high /= 2
    low = high / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if is_stationary(middle) else (middle, high)
    return max(high, SMALLEST), null


def _least_loss(objective: Objective, free: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The smallest data loss over the free coordinates where all others are zero; where it is, and its gradient."""
    theta, gradient = np.zeros(free.size, objective.dtype), np.empty(free.size, objective.dtype)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        theta[free] = x
        return objective.data_loss(theta, gradient), gradient[free].astype(np.float64)

    x = np.zeros(np.count_nonzero(free))
    options = {"ftol": 0, "gtol": 1e-12, "maxiter": 10_000, "maxfun": 100_000}
    x = scipy.optimize.minimize(value_and_gradient, x, jac=True, method="L-BFGS-B", options=options).x
    if x.size <= FEW:  # differences of values end at the root of eps, those of gradients do not
        x = scipy.optimize.least_squares(lambda x: value_and_gradient(x)[1], x, xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    return value_and_gradient(x)[0], theta, gradient


def _where_walk_ends(walk: Walk, rng: np.random.RandomState, vanishing: np.ndarray | None) -> float:
    objective, theta = walk.objective, walk.start(rng)
    least = np.inf
    if vanishing is None:
        outputs = np.zeros(objective.n_parameters, dtype=bool)
        outputs[-walk.problem.plan.layer_sizes[-1] :] = True
        of_constant = _least_loss(objective, outputs)[0]

    def is_constant(point: Point) -> bool:
        if vanishing is not None:
            return _is_emptied(point, vanishing)
        return of_constant - point.data_loss <= NEARLY * (of_constant - least)

    objective.project(theta)
    penalty = objective.penalty(theta)
    first = START * (abs(objective.data_loss(theta)) / penalty if 0 < penalty < np.inf else 1.0)
    lived = None
    for point in walk.follow(first * 2.0 ** np.arange(MOST_DOUBLINGS), theta, rng, hasty=True):
        least = min(least, point.data_loss)
        if is_constant(point):
            break
        lived, theta = point.alpha, point.theta.copy()
    else:
        raise ValueError(
            f"at alpha={lived:.3g} the model still depended on its inputs, so that the path has no natural end: give "
            "alphas, or lower learning_rate_init"
        )
    if lived is None:
        return first
    for stride in (2**0.5, 2**0.25):
        (point,) = walk.follow([lived * stride], theta.copy(), rng, hasty=True)
        if not is_constant(point):
            lived, theta = point.alpha, point.theta
    return lived * stride
