"""What a fitted network gives: predictions in blocks, hidden features, importances, and models made from it."""

from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sknormnet import validation
from sknormnet._core.activations import activation_value
from sknormnet._core.blas_threads import single_thread
from sknormnet._core.network import Network
from sknormnet.activations import ACTIVATIONS, activation_of_each
from sknormnet.conversion import compact_layers, to_sklearn
from sknormnet.warm_start import check_training_state, history_length

BLOCK_BYTES = 1 << 23  # predicting works on blocks of about this size


def _asks_for_hidden_layers(estimator: "FittedNetwork") -> bool:
    """For available_if, before a fit."""
    sizes = estimator.hidden_layer_sizes
    if hasattr(sizes, "__len__") and len(sizes) == 0:
        raise AttributeError(
            "hidden features are the activations of the last hidden layer, and hidden_layer_sizes=() has none; give it "
            "at least one layer"
        )
    return True


def _has_hidden_layers(estimator: "FittedNetwork") -> bool:
    """For available_if: of the fitted network, or of the one that a fit would make."""
    if not hasattr(estimator, "n_layers_"):
        return _asks_for_hidden_layers(estimator)
    if estimator.n_layers_ < 3:
        raise AttributeError(
            "hidden features are the activations of the last hidden layer, and the fitted network has none; fit it "
            "with hidden_layer_sizes of at least one layer"
        )
    return True


class _HiddenFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """`transform`, in a class of its own: `set_output` wraps methods of the class that defines them only."""

    def transform(self, X):
        """Activations of the last hidden layer, for the next step of a Pipeline.

        Absent without hidden layers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        features : ndarray of shape (n_samples, n_units)
            Or the container that `set_output` asks for.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sknormnet import NormRegMLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = NormRegMLPClassifier((8, 2), "tanh", solver="lbfgs", alpha=0.01, tol=0.01, random_state=0)
        >>> model.fit_transform(X, y).shape
        (150, 2)
        >>> model.get_feature_names_out()
        array(['normregmlpclassifier0', 'normregmlpclassifier1'], dtype=object)
        """
        check_is_fitted(self)
        last_hidden = self.n_layers_ - 3

        def features(z: np.ndarray) -> np.ndarray:
            return activation_value(self._activations()[last_hidden], z)

        return self._forward_in_blocks(X, features, n_layers=last_hidden + 1)


