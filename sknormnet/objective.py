"""The objective: network, loss, data and penalty terms as functions of theta. All that a solver sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg.blas import ddot  # of the BLAS that is held at one thread inside the core; NumPy's is not

from sknormnet._core.network import Network, RowOrder, SelectedRows, UpdateRule
from sknormnet.losses import Loss
from sknormnet.plan import PenaltyTerm, Plan

# Numbers in a block of shuffle="block": 32 MB of float32 is more than a disk needs to read at its full speed, holds
# thousands of rows of a usual table to mix, and stays in memory while they are visited; see docs/decisions/0006.
BLOCK_VALUES = 1 << 23


def block_rows(X: Any) -> int:
    """Rows of a block: as many as have BLOCK_VALUES numbers, of a sparse table on average. At least 1."""
    n_rows, n_features = X.shape
    table, rows = (X.table, X.rows) if isinstance(X, SelectedRows) else (X, slice(None))
    n_values = int(np.diff(table.indptr)[rows].sum()) if sp.issparse(table) else n_rows * n_features
    return max(1, BLOCK_VALUES * n_rows // max(1, n_values))


@dataclass(frozen=True)
class Stationarity:
    """How far a point is from a stationary point of the objective F.

    The residual of a layer is the Euclidean distance, over its weights and intercepts, of minus the data loss's
    gradient to strength times the subdifferential of the penalty. The scale of a layer is what it cannot exceed:

        (1/n) * sum_i s_i * |a_i| * |delta_i|  +  strength * |subgradient|

    with a_i the layer's input for row i, a 1 appended for the intercept, delta_i the loss's gradient in the layer's
    pre-activations, s_i the sample weights of mean 1, and the subgradient of smallest norm. A relative residual is a
    residual by its scale, between 0 and 1 but for rounding, and 0 where both are 0; NaN if a number overflowed.

    Attributes
    ----------
    absolute : float
        Root of the sum over layers of residual^2: the distance of the whole -gradient.
    relative : float
        `absolute` by the root of the sum over layers of scale^2.
    layers_absolute : tuple of float
        Residual of each layer, that is of each weight matrix with its intercepts.
    layers_relative : tuple of float
        Residual of each layer by its scale.
    """

    absolute: float
    relative: float
    layers_absolute: tuple[float, ...]
    layers_relative: tuple[float, ...]


class _Part:
    """What one penalty term acts on.

    Attributes
    ----------
    where : slice or ndarray of int
        In theta.
    shape : (int, int)
        Of the matrix that lies there.
    """

    def __init__(self, where: Any, shape: tuple[int, int], term: PenaltyTerm):
        self.where = where
        self.shape = shape
        self.penalty = term.penalty
        self.kernel = term.penalty.kernel()
        self.strength = term.strength

    def of(self, vector: np.ndarray) -> np.ndarray:
        return vector[self.where].reshape(self.shape)

    def prox(self, theta: np.ndarray, step: float) -> None:
        theta[self.where] = self.kernel.prox(self.of(theta), step, self.strength).ravel()


class Objective:
    """F(theta) = data loss + penalty.

    The data loss is (1/n) * sum_i s_i * l(y_i, raw_i), with weights s of mean 1; the penalty is the sum over layers of
    strength * Omega(W). Smooth terms join the gradient, the others are taken by `prox`.

    Parameters
    ----------
    plan : Plan
    activation : str or sequence of str
        One name for all hidden layers, or one for each.
    loss : Loss
    X : ndarray, CSR or SelectedRows of shape (n, n_features)
        float32 or float64, the dtype of all arithmetic; rows contiguous.
    y : ndarray of shape (n, n_targets)
    sample_weight : ndarray of shape (n,) or None
    rows : ndarray of int64, default=None
        The rows that count; None is all.
    """

    def __init__(
        self,
        plan: Plan,
        activation: str | Sequence[str],
        loss: Loss,
        X: Any,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ):
        self.activation = activation
        self.dtype = X.dtype
        self.rows = rows
        self.n_samples = X.shape[0] if rows is None else len(rows)
        self._table_rows = X.shape[0]
        self._block_rows = block_rows(X)
        self.kinked = loss.kinked
        self._loss_kernel = loss.kernel()
        self._network = Network(plan.layer_sizes, activation, X.dtype)
        named = None if rows is None else RowOrder(rows, X.shape[0])
        self._network.bind(X, y, sample_weight, self._loss_kernel, named)
        self._weight_slices = plan.weight_slices()
        self._layer_slices = plan.layer_slices()
        self.set_plan(plan)

    def set_plan(self, plan: Plan) -> None:
        """Take other penalties or strengths; the layers stay."""
        parts = [_Part(where, shape, term) for where, shape, term in plan.penalized() if term.active]
        with np.errstate(over="ignore"):
            for part in parts:
                if not np.isfinite(self.dtype.type(part.strength)):
                    raise ValueError(
                        f"the strength of {part.penalty!r}, alpha times the layer's weight, is {part.strength:.3g}: "
                        f"too large for {self.dtype}"
                    )
        self.plan = plan
        self._penalties = plan.layer_penalties()
        self._smooth = [part for part in parts if part.penalty.smooth]
        self._proximal = [part for part in parts if not part.penalty.smooth]

    def hold(self, held: np.ndarray | None) -> None:
        """Keep at zero the parameters where `held`, an array of bools, is True: F is a function of the others.

        They are zero in every theta that a solver starts from; None lets all go.
        """
        self._network.hold(held)

    @property
    def n_parameters(self) -> int:
        return self.plan.n_parameters

    @property
    def n_layers(self) -> int:
        """Number of weight matrices."""
        return len(self.plan.shapes)

    @property
    def smoothing(self) -> float:
        """Parameter of the Moreau envelope that replaces a kinked loss in `data_loss`; 0 is the loss itself."""
        return self._loss_kernel.smoothing if self.kinked else 0.0

    @smoothing.setter
    def smoothing(self, smoothing: float) -> None:
        if self.kinked:
            self._loss_kernel.smoothing = smoothing

    def unsmoothed_data_loss(self, theta: np.ndarray) -> float:
        """Data loss without smoothing: a term of F."""
        smoothing, self.smoothing = self.smoothing, 0.0
        try:
            return self.data_loss(theta)
        finally:
            self.smoothing = smoothing

    def check_within_objective(self, purpose: str, remedy: str = "use penalty='l2', or solver='adam' or 'sgd'") -> None:
        """Raise ValueError where a penalty acts on steps only: what works on the objective would ignore it."""
        for term in self.plan.terms:
            if term.penalty.decoupled and term.strength > 0:
                raise ValueError(
                    f"{term.penalty!r} acts on the steps of adam and sgd and is no part of the objective, which "
                    f"{purpose}: {remedy}"
                )

    def project(self, theta: np.ndarray) -> None:
        """theta <- the nearest point that the constraints allow."""
        for part in self._proximal:
            # A second projection of what only rounding has left outside would change bits.
            if part.penalty.constraint and not part.kernel.value(part.of(theta), part.strength) < np.inf:
                part.prox(theta, 0.0)

    @property
    def proximal_parts(self) -> list["_Part"]:
        """The parts of theta whose penalty is taken by its prox."""
        return self._proximal

    def data_loss(
        self, theta: np.ndarray, gradient: np.ndarray | None = None, bounds: np.ndarray | None = None
    ) -> float:
        """Data loss; its gradient overwrites `gradient`, bounds on the norms of its layers `bounds`, if given."""
        return self._network.value_and_gradient(theta, gradient, bounds)

    def penalty(self, theta: np.ndarray) -> float:
        """Sum over layers of strength * Omega."""
        return self._network.penalty(theta, self._penalties)

    def add_smooth_penalty_gradient(self, theta: np.ndarray, gradient: np.ndarray) -> None:
        """gradient += gradient of the smooth penalty terms."""
        for part in self._smooth:
            gradient[part.where] += part.kernel.subgradient(part.of(theta), part.strength).ravel()

    def smooth_penalty(self, theta: np.ndarray) -> float:
        """Value of the smooth penalty terms."""
        return sum(part.kernel.value(part.of(theta), part.strength) for part in self._smooth)

    def prox(self, theta: np.ndarray, step: float) -> None:
        """theta <- argmin_u 0.5*||u - theta||^2 + step * (the non-smooth penalty terms of u)."""
        for part in self._proximal:
            part.prox(theta, step)

    def stationarity(self, theta: np.ndarray, gradient: np.ndarray, bounds: np.ndarray) -> Stationarity:
        """Distance of zero to the subdifferential of F; gradient is of the smooth part, bounds are of the data loss."""
        distance, slopes = gradient.astype(np.float64), np.zeros_like(theta)
        for part in self._proximal:
            W = part.of(theta)
            distance[part.where] = part.kernel.residual(W, part.of(gradient), part.strength).ravel()
            if part.penalty.constraint and not part.kernel.value(W, part.strength) < np.inf:
                distance[part.where] = np.inf  # where a constraint is violated there is no subdifferential
        for part in (*self._smooth, *self._proximal):
            slopes[part.where] = part.kernel.subgradient(part.of(theta), part.strength).ravel()
        scales = bounds + [_norm(slopes[s]) for s in self._layer_slices]
        residuals = [_norm(distance[s]) for s in self._layer_slices]
        absolute = math.hypot(*residuals)
        return Stationarity(
            absolute=absolute,
            relative=_ratio(absolute, math.hypot(*scales)),
            layers_absolute=tuple(residuals),
            layers_relative=tuple(map(_ratio, residuals, scales.tolist())),
        )

    def separable_terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the non-smooth terms, for every coordinate: strengths of |w| and of w^2/2, and whether w >= 0 must hold.

        Raises
        ------
        ValueError
            If a non-smooth penalty is not such a sum over single weights.
        """
        l1, l2 = np.zeros(self.n_parameters), np.zeros(self.n_parameters)
        non_negative = np.zeros(self.n_parameters, dtype=bool)
        for part in self._proximal:
            if not part.kernel.separable:
                raise ValueError(
                    "solver='lbfgs' takes smooth penalties, L1, elastic net and NonNegative; for "
                    f"{part.penalty!r} use solver='fista' or 'adam'"
                )
            l1[part.where], l2[part.where] = part.kernel.strengths(*part.shape, part.strength)
            non_negative[part.where] = part.kernel.non_negative
        return l1, l2, non_negative

    def row_order(self, rows: np.ndarray | None = None, *, in_blocks: bool = False) -> RowOrder:
        """The rows that count, or those named, as an order for `run_epoch`; in_blocks says how it shuffles."""
        if rows is None:
            rows = np.arange(self._table_rows) if self.rows is None else self.rows
        return RowOrder(rows, self._table_rows, self._block_rows if in_blocks else None)

    def run_epoch(
        self,
        theta: np.ndarray,
        rows: RowOrder | None,
        batch_size: int,
        rule: UpdateRule,
        rate_start: float,
        rate_end: float,
    ) -> tuple[float, float, bool]:
        """One epoch of minibatch steps; see `sknormnet._core.network.Network.run_epoch`."""
        return self._network.run_epoch(theta, rows, batch_size, rule, rate_start, rate_end, self._penalties)

    def n_nonzero(self, theta: np.ndarray) -> tuple[int, ...]:
        """Number of non-zero weights of each layer, intercepts not counted."""
        return tuple(int(np.count_nonzero(theta[s])) for s in self._weight_slices)


def _norm(vector: np.ndarray) -> float:
    vector = vector.astype(np.float64, copy=False)
    return math.sqrt(ddot(vector, vector))


def _ratio(residual: float, scale: float) -> float:
    if residual == 0 and scale == 0:
        return 0.0
    if scale == 0:  # the squares in the scale underflowed
        return math.inf
    return residual / scale if math.isfinite(scale) else math.nan
