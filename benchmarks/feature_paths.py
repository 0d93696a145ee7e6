"""Paths from all inputs to none: their time, and the accuracy of what they select, beside LassoNet's."""

import json
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from math import ceil
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sknormnet import NormRegMLPClassifier, PerLayer, regularization_path
from sknormnet.penalties import GroupLasso

from report import print_table
from steps import CLOCKS

COUNTS = (50, 40, 30, 20, 10)  # inputs that are kept
HIDDEN = (100,)
N_ALPHAS = 100
LIMIT = 1800.0  # seconds after which LassoNet is cut
TOLERANCE = 0.5  # points of accuracy that may be missing
LIBRARIES = ("sknormnet", "lassonet")
KEY = ("table", "seed", "library")  # of a record

# The same for every table; README.md says how it was chosen. 20 epochs for the dense model and 2, over which the
# learning rate goes to zero, for each strength after it.
MODEL = {
    "penalty": PerLayer(first=GroupLasso("input"), hidden="l1", last="l1"),
    "learning_rate": "cosine",
    "learning_rate_init": 0.002,
    "max_iter": 20,
}
BATCHES = 16  # in an epoch, of equal size: the gradient of a short one would be noise
ALPHA_MIN_RATIO = 0.02

# After the path, on the inputs that it selects, for both libraries.
REFIT = {
    "alpha": 1e-3,
    "learning_rate": "cosine",
    "learning_rate_init": 0.01,
    "max_iter": 100,
    "n_iter_no_change": np.inf,
}
REFITS = range(5)  # seeds, over which the accuracy is averaged


@dataclass(frozen=True)
class Table:
    """Where the rows are, and how they are split and scaled."""

    file: str
    X: str = "X"
    test_size: float | None = None  # of a stratified split by seed
    n_train: int | None = None  # or the first rows
    divisor: float | None = None  # None: standardised by the training rows
    n_seeds: int = 5

    def load(self, folder, seed):
        """Training rows and their classes, test rows and theirs."""
        with np.load(Path(folder) / f"{self.file}.npz") as arrays:
            X, y = arrays[self.X], arrays["y"]
        if self.n_train:
            train, test = np.split(np.arange(len(X)), [self.n_train])
        else:
            train, test = train_test_split(np.arange(len(X)), test_size=self.test_size, stratify=y, random_state=seed)
        X = X / self.divisor if self.divisor else StandardScaler().fit(X[train]).transform(X)
        X = X.astype(np.float32)
        return X[train], y[train], X[test], y[test]


TABLES = {
    "mice": Table("mice", "X_classmean", test_size=0.3),
    "isolet1": Table("isolet1", test_size=0.2),
    "madelon": Table("madelon", n_train=2000),
    "mnist_t10k": Table("mnist_t10k", test_size=0.2, divisor=255, n_seeds=2),
}


class Cut(Exception):
    """The time is over."""


def sknormnet_path(X, y, seed, clock):
    """Norms of the inputs at each strength, (n_strengths, n_features)."""
    model = NormRegMLPClassifier(HIDDEN, **MODEL, batch_size=ceil(len(X) / BATCHES), random_state=seed)
    return regularization_path(model, X, y, n_alphas=N_ALPHAS, alpha_min_ratio=ALPHA_MIN_RATIO).feature_norms


def lassonet_path(X, y, seed, clock):
    """The norms of the skip weights, which are zero where an input is not used; its defaults, as a user gets them."""
    import torch
    from lassonet import LassoNetClassifier

    torch.set_num_threads(1)
    norms, end = [], clock() + LIMIT

    def note(model, _):
        norms.append(model.model.skip.weight.detach().norm(dim=0).numpy().copy())
        if clock() > end:
            raise Cut

    model = LassoNetClassifier(hidden_dims=HIDDEN, random_state=seed, torch_seed=seed, verbose=0)
    with suppress(Cut):
        model.path(X, y, callback=note)
    return np.array(norms)


PATHS = {"sknormnet": sknormnet_path, "lassonet": lassonet_path}


