"""Checks of what users hand over: every error about user input that is not tied to one room is raised here.

The only module that uses scikit-learn's private helpers for parameter constraints.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, _fit_context
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from sknormnet._core.network import SelectedRows
from sknormnet.activations import ACTIVATIONS
from sknormnet.losses import LOSSES, Link, Loss, loss_names
from sknormnet.penalties import PENALTIES, Penalty
from sknormnet.plan import SCALES, PerLayer
from sknormnet.solvers import SOLVERS

validated_fit = _fit_context(prefer_skip_nested_validation=True)


def parameter_constraints(task: str) -> dict[str, list]:
    """Constraints on the constructor's parameters, in scikit-learn's form."""
    positive = Interval(Real, 0, None, closed="neither")
    non_negative = Interval(Real, 0, None, closed="left")
    of_classes = {"class_weight": [None, StrOptions({"balanced"}), dict, list]} if task == "classification" else {}
    count = Interval(Integral, 1, None, closed="left")
    return {
        "hidden_layer_sizes": ["array-like", count],
        "activation": [StrOptions(set(ACTIVATIONS)), PerLayer, "array-like"],
        "loss": [StrOptions(set(loss_names(task))), Loss],
        "penalty": [None, StrOptions(set(PENALTIES)), Penalty, PerLayer, "array-like"],
        "alpha": [non_negative],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "layer_weights": [None, StrOptions(set(SCALES)), PerLayer, "array-like"],
        "feature_weights": [None, "array-like"],
        "penalize_intercepts": ["boolean"],
        "solver": [StrOptions(set(SOLVERS))],
        "batch_size": [StrOptions({"auto"}), count],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", "cosine"})],
        "learning_rate_init": [positive],
        "power_t": [non_negative],
        "max_iter": [count],
        "shuffle": ["boolean", StrOptions({"block"})],
        "random_state": ["random_state"],
        "tol": [non_negative],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "validation_scoring": [None, StrOptions({"loss", *get_scorer_names()}), callable],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [positive],
        "n_iter_no_change": [count, Options(Real, {np.inf})],
        "max_fun": [count],
        "dtype": [None, StrOptions({"float32", "float64"}), Options(type, {np.float32, np.float64})],
        **of_classes,
    }


def path_cv_constraints(task: str) -> dict[str, list]:
    """The same for the estimators with cross-validation."""
    constraints = parameter_constraints(task)
    for name in ("alpha", "warm_start", "early_stopping", "validation_fraction", "validation_scoring"):
        del constraints[name]
    return constraints | {
        "alphas": [None, "array-like"],
        "n_alphas": [Interval(Integral, 2, None, closed="left")],
        "alpha_min_ratio": [Interval(Real, 0, 1, closed="neither")],
        "cv": ["cv_object"],
        "scoring": [None, StrOptions(set(get_scorer_names())), callable],
        "n_jobs": [None, Integral],
        "selection": [StrOptions({"best", "1se"})],
        "n_restarts": [Interval(Integral, 1, None, closed="left")],
    }


@contextmanager
def unchanged_on_failure(estimator: BaseEstimator) -> Iterator[None]:
    """Give the estimator its former attributes back if the body raises, Ctrl-C included."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def resolve_loss(loss: str | Loss, task: str) -> Loss:
    """The loss object of a name or itself, if it fits the task."""
    if isinstance(loss, str):
        return LOSSES[loss]()
    if loss.task != task:
        raise ValueError(f"{loss!r} is a loss for {loss.task}; for {task} there are {loss_names(task)}")
    loss.check_parameters()
    parameters = inspect.signature(loss.value_and_gradient).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if loss.kinked and not takes_any and "smoothing" not in parameters:
        raise TypeError(f"{loss!r} has kinked = True: its value_and_gradient must take a keyword smoothing=0.0")
    return loss


