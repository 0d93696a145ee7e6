"""What cannot be combined, weighted or solved is refused, with the parts named and a remedy."""

import joblib
import numpy as np
import pytest
from user_penalties import Absolute, LogSum, RowLasso, SmoothL1

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.penalties import (
    L1,
    L2,
    MCP,
    SCAD,
    ElasticNet,
    GroupLasso,
    L2Norm,
    MaxNorm,
    NonNegative,
    NoPenalty,
    NuclearNorm,
    SparseGroupLasso,
    Sum,
    WeightDecay,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4))
Y = {NormRegMLPRegressor: X[:, 0] + 0.1 * X[:, 1], NormRegMLPClassifier: X[:, 0] > 0}


def refusal(error=(ValueError, TypeError), fit="fit", **params):
    """The message; new and fitted estimators of both kinds keep every attribute as it was."""
    for Estimator, y in Y.items():
        new = Estimator((3,), max_iter=3, random_state=0)
        fitted = Estimator((3,), max_iter=3, random_state=0, learning_rate_init=0.1).fit(X, y)
        for model in (new, fitted):
            model.set_params(**params)
            before = joblib.hash(vars(model))
            with pytest.raises(error) as caught:
                getattr(model, fit)(X, y)
            assert joblib.hash(vars(model)) == before
    return str(caught.value)


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

OVERLAP = "their groups overlap; one kind of groups must lie within the other"
OWN_PROX = "write them as one Penalty with its own prox"
PAIRS = [
    (GroupLasso("input"), GroupLasso("output"), OVERLAP),
    (GroupLasso("output"), SparseGroupLasso(by="input"), OVERLAP),
    (GroupLasso("input"), MaxNorm(by="output"), OVERLAP),
    (GroupLasso(groups=[0, 0, 1, 1]), GroupLasso("output"), OVERLAP),
    (GroupLasso(groups=[0, 0, 1, 1]), GroupLasso(groups=[0, 1, 1, 0]), OVERLAP),
    (MCP(), L1(), OWN_PROX),
    (SCAD(by="input"), GroupLasso("input"), OWN_PROX),
    (MCP(), NonNegative(), OWN_PROX),
    (MCP(), MCP(), OWN_PROX),
    (NuclearNorm(), L1(), OWN_PROX),
    (NuclearNorm(), NonNegative(), OWN_PROX),
    (NuclearNorm(), MaxNorm(), OWN_PROX),
    (NuclearNorm(), SmoothL1(), OWN_PROX),
    (LogSum(), L1(), OWN_PROX),
    (LogSum(by="input"), MaxNorm(), OWN_PROX),
    (RowLasso(), L1(), OWN_PROX),
    (SmoothL1(), L1(), OWN_PROX),
    (MaxNorm(1.0), MaxNorm(2.0), "only one MaxNorm"),
    (MaxNorm(1.0, by="input"), MaxNorm(2.0, by="matrix"), "only one MaxNorm"),
    (MaxNorm(1.0, by="input"), L2Norm(), "a constraint must be that of the largest groups"),
    (MaxNorm(1.0, by="output"), L2Norm(), "a constraint must be that of the largest groups"),
    (WeightDecay(), L1(), "use L2() instead of decoupled decay"),
    (WeightDecay(), MCP(), "use L2() instead of decoupled decay"),
    (WeightDecay(), NonNegative(), "use L2() instead of decoupled decay"),
]


@pytest.mark.parametrize("a, b, remedy", PAIRS, ids=[f"{a!r} + {b!r}" for a, b, _ in PAIRS])
def test_pairs_that_cannot_be_combined(a, b, remedy):
    for pair in ((a, b), (b, a), (L2(), b, a), (Sum((a,), weights=(0.5,)), b)):
        penalty = Sum(pair)
        for use in (penalty.kernel, lambda p=penalty: p.value(np.ones((4, 3)), 1.0)):
            with pytest.raises(ValueError, match="cannot be combined on one layer") as caught:
                use()
            assert repr(a) in str(caught.value)
            assert repr(b) in str(caught.value)
            assert remedy in str(caught.value)
    message = refusal(penalty=PerLayer(Sum((a, b)), "l2", "l2"))
    assert repr(a) in message and repr(b) in message and remedy in message


