"""Wall time of one GridSearchCV over the penalty's strength, with equal epochs."""

from itertools import product
from statistics import median
from time import perf_counter

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from libraries import load
from problems import SEED, TABLES
from report import print_table

STRENGTHS = np.logspace(-6, 0, 7)
FOLDS = 5
EPOCHS = 50
NAMES = ("sknormnet", "scikit-learn")


def run(dtypes, activations, repeats, batch_sizes):
    records = []
    for setting in product(dtypes, activations, batch_sizes, TABLES):
        new = measure(*setting, repeats)
        records += new
        report(new)
    return records


def measure(dtype, activation, batch_size, table, repeats):
    X, y = TABLES[table](return_X_y=True)
    X = X.astype(dtype)
    records, turns = [], []
    for name in NAMES:
        record = {
            "table": table,
            "dtype": dtype,
            "activation": activation,
            "batch_size": batch_size,
            "library": name,
            "status": "absent",
        }
        records.append(record)
        if load(name).VERSION is None:
            continue
        record["status"] = "measured"
        # A search of one epoch starts the workers and lets them import the library.
        search(load(name), activation, batch_size, epochs=1).fit(X, y)
        turns.append((record, load(name), []))
    for _ in range(repeats):
        for record, library, seconds in turns:
            grid = search(library, activation, batch_size, EPOCHS)
            start = perf_counter()
            grid.fit(X, y)
            seconds.append(perf_counter() - start)
            record["best_score"] = float(grid.best_score_)
            record["best_strength"] = float(STRENGTHS[grid.best_index_])
    for record, _, seconds in turns:
        record["seconds"] = median(seconds)
        record["all_seconds"] = seconds
    for record in records:
        if all("seconds" in r for r in records):
            record["ratio"] = record["seconds"] / records[0]["seconds"]
    return records


def search(library, activation, batch_size, epochs):
    network = library.Classifier(
        (100,),
        activation,
        batch_size=batch_size,
        max_iter=epochs,
        tol=0,
        n_iter_no_change=epochs + 1,
        random_state=SEED,
    )
    pipeline = make_pipeline(StandardScaler(), network)
    alphas = [library.alpha(strength, batch_size) for strength in STRENGTHS]
    parameter = f"{pipeline.steps[-1][0]}__alpha"
    return GridSearchCV(pipeline, {parameter: alphas}, cv=FOLDS, n_jobs=2)


def report(records):
    first = records[0]
    rows = [
        {
            "library": record["library"],
            "seconds": record.get("seconds", record["status"]),
            "ratio": record.get("ratio"),
            "best score": record.get("best_score"),
            "best strength": record.get("best_strength"),
        }
        for record in records
    ]
    title = "{table} {dtype} {activation}, batches of {batch_size}"
    print_table(title.format(**first), rows)
