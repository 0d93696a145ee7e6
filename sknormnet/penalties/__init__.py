"""Norm penalties on weight matrices."""

from sknormnet.penalties.base import Penalty
from sknormnet.penalties.norms import L1, L2, ElasticNet, NoPenalty

PENALTIES: dict[str, type[Penalty]] = {cls.name: cls for cls in (NoPenalty, L2, L1, ElasticNet)}

__all__ = ["L1", "L2", "PENALTIES", "ElasticNet", "NoPenalty", "Penalty"]
