"""Other models with the same predictions: one without dead weights, and scikit-learn's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import LabelBinarizer

from sknormnet._core.activations import activation_value
from sknormnet.losses import Loss

SKLEARN_ACTIVATIONS = ("identity", "relu", "tanh", "logistic")
SKLEARN_LOSSES = {"identity": "squared_error", "exp": "poisson"}  # of MLPRegressor, by the output's activation
# Named alike but not meant alike, or given by the fitted network.
NOT_SHARED = {"alpha", "loss", "hidden_layer_sizes", "activation"}
NOT_IN_SKLEARN = {"solver": "fista", "learning_rate": "cosine", "shuffle": "block"}


def compact_layers(
    weights: Sequence[np.ndarray], intercepts: Sequence[np.ndarray], activations: Sequence[str]
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """The same function of the inputs by a smaller network.

    A unit whose incoming weights are all zero is constant, and what it passes on joins the next intercepts. A unit
    or an input whose outgoing weights are all zero is dropped. At least one stays in each layer.

    Parameters
    ----------
    weights, intercepts : sequence of ndarray
        Of each layer, (fan_in, fan_out) and (fan_out,).
    activations : sequence of str
        Of each hidden layer.

    Returns
    -------
    weights, intercepts : list of ndarray
    inputs : ndarray of int
        Numbers of the inputs that the first matrix has rows for.
    """
    weights, intercepts = [np.array(W) for W in weights], [np.array(b) for b in intercepts]
    for i, activation in enumerate(activations):  # upwards: without its constants the next unit may be constant too
        constant = ~weights[i].any(axis=0)
        values = activation_value(activation, intercepts[i][np.newaxis, constant])[0]
        intercepts[i + 1] += values.astype(np.float64) @ weights[i + 1][constant]
        weights[i + 1][constant] = 0
    for i in reversed(range(len(activations))):  # downwards: without its readers the unit below may have none
        weights[i][:, ~weights[i + 1].any(axis=1)] = 0
    kept = [_at_least_one(W) for W in weights]
    kept.append(np.arange(weights[-1].shape[1]))
    return (
        [np.ascontiguousarray(W[np.ix_(kept[i], kept[i + 1])]) for i, W in enumerate(weights)],
        [b[kept[i + 1]] for i, b in enumerate(intercepts)],
        kept[0],
    )


def alive(weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of the inputs and of the units of each hidden layer, whether the output depends on the inputs through them.

    Those that non-zero weights connect with an input on one side and an output on the other.
    """
    reached: list[Any] = [np.ones(weights[0].shape[0], dtype=bool)]
    for W in weights:
        reached.append(W[reached[-1]].any(axis=0))
    read = [reached[-1]]
    for W in reversed(weights):
        read.insert(0, W[:, read[0]].any(axis=1))
    return [above & below for above, below in zip(reached[:-1], read[:-1], strict=True)]


def _at_least_one(W: np.ndarray) -> np.ndarray:
    """Numbers of the rows that are not zero, or of the first."""
    used = np.flatnonzero(W.any(axis=1))
    return used if used.size else np.array([0])


def to_sklearn(
    model: Any, weights: Sequence[np.ndarray], intercepts: Sequence[np.ndarray], activations: Sequence[str]
) -> MLPClassifier | MLPRegressor:
    """scikit-learn's MLP with these layers, which goes on from them in `partial_fit` and warm starts.

    Parameters
    ----------
    model : fitted NormRegMLPClassifier or NormRegMLPRegressor
    weights, intercepts, activations
        Of its layers; the first matrix has a row for every feature.

    Raises
    ------
    ValueError
        If scikit-learn's MLP has no such activation or output.
    """
    activation = _one_activation(activations)
    _check_output(model)
    Estimator = MLPClassifier if model.task == "classification" else MLPRegressor
    shared = Estimator().get_params().keys() - NOT_SHARED
    parameters = {
        name: value
        for name, value in model.get_params(deep=False).items()
        if name in shared and NOT_IN_SKLEARN.get(name) != value
    }
    if model.task == "regression":
        parameters["loss"] = SKLEARN_LOSSES[model.out_activation_]
    hidden = tuple(len(b) for b in intercepts[:-1])
    mlp = clone(Estimator(hidden_layer_sizes=hidden, activation=activation, **parameters))
    mlp.coefs_, mlp.intercepts_ = [np.array(W) for W in weights], [np.array(b) for b in intercepts]
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        setattr(mlp, name, getattr(model, name))
    for name, default in (("n_iter_", 0), ("t_", 0), ("loss_", np.inf)):
        setattr(mlp, name, getattr(model, name, default))  # a callback's or a scorer's model lacks some
    if hasattr(model, "feature_names_in_"):
        mlp.feature_names_in_ = model.feature_names_in_.copy()
    if model.task == "classification":
        mlp._label_binarizer = _label_binarizer(model)
        mlp.classes_ = mlp._label_binarizer.classes_
    _make_trainable(mlp)
    return mlp


def _one_activation(activations: Sequence[str]) -> str:
    if not activations:
        return "relu"  # of no layer
    if len(set(activations)) > 1 or activations[0] not in SKLEARN_ACTIVATIONS:
        raise ValueError(
            f"scikit-learn's MLP has one activation for all hidden layers, of {list(SKLEARN_ACTIVATIONS)}; this model "
            f"has {list(activations)}"
        )
    return activations[0]


def _check_output(model: Any) -> None:
    """Raise ValueError unless scikit-learn's output has the shape and the meaning of the model's."""
    if model.task == "classification":
        if isinstance(model.classes_, list):
            raise ValueError(
                "scikit-learn's MLPClassifier has no classes in several columns; this model has "
                f"{len(model.classes_)} columns of classes"
            )
        several = len(model.classes_) > 2 or model._n_label_columns is not None
        n_outputs = len(model.classes_) if several else 1
        output = "softmax" if several and model._n_label_columns is None else "logistic"
        if (model.out_activation_, model.n_outputs_) != (output, n_outputs):
            raise ValueError(
                f"scikit-learn's MLPClassifier has {n_outputs} {output} output(s) for these classes; the loss "
                f"{model._loss()!r} has {model.n_outputs_} with the inverse link {model.out_activation_!r}"
            )
    elif model.out_activation_ not in SKLEARN_LOSSES or type(model._loss()).prediction is not Loss.prediction:
        raise ValueError(
            "scikit-learn's MLPRegressor predicts the raw output or its exponential; the loss "
            f"{model._loss()!r} predicts otherwise, with the inverse link {model.out_activation_!r}"
        )


def _label_binarizer(model: Any) -> LabelBinarizer:
    if model._n_label_columns is not None:
        return LabelBinarizer().fit(np.eye(model._n_label_columns, dtype=int))
    return LabelBinarizer().fit(model.classes_)


def _make_trainable(mlp: MLPClassifier | MLPRegressor) -> None:
    """What scikit-learn's training starts with. The losses so far are another objective's, so its own count anew."""
    mlp.loss_curve_ = []
    mlp.best_loss_ = np.inf
    mlp.validation_scores_ = [] if mlp.early_stopping else None
    mlp.best_validation_score_ = -np.inf if mlp.early_stopping else None
    mlp._no_improvement_count = 0
    mlp._best_coefs = [W.copy() for W in mlp.coefs_]
    mlp._best_intercepts = [b.copy() for b in mlp.intercepts_]
