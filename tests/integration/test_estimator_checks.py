"""scikit-learn's own conformance suite; what cannot hold under some options stands in `EXPECTED`, with reasons."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)
from user_penalties import LogSum, SmoothL1

from sknormnet import (
    NormRegMLPClassifier,
    NormRegMLPClassifierCV,
    NormRegMLPRegressor,
    NormRegMLPRegressorCV,
    PerLayer,
)
from sknormnet.losses import Focal, Huber, Quantile, Tweedie
from sknormnet.penalties import (
    L1,
    L2,
    MCP,
    SCAD,
    GroupLasso,
    L2Norm,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    SparseGroupLasso,
    Sum,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = (NormRegMLPClassifier, NormRegMLPRegressor)
# On the few rows of check_sample_weight_equivalence the last bits that weights and repeated rows differ by grow with
# every L-BFGS iteration (in scikit-learn's MLP too), so it gets fewer of them.
SOLVERS = {
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "max_iter": 100},
    "adam": {"solver": "adam", "learning_rate_init": 0.01, "max_iter": 100},
    "lbfgs": {"solver": "lbfgs", "max_iter": 15},
    "fista": {"solver": "fista", "max_iter": 50},
}
PENALTIES = ("l2", "l1", "elasticnet")

DEFAULTS = [Estimator() for Estimator in ESTIMATORS]
VARIANTS = [
    Estimator((30,), penalty=penalty, **solver)
    for Estimator in ESTIMATORS
    for solver in SOLVERS.values()
    for penalty in PENALTIES
]
FURTHER = [
    NormRegMLPClassifier(
        (30,), penalty=Sum((L1(), GroupLasso("output"), L2Norm())), alpha=1e-3, solver="fista", max_iter=25
    ),
    NormRegMLPClassifier((30,), penalty=LogSum(by="output"), alpha=1e-3, **SOLVERS["sgd"]),
    NormRegMLPRegressor((30,), penalty=NonNegative(), **SOLVERS["fista"]),
    NormRegMLPRegressor((30,), penalty=SmoothL1(), alpha=1e-3, **SOLVERS["lbfgs"]),
]


# Together they have each solver and each kind of option: losses, penalties and where they act, activations, schedules,
# what a fit goes on from and what it stops on.
OPTIONS = [
    NormRegMLPClassifier(
        (8,), "tanh", loss="hinge", penalty=PerLayer(GroupLasso("input"), "l2", "l2"), solver="fista", max_iter=30
    ),
    NormRegMLPClassifier(
        (8, 6, 4),
        PerLayer("silu", "elu", "softplus"),
        loss="brier",
        penalty=MCP(by="output"),
        solver="sgd",
        learning_rate="cosine",
        learning_rate_init=0.3,
        max_iter=100,
    ),
    NormRegMLPClassifier((8,), "gelu", loss=Focal(1.0), class_weight="balanced", penalty="none", **SOLVERS["lbfgs"]),
    NormRegMLPClassifier(
        (6,), loss="modified_huber", penalty="elasticnet", l1_ratio=0.2, layer_weights="fan", **SOLVERS["lbfgs"]
    ),
    NormRegMLPClassifier(
        (8,), early_stopping=True, validation_fraction=0.3, validation_scoring="loss", **SOLVERS["adam"]
    ),
    NormRegMLPClassifier(
        (8,),
        loss="squared_hinge",
        penalty=PerLayer("l1", "l2", NuclearNorm()),
        layer_weights=PerLayer(2.0, 1.0, 0.5, scale="size"),
        **SOLVERS["adam"],
    ),
    NormRegMLPClassifier(
        (8,), penalty=SparseGroupLasso(0.3), warm_start=True, shuffle=False, learning_rate="adaptive", **SOLVERS["sgd"]
    ),
    NormRegMLPClassifier(
        (), penalty=Sum((L1(), L2())), penalize_intercepts=True, batch_size=5, shuffle="block", **SOLVERS["adam"]
    ),
    NormRegMLPRegressor((8,), "logistic", loss=Huber(0.5), penalty=L2Norm("network"), solver="fista", max_iter=30),
    NormRegMLPRegressor(
        (8, 6),
        ("leaky_relu", "tanh"),
        penalty="weight_decay",
        alpha=1e-2,
        solver="sgd",
        learning_rate="invscaling",
        learning_rate_init=0.1,
        power_t=0.1,
        nesterovs_momentum=False,
        max_iter=100,
    ),
    NormRegMLPRegressor((8,), loss="gaussian_nll", penalty=SCAD(by="output"), alpha=1e-2, **SOLVERS["adam"]),
    NormRegMLPRegressor((6,), "tanh", loss=Quantile(0.4), penalty=MaxNorm(3.0, "input"), solver="fista", max_iter=30),
    NormRegMLPRegressor(
        (6,),
        loss="log_cosh",
        early_stopping=True,
        validation_fraction=0.3,
        validation_scoring="neg_mean_absolute_error",
        **SOLVERS["lbfgs"],
    ),
    NormRegMLPRegressor((6,), loss=Tweedie(1.2), penalty=("l1", "l2"), layer_weights=(1.0, 0.1), **SOLVERS["lbfgs"]),
    NormRegMLPRegressor(
        (8,), "elu", loss="epsilon_insensitive", dtype="float32", penalty=Sum((GroupLasso(), L2())), **SOLVERS["adam"]
    ),
    NormRegMLPRegressor((8,), "silu", loss="euclidean", penalty="group_lasso", warm_start=True, **SOLVERS["sgd"]),
]
assert len(OPTIONS) == 16

# Few strengths, so that time goes to what is around the paths.
CROSS_VALIDATED = [
    NormRegMLPClassifierCV(
        (6,), "tanh", penalty="group_lasso", learning_rate_init=0.05, max_iter=50, n_alphas=3, cv=2, selection="1se"
    ),
    NormRegMLPRegressorCV((), penalty="l1", solver="fista", max_iter=30, n_alphas=3, cv=2, n_jobs=2),
]


WEIGHTS_AS_REPEATED_ROWS = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)
PARTIAL_FITS = (
    "check_estimators_partial_fit_n_features",
    "check_fit_score_takes_y",
    "check_n_features_in_after_fitting",
)
FITTED_TWICE = (
    "check_classifiers_multilabel_representation_invariance",
    "check_pipeline_consistency",
    "check_supervised_y_2d",
    "check_transformer_data_not_an_array",
    "check_transformer_general",
)
# Option, value, checks and why they cannot hold.
EXPECTED = (
    ("early_stopping", True, WEIGHTS_AS_REPEATED_ROWS, "other rows are held out where there are more of them"),
    ("batch_size", 5, WEIGHTS_AS_REPEATED_ROWS, "more rows are more batches"),
    ("learning_rate", "invscaling", WEIGHTS_AS_REPEATED_ROWS, "the rate falls with the number of rows visited"),
    ("class_weight", "balanced", WEIGHTS_AS_REPEATED_ROWS, "classes are weighed by their numbers of rows"),
    ("dtype", "float32", WEIGHTS_AS_REPEATED_ROWS, "asks for more digits than float32 has"),
    ("dtype", "float32", ("check_regressor_multioutput",), "asks for predictions in float64"),
    ("warm_start", True, FITTED_TWICE, "the second fit goes on from the first"),
    (
        "loss",
        "modified_huber",
        ("check_classifiers_multilabel_output_format_predict_proba",),
        "asks for probabilities above zero; those of modified_huber are zero from a margin of -1 down",
    ),
    ("loss", "tweedie", ("check_regressor_multioutput",), "uses negative targets whatever the tag positive_only says"),
)


def expected_failures(estimator):
    params = estimator.get_params()
    params["loss"] = getattr(params["loss"], "name", params["loss"])
    failures = {
        check: reason for option, value, checks, reason in EXPECTED for check in checks if params.get(option) == value
    }
    if estimator.early_stopping and hasattr(estimator, "partial_fit"):
        failures |= dict.fromkeys(PARTIAL_FITS, "with early_stopping partial_fit needs validation data")
    return failures


@parametrize_with_checks(DEFAULTS)
def test_at_defaults(estimator, check):
    check(estimator)


@parametrize_with_checks(VARIANTS)
def test_every_solver_with_every_penalty(estimator, check):
    check(estimator)


@parametrize_with_checks(FURTHER)
def test_constraints_sums_and_own_penalties(estimator, check):
    check(estimator)


@parametrize_with_checks(OPTIONS, expected_failed_checks=expected_failures)
def test_options(estimator, check):
    check(estimator)


@parametrize_with_checks(CROSS_VALIDATED)
def test_cross_validated(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
@pytest.mark.parametrize("estimator", [*DEFAULTS, *CROSS_VALIDATED], ids=lambda e: type(e).__name__)
def test_further_checks(estimator, check):
    check(type(estimator).__name__, estimator)
