"""Which strengths a path goes through."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.optimize

from sknormnet.objective import Objective
from sknormnet.path.walk import Walk

HUGE = 1e30  # as a strength: keeps at zero whatever a penalty can keep there, in float32 too
SMALLEST = float(np.finfo(float).resolution)  # where nothing has an effect the grid ends here, as of LassoCV
START = 1e-3  # the search for the empty model starts where the penalty is this share of the data loss
MOST_DOUBLINGS = 60
FEW = 50  # coordinates for which a finite-difference Jacobian is cheap
NO_END = "the path has no natural end; give alphas"


def check_alphas(alphas: Any) -> np.ndarray:
    """Strengths that the user gave.

    Raises
    ------
    ValueError
        If they are not finite numbers >= 0 that rise or fall throughout.
    """
    try:
        values = np.asarray(alphas, dtype=np.float64)
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


def geometric(alpha_max: float, alpha_min_ratio: float, n_alphas: int) -> np.ndarray:
    """n_alphas strengths up to alpha_max, their ratios equal."""
    return alpha_max * np.geomspace(alpha_min_ratio, 1, n_alphas)


def largest_alpha(walk: Walk, rng: np.random.RandomState) -> float:
    """The strength from which on the model is empty.

    Without hidden layers and for a loss without kinks, the smallest at which zero weights are stationary. Otherwise the
    one at which a walk with long strides ends; it draws from rng.

    Raises
    ------
    ValueError
        If no strength makes the model empty.
    """
    objective = walk.objective
    objective.set_plan(walk.plan(1.0))
    if not any(part.penalty.scales for part in objective.proximal_parts):
        raise ValueError(f"{objective.plan.terms[0].penalty!r} makes no weights exactly zero: {NO_END}")
    if objective.n_layers == 1 and not objective.kinked:
        return max(_where_zero_is_stationary(objective), SMALLEST)
    return _where_walk_ends(walk, rng)


def _where_zero_is_stationary(objective: Objective) -> float:
    (part,) = objective.proximal_parts
    zero, one = np.zeros(part.shape, objective.dtype), np.ones(part.shape, objective.dtype)
    free = np.ones(objective.n_parameters, dtype=bool)
    free[part.where] = (part.kernel.residual(zero, one, HUGE) > 0).ravel()
    if free[part.where].all():
        raise ValueError(f"{part.penalty!r} makes no weights exactly zero: {NO_END}")
    gradient = _gradient_at_null(objective, free)
    gradient[free] = 0
    gradient = part.of(gradient)

    def is_stationary(alpha: float) -> bool:
        return not part.kernel.residual(zero, gradient, alpha * part.strength).any()

    high = 1.0
    while not is_stationary(high):
        high *= 2
    while is_stationary(high / 2) and high > SMALLEST:
        high /= 2
    low = high / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if is_stationary(middle) else (middle, high)
    return high


def _gradient_at_null(objective: Objective, free: np.ndarray) -> np.ndarray:
    """Gradient of the data loss where it is smallest over the coordinates that no strength makes zero, others zero."""
    theta, gradient = np.zeros(free.size, objective.dtype), np.empty(free.size, objective.dtype)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        theta[free] = x
        return objective.data_loss(theta, gradient), gradient[free].astype(np.float64)

    x = np.zeros(np.count_nonzero(free))
    options = {"ftol": 0, "gtol": 1e-12, "maxiter": 10_000, "maxfun": 100_000}
    x = scipy.optimize.minimize(value_and_gradient, x, jac=True, method="L-BFGS-B", options=options).x
    if x.size <= FEW:  # differences of values end at the root of eps, those of gradients do not
        x = scipy.optimize.least_squares(lambda x: value_and_gradient(x)[1], x, xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    value_and_gradient(x)
    return gradient


def _where_walk_ends(walk: Walk, rng: np.random.RandomState) -> float:
    objective, theta = walk.objective, walk.start(rng)
    objective.project(theta)
    first = START * objective.data_loss(theta) / objective.penalty(theta)
    lived = None
    for point in walk.follow(first * 2.0 ** np.arange(MOST_DOUBLINGS), theta, rng, hasty=True):
        if point.is_empty:
            break
        lived, theta = point.alpha, point.theta.copy()
    else:
        raise ValueError(f"the model still depended on its inputs at alpha={lived:.3g}: {NO_END}")
    if lived is None:
        return first
    for stride in (2**0.5, 2**0.25):
        (point,) = walk.follow([lived * stride], theta.copy(), rng, hasty=True)
        if not point.is_empty:
            lived, theta = point.alpha, point.theta
    return lived * stride
