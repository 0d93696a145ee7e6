"""How the best alpha moves with the width of the hidden layer under each scaling of the layers' penalties."""

from itertools import product

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler, scale
from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor

from report import print_table

TABLES = {"diabetes": load_diabetes, "breast cancer": load_breast_cancer, "digits": load_digits}
PENALTIES = ("l2", "group_lasso")
SCALINGS = ("uniform", "fan", "size")
WIDTHS = (16, 64, 256)
FOLDS = 4
SEEDS = range(3)  # of the folds and of the network

# alpha times the geometric mean of the two layer weights at 64 units: one grid of alphas for all widths.
STRENGTHS = np.logspace(-4.5, 0.5, 11)
TRAINING = {
    "learning_rate": "cosine",
    "learning_rate_init": 0.01,
    "batch_size": 100,
    "n_iter_no_change": np.inf,
}
# 1200 steps or more. Of a training that ends early, the length is a penalty too, and one that weakens with the width.
EPOCHS = {"diabetes": 300, "breast cancer": 300, "digits": 100}


def run():
    records = []
    for table, penalty in product(TABLES, PENALTIES):
        new = [measure(table, penalty, scaling) for scaling in SCALINGS]
        print_table(f"{table}, {penalty}", [row(record) for record in new])
        records += new
    return records


def measure(table, penalty, scaling):
    """Held-out losses of every seed, width and alpha; the best alpha of each width."""
    X, y = TABLES[table](return_X_y=True)
    regression = table == "diabetes"
    if regression:
        y = scale(y)
    n_outputs = 1 if regression or len(np.unique(y)) == 2 else len(np.unique(y))
    alphas = STRENGTHS / typical_weight(scaling, X.shape[1], WIDTHS[1], n_outputs)
    losses = np.zeros((len(SEEDS), len(WIDTHS), len(alphas)))
    for i, seed in enumerate(SEEDS):
        folds = (KFold if regression else StratifiedKFold)(FOLDS, shuffle=True, random_state=seed).split(X, y)
        for (train, test), (j, width), (k, alpha) in product(folds, enumerate(WIDTHS), enumerate(alphas)):
            options = {"penalty": penalty, "layer_weights": scaling, "alpha": alpha, "max_iter": EPOCHS[table]}
            loss = held_out_loss(X, y, train, test, regression, width, options | {"random_state": seed})
            losses[i, j, k] += loss / FOLDS
    curves = losses.mean(axis=0)
    best = [lowest(alphas, curve) for curve in curves]
    by_seed = [lowest(alphas, one[-1]) / lowest(alphas, one[0]) for one in losses]
    kept = np.interp(np.log(best[0]), np.log(alphas), curves[-1])
    return {
        "table": table,
        "penalty": penalty,
        "layer_weights": scaling,
        "alphas": alphas.tolist(),
        "losses": losses.tolist(),
        "best": best,
        "moves": best[-1] / best[0],
        "moves_by_seed": by_seed,
        "kept": kept / np.interp(np.log(best[-1]), np.log(alphas), curves[-1]) - 1,
    }


def typical_weight(scaling, *layer_sizes):
    """Geometric mean of the layer weights c_l."""
    fans = np.array([layer_sizes[:-1], layer_sizes[1:]], dtype=float)
    weights = {"uniform": fans[0] ** 0, "size": 1 / fans.prod(axis=0), "fan": fans.sum(axis=0) / fans.prod(axis=0)}
    return np.exp(np.log(weights[scaling]).mean())


def held_out_loss(X, y, train, test, regression, width, options):
    """Mean squared error, of a target of variance 1, or log loss."""
    scaler = StandardScaler().fit(X[train])
    X_train, X_test = (scaler.transform(X[rows]).astype(np.float32) for rows in (train, test))
    Estimator = NormRegMLPRegressor if regression else NormRegMLPClassifier
    model = Estimator((width,), **TRAINING | options).fit(X_train, y[train])
    if regression:
        return np.mean((model.predict(X_test) - y[test]) ** 2)
    return log_loss(y[test], model.predict_proba(X_test).astype(float), labels=model.classes_)


def lowest(alphas, losses):
    """The alpha of the lowest loss: vertex of a parabola in log(alpha) through the lowest point and its neighbours."""
    k = int(np.argmin(losses))
    if k in (0, len(alphas) - 1):
        return float(alphas[k])
    x = np.log(alphas[k - 1 : k + 2])
    a, b, _ = np.polyfit(x - x[1], losses[k - 1 : k + 2], 2)
    return float(np.exp(x[1] - b / (2 * a)))


def row(record):
    cells = {"layer_weights": record["layer_weights"]}
    cells |= {f"best at {width}": alpha for width, alpha in zip(WIDTHS, record["best"], strict=True)}
    by_seed = record["moves_by_seed"]
    cells["256 over 16"] = record["moves"]
    cells["by seed"] = f"{min(by_seed):.2g} to {max(by_seed):.2g}"
    cells["loss at 256 with the alpha of 16"] = f"{100 * record['kept']:+.1f} %"
    return cells
