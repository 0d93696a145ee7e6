"""What an activation costs: a step of training with each, against relu."""

from statistics import median

import numpy as np
from sknormnet.activations import ACTIVATIONS

from libraries import load
from problems import SHAPES
from report import print_table
from steps import CLOCKS, turn

SHORTEST = 0.05  # seconds of a turn
BASE = "relu"


def run(dtypes, repeats, clock):
    """One record per dtype, shape and activation."""
    records = []
    for dtype in dtypes:
        new = [record for shape in SHAPES for record in measure(shape, dtype, repeats, CLOCKS[clock])]
        report(new)
        records += new
    return records


def measure(shape, dtype, repeats, clock):
    """Activations take turns; the ratio is the median of those within a round."""
    trainer = load("sknormnet").trainer
    turns = {name: (trainer(shape, np.dtype(dtype), name), []) for name in ACTIVATIONS}
    for train, _ in turns.values():
        train(1)  # warms up
    for _ in range(repeats):
        for train, times in turns.values():
            times.append(turn(train, shape.epochs, clock, SHORTEST)[0] / len(shape.batches))
    base = turns[BASE][1]
    return [
        {
            "shape": shape.name,
            "dtype": dtype,
            "activation": name,
            "microseconds": 1e6 * median(times),
            "over_relu": median(t / b for t, b in zip(times, base, strict=True)),
        }
        for name, (_, times) in turns.items()
    ]


def report(records):
    rows = []
    for shape in dict.fromkeys(record["shape"] for record in records):
        here = {record["activation"]: record for record in records if record["shape"] == shape}
        ratios = {name: f"{here[name]['over_relu']:.2f}" for name in ACTIVATIONS if name != BASE}
        rows.append({"shape": shape, f"{BASE} us/step": here[BASE]["microseconds"], **ratios})
    print_table(f"{records[0]['dtype']}: step of each activation over one of {BASE}", rows)
