"""L-BFGS-B of SciPy, with L1 terms by splitting."""

from collections.abc import Callable

import numpy as np
import scipy.optimize
from scipy.linalg.blas import ddot

from sknormnet.objective import Objective
from sknormnet.solvers.base import FitResult, NotFinite, Solver, diverged
from sknormnet.solvers.monitor import Monitor
from sknormnet.solvers.smoothing import continuation, iterations_for, settle

# SciPy stops on a relative decrease below ftol, 2.2e-9 unless told; scaled so that tol=1e-4 keeps that.
FTOL_PER_TOL = 2.2e-5
LARGEST_FTOL = 2.0  # met by every decrease; SciPy divides by eps, where more could overflow
RESTART_FALL = 1e-6  # relative fall of the objective after which a stalled search is started again
STALLED_PER_TOL = 100  # times tol: where a larger gradient is left, a stalled search is worth a warning


class Lbfgs(Solver):
    """Full-batch quasi-Newton method.

    A coordinate w with an L1 strength becomes w = p - n with p, n >= 0, whose bounds give exact zeros and whose
    penalty, strength * (p + n), is smooth.

    Parameters
    ----------
    tol : float
        Stops when the largest entry of the projected gradient is at most tol.
    max_iter : int
    max_fun : int
        Most evaluations of the objective.

    References
    ----------
    Zhu, Byrd, Lu and Nocedal (1997), Algorithm 778: L-BFGS-B, ACM TOMS 23(4).
    """

    def __init__(self, *, tol: float, max_iter: int, max_fun: int):
        self.tol = tol
        self.max_iter = max_iter
        self.max_fun = max_fun

    def minimize(
        self, objective: Objective, theta: np.ndarray, *, monitor: Monitor, rng: np.random.RandomState
    ) -> FitResult:
        objective.check_within_objective("solver='lbfgs' minimises")
        function = _Function(objective, theta, monitor)
        n_iter, reason = 0, "max_iter"

        def after_iteration(intermediate_result: scipy.optimize.OptimizeResult) -> None:
            function.accept()
            data_loss = objective.unsmoothed_data_loss(theta) if objective.smoothing > 0 else function.data_loss
            monitor.record(
                theta,
                data_loss=data_loss,
                penalty=function.penalty,
                n_nonzero=objective.n_nonzero(theta),
                residual=objective.stationarity(theta, function.split.gradient, function.bounds).relative,
                learning_rate=None,
            )
            if monitor.says_stop:
                raise StopIteration

        for last in continuation(objective, theta, monitor):
            value = np.inf
            while n_iter < self.max_iter and function.n_evaluations < self.max_fun:
                try:
                    result = self._search(function, after_iteration, iterations_for(last, self.max_iter - n_iter))
                except NotFinite:
                    return diverged(monitor, "iteration", monitor.n_epochs + 1, None)
                function.split.theta_of(function.split.at_bounds(result.x, result.jac, self.tol), theta)
                n_iter += result.nit
                gradient = function.split.largest_projected(result.x, result.jac)
                reason = "stationary" if gradient <= self.tol else "max_iter" if result.status == 1 else "stalled"
                # A start far from the minimum leaves a memory that stalls the search: it may go on without.
                if monitor.says_stop or not (
                    last and reason == "stalled" and value - result.fun > RESTART_FALL * abs(result.fun)
                ):
                    break
                value = result.fun
            else:
                reason = "max_iter"
            if monitor.says_stop:
                reason = "patience"
                break
        settle(objective, theta, monitor)
        warning = None
        if reason == "max_iter":
            warning = (
                f"lbfgs stopped before it converged: it reached max_iter={self.max_iter} or max_fun={self.max_fun}. "
                "Raise them, or scale the data."
            )
        elif reason == "stalled" and not objective.kinked and gradient > STALLED_PER_TOL * self.tol:
            warning = (
                f"lbfgs stopped on a stalled objective: the gradient, {gradient:.2g}, is above tol={self.tol}. On a "
                "kink of the network or at the precision of the dtype this is the end; otherwise scale the data."
            )
        return FitResult(theta, n_iter, reason, warning)

    def _search(
        self, function: "_Function", callback: Callable[..., None], max_iter: int
    ) -> scipy.optimize.OptimizeResult:
        return scipy.optimize.minimize(
            function,
            function.start(),
            method="L-BFGS-B",
            jac=True,
            bounds=function.split.bounds(),
            callback=callback,
            options={
                "maxiter": max_iter,
                "maxfun": self.max_fun - function.n_evaluations,
                "gtol": self.tol,
                "ftol": min(self.tol * FTOL_PER_TOL, LARGEST_FTOL),
            },
        )


