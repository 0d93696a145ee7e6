"""Accelerated proximal gradient descent on the whole data."""

import numpy as np
from scipy.linalg.blas import ddot

from sknormnet._core.network import aligned_empty
from sknormnet.objective import Objective
from sknormnet.solvers.base import FitResult, Solver, diverged
from sknormnet.solvers.monitor import Monitor
from sknormnet.solvers.smoothing import continuation, iterations_for, settle

SLACK = 4  # rounding errors of an objective, in units of its eps
GROWTH = 1.2  # the step is tried this much longer in every iteration
MOST_BACKTRACKS = 60
MOST_STALLED = 20  # iterations in a row that lower the objective by less than rounding
STALL_SHARE = 1e-5  # of a kinked loss's smoothing: falls by less count as stalled, the next smoothing promises more
# The step times the squared scale of the residual is about the objective, within a factor of a thousand or so. On a
# kink of the network backtracking makes steps many orders of magnitude shorter, and the objective crawls.
COLLAPSED = 1e-9
CRAWL = 1e-8  # relative falls by less than this count as stalled where the step has collapsed
# Times the root of eps: smaller relative residuals change the objective by about its rounding, and a stall is the end.
PRECISION = 10


class Fista(Solver):
    """FISTA with backtracking, monotone with restarts.

    Parameters
    ----------
    tol : float
        Stops when the relative residual (`sknormnet.objective.Stationarity`) is at most tol.
    max_iter : int

    References
    ----------
    Beck and Teboulle (2009), A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sciences 2(1);
    O'Donoghue and Candes (2015), Adaptive restart for accelerated gradient schemes, section 3.
    """

    def __init__(self, *, tol: float, max_iter: int):
        self.tol = tol
        self.max_iter = max_iter

    def minimize(
        self, objective: Objective, theta: np.ndarray, *, monitor: Monitor, rng: np.random.RandomState
    ) -> FitResult:
        objective.check_within_objective("solver='fista' minimises")
        n_iter, step, reason = 0, np.inf, "max_iter"
        for last in continuation(objective, theta, monitor):
            if n_iter >= self.max_iter:
                reason = "max_iter"
                break
            most = iterations_for(last, self.max_iter - n_iter)
            iterations, step, residual, reason = self._descend(objective, theta, monitor, step=step, max_iter=most)
            n_iter += iterations
            if reason == "diverged":
                return diverged(monitor, "iteration", n_iter, None)
            if reason == "patience":
                break
        settle(objective, theta, monitor)
        warning = None
        if reason == "max_iter":
            warning = (
                f"fista reached max_iter={self.max_iter} before its relative residual fell to tol={self.tol}. Raise "
                "max_iter or tol."
            )
        elif reason == "stalled" and not objective.kinked and residual > PRECISION * np.sqrt(_eps(objective)):
            warning = (
                "fista stopped on a stalled objective: it hardly falls any more, and the relative "
                f"residual, {residual:.2g}, is above tol={self.tol}. On a kink of the network it gets no "
                "further; otherwise scale the data."
            )
        return FitResult(theta, n_iter, reason, warning)

    def _descend(
        self, objective: Objective, x: np.ndarray, monitor: Monitor, *, step: float, max_iter: int
    ) -> tuple[int, float, float, str]:
        """Minimise from x, in place: iterations, last step, relative residual, and what ended it."""
        eps = _eps(objective)
        n = x.size
        z, new, gradient, new_gradient = (aligned_empty(n, objective.dtype) for _ in range(4))
        z[:] = x
        bounds = np.empty(objective.n_layers)
        smooth_at_x, data_loss = self._smooth(objective, x, gradient, bounds)
        penalty = objective.penalty(x)
        value = data_loss + penalty
        if not np.isfinite(value):
            return 1, step, np.inf, "diverged"
        step = min(step, 1 / max(1.0, float(np.abs(gradient).max())))
        momentum, stalled = 1.0, 0
        at_x, gradient_at_x = True, gradient.copy()  # whether z is x; the gradient there, to restart from

        at = objective.stationarity(x, gradient, bounds)

        def record() -> None:
            monitor.record(
                x,
                data_loss=objective.unsmoothed_data_loss(x) if objective.smoothing > 0 else data_loss,
                penalty=penalty,
                n_nonzero=objective.n_nonzero(x),
                residual=at.relative,
                learning_rate=step,
            )

        for iteration in range(1, max_iter + 1):
            monitor.begin(x)
            smooth_at_z = smooth_at_x if at_x else self._smooth(objective, z, gradient)[0]
            if at_x:
                gradient[:] = gradient_at_x
            for _ in range(MOST_BACKTRACKS):
                np.multiply(gradient, -step, out=new)
                new += z
                objective.prox(new, step)
                move = new.astype(np.float64) - z
                new_smooth, new_data_loss = self._smooth(objective, new, new_gradient, bounds)
                with np.errstate(over="ignore", invalid="ignore"):  # where z is so far out that its loss is infinite
                    bound = smooth_at_z + ddot(gradient.astype(np.float64), move) + ddot(move, move) / (2 * step)
                if new_smooth <= bound + SLACK * eps * abs(smooth_at_z):
                    break
                step *= 0.5
            new_penalty = objective.penalty(new)
            new_value = new_data_loss + new_penalty
            if not np.isfinite(new_value):
                if at_x:
                    return iteration, step, np.inf, "diverged"
                z[:], at_x, momentum = x, True, 1.0
                record()
                if monitor.says_stop:
                    return iteration, step, at.relative, "patience"
                continue
            rose = not new_value <= value
            collapsed = step * at.absolute**2 < COLLAPSED * abs(value) * at.relative**2
            least = max(max(SLACK * eps, CRAWL * collapsed) * abs(value), STALL_SHARE * objective.smoothing)
            stalled = stalled + 1 if not new_value < value - least else 0
            if rose and not at_x:
                z[:], at_x, momentum = x, True, 1.0  # the momentum overshot
                record()
                if monitor.says_stop:
                    return iteration, step, at.relative, "patience"
                continue
            if not rose:
                next_momentum = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
                np.subtract(new, x, out=z)
                z *= (momentum - 1) / next_momentum
                z += new
                x[:] = new
                gradient_at_x[:] = new_gradient
                smooth_at_x, value, data_loss, penalty = new_smooth, new_value, new_data_loss, new_penalty
                at_x, momentum = momentum == 1.0, next_momentum
                at = objective.stationarity(x, gradient_at_x, bounds)
            record()
            if at.relative <= self.tol:
                return iteration, step, at.relative, "stationary"
            if monitor.says_stop:
                return iteration, step, at.relative, "patience"
            if stalled >= MOST_STALLED or rose:
                return iteration, step, at.relative, "stalled"
            step *= GROWTH
        return max_iter, step, at.relative, "max_iter"

    @staticmethod
    def _smooth(
        objective: Objective, theta: np.ndarray, gradient: np.ndarray, bounds: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Smooth part of the objective and the data loss; gradient of the smooth part, bounds of the data loss."""
        data_loss = objective.data_loss(theta, gradient, bounds)
        objective.add_smooth_penalty_gradient(theta, gradient)
        return data_loss + objective.smooth_penalty(theta), data_loss


def _eps(objective: Objective) -> float:
    return float(np.finfo(objective.dtype).eps)
