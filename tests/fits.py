"""Small fits, and what is compared about them."""

from numpy.testing import assert_array_equal

# Every update rule and solver that takes a prox, and all.
PROXIMAL_SOLVERS = {
    "plain": dict(solver="sgd", momentum=0.0, learning_rate_init=0.1),
    "heavy ball": dict(solver="sgd", momentum=0.9, nesterovs_momentum=False, learning_rate_init=0.02),
    "nesterov": dict(solver="sgd", momentum=0.9, nesterovs_momentum=True, learning_rate_init=0.02),
    "adam": dict(solver="adam", learning_rate="cosine", learning_rate_init=0.02),
    "fista": dict(solver="fista"),
}
SOLVERS = PROXIMAL_SOLVERS | {"lbfgs": dict(solver="lbfgs")}


def make_model(problem, **params):
    defaults = dict(
        hidden_layer_sizes=(6,), max_iter=6, learning_rate_init=0.05, batch_size=10, alpha=1e-3, random_state=0
    )
    return problem.Estimator(**{**defaults, **params})


def halves(problem, n=40):
    """X and y to train on, and the other rows as fit's keywords."""
    return (problem.X[:n], problem.y[:n]), {"X_val": problem.X[n:], "y_val": problem.y[n:]}


def epochs(problem, data, n, **params):
    """Models whose training ended after 1, ..., n epochs; nothing tells them to keep another one's parameters."""
    return [make_model(problem, **{**params, "max_iter": k}).fit(*data) for k in range(1, n + 1)]


def assert_same_model(model, other):
    """In bits."""
    for ours, theirs in zip(model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert_array_equal(ours, theirs)
