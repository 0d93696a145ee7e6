"""Continuation for kinked losses, which the full-batch solvers replace by smoother ones."""

from collections.abc import Iterator

import numpy as np

from sknormnet.objective import Objective
from sknormnet.solvers.monitor import Monitor

# Smoothing parameters as shares of the data loss at hand.
SHARES = 10.0 ** -np.arange(1, 7)


def iterations_for(last: bool, left: int) -> int:
    """Of the iterations left, those that a minimisation may use: half of them, the last one all."""
    return left if last else max(1, left // 2)


def continuation(objective: Objective, theta: np.ndarray, monitor: Monitor) -> Iterator[bool]:
    """Let the objective's smoothing go towards zero: yields for each minimisation whether it is the last one.

    A kinked loss is replaced by its Moreau envelope, which has the same minimum value within smoothing/2 for slopes up
    to 1. Each envelope is minimised from where the one before ended; theta is what the solver then updates. A loss
    without kinks is minimised once, as it is. `settle` ends it.

    References
    ----------
    Nesterov (2005), Smooth minimization of non-smooth functions; Beck and Teboulle (2012), Smoothing and first order
    methods: a unified framework.
    """
    if not objective.kinked:
        yield True
        return
    monitor.keep_if_best(theta, objective.unsmoothed_data_loss(theta) + objective.penalty(theta))
    for i, share in enumerate(SHARES):
        objective.smoothing = share * abs(objective.unsmoothed_data_loss(theta))
        yield i == len(SHARES) - 1


def settle(objective: Objective, theta: np.ndarray, monitor: Monitor) -> None:
    """After a continuation, which may have ended early: theta becomes the best point by the unsmoothed objective."""
    objective.smoothing = 0.0
    if objective.kinked and monitor.validate is None and monitor.best_theta is not None:
        np.copyto(theta, monitor.best_theta)
