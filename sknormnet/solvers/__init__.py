"""Solvers: how an objective is minimised."""

from sknormnet.solvers.base import FitResult, Solver
from sknormnet.solvers.fista import Fista
from sknormnet.solvers.lbfgs import Lbfgs
from sknormnet.solvers.monitor import Monitor
from sknormnet.solvers.schedules import make_schedule
from sknormnet.solvers.stochastic import Stochastic

SOLVERS = ("adam", "sgd", "lbfgs", "fista")
STOCHASTIC_SOLVERS = ("adam", "sgd")

__all__ = [
    "SOLVERS",
    "STOCHASTIC_SOLVERS",
    "FitResult",
    "Fista",
    "Lbfgs",
    "Monitor",
    "Solver",
    "Stochastic",
    "make_schedule",
]
