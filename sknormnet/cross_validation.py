"""The estimators whose alpha is chosen by cross-validation along a path: signatures and documentation."""

from sknormnet import validation
from sknormnet.classifier import NormRegMLPClassifier
from sknormnet.path.folds import PathCV
from sknormnet.regressor import NormRegMLPRegressor


class NormRegMLPClassifierCV(PathCV, NormRegMLPClassifier):
    """NormRegMLPClassifier whose alpha is chosen by cross-validation along a regularization path.

    On the training rows of every fold, and on all rows, `regularization_path` is followed; the score on the test rows
    of the folds chooses the strength. Models are warm-started from strength to strength, so that a
    strength costs much less than a fit.

    Parameters
    ----------
    hidden_layer_sizes, activation, loss, penalty, l1_ratio, layer_weights, feature_weights : optional
    penalize_intercepts, solver, batch_size, learning_rate, learning_rate_init, power_t, max_iter : optional
    shuffle, random_state, tol, verbose, momentum, nesterovs_momentum, beta_1, beta_2, epsilon : optional
    n_iter_no_change, max_fun, dtype, class_weight : optional
        As of `NormRegMLPClassifier`. `max_iter`, `tol` and `n_iter_no_change` count for each strength as
        `regularization_path` says; verbose prints a line for each of the path on all data.

    alphas : array-like of float of shape (n_alphas,), default=None
        Strengths, sorted; None: found on all data, see `regularization_path`.

    n_alphas : int >= 2, default=50
        Number of strengths, if alphas is None.

    alpha_min_ratio : float in (0, 1), default=1e-3
        Smallest strength by the largest, if alphas is None.

    cv : int, cross-validation generator or iterable, default=None
        Splits, as of `sklearn.model_selection.check_cv`; None is 5 folds, stratified.

    scoring : str, callable or None, default=None
        Scorer, higher is better; None is the estimator's `score`. It gets the sample weights of the rows that it scores
        or, with metadata routing enabled, what it requests (for None: by `set_score_request`).

    n_jobs : int or None, default=None
        Number of threads over the folds and the path on all data; None is 1, or what a joblib context says.

    selection : {"best", "1se"}, default="best"
        "best": the strength with the highest mean score, the largest of several. "1se": the largest whose mean score is
        within one standard error of the highest, a sparser model that can hardly be told from the best.

    n_restarts : int >= 1, default=1
        Number of starts of each path; of the models at a strength the one with the smallest objective is kept.

    Attributes
    ----------
    alpha_ : float
        The strength chosen.

    alphas_ : ndarray of shape (n_alphas,)
        All strengths.

    scores_path_ : ndarray of shape (n_alphas, n_folds)
        Score of each fold; NaN for a fold whose test rows have weights of 0.

    mean_scores_, standard_errors_ : ndarray of shape (n_alphas,)
        Of the folds. A fold's score counts by the sum w_k of the sample weights of its test rows, or their number; the
        error is sqrt(sum_k w_k * (score_k - mean)**2 / sum_k w_k / (n_folds - 1)).

    best_index_, one_se_index_ : int
        Places in `alphas_` of the strengths that "best" and "1se" choose.

    path_ : RegularizationPath
        The path on all data. The fitted model is the one at `alpha_`.

    coefs_, intercepts_, objective_, history_, ... : as of NormRegMLPClassifier
        All attributes of the model at `alpha_`.

    See Also
    --------
    NormRegMLPClassifier : The plain estimator.
    regularization_path : The path alone.
    sklearn.linear_model.LassoCV : The same for linear models.

    Notes
    -----
    The path of a network with hidden layers is a homotopy of local solutions: another seed may choose another strength.
    The folds' paths start from the same seed.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 7.10, with the one standard
    error rule. Friedman, Hastie and Tibshirani (2010), J. Stat. Software 33(1).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NormRegMLPClassifierCV((), penalty="l1", solver="fista", max_iter=2000, n_alphas=10, selection="1se")
    >>> model = model.fit(scale(X), y)
    >>> model.scores_path_.shape
    (10, 5)
    >>> bool(model.mean_scores_[model.best_index_] > 0.9)
    True
    >>> bool(model.alpha_ == model.alphas_[model.one_se_index_])
    True
    """

    plain = NormRegMLPClassifier
    _parameter_constraints = validation.path_cv_constraints("classification")

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="log_loss",
        penalty="l2",
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
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        class_weight=None,
        max_fun=15000,
        dtype=None,
        alphas=None,
        n_alphas=50,
        alpha_min_ratio=1e-3,
        cv=None,
        scoring=None,
        n_jobs=None,
        selection="best",
        n_restarts=1,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            loss=loss,
            penalty=penalty,
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
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            dtype=dtype,
            alphas=alphas,
            n_alphas=n_alphas,
            alpha_min_ratio=alpha_min_ratio,
            cv=cv,
            scoring=scoring,
            n_jobs=n_jobs,
            selection=selection,
            n_restarts=n_restarts,
        )
        self.class_weight = class_weight


