"""Losses on raw predictions; each has its link inside."""

from sknormnet.losses.base import Loss
from sknormnet.losses.classification import Brier, Focal, Hinge, LogLoss, ModifiedHuber, SquaredHinge
from sknormnet.losses.distributions import Gamma, GaussianNLL, Poisson, Tweedie
from sknormnet.losses.links import IdentityLink, Link, LogitLink, LogLink, SoftmaxLink
from sknormnet.losses.regression import (
    AbsoluteError,
    EpsilonInsensitive,
    Euclidean,
    Huber,
    LogCosh,
    Quantile,
    SquaredEpsilonInsensitive,
    SquaredError,
)

LOSSES: dict[str, type[Loss]] = {
    cls.name: cls
    for cls in (
        SquaredError,
        AbsoluteError,
        Huber,
        LogCosh,
        Quantile,
        EpsilonInsensitive,
        SquaredEpsilonInsensitive,
        Euclidean,
        Poisson,
        Gamma,
        Tweedie,
        GaussianNLL,
        LogLoss,
        Brier,
        Hinge,
        SquaredHinge,
        ModifiedHuber,
        Focal,
    )
}


def loss_names(task: str) -> list[str]:
    """Names of the losses that fit a task, "regression" or "classification".

    Examples
    --------
    >>> from sknormnet.losses import loss_names
    >>> loss_names("classification")
    ['log_loss', 'brier', 'hinge', 'squared_hinge', 'modified_huber', 'focal']
    """
    return [name for name, cls in LOSSES.items() if cls.task == task]


__all__ = [
    "LOSSES",
    "AbsoluteError",
    "Brier",
    "EpsilonInsensitive",
    "Euclidean",
    "Focal",
    "Gamma",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "IdentityLink",
    "Link",
    "LogCosh",
    "LogLink",
    "LogLoss",
    "LogitLink",
    "Loss",
    "ModifiedHuber",
    "Poisson",
    "Quantile",
    "SoftmaxLink",
    "SquaredEpsilonInsensitive",
    "SquaredError",
    "SquaredHinge",
    "Tweedie",
    "loss_names",
]
