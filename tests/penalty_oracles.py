"""Plain NumPy definitions of penalties, which `oracles` passes on."""

import numpy as np

# Penalties of one weight matrix. The strength multiplies all but the concave ones, which bend at multiples of it.


def group_norms(W, by="weight", groups=None):
    """2-norm of every weight, row, set of rows with one number in `groups`, column, or of the matrix."""
    rows, columns = np.indices(W.shape)
    if groups is not None:
        rows = np.asarray(groups)[rows]
    labels = {"weight": np.arange(W.size).reshape(W.shape), "input": rows, "output": columns, "matrix": 0 * rows}[by]
    return np.array([np.linalg.norm(W[labels == label]) for label in np.unique(labels)])


def group_lasso(W, by="input", groups=None):
    n_joined = 1 if groups is None else np.unique(groups, return_counts=True)[1]
    return np.sum(np.sqrt(n_joined) * group_norms(W, by, groups))


def elasticnet(W, l1_ratio=0.5):
    return l1_ratio * np.sum(np.abs(W)) + (1 - l1_ratio) * 0.5 * np.sum(W**2)


def sparse_group_lasso(W, l1_ratio=0.5, by="input", groups=None):
    return l1_ratio * np.sum(np.abs(W)) + (1 - l1_ratio) * group_lasso(W, by, groups)


def mcp(t, strength, gamma):
    """Zhang (2010): the slope falls linearly from strength to 0 at gamma * strength."""
    return np.where(t <= gamma * strength, strength * t - t**2 / (2 * gamma), gamma * strength**2 / 2)


def scad(t, strength, gamma):
    """Fan and Li (2001): the slope is strength up to there, then falls linearly to 0."""
    middle = (2 * gamma * strength * t - t**2 - strength**2) / (2 * (gamma - 1))
    end = strength**2 * (gamma + 1) / 2
    return np.where(t <= strength, strength * t, np.where(t <= gamma * strength, middle, end))


def joined(groups):
    """Square root of the number of rows in each group; 1 where no rows are joined."""
    return 1.0 if groups is None else np.sqrt(np.unique(groups, return_counts=True)[1])


def of_groups(shape, W, strength, by, groups=None, **parameters):
    """A shape of the norms of groups, summed."""
    return np.sum(shape(group_norms(W, by, groups), strength * joined(groups), **parameters))


def log_sum(t, strength, epsilon):
    """Candes, Wakin and Boyd (2008)."""
    return strength * np.log(1 + t / epsilon)


def infinite_where(outside):
    return np.inf if np.any(outside) else 0.0


PENALTIES = {
    "none": lambda W, strength: 0.0,
    "weight_decay": lambda W, strength: 0.0,
    "l1": lambda W, strength: strength * np.sum(np.abs(W)),
    "l2": lambda W, strength: strength * 0.5 * np.sum(W**2),
    "elasticnet": lambda W, strength, **parameters: strength * elasticnet(W, **parameters),
    "group_lasso": lambda W, strength, **parameters: strength * group_lasso(W, **parameters),
    "sparse_group_lasso": lambda W, strength, **parameters: strength * sparse_group_lasso(W, **parameters),
    "l2_norm": lambda W, strength, by="matrix": strength * np.linalg.norm(W),
    "mcp": lambda W, strength, gamma=3.0, by="weight", groups=None: of_groups(
        mcp, W, strength, by, groups, gamma=gamma
    ),
    "scad": lambda W, strength, gamma=3.7, by="weight", groups=None: of_groups(
        scad, W, strength, by, groups, gamma=gamma
    ),
    "nuclear": lambda W, strength: strength * np.linalg.norm(W, "nuc"),
    # Inside as far as float32 can tell: norms of projected groups are the limit but for rounding.
    "max_norm": lambda W, strength, limit=1.0, by="output": infinite_where(group_norms(W, by) > limit * (1 + 1e-6)),
    "non_negative": lambda W, strength: infinite_where(W < 0),
    # What tests write themselves, in user_penalties.
    "log_sum": lambda W, strength, epsilon=1.0, by="weight", groups=None: of_groups(
        log_sum, W, strength, by, groups, epsilon=epsilon
    ),
    "smooth_l1": lambda W, strength, delta=0.1: strength * np.sum(np.sqrt(W**2 + delta**2) - delta),
    "own_group_lasso": lambda W, strength: strength * group_lasso(W),
}


def penalty_value(penalty, W, strength):
    """strength * Omega(W) of an object; sums and factors of inputs taken apart."""
    if hasattr(penalty, "feature_weights"):
        return weighted_inputs(penalty.penalty, W, strength, penalty.feature_weights)
    if penalty.name == "sum":
        return sum(penalty_value(p, W, strength * w) for p, w in weighted_terms(penalty))
    return PENALTIES[penalty.name](W, strength, **penalty.get_params())


def weighted_terms(penalty):
    return list(zip(penalty.penalties, penalty.weights or [1.0] * len(penalty.penalties), strict=True))


def weighted_inputs(penalty, W, strength, factors):
    """Inputs of one factor are a matrix of their own, with that factor times the strength."""
    if penalty.name == "sum":
        return sum(weighted_inputs(p, W, strength * w, factors) for p, w in weighted_terms(penalty))
    parameters, total = penalty.get_params(), 0.0
    for factor in np.unique(factors):
        rows = np.flatnonzero(np.asarray(factors) == factor)
        if parameters.get("groups") is not None:
            parameters["groups"] = np.asarray(penalty.groups)[rows]
        total += PENALTIES[penalty.name](W[rows], factor * strength, **parameters)
    return total
