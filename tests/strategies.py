"""Hypothesis strategies of small problems and of models for them, from tame to absurd.

Drawn are choices and a seed; numbers come from NumPy, which is faster than drawing each.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import penalty_cases
import scipy.sparse as sp
from hypothesis import strategies as st
from user_losses import Linex, NumpyMargin

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer
from sknormnet.activations import ACTIVATIONS
from sknormnet.losses import (
    EpsilonInsensitive,
    Focal,
    GaussianNLL,
    Huber,
    Quantile,
    SquaredEpsilonInsensitive,
    Tweedie,
    loss_names,
)
from sknormnet.penalties import MCP, PENALTIES, SCAD, ElasticNet, L2Norm, MaxNorm, SparseGroupLasso
from sknormnet.plan import SCALES as LAYER_SCALES

one_of = st.sampled_from


@dataclass
class Case:
    """Data, and an estimator that may or may not be able to fit them."""

    Estimator: type
    params: dict[str, Any]
    X: Any
    y: Any
    sample_weight: np.ndarray | None
    validation: dict[str, Any]  # keywords of fit
    other_X: np.ndarray  # a table with as many columns

    def model(self, **changes):
        return self.Estimator(**{**self.params, **changes})

    @property
    def data(self):
        return self.X, self.y, self.sample_weight


def has_own_parts(model):
    """Whether a loss or a penalty is a user's, whose formulas may overflow with a warning."""
    parts = repr((model.loss, model.penalty))
    return any(name in parts for name in ("Linex", "NumpyMargin", "LogSum", "RowLasso"))


# ------------------------------------------------------------------------------------------------------------- data


def strided(X):
    padded = np.full((2 * X.shape[0], 3 * X.shape[1]), 7, dtype=X.dtype)
    padded[::2, ::3] = X
    return padded[::2, ::3]


def of_wide_rows(X):
    return np.hstack([X, X])[:, : X.shape[1]]


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


# Containers and memory layouts of one table.
LAYOUTS = {
    "C": np.array,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "wide rows": of_wide_rows,
    "backwards": lambda X: X[::-1].copy()[::-1],
    "read-only": read_only,
    "frame": lambda X: pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]),
}
SPARSE_LAYOUTS = {
    "csr": sp.csr_matrix,
    "csr_array": sp.csr_array,
    "csc": sp.csc_matrix,
    "coo": sp.coo_matrix,
}

LABELS = {
    "int": np.array([0, 1, 2, 3]),
    "negative": np.array([-7, -1, 0, 40]),
    "float": np.array([1.0, 2.0, 3.0, 4.0]),
    "str": np.array(["", "elm", "oak", "yew"]),
    "object": np.array(["a", "b", "c", "d"], dtype=object),
    "uint8": np.array([0, 1, 2, 255], dtype=np.uint8),
    "bool": np.array([False, True]),
}


def exponents(wild):
    """Of the scales of numbers."""
    return one_of([0, 0, 0, -315, -160, -30, -8, 8, 18, 100, 150, 160, 300, 307] if wild else [0, 0, -2, 1])


@st.composite
def tables(draw, rng, n, d, wild):
    """A table of numbers: scales of its own for each column, zeros, repeated rows."""
    X = rng.standard_normal((n, d))
    if draw(st.booleans()):
        X[rng.random((n, d)) < 0.6] = 0
    if draw(st.booleans()):
        X = X[rng.integers(0, n, n)]
    same = draw(st.booleans())
    scales = [draw(exponents(wild))] * d if same else [draw(exponents(wild)) for _ in range(d)]
    dtype = draw(one_of([np.float64, np.float64, np.float32, np.int64, np.float16, np.bool_]))
    if dtype == np.float32:
        scales = np.clip(scales, -44, 37)
    elif dtype == np.float16:
        scales = np.clip(scales, -7, 3)
    elif dtype == np.int64:
        scales = np.clip(scales, 0, 17)
    return (X * 10.0 ** np.array(scales, dtype=float)).astype(dtype)


@st.composite
def weights(draw, rng, n, wild):
    kind = draw(one_of(["none", "none", "equal", "uniform", "zeros", *(["far apart", "huge", "tiny", "one"] * wild)]))
    if kind == "none":
        return None
    w = np.ones(n) if kind == "equal" else rng.uniform(0.1, 2, n)
    if kind == "zeros":
        w[rng.random(n) < 0.4] = 0
    elif kind == "far apart":
        w = 10.0 ** rng.choice([-300, -20, 0, 20, 300], n)
    elif kind == "huge":
        w *= 1e307
    elif kind == "tiny":
        w *= 1e-307
    elif kind == "one":
        w = np.eye(n)[0]
    return w


