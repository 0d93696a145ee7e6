from typing import Any

import numpy as np

SHAPES: dict[str, int]
GROUPINGS: dict[str, int]

class PenaltyKernel:
    separable: bool
    def for_inputs(self, factors: np.ndarray) -> PenaltyKernel | None: ...
    def value(self, W: np.ndarray, strength: float) -> float: ...
    def prox(self, V: np.ndarray, step: float, strength: float) -> np.ndarray: ...
    def subgradient(self, W: np.ndarray, strength: float) -> np.ndarray: ...
    def residual(self, W: np.ndarray, gradient: np.ndarray, strength: float) -> np.ndarray: ...

class ElementwiseKernel(PenaltyKernel):
    l1: float
    l2: float
    decay: float
    non_negative: bool
    row_factors: np.ndarray | None
    def __init__(
        self,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        decay: float = 0.0,
        non_negative: bool = False,
        row_factors: np.ndarray | None = None,
    ) -> None: ...
    def strengths(self, rows: int, columns: int, strength: float) -> tuple[np.ndarray, np.ndarray]: ...

class NetworkNormKernel(PenaltyKernel): ...

class GroupKernel(PenaltyKernel):
    shape: str
    by: str
    outer: float
    inner: float
    l2: float
    non_negative: bool
    gamma: float
    limit: float
    longest_step: float
    groups: np.ndarray | None
    row_factors: np.ndarray | None
    def __init__(
        self,
        shape: str,
        by: str,
        *,
        outer: float = 1.0,
        inner: float = 0.0,
        l2: float = 0.0,
        non_negative: bool = False,
        gamma: float = 0.0,
        limit: float = ...,
        longest_step: float = ...,
        groups: np.ndarray | None = None,
        row_factors: np.ndarray | None = None,
    ) -> None: ...
    composes: bool
    def changed(self, **parameters: Any) -> GroupKernel: ...
    def parameters(self) -> dict[str, Any]: ...
    def nests_in(self, other: GroupKernel) -> bool: ...