def check_outputs(loss: Loss, n_targets: int, n_classes: int | None) -> int:
    """The number of raw columns that a loss asks for, which its task must be able to read."""
    n_raw = loss.n_raw(n_targets, n_classes)
    if isinstance(n_raw, bool) or not isinstance(n_raw, Integral) or n_raw < 1:
        raise ValueError(f"n_raw of {loss!r} must return the number of raw columns, at least 1; got {n_raw!r}")
    if loss.task == "classification":
        allowed = {n_targets} if n_classes is None else {n_classes} | ({1} if n_classes == 2 else set())
        if n_raw not in allowed:
            kind = f"{n_targets} labels" if n_classes is None else f"{n_classes} classes"
            raise ValueError(f"n_raw of {loss!r} returned {n_raw} for {kind}; it must be one of {sorted(allowed)}")
    if not isinstance(loss.link(n_targets, int(n_raw)), Link):
        raise TypeError(f"link of {loss!r} must return a Link")
    return int(n_raw)


def check_prediction(loss: Loss, prediction: Any, n_rows: int) -> np.ndarray:
    """What a loss's prediction returned, a row for each row of raw."""
    if np.ndim(prediction) != 2 or len(prediction) != n_rows:
        raise ValueError(
            f"prediction of {loss!r} must return an array of shape (n, n_columns), n = {n_rows}; got one of shape "
            f"{np.shape(prediction)}"
        )
    return np.asarray(prediction)


def check_not_a_loss(sizes: Any) -> None:
    """scikit-learn's MLPRegressor takes the loss as its first positional argument."""
    if isinstance(sizes, str):
        raise ValueError(
            f"hidden_layer_sizes must be positive integers, got {sizes!r}. The loss is a keyword here: loss={sizes!r}"
        )


def check_hidden_layer_sizes(sizes: Any) -> tuple[int, ...]:
    """Hidden layer sizes as a tuple; () is a linear model."""
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 1 <= size < 2**31:
            raise ValueError(f"hidden_layer_sizes must be positive integers below 2**31, got {size!r} in {sizes!r}")
    return tuple(int(size) for size in sizes)


