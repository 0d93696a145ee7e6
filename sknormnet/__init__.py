"""Multilayer perceptrons for scikit-learn with pluggable losses and norm penalties, on a compiled core."""

from importlib.metadata import version as _version

from sknormnet.classifier import NormRegMLPClassifier
from sknormnet.cross_validation import NormRegMLPClassifierCV, NormRegMLPRegressorCV
from sknormnet.path import regularization_path
from sknormnet.plan import PerLayer
from sknormnet.regressor import NormRegMLPRegressor
from sknormnet.stability import stability_selection

__version__ = _version("sknormnet")

__all__ = [
    "NormRegMLPClassifier",
    "NormRegMLPClassifierCV",
    "NormRegMLPRegressor",
    "NormRegMLPRegressorCV",
    "PerLayer",
    "regularization_path",
    "stability_selection",
    "__version__",
]