@st.composite
def columns_of_classes(draw, rng, n):
    names = LABELS[draw(one_of(list(LABELS)))]
    names = names[: draw(one_of([2, 2, 3, 4, 1]))]
    y = rng.choice(names, n)
    y[: len(names)] = names[:n]  # none is missing where there are rows for all
    return y


@st.composite
def class_targets(draw, rng, n):
    kind = draw(one_of(["labels", "columns", *["column"] * 5]))
    if kind == "labels":
        return rng.integers(0, 2, (n, draw(st.integers(2, 3))))
    if kind == "column":
        return draw(columns_of_classes(rng, n))
    y = np.empty((n, draw(st.integers(2, 3))), dtype=object)
    for j in range(y.shape[1]):
        y[:, j] = draw(columns_of_classes(rng, n))
    return y


@st.composite
def numeric_targets(draw, rng, n, wild, kinds):
    shape = draw(one_of([(n,), (n,), (n, 1), (n, 2)]))
    y = rng.standard_normal(shape) * 10.0 ** draw(exponents(wild))
    kind = draw(one_of(kinds))
    if kind == "positive":
        y = np.abs(y)
    elif kind == "counts":
        y = rng.poisson(2.0, shape)
    elif kind == "constant":
        y = np.full(shape, y.flat[0])
    elif kind == "float32":
        y = np.clip(y, -1e38, 1e38).astype(np.float32)
    return y


# ----------------------------------------------------------------------------------------------------------- models

LOSSES = {
    "classification": [
        "log_loss",
        *loss_names("classification"),
        Focal(0.0),
        Focal(50.0),
        NumpyMargin(),
    ],
    "regression": [
        "squared_error",
        *loss_names("regression"),
        *map(Huber, (1e-300, 1e300)),
        *map(Quantile, (0.01, (0.1, 0.5, 0.9))),
        *map(Tweedie, (-1.0, 0.0, 1.0, 1.9, 2.0, 3.0)),
        *map(EpsilonInsensitive, (0.0, 1e300)),
        SquaredEpsilonInsensitive(1.0),
        *map(GaussianNLL, (1e-300, 1.0)),
        Linex(),
    ],
}
KINDS_OF_TARGETS = ("any", "positive", "counts", "constant", "float32")
POSITIVE = ("poisson", "gamma", "tweedie")

BY = one_of(["weight", "input", "output", "matrix"])
NAMED_PENALTIES = st.one_of(st.none(), one_of(list(PENALTIES)))
# For matrices of any shape.
PENALTIES_OF_ANY = st.one_of(
    NAMED_PENALTIES,
    NAMED_PENALTIES,
    st.builds(MCP, one_of([1.0 + 1e-9, 3.0, 1e9]), BY),
    st.builds(SCAD, one_of([2.0 + 1e-9, 3.7, 1e9]), BY),
    st.builds(ElasticNet, one_of([0.0, 0.3, 1.0])),
    st.builds(SparseGroupLasso, one_of([0.0, 0.3, 1.0]), one_of(["input", "output"])),
    st.builds(MaxNorm, one_of([1e-300, 0.1, 1e300]), one_of(["input", "output", "matrix"])),
)


@st.composite
def penalties(draw, n_features, n_layers, solver):
    kind = draw(one_of(["one", "one", "by layer", "sequence", "network"]))
    if solver == "lbfgs" and kind != "sequence":  # which takes few
        return draw(one_of(["l2", "l1", "elasticnet", "non_negative", None]))
    if kind == "one":
        return draw(PENALTIES_OF_ANY)
    if kind == "network":
        return L2Norm("network")
    cases = {k: v for k, v in penalty_cases.ALL.items() if not k.startswith("feature") and "network" not in k}
    first = cases[draw(one_of(list(cases)))](n_features)
    if kind == "by layer":
        return PerLayer(first, draw(PENALTIES_OF_ANY), draw(PENALTIES_OF_ANY))
    return [first, *(draw(PENALTIES_OF_ANY) for _ in range(n_layers - 1))]


FACTORS = one_of([0.0, 0.5, 1.0, 30.0])


