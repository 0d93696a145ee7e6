"""Watches a run: records its history, keeps the best parameters, decides when to stop."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

HISTORY_KEYS = (
    "data_loss",
    "penalty",
    "objective",
    "n_nonzero",
    "residual",
    "learning_rate",
    "validation_score",
    "validation_loss",
    "seconds",
)

COLUMNS = ("data loss", "penalty", "objective", "val. score", "non-zeros", "learn. rate", "seconds")


class Monitor:
    """History and patience of one run.

    Patience counts epochs in which the watched value did not improve by tol; NaN is worse than everything.

    Parameters
    ----------
    tol : float
    patience : float
        Number of epochs without improvement that are waited for; infinity waits for ever.
    validate : callable or None
        theta -> score, higher is better, and mean loss on validation data. The best theta by the score is kept.
    stops_on_validation : bool
        Whether the score is watched; otherwise, or without validation data, it is the objective.
    tasks : object or None
        Has ``begin(theta)``, called before an epoch, and ``end(theta)``, after it, which says whether to stop.
    verbose : bool
    first_epoch : int
        Epochs that the table has already.
    """

    def __init__(
        self,
        *,
        tol: float,
        patience: float,
        validate: Callable[[np.ndarray], tuple[float, float]] | None = None,
        stops_on_validation: bool = True,
        tasks: Any = None,
        verbose: bool = False,
        first_epoch: int = 0,
    ):
        self.tol = tol
        self.patience = patience
        self.validate = validate
        self.watches_validation = validate is not None and stops_on_validation
        self.tasks = tasks
        self.stop_requested = False
        self.verbose = verbose
        self.first_epoch = first_epoch
        self.history: dict[str, list] = {key: [] for key in HISTORY_KEYS}
        self.best_objective = np.inf
        self.best_score = -np.inf
        self.best_theta: np.ndarray | None = None
        self.n_epochs = 0
        self._waited = 0
        self._has_header = first_epoch > 0
        self._clock = time.perf_counter()

    @property
    def exhausted(self) -> bool:
        """Whether patience is at its end."""
        return self._waited >= self.patience

    @property
    def says_stop(self) -> bool:
        """Whether a callback, or the validation score if it is watched, says that enough is enough."""
        return self.stop_requested or (self.watches_validation and self.exhausted)

    @property
    def exploded(self) -> bool:
        """Whether the objective is far above the first epoch's."""
        first, last = self.history["objective"][0], self.history["objective"][-1]
        return last - first > 10 * abs(first)

    @property
    def progress(self) -> tuple[float, float, int]:
        """What patience depends on: the best objective and score so far, and epochs waited since."""
        return self.best_objective, self.best_score, self._waited

    @progress.setter
    def progress(self, progress: tuple[float, float, int]) -> None:
        self.best_objective, self.best_score, self._waited = progress

    def state(self) -> dict[str, Any]:
        """All that the run depends on, between two epochs; `resume` takes it, but for the history."""
        return {
            "n_epochs": self.n_epochs,
            "progress": self.progress,
            "best_theta": None if self.best_theta is None else self.best_theta.copy(),
            "stop_requested": self.stop_requested,
        }

    def resume(self, state: dict[str, Any], history: dict[str, list]) -> None:
        """Go on with an interrupted run, whose history has n_epochs entries."""
        self.n_epochs = state["n_epochs"]
        self.progress = state["progress"]
        self.stop_requested = state["stop_requested"]
        if state["best_theta"] is not None:
            self._keep(state["best_theta"])
        self.history = history

    def keep_if_best(self, theta: np.ndarray, objective: float) -> None:
        """Remember a point that is no epoch's, such as the start."""
        if objective < self.best_objective:
            self.best_objective = objective
            self._keep(theta)

    def begin(self, theta: np.ndarray) -> None:
        """An epoch or iteration begins, from theta; told once or more often."""
        if self.tasks is not None:
            start = time.perf_counter()
            self.tasks.begin(theta)
            self._clock += time.perf_counter() - start  # seconds are the fit's, not those of callbacks

    def reset_patience(self) -> None:
        self._waited = 0

    def record(
        self,
        theta: np.ndarray,
        *,
        data_loss: float,
        penalty: float,
        n_nonzero: tuple[int, ...],
        learning_rate: float | None,
        residual: float | None = None,
    ) -> None:
        """Note one epoch or iteration, all of whose figures are finite."""
        objective = data_loss + penalty
        improved = self._improves(objective)
        best = objective < self.best_objective
        score = validation_loss = None
        if self.validate is not None:
            score, validation_loss = self.validate(theta)
            if self.watches_validation:
                improved = score >= self.best_score + self.tol
            best = score > self.best_score
            self.best_score = score if best else self.best_score
        self._waited = 0 if improved else self._waited + 1
        self.best_objective = min(self.best_objective, objective)
        if best:
            self._keep(theta)
        self.n_epochs += 1
        seconds = time.perf_counter() - self._clock
        values = (
            data_loss,
            penalty,
            objective,
            n_nonzero,
            residual,
            learning_rate,
            score,
            validation_loss,
            seconds,
        )
        for key, value in zip(HISTORY_KEYS, values, strict=True):
            self.history[key].append(value)
        if self.verbose:
            self._print()
        if self.tasks is not None:
            self.stop_requested |= self.tasks.end(theta)
        self._clock = time.perf_counter()

    def _improves(self, objective: float) -> bool:
        """Whether patience starts anew at this objective."""
        return objective <= self.best_objective - self.tol

    def _keep(self, theta: np.ndarray) -> None:
        if self.best_theta is None:
            self.best_theta = theta.copy()
        else:
            np.copyto(self.best_theta, theta)

    def _print(self) -> None:
        """A line of the table, under the names of its columns first."""
        last = {key: values[-1] for key, values in self.history.items()}
        epoch = self.first_epoch + self.n_epochs
        if not self._has_header:
            self._has_header = True
            print(f"{'epoch':>6}" + "".join(f" {title:>12}" for title in COLUMNS))
        cells = [
            f"{last['data_loss']:.6g}",
            f"{last['penalty']:.6g}",
            f"{last['objective']:.6g}",
            "-" if last["validation_score"] is None else f"{last['validation_score']:.6g}",
            str(sum(last["n_nonzero"])),
            "-" if last["learning_rate"] is None else f"{last['learning_rate']:.3g}",
            f"{last['seconds']:.3g}",
        ]
        print(f"{epoch:>6}" + "".join(f" {cell:>12}" for cell in cells))
