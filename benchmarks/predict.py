"""Latency of one row; throughput and extra memory of a million rows."""

from itertools import product
from statistics import median
from time import perf_counter

import numpy as np

from libraries import load
from memory import MB, extra_peak, in_new_process
from problems import SEED, SHAPES
from report import print_table

SHAPE = SHAPES[3]  # 64 features, 100 hidden units, 10 classes
N_ROWS = 1_000_000
NAMES = ("sknormnet", "scikit-learn")
METHODS = ("predict", "predict_proba")


def run(dtypes, activations, repeats):
    records = []
    for setting in product(dtypes, activations, METHODS):
        new = measure(*setting, repeats)
        records += new
        report(new)
    return records


def measure(dtype, activation, method, repeats):
    records, turns = [], []
    for name in NAMES:
        record = {
            "dtype": dtype,
            "activation": activation,
            "method": method,
            "library": name,
            "status": "absent",
        }
        records.append(record)
        if load(name).VERSION is None:
            continue
        record["status"] = "measured"
        record.update(in_new_process(million, name, dtype, activation, method))
        model = fitted(name, dtype, activation)
        turns.append((record, getattr(model, method), []))
    row = SHAPE.data(dtype)[0][:1]
    for _ in range(repeats):
        for _, predict, seconds in turns:
            seconds += [timed(predict, row) for _ in range(100)]
    for record, _, seconds in turns:
        record["latency_microseconds"] = 1e6 * median(seconds)
    return records


def fitted(name, dtype, activation):
    library = load(name)
    model = library.Classifier(SHAPE.hidden, activation, max_iter=3, random_state=SEED)
    return model.fit(*SHAPE.data(dtype))


def million(name, dtype, activation, method):
    """Runs in a process of its own."""
    predict = getattr(fitted(name, dtype, activation), method)
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((N_ROWS, SHAPE.n_features), dtype=dtype)
    results = []
    extra = extra_peak(lambda: results.append(predict(X)))
    return {
        "extra_bytes": extra,
        "result_bytes": results[0].nbytes,
        "rows_per_second": N_ROWS / median(timed(predict, X) for _ in range(3)),
    }


def timed(predict, X):
    start = perf_counter()
    predict(X)
    return perf_counter() - start


def report(records):
    first = records[0]
    rows = [
        {
            "library": record["library"],
            "one row us": record.get("latency_microseconds", record["status"]),
            "million rows/s": scaled(record.get("rows_per_second"), 1e6),
            "extra MB": scaled(record.get("extra_bytes"), MB),
            "of it the result MB": scaled(record.get("result_bytes"), MB),
        }
        for record in records
    ]
    print_table("{method} {dtype} {activation}".format(**first), rows)


def scaled(value, unit):
    return None if value is None else value / unit