class _Function:
    """Value and gradient of the objective in the variables of L-BFGS-B, which are written to theta.

    Where the objective overflows, as exponential losses do after a long step, the answer is a value that makes the line
    search shorten its step.
    """

    def __init__(self, objective: Objective, theta: np.ndarray, monitor: Monitor):
        self._monitor = monitor
        self.split = _Split(objective)
        self.n_evaluations = 0
        self.data_loss, self.penalty = np.nan, np.nan
        self.bounds = np.empty(objective.n_layers)
        self._objective = objective
        self._theta = theta
        self._accepted: tuple[np.ndarray, float, np.ndarray] | None = None

    def start(self) -> np.ndarray:
        """Variables of theta, to minimise from."""
        self._accepted = None
        return self.split.variables_of(self._theta)

    def accept(self) -> None:
        """The line search has accepted the point that was evaluated last."""
        self._accepted = self._last

    def __call__(self, variables: np.ndarray) -> tuple[float, np.ndarray]:
        objective, theta, split = self._objective, self._theta, self.split
        self.n_evaluations += 1
        self._monitor.begin(theta)
        split.theta_of(variables, theta)
        data_loss = objective.data_loss(theta, split.gradient, self.bounds)
        objective.add_smooth_penalty_gradient(theta, split.gradient)
        value = data_loss + objective.smooth_penalty(theta) + split.penalty_of(variables)
        if not np.isfinite(value):
            return self._too_far(variables)
        self.data_loss, self.penalty = data_loss, objective.penalty(theta)
        self._last = variables.copy(), value, split.gradient_of(variables)
        if self._accepted is None:
            self._accepted = self._last
        return self._last[1:]

    def _too_far(self, variables: np.ndarray) -> tuple[float, np.ndarray]:
        if self._accepted is None:
            raise NotFinite
        origin, value, gradient = self._accepted
        return value + abs(float(gradient @ (variables - origin))), np.zeros_like(variables)


class _Split:
    """Between theta and the variables of L-BFGS-B: theta with p in the split coordinates, followed by their n.

    Coordinates that must not be negative need no splitting: there |w| is w.
    """

    def __init__(self, objective: Objective):
        self.l1, self.l2, self.non_negative = objective.separable_terms()
        self.where = np.flatnonzero((self.l1 > 0) & ~self.non_negative)
        self.gradient = np.empty(objective.n_parameters, dtype=objective.dtype)

    @property
    def bounded(self) -> np.ndarray:
        """The variables that must not be negative."""
        of_theta = np.flatnonzero((self.l1 > 0) | self.non_negative)
        return np.concatenate([of_theta, self.l1.size + np.arange(self.where.size)])

    def bounds(self) -> scipy.optimize.Bounds | None:
        bounded = self.bounded
        if not bounded.size:
            return None
        lower = np.full(self.l1.size + self.where.size, -np.inf)
        lower[bounded] = 0
        return scipy.optimize.Bounds(lower, np.inf)

    def variables_of(self, theta: np.ndarray) -> np.ndarray:
        variables = np.concatenate([theta, np.maximum(-theta[self.where], 0)]).astype(np.float64)
        variables[self.where] = np.maximum(theta[self.where], 0)
        return variables

    def theta_of(self, variables: np.ndarray, theta: np.ndarray) -> None:
        theta[:] = variables[: theta.size]
        if self.where.size:
            theta[self.where] = variables[self.where] - variables[theta.size :]

    def largest_projected(self, variables: np.ndarray, gradient: np.ndarray) -> float:
        """Largest entry of the gradient, as far as the bounds leave room to follow it."""
        size = np.abs(gradient)
        s = self.bounded
        size[s] = np.where(gradient[s] > 0, np.minimum(size[s], variables[s]), size[s])
        return float(size.max())

    def at_bounds(self, variables: np.ndarray, gradient: np.ndarray, tol: float) -> np.ndarray:
        """The variables, those at zero that are within tol of it and that a step along the gradient would take there.

        Their projected gradient, at most tol, does not tell them from zeros, so that the search may end before it.
        """
        s, out = self.bounded, variables.copy()
        out[s[(out[s] <= tol) & (gradient[s] >= out[s])]] = 0
        return out

    def penalty_of(self, variables: np.ndarray) -> float:
        w, n = variables[: self.l1.size].copy(), variables[self.l1.size :]
        value = ddot(self.l1, w) + (self.l1[self.where] * n).sum()
        w[self.where] -= n
        return float(value + 0.5 * ddot(self.l2, w**2))

    def gradient_of(self, variables: np.ndarray) -> np.ndarray:
        slope = self.gradient.astype(np.float64)
        w, n = variables[: self.l1.size].copy(), variables[self.l1.size :]
        w[self.where] -= n
        slope += self.l2 * w
        return np.concatenate([slope + self.l1, (self.l1 - slope)[self.where]])
