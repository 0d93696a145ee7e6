from typing import Any

from sknormnet._core.penalties import GroupKernel, PenaltyKernel

class PythonPenaltyKernel(PenaltyKernel):
    def __init__(self, penalty: Any) -> None: ...

class ShapeKernel(GroupKernel):
    def __init__(self, penalty: Any, **parameters: Any) -> None: ...
