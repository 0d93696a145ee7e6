"""What a fit leaves behind for the next one, or for its own resumption, to go on from: plain arrays and numbers."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp

from sknormnet._core.network import SelectedRows
from sknormnet.held_out import HeldOut
from sknormnet.initializers import glorot_uniform
from sknormnet.objective import Objective
from sknormnet.plan import Plan
from sknormnet.solvers import Monitor, Solver
from sknormnet.solvers.monitor import HISTORY_KEYS
from sknormnet.solvers.stochastic import same_rows

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
# Members of a training state, of its optimizer and of a fit under way.
STATE = {"solver": str, "optimizer": dict, "rng": dict, "before_split": dict, "progress": tuple, "mean_weight": float}
OPTIMIZER = {"steps_done": int, "order": np.ndarray, "schedule": dict, "n_epochs": int, "n_seen": int}
UNDER_WAY = {"n_epochs": int, "progress": tuple, "stop_requested": bool, "own_stream": bool, "data": dict}
BLOCK_BYTES = 1 << 24  # data are read in blocks of about this size

# What a fit notes about itself. While it trains there are none, so that models made for callbacks have no other fit's.
RECORDS = (
    "history_",
    "objective_",
    "n_iter_",
    "stop_reason_",
    "t_",
    "loss_curve_",
    "loss_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_training_state",
)


def take_records(estimator: Any) -> dict[str, Any]:
    """Those that an estimator has, of its last fit; it has none afterwards."""
    return {name: vars(estimator).pop(name) for name in RECORDS if name in vars(estimator)}


def save_rng(rng: np.random.RandomState) -> dict[str, Any]:
    """State of a random stream."""
    return rng.get_state(legacy=False)


def restore_rng(state: dict[str, Any]) -> np.random.RandomState:
    """A random stream that goes on from a saved state."""
    if state["bit_generator"] not in BIT_GENERATORS:
        raise ValueError(f"the random stream is one of {state['bit_generator']!r}, which is not NumPy's")
    # NumPy reads at these places without looking.
    places = {"MT19937": state["state"].get("pos", 0), "Philox": state.get("buffer_pos", 0)}
    if not 0 <= places.get(state["bit_generator"], 0) <= {"MT19937": 624, "Philox": 4}.get(state["bit_generator"], 0):
        raise ValueError("the random stream stands at a place outside its buffer")
    rng = np.random.RandomState(getattr(np.random, state["bit_generator"])())
    rng.set_state(state)
    return rng


def mean_weight(sample_weight: np.ndarray | None) -> float:
    """Mean of weights, whose sum might overflow; 1 without weights."""
    if sample_weight is None:
        return 1.0
    highest = sample_weight.max()
    return float(highest * (sample_weight / highest).mean())


def normalized_weight(
    sample_weight: np.ndarray | None, dtype: np.dtype, first_mean: float | None = None
) -> np.ndarray | None:
    """Weights divided by their mean, or by that of the first call of partial_fit; None where all are 1."""
    if sample_weight is None:
        if first_mean is None or first_mean == 1.0:
            return None
        raise ValueError("sample_weight was given to the first call of partial_fit: give it to every call")
    if (sample_weight == (sample_weight[0] if first_mean is None else first_mean)).all():
        return None
    return (sample_weight / (mean_weight(sample_weight) if first_mean is None else first_mean)).astype(dtype)


def starting_theta(
    estimator: Any, plan: Plan, activation: Any, dtype: np.dtype, rng: np.random.RandomState, going_on: bool
) -> np.ndarray:
    """theta that a fit starts from: drawn, or, where it goes on, of the estimator's fitted arrays."""
    if not going_on:
        return glorot_uniform(plan.layer_sizes, activation, dtype, rng)
    if hasattr(estimator, "input_indices_"):
        raise ValueError(
            "a model that compact() made is for predicting, training does not go on from it: go on with the model "
            "that it was made from, or fit anew with warm_start=False"
        )
    weights, intercepts, _ = estimator._checked_layers()
    shapes = [W.shape for W in weights]
    if shapes != plan.shapes:
        raise ValueError(
            f"training goes on from weights of shapes {shapes}, but hidden_layer_sizes and the data ask for "
            f"{plan.shapes}; keep hidden_layer_sizes and the loss, or fit anew with warm_start=False"
        )
    return plan.join(weights, intercepts, dtype)


