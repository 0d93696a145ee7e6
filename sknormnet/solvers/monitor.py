"""Watches a run: records its history, keeps the best parameters, decides when to stop."""

import time
from collections.abc import Callable

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
    verbose : bool
    """

    def __init__(
        self,
        *,
        tol: float,
        patience: float,
        validate: Callable[[np.ndarray], tuple[float, float]] | None = None,
        stops_on_validation: bool = True,
        verbose: bool = False,
    ):
        self.tol = tol
        self.patience = patience
        self.validate = validate
        self.watches_validation = validate is not None and stops_on_validation
        self.verbose = verbose
        self.history: dict[str, list] = {key: [] for key in HISTORY_KEYS}
        self.best_objective = np.inf
        self.best_score = -np.inf
        self.best_theta: np.ndarray | None = None
        self.n_epochs = 0
        self._waited = 0
        self._clock = time.perf_counter()

    @property
    def exhausted(self) -> bool:
        """Whether patience is at its end."""
        return self._waited >= self.patience

    @property
    def validation_exhausted(self) -> bool:
        """Whether the validation score, if it is watched, says that enough is enough."""
        return self.watches_validation and self.exhausted

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

    def keep_if_best(self, theta: np.ndarray, objective: float) -> None:
        """Remember a point that is no epoch's, such as the start."""
        if objective < self.best_objective:
            self.best_objective = objective
            self._keep(theta)

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
        improved = objective <= self.best_objective - self.tol
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
        now = time.perf_counter()
        seconds = now - self._clock
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
        self._clock = now
        for key, value in zip(HISTORY_KEYS, values, strict=True):
            self.history[key].append(value)
        if self.verbose:
            self._print(data_loss, penalty, objective, score)

    def _keep(self, theta: np.ndarray) -> None:
        if self.best_theta is None:
            self.best_theta = theta.copy()
        else:
            np.copyto(self.best_theta, theta)

    def _print(self, data_loss: float, penalty: float, objective: float, score: float | None) -> None:
        line = f"Epoch {self.n_epochs}, data loss {data_loss:.8f}, penalty {penalty:.8f}, objective {objective:.8f}"
        print(line if score is None else f"{line}, validation score {score:.6f}")
