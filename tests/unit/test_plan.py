"""Where strength meets layer."""

import numpy as np
import pytest
from sklearn.base import clone

from sknormnet import PerLayer
from sknormnet.penalties import L1, L2, ElasticNet, NonNegative, NoPenalty
from sknormnet.plan import PenaltyTerm, Plan, resolve_activation, resolve_layer_weights, resolve_penalties

SIZES = (10, 6, 4, 2)


@pytest.mark.parametrize(
    ("layer_weights", "expected"),
    [
        (None, [1, 1, 1]),
        ("uniform", [1, 1, 1]),
        ("size", [1 / 60, 1 / 24, 1 / 8]),
        ("fan", [16 / 60, 10 / 24, 6 / 8]),
        ([0.5, 0, 2], [0.5, 0, 2]),
        (np.array([1, 2, 3]), [1, 2, 3]),
        (PerLayer(first=3), [3, 1, 1]),
        (PerLayer(first=3, hidden=2, last=5, scale="size"), [3 / 60, 2 / 24, 5 / 8]),
    ],
)
def test_layer_weights(layer_weights, expected):
    np.testing.assert_allclose(resolve_layer_weights(layer_weights, SIZES), expected)


@pytest.mark.parametrize(("sizes", "expected"), [((3, 1), [1]), ((3, 2, 1), [1, 3]), (SIZES, [1, 2, 3])])
def test_per_layer_keeps_its_meaning_at_any_depth(sizes, expected):
    assert resolve_layer_weights(PerLayer(1, 2, 3), sizes) == expected


@pytest.mark.parametrize(
    ("layer_weights", "message"),
    [
        ([1, 2], "2 entries, but the network has 3"),
        ([1, -1, 1], "got -1"),
        ([1, np.nan, 1], "got nan"),
        ([1, "a", 1], "got 'a'"),
        ([True, 1, 1], "got True"),
        (PerLayer(last=-2), "got -2"),
        (PerLayer(scale="width"), "got 'width'"),
        ("width", "got 'width'"),
    ],
)
def test_bad_layer_weights(layer_weights, message):
    with pytest.raises(ValueError, match=message):
        resolve_layer_weights(layer_weights, SIZES)


def test_penalties():
    assert [p.name for p in resolve_penalties("l1", 0.5, SIZES)] == ["l1"] * 3
    assert [p.name for p in resolve_penalties(None, 0.5, SIZES)] == ["none"] * 3
    assert [p.name for p in resolve_penalties(["l1", None, L2()], 0.5, SIZES)] == ["l1", "none", "l2"]
    assert [p.name for p in resolve_penalties(PerLayer("l1", "l2", "none"), 0.5, (3, 2, 1))] == ["l1", "none"]
    assert resolve_penalties("elasticnet", 0.25, (3, 1))[0].l1_ratio == 0.25
    assert resolve_penalties(ElasticNet(0.75), 0.25, (3, 1))[0].l1_ratio == 0.75


@pytest.mark.parametrize(
    ("penalty", "error", "message"),
    [
        (["l1"], ValueError, "1 entries, but the network has 3"),
        ("l3", ValueError, "unknown penalty 'l3'"),
        ([1, 2, 3], TypeError, "got 1"),
        (PerLayer(first="l1"), TypeError, "names all three"),
        (PerLayer("l1", "l1", "l1", scale="size"), ValueError, "takes no scale"),
        (ElasticNet(2.0), ValueError, "l1_ratio of ElasticNet"),
    ],
)
def test_bad_penalties(penalty, error, message):
    with pytest.raises(error, match=message):
        resolve_penalties(penalty, 0.5, SIZES)


