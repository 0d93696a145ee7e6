"""Losses on raw predictions; each has its link inside."""

from sknormnet.losses.base import Loss
from sknormnet.losses.classification import LogLoss
from sknormnet.losses.regression import SquaredError

LOSSES: dict[str, type[Loss]] = {cls.name: cls for cls in (SquaredError, LogLoss)}


def loss_names(task: str) -> list[str]:
    """Names of the losses that fit a task, "regression" or "classification".

    Examples
    --------
    >>> from sknormnet.losses import loss_names
    >>> loss_names("regression")
    ['squared_error']
    """
    return [name for name, cls in LOSSES.items() if cls.task == task]


__all__ = ["LOSSES", "LogLoss", "Loss", "SquaredError", "loss_names"]
