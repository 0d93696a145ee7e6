"""Tune the penalty's strength and its weight in each layer, by grid search on the breast-cancer table.

Each line of the grid is one way to spread an L1 penalty over the two weight matrices of a small network: the named
layer weights, and scalars for the first and the last layer. Each column is one strength alpha. For the best alpha of
every line the script prints means over the folds: the log loss and accuracy on the held-out fold, the two terms of the
objective in the last epoch (the data loss alone may be compared between strengths), and the share of weights that are
exactly zero. Then it scores the best model on rows that the search never saw and, if matplotlib is there,
draws the whole grid.
"""

from time import perf_counter

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sknormnet import NormRegMLPClassifier, PerLayer

ALPHAS = np.logspace(-4, 1, 11)
PICTURE = "tune_breast_cancer.png"


def measure(pipeline, X, y):
    """Scores of a fitted pipeline on held-out rows, and what its training ended with."""
    network = pipeline[-1]
    weights = np.concatenate([W.ravel() for W in network.coefs_])
    return {
        "neg_log_loss": pipeline.predict_log_proba(X)[np.arange(len(y)), y].mean(),
        "accuracy": pipeline.score(X, y),
        "data_loss": network.history_["data_loss"][-1],
        "penalty": network.history_["penalty"][-1],
        "zeros": np.mean(weights == 0.0),
    }


def grid():
    """Seven ways to weigh the layers, each over all strengths. Scaling both layers would only be another alpha."""
    alphas = {"network__alpha": ALPHAS}
    scalars = {**alphas, "network__layer_weights": [PerLayer()]}
    return [
        {**alphas, "network__layer_weights": ["uniform", "size", "fan"]},
        {**scalars, "network__layer_weights__first": [0.1, 0.01]},
        {**scalars, "network__layer_weights__last": [0.1, 0.01]},
    ]


def layer_weights_name(parameters):
    """What a line of the table calls the layer weights of one candidate."""
    for layer in ("first", "last"):
        if (weight := parameters.get(f"network__layer_weights__{layer}")) is not None:
            return f"{layer}={weight:g}"
    return parameters["network__layer_weights"]


def as_table(search):
    """{layer weights: {quantity: list over ALPHAS}} from the results of the search."""
    results, table = search.cv_results_, {}
    for i, parameters in enumerate(results["params"]):  # alphas come in increasing order
        line = table.setdefault(layer_weights_name(parameters), {})
        for quantity in ("neg_log_loss", "accuracy", "data_loss", "penalty", "zeros"):
            line.setdefault(quantity, []).append(results[f"mean_test_{quantity}"][i])
    return table


def print_table(table):
    print("layer weights      alpha   log loss  accuracy   data loss   penalty   exact zeros")
    for name, line in sorted(table.items(), key=lambda item: -max(item[1]["neg_log_loss"])):
        i = np.argmax(line["neg_log_loss"])
        print(
            f"{name:<15} {ALPHAS[i]:>8.2g}   {-line['neg_log_loss'][i]:8.4f}  {line['accuracy'][i]:8.4f}"
            f"   {line['data_loss'][i]:9.4f}  {line['penalty'][i]:8.4f}   {line['zeros'][i]:11.1%}"
        )


def draw(table, path):
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(14, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    log_loss = -np.array([line["neg_log_loss"] for line in table.values()])
    zeros = np.array([line["zeros"] for line in table.values()])
    draw_grid(left, log_loss, "{:.3f}", "log loss on the held-out fold", cmap="viridis_r", norm="log")
    draw_grid(right, zeros, "{:.0%}", "share of exact zeros", cmap="Blues")
    best = np.unravel_index(log_loss.argmin(), log_loss.shape)[::-1]
    for axes in (left, right):
        axes.add_patch(Rectangle(np.subtract(best, 0.5), 1, 1, fill=False, edgecolor="tab:red", linewidth=2.5))
        axes.set_xticks(range(len(ALPHAS)), [f"{alpha:.2g}" for alpha in ALPHAS], fontsize=8)
        axes.set_xlabel("alpha")
    left.set_yticks(range(len(table)), table)
    left.set_ylabel("layer weights")
    figure.savefig(path, dpi=120)


def draw_grid(axes, values, form, title, **colours):
    image = axes.imshow(values, aspect="auto", **colours)
    for (row, column), value in np.ndenumerate(values):
        dark = np.dot(image.cmap(image.norm(value))[:3], [0.3, 0.6, 0.1]) < 0.5
        axes.text(
            column, row, form.format(value), ha="center", va="center", fontsize=8, color="white" if dark else "black"
        )
    axes.set_title(title)


def main():
    X, y = load_breast_cancer(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    network = NormRegMLPClassifier(
        (32,),
        penalty="l1",
        batch_size=32,
        learning_rate="cosine",
        learning_rate_init=0.01,
        max_iter=100,
        random_state=0,
    )
    pipeline = Pipeline([("scale", StandardScaler()), ("network", network)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(pipeline, grid(), scoring=measure, refit="neg_log_loss", cv=folds)

    start = perf_counter()
    search.fit(X_train, y_train)
    seconds = perf_counter() - start
    n_fits = len(search.cv_results_["params"]) * search.n_splits_
    print(f"{n_fits} fits of {network.max_iter} epochs on {len(X_train)} rows in {seconds:.1f} s\n")

    table = as_table(search)
    print_table(table)
    error = search.cv_results_["std_test_neg_log_loss"][search.best_index_] / np.sqrt(search.n_splits_)
    print(f"(standard error of the best log loss over the folds: {error:.4f})")
    best, network = search.best_params_, search.best_estimator_[-1]
    held_out = measure(search.best_estimator_, X_test, y_test)
    print(
        f"\nbest: layer weights {layer_weights_name(best)}, alpha={network.alpha:.2g}; on {len(X_test)} held-out rows"
    )
    print(f"accuracy {held_out['accuracy']:.4f}, log loss {-held_out['neg_log_loss']:.4f}")
    try:
        draw(table, PICTURE)
    except ImportError:
        print("no picture: matplotlib is not installed")
    else:
        print(f"picture of the grid: {PICTURE}")


if __name__ == "__main__":
    main()
