"""Does a path end where cold fits do, and do the inputs that count leave it last?"""

import time
from pathlib import Path

import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale
from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, PerLayer, regularization_path
from sknormnet.penalties import GroupLasso

from report import print_table

PENALTY = PerLayer(first=GroupLasso("input"), hidden="l2", last="l2")
TABLES = ("mice", "segment", "energy", "yacht", "kin8nm", "vehicle", "concrete", "wine_red")
SEEDS = range(5)  # of the cold fits
CHECKED = np.linspace(0, 90, 10).astype(int)  # of 100 strengths
# Both the path and the cold fits go on until they have nearly converged: those of the defaults differ by more.
MODEL = {"learning_rate_init": 0.005, "max_iter": 1000, "tol": 2e-5, "n_iter_no_change": 25}
N_RESTARTS = 3
FRIEDMAN_SEEDS = range(20)


def run(data):
    tables = [against_cold_fits(name, *read(Path(data), name)) for name in TABLES]
    print_table("objective of the path by that of the best of five cold fits, at ten strengths", tables)
    order = friedman()
    print_table("Friedman's first function with 45 inputs of noise: the last five to leave", [order])
    return {"objective": tables, "order": order}


def read(folder, name):
    table = np.load(folder / f"{name}.npz")
    X, y = table["X_classmean" if "X_classmean" in table else "X"], table["y"]
    if y.dtype.kind == "f":
        y = scale(y).astype(np.float32)
    return scale(X.astype(np.float64)).astype(np.float32), y


def against_cold_fits(name, X, y):
    Estimator = NormRegMLPClassifier if y.dtype.kind == "i" else NormRegMLPRegressor
    model = Estimator((100,), penalty=PENALTY, random_state=0, **MODEL)
    start = time.perf_counter()
    path = regularization_path(model, X, y, n_restarts=N_RESTARTS)
    middle = time.perf_counter()
    ratios = []
    for i in CHECKED:
        model.alpha = path.alphas[i]
        ratios.append(path.objective[i] / min(model.set_params(random_state=s).fit(X, y).objective_ for s in SEEDS))
    return {
        "table": name,
        "rows": len(X),
        "inputs": X.shape[1],
        "smallest": min(ratios),
        "largest": max(ratios),
        "strengths above 1.02": int(np.sum(np.array(ratios) > 1.02)),
        "path s": middle - start,
        "50 fits s": time.perf_counter() - middle,
    }


def friedman():
    right, seconds = 0, []
    for seed in FRIEDMAN_SEEDS:
        X, y = make_friedman1(2000, 50, noise=1.0, random_state=seed)
        model = NormRegMLPRegressor((100,), penalty=PENALTY, random_state=seed)
        start = time.perf_counter()
        path = regularization_path(model, scale(X).astype(np.float32), scale(y).astype(np.float32))
        seconds.append(time.perf_counter() - start)
        right += np.array_equal(path.selected_features(5), np.arange(5))
    return {
        "seeds": len(FRIEDMAN_SEEDS),
        "the true five": right,
        "seconds of a path, median": float(np.median(seconds)),
    }
