"""Multilayer perceptrons for scikit-learn with pluggable losses and norm penalties, on a compiled core."""

from importlib.metadata import version as _version

from sknormnet.classifier import NormRegMLPClassifier
from sknormnet.path import regularization_path
from sknormnet.plan import PerLayer
from sknormnet.regressor import NormRegMLPRegressor

__version__ = _version("sknormnet")

__all__ = [
    "NormRegMLPClassifier",
    "NormRegMLPRegressor",
    "PerLayer",
    "regularization_path",
    "__version__",
]
