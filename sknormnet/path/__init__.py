"""Paths over the penalty strength alpha: a model for each strength, from dense to empty."""

from sknormnet.path.homotopy import regularization_path
from sknormnet.path.result import RegularizationPath

__all__ = ["RegularizationPath", "regularization_path"]