def check_given_together(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Validation data are whole or absent."""
    if (X_val is None) != (y_val is None) or (X_val is None and sample_weight_val is not None):
        raise ValueError(
            "X_val and y_val belong together, and sample_weight_val to them; one was given without another"
        )


def check_scoring_weight(sample_weight: Any, n_samples: int) -> np.ndarray | None:
    """Weights of a score: as many as rows, finite, none negative."""
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, np.empty((n_samples, 0)), ensure_non_negative=True)


def check_training_data(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    dtype: Any,
    numeric_target: bool,
    reset: bool,
    row_weights: Callable[[np.ndarray], np.ndarray | None],
) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """X as the core trains on it, y, and raw sample weights, without the rows of weight zero.

    row_weights(y) gives factors of the sample weights, or None.
    """
    # Values too large for float32 raise an error of their own; the sum of sound ones, which is looked at, may overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        X, y = validate_data(
            estimator,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=numeric_target,
            dtype=_kept_dtype(X) if dtype is None else np.dtype(dtype),
            reset=reset,
        )
    X = as_core_input(X)  # before anything follows its indices: a malformed CSR matrix would crash there
    if sp.issparse(X):
        X = _without_repeated_entries(X)
    if sp.issparse(y):
        y = y.toarray()
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if X.shape[1] >= 2**31:
        raise ValueError(f"X has {X.shape[1]} features; at most 2**31 - 1 are possible")
    rows = np.arange(X.shape[0])
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not np.isfinite(sample_weight).all():  # a single number, which scikit-learn does not look at
            raise ValueError(f"sample_weight must be finite, got {sample_weight[0]}")
        rows, y, sample_weight = _of_positive_weight(rows, y, sample_weight)
    factors = row_weights(y)
    if factors is not None:
        with np.errstate(over="ignore"):
            sample_weight = factors if sample_weight is None else sample_weight * factors
        if not np.isfinite(sample_weight).all():
            raise ValueError("sample_weight times class_weight is infinite; scale them down")
        if not sample_weight.any():
            raise ValueError("class_weight leaves no row with a positive weight")
        rows, y, sample_weight = _of_positive_weight(rows, y, sample_weight)
    return X if len(rows) == X.shape[0] else SelectedRows(X, rows), y, sample_weight


def _of_positive_weight(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arrays, the last of which are weights, without what belongs to weights of zero."""
    kept = arrays[-1] > 0
    return arrays if kept.all() else tuple(array[kept] for array in arrays)


def _kept_dtype(X: Any) -> Any:
    """What dtype=None stands for: float32 stays, in a frame and in the other byte order too; else float64."""
    if hasattr(X, "dtypes"):  # a frame
        names = {str(dtype).lower() for dtype in X.dtypes}
        return np.float32 if names in ({"float32"}, {"float[pyarrow]"}) else (np.float64, np.float32)
    is_single = getattr(getattr(X, "dtype", None), "type", None) is np.float32
    return np.float32 if is_single else np.float64


def as_core_input(X: Any) -> Any:
    """X as the core reads it: a dense table with contiguous rows, or CSR with indices in range."""
    if sp.issparse(X):
        return _as_core_csr(X)
    if (X.shape[1] > 1 and X.strides[1] != X.itemsize) or X.strides[0] % X.itemsize or not X.flags.aligned:
        return np.array(X, order="C")
    return X


def _as_core_csr(X: Any) -> Any:
    starts, columns = X.indptr, X.indices
    if len(starts) != X.shape[0] + 1 or starts[0] != 0 or (np.diff(starts) < 0).any():
        raise ValueError("X is not a valid CSR matrix: indptr must have n_rows + 1 numbers that rise from 0")
    if starts[-1] > min(len(columns), len(X.data)):
        raise ValueError("X is not a valid CSR matrix: it has fewer indices or values than its indptr says")
    if columns.size and (columns.min() < 0 or columns.max() >= X.shape[1]):
        raise ValueError("X is not a valid CSR matrix: column indices lie outside its shape")
    index = np.int32 if columns.dtype == starts.dtype == np.int32 else np.int64
    parts = (X.data, columns.astype(index, copy=False), starts.astype(index, copy=False))
    required = tuple(np.require(part, requirements=["C", "A"]) for part in parts)
    if all(old is new for old, new in zip((X.data, columns, starts), required, strict=True)):
        return X
    core = type(X)(X.shape, dtype=X.dtype)
    core.data, core.indices, core.indptr = required
    return core


def _without_repeated_entries(X: Any) -> Any:
    """Core CSR with each entry once, as squared norms of rows ask for; a copy if X, which may not know, is not."""
    unique = type(X)(X.shape, dtype=X.dtype)
    unique.data, unique.indices, unique.indptr = X.data, X.indices, X.indptr
    if unique.has_canonical_format:
        return X
    unique = unique.copy()
    unique.sum_duplicates()
    if not np.isfinite(unique.data).all():
        raise ValueError(f"X has repeated entries whose sum is too large for {X.dtype}")
    return unique


def check_prediction_data(estimator: BaseEstimator, X: Any) -> Any:
    """X for predicting, in its own dtype: blocks are converted one at a time."""
    with np.errstate(over="ignore", invalid="ignore"):  # a look at the sum of X
        return validate_data(estimator, X, accept_sparse="csr", dtype="numeric", reset=False)


def as_block(X: Any, dtype: np.dtype) -> Any:
    """A block of X in the model's dtype."""
    if X.dtype == dtype:
        return as_core_input(X)
    with np.errstate(over="ignore"):
        block = X.astype(dtype)
    if dtype == np.float32 and not np.isfinite(block.data if sp.issparse(block) else block).all():
        raise ValueError("X contains values too large for float32, the dtype that the model was fitted in")
    return as_core_input(block)


def check_target_values(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Regression targets as (n, n_targets) in the dtype of the arithmetic."""
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(y if y.ndim == 2 else y[:, np.newaxis], dtype=dtype)
    if not np.isfinite(converted).all():
        raise ValueError(
            f"y contains values too large for {np.dtype(dtype)}; scale the targets or pass dtype='float64'"
        )
    return converted
