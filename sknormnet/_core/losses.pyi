from collections.abc import Sequence
from typing import Any

import numpy as np

FORMULAS: dict[str, int]

class LossKernel:
    smoothing: float
    takes_classes: bool
    raw_per_target: int
    def __init__(
        self,
        formula: str,
        *,
        lower: float = ...,
        upper: float = ...,
        width: float = 0.0,
        tube: float = 0.0,
        shape: float = 0.0,
        levels: Sequence[float] = (),
    ) -> None: ...
    def check_columns(self, y_columns: int, raw_columns: int) -> None: ...
    def check_classes(self, y: np.ndarray, raw_columns: int) -> None: ...
    def value_and_gradient(
        self, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]: ...
    def seconds(self, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None, repeats: int) -> float: ...

class PythonLossKernel(LossKernel):
    def __init__(self, loss: Any) -> None: ...

class HeadsKernel(LossKernel):
    def __init__(self, loss: LossKernel, widths: Sequence[int]) -> None: ...

def logistic(raw: np.ndarray, log: bool = False) -> np.ndarray: ...
def softmax(raw: np.ndarray, log: bool = False) -> np.ndarray: ...
