"""Pictures of paths and fits, as scikit-learn's displays: the data in the object, matplotlib needed by `plot` only."""

from sknormnet.plotting.cross_validation import CVPathDisplay
from sknormnet.plotting.path import RegularizationPathDisplay
from sknormnet.plotting.training import TrainingCurveDisplay

__all__ = ["CVPathDisplay", "RegularizationPathDisplay", "TrainingCurveDisplay"]
