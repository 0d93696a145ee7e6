"""Minibatch descent: one loop for every update rule."""

from typing import Any

import numpy as np

from sknormnet._core.network import RowOrder, UpdateRule
from sknormnet.objective import Objective
from sknormnet.solvers.base import FitResult, Solver, diverged
from sknormnet.solvers.monitor import Monitor
from sknormnet.solvers.schedules import Schedule

NOT_CONVERGED = (
    "Maximum number of epochs ({max_iter}) reached and the objective was still improving. Raise max_iter, or raise tol "
    "to stop earlier; scaled features and, in regression, scaled targets need fewer epochs."
)


EXPLODED = (
    "Training diverged: the objective ended far above its first value. The best parameters are kept. Scale the "
    "features (StandardScaler) and the targets, or lower learning_rate_init."
)


class Stochastic(Solver):
    """Epochs of minibatch steps with an update rule.

    Parameters
    ----------
    rule : {"sgd", "adam"}
    rule_parameters : dict
        momentum and nesterov, or beta_1, beta_2 and epsilon.
    schedule : Schedule
    max_iter : int
        Most epochs.
    batch_size : int
    shuffle : bool or "block"
        Whether each epoch visits the rows in a new random order; "block": block by block.
    state : dict or None
        Of an earlier run, to go on from.
    first_epoch : int
        Number of the first epoch for the schedule.
    """

    def __init__(
        self,
        rule: str,
        rule_parameters: dict[str, Any],
        schedule: Schedule,
        *,
        max_iter: int,
        batch_size: int,
        shuffle: bool | str,
        state: dict[str, Any] | None = None,
        first_epoch: int = 0,
    ):
        self.rule = rule
        self.rule_parameters = rule_parameters
        self.schedule = schedule
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.earlier = state or {}
        self.first_epoch = first_epoch

    def minimize(
        self, objective: Objective, theta: np.ndarray, *, monitor: Monitor, rng: np.random.RandomState
    ) -> FitResult:
        n, subset = objective.n_samples, objective.rows is not None
        self._rule = rule = self._make_rule(objective)
        self._order = order = self._first_order(objective)
        one_batch = not subset and self.batch_size >= n  # then their order does not matter
        visited = order if (self.shuffle or subset) and not one_batch else None
        lookahead = self._lookahead_parts(objective)
        self._n_epochs, self._n_seen = self.earlier.get("n_epochs", 0), self.earlier.get("n_seen", 0)
        self.schedule.resume(self.earlier.get("schedule", {}))

        epoch = monitor.n_epochs  # 0, or those that a run did before it was interrupted
        stopped = epoch > 0 and self._should_stop(monitor)
        while epoch < self.max_iter and not stopped:
            monitor.begin(theta)
            if self.shuffle:
                order.shuffle(rng)
            rate, next_rate = self.schedule.rates(self.first_epoch + epoch, self._n_seen)
            _to_lookahead(theta, rule.first, lookahead)
            data_loss, penalty, finite = objective.run_epoch(theta, visited, self.batch_size, rule, rate, next_rate)
            _from_lookahead(theta, rule.first, lookahead)
            epoch += 1
            self._n_epochs += 1
            self._n_seen += n
            if not finite:
                return diverged(monitor, "epoch", epoch, "learning_rate_init")
            monitor.record(
                theta,
                data_loss=data_loss,
                penalty=penalty,
                n_nonzero=objective.n_nonzero(theta),
                learning_rate=rate,
            )
            stopped = self._should_stop(monitor)
        if stopped and monitor.exploded:
            best = theta if monitor.best_theta is None else monitor.best_theta
            return FitResult(best, epoch, "diverged", EXPLODED)
        if stopped:
            return FitResult(theta, epoch, "patience")
        promising = self.schedule.stops_on_plateau
        return FitResult(theta, epoch, "max_iter", NOT_CONVERGED.format(max_iter=self.max_iter) if promising else None)

    def state(self) -> dict[str, Any]:
        """Between two epochs or after the last: arrays and numbers to go on from."""
        second = self._rule.second
        return {
            "first": self._rule.first.copy(),
            "second": None if second is None else second.copy(),
            "steps_done": self._rule.steps_done,
            "order": self._order.to_array(),
            "schedule": self.schedule.state(),
            "n_epochs": self._n_epochs,
            "n_seen": self._n_seen,
        }

    def _should_stop(self, monitor: Monitor) -> bool:
        if monitor.stop_requested:
            return True
        if not monitor.exhausted:
            return False
        if self.schedule.shrink():
            monitor.reset_patience()
            return False
        return self.schedule.stops_on_plateau or monitor.watches_validation

    def _make_rule(self, objective: Objective) -> UpdateRule:
        make = UpdateRule.sgd if self.rule == "sgd" else UpdateRule.adam
        rule = make(objective.n_parameters, objective.dtype, **self.rule_parameters)
        if self.earlier:
            for mine, earlier in ((rule.first, self.earlier["first"]), (rule.second, self.earlier["second"])):
                if mine is not None:
                    np.copyto(mine, earlier)
            rule.steps_done = self.earlier["steps_done"]
        return rule

    def _first_order(self, objective: Objective) -> RowOrder:
        """The order that an earlier run ended with, if it was one of the same rows; in blocks none is needed."""
        if self.shuffle == "block":
            return objective.row_order(in_blocks=True)
        earlier, order = self.earlier.get("order"), objective.row_order()
        if earlier is None or not same_rows(earlier, order.to_array()):
            return order
        return objective.row_order(earlier)

    def _lookahead_parts(self, objective: Objective) -> list[Any]:
        nesterov = self.rule == "sgd" and self.rule_parameters["nesterov"]
        return [part.where for part in objective.proximal_parts] if nesterov else []


def same_rows(order: np.ndarray, other: np.ndarray) -> bool:
    """Whether two orders visit the same rows."""
    return len(order) == len(other) and np.array_equal(np.sort(order), np.sort(other))


# Nesterov's step with a prox evaluates gradients at z but the model is x, which alone has exact zeros. Inside an epoch
# theta holds z and the rule's state x; between epochs theta holds x and the state z - x.


def _to_lookahead(theta: np.ndarray, state: np.ndarray, parts: list[Any]) -> None:
    for s in parts:
        x = theta[s].copy()
        theta[s] += state[s]
        state[s] = x


def _from_lookahead(theta: np.ndarray, state: np.ndarray, parts: list[Any]) -> None:
    for s in parts:
        z = theta[s].copy()
        theta[s] = state[s]
        state[s] = z - state[s]