class FittedNetwork(_HiddenFeatures, auto_wrap_output_keys=()):  # type: ignore[call-arg]
    """Mixin for the two estimators: what needs their fitted arrays only."""

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    hidden_layer_sizes: Any
    hidden_activation_: str | tuple[str, ...]
    n_features_in_: int
    n_layers_: int
    n_outputs_: int
    input_indices_: np.ndarray
    task: ClassVar[str]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    # ------------------------------------------------------------------------------------------ hidden features

    transform = available_if(_has_hidden_layers)(_HiddenFeatures.transform)
    fit_transform = available_if(_asks_for_hidden_layers)(TransformerMixin.fit_transform)
    get_feature_names_out = available_if(_has_hidden_layers)(ClassNamePrefixFeaturesOutMixin.get_feature_names_out)

    @property
    def _n_features_out(self) -> int:
        _has_hidden_layers(self)
        return len(self.intercepts_[-2])

    # ------------------------------------------------------------------------------------------------- sparsity

    @property
    def feature_importances_(self) -> np.ndarray:
        """Euclidean norms of the first matrix's rows, shape (n_features_in_,), float64.

        They compare features of like scale. Zero where all weights of a feature are exactly zero, so that
        ``SelectFromModel(model, threshold=np.finfo(float).tiny)`` selects the features that the network reads.
        """
        check_is_fitted(self)
        W = self._checked_layers()[0][0].astype(np.float64)
        largest = np.abs(W).max(axis=1)
        scale = np.where(largest > 0, largest, 1)  # the squares of tiny weights would vanish, those of large overflow
        importances = np.zeros(self.n_features_in_)
        importances[self._inputs()] = scale * np.linalg.norm(W / scale[:, np.newaxis], axis=1)
        return importances

    @property
    def n_nonzero_(self) -> tuple[int, ...]:
        """Number of non-zero weights of each matrix, intercepts not counted."""
        check_is_fitted(self)
        return tuple(int(np.count_nonzero(W)) for W in self._checked_layers()[0])

    @property
    def sparsity_(self) -> float:
        """Share of exact zeros among the weights of all matrices, intercepts not counted."""
        return 1 - sum(self.n_nonzero_) / sum(np.size(W) for W in self.coefs_)

    # --------------------------------------------------------------------------------------------- other models

    def compact(self):
        """A copy of the fitted model without dead inputs and units, which predicts the same, up to rounding.

        Dead are inputs and units whose outgoing weights are all zero, and units whose incoming weights are all zero:
        these are constant and join the next intercepts. At least one unit stays in each layer.

        The copy takes the same X. The rows of its ``coefs_[0]`` belong to the columns ``input_indices_`` of X, the
        features of its `transform` are those of the units left, and `n_nonzero_` and `sparsity_` are of its own
        matrices. Its parameters and the records of the fit, such as `objective_` and `history_`, are this model's. It
        is for predicting: `partial_fit` and warm starts refuse it, while a fit from the start forgets that it was
        compact.

        Returns
        -------
        model : object of this class

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.preprocessing import scale
        >>> from sknormnet import NormRegMLPRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> X, y = scale(X), scale(y)
        >>> model = NormRegMLPRegressor(
        ...     (20,), "tanh", penalty="group_lasso", alpha=0.05, solver="fista", max_iter=2000, random_state=0
        ... )
        >>> small = model.fit(X, y).compact()
        >>> small.coefs_[0].shape == (len(small.input_indices_), len(small.intercepts_[0]))
        True
        >>> small.coefs_[0].size < model.coefs_[0].size
        True
        >>> bool(abs(small.predict(X) - model.predict(X)).max() < 1e-12)
        True
        """
        check_is_fitted(self)
        weights, intercepts, _ = self._checked_layers()
        weights, intercepts, inputs = compact_layers(weights, intercepts, self._activations())
        model = copy(self)
        model.__dict__.pop("_training_state", None)
        model.coefs_, model.intercepts_, model.input_indices_ = weights, intercepts, self._inputs()[inputs]
        return deepcopy(model)

    def to_sklearn(self) -> MLPClassifier | MLPRegressor:
        """scikit-learn's MLP with this network: the same predictions, without this package.

        Possible where scikit-learn has the activation, one for all hidden layers, and the output: a logistic function
        or softmax for classes, whichever loss was minimised, and for regression the raw output or its exponential.

        The model has the training parameters that scikit-learn knows, so that it can be fitted anew, and its
        `partial_fit` goes on from the weights. They then follow scikit-learn's loss and L2 penalty: `alpha`, which has
        another meaning there, is left at its default.

        Returns
        -------
        mlp : MLPClassifier or MLPRegressor
            Fitted.

        Raises
        ------
        ValueError
            If scikit-learn's MLP has no such activation or output.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sknormnet import NormRegMLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = NormRegMLPClassifier((5,), "tanh", solver="lbfgs", alpha=0.01, tol=0.01, random_state=0).fit(X, y)
        >>> mlp = model.to_sklearn()
        >>> type(mlp)
        <class 'sklearn.neural_network._multilayer_perceptron.MLPClassifier'>
        >>> bool(abs(mlp.predict_proba(X) - model.predict_proba(X)).max() < 1e-12)
        True
        """
        check_is_fitted(self)
        weights, intercepts, _ = self._checked_layers()
        first = np.zeros((self.n_features_in_, weights[0].shape[1]), dtype=weights[0].dtype)
        first[self._inputs()] = weights[0]
        return to_sklearn(self, [first, *weights[1:]], intercepts, self._activations())

    # ----------------------------------------------------------------------------------------------- predicting

    def _activations(self) -> tuple[str, ...]:
        """The activation of each hidden layer."""
        return activation_of_each(self.hidden_activation_, self.n_layers_ - 2)

    def _network(self, layer_sizes: tuple[int, ...], dtype: np.dtype) -> Network:
        """The fitted network, or its first layers."""
        return Network(layer_sizes, self._activations()[: len(layer_sizes) - 2], dtype)

    def _inputs(self) -> np.ndarray:
        """Columns of X that the first matrix has rows for."""
        return self.input_indices_ if hasattr(self, "input_indices_") else np.arange(self.n_features_in_)

    def _predict_in_blocks(self, X, convert: Callable[[np.ndarray], Any]) -> Any:
        """convert(raw), an array or a list, for every row of X, without holding more than a block in between."""
        return self._forward_in_blocks(X, convert)

    def _forward_in_blocks(self, X, convert: Callable[[np.ndarray], Any], n_layers: int | None = None) -> Any:
        """convert(z) for every row of X, z the output of the first n_layers matrices without its activation."""
        check_is_fitted(self)
        X = validation.check_prediction_data(self, X)
        weights, intercepts, layer_sizes = self._checked_layers()
        weights, intercepts = weights[:n_layers], intercepts[:n_layers]
        layer_sizes = layer_sizes[: len(weights) + 1]
        dtype = weights[0].dtype
        network = self._network(layer_sizes, dtype)
        columns = self.input_indices_ if layer_sizes[0] < X.shape[1] else None
        copied = X.shape[1] if X.dtype != dtype or columns is not None else 0
        step = max(1, BLOCK_BYTES // ((layer_sizes[-1] + copied) * dtype.itemsize))
        out: Any = None
        with single_thread:
            for start in range(0, X.shape[0], step):
                block = _columns(X[start : start + step] if step < X.shape[0] else X, columns)
                z = network.forward(weights, intercepts, validation.as_block(block, dtype))
                if not np.isfinite(z).all():  # large features may do that; looking here first costs next to nothing
                    _check_finite(weights, intercepts)
                values = convert(z)
                if step >= X.shape[0]:
                    return values
                parts = values if isinstance(values, list) else [values]
                if start == 0:
                    whole = [np.empty((X.shape[0], *part.shape[1:]), dtype=part.dtype) for part in parts]
                    out = whole if isinstance(values, list) else whole[0]
                for array, part in zip(whole, parts, strict=True):
                    array[start : start + step] = part
        return out

    def _checked_layers(self) -> tuple[list[np.ndarray], list[np.ndarray], tuple[int, ...]]:
        """The fitted arrays, shapes that fit together made sure of before they reach compiled code."""
        if not len(self.coefs_) == len(self.intercepts_) == self.n_layers_ - 1 > 0:
            raise ValueError(
                f"coefs_ and intercepts_ must have one array for each of {self.n_layers_ - 1} layers, got "
                f"{len(self.coefs_)} and {len(self.intercepts_)}"
            )
        weights = [np.ascontiguousarray(W) for W in self.coefs_]
        intercepts = [np.ascontiguousarray(b) for b in self.intercepts_]
        dtype = weights[0].dtype
        n_inputs = self.n_features_in_
        if hasattr(self, "input_indices_"):
            n_inputs = _checked_indices(self.input_indices_, n_inputs)
        layer_sizes = (n_inputs, *(W.shape[-1] for W in weights[:-1]), self.n_outputs_)
        for i, (W, b) in enumerate(zip(weights, intercepts, strict=True)):
            if (
                0 in W.shape
                or W.shape != layer_sizes[i : i + 2]
                or b.shape != W.shape[1:]
                or not W.dtype == b.dtype == dtype
            ):
                raise ValueError(
                    f"coefs_[{i}] of shape {W.shape} and intercepts_[{i}] of shape {b.shape} do not fit the network; "
                    "they must keep the shapes and the dtype that fit gave them"
                )
        if dtype not in (np.float32, np.float64):
            raise ValueError(f"coefs_ must be float32 or float64, got {dtype}")
        return weights, intercepts, layer_sizes

    # ------------------------------------------------------------------------------------------- reading pickles

    def __copy__(self):
        """A shallow copy, which is not looked at: while a fit is under way, old weights may stand beside new data."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(vars(self))
        return copied

    def __setstate__(self, state):
        """Take over the state of a pickle or a copy, after a look at what compiled code will read."""
        super().__setstate__(state)
        if "coefs_" in vars(self):
            try:
                self._check_fitted_state()
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise ValueError(f"this state of a {type(self).__name__} is damaged: {error}") from error

    def _check_fitted_state(self) -> None:
        weights, intercepts, _ = self._checked_layers()
        names = self._activations()
        if len(names) != self.n_layers_ - 2 or not set(names) <= set(ACTIVATIONS):
            raise ValueError(
                f"hidden_activation_ must be one of {list(ACTIVATIONS)}, or one for each hidden layer; got "
                f"{self.hidden_activation_!r}"
            )
        _check_finite(weights, intercepts)
        n_parameters = sum(array.size for array in weights + intercepts)
        n_entries = history_length(vars(self).get("history_"))
        check_training_state(vars(self).get("_training_state", {}), n_parameters, weights[0].dtype, n_entries)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if not hasattr(self, "transform"):
            tags.transformer_tags = None
        elif self.dtype is None:
            tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        elif self.dtype in ("float32", np.float32):
            tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _columns(X: Any, columns: np.ndarray | None) -> Any:
    """Columns of a table, in new memory with contiguous rows; None is all of them, as they are."""
    if columns is None:
        return X
    return X[:, columns] if sp.issparse(X) else np.take(X, columns, axis=1)


def _checked_indices(indices: np.ndarray, n_inputs: int) -> int:
    """The number of input_indices_, made sure of to lie in X."""
    if np.ndim(indices) != 1 or indices.dtype.kind != "i" or not 0 <= min(indices) <= max(indices) < n_inputs:
        raise ValueError(f"input_indices_ must be a vector of integers from 0 to {n_inputs - 1}")
    return len(indices)


def _check_finite(weights: list[np.ndarray], intercepts: list[np.ndarray]) -> None:
    for name, arrays in (("coefs_", weights), ("intercepts_", intercepts)):
        for i, array in enumerate(arrays):
            if not np.isfinite(array).all():
                raise ValueError(f"{name}[{i}] contains NaN or infinity")
