"""scikit-learn's own conformance suite, without a single expected failure."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)
from user_penalties import LogSum, SmoothL1

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.penalties import L1, GroupLasso, L2Norm, MaxNorm, NonNegative, NuclearNorm, Sum

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = (NormRegMLPClassifier, NormRegMLPRegressor)
# On the few rows of check_sample_weight_equivalence the last bits that weights and repeated rows differ by grow with
# every L-BFGS iteration (in scikit-learn's MLP too), so it gets fewer of them.
SOLVERS = {
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "max_iter": 100},
    "adam": {"solver": "adam", "learning_rate_init": 0.01, "max_iter": 100},
    "lbfgs": {"solver": "lbfgs", "max_iter": 15},
    "fista": {"solver": "fista", "max_iter": 100},
}
PENALTIES = ("l2", "l1", "elasticnet")

DEFAULTS = [Estimator() for Estimator in ESTIMATORS]
VARIANTS = [
    Estimator(penalty=penalty, **solver)
    for Estimator in ESTIMATORS
    for solver in SOLVERS.values()
    for penalty in PENALTIES
]
FURTHER = [
    NormRegMLPClassifier(penalty=MaxNorm(5.0), **SOLVERS["adam"]),
    NormRegMLPClassifier(penalty=Sum((L1(), GroupLasso("output"), L2Norm())), alpha=1e-3, **SOLVERS["fista"]),
    NormRegMLPClassifier(penalty=LogSum(by="output"), alpha=1e-3, **SOLVERS["sgd"]),
    NormRegMLPRegressor(penalty=NonNegative(), **SOLVERS["fista"]),
    NormRegMLPRegressor(penalty=NuclearNorm(), alpha=1e-3, **SOLVERS["adam"]),
    NormRegMLPRegressor(penalty=L2Norm("network"), alpha=1e-3, **SOLVERS["sgd"]),
    NormRegMLPRegressor(penalty=SmoothL1(), alpha=1e-3, **SOLVERS["lbfgs"]),
]


@parametrize_with_checks(DEFAULTS)
def test_at_defaults(estimator, check):
    check(estimator)


MIXED_ACTIVATIONS = [
    Estimator((10, 8, 6), ("gelu", "leaky_relu", "softplus"), **SOLVERS["adam"]) for Estimator in ESTIMATORS
]


@parametrize_with_checks(MIXED_ACTIVATIONS)
def test_mixed_activations(estimator, check):
    check(estimator)


@parametrize_with_checks(VARIANTS)
def test_every_solver_with_every_penalty(estimator, check):
    check(estimator)


@parametrize_with_checks(FURTHER)
def test_constraints_sums_and_own_penalties(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
@pytest.mark.parametrize("estimator", DEFAULTS, ids=lambda e: type(e).__name__)
def test_further_checks(estimator, check):
    check(type(estimator).__name__, estimator)
