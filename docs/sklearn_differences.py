"""The table in user_guide/differences_from_sklearn.md: one small experiment a row, on both libraries.

python docs/sklearn_differences.py            prints it
python docs/sklearn_differences.py --write    rewrites it in the page, between the two comments

A row is a function: its name is the heading, its docstring says what is done, and it returns what came out for a pair
of estimators. Figures are closed forms or counts, of few digits, so that every machine gets the same.
"""

import contextlib
import inspect
import io
import warnings
from pathlib import Path

import loss_table
import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor

PAGE = Path(__file__).parent / "user_guide" / "differences_from_sklearn.md"
BEGIN, END = "<!-- differences: written by docs/sklearn_differences.py -->\n", "<!-- end of differences -->\n"

# Rows in their order and a learning rate without momentum: what such fits end at can be worked out by hand.
PLAIN = dict(solver="sgd", shuffle=False, momentum=0.0, nesterovs_momentum=False, alpha=0.0, random_state=0)
LINEAR = dict(hidden_layer_sizes=(), tol=0.0, n_iter_no_change=10**6)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = X[:, 0] + RNG.standard_normal(60)


def alpha_and_batch_size(Regressor, _):
    """The weight of a linear model of y = x under one alpha, in batches of 10 and of 100 rows."""
    x = np.tile([[1.0], [-1.0]], (50, 1))
    alpha = 10 if Regressor is MLPRegressor else 1  # the same strength in batches of ten
    common = {**PLAIN, **LINEAR, "alpha": alpha, "learning_rate_init": 0.1, "max_iter": 200}
    fits = (Regressor(batch_size=size, **common).fit(x, x.ravel()) for size in (10, 100))
    return " and ".join(f"{fit.coefs_[0].item():.2f}" for fit in fits)


def several_outputs(Regressor, _):
    """How far the loss of five outputs falls in a short step, as a share of what the gradient that is followed says."""
    y = np.c_[X, X[:, 0] ** 2]
    model = Regressor(batch_size=60, learning_rate_init=1e-6, **PLAIN)
    losses, weights = [], []
    for _ in range(3):  # a call reports the loss before its step, and has the weights after it
        losses.append(model.partial_fit(X, y).loss_)
        weights.append(np.concatenate([part.ravel() for part in model.coefs_ + model.intercepts_]))
    step = weights[1] - weights[0]
    return f"{(losses[1] - losses[2]) / (step @ step / 1e-6):.2f}"


def batch_of_weight_zero(Regressor, _):
    """A fit where all rows of one batch have sample_weight 0."""
    weight = np.repeat([0.0, 1.0, 1.0], 20)
    model = Regressor(hidden_layer_sizes=(5,), batch_size=20, learning_rate_init=0.01, max_iter=5, **PLAIN)
    message = error_of(lambda: model.fit(X, Y, sample_weight=weight))
    if message:
        return message
    weighted, model = model.coefs_, model.fit(X[20:], Y[20:])
    return "the fit without these rows" if same(weighted, model.coefs_) else "another fit than without these rows"


def weights_of_batches(Regressor, _):
    """The intercept learnt from a batch of zeros of weight 100 and one of ones of weight 1; the mean is 0.01."""
    y, weight = np.repeat([0.0, 1.0], 10), np.repeat([100.0, 1.0], 10)
    model = Regressor(batch_size=10, learning_rate_init=0.01, max_iter=1000, **LINEAR, **PLAIN)
    return f"{model.fit(np.zeros((20, 1)), y, sample_weight=weight).intercepts_[0].item():.2f}"


def negative_weights(Regressor, _):
    """A fit with a sample_weight of -1."""
    weight = np.r_[-1.0, np.ones(59)]
    model = Regressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0)
    return error_of(lambda: model.fit(X, Y, sample_weight=weight)) or "accepted"


def split_of_three_classes(_, Classifier):
    """early_stopping on three classes of 90, 5 and 5 rows: fits out of 20 whose validation data lack a class."""
    seen = []

    class Watched(Classifier):
        """Notes the classes of the validation data."""

        def _score(self, X, y, sample_weight=None):
            return note(self, X, y)

    def note(estimator, X, y):
        seen.append(len(np.unique(y)))
        return 0.0

    y = np.repeat([0, 1, 2], [90, 5, 5])
    ours = {} if Classifier is MLPClassifier else {"validation_scoring": note}
    for seed in range(20):
        model = Watched((2,), early_stopping=True, validation_fraction=0.2, max_iter=1, random_state=seed, **ours)
        model.fit(np.zeros((100, 1)), y)
    return str(sum(n_classes < 3 for n_classes in seen))


def early_stopping_with_lbfgs(Regressor, _):
    """early_stopping=True with solver="lbfgs"."""
    plain, stopped = (
        Regressor(hidden_layer_sizes=(10,), solver="lbfgs", early_stopping=early, max_iter=50, random_state=0).fit(X, Y)
        for early in (False, True)
    )
    if same(plain.coefs_, stopped.coefs_):
        return "ignored: the weights are those without it"
    kept = max(stopped.validation_scores_) == stopped.best_validation_score_
    return f"stops by {stopped.stop_reason_}, keeps the best score" if kept else "stops"


def patience(Regressor, _):
    """Epochs without improvement that a fit with n_iter_no_change=5 waits for."""
    model = Regressor(hidden_layer_sizes=(5,), n_iter_no_change=5, tol=1e9, random_state=0).fit(X, Y)
    return str(model.n_iter_ - 1)  # the first one improves on nothing


