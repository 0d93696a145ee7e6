"""Over what range of alpha does the group lasso keep exactly the inputs that count? Friedman's first function."""

from itertools import groupby
from statistics import median

import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale
from sknormnet import NormRegMLPRegressor, PerLayer
from sknormnet.penalties import GroupLasso

from report import print_table

N_SAMPLES, N_FEATURES, N_RELEVANT = 2000, 50, 5
SEEDS = range(20)
STEP = 1.1  # between neighbouring alphas
ALPHAS = 0.007 * STEP ** np.arange(15)
ENOUGH = 1.3  # the factor in alpha that is asked for

# Group lasso on the first matrix, l2 on the second; 100 relu units and the learning rate are the defaults.
MODEL = {
    "penalty": PerLayer(first=GroupLasso("input"), hidden="l2", last="l2"),
    "layer_weights": PerLayer(first=1, hidden=10, last=10),
    "learning_rate": "cosine",
    "batch_size": 1000,
    "max_iter": 600,
    "n_iter_no_change": np.inf,
    "warm_start": True,
}
POLISH = {"solver": "fista", "max_iter": 300}

# What is changed, and whether it is polished; on the first seeds. A network of two relu matrices can be scaled: under
# layer weights 1 and r the minima depend on alpha * r^(1/3) alone, and the alphas are chosen accordingly.
VARIANTS = {
    "all rows at once": ({"batch_size": N_SAMPLES}, False),
    "batches of 200": ({"batch_size": 200}, True),
    "constant rate": ({"learning_rate": "constant"}, False),
    "layer weights 1 and 1": ({"layer_weights": None}, False),
}
VARIANT_SEEDS = SEEDS[:4]


def run():
    records = [measure("as described", {}, seed, True) for seed in SEEDS]
    print_table("exactly the five inputs, by seed", [row(record) for record in records])
    for ten in (records[:10], records[10:]):
        print_table(f"seeds {ten[0]['seed']} to {ten[-1]['seed']}", [summary(ten)])
    rows = [summary(records[: len(VARIANT_SEEDS)])]
    for name, (options, polish) in VARIANTS.items():
        new = [measure(name, options, seed, polish) for seed in VARIANT_SEEDS]
        rows.append(summary(new))
        records += new
    print_table(f"with one thing changed, seeds {VARIANT_SEEDS[0]} to {VARIANT_SEEDS[-1]}", rows)
    return records


def data(seed):
    """Uniform inputs, of which the first five count, and noise of standard deviation 1; all standardised."""
    X, y = make_friedman1(N_SAMPLES, N_FEATURES, noise=1.0, random_state=seed)
    return scale(X).astype(np.float32), scale(y).astype(np.float32)


def measure(name, options, seed, polish):
    """The range of alpha by adam alone and, if asked for, after a polish of each fit on all rows."""
    X, y = data(seed)
    alphas = ALPHAS * (10 ** (1 / 3) if "layer_weights" in options else 1)
    found = {"adam": [], "polished": []}
    for alpha in alphas:
        model = NormRegMLPRegressor(**MODEL | options, alpha=alpha, random_state=seed).fit(X, y)
        found["adam"].append(exact(model))
        if polish:
            found["polished"].append(exact(model.set_params(**POLISH).fit(X, y)))
    ranges = {stage: longest(alphas, right) for stage, right in found.items() if right}
    return {"variant": name, "seed": seed, **ranges}


def exact(model):
    """Whether the inputs with a weight are those that count."""
    return np.array_equal(np.flatnonzero(model.coefs_[0].any(axis=1)), np.arange(N_RELEVANT))


def longest(alphas, found):
    """First and last alpha of the longest run of successes; None where there is none."""
    pairs = zip(alphas, found, strict=True)
    runs = [[float(alpha) for alpha, _ in run] for right, run in groupby(pairs, lambda pair: pair[1]) if right]
    return max(((run[0], run[-1]) for run in runs), key=factor, default=None)


def factor(bounds):
    return bounds[1] / bounds[0] if bounds else 0.0


def row(record):
    low, high = record["adam"] or (None, None)
    polished_low, polished_high = record["polished"] or (None, None)
    return {
        "seed": record["seed"],
        "alpha from": low,
        "to": high,
        "factor": factor(record["adam"]),
        "polished from": polished_low,
        "to ": polished_high,
        "factor ": factor(record["polished"]),
    }


def summary(records):
    heads = ("", "seeds", "factors", "median", "polished: seeds", "factors ", "median ")
    cells = (records[0]["variant"], *figures(records, "adam"), *figures(records, "polished"))
    return dict(zip(heads, cells, strict=True))


def figures(records, stage):
    """Seeds with a range that is wide enough, smallest and largest factor, median factor."""
    factors = [factor(record[stage]) for record in records if stage in record]
    if not factors:
        return None, None, None
    enough = sum(f >= ENOUGH for f in factors)
    return f"{enough} of {len(factors)}", f"{min(factors):.2f} to {max(factors):.2f}", median(factors)
