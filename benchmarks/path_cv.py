"""What does cross-validation along a path save against a grid search over the same strengths and folds? Digits."""

import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler
from sknormnet import NormRegMLPClassifier, NormRegMLPClassifierCV, PerLayer
from sknormnet.penalties import GroupLasso

from report import print_table

MODEL = {"penalty": PerLayer(first=GroupLasso("input"), hidden="l2", last="l2"), "random_state": 0}  # 100 relu units
N_ALPHAS, FOLDS = 50, 5


def run(repeats):
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    scaler = StandardScaler().fit(X)
    train, test = (scaler.transform(X).astype(np.float32), y), (scaler.transform(X_test).astype(np.float32), y_test)
    one, two, grid = [], [], []
    for _ in range(repeats):
        one.append(timed(NormRegMLPClassifierCV(n_alphas=N_ALPHAS, cv=FOLDS, n_jobs=1, **MODEL), train))
        two.append(timed(NormRegMLPClassifierCV(n_alphas=N_ALPHAS, cv=FOLDS, n_jobs=2, **MODEL), train))
        strengths = {"alpha": one[0][1].alphas_}
        grid.append(timed(GridSearchCV(NormRegMLPClassifier(**MODEL), strengths, cv=FOLDS, n_jobs=1), train))
    base = min(seconds for seconds, _ in one)
    rows = []
    for name, results in (("path, one thread", one), ("path, two threads", two), ("grid search, one process", grid)):
        seconds, model = min(results, key=lambda result: result[0])
        chosen = model.alpha_ if hasattr(model, "alpha_") else model.best_params_["alpha"]
        rows.append(
            {"": name, "s": seconds, "by one thread": seconds / base, "alpha": chosen, "accuracy": model.score(*test)}
        )
    print_table(f"digits, {N_ALPHAS} strengths, {FOLDS} folds, best of {repeats}", rows)
    return rows


def timed(model, train):
    start = time.perf_counter()
    model.fit(*train)
    return time.perf_counter() - start, model
