"""Norm penalties on weight matrices."""

from sknormnet.penalties.base import Penalty
from sknormnet.penalties.groups import MCP, SCAD, GroupLasso, L2Norm, SparseGroupLasso
from sknormnet.penalties.norms import L1, L2, ElasticNet, NoPenalty, WeightDecay

PENALTIES: dict[str, type[Penalty]] = {
    cls.name: cls
    for cls in (NoPenalty, L2, L1, ElasticNet, L2Norm, GroupLasso, SparseGroupLasso, MCP, SCAD, WeightDecay)
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
    "NoPenalty",
    "Penalty",
    "SparseGroupLasso",
    "WeightDecay",
]
