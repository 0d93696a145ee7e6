"""One start of a path: from strength to strength, each from where the one before ended."""

import math
import time
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np
import scipy.sparse as sp

from sknormnet._core.network import aligned_empty
from sknormnet.base import BaseNormRegMLP
from sknormnet.conversion import alive
from sknormnet.objective import Objective
from sknormnet.plan import Plan
from sknormnet.problem import Problem
from sknormnet.solvers import STOCHASTIC_SOLVERS, FitResult, Monitor, Solver
from sknormnet.solvers.schedules import Cosine
from sknormnet.warm_start import normalized_weight, starting_theta

# Of adam and sgd at the strengths after the first, which start close to where they end.
PATIENCE = 0.4  # of n_iter_no_change
BUDGET = 0.1  # of max_iter
LEAST_FALL = 6  # times tol: an epoch that lowers the objective by a smaller share of itself gains little
DECAY = 2  # epochs at the end of each strength, in which a constant rate goes to zero
RATES = np.array([1.0, 0.1])  # of learning_rate_init: if the objective ends above where it was, the second is tried
WORSE = 0.02  # a share of the objective that noise may add
ROSE = "The objective rose, even at a tenth of the learning rate, so that the model before it is kept. Lower it."
HASTE = 10  # how much earlier a hasty walk takes the objective as settled
HASTY_BUDGET = 0.25  # of max_iter, at the first strength of a hasty walk


class Cancelled(Exception):
    """A walk in another thread is no longer needed."""


class Cancellation:
    """The tasks of a monitor: ends a run with `Cancelled` at the next epoch or iteration once an event is set."""

    def __init__(self, cancelled: Event):
        self._cancelled = cancelled

    def begin(self, theta: np.ndarray) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def end(self, theta: np.ndarray) -> bool:
        return False


class SettlingMonitor(Monitor):
    """Patience ends once an average epoch lowers the objective by less than the share tol of itself.

    That is measured from the last epoch that was so much lower, so that a slow but steady descent goes on. It is less
    than tol too if is_first: of a target in large units an epoch can lower but a small share, far from any minimum.
    """

    def __init__(self, *, is_first: bool, **settings: Any):
        super().__init__(**settings)
        self.is_first = is_first
        self._reference = np.inf

    def _improves(self, objective: float) -> bool:
        size = min(abs(objective), 1.0) if self.is_first else abs(objective)
        improves = objective < self._reference - min(1.0, self.tol * self.patience) * size
        self._reference = objective if improves else self._reference
        return improves


@dataclass
class Point:
    """A strength and the solution there.

    Attributes
    ----------
    alpha : float
    theta : ndarray, or csr_array of one row
    data_loss, penalty : float
        The two terms of the objective, over all of the training data.
    residual : float
        Relative, of `sknormnet.objective.Stationarity`; NaN where it was not asked for or the penalty is decoupled.
    alive : list of ndarray of bool
        Of the inputs and of the units of each hidden layer; see `sknormnet.conversion.alive`.
    history : dict of lists
    n_iter : int
    stop_reason : str
    warning : str or None
    seconds : float
    score : float or None
        On validation data.
    start : int
        Which start of the path.
    """

    alpha: float
    theta: Any
    data_loss: float
    penalty: float
    residual: float
    alive: list[np.ndarray]
    history: dict[str, list]
    n_iter: int
    stop_reason: str
    warning: str | None
    seconds: float = 0.0
    score: float | None = None
    start: int = 0

    @property
    def objective(self) -> float:
        return self.data_loss + self.penalty

    @property
    def is_empty(self) -> bool:
        """Whether the output does not depend on the inputs."""
        return not self.alive[0].any()

    def sparse(self) -> "Point":
        """The same with a theta of its own, as a row of a sparse matrix."""
        return replace(self, theta=sp.csr_array(self.theta[np.newaxis]))


