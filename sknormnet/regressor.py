"""NormRegMLPRegressor."""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from sknormnet import validation
from sknormnet.base import BaseNormRegMLP, check_stochastic
from sknormnet.losses import LOSSES, Loss
from sknormnet.problem import Target


class NormRegMLPRegressor(RegressorMixin, BaseNormRegMLP):
    """Multilayer perceptron regressor with a pluggable loss and norm penalty.

    Minimises (1/S) * sum_i s_i * l(y_i, f(x_i)) + alpha * sum_l c_l * Omega_l(W_l), S = sum_i s_i, over the weights
    and intercepts of the network f, whose raw outputs the loss l takes. A loss over several targets is their sum.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer. ``()`` is a linear model.

    activation : str, sequence of str or PerLayer, default="relu"
        Activation of the hidden layers: "identity", "relu", "tanh", "logistic", "leaky_relu" (slope 0.01 below zero),
        "elu", "gelu" (exact), "silu" or "softplus". A sequence has one name per hidden layer, a `PerLayer` one for the
        first hidden layer, those between and the last.

    loss : str or Loss, default="squared_error"
        Loss on the raw outputs: "squared_error", "absolute_error", "huber", "log_cosh", "quantile",
        "epsilon_insensitive", "squared_epsilon_insensitive", "euclidean", "poisson", "gamma", "tweedie" or
        "gaussian_nll". An object of `sknormnet.losses` sets the loss's parameters, which a grid then reaches as
        ``loss__delta`` and the like; a loss of your own is a subclass of `sknormnet.losses.Loss`.

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
        Rows of a minibatch; "auto" is min(200, n_samples). For adam and sgd. The last batch has what is left, and its
        step is as long as any: a size that leaves a few rows only makes it noise, which adam feels most.

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

    shuffle : bool or "block", default=True
        Whether adam and sgd visit the rows in a new random order in each epoch. "block": blocks of neighbouring rows in
        random order, the rows of each block shuffled, which reads a table that is larger than memory in long runs. A
        block has max(1, 2**23 // n_features) rows; where X is sparse, 2**23 * n_samples // (number of entries).

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
        Score on the validation data: that of `score` for None, minus the mean loss for "loss", otherwise a scorer's
        name or a callable ``scorer(estimator, X, y)`` as in `sklearn.metrics.check_scoring`, which gets
        ``sample_weight`` where weights differ.

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
        Inverse link of the outputs: "identity", "exp" for the losses with a log link, "sorted" for several quantiles,
        "mean_variance" for "gaussian_nll".

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
    NormRegMLPClassifier : The classifier.
    sklearn.neural_network.MLPRegressor : The same model with L2 only.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, chapter 11.
    Kingma and Ba (2015), Adam: a method for stochastic optimization.
    Parikh and Boyd (2014), Proximal algorithms.

    Examples
    --------
    With no hidden layer and an L1 penalty the model is the lasso:

    >>> import numpy as np
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.linear_model import Lasso
    >>> from sknormnet import NormRegMLPRegressor
    >>> X, y = make_regression(n_samples=100, n_features=10, n_informative=3, random_state=0)
    >>> model = NormRegMLPRegressor((), penalty="l1", alpha=5.0, solver="fista", max_iter=5000, tol=1e-6).fit(X, y)
    >>> lasso = Lasso(alpha=5.0, tol=1e-10).fit(X, y)
    >>> bool(np.allclose(model.coefs_[0].ravel(), lasso.coef_, atol=1e-5))
    True
    >>> int((model.coefs_[0] != 0.0).sum())
    3
    """

    task = "regression"
    _parameter_constraints = validation.parameter_constraints("regression")

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="squared_error",
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

    @validation.validated_fit
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the model.

        A fit that fails, Ctrl-C included, leaves the estimator as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, finite.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, real and finite.
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
    def partial_fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Update the model with one epoch over the given rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, finite.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, real and finite.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0; every call's are divided by the mean of the first call's.
        X_val, y_val, sample_weight_val : default=None
            Validation data: the score and the loss on them are noted in `history_`, and with early_stopping
            `stop_reason_` says when the score has not improved for n_iter_no_change calls.

        Returns
        -------
        self : object
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=True)

    def predict(self, X, return_std=False):
        """Predicted means, medians or quantiles, whichever the loss estimates.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return standard deviations too; for ``loss="gaussian_nll"``, which estimates them.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_columns)
            A column for each target, or for each target's quantiles, which never decrease within a target.
        std : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Only with return_std=True.

        Raises
        ------
        ValueError
            If return_std is set and the loss does not estimate a standard deviation.
        """
        loss = self._loss()

        def values(raw: np.ndarray) -> np.ndarray:
            prediction = validation.check_prediction(loss, loss.prediction(raw, self._n_targets), len(raw))
            if not return_std:
                return prediction
            return np.hstack([prediction, loss.standard_deviation(raw, self._n_targets)])

        columns = self._predict_in_blocks(X, values)
        if not return_std:
            return _flattened(columns)
        n_columns = columns.shape[1] - self._n_targets
        return _flattened(columns[:, :n_columns]), _flattened(columns[:, n_columns:])

    def score(self, X, y, sample_weight=None):
        """R^2 of the predictions; with quantile losses the D^2 pinball score, averaged over quantiles and targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            At most 1; 0 is the score of the best constant.
        """
        prediction = self.predict(X)
        return self._loss().score(y, prediction, validation.check_scoring_weight(sample_weight, len(prediction)))

    def _encode_target(
        self, y: np.ndarray, dtype: np.dtype, *, going_on: bool, incremental: bool, classes: Any
    ) -> Target:
        values = validation.check_target_values(y, dtype)
        if going_on and values.shape[1] != self._n_targets:
            raise ValueError(
                f"y has {values.shape[1]} targets, the first fit had {self._n_targets}; fit anew for others"
            )
        self._n_targets = values.shape[1]
        return Target(values, y)

    def _validation_score(self, loss: Loss, y: np.ndarray, raw: np.ndarray, sample_weight: np.ndarray | None) -> float:
        prediction = validation.check_prediction(loss, loss.prediction(raw, y.shape[1]), len(raw))
        if not np.isfinite(prediction).all():
            return np.nan
        return loss.score(y, prediction, sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = _needs_positive_targets(self.loss)
        return tags


def _needs_positive_targets(loss: Any) -> bool:
    """False for what is no valid loss: fit says so, tags raise nothing."""
    loss = LOSSES[loss]() if isinstance(loss, str) and loss in LOSSES else loss
    if not isinstance(loss, Loss):
        return False
    try:
        return not np.all(loss.in_domain(np.array([[-1.0]])))
    except Exception:
        return False


def _flattened(columns: np.ndarray) -> np.ndarray:
    """One column as a vector."""
    return columns[:, 0] if columns.shape[1] == 1 else columns