SUMS = [
    (Sum(()), "sequence of penalties"),
    (Sum(L1()), "sequence of penalties"),
    (Sum("l1"), "sequence of penalties"),
    (Sum(("l1", "l2")), "sequence of penalties"),
    (Sum((L1(), None)), "sequence of penalties"),
    (Sum((L1, L2)), "sequence of penalties"),
    (Sum((L1(), L2()), weights=(1.0,)), "must be 2 finite numbers >= 0, one for each penalty"),
    (Sum((L1(), L2()), weights=(1.0, -1.0)), "must be 2 finite numbers >= 0"),
    (Sum((L1(), L2()), weights=(1.0, np.nan)), "must be 2 finite numbers >= 0"),
    (Sum((L1(), L2()), weights=(1.0, np.inf)), "must be 2 finite numbers >= 0"),
    (Sum((L1(), L2()), weights=(1.0, "a")), "must be 2 finite numbers >= 0"),
    (Sum((L1(), L2()), weights=(1.0, True)), "must be 2 finite numbers >= 0"),
    (Sum((L1(), L2()), weights=1.0), "must be 2 finite numbers >= 0"),
    (Sum((L1(), L2Norm("network"))), "penalty of a whole network and no term of a Sum"),
    (Sum((Sum((L2Norm("network"),)), L1())), "penalty of a whole network and no term of a Sum"),
    (Sum((L1(), ElasticNet(2.0))), "l1_ratio of ElasticNet must be in [0, 1]"),
    (Sum((L1(), MaxNorm(-1.0))), "limit of MaxNorm must be > 0"),
]


@pytest.mark.parametrize("penalty, message", SUMS, ids=[repr(penalty) for penalty, _ in SUMS])
def test_sums_that_are_none(penalty, message):
    assert message in refusal(penalty=penalty)
    assert message in refusal(penalty=["l2", penalty])


PARAMETERS = [
    *[(MaxNorm(limit), "limit of MaxNorm must be > 0") for limit in (0, 0.0, -1.0, np.nan)],
    *[(MaxNorm(limit), "limit of MaxNorm must be a number > 0") for limit in ("1", None, True)],
    (MaxNorm(by="weight"), "by of MaxNorm must be 'output', 'input' or 'matrix', got 'weight'"),
    (MCP(gamma=1.0), "gamma of MCP must be > 1"),
    (SCAD(gamma=2), "gamma of SCAD must be > 2"),
    (MCP(by="matrix", groups=[0, 0, 1, 1]), "groups of MCP join inputs; they need by='input'"),
    (L2Norm("layer"), "by of L2Norm must be 'matrix' or 'network', got 'layer'"),
    (Absolute("rows"), "by of Absolute must be 'weight', 'input', 'output' or 'matrix', got 'rows'"),
    (LogSum(groups=[0, 0, 1, 1]), "groups of LogSum join inputs; they need by='input'"),
    (LogSum(by="input", groups=[0, -1, 1, 1]), "must be a flat sequence of whole numbers >= 0"),
    (SCAD(by="input", groups=[0.5, 1, 1, 1]), "must be a flat sequence of whole numbers >= 0"),
]


@pytest.mark.parametrize("penalty, message", PARAMETERS, ids=[repr(penalty) for penalty, _ in PARAMETERS])
def test_parameters_out_of_range(penalty, message):
    assert message in refusal(penalty=penalty)
    assert message in refusal(penalty=Sum((penalty, L2())))


@pytest.mark.parametrize("Grouped", [GroupLasso, SparseGroupLasso, MCP, SCAD, LogSum])
@pytest.mark.parametrize("groups", [[0, 0, 1], [0, 0, 1, 1, 2]])
def test_groups_that_do_not_fit_the_inputs(Grouped, groups):
    penalty = Grouped(by="input", groups=groups)
    message = f"groups has {len(groups)} entries, but the layer has 4 inputs"
    assert message in refusal(penalty=PerLayer(penalty, "l2", "l2"))
    assert message in refusal(penalty=PerLayer(Sum((penalty, L2())), "l2", "l2"), solver="fista")


def test_groups_of_the_first_layer_on_every_layer():
    """The hidden layer has three units, not four inputs."""
    message = refusal(penalty=GroupLasso(groups=[0, 0, 1, 1]))
    assert "groups has 4 entries, but the layer has 3 inputs" in message


# ------------------------------------------------------------------------------------------------ feature weights

WEIGHTS = [
    ([1.0, 2.0, 3.0], "one number for each of the 4 inputs, got shape (3,)"),
    (np.ones(5), "one number for each of the 4 inputs, got shape (5,)"),
    (np.ones((4, 1)), "one number for each of the 4 inputs, got shape (4, 1)"),
    ([1.0, -1.0, 1.0, 1.0], "finite numbers >= 0; 0 leaves an input unpenalised"),
    ([1.0, np.nan, 1.0, 1.0], "finite numbers >= 0"),
    ([1.0, np.inf, 1.0, 1.0], "finite numbers >= 0"),
    (["a", "b", "c", "d"], "feature_weights must be numbers, one for each input"),
    ([None, 1.0, 1.0, 1.0], "feature_weights must be"),
    ([[1.0], 1.0, 1.0, 1.0], "feature_weights must be numbers, one for each input"),
]