class NormRegMLPRegressorCV(PathCV, NormRegMLPRegressor):
    """NormRegMLPRegressor whose alpha is chosen by cross-validation along a regularization path.

    On the training rows of every fold, and on all rows, `regularization_path` is followed; the score on the test rows
    of the folds chooses the strength. Models are warm-started from strength to strength, so that a
    strength costs much less than a fit.

    Parameters
    ----------
    hidden_layer_sizes, activation, loss, penalty, l1_ratio, layer_weights, feature_weights : optional
    penalize_intercepts, solver, batch_size, learning_rate, learning_rate_init, power_t, max_iter : optional
    shuffle, random_state, tol, verbose, momentum, nesterovs_momentum, beta_1, beta_2, epsilon : optional
    n_iter_no_change, max_fun, dtype : optional
        As of `NormRegMLPRegressor`. `max_iter`, `tol` and `n_iter_no_change` count for each strength as
        `regularization_path` says; verbose prints a line for each of the path on all data.

    alphas : array-like of float of shape (n_alphas,), default=None
        Strengths, sorted; None: found on all data, see `regularization_path`.

    n_alphas : int >= 2, default=50
        Number of strengths, if alphas is None.

    alpha_min_ratio : float in (0, 1), default=1e-3
        Smallest strength by the largest, if alphas is None.

    cv : int, cross-validation generator or iterable, default=None
        Splits, as of `sklearn.model_selection.check_cv`; None is 5 folds.

    scoring : str, callable or None, default=None
        Scorer, higher is better; None is the estimator's `score`. It gets the sample weights of the rows that it scores
        or, with metadata routing enabled, what it requests (for None: by `set_score_request`).

    n_jobs : int or None, default=None
        Number of threads over the folds and the path on all data; None is 1, or what a joblib context says.

    selection : {"best", "1se"}, default="best"
        "best": the strength with the highest mean score, the largest of several. "1se": the largest whose mean score is
        within one standard error of the highest, a sparser model that can hardly be told from the best.

    n_restarts : int >= 1, default=1
        Number of starts of each path; of the models at a strength the one with the smallest objective is kept.

    Attributes
    ----------
    alpha_ : float
        The strength chosen.

    alphas_ : ndarray of shape (n_alphas,)
        All strengths.

    scores_path_ : ndarray of shape (n_alphas, n_folds)
        Score of each fold; NaN for a fold whose test rows have weights of 0.

    mean_scores_, standard_errors_ : ndarray of shape (n_alphas,)
        Of the folds. A fold's score counts by the sum w_k of the sample weights of its test rows, or their number; the
        error is sqrt(sum_k w_k * (score_k - mean)**2 / sum_k w_k / (n_folds - 1)).

    best_index_, one_se_index_ : int
        Places in `alphas_` of the strengths that "best" and "1se" choose.

    path_ : RegularizationPath
        The path on all data. The fitted model is the one at `alpha_`.

    coefs_, intercepts_, objective_, history_, ... : as of NormRegMLPRegressor
        All attributes of the model at `alpha_`.

    See Also
    --------
    NormRegMLPRegressor : The plain estimator.
    regularization_path : The path alone.
    sklearn.linear_model.LassoCV : The same for linear models.

    Notes
    -----
    The path of a network with hidden layers is a homotopy of local solutions: another seed may choose another strength.
    The folds' paths start from the same seed.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 7.10, with the one standard
    error rule. Friedman, Hastie and Tibshirani (2010), J. Stat. Software 33(1).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = NormRegMLPRegressorCV((), penalty="l1", solver="fista", n_alphas=20).fit(scale(X), scale(y))
    >>> model.scores_path_.shape
    (20, 5)
    >>> bool(0.4 < model.mean_scores_[model.best_index_] < 0.5)
    True
    >>> model.n_nonzero_ == tuple(model.path_.n_nonzero[model.best_index_])
    True
    """

    plain = NormRegMLPRegressor
    _parameter_constraints = validation.path_cv_constraints("regression")

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="squared_error",
        penalty="l2",
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
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dtype=None,
        alphas=None,
        n_alphas=50,
        alpha_min_ratio=1e-3,
        cv=None,
        scoring=None,
        n_jobs=None,
        selection="best",
        n_restarts=1,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            loss=loss,
            penalty=penalty,
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
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            dtype=dtype,
            alphas=alphas,
            n_alphas=n_alphas,
            alpha_min_ratio=alpha_min_ratio,
            cv=cv,
            scoring=scoring,
            n_jobs=n_jobs,
            selection=selection,
            n_restarts=n_restarts,
        )
