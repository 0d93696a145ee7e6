"""The objective: network, loss, data and penalty terms as functions of theta. All that a solver sees."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sknormnet._core.network import Network, RowOrder, UpdateRule
from sknormnet.losses import Loss
from sknormnet.plan import Plan


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
    X : ndarray or CSR of shape (n, n_features)
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
        self.plan = plan
        self.activation = activation
        self.dtype = X.dtype
        self.rows = rows
        self.n_samples = X.shape[0] if rows is None else len(rows)
        self._table_rows = X.shape[0]
        self.kinked = loss.kinked
        self._loss_kernel = loss.kernel()
        self._network = Network(plan.layer_sizes, activation, X.dtype)
        named = None if rows is None else RowOrder(rows, X.shape[0])
        self._network.bind(X, y, sample_weight, self._loss_kernel, named)
        self._penalties = plan.layer_penalties()
        self._weight_slices = plan.weight_slices()
        terms = [(s, shape, term.penalty, term.strength) for s, shape, term in plan.penalized() if term.active]
        self._smooth_terms = [term for term in terms if term[2].smooth]
        self._proximal_terms = [term for term in terms if not term[2].smooth]

    @property
    def n_parameters(self) -> int:
        return self.plan.n_parameters

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

    def check_within_objective(self, solver: str) -> None:
        """Raise ValueError where a penalty acts on steps only: a solver of the objective would ignore it."""
        for term in self.plan.terms:
            if term.penalty.decoupled and term.strength > 0:
                raise ValueError(
                    f"{term.penalty!r} is no part of the objective, which solver={solver!r} minimises: use "
                    "penalty='l2', or solver='adam' or 'sgd'"
                )

    def project(self, theta: np.ndarray) -> None:
        """theta <- the nearest point that the constraints allow."""
        for s, shape, penalty, strength in self._proximal_terms:
            if penalty.constraint:
                theta[s] = penalty.prox(theta[s].reshape(shape), 0.0, strength).ravel()

    def proximal_parts(self) -> list[Any]:
        """Slices or indices of the parts of theta whose penalty is taken by its prox."""
        return [s for s, *_ in self._proximal_terms]

    def data_loss(self, theta: np.ndarray, gradient: np.ndarray | None = None) -> float:
        """Data loss; its gradient overwrites `gradient`, if given."""
        return self._network.value_and_gradient(theta, gradient)

    def penalty(self, theta: np.ndarray) -> float:
        """Sum over layers of strength * Omega."""
        return self._network.penalty(theta, self._penalties)

    def add_smooth_penalty_gradient(self, theta: np.ndarray, gradient: np.ndarray) -> None:
        """gradient += gradient of the smooth penalty terms."""
        for s, shape, penalty, strength in self._smooth_terms:
            gradient[s] += penalty.subgradient(theta[s].reshape(shape), strength).ravel()

    def smooth_penalty(self, theta: np.ndarray) -> float:
        """Value of the smooth penalty terms."""
        return sum(
            penalty.value(theta[s].reshape(shape), strength) for s, shape, penalty, strength in self._smooth_terms
        )

    def prox(self, theta: np.ndarray, step: float) -> None:
        """theta <- argmin_u 0.5*||u - theta||^2 + step * (the non-smooth penalty terms of u)."""
        for s, shape, penalty, strength in self._proximal_terms:
            theta[s] = penalty.prox(theta[s].reshape(shape), step, strength).ravel()

    def residual(self, theta: np.ndarray, gradient: np.ndarray) -> float:
        """Largest entry of the distance of zero to the subdifferential of F; gradient is of the smooth part."""
        distance = np.abs(gradient)
        for s, shape, penalty, strength in self._proximal_terms:
            W, slope = theta[s].reshape(shape), gradient[s].reshape(shape)
            distance[s] = penalty.residual(W, slope, strength).ravel()
        return float(distance.max())

    def separable_terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the non-smooth terms, for every coordinate: strengths of |w| and of w^2/2, and whether w >= 0 must hold.

        Raises
        ------
        ValueError
            If a non-smooth penalty is not such a sum over single weights.
        """
        l1, l2 = np.zeros(self.n_parameters), np.zeros(self.n_parameters)
        non_negative = np.zeros(self.n_parameters, dtype=bool)
        for s, shape, penalty, strength in self._proximal_terms:
            kernel = penalty.kernel()
            if not kernel.separable:
                raise ValueError(
                    "solver='lbfgs' takes smooth penalties, L1, elastic net and NonNegative; for "
                    f"{penalty!r} use solver='fista' or 'adam'"
                )
            l1[s], l2[s] = kernel.strengths(*shape, strength)
            non_negative[s] = kernel.non_negative
        return l1, l2, non_negative

    def row_order(self, rows: np.ndarray | None = None) -> RowOrder:
        """The rows that count, or those named, as an order for `run_epoch`."""
        if rows is None:
            rows = np.arange(self._table_rows) if self.rows is None else self.rows
        return RowOrder(rows, self._table_rows)

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