@pytest.mark.parametrize("weights, message", WEIGHTS, ids=[repr(weights) for weights, _ in WEIGHTS])
def test_feature_weights_that_are_none(weights, message):
    assert message in refusal(penalty="l1", feature_weights=weights)


@pytest.mark.parametrize("weights", ["size", 2.0, {"a": 1.0}])
def test_feature_weights_of_another_type(weights):
    assert "feature_weights" in refusal(penalty="l1", feature_weights=weights)


NO_INPUTS = [
    GroupLasso("output"),
    SparseGroupLasso(by="output"),
    MCP(by="matrix"),
    SCAD(by="output"),
    L2Norm(),
    L2Norm("network"),
    NuclearNorm(),
    MaxNorm(by="input"),
    NonNegative(),
    NoPenalty(),
    LogSum(by="output"),
    RowLasso(),
    SmoothL1(),
    Sum((L1(), L2Norm())),
    Sum((GroupLasso("input"), MaxNorm(by="matrix"))),
]


@pytest.mark.parametrize("penalty", NO_INPUTS, ids=repr)
def test_feature_weights_without_a_penalty_of_inputs(penalty):
    message = refusal(penalty=penalty, feature_weights=[1, 2, 1, 1])
    assert f"feature_weights multiply the penalty of each input, and {penalty!r} has none: use a penalty of" in message


@pytest.mark.parametrize("Grouped", [GroupLasso, SparseGroupLasso, MCP, LogSum])
def test_feature_weights_that_differ_within_a_group(Grouped):
    penalty = PerLayer(Grouped(by="input", groups=[0, 0, 1, 1]), "l2", "l2")
    message = refusal(penalty=penalty, feature_weights=[1, 2, 1, 1])
    assert "feature_weights differ within a group" in message
    penalty = PerLayer(Grouped(by="input", groups=[0, 0, 1, 1, 1]), "l2", "l2")
    message = refusal(penalty=penalty, feature_weights=[1, 1, 2, 2])
    assert "feature_weights has 4 entries, groups has 5" in message


# ----------------------------------------------------------------------------------------- strengths, layers, solvers


@pytest.mark.parametrize(
    "penalty",
    [["l2", L2Norm("network")], PerLayer(L2Norm("network"), "l2", "l2"), PerLayer("l2", "l2", L2Norm("network"))],
    ids=repr,
)
def test_the_norm_of_the_network_is_of_no_layer(penalty):
    assert "is one norm of all layers and cannot be the penalty of one: give it alone" in refusal(penalty=penalty)


@pytest.mark.parametrize("layer_weights", ["size", "fan", [1.0, 2.0], [0.5, 0.5], PerLayer(first=2.0)], ids=repr)
def test_the_norm_of_the_network_has_no_layer_weights(layer_weights):
    message = refusal(penalty=L2Norm("network"), layer_weights=layer_weights)
    assert "is one norm of all layers, which layer_weights cannot tell apart: use L2Norm('matrix')" in message


def test_strengths_below_zero():
    for penalty in ("l1", NonNegative(), L2Norm("network")):
        assert "alpha" in refusal(penalty=penalty, alpha=-1.0)
        assert "layer_weights must be finite numbers >= 0, got -1" in refusal(penalty=penalty, layer_weights=[1.0, -1])
        assert "got nan" in refusal(penalty=penalty, layer_weights=PerLayer(last=np.nan))


LBFGS = [
    GroupLasso(),
    L2Norm(),
    L2Norm("network"),
    MCP(),
    NuclearNorm(),
    MaxNorm(),
    LogSum(),
    RowLasso(),
    Sum((L1(), L2Norm())),
    Sum((NonNegative(), MaxNorm())),
]


@pytest.mark.parametrize("penalty", LBFGS, ids=repr)
def test_what_lbfgs_does_not_take(penalty):
    message = refusal(penalty=penalty, solver="lbfgs", alpha=0.1)
    assert f"for {penalty!r} use solver='fista' or 'adam'" in message


@pytest.mark.parametrize("solver", ["lbfgs", "fista"])
def test_decay_within_a_sum_is_no_part_of_the_objective(solver):
    message = refusal(penalty=Sum((L2(), WeightDecay())), solver=solver, alpha=0.1)
    assert f"is no part of the objective, which solver='{solver}' minimises: use penalty='l2'" in message
