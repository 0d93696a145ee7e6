"""What a path returns: a model for each strength, kept sparse."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp

from sknormnet.path.walk import Point, Walk


@dataclass(frozen=True, eq=False)
class RegularizationPath:
    """A model for each strength of a path.

    ``path[i]`` is a fitted estimator with the i-th strength, `at` finds one by its number of inputs. The weights are
    kept sparse: memory grows with the number of those that are not zero.

    Attributes
    ----------
    alphas : ndarray of shape (n_alphas,)
    coefs : list of scipy.sparse.csr_array of shape (n_alphas, fan_in * fan_out)
        For each layer: a row is the weight matrix at a strength, its rows one after the other.
    intercepts : list of ndarray of shape (n_alphas, fan_out)
        For each layer.
    data_loss, penalty : ndarray of shape (n_alphas,)
        Mean loss on the training data, and the sum of strength * Omega.
    residual : ndarray of shape (n_alphas,)
        Relative residual, see `sknormnet.inspection.stationarity`; NaN for "weight_decay".
    alive : list of ndarray of bool of shape (n_alphas, n_inputs) and (n_alphas, n_units)
        Of the inputs and of the units of each hidden layer: whether the output depends on the inputs through them.
    validation_scores : ndarray of shape (n_alphas,) or None
    n_iter : ndarray of int of shape (n_alphas,)
        Epochs or iterations.
    stop_reasons : list of str
        See `stop_reason_` of the estimators.
    seconds : ndarray of shape (n_alphas,)
    histories : list of dict of lists
        `history_` of the fit at each strength.
    starts : ndarray of int of shape (n_alphas,)
        Which of n_restarts starts each model comes from.
    relaxed : RegularizationPath or None
        The same strengths, each distinct support refitted without the penalty. ``relaxed[i]`` is an estimator with
        alpha=0, and `residual` is that of its weights that are not zero; strengths with the same support have the same
        refit and its records.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPRegressor, regularization_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> lasso = NormRegMLPRegressor((), penalty="l1", solver="fista", tol=1e-6, max_iter=1000)
    >>> path = regularization_path(lasso, scale(X), scale(y), n_alphas=50)
    >>> len(path), int(path.n_features[0]), int(path.n_features[-1])
    (50, 10, 0)
    >>> path.selected_features(3)
    array([2, 3, 8])
    >>> path.at(n_features=3).n_nonzero_
    (3,)
    """

    alphas: np.ndarray
    coefs: list[Any]
    intercepts: list[np.ndarray]
    data_loss: np.ndarray
    penalty: np.ndarray
    residual: np.ndarray
    alive: list[np.ndarray]
    validation_scores: np.ndarray | None
    n_iter: np.ndarray
    stop_reasons: list[str]
    seconds: np.ndarray
    histories: list[dict[str, list]]
    starts: np.ndarray
    relaxed: "RegularizationPath | None" = None
    _model: Any = field(repr=False, kw_only=True)  # not fitted, but with what is known of the data
    _network: dict[str, Any] = field(repr=False, kw_only=True)  # fitted attributes, the same at every strength
    _n_samples: int = field(repr=False, kw_only=True)
    _without_penalty: bool = field(default=False, repr=False, kw_only=True)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {len(self)} strengths from {self.alphas[0]:.3g} to {self.alphas[-1]:.3g}, "
            f"{self.n_features[0]} to {self.n_features[-1]} inputs>"
        )

    # ---------------------------------------------------------------------------------------------- what it says

    @property
    def objective(self) -> np.ndarray:
        """Data loss plus penalty, shape (n_alphas,)."""
        return self.data_loss + self.penalty

    @property
    def n_nonzero(self) -> np.ndarray:
        """Non-zero weights of each layer, shape (n_alphas, n_layers)."""
        return np.stack([np.diff(W.indptr) for W in self.coefs], axis=1)

    @property
    def n_features(self) -> np.ndarray:
        """Number of inputs alive, shape (n_alphas,)."""
        return self.alive[0].sum(axis=1)

    @property
    def n_units(self) -> np.ndarray:
        """Number of units alive in each hidden layer, shape (n_alphas, n_hidden_layers)."""
        return np.array([units.sum(axis=1) for units in self.alive[1:]], dtype=int).reshape(-1, len(self)).T

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Inputs, units of each hidden layer and raw outputs."""
        sizes = [alive.shape[1] for alive in self.alive]
        return (*sizes, self.intercepts[-1].shape[1])

    @property
    def n_features_in(self) -> int:
        """Number of inputs."""
        return self.alive[0].shape[1]

    @property
    def feature_names_in(self) -> np.ndarray | None:
        """Names of the inputs, if X had them."""
        return getattr(self._model, "feature_names_in_", None)

    @property
    def feature_norms(self) -> np.ndarray:
        """Norm of each input's row of the first matrix, shape (n_alphas, n_features_in); zero where it is dead."""
        fan_in, fan_out = self.layer_sizes[:2]
        first = self.coefs[0].astype(np.float64)
        rows = sp.csr_array((first.data**2, first.indices // fan_out, first.indptr), shape=(len(self), fan_in))
        rows.sum_duplicates()
        return np.sqrt(rows.toarray()) * self.alive[0]

    @property
    def feature_order(self) -> np.ndarray:
        """The inputs in the order in which they enter, seen from the empty model: those that leave last come first.

        Those that leave together are ordered by the norms of their rows where they are last alive; those that are never
        alive come last.
        """
        alive = self.alive[0][np.argsort(self.alphas)]
        last = np.where(alive.any(axis=0), len(self) - 1 - np.argmax(alive[::-1], axis=0), -1)
        norms = self.feature_norms[np.argsort(self.alphas)][last, np.arange(self.n_features_in)]
        return np.lexsort((-norms, -last))

    @property
    def _most(self) -> int:
        """Number of the inputs that are alive at some strength."""
        return int(self.alive[0].any(axis=0).sum())

    def selected_features(self, n: int) -> np.ndarray:
        """The n inputs that enter first, ascending; see `feature_order`.

        Raises
        ------
        ValueError
            If fewer are alive anywhere on the path.
        """
        if isinstance(n, bool) or not isinstance(n, Integral) or not 0 <= n <= self._most:
            raise ValueError(f"n must be an integer from 0 to {self._most}, the inputs alive on the path; got {n!r}")
        return np.sort(self.feature_order[:n])

    # -------------------------------------------------------------------------------------------------- its models

    def __len__(self) -> int:
        return len(self.alphas)

    def __getitem__(self, i: int) -> Any:
        """Fitted estimator of the i-th strength."""
        if not isinstance(i, Integral):
            raise TypeError(f"a path is indexed by the number of a strength, got {i!r}; see also at()")
        if not -len(self) <= i < len(self):
            raise IndexError(f"the path has {len(self)} strengths, there is no number {i}")
        i = range(len(self))[i]
        model = deepcopy(self._model)
        alpha = 0.0 if self._without_penalty else float(self.alphas[i])
        vars(model).update(deepcopy(self._network), alpha=alpha)
        shapes = list(zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True))
        model.coefs_ = [W[[i]].toarray().reshape(shape) for W, shape in zip(self.coefs, shapes, strict=True)]
        model.intercepts_ = [b[i].copy() for b in self.intercepts]
        vars(model).update(self._records(i))
        return model

    def at(self, *, n_features: int | None = None, alpha: float | None = None) -> Any:
        """Fitted estimator with a number of inputs, or at a strength.

        Parameters
        ----------
        n_features : int, default=None
            Number of inputs alive. Of several such models the one with the highest validation score, or, without
            validation data, the smallest data loss.
        alpha : float, default=None
            One of `alphas`, up to rounding.

        Raises
        ------
        ValueError
            If no model is like that; the message has the nearest.
        """
        if (n_features is None) == (alpha is None):
            raise ValueError("give either n_features or alpha")
        if alpha is not None:
            if not isinstance(alpha, Real) or not np.isfinite(alpha):
                raise ValueError(f"alpha must be a number, got {alpha!r}")
            nearest = int(np.argmin(np.abs(self.alphas - alpha)))
            if not np.isclose(self.alphas[nearest], alpha, rtol=1e-6, atol=0):
                raise ValueError(
                    f"the path has no alpha={alpha:.6g}; the nearest is {self.alphas[nearest]:.6g}, path[{nearest}]"
                )
            return self[nearest]
        if isinstance(n_features, bool) or not isinstance(n_features, Integral) or n_features < 0:
            raise ValueError(f"n_features must be an integer >= 0, got {n_features!r}")
        found = np.flatnonzero(self.n_features == n_features)
        if not found.size:
            counts = np.unique(self.n_features)
            offered = sorted(counts[np.argsort(np.abs(counts - n_features), kind="stable")[:2]].tolist())
            remedy = (
                "" if n_features > self._most else f", and selected_features({n_features}) names that many in any case"
            )
            raise ValueError(
                f"no strength of the path gives {n_features} inputs; the nearest numbers are "
                f"{' and '.join(map(str, offered))}. A finer path has more{remedy}"
            )
        merit = -self.data_loss if self.validation_scores is None else self.validation_scores
        return self[found[np.argmax(np.where(np.isnan(merit), -np.inf, merit)[found])]]

    def _records(self, i: int) -> dict[str, Any]:
        """What a fit notes about itself; see `sknormnet.warm_start.RECORDS`."""
        history = deepcopy(self.histories[i])
        curve = list(history["objective"])
        objective = float(self.objective[i])
        return {
            "history_": history,
            "objective_": objective,
            "n_iter_": int(self.n_iter[i]),
            "stop_reason_": self.stop_reasons[i],
            "t_": int(self.n_iter[i]) * self._n_samples,
            "loss_curve_": curve,
            "loss_": curve[-1] if curve else objective,
            "best_loss_": min([*curve, objective]),
            "validation_scores_": None,
            "best_validation_score_": None,
        }


def assemble(walk: Walk, points: Sequence[Point]) -> RegularizationPath:
    """The path of points whose theta is sparse."""
    plan, model = walk.problem.plan, walk.model
    coefs, intercepts = [], []
    for weights, layer in zip(plan.weight_slices(), plan.layer_slices(), strict=True):
        coefs.append(sp.csr_array(sp.vstack([point.theta[:, weights] for point in points], format="csr")))
        intercepts.append(np.vstack([point.theta[:, weights.stop : layer.stop].toarray() for point in points]))
    scores = [point.score for point in points]
    return RegularizationPath(
        alphas=np.array([point.alpha for point in points]),
        coefs=coefs,
        intercepts=intercepts,
        data_loss=np.array([point.data_loss for point in points]),
        penalty=np.array([point.penalty for point in points]),
        residual=np.array([point.residual for point in points]),
        alive=[np.array(layer) for layer in zip(*(point.alive for point in points), strict=True)],
        validation_scores=None if scores[0] is None else np.array(scores),
        n_iter=np.array([point.n_iter for point in points]),
        stop_reasons=[point.stop_reason for point in points],
        seconds=np.array([point.seconds for point in points]),
        histories=[point.history for point in points],
        starts=np.array([point.start for point in points]),
        _model=model,
        _network=model._network_attributes(walk.problem, [], [], model._parameter_loss()),
        _n_samples=walk.objective.n_samples,
    )