class Walk:
    """What stays the same along a path.

    Parameters
    ----------
    model : NormRegMLPClassifier or NormRegMLPRegressor
        A clone of the user's own, whose parameters are valid; what is known of the data is set on it.
    X, y, sample_weight
        The training data, as in `fit`.
    whole : Walk, default=None
        That of all rows, where these are some of them: their classes are its classes, of which some may be missing.

    Attributes
    ----------
    cancelled : threading.Event
        Ends the walk, and those of parts of its rows, with `Cancelled` at the next epoch or iteration once it is set.
    """

    def __init__(
        self, model: BaseNormRegMLP, X: Any, y: Any, sample_weight: Any = None, *, whole: "Walk | None" = None
    ):
        self.model = model
        self.cancelled: Event = Event() if whole is None else whole.cancelled
        classes = None if whole is None else getattr(whole.model, "classes_", None)
        self.problem: Problem = model._problem(X, y, sample_weight, going_on=False, classes=classes)
        if classes is not None:
            self._check_classes()
        weight = normalized_weight(self.problem.sample_weight, self.problem.X.dtype)
        self.objective = Objective(
            self.problem.plan,
            self.problem.activation,
            self.problem.loss,
            self.problem.X,
            self.problem.target.y,
            weight,
        )
        self._trainer, self._has_header = copy(model), False
        self._decoupled = any(term.penalty.decoupled for term in self.problem.plan.terms)

    def plan(self, alpha: float) -> Plan:
        """The plan at a strength."""
        self._trainer.alpha = alpha
        return self._trainer._make_plan(self.problem.plan.layer_sizes)

    def _check_classes(self) -> None:
        """Raise ValueError where a column of classes has one only."""
        y = self.problem.target.y
        if self.model._n_label_columns is None and not (y != y[0]).any(axis=0).all():
            (column, *_) = np.flatnonzero((y == y[0]).all(axis=0))
            where = f" in column {column}" if y.shape[1] > 1 else ""
            raise ValueError(
                f"y has one class only{where} (of the rows with a positive weight); stratified or fewer folds have more"
            )

    def warn_of_settings(self, *, stacklevel: int) -> None:
        """Once for all walks of a call."""
        self.model._warn_of_settings(self.problem, self.objective.n_samples, stacklevel=stacklevel)

    def start(self, rng: np.random.RandomState) -> np.ndarray:
        """Initial theta, drawn."""
        plan, problem = self.problem.plan, self.problem
        return starting_theta(self.model, plan, problem.activation, problem.X.dtype, rng, going_on=False)

    def follow(
        self,
        alphas: Iterable[float],
        theta: np.ndarray,
        rng: np.random.RandomState,
        *,
        hasty: bool = False,
        certify: bool = False,
    ) -> Iterator[Point]:
        """The solution at each strength, from theta on. A point's theta is overwritten by the next one.

        certify says whether points have residuals, which take a pass over the data.
        """
        state: dict[str, Any] = {}
        data_loss = np.nan
        for alpha in alphas:
            begin = time.perf_counter()
            self.objective.set_plan(self.plan(alpha))
            self.objective.project(theta)
            if self.model.solver not in STOCHASTIC_SOLVERS:
                monitor = Monitor(tol=self.model.tol, patience=np.inf, tasks=Cancellation(self.cancelled))
                solver = self._trainer._make_solver(self.objective.n_samples, None, incremental=False)
                result = solver.minimize(self.objective, theta, monitor=monitor, rng=rng)
                point = self.point(alpha, result, monitor.history, certify)
            else:
                first = data_loss + self.objective.penalty(theta)  # NaN at the first strength
                before = theta.copy()
                for rate in self.model.learning_rate_init * RATES:
                    result, monitor, state = self._descend(theta, first, state, rng, rate, hasty)
                    point = self.point(alpha, result, monitor.history, certify)
                    if self._decoupled or not point.objective > first + WORSE * abs(first):
                        break
                    theta, state = before.copy(), {}
                else:
                    kept = FitResult(before, result.n_iter, "diverged", ROSE)
                    point = self.point(alpha, kept, monitor.history, certify)
            theta, data_loss = point.theta, point.data_loss
            point.seconds = time.perf_counter() - begin
            if self.model.verbose and not hasty:
                self._print(point)
            yield point

    def _descend(
        self,
        theta: np.ndarray,
        objective: float,
        state: dict[str, Any],
        rng: np.random.RandomState,
        rate: float,
        hasty: bool,
    ) -> tuple[FitResult, Monitor, dict[str, Any]]:
        """Epochs at one strength, and the state for the next one: moments and order go on, schedules start anew.

        The objective is that of theta, NaN at the first strength.
        """
        model, n_samples, is_first = self._trainer, self.objective.n_samples, np.isnan(objective)
        monitor = SettlingMonitor(
            is_first=is_first,
            tol=model.tol * (1 if is_first else LEAST_FALL) * (HASTE if hasty else 1),
            patience=model.n_iter_no_change if is_first else PATIENCE * model.n_iter_no_change,
            tasks=Cancellation(self.cancelled),
        )
        monitor.keep_if_best(theta, objective)  # to return to if all else is infinite
        share = BUDGET if not is_first else HASTY_BUDGET if hasty else 1
        budget = math.ceil(share * model.max_iter)
        solver = model._make_stochastic(n_samples, state, model._make_schedule(rate, budget), max_iter=budget)
        result = solver.minimize(self.objective, theta, monitor=monitor, rng=rng)
        if result.stop_reason == "diverged":
            return result, monitor, {}
        if model.learning_rate == "constant" and not hasty:
            done = monitor.n_epochs
            solver = model._make_stochastic(
                n_samples, _with_moments(solver), Cosine(rate, DECAY), max_iter=done + DECAY, first_epoch=-done
            )
            decayed = solver.minimize(self.objective, result.theta, monitor=monitor, rng=rng)
            if decayed.stop_reason == "diverged":
                return decayed, monitor, {}
            result.theta, result.n_iter = decayed.theta, monitor.n_epochs
        return result, monitor, _with_moments(solver)

    def model_at(self, point: Point) -> BaseNormRegMLP:
        """A model with the weights of a point that is sparse, for predicting."""
        model = copy(self.model)
        model.alpha = point.alpha
        layers = self.problem.plan.split(point.theta.toarray()[0])
        model.__dict__.update(model._network_attributes(self.problem, *layers, model._parameter_loss()))
        return model

    def _print(self, point: Point) -> None:
        """A line of a table, under the names of its columns first."""
        cells = {
            "alpha": f"{point.alpha:.4g}",
            "data loss": f"{point.data_loss:.6g}",
            "objective": f"{point.objective:.6g}",
            "inputs": str(int(point.alive[0].sum())),
            "epochs": str(point.n_iter),
            "seconds": f"{point.seconds:.3g}",
        }
        if not self._has_header:
            self._has_header = True
            print("".join(f"{name:>12}" for name in cells))
        print("".join(f"{cell:>12}" for cell in cells.values()))

    def point(self, alpha: float, result: FitResult, history: dict[str, list], certify: bool) -> Point:
        """What a solver's result at the present strength amounts to."""
        objective, theta, residual = self.objective, result.theta, np.nan
        if certify and not self._decoupled:
            gradient, bounds = aligned_empty(theta.size, theta.dtype), np.empty(objective.n_layers)
            data_loss = objective.data_loss(theta, gradient, bounds)
            objective.add_smooth_penalty_gradient(theta, gradient)
            residual = objective.stationarity(theta, gradient, bounds).relative
        else:
            data_loss = objective.data_loss(theta)
        return Point(
            alpha=alpha,
            theta=theta,
            data_loss=data_loss,
            penalty=objective.penalty(theta),
            residual=residual,
            alive=alive(self.problem.plan.split(theta)[0]),
            history=history,
            n_iter=result.n_iter,
            stop_reason=result.stop_reason,
            warning=result.warning,
        )


def _with_moments(solver: Solver) -> dict[str, Any]:
    """State for a run that goes on with the moments and the order of this one, its schedule from the start."""
    return {**solver.state(), "schedule": {}, "n_epochs": 0, "n_seen": 0}