def options(n_features, wild, task):
    """Parameters that may be left at their defaults."""
    of_classes = {"class_weight": one_of([None, None, "balanced", {0: 2.0}])} if task == "classification" else {}
    return {
        "alpha": one_of([0.0, 1e-4, 0.01, 1.0, *([1e-300, 100.0, 1e30, 1e300] if wild else [])]),
        "l1_ratio": one_of([0.0, 0.3, 1.0]),
        "layer_weights": st.one_of(
            one_of([None, None, *LAYER_SCALES]),
            st.builds(PerLayer, FACTORS, FACTORS, FACTORS, one_of(list(LAYER_SCALES))),
        ),
        "feature_weights": st.one_of(st.none(), st.none(), st.lists(FACTORS, min_size=n_features, max_size=n_features)),
        "penalize_intercepts": st.booleans(),
        "batch_size": st.one_of(st.just("auto"), st.integers(1, 40)),
        "learning_rate": one_of(["constant", "invscaling", "adaptive", "cosine"]),
        "learning_rate_init": one_of([1e-3, 0.1, 1.0, *([1e-300, 30.0, 1e4, 1e30, 1e300] if wild else [])]),
        "power_t": one_of([0.0, 0.5, *([50.0] if wild else [])]),
        "shuffle": one_of([True, True, False, "block"]),
        "tol": one_of([0.0, 1e-4, *([1.0, 1e300] if wild else [])]),
        "momentum": one_of([0.0, 0.9, *([1.0] if wild else [])]),
        "nesterovs_momentum": st.booleans(),
        "early_stopping": one_of([False, False, True]),
        "validation_fraction": one_of([0.4, 0.5, 0.1, 0.9]),
        "validation_scoring": one_of(
            [None, "loss", *(["explained_variance"] if task == "regression" else ["f1_macro", "neg_log_loss"])]
        ),
        "beta_1": one_of([0.0, 0.9, *([1 - 1e-12] if wild else [])]),
        "beta_2": one_of([0.0, 0.999, *([1 - 1e-12] if wild else [])]),
        "epsilon": one_of([1e-8, *([1e-300, 1.0, 1e300] if wild else [])]),
        "n_iter_no_change": one_of([1, 10, np.inf]),
        "max_fun": one_of([1, 4, 15000]),
        "dtype": one_of([None, "float32", "float64"]),
        **of_classes,
    }


@st.composite
def cases(draw, layouts=(*LAYOUTS, *SPARSE_LAYOUTS), wildness=(False, True), **fixed):
    """`fixed` are parameters that are not drawn."""
    Estimator = draw(one_of([NormRegMLPClassifier, NormRegMLPRegressor]))
    task, wild = Estimator.task, draw(one_of(wildness))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n, d = draw(one_of([8, 12, 20, 30, 300, 3, 2, 1])), draw(one_of([3, 1, 2, 5, 19]))
    X = draw(tables(rng, n, d, wild))
    loss = draw(one_of(LOSSES[task]))
    if task == "classification":
        y = draw(class_targets(rng, n))
    else:
        positive = getattr(loss, "name", loss) in POSITIVE
        y = draw(numeric_targets(rng, n, wild, KINDS_OF_TARGETS[1:3] if positive else KINDS_OF_TARGETS))
    hidden = draw(one_of([(), (3,), (1,), (4, 2), (2, 1, 3), (18,)]))
    solver = draw(one_of(["adam", "sgd", "lbfgs", "fista"]))
    params = {
        "hidden_layer_sizes": hidden,
        "activation": draw(st.one_of(one_of(ACTIVATIONS), st.tuples(*(one_of(ACTIVATIONS) for _ in hidden)))),
        "loss": loss,
        "penalty": draw(penalties(d, len(hidden) + 1, solver)),
        "solver": solver,
        "max_iter": draw(st.integers(1, 4)),
        "random_state": 0,
        **draw(st.fixed_dictionaries({}, optional=options(d, wild, task))),
        **fixed,
    }
    sample_weight = draw(weights(rng, n, wild))
    layout = draw(one_of(layouts))
    if layout in SPARSE_LAYOUTS and X.dtype == np.float16:  # which SciPy does not have
        X = X.astype(np.float32)
    validation = {}
    if draw(one_of([False, False, True])):
        some = rng.integers(0, n, draw(st.integers(1, 5)))
        validation = {"X_val": rng.standard_normal((len(some), d)), "y_val": y[some]}
    X = {**LAYOUTS, **SPARSE_LAYOUTS}[layout](X)
    return Case(Estimator, params, X, y, sample_weight, validation, rng.standard_normal((4, d)))
