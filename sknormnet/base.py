"""What both estimators share: parameters -> problem -> solver -> fitted attributes."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sknormnet import validation
from sknormnet._core.blas_threads import single_thread
from sknormnet._core.network import Network, RowOrder
from sknormnet.activations import POSITIVELY_HOMOGENEOUS, activation_of_each
from sknormnet.initializers import glorot_uniform
from sknormnet.losses import Loss
from sknormnet.objective import Objective
from sknormnet.plan import Plan, make_plan, resolve_activation
from sknormnet.solvers import STOCHASTIC_SOLVERS, Fista, FitResult, Lbfgs, Monitor, Solver, Stochastic, make_schedule

BLOCK_BYTES = 1 << 23  # predicting works on blocks of about this size


@dataclass
class Target:
    """An encoded target.

    Attributes
    ----------
    y : ndarray of shape (n, n_targets)
        In the dtype of the arithmetic.
    n_classes : int or None
        Where the target is one column of class numbers.
    stratify : ndarray or None
        What a validation split is stratified by.
    """

    y: np.ndarray
    n_classes: int | None = None
    stratify: np.ndarray | None = None


def check_stochastic(estimator: "BaseNormRegMLP") -> bool:
    """For available_if: partial_fit goes through the data in minibatches."""
    if estimator.solver not in STOCHASTIC_SOLVERS:
        raise AttributeError(
            f"partial_fit needs a stochastic solver, one of {list(STOCHASTIC_SOLVERS)}; {estimator.solver!r} uses all "
            "data at once"
        )
    return True


class BaseNormRegMLP(BaseEstimator, ABC):
    """Parameters and training of NormRegMLPClassifier and NormRegMLPRegressor."""

    task: ClassVar[str]
    history_: dict[str, list]
    t_: int

    def __init__(
        self,
        hidden_layer_sizes,
        activation,
        *,
        loss,
        penalty,
        alpha,
        l1_ratio,
        layer_weights,
        feature_weights,
        penalize_intercepts,
        solver,
        batch_size,
        learning_rate,
        learning_rate_init,
        power_t,
        max_iter,
        shuffle,
        random_state,
        tol,
        verbose,
        warm_start,
        momentum,
        nesterovs_momentum,
        early_stopping,
        validation_fraction,
        beta_1,
        beta_2,
        epsilon,
        n_iter_no_change,
        max_fun,
        dtype,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.layer_weights = layer_weights
        self.feature_weights = feature_weights
        self.penalize_intercepts = penalize_intercepts
        self.solver = solver
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dtype = dtype

    # ------------------------------------------------------------------------------------- what a task adds

    @abstractmethod
    def _encode_target(
        self, y: np.ndarray, dtype: np.dtype, *, going_on: bool, incremental: bool, classes: Any
    ) -> Target:
        """Encode y; sets classes_ where there are any."""

    @abstractmethod
    def _validation_score(self, loss: Loss, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None) -> float:
        """Score of raw predictions on encoded targets, higher is better."""

    # --------------------------------------------------------------------------------------------- fitting

    def _validate_params(self):
        validation.check_not_a_loss(self.hidden_layer_sizes)
        super()._validate_params()

    def _fit(self, X, y, sample_weight=None, *, incremental=False, classes=None):
        if incremental:
            self._validate_params()  # which scikit-learn's wrapper leaves out once the estimator is fitted
        if incremental and self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: a call sees one part of the data. Set "
                "early_stopping=False and watch a score between the calls"
            )
        with validation.unchanged_on_failure(self), single_thread:
            result = self._fit_unguarded(X, y, sample_weight, incremental, classes)
        if result.warning is not None:
            warnings.warn(result.warning, ConvergenceWarning, stacklevel=4)
        return self

    def _fit_unguarded(self, X, y, sample_weight, incremental, classes) -> FitResult:
        hidden = validation.check_hidden_layer_sizes(self.hidden_layer_sizes)
        activation = resolve_activation(self.activation, len(hidden))
        loss = validation.resolve_loss(self.loss, self.task)
        going_on = hasattr(self, "coefs_") and (incremental or self.warm_start)
        X, y, sample_weight = validation.check_training_data(
            self,
            X,
            y,
            sample_weight,
            dtype=self.dtype,
            numeric_target=self.task == "regression",
            reset=not going_on,
        )
        target = self._encode_target(y, X.dtype, going_on=going_on, incremental=incremental, classes=classes)
        loss.check_target(target.y)
        n_targets = target.y.shape[1]
        n_raw = validation.check_outputs(loss, n_targets, target.n_classes)
        fitted_loss = self.loss if isinstance(self.loss, str) else clone(self.loss)
        plan = self._make_plan((X.shape[1], *hidden, n_raw), activation)
        state = getattr(self, "_training_state", None) or {} if going_on else {}
        rng = _restore_rng(state["rng"]) if state else check_random_state(self.random_state)
        theta = self._initial_theta(plan, activation, X.dtype, rng, going_on)
        weight = self._normalized_weight(sample_weight, X.dtype, state, incremental)
        before_split = state.get("before_split") or _save_rng(rng)
        train, held_out = self._split(X.shape[0], target, _restore_rng(state["before_split"]) if state else rng)
        objective = Objective(plan, activation, loss, X, target.y, weight, train)
        objective.project(theta)
        validate = None
        if held_out is not None:
            validate = self._validator(plan, activation, loss, X, target.y, weight, held_out)
        monitor = Monitor(
            tol=self.tol,
            patience=self.n_iter_no_change,
            validate=validate,
            verbose=bool(self.verbose),
        )
        optimizer = state.get("optimizer") if state.get("solver") == self.solver else None
        if incremental and optimizer:
            monitor.progress = state["progress"]
        solver = self._make_solver(objective.n_samples, optimizer, incremental)
        result = solver.minimize(objective, theta, monitor=monitor, rng=rng)
        if held_out is not None and monitor.best_theta is not None:
            result.theta = monitor.best_theta
        self._store(result, objective, monitor, going_on)
        self._fitted_loss, self._n_targets = fitted_loss, n_targets
        self.out_activation_ = loss.link(n_targets, n_raw).name
        if (self.warm_start or incremental) and result.state:
            mean = state.get("mean_weight")
            if mean is None:
                mean = 1.0 if sample_weight is None else _mean(sample_weight)
            self._training_state = {
                "solver": self.solver,
                "optimizer": result.state,
                "rng": _save_rng(rng),
                "before_split": before_split,
                "progress": monitor.progress,
                "mean_weight": mean,
            }
        else:
            self.__dict__.pop("_training_state", None)
        return result

    def _make_plan(self, layer_sizes: tuple[int, ...], activation: str | Sequence[str]) -> Plan:
        plan = make_plan(
            layer_sizes,
            penalty=self.penalty,
            l1_ratio=self.l1_ratio,
            alpha=self.alpha,
            layer_weights=self.layer_weights,
            feature_weights=self.feature_weights,
            penalize_intercepts=bool(self.penalize_intercepts),
        )
        names = activation_of_each(activation, len(layer_sizes) - 2)
        if plan.can_be_evaded([name in POSITIVELY_HOMOGENEOUS for name in names]):
            warnings.warn(
                f"Some layers are penalised and others are not. With activation={activation!r} a penalised layer "
                "can shrink while the next one grows and the function stays the same, so the penalty may have no "
                "effect; penalise every layer, if only a little.",
                UserWarning,
                stacklevel=6,
            )
        return plan

    def _initial_theta(self, plan: Plan, activation, dtype, rng, going_on: bool) -> np.ndarray:
        if not going_on:
            return glorot_uniform(plan.layer_sizes, activation, dtype, rng)
        weights, intercepts, _ = self._checked_layers()
        shapes = [W.shape for W in weights]
        if shapes != plan.shapes:
            raise ValueError(
                f"training goes on from weights of shapes {shapes}, but hidden_layer_sizes and the data ask for "
                f"{plan.shapes}; keep hidden_layer_sizes and the loss, or fit anew with warm_start=False"
            )
        return plan.join(weights, intercepts, dtype)

    @staticmethod
    def _normalized_weight(sample_weight, dtype, state, incremental) -> np.ndarray | None:
        """Weights of mean 1; partial_fit divides by the mean of its first call."""
        mean = state.get("mean_weight") if incremental else None
        if sample_weight is None:
            if mean is None or mean == 1.0:
                return None
            raise ValueError("sample_weight was given to the first call of partial_fit: give it to every call")
        if mean is None:
            if (sample_weight == sample_weight[0]).all():
                return None
            mean = _mean(sample_weight)
        return (sample_weight / mean).astype(dtype)

    def _split(self, n: int, target: Target, rng) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Rows to train on and rows held out; None, None without early stopping."""
        if not self.early_stopping:
            return None, None
        if self.validation_fraction == 0:
            raise ValueError("early_stopping needs a validation_fraction above 0")
        rows, stratify = np.arange(n, dtype=np.int64), target.stratify
        if stratify is not None and np.unique(stratify, return_counts=True)[1].min() < 2:
            warnings.warn(
                "A class has one sample only: the validation set is not stratified.", UserWarning, stacklevel=6
            )
            stratify = None
        remedy = f"raise validation_fraction (now {self.validation_fraction}) or use more data"
        try:
            train, held_out = train_test_split(
                rows, test_size=self.validation_fraction, random_state=rng, stratify=stratify
            )
        except ValueError as error:
            raise ValueError(f"{n} samples cannot be split for early_stopping ({error}); {remedy}") from error
        if len(held_out) < 2:
            raise ValueError(f"the validation set has {len(held_out)} sample; {remedy}")
        return train, held_out

    def _validator(self, plan: Plan, activation, loss: Loss, X, y, weight, held_out) -> Callable[[np.ndarray], float]:
        network = Network(plan.layer_sizes, activation, X.dtype)
        y_held_out, rows = y[held_out], RowOrder(held_out, X.shape[0])
        weight_held_out = None if weight is None else weight[held_out]

        def score(theta: np.ndarray) -> float:
            raw = network.forward(*plan.split(theta), X, rows)
            return self._validation_score(loss, y_held_out, raw, weight_held_out)

        return score

    def _make_solver(self, n_samples: int, state: dict | None, incremental: bool) -> Solver:
        if self.solver == "lbfgs":
            return Lbfgs(tol=self.tol, max_iter=self.max_iter, max_fun=self.max_fun)
        if self.solver == "fista":
            return Fista(tol=self.tol, max_iter=self.max_iter)
        parameters = (
            {"momentum": self.momentum, "nesterov": self.nesterovs_momentum}
            if self.solver == "sgd"
            else {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        )
        schedule = make_schedule(
            self.learning_rate,
            self.learning_rate_init,
            power_t=self.power_t,
            max_iter=self.max_iter,
            solver=self.solver,
        )
        return Stochastic(
            self.solver,
            parameters,
            schedule,
            max_iter=1 if incremental else self.max_iter,
            batch_size=self._batch_rows(n_samples),
            shuffle=bool(self.shuffle),
            state=state,
            keep_state=bool(self.warm_start) or incremental,
            first_epoch=(state or {}).get("n_epochs", 0) if incremental else 0,
        )

    def _batch_rows(self, n_samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size > n_samples:
            warnings.warn(
                f"batch_size={self.batch_size} is larger than the {n_samples} training samples and is cut to them.",
                UserWarning,
                stacklevel=7,
            )
        return min(int(self.batch_size), n_samples)

    def _store(self, result: FitResult, objective, monitor: Monitor, going_on: bool) -> None:
        plan = objective.plan
        monitor.best_theta = None  # its memory is free before the fitted arrays are made
        self.objective_ = objective.unsmoothed_data_loss(result.theta) + objective.penalty(result.theta)
        history = monitor.history
        if going_on:
            history = {key: self.history_[key] + values for key, values in history.items()}
        self.history_ = history
        self.coefs_, self.intercepts_ = plan.split(result.theta)
        self.n_layers_ = len(plan.layer_sizes)
        self.n_outputs_ = plan.layer_sizes[-1]
        self.hidden_activation_ = objective.activation
        self.n_iter_ = result.n_iter
        self.t_ = result.n_iter * objective.n_samples + (self.t_ if going_on else 0)
        self.loss_curve_ = list(history["objective"])
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else self.objective_
        validated = monitor.validate is not None
        self.best_loss_ = None if validated else min(monitor.best_objective, self.loss_)
        self.validation_scores_ = list(history["validation_score"]) if validated else None
        self.best_validation_score_ = monitor.best_score if validated else None

    # ------------------------------------------------------------------------------------------ predicting

    def _loss(self) -> Loss:
        """The loss that the model was fitted with."""
        check_is_fitted(self)
        return validation.resolve_loss(self._fitted_loss, self.task)

    def _predict_in_blocks(self, X, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """convert(raw) for every row of X, without holding more than a block in between."""
        check_is_fitted(self)
        X = validation.check_prediction_data(self, X)
        weights, intercepts, layer_sizes = self._checked_layers()
        dtype = weights[0].dtype
        network = Network(layer_sizes, self.hidden_activation_, dtype)
        row_bytes = (layer_sizes[-1] + (X.shape[1] if X.dtype != dtype else 0)) * dtype.itemsize
        step = max(1, BLOCK_BYTES // row_bytes)
        out: np.ndarray
        with single_thread:
            for start in range(0, X.shape[0], step):
                block = validation.as_block(X[start : start + step] if step < X.shape[0] else X, dtype)
                values = convert(network.forward(weights, intercepts, block))
                if step >= X.shape[0]:
                    return values
                if start == 0:
                    out = np.empty((X.shape[0], *values.shape[1:]), dtype=values.dtype)
                out[start : start + step] = values
        return out

    def _checked_layers(self) -> tuple[list[np.ndarray], list[np.ndarray], tuple[int, ...]]:
        """The fitted arrays, shapes that fit together made sure of before they reach compiled code."""
        weights = [np.ascontiguousarray(W) for W in self.coefs_]
        intercepts = [np.ascontiguousarray(b) for b in self.intercepts_]
        dtype = weights[0].dtype
        layer_sizes = (self.n_features_in_, *(W.shape[-1] if W.ndim else -1 for W in weights))
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _mean(sample_weight: np.ndarray) -> float:
    """Mean of weights whose sum might overflow."""
    highest = sample_weight.max()
    return float(highest * (sample_weight / highest).mean())


def _save_rng(rng: np.random.RandomState) -> dict[str, Any]:
    return rng.get_state(legacy=False)


def _restore_rng(state: dict[str, Any]) -> np.random.RandomState:
    rng = np.random.RandomState(getattr(np.random, state["bit_generator"])())
    rng.set_state(state)
    return rng
