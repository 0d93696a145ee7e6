"""What a solver is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from sknormnet.objective import Objective
from sknormnet.solvers.monitor import Monitor


@dataclass
class FitResult:
    """Where a solver ended.

    Attributes
    ----------
    theta : ndarray
    n_iter : int
        Epochs or iterations of this run.
    stop_reason : {"stationary", "stalled", "max_iter", "patience", "diverged"}
    warning : str or None
        Why the result may not be a minimum, with the remedy.
    """

    theta: np.ndarray
    n_iter: int
    stop_reason: str
    warning: str | None = None


class Solver(ABC):
    """Minimises an Objective from a starting theta."""

    @abstractmethod
    def minimize(
        self, objective: Objective, theta: np.ndarray, *, monitor: Monitor, rng: np.random.RandomState
    ) -> FitResult:
        """Run until the monitor or the solver's own criterion stops it. theta may be overwritten."""

    def state(self) -> dict[str, Any]:
        """Between two epochs or after the last: arrays and numbers to go on from; empty for the full-batch solvers."""
        return {}


class NotFinite(Exception):
    """The objective became infinite or NaN."""


def diverged(monitor: Monitor, unit: str, iteration: int, knob: str | None) -> FitResult:
    """The best finite parameters with a warning; ValueError if there are none."""
    kept = monitor.best_theta is not None
    text = (
        f"Training diverged: the objective or a parameter became infinite or NaN in {unit} {iteration}. "
        f"{'The best finite parameters so far are kept' if kept else 'There are no finite parameters to keep'}. "
        f"Scale the features (StandardScaler) and the targets{f', or lower {knob}' if knob else ''}."
    )
    if monitor.best_theta is None:
        raise ValueError(text)
    return FitResult(monitor.best_theta, iteration, "diverged", text)
