"""Norm penalties and constraints on weight matrices."""

from sknormnet.penalties.base import Penalty
from sknormnet.penalties.groups import MCP, SCAD, GroupLasso, L2Norm, MaxNorm, SparseGroupLasso
from sknormnet.penalties.norms import L1, L2, ElasticNet, NonNegative, NoPenalty, WeightDecay
from sknormnet.penalties.nuclear import NuclearNorm
from sknormnet.penalties.shapes import ShapePenalty
from sknormnet.penalties.sums import Sum

PENALTIES: dict[str, type[Penalty]] = {
    cls.name: cls
    for cls in (
        NoPenalty,
        L2,
        L1,
        ElasticNet,
        L2Norm,
        GroupLasso,
        SparseGroupLasso,
        MCP,
        SCAD,
        NuclearNorm,
        MaxNorm,
        NonNegative,
        WeightDecay,
    )
}

__all__ = [
    "L1",
    "L2",
    "MCP",
    "PENALTIES",
    "SCAD",
    "ElasticNet",
    "GroupLasso",
    "L2Norm",
    "MaxNorm",
    "NoPenalty",
    "NonNegative",
    "NuclearNorm",
    "Penalty",
    "ShapePenalty",
    "SparseGroupLasso",
    "Sum",
    "WeightDecay",
]