def fingerprints(X: Any, y: np.ndarray, sample_weight: np.ndarray | None, own: HeldOut | None) -> dict[str, list]:
    """Fingerprint of each array that a fit was given, by its name; own are validation data of the user's."""
    tables = {"X": X, "y": y, "sample_weight": sample_weight}
    if own is not None:
        tables |= {"X_val": own.X, "y_val": own.y, "sample_weight_val": own.sample_weight}
    return {name: fingerprint(table) for name, table in tables.items() if table is not None}


def fingerprint(array: Any) -> list[Any]:
    """Shape, dtype and checksum of a table, a vector or CSR, or of rows of a table."""
    table = array.table if isinstance(array, SelectedRows) else array
    parts = (table.data, table.indices, table.indptr) if sp.issparse(table) else (table,)
    if table is not array:
        parts += (array.rows,)
    checksum = 0
    for part in parts:
        rows = max(1, BLOCK_BYTES // max(1, part[:1].nbytes))
        counts = part.dtype.kind == "i"  # of CSR and of rows: the same in 32 and in 64 bits
        for start in range(0, len(part), rows):
            block = np.ascontiguousarray(part[start : start + rows], dtype=np.int64 if counts else None)
            checksum = zlib.crc32(block.data, checksum)
    return [list(array.shape), str(array.dtype), checksum]


@dataclass
class Standing:
    """Where a fit stands between two epochs.

    Attributes
    ----------
    solver_name : str
    solver : Solver
    monitor : Monitor
    rng : numpy.random.RandomState
    own_stream : bool
        Whether rng is the estimator's random_state itself, which the fit then moves on.
    before_split : dict
        State of the stream before rows were held out.
    mean_weight : float
        Of the sample weights of the first fit or call of partial_fit.
    n_samples : int
    earlier_history : dict of lists
        Of the fits that this one goes on from; empty without.
    earlier_t : int
        Rows that they visited.
    data : callable
        () -> fingerprint of each array that the fit was given, by its name.
    """

    solver_name: str
    solver: Solver
    monitor: Monitor
    rng: np.random.RandomState
    own_stream: bool
    before_split: dict[str, Any]
    mean_weight: float
    n_samples: int
    earlier_history: dict[str, list]
    earlier_t: int
    data: Callable[[], dict[str, list]]

    def records(self, n_iter: int) -> dict[str, Any]:
        """Fitted attributes that tell of all epochs."""
        history = {key: self.earlier_history.get(key, []) + values for key, values in self.monitor.history.items()}
        t = self.earlier_t + n_iter * self.n_samples
        return {
            "history_": history,
            "loss_curve_": list(history["objective"]),
            "n_iter_": n_iter,
            "t_": t,
        }

    def state(self) -> dict[str, Any]:
        """What warm starts and partial_fit go on from."""
        return {
            "solver": self.solver_name,
            "optimizer": self.solver.state(),
            "rng": save_rng(self.rng),
            "before_split": self.before_split,
            "progress": self.monitor.progress,
            "mean_weight": self.mean_weight,
        }

    def attributes(self) -> dict[str, Any]:
        """Of an estimator whose training could go on, or whose fit could be resumed."""
        state = self.state()
        if state["optimizer"]:
            state["under_way"] = {**self.monitor.state(), "own_stream": self.own_stream, "data": self.data()}
        return {**self.records(self.monitor.n_epochs), "_training_state": state}


def earlier_part(
    history: dict[str, list], t: int, n_epochs: int, n_samples: int
) -> tuple[dict[str, list], int, dict[str, list]]:
    """History and rows visited before a fit of which n_epochs are done, and the history of these."""
    before = {key: values[: len(values) - n_epochs] for key, values in history.items()}
    since = {key: values[len(values) - n_epochs :] for key, values in history.items()}
    return before, t - n_epochs * n_samples, since


def check_resumable(state: dict[str, Any], objective: Objective, data: dict[str, list]) -> None:
    """Raise ValueError where the data are not those of the fit that is to be resumed."""
    for name, (shape, dtype, checksum) in state["under_way"]["data"].items():
        if name not in data:
            raise ValueError(f"the fit had {name}; resume needs it too")
        now_shape, now_dtype, now_checksum = data[name]
        if (shape, dtype, checksum) != (now_shape, now_dtype, now_checksum):
            this, that = (f"{d} of shape {tuple(s)}" for s, d in ((now_shape, now_dtype), (shape, dtype)))
            differs = f"{this} and not {that}" if this != that else "of the same shape, but with other values"
            raise ValueError(f"{name} is not the one that the fit had: it is {differs}")
    for name in data:
        if name not in state["under_way"]["data"]:
            raise ValueError(f"{name} is given, which the fit did not have")
    if not same_rows(state["optimizer"]["order"], objective.row_order().to_array()):
        raise ValueError("other rows are held out than in the fit; resume with the scikit-learn that it ran with")


def check_training_state(state: dict[str, Any], n_parameters: int, dtype: np.dtype, n_entries: int | None) -> None:
    """Raise ValueError, TypeError or LookupError where a state that was read from a file cannot be gone on from.

    n_entries is the number of epochs in the history, None if it has no lists of one length.
    """
    if state == {}:
        return
    _check_members(state, STATE)
    optimizer, under_way = state["optimizer"], state.get("under_way")
    if optimizer:  # of lbfgs and fista, or after divergence, there is none
        _check_like_theta(optimizer["first"], "the optimiser's first moments", n_parameters, dtype)
        if state["solver"] == "adam":
            _check_like_theta(optimizer["second"], "the optimiser's second moments", n_parameters, dtype)
        _check_members(optimizer, OPTIMIZER)
        if not all(0 <= optimizer[count] < 2**62 for count in ("steps_done", "n_epochs", "n_seen")):
            raise ValueError("the optimiser's counts must be >= 0 and below 2**62")
        order = optimizer["order"]
        if order.ndim != 1 or order.dtype.kind != "i" or not order.size or order.min() < 0:
            raise ValueError("the order of the rows must be a vector of integers >= 0")
    _check_progress(state["progress"])
    restore_rng(state["rng"])
    restore_rng(state["before_split"])
    if under_way is None:
        return
    _check_members(under_way, UNDER_WAY)
    _check_progress(under_way["progress"])
    best = under_way["best_theta"]
    if best is not None:
        _check_like_theta(best, "the best parameters so far", n_parameters, dtype)
        if not np.isfinite(best).all():
            raise ValueError("the best parameters so far contain NaN or infinity")
    if not all(isinstance(made, list) and len(made) == 3 for made in under_way["data"].values()):
        raise ValueError("the fingerprints of the data must have three members each")
    if n_entries is None or not 0 <= under_way["n_epochs"] <= n_entries:
        raise ValueError("history_ must have the epochs of the fit")


def _check_members(state: Any, kinds: dict[str, type]) -> None:
    for name, kind in kinds.items():
        if not isinstance(state, dict) or not isinstance(state.get(name), kind):
            raise ValueError(f"the training state must have {name}, of type {kind.__name__}")


def _check_progress(progress: tuple) -> None:
    if len(progress) != 3 or not all(isinstance(number, Real) for number in progress):
        raise ValueError(f"the training state's progress must be three numbers, got {progress!r}")


def _check_like_theta(vector: Any, name: str, n_parameters: int, dtype: np.dtype) -> None:
    if np.shape(vector) != (n_parameters,) or vector.dtype != dtype:
        raise ValueError(f"{name} must be {dtype} of shape ({n_parameters},), got shape {np.shape(vector)}")
    if np.isnan(vector).any():  # the square of a large gradient may be infinite in a sound fit
        raise ValueError(f"{name} contain NaN")


def history_length(history: Any) -> int | None:
    """Number of entries of a history whose lists have one length."""
    if not isinstance(history, dict) or set(history) != set(HISTORY_KEYS):
        return None
    lengths = {len(values) for values in history.values()}
    return lengths.pop() if len(lengths) == 1 else None