def test_theta_and_back():
    plan = Plan(SIZES, (PenaltyTerm(NoPenalty(), 0.0),) * 3)
    theta = np.arange(plan.n_parameters, dtype=float)
    coefs, intercepts = plan.split(theta)
    assert [W.shape for W in coefs] == plan.shapes and [b.shape for b in intercepts] == [(6,), (4,), (2,)]
    assert coefs[0][0, 1] == 1 and intercepts[0][0] == 60
    np.testing.assert_array_equal(plan.join(coefs, intercepts, np.dtype(float)), theta)


def test_intercepts_join_the_penalised_part():
    terms = (PenaltyTerm(L1(), 1.0), PenaltyTerm(L1(), 2.0))
    assert [s for s, *_ in Plan((3, 2, 1), terms).penalized()] == [slice(0, 6), slice(8, 10)]
    assert [s for s, *_ in Plan((3, 2, 1), terms, True).penalized()] == [slice(0, 8), slice(8, 11)]


def test_per_layer_has_parameters():
    per_layer = PerLayer(first=2, scale="fan")
    assert clone(per_layer).get_params() == {"first": 2, "hidden": 1, "last": 1, "scale": "fan"}
    assert clone(PerLayer(first=L1())).get_params()["first"].name == "l1"


@pytest.mark.parametrize(
    ("activation", "n_hidden", "expected"),
    [
        ("tanh", 0, "tanh"),
        ("tanh", 3, "tanh"),
        (["tanh", "relu"], 2, ("tanh", "relu")),
        (np.array(["gelu", "silu"]), 2, ("gelu", "silu")),
        (("elu", "elu"), 2, "elu"),
        ((), 0, ()),
        (PerLayer("gelu", "tanh", "elu"), 0, ()),
        (PerLayer("gelu", "tanh", "elu"), 1, "gelu"),
        (PerLayer("gelu", "tanh", "elu"), 2, ("gelu", "elu")),
        (PerLayer("gelu", "tanh", "elu"), 4, ("gelu", "tanh", "tanh", "elu")),
        (PerLayer(first="gelu"), 1, "gelu"),
    ],
)
def test_activation(activation, n_hidden, expected):
    resolved = resolve_activation(activation, n_hidden)
    assert resolved == expected
    assert all(type(name) is str for name in ([resolved] if isinstance(resolved, str) else resolved))


@pytest.mark.parametrize(
    ("activation", "n_hidden", "message"),
    [
        ("swish", 1, "must be one of .*'silu'.*, got 'swish'"),
        (["relu", "swish"], 2, "got 'swish'"),
        (["relu", None], 2, "got None"),
        (["relu"], 2, "1 entries, but the network has 2 hidden layers; PerLayer"),
        (["relu"], 0, "1 entries, but the network has 0 hidden layers"),
        ([["relu", "tanh"]], 1, "flat sequence"),
        (np.array("relu", dtype=object), 1, "flat sequence"),
        (PerLayer(), 1, "got 1; a PerLayer of activations names all three"),
        (PerLayer(first="relu", last="swish"), 2, "got 'swish'"),
        (PerLayer("relu", "relu", "relu", scale="fan"), 2, "takes no scale"),
    ],
)
def test_bad_activation(activation, n_hidden, message):
    with pytest.raises(ValueError, match=message):
        resolve_activation(activation, n_hidden)


@pytest.mark.parametrize(
    ("strengths", "homogeneous", "expected"),
    [
        ((1, 1, 1), (True, True), False),
        ((1, 0, 1), (True, True), True),
        ((1, 0, 1), (False, True), True),
        ((1, 0, 1), (False, False), False),
        ((1, 1, 0), (True, False), False),
        ((0, 1, 1), (False, True), False),
        ((0, None, 1), (True, True), True),  # weight moves through a layer that is only constrained
        ((0, None, 1), (True, False), False),
    ],
)
def test_a_penalty_is_evaded_through_homogeneous_activations(strengths, homogeneous, expected):
    terms = tuple(PenaltyTerm(NonNegative() if s is None else L2(), s or 0.0) for s in strengths)
    assert Plan((2, 3, 4, 1), terms).can_be_evaded(homogeneous) is expected
