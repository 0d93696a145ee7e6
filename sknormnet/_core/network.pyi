from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from sknormnet._core.losses import LossKernel
from sknormnet._core.penalties import PenaltyKernel

def aligned_empty(n: int, dtype: DTypeLike) -> np.ndarray: ...
def gemm_seconds(layer_sizes: Sequence[int], batch_size: int, dtype: DTypeLike, repeats: int) -> float: ...

class LayerPenalties:
    def __init__(
        self,
        terms: Sequence[tuple[PenaltyKernel, float]],
        shapes: Sequence[tuple[int, int]],
        penalize_intercepts: bool,
        network_norm: float = 0.0,
    ) -> None: ...

class UpdateRule:
    first: np.ndarray
    second: np.ndarray | None
    steps_done: int
    @staticmethod
    def sgd(n_parameters: int, dtype: DTypeLike, *, momentum: float, nesterov: bool) -> UpdateRule: ...
    @staticmethod
    def adam(n_parameters: int, dtype: DTypeLike, *, beta_1: float, beta_2: float, epsilon: float) -> UpdateRule: ...

class RowOrder:
    n_rows: int
    def __init__(self, rows: np.ndarray, n_rows: int, block_rows: int | None = None) -> None: ...
    def __len__(self) -> int: ...
    def to_array(self) -> np.ndarray: ...
    def shuffle(self, rng: np.random.RandomState) -> None: ...

class SelectedRows:
    table: Any
    rows: np.ndarray
    shape: tuple[int, int]
    dtype: np.dtype
    def __init__(self, table: Any, rows: np.ndarray) -> None: ...
    def copy(self, rows: np.ndarray | None = None) -> Any: ...

class Network:
    layer_sizes: tuple[int, ...]
    n_parameters: int
    n_outputs: int
    dtype: np.dtype
    def __init__(self, layer_sizes: Sequence[int], activation: str | Sequence[str], dtype: DTypeLike) -> None: ...
    def bind(
        self,
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
        loss: LossKernel,
        rows: RowOrder | None = None,
    ) -> None: ...
    def hold(self, where: np.ndarray | None) -> None: ...
    def forward(
        self,
        weights: Sequence[np.ndarray],
        intercepts: Sequence[np.ndarray],
        X: Any,
        rows: RowOrder | None = None,
    ) -> np.ndarray: ...
    def value_and_gradient(
        self, theta: np.ndarray, gradient: np.ndarray | None, bounds: np.ndarray | None = None
    ) -> float: ...
    def run_epoch(
        self,
        theta: np.ndarray,
        rows: RowOrder | None,
        batch_size: int,
        rule: UpdateRule,
        rate_start: float,
        rate_end: float,
        penalties: LayerPenalties,
    ) -> tuple[float, float, bool]: ...
    def penalty(self, theta: np.ndarray, penalties: LayerPenalties) -> float: ...