def training_on_after_nan(Regressor, _):
    """Epochs out of 100 that follow the first loss which is not finite, where every step multiplies weights by 1e30."""
    model = Regressor(learning_rate_init=1e30, max_iter=100, **{**LINEAR, **PLAIN})
    message = error_of(lambda: model.fit(X, Y))
    n_epochs, n_finite = len(model.loss_curve_), np.isfinite(model.loss_curve_).sum()
    return f"{max(n_epochs - n_finite - 1, 0)}, then {message or 'a warning; the best finite weights are kept'}"


def untrained_start(Regressor, _):
    """early_stopping=True when the first epoch overflows."""
    common = dict(hidden_layer_sizes=(5,), solver="sgd", early_stopping=True, max_iter=5, random_state=0)
    model = Regressor(learning_rate_init=1e200, activation="identity", **common)
    message = error_of(lambda: model.fit(X, Y))
    if message:
        return message
    start = Regressor(learning_rate_init=1e-300, activation="identity", **common).fit(X, Y)
    return "returns the random start as fitted" if same(model.coefs_, start.coefs_) else "returns other weights"


def failed_fit(Regressor, _):
    """The predictions of a fitted model after a refit that overflows."""
    model = Regressor(hidden_layer_sizes=(5,), solver="sgd", max_iter=5, random_state=0).fit(X, Y)
    before = model.predict(X)
    message = error_of(lambda: model.set_params(learning_rate_init=1e200, activation="identity").fit(X, Y))
    after = model.predict(X)
    what = "as before" if np.array_equal(before, after) else "NaN" if np.isnan(after).all() else "others"
    return f"{what}, the refit raises {message}"


def interrupt(Regressor, _):
    """Ctrl-C during a refit of a fitted model."""
    model = Regressor(hidden_layer_sizes=(5,), max_iter=1, random_state=0).fit(X, Y)
    before = model.predict(X)
    model.set_params(max_iter=100, verbose=True)
    try:
        with contextlib.redirect_stdout(InterruptAt(5)):
            model.fit(X, Y)
    except KeyboardInterrupt:
        kept = np.array_equal(before, model.predict(X))
        return f"KeyboardInterrupt; the model {'is as before' if kept else 'has changed'}"
    return f"returns as if fitted, n_iter_ is {model.n_iter_} of 100"


def warm_start(Regressor, _):
    """Ten epochs, against five and five by warm_start=True."""
    params = dict(hidden_layer_sizes=(5,), batch_size=10, learning_rate_init=0.01, random_state=0)
    whole = Regressor(max_iter=10, **params).fit(X, Y)
    parts = Regressor(max_iter=5, warm_start=True, **params).fit(X, Y).fit(X, Y)
    return "equal in bits" if same(whole.coefs_, parts.coefs_) else "other weights: the optimiser starts anew"


def shuffles_of_partial_fit(Regressor, _):
    """Ten epochs, against ten calls of partial_fit with the same rows."""
    params = dict(hidden_layer_sizes=(5,), batch_size=10, learning_rate_init=0.01, random_state=0)
    whole = Regressor(max_iter=10, **params).fit(X, Y)
    parts = Regressor(**params)
    for _ in range(10):
        parts.partial_fit(X, Y)
    return "equal in bits" if same(whole.coefs_, parts.coefs_) else "other weights: every call draws the same shuffle"


def log_probabilities(_, Classifier):
    """predict_log_proba of a class whose log-odds are -1000."""
    model = Classifier((), solver="lbfgs", random_state=0).fit(X[:, :1], Y > 0)
    x = (1000 - model.intercepts_[0].item()) / model.coefs_[0].item()
    return f"{model.predict_log_proba([[x]])[0, 0]:.0f}"


def positional_arguments(Regressor, Classifier):
    """(50,) as the first argument of the classifier and of the regressor."""
    errors = [error_of(lambda: Classifier((50,)).fit(X, Y > 0)), error_of(lambda: Regressor((50,)).fit(X, Y))]
    return " and ".join(error or "the hidden layer" for error in errors)


ROWS = [
    alpha_and_batch_size,
    several_outputs,
    batch_of_weight_zero,
    weights_of_batches,
    negative_weights,
    split_of_three_classes,
    early_stopping_with_lbfgs,
    patience,
    training_on_after_nan,
    untrained_start,
    failed_fit,
    interrupt,
    warm_start,
    shuffles_of_partial_fit,
    log_probabilities,
    positional_arguments,
]


class InterruptAt(io.StringIO):
    """A terminal where the user presses Ctrl-C at the n-th line that is printed."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def write(self, text):
        self.left -= text.count("\n")
        if self.left <= 0:
            raise KeyboardInterrupt
        return super().write(text)


def error_of(call):
    """The name of the exception that a call raises, or an empty string."""
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return ""


def same(arrays, others):
    return all(np.array_equal(one, other) for one, other in zip(arrays, others, strict=True))


def table():
    return loss_table.markdown(
        {
            "": [row.__name__.replace("_", " ") for row in ROWS],
            "what is done": [" ".join(inspect.getdoc(row).removesuffix(".").split()) for row in ROWS],
            "scikit-learn 1.9": [outcome(row, MLPRegressor, MLPClassifier) for row in ROWS],
            "sknormnet": [outcome(row, NormRegMLPRegressor, NormRegMLPClassifier) for row in ROWS],
        }
    )


def outcome(row, Regressor, Classifier):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return row(Regressor, Classifier)


def parts(page):
    return loss_table.parts(page, BEGIN, END)


if __name__ == "__main__":
    loss_table.main(PAGE, table(), BEGIN, END)
