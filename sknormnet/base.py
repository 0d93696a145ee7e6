"""What both estimators share: parameters -> problem -> solver -> fitted attributes."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sknormnet import validation
from sknormnet._core.blas_threads import single_thread
from sknormnet.activations import POSITIVELY_HOMOGENEOUS, activation_of_each
from sknormnet.fitted import FittedNetwork
from sknormnet.held_out import HeldOut, make_scored_validator, make_validator, split_rows, unnamed_copy
from sknormnet.losses import Loss
from sknormnet.objective import Objective
from sknormnet.plan import Plan, make_plan, resolve_activation
from sknormnet.problem import Problem, Target
from sknormnet.solvers import STOCHASTIC_SOLVERS, Fista, FitResult, Lbfgs, Monitor, Solver, Stochastic, make_schedule
from sknormnet.solvers.schedules import Schedule
from sknormnet.tasks import EpochTasks
from sknormnet.warm_start import (
    Standing,
    check_resumable,
    earlier_part,
    fingerprints,
    mean_weight,
    normalized_weight,
    restore_rng,
    save_rng,
    starting_theta,
    take_records,
)

NO_SCORE = (
    "The validation score was NaN or minus infinity in every epoch, so that none of them is the best: the last "
    "parameters are kept."
)


def check_stochastic(estimator: "BaseNormRegMLP") -> bool:
    """For available_if: partial_fit goes through the data in minibatches."""
    if estimator.solver not in STOCHASTIC_SOLVERS:
        raise AttributeError(
            f"partial_fit needs a stochastic solver, one of {list(STOCHASTIC_SOLVERS)}; {estimator.solver!r} uses all "
            "data at once"
        )
    return True


class BaseNormRegMLP(CallbackSupportMixin, FittedNetwork, BaseEstimator, ABC):
    """Parameters and training of NormRegMLPClassifier and NormRegMLPRegressor."""

    task: ClassVar[str]
    history_: dict[str, list]
    _n_targets: int
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
        validation_scoring,
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
        self.validation_scoring = validation_scoring
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

    def _row_weights(
        self, y: np.ndarray, *, going_on: bool, incremental: bool, classes: Any, as_fitted: bool
    ) -> np.ndarray | None:
        """Factors of the sample weights that follow from y; as_fitted for other rows than those that set them."""
        return None

    def _outputs(self, loss: Loss, n_targets: int) -> tuple[Loss, int]:
        """The loss of the whole target, made of the one that the user chose, and its number of raw columns."""
        return loss, validation.check_outputs(loss, n_targets, None)

    @abstractmethod
    def _validation_score(self, loss: Loss, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None) -> float:
        """Score of raw predictions on encoded targets, higher is better."""

    # --------------------------------------------------------------------------------------------- fitting

    def _validate_params(self):
        validation.check_not_a_loss(self.hidden_layer_sizes)
        super()._validate_params()

    def _fit(
        self, X, y, sample_weight=None, given=(None, None, None), *, incremental=False, classes=None, resuming=False
    ):
        """given: X_val, y_val and sample_weight_val. resuming: the rest of a fit that was under way."""
        if incremental:
            self._validate_params()  # which scikit-learn's wrapper leaves out once the estimator is fitted
        validation.check_given_together(*given)
        if incremental and self.early_stopping and given[0] is None:
            raise ValueError(
                "partial_fit sees one part of the data and holds nothing out of it: with early_stopping=True give "
                "X_val and y_val, or set early_stopping=False and watch a score between the calls"
            )
        # Before the attributes are guarded: scikit-learn reads the context after a failure.
        done = self._training_state["under_way"]["n_epochs"] if resuming else 0
        context = None if incremental else self._init_callback_context(max_subtasks=self.max_iter - done)
        with validation.unchanged_on_failure(self), single_thread:
            result = self._fit_unguarded(X, y, sample_weight, given, incremental, classes, context, resuming)
        if result.warning is not None and not (incremental and result.stop_reason == "max_iter"):
            warnings.warn(result.warning, ConvergenceWarning, stacklevel=4)
        return self

    @validation.validated_fit
    def _resume(self, X, y, sample_weight, given):
        """Run the epochs left of a fit whose standing is among the attributes."""
        return self._fit(X, y, sample_weight, given, resuming=True)

    def _fit_unguarded(self, X, y, sample_weight, given, incremental, classes, context, resuming) -> FitResult:
        has_callbacks = context is not None and hasattr(self, "_skl_callbacks")
        metadata = {"sample_weight": sample_weight} if sample_weight is not None else None
        hook_data = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        if has_callbacks:
            context.call_on_fit_task_begin(**hook_data)
        going_on = resuming or (hasattr(self, "coefs_") and (incremental or self.warm_start))
        problem = self._problem(X, y, sample_weight, going_on=going_on, incremental=incremental, classes=classes)
        X, target, sample_weight = problem.X, problem.target, problem.sample_weight
        plan, activation, loss = problem.plan, problem.activation, problem.loss
        past = take_records(self)
        past = past if going_on else {}
        state = past.get("_training_state", {})
        moves_own = not state or (resuming and state["under_way"]["own_stream"])
        rng = check_random_state(self.random_state) if moves_own else restore_rng(state["rng"])
        theta = starting_theta(self, plan, activation, X.dtype, rng, going_on)
        weight = normalized_weight(sample_weight, X.dtype, state.get("mean_weight") if incremental else None)
        before_split = state.get("before_split") or save_rng(rng)
        train = held_out = None
        if given[0] is not None:
            held_out = self._check_validation_data(given, loss, X.dtype)
        elif self.early_stopping:
            split_rng = restore_rng(state["before_split"]) if state else rng
            train, rows = split_rows(
                X.shape[0], target.stratify, self.validation_fraction, split_rng, in_order=self.shuffle == "block"
            )
            held_out = HeldOut(X, target.y, target.given, weight, rows)
        objective = Objective(plan, activation, loss, X, target.y, weight, train)
        self._warn_of_settings(problem, objective.n_samples, stacklevel=6)
        objective.project(theta)
        self.__dict__.pop("input_indices_", None)  # of a compact model, which a fresh fit is not
        fitted_loss = self._parameter_loss()

        def network(theta: np.ndarray) -> dict[str, Any]:
            return self._network_attributes(problem, *plan.split(theta), fitted_loss)

        def under_way(theta: np.ndarray) -> dict[str, Any]:
            return {**network(theta), **standing.attributes()}

        tasks = EpochTasks(context, context.max_subtasks, hook_data, under_way) if has_callbacks else None
        monitor = Monitor(
            tol=self.tol,
            patience=self.n_iter_no_change,
            validate=None if held_out is None else self._validator(held_out, problem),
            stops_on_validation=bool(self.early_stopping),
            tasks=tasks,
            verbose=bool(self.verbose),
            first_epoch=len(past.get("loss_curve_", ())) if incremental else 0,
        )

        own = held_out if given[0] is not None else None
        data = cache(lambda: fingerprints(X, target.y, sample_weight, own))
        earlier_history, earlier_t = past.get("history_", {}), past.get("t_", 0)
        optimizer = state.get("optimizer") if state.get("solver") == self.solver else None
        if resuming:
            check_resumable(state, objective, data())
            done = state["under_way"]["n_epochs"]
            earlier_history, earlier_t, history = earlier_part(earlier_history, earlier_t, done, objective.n_samples)
            monitor.resume(state["under_way"], history)
        elif optimizer and incremental:
            monitor.progress = state["progress"]
        elif optimizer and held_out is None and _goes_on_minimizing(objective, theta, past):
            monitor.progress, monitor.best_theta = state["progress"], theta.copy()  # which is kept if all else diverges
        solver = self._make_solver(objective.n_samples, optimizer, incremental)
        standing = Standing(
            solver_name=self.solver,
            solver=solver,
            monitor=monitor,
            rng=rng,
            own_stream=rng is self.random_state,
            before_split=before_split,
            mean_weight=state["mean_weight"] if state else mean_weight(sample_weight),
            n_samples=objective.n_samples,
            earlier_history=earlier_history,
            earlier_t=earlier_t,
            data=data,
        )
        result = solver.minimize(objective, theta, monitor=monitor, rng=rng)
        if tasks is not None:
            tasks.close()
        if monitor.stop_requested and result.stop_reason != "diverged":
            result.stop_reason, result.warning = "callback", None
        if held_out is not None:
            if monitor.best_score == -np.inf:
                warnings.warn(NO_SCORE, UserWarning, stacklevel=5)
            elif monitor.best_theta is not None:
                result.theta = monitor.best_theta
        self.__dict__.update(network(result.theta))
        self._store(result, objective, monitor, standing)
        if self.warm_start or incremental:
            self._training_state = standing.state()
            if result.stop_reason == "diverged":
                self._training_state["optimizer"] = {}  # its moments are not those of the weights that are kept
        if tasks is not None:
            tasks.end_fit(theta, lambda: network(result.theta.copy()))
        return result

    def _problem(
        self, X, y, sample_weight, *, going_on: bool, incremental: bool = False, classes: Any = None
    ) -> Problem:
        """The problem that parameters and data pose; sets what is known of the data, such as n_features_in_."""
        hidden = validation.check_hidden_layer_sizes(self.hidden_layer_sizes)
        activation = resolve_activation(self.activation, len(hidden))
        loss = validation.resolve_loss(self.loss, self.task)
        X, target, sample_weight = self._check_data(
            X, y, sample_weight, self.dtype, going_on=going_on, incremental=incremental, classes=classes
        )
        loss, n_raw = self._outputs(loss, target.y.shape[1])
        loss.check_target(target.y)
        plan = self._make_plan((X.shape[1], *hidden, n_raw))
        return Problem(X, target, sample_weight, plan, activation, loss)

    def _parameter_loss(self) -> str | Loss:
        """The parameter loss, for the fitted state: later changes of an object are not the fitted model's."""
        return self.loss if isinstance(self.loss, str) else clone(self.loss)

    def _check_data(
        self,
        X,
        y,
        sample_weight,
        dtype,
        *,
        going_on: bool,
        incremental: bool = False,
        classes: Any = None,
        as_fitted: bool = False,
    ) -> tuple[Any, Target, np.ndarray | None]:
        """X as the core reads it, the encoded target and raw sample weights, without the rows of weight zero."""
        stage = {"going_on": going_on, "incremental": incremental, "classes": classes}
        X, y, sample_weight = validation.check_training_data(
            self,
            X,
            y,
            sample_weight,
            dtype=dtype,
            numeric_target=self.task == "regression",
            reset=not going_on,
            row_weights=partial(self._row_weights, as_fitted=as_fitted, **stage),
        )
        return X, self._encode_target(y, X.dtype, **stage), sample_weight

    def _check_validation_data(self, given, loss: Loss, dtype) -> HeldOut:
        try:
            X_val, y_val, sample_weight_val = given
            X, target, weight = self._check_data(X_val, y_val, sample_weight_val, dtype, going_on=True, as_fitted=True)
            loss.check_target(target.y)
        except ValueError as error:
            raise ValueError(f"validation data (X_val, y_val, sample_weight_val): {error}") from error
        return HeldOut(X, target.y, target.given, normalized_weight(weight, dtype))

    def _make_plan(self, layer_sizes: tuple[int, ...]) -> Plan:
        return make_plan(
            layer_sizes,
            penalty=self.penalty,
            l1_ratio=self.l1_ratio,
            alpha=self.alpha,
            layer_weights=self.layer_weights,
            feature_weights=self.feature_weights,
            penalize_intercepts=bool(self.penalize_intercepts),
        )

    def _warn_of_settings(self, problem: Problem, n_samples: int, *, stacklevel: int) -> None:
        """Of those that do not do what they seem to."""
        names = activation_of_each(problem.activation, len(problem.plan.shapes) - 1)
        if problem.plan.can_be_evaded([name in POSITIVELY_HOMOGENEOUS for name in names]):
            warnings.warn(
                f"Some layers are penalised and others are not. With activation={problem.activation!r} a penalised "
                "layer can shrink while the next one grows and the function stays the same, so the penalty may have no "
                "effect; penalise every layer, if only a little.",
                UserWarning,
                stacklevel=stacklevel,
            )
        if self.solver in STOCHASTIC_SOLVERS and self.batch_size != "auto" and self.batch_size > n_samples:
            warnings.warn(
                f"batch_size={self.batch_size} is larger than the {n_samples} training samples and is cut to them.",
                UserWarning,
                stacklevel=stacklevel,
            )

    def _validator(self, held_out: HeldOut, problem: Problem) -> Callable[[np.ndarray], tuple[float, float]]:
        """theta -> score by validation_scoring, higher is better, and mean loss on the held-out rows."""
        scoring = self.validation_scoring
        plan, activation, loss = problem.plan, problem.activation, problem.loss
        if scoring is None:

            def score(y: np.ndarray, raw: np.ndarray, weight: np.ndarray | None) -> float:
                return self._validation_score(loss, y, raw, weight)

            return make_validator(held_out, plan, activation, loss, score)
        if isinstance(scoring, str) and scoring == "loss":
            of_loss = make_validator(held_out, plan, activation, loss, lambda *_: np.nan)

            def minus_loss(theta: np.ndarray) -> tuple[float, float]:
                _, value = of_loss(theta)
                return -value, value

            return minus_loss

        def fitted(coefs: list[np.ndarray], intercepts: list[np.ndarray]) -> BaseEstimator:
            estimator = unnamed_copy(self)
            vars(estimator).update(self._network_attributes(problem, coefs, intercepts, self.loss))
            return estimator

        scorer = check_scoring(self, scoring)
        return make_scored_validator(held_out, plan, activation, loss, scorer, fitted)

    def _make_solver(self, n_samples: int, state: dict | None, incremental: bool) -> Solver:
        if self.solver == "lbfgs":
            return Lbfgs(tol=self.tol, max_iter=self.max_iter, max_fun=self.max_fun)
        if self.solver == "fista":
            return Fista(tol=self.tol, max_iter=self.max_iter)
        schedule = self._make_schedule(self.learning_rate_init, self.max_iter)
        max_iter = 1 if incremental else self.max_iter
        first_epoch = (state or {}).get("n_epochs", 0) if incremental else 0
        return self._make_stochastic(n_samples, state, schedule, max_iter=max_iter, first_epoch=first_epoch)

    def _make_schedule(self, initial: float, max_iter: int) -> Schedule:
        power_t, solver = self.power_t, self.solver
        return make_schedule(self.learning_rate, initial, power_t=power_t, max_iter=max_iter, solver=solver)

    def _make_stochastic(
        self, n_samples: int, state: dict | None, schedule: Schedule, *, max_iter: int, first_epoch: int = 0
    ) -> Stochastic:
        parameters = (
            {"momentum": self.momentum, "nesterov": self.nesterovs_momentum}
            if self.solver == "sgd"
            else {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        )
        return Stochastic(
            self.solver,
            parameters,
            schedule,
            max_iter=max_iter,
            batch_size=self._batch_rows(n_samples),
            shuffle="block" if self.shuffle == "block" else bool(self.shuffle),
            state=state,
            first_epoch=first_epoch,
        )

    def _batch_rows(self, n_samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, n_samples)
        return min(int(self.batch_size), n_samples)

    def _network_attributes(self, problem: Problem, coefs: list, intercepts: list, loss: str | Loss) -> dict[str, Any]:
        """All that predicting needs."""
        layer_sizes, n_targets = problem.plan.layer_sizes, problem.n_targets
        return {
            "coefs_": coefs,
            "intercepts_": intercepts,
            "n_layers_": len(layer_sizes),
            "n_outputs_": layer_sizes[-1],
            "hidden_activation_": problem.activation,
            "out_activation_": self._whole_loss(loss, n_targets).link(n_targets, layer_sizes[-1]).name,
            "_fitted_loss": loss,
            "_n_targets": n_targets,
        }

    def _store(self, result: FitResult, objective: Objective, monitor: Monitor, standing: Standing) -> None:
        """Note what RECORDS names, but the state."""
        self.objective_ = _value(objective, result.theta)
        if not np.isfinite(self.objective_):
            raise ValueError(
                "Training diverged: the objective of the best parameters is infinite or NaN. Scale the features "
                "(StandardScaler) and the targets, or lower learning_rate_init."
            )
        self.__dict__.update(standing.records(result.n_iter))
        self.stop_reason_ = result.stop_reason
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else self.objective_
        validated = monitor.validate is not None
        self.best_loss_ = None if validated else min(monitor.best_objective, self.loss_)
        self.validation_scores_ = list(self.history_["validation_score"]) if validated else None
        self.best_validation_score_ = None
        if validated:
            self.best_validation_score_ = np.nan if monitor.best_score == -np.inf else monitor.best_score

    # ------------------------------------------------------------------------------------------ predicting

    def _loss(self) -> Loss:
        """The loss that the model was fitted with."""
        check_is_fitted(self)
        return self._whole_loss(self._fitted_loss, self._n_targets)

    def _whole_loss(self, loss: str | Loss, n_targets: int) -> Loss:
        return self._outputs(validation.resolve_loss(loss, self.task), n_targets)[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _goes_on_minimizing(objective: Objective, theta: np.ndarray, past: dict[str, Any]) -> bool:
    """Whether a fit goes on from one that was cut off, with the same objective: then patience goes on too."""
    cut_off = past.get("stop_reason_") in ("max_iter", "callback") and past["validation_scores_"] is None
    return cut_off and _value(objective, theta) == past["objective_"]


def _value(objective: Objective, theta: np.ndarray) -> float:
    """F(theta)."""
    return objective.unsmoothed_data_loss(theta) + objective.penalty(theta)
