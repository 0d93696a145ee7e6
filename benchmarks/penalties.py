"""What a penalty costs: a step with it over a step with l2."""

from statistics import median

import numpy as np
from sknormnet import NormRegMLPClassifier
from sknormnet.penalties import (
    L1,
    MCP,
    PENALTIES,
    SCAD,
    GroupLasso,
    L2Norm,
    Penalty,
    ShapePenalty,
    SparseGroupLasso,
    Sum,
)

from losses import SHORTEST
from problems import LEARNING_RATE, SEED, SHAPES, STRENGTH
from report import print_table
from steps import CLOCKS, turn

BASE = "l2"
BOUND = 1.15  # times a step with l2, for l1, elasticnet and the penalties of groups


class LogSum(ShapePenalty):
    """A user's shape in NumPy: strength * log(1 + 10 t)."""

    def shape_value(self, t, strength):
        return strength * np.log1p(10 * t)

    def shape_slope(self, t, strength):
        return strength / (0.1 + t)

    def shape_prox(self, t, step, strength):
        s = step * strength
        root = np.sqrt(np.maximum((t + 0.1) ** 2 - 4 * s, 0))
        u = np.clip((t - 0.1 + root) / 2, 0, t)
        return np.where(u * (t - u / 2) > s * np.log1p(10 * u), u, 0)


class Roughness(Penalty):
    """A user's smooth penalty of a whole matrix in NumPy."""

    smooth = True

    def value(self, W, strength):
        return 0.5 * strength * float(np.sum(np.diff(W, axis=0) ** 2, dtype=np.float64))

    def subgradient(self, W, strength):
        difference = strength * np.diff(W, axis=0)
        slope = np.zeros_like(W)
        slope[1:] += difference
        slope[:-1] -= difference
        return slope


# A label and what `penalty=` takes.
CASES = [
    *((name, name) for name in PENALTIES),
    ("group_lasso, output", GroupLasso("output")),
    ("sparse_group_lasso, output", SparseGroupLasso(by="output")),
    ("mcp, input", MCP(by="input")),
    ("mcp, output", MCP(by="output")),
    ("scad, input", SCAD(by="input")),
    ("Sum: l1, output, l2_norm", Sum((L1(), GroupLasso("output"), L2Norm()))),
    ("own shape, input", LogSum(by="input")),
    ("own shape, weight", LogSum()),
    ("own matrix penalty", Roughness()),
]


def run(dtypes, repeats, clock):
    """One record per dtype, shape and penalty."""
    records = []
    for dtype in dtypes:
        new = [record for shape in SHAPES for record in measure(shape, dtype, repeats, CLOCKS[clock])]
        report(dtype, new)
        records += new
    return records


def measure(shape, dtype, repeats, clock):
    X, y = shape.data(dtype)
    turns = [(label, trainer(penalty, shape, X, y), []) for label, penalty in CASES]
    for _, train, _ in turns:
        train(1)  # warms up
    for _ in range(repeats):
        for _, train, times in turns:
            times.append(turn(train, shape.epochs, clock, SHORTEST)[0] / len(shape.batches))
    base = next(times for label, _, times in turns if label == BASE)
    return [
        {
            "shape": shape.name,
            "dtype": dtype,
            "penalty": label,
            "step_microseconds": 1e6 * median(times),
            # Neighbours in time, so that what slows the machine down slows both.
            "ratio": median(a / b for a, b in zip(times, base, strict=True)),
        }
        for label, _, times in turns
    ]


def trainer(penalty, shape, X, y):
    def train(epochs):
        NormRegMLPClassifier(
            shape.hidden,
            penalty=penalty,
            alpha=STRENGTH,
            batch_size=shape.batch_size,
            learning_rate_init=LEARNING_RATE,
            max_iter=epochs,
            tol=0,
            n_iter_no_change=epochs + 1,
            random_state=SEED,
        ).fit(X, y)

    return train


def report(dtype, records):
    shapes = list(dict.fromkeys(record["shape"] for record in records))
    ratios = {(record["penalty"], record["shape"]): record["ratio"] for record in records}
    rows = [{"penalty": label, **{shape: f"{ratios[label, shape]:.2f}" for shape in shapes}} for label, _ in CASES]
    steps = {record["shape"]: record["step_microseconds"] for record in records if record["penalty"] == BASE}
    rows.append({"penalty": f"us/step of {BASE}", **steps})
    print_table(f"steps over those with {BASE}, {dtype}; the bound is {BOUND}", rows)