def run(folder, results, tables, libraries, clock):
    """Measure what the file of results does not have yet; print all of it."""
    known = read(results)
    libraries = [library for library in libraries if find_spec(library)]
    for name in tables:
        for seed, library in product(range(TABLES[name].n_seeds), libraries):
            key = name, seed, library
            record, data = known.setdefault(key, {}), TABLES[name].load(folder, seed)
            if "seconds" not in record:
                record |= save(results, key, measure(library, *data[:2], seed, CLOCKS[clock]))
            if "accuracy" not in record:
                record |= save(results, key, {"accuracy": accuracy(*data, record["selected"])})
    rows = [cells for name, library in product(tables, LIBRARIES) if (cells := row(known, name, library))]
    print_table("accuracy in per cent after a refit, mean over the seeds", rows)
    if rows := [cells for name in tables if (cells := verdict(known, name))]:
        print_table("against LassoNet: points of accuracy", rows)
    return [dict(zip(KEY, key, strict=True)) | record for key, record in known.items()]


def measure(library, X, y, seed, clock):
    """The path: its time, and the inputs that are kept of each number."""
    import_module(library)  # not on the clock
    start = clock()
    norms = PATHS[library](X, y, seed, clock)
    seconds = clock() - start
    return {
        "seconds": min(seconds, LIMIT),
        "cut": seconds > LIMIT,
        "n_alive": (norms > 0).sum(axis=1).tolist(),
        "selected": {n: selected(norms, n).tolist() for n in COUNTS},
    }


def selected(norms, n):
    """The n inputs that leave last; of those that leave together, the ones with the larger norms before."""
    alive = norms > 0
    last = np.where(alive.any(axis=0), len(norms) - 1 - alive[::-1].argmax(axis=0), -1)
    order = np.lexsort((norms[last, np.arange(norms.shape[1])], last))
    return np.sort(order[-n:])


def accuracy(X, y, X_test, y_test, selections):
    """On the test rows, of dense models of the selected inputs alone."""
    scores = {}
    for n, inputs in selections.items():
        models = [NormRegMLPClassifier(HIDDEN, **REFIT, random_state=i).fit(X[:, inputs], y) for i in REFITS]
        scores[n] = float(np.mean([model.score(X_test[:, inputs], y_test) for model in models]))
    return scores


def read(path):
    """What is known of each table, seed and library: the lines of the file about it, merged."""
    known = {}
    if Path(path).exists():
        for line in Path(path).read_text().splitlines():
            record = json.loads(line)
            known.setdefault(tuple(record.pop(part) for part in KEY), {}).update(record)
    return known


def save(path, key, found):
    """Add a line to the file; what it says, as it will be read."""
    line = json.dumps(dict(zip(KEY, key, strict=True)) | found)
    with open(path, "a") as file:
        file.write(line + "\n")
    return json.loads(line)


def complete(known, name, library):
    """The records of a table's seeds, if there are any."""
    records = [known.get((name, seed, library), {}) for seed in range(TABLES[name].n_seeds)]
    return [record for record in records if "accuracy" in record]


def mean_accuracy(records):
    """By number of inputs, in per cent."""
    return 100 * np.array([[record["accuracy"][str(n)] for n in COUNTS] for record in records]).mean(axis=0)


def row(known, name, library):
    records = complete(known, name, library)
    if not records:
        return None
    cells = {"table": name, "library": library, "seeds": len(records)}
    cells["seconds"] = median(record["seconds"] for record in records)
    cells["strengths"] = median(len(record["n_alive"]) for record in records)
    cells["cut"] = sum(record["cut"] for record in records)
    cells |= {str(n): f"{value:.1f}" for n, value in zip(COUNTS, mean_accuracy(records), strict=True)}
    return cells | {"mean": f"{mean_accuracy(records).mean():.2f}"}


def verdict(known, name):
    """Of the seeds that both libraries have: how much faster, and how much more accurate, in points."""
    both = [
        [known[name, seed, library] for library in LIBRARIES]
        for seed in range(TABLES[name].n_seeds)
        if all("accuracy" in known.get((name, seed, library), {}) for library in LIBRARIES)
    ]
    if not both:
        return None
    ours, theirs = zip(*both, strict=True)
    gain = mean_accuracy(ours) - mean_accuracy(theirs)
    cells = {"table": name, "seeds": len(both)}
    cells["times faster"] = median(b["seconds"] / a["seconds"] for a, b in both)
    cells |= {str(n): f"{points:+.1f}" for n, points in zip(COUNTS, gain, strict=True)}
    cells["counts that reach it"] = f"{np.count_nonzero(gain >= -TOLERANCE)} of {len(COUNTS)}"
    return cells | {"mean": f"{gain.mean():+.2f}"}
