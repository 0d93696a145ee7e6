"""The penalties that the parametrised tests go through: the registry, groupings, sums, factors of inputs, users' own.

Functions of the number of rows, which `groups` and factors must fit.
"""

import numpy as np
from user_penalties import Absolute, Box, LogSum, RowLasso, SmoothL1

from sknormnet.penalties import (
    L1,
    L2,
    MCP,
    PENALTIES,
    SCAD,
    ElasticNet,
    GroupLasso,
    L2Norm,
    MaxNorm,
    NonNegative,
    NuclearNorm,
    SparseGroupLasso,
    Sum,
)
from sknormnet.plan import _OfWeightedInputs


def pairs(n_rows):
    """Numbers that join two neighbouring rows, in no order, one number left out."""
    return 2 * (np.arange(n_rows)[::-1] // 2)


def factors(n_rows, least=0.25):
    """One number for each pair of rows."""
    return np.array([2.0, least, 0.5, 1.0])[pairs(n_rows) // 2 % 4]


REGISTRY = {name: lambda n, cls=cls: cls() for name, cls in PENALTIES.items()}

GROUPINGS = {
    "ElasticNet(0)": lambda n: ElasticNet(0.0),
    "ElasticNet(0.9)": lambda n: ElasticNet(0.9),
    "ElasticNet(1)": lambda n: ElasticNet(1.0),
    "L2Norm(network)": lambda n: L2Norm("network"),
    "GroupLasso(output)": lambda n: GroupLasso(by="output"),
    "GroupLasso(groups)": lambda n: GroupLasso(groups=pairs(n)),
    "SparseGroupLasso(0)": lambda n: SparseGroupLasso(l1_ratio=0.0),
    "SparseGroupLasso(1)": lambda n: SparseGroupLasso(l1_ratio=1.0),
    "SparseGroupLasso(0.8, output)": lambda n: SparseGroupLasso(l1_ratio=0.8, by="output"),
    "SparseGroupLasso(0.2, groups)": lambda n: SparseGroupLasso(l1_ratio=0.2, groups=pairs(n)),
    "MaxNorm(input)": lambda n: MaxNorm(2.0, by="input"),
    "MaxNorm(matrix)": lambda n: MaxNorm(0.5, by="matrix"),
}

CONCAVE = {
    f"{cls.__name__}({gamma}, {by})": lambda n, cls=cls, gamma=gamma, by=by: cls(gamma=gamma, by=by)
    for cls, gammas in ((MCP, (1.01, 3.0)), (SCAD, (2.01, 3.7)))
    for gamma in gammas
    for by in ("weight", "input", "output", "matrix")
} | {
    "MCP(groups)": lambda n: MCP(by="input", groups=pairs(n)),
    "SCAD(groups)": lambda n: SCAD(by="input", groups=pairs(n)),
}

SUMS = {
    "L1 + L2": lambda n: Sum((L1(), L2())),
    "GroupLasso + L2": lambda n: Sum((GroupLasso("input"), L2()), weights=(0.3, 0.7)),
    "L1 + NonNegative": lambda n: Sum((L1(), NonNegative())),
    "L1 + GroupLasso(output) + L2Norm": lambda n: Sum((L1(), GroupLasso("output"), L2Norm()), weights=(0.5, 1.0, 2.0)),
    "GroupLasso + GroupLasso(groups) + L2Norm + L2": lambda n: Sum(
        (L2Norm(), L2(), GroupLasso(groups=pairs(n)), GroupLasso("input")), weights=(0.7, 0.1, 0.5, 0.4)
    ),
    "L1 + MaxNorm": lambda n: Sum((MaxNorm(1.5), L1())),
    "SparseGroupLasso + MaxNorm(matrix) + NonNegative": lambda n: Sum(
        (MaxNorm(2.0, "matrix"), SparseGroupLasso(0.4), NonNegative()), weights=(0.0, 0.6, 0.0)
    ),
    "NonNegative + MaxNorm": lambda n: Sum((NonNegative(), MaxNorm(1.0))),
    "MCP + L2": lambda n: Sum((MCP(), L2()), weights=(1.0, 0.2)),
    "NuclearNorm + L2": lambda n: Sum((NuclearNorm(), L2()), weights=(0.5, 1.0)),
    "a sum within a sum": lambda n: Sum((Sum((L1(), L2()), weights=(2.0, 1.0)), GroupLasso()), weights=(0.5, 0.5)),
}

OF_INPUTS = {
    "L1": lambda n: L1(),
    "L2": lambda n: L2(),
    "ElasticNet": lambda n: ElasticNet(0.4),
    "GroupLasso": lambda n: GroupLasso(),
    "GroupLasso(groups)": lambda n: GroupLasso(groups=pairs(n)),
    "SparseGroupLasso": lambda n: SparseGroupLasso(0.4),
    "SparseGroupLasso(groups)": lambda n: SparseGroupLasso(0.4, groups=pairs(n)),
    "MCP": lambda n: MCP(),
    "MCP(input)": lambda n: MCP(by="input"),
    "MCP(groups)": lambda n: MCP(by="input", groups=pairs(n)),
    "SCAD": lambda n: SCAD(),
    "SCAD(input)": lambda n: SCAD(by="input"),
    "GroupLasso + L2": lambda n: Sum((GroupLasso("input"), L2()), weights=(0.3, 0.7)),
    "LogSum(groups)": lambda n: LogSum(by="input", groups=pairs(n)),
}
WEIGHTED = {
    f"feature weights, {name}": lambda n, make=make: _OfWeightedInputs(make(n), factors(n))
    for name, make in OF_INPUTS.items()
}
# check_penalty compares float32 with float64 at sizes whose squares underflow: groups are then taken for zeros, where
# it expects to see what has no strength unchanged.
WITH_ZEROS = {
    f"feature weights with zeros, {name}": lambda n, make=make: _OfWeightedInputs(make(n), factors(n, 0.0))
    for name, make in OF_INPUTS.items()
}

OWN = {
    "LogSum": lambda n: LogSum(),
    "LogSum(0.1, input)": lambda n: LogSum(0.1, by="input"),
    "LogSum(output)": lambda n: LogSum(by="output"),
    "LogSum(matrix)": lambda n: LogSum(by="matrix"),
    "LogSum(groups)": lambda n: LogSum(by="input", groups=pairs(n)),
    "LogSum + L2": lambda n: Sum((LogSum(), L2())),
    "RowLasso": lambda n: RowLasso(),
    "RowLasso + L2": lambda n: Sum((RowLasso(), L2())),
}

ALL = REGISTRY | GROUPINGS | CONCAVE | SUMS | WEIGHTED | WITH_ZEROS | OWN

# Without a prox, or without a definition in the oracles: for check_penalty alone.
CONFORMING = {name: make for name, make in ALL.items() if name not in WITH_ZEROS} | {
    "SmoothL1": lambda n: SmoothL1(),
    "SmoothL1 + L2": lambda n: Sum((SmoothL1(), L2())),
    "SmoothL1 + SmoothL1": lambda n: Sum((SmoothL1(), SmoothL1(1.0))),
    "Absolute": lambda n: Absolute(),
    "Absolute(output)": lambda n: Absolute("output"),
    "Box": lambda n: Box(),
    "Box + L2": lambda n: Sum((Box(), L2())),
}
