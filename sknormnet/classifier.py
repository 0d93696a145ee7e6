"""NormRegMLPClassifier."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from sknormnet import validation
from sknormnet.base import BaseNormRegMLP, Target, check_stochastic
from sknormnet.losses import LOSSES, Link, Loss, loss_names


def check_probabilities(estimator: BaseNormRegMLP) -> bool:
    """For available_if: whether the loss defines probabilities."""
    loss = validation.resolve_loss(getattr(estimator, "_fitted_loss", estimator.loss), "classification")
    outputs = getattr(estimator, "_n_targets", 1), getattr(estimator, "n_outputs_", 1)
    if not loss.link(*outputs).gives_probabilities:
        names = [name for name in loss_names("classification") if LOSSES[name]().link(1, 1).gives_probabilities]
        raise AttributeError(f"{loss!r} does not define probabilities; these losses do: {names}")
    return True


class NormRegMLPClassifier(ClassifierMixin, BaseNormRegMLP):
    """Multilayer perceptron classifier with a pluggable loss and norm penalty.

    Minimises (1/S) * sum_i s_i * l(y_i, f(x_i)) + alpha * sum_l c_l * Omega_l(W_l), S = sum_i s_i, over the weights
    and intercepts of the network f, whose raw outputs the loss l takes.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer. ``()`` is a linear model.

    activation : str, sequence of str or PerLayer, default="relu"
        Activation of the hidden layers: "identity", "relu", "tanh", "logistic", "leaky_relu" (slope 0.01 below zero),
        "elu", "gelu" (exact), "silu" or "softplus". A sequence has one name per hidden layer, a `PerLayer` one for the
        first hidden layer, those between and the last.

    loss : str or Loss, default="log_loss"
        Loss on the raw outputs: "log_loss", "brier", "hinge", "squared_hinge", "modified_huber" or "focal"; the two
        hinge losses define no probabilities, so that `predict_proba` is absent. An object of `sknormnet.losses` sets
        the loss's parameters, which a grid then reaches as ``loss__gamma`` and the like; a loss of your own is a
        subclass of `sknormnet.losses.Loss`.

    penalty : str, None, Penalty, sequence or PerLayer, default="l2"
        Omega: the norm penalty on each weight matrix: "l2", "l1", "elasticnet", "l2_norm", "group_lasso",
        "sparse_group_lasso", "mcp", "scad", "nuclear", "none"; the constraints "max_norm" and "non_negative", which
        hold whatever alpha is; or "weight_decay", which acts on the steps of sgd and adam instead. An object of
        `sknormnet.penalties` sets more, a `Sum` puts several on one layer, and a penalty of your own is a subclass of
        `Penalty` or `ShapePenalty` there. A sequence has one entry per weight matrix, a `PerLayer` one for the first,
        the hidden and the last. "l1", "elasticnet", "non_negative", "mcp", "scad" and the penalties of groups make
        weights, or groups of them, exactly zero.

    alpha : float >= 0, default=1e-4
        Strength of the penalty. Its meaning does not depend on the batch size; scikit-learn's
        ``MLPClassifier(alpha=a)`` is ``alpha=a / batch_size`` here, or ``a / n_samples`` for lbfgs.

    l1_ratio : float in [0, 1], default=0.5
        Mixture of ``penalty="elasticnet"``; 1 is L1.

    layer_weights : {"uniform", "size", "fan"}, None, sequence of float or PerLayer, default=None
        Factor c_l of each weight matrix's penalty. None and "uniform": 1; "size": 1 / (fan_in*fan_out); "fan":
        (fan_in + fan_out) / (fan_in*fan_out). With ``layer_weights=PerLayer()`` a grid reaches
        ``layer_weights__first``, ``__hidden`` and ``__last`` as scalars, whatever the depth.

    feature_weights : array-like of float of shape (n_features,), default=None
        Factor of the penalty of each input on the first layer, 0 for one that is not penalised. For penalties of single
        weights (L1, L2, ...) and those with ``by="input"``; others refuse it.

    penalize_intercepts : bool, default=False
        Whether intercepts count as one more row of their layer's matrix in the penalty.

    solver : {"adam", "sgd", "lbfgs", "fista"}, default="adam"
        "adam" and "sgd" step through minibatches. "lbfgs" (SciPy's L-BFGS-B) and "fista" (proximal gradient with
        backtracking, monotone) use all data in every iteration. lbfgs takes smooth penalties, L1, elastic net and
        non-negative weights, fista all but "weight_decay", adam and sgd every penalty.

    batch_size : int or "auto", default="auto"
        Rows of a minibatch; "auto" is min(200, n_samples). For adam and sgd.

    learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default="constant"
        "cosine" decays to zero over max_iter epochs, for adam and sgd, and then runs them all; at a constant rate the
        set of non-zero weights flickers. "invscaling" (rate / t**power_t) and "adaptive" (a fifth after each plateau)
        are, as in scikit-learn, for sgd only: adam runs at its constant rate under them. In `partial_fit`, "cosine"
        decays over max_iter calls.

    learning_rate_init : float > 0, default=0.001
        Initial learning rate of adam and sgd.

    power_t : float >= 0, default=0.5
        Exponent of "invscaling".

    max_iter : int, default=200
        Most epochs (adam, sgd) or iterations (lbfgs, fista).

    shuffle : bool, default=True
        Whether adam and sgd visit the rows in a new random order in each epoch.

    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the shuffling and the validation split; drawn in scikit-learn's order.

    tol : float >= 0, default=1e-4
        adam and sgd: an epoch counts as no improvement if the objective falls by less than tol (or the validation
        score rises by less). lbfgs: largest entry of the projected gradient at which to stop. fista: relative residual
        at which to stop, see `sknormnet.inspection.stationarity`.

    verbose : bool or int, default=False
        Print a table with a line per epoch: the two terms of the objective and their sum, the validation score, the
        number of weights that are not zero, learning rate and seconds.

    warm_start : bool, default=False
        Go on from the previous fit: its weights, optimiser state and random stream, and, if the objective is the same,
        its patience.

    momentum : float in [0, 1], default=0.9
        Momentum of sgd.

    nesterovs_momentum : bool, default=True
        Whether sgd's momentum is Nesterov's.

    early_stopping : bool, default=False
        Stop when the score on validation data no longer improves, and keep the best parameters. The data are held out,
        or given to `fit` as X_val and y_val.

    validation_fraction : float in [0, 1), default=0.1
        Share that is held out with early_stopping; stratified by class where there are classes.

    validation_scoring : str, callable or None, default=None
        Score on the validation data: accuracy for None, minus the mean loss for "loss", otherwise a scorer's name or a
        callable ``scorer(estimator, X, y)`` as in `sklearn.metrics.check_scoring`, which gets ``sample_weight`` where
        weights differ.

    class_weight : {"balanced"}, dict or None, default=None
        Factors of the sample weights, by class. "balanced": n_samples / (n_classes * number of samples of the class);
        a dict has a number >= 0 for some classes, the others have 1. They weigh validation data too. partial_fit, which
        does not see how frequent classes are, takes a dict only; labels have none.

    beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
        Decay of adam's moments.

    epsilon : float > 0, default=1e-8
        Added to the root of adam's second moment.

    n_iter_no_change : int or inf, default=10
        Epochs without improvement after which training stops.

    max_fun : int, default=15000
        Most evaluations of the objective by lbfgs.

    dtype : {"float32", "float64"}, numpy.float32, numpy.float64 or None, default=None
        Type of all arithmetic. None: float32 data stay float32, all other become float64.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes; the columns' numbers for an indicator matrix.

    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weight matrices.

    intercepts_ : list of ndarray of shape (fan_out,)
        Intercepts.

    objective_ : float
        Data loss plus penalty at the fitted parameters, over the training data.

    history_ : dict of lists
        One entry per epoch or iteration of "data_loss", "penalty", "objective", "n_nonzero" (non-zero weights of each
        matrix), "residual", "learning_rate" (fista: step; lbfgs: None), "validation_score", "validation_loss" (mean
        loss, without the penalty) and "seconds". For adam and sgd, data losses are means over the epoch's batches; the
        validation loss is that of the parameters at the epoch's end. The residual of lbfgs and fista is the relative
        one of `sknormnet.inspection.stationarity`, for a loss with kinks that of the smoothed loss; of adam and sgd
        None.

    loss_curve_ : list of float
        The history's objective.

    loss_, best_loss_ : float
        Last and lowest entry of the loss curve; best_loss_ is None with validation data.

    validation_scores_, best_validation_score_ : list of float, float
        Score on the validation data by `validation_scoring`, and the highest; None without them. NaN is never best.

    n_iter_ : int
        Epochs or iterations of the last fit.

    stop_reason_ : {"stationary", "stalled", "max_iter", "patience", "diverged", "callback"}
        What ended the last fit. "stationary": lbfgs or fista met `tol` (with a loss with kinks, on its last smoothing).
        "stalled": they could not lower the objective any further, as on a kink of the network or at the precision of
        the dtype. "max_iter": that, or `max_fun`, was reached. "patience": no improvement for `n_iter_no_change`
        epochs, or iterations with early stopping. "diverged": the objective became infinite, NaN or far larger than at
        first; the best parameters are kept. "callback": one that ``set_callbacks`` has set asked to stop. After
        `partial_fit`, "max_iter" or, once `n_iter_no_change` calls were without improvement, "patience".

    t_ : int
        Number of rows visited.

    n_layers_ : int
        Number of layers, input and output included.

    n_outputs_ : int
        Raw outputs.

    hidden_activation_ : str or tuple of str
        Activation of the fitted hidden layers: one name if all have the same, otherwise one for each.

    out_activation_ : str
        Inverse link of the outputs. Of losses with probabilities: "logistic" for two classes and for labels, "softmax"
        for more classes, "clipped" for "modified_huber". Otherwise "identity".

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of str
        Names of the features, where X has string names for all of them.

    feature_importances_ : ndarray of shape (n_features_in_,)
        Norms of the first matrix's rows: how much the network reads of each feature, zero for what it does not read.

    n_nonzero_, sparsity_ : tuple of int, float
        Non-zero weights of each matrix, and the share of exact zeros among the weights of all.

    input_indices_ : ndarray of int
        Of a model that `compact` made: the features that the first matrix has rows for.

    See Also
    --------
    NormRegMLPRegressor : The regressor.
    sklearn.neural_network.MLPClassifier : The same model with L2 only.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, chapter 11.
    Kingma and Ba (2015), Adam: a method for stochastic optimization.
    Parikh and Boyd (2014), Proximal algorithms.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknormnet import NormRegMLPClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(),
    ...     NormRegMLPClassifier((8,), penalty="l1", alpha=0.01, solver="fista", tol=0.01, random_state=0),
    ... ).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    >>> bool((model[-1].coefs_[0] == 0.0).mean() > 0.5)  # exact zeros
    True
    """

    task = "classification"
    _parameter_constraints = validation.parameter_constraints("classification")
    _class_weights: dict[Any, float] | None

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="log_loss",
        penalty="l2",
        alpha=1e-4,
        l1_ratio=0.5,
        layer_weights=None,
        feature_weights=None,
        penalize_intercepts=False,
        solver="adam",
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        validation_scoring=None,
        class_weight=None,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dtype=None,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            loss=loss,
            penalty=penalty,
            alpha=alpha,
            l1_ratio=l1_ratio,
            layer_weights=layer_weights,
            feature_weights=feature_weights,
            penalize_intercepts=penalize_intercepts,
            solver=solver,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            validation_scoring=validation_scoring,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            dtype=dtype,
        )
        self.class_weight = class_weight

    @validation.validated_fit
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the model.

        A fit that fails, Ctrl-C included, leaves the estimator as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, finite.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes of any type, or a binary indicator matrix of labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, normalised to mean 1; rows of weight 0 are left out.
        X_val, y_val : {array-like, sparse matrix} of shape (n_val, n_features), array-like, default=None
            Validation data of one's own: nothing is held out of X then. The score and the loss on them are noted in
            `history_`, the parameters of the best score are kept, and with early_stopping the fit stops when it no
            longer improves. A search (GridSearchCV and the like) that routes them slices whatever has as many rows as
            its X: give it validation data of another length.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation score and loss.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError, TypeError
            If the data or a parameter are not valid, or no finite parameters were found.
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    @available_if(check_stochastic)
    @validation.validated_fit
    def partial_fit(self, X, y, sample_weight=None, classes=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Update the model with one epoch over the given rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, finite.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes; those of later calls must be among `classes`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0; every call's are divided by the mean of the first call's.
        classes : array-like of shape (n_classes,), default=None
            All classes; needed in the first call, unless y is an indicator matrix.
        X_val, y_val, sample_weight_val : default=None
            Validation data: the score and the loss on them are noted in `history_`, and with early_stopping
            `stop_reason_` says when the score has not improved for n_iter_no_change calls.

        Returns
        -------
        self : object
        """
        given = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, given, incremental=True, classes=classes)

    def predict(self, X):
        """Most probable classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Classes with the largest raw prediction, for two classes by its sign; or the indicator matrix of labels.
        """
        return self._predict_in_blocks(X, self._decode)

    def decision_function(self, X):
        """Raw predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        raw : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            For two classes a column that is positive for ``classes_[1]`` (its log-odds with "log_loss"), otherwise a
            column for each class or label.
        """

        def decision(raw: np.ndarray) -> np.ndarray:
            if self._n_label_columns is None and raw.shape[1] == 2:
                return raw[:, 1] - raw[:, 0]
            return raw[:, 0] if self._binary else raw

        return self._predict_in_blocks(X, decision)

    @available_if(check_probabilities)
    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            Columns as in `classes_`; for labels the probability of each.
        """
        link = self._link()

        def probabilities(raw: np.ndarray) -> np.ndarray:
            p = link.inverse(raw)
            if not self._binary:
                return p
            return np.hstack([link.inverse(-raw) if link.symmetric else 1 - p, p])

        return self._predict_in_blocks(X, probabilities)

    @available_if(check_probabilities)
    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        With softmax or the logistic function they are finite also where a probability rounds to zero.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
        """
        link = self._link()

        def log_probabilities(raw: np.ndarray) -> np.ndarray:
            log_p = link.log_inverse(raw)
            if not self._binary:
                return log_p
            return np.hstack([link.log_inverse(-raw) if link.symmetric else np.log1p(-link.inverse(raw)), log_p])

        return self._predict_in_blocks(X, log_probabilities)

    @property
    def _binary(self) -> bool:
        """Whether one raw column stands for two classes."""
        return self.n_outputs_ == 1 and self._n_label_columns is None

    def _link(self) -> Link:
        return self._loss().link(self._n_targets, self.n_outputs_)

    def _decode(self, raw: np.ndarray) -> np.ndarray:
        if self._n_label_columns is not None:
            return (raw > 0).astype(np.int64)
        return self.classes_[_class_numbers(raw)]

    def _encode_target(
        self, y: np.ndarray, dtype: np.dtype, *, going_on: bool, incremental: bool, classes: Any
    ) -> Target:
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multilabel-indicator":
            return self._encode_labels(y, dtype, going_on)
        if kind not in ("binary", "multiclass"):
            raise ValueError(
                f"y is of type {kind!r}; expected classes in one column or a binary indicator matrix of labels"
            )
        present = unique_labels(y)
        if not going_on:
            if incremental and classes is None:
                raise ValueError("the first call of partial_fit needs classes=, all the classes that will ever be seen")
            self.classes_ = self._first_classes(present, classes)
            self._n_label_columns = None
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(
                f"classes={unique_labels(classes).tolist()} differ from the first call's {self.classes_.tolist()}"
            )
        elif self._n_label_columns is not None:
            raise ValueError(f"y must be an indicator matrix with {self._n_label_columns} columns, as in the first fit")
        unknown = np.setdiff1d(present, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y has classes {unknown.tolist()}, which are not among the fitted ones, {self.classes_.tolist()}; "
                "name all classes in the first call of partial_fit, or fit anew"
            )
        numbers = np.searchsorted(self.classes_, y.astype(present.dtype, copy=False))
        return Target(numbers.astype(dtype)[:, np.newaxis], y, n_classes=len(self.classes_), stratify=numbers)

    def _row_weights(
        self, y: np.ndarray, *, going_on: bool, incremental: bool, classes: Any, as_fitted: bool
    ) -> np.ndarray | None:
        if not as_fitted:
            if incremental and self.class_weight == "balanced":
                raise ValueError(
                    "class_weight='balanced' needs all data at once; give partial_fit a dict, such as "
                    "dict(zip(classes, compute_class_weight('balanced', classes=classes, y=y)))"
                )
            known = self.classes_ if going_on else classes
            self._class_weights = None if self.class_weight is None else self._weights_by_class(y, known)
        if self._class_weights is None or y.ndim != 1:  # encoding refuses such rows of other data
            return None
        check_classification_targets(y)
        present, numbers = np.unique(y, return_inverse=True)
        return np.array([self._class_weights.get(label, 1.0) for label in present.tolist()])[numbers]

    def _weights_by_class(self, y: np.ndarray, classes: Any) -> dict[Any, float]:
        """class_weight by the class of rows of y, where classes are those that it may name; None is those of y."""
        check_classification_targets(y)
        if y.ndim != 1:
            raise ValueError("class_weight is for classes in one column; weigh samples of labels by sample_weight")
        present, counts = np.unique(y, return_counts=True)
        if self.class_weight == "balanced":
            return dict(zip(present.tolist(), (len(y) / (len(present) * counts)).tolist(), strict=True))
        known = present if classes is None else unique_labels(classes)
        unknown = set(self.class_weight) - set(known.tolist()) - set(present.tolist())  # those of weight 0 may be there
        if unknown:
            raise ValueError(f"class_weight names {sorted(unknown, key=str)}, which are no classes: {known.tolist()}")
        for label, weight in self.class_weight.items():
            if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= float(weight) < np.inf:
                raise ValueError(f"class_weight must be finite numbers >= 0, got {weight!r} for class {label!r}")
        return dict(self.class_weight)

    @staticmethod
    def _first_classes(present: np.ndarray, classes: Any) -> np.ndarray:
        if classes is not None:
            present = unique_labels(classes)
        if len(present) < 2:
            raise ValueError(
                f"y has one class only, {present.tolist()} (of the rows with a positive weight); a classifier needs at "
                "least two classes"
            )
        return present

    def _encode_labels(self, y: np.ndarray, dtype: np.dtype, going_on: bool) -> Target:
        outside = (y != 0) & (y != 1)
        if outside.any():
            raise ValueError(
                f"an indicator matrix of labels holds 0 and 1 only; y has {outside.sum()} other values, the first is "
                f"{y[outside][0]}"
            )
        if not going_on:
            self.classes_ = np.arange(y.shape[1])
            self._n_label_columns = y.shape[1]
        elif self._n_label_columns is None:
            raise ValueError("y is an indicator matrix, the first fit had classes in one column")
        elif y.shape[1] != self._n_label_columns:
            raise ValueError(f"y has {y.shape[1]} columns of labels, the first fit had {self._n_label_columns}")
        return Target(np.ascontiguousarray(y, dtype=dtype), y)

    def _validation_score(self, loss: Loss, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None) -> float:
        predicted = raw > 0 if self._n_label_columns is not None else _class_numbers(raw)
        truth = y > 0 if self._n_label_columns is not None else y[:, 0].astype(np.int64)
        return float(accuracy_score(truth, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _class_numbers(raw: np.ndarray) -> np.ndarray:
    return (raw[:, 0] > 0).astype(np.intp) if raw.shape[1] == 1 else raw.argmax(axis=1)
