"""Validation data: rows held out of the training data, or a table of their own."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split

from sknormnet._core.network import Network, RowOrder, SelectedRows
from sknormnet.losses import Loss
from sknormnet.plan import Plan

NOT_STRATIFIED = (
    "A class has one sample only, or there are more classes than rows on one side of the split: the validation set is "
    "not stratified."
)


@dataclass
class HeldOut:
    """Rows that are not trained on.

    Attributes
    ----------
    X : ndarray or CSR
        As the core reads it.
    y : ndarray of shape (n, n_targets)
        Encoded.
    target : ndarray
        y as it was given.
    sample_weight : ndarray of shape (n,) or None
    rows : ndarray of int64 or None
        Which rows of these arrays; None is all.
    """

    X: Any
    y: np.ndarray
    target: np.ndarray
    sample_weight: np.ndarray | None
    rows: np.ndarray | None = None

    def selected(self, array: Any) -> Any:
        """The rows that count of one of these arrays, in new memory where they are not all."""
        if isinstance(array, SelectedRows):
            return array.copy(self.rows)
        return array if array is None or self.rows is None else array[self.rows]


def split_rows(
    n: int, stratify: np.ndarray | None, fraction: float, rng: np.random.RandomState, *, in_order: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows held out, stratified where the classes allow it; in_order: both ascending."""
    if fraction == 0:
        raise ValueError("early_stopping needs a validation_fraction above 0, or X_val and y_val")
    rows = np.arange(n, dtype=np.int64)
    split = partial(train_test_split, rows, test_size=fraction, random_state=rng)
    stratified = True
    try:
        try:
            train, held_out = split(stratify=stratify)
        except ValueError:
            train, held_out = split()
            stratified = False
    except ValueError as error:
        raise ValueError(
            f"{n} samples cannot be split for early_stopping ({error}); change validation_fraction (now {fraction}) or "
            "use more data"
        ) from error
    if len(held_out) < 2:
        raise ValueError(
            f"the validation set has {len(held_out)} sample; raise validation_fraction (now {fraction}) or use more "
            "data"
        )
    if not stratified:
        warnings.warn(NOT_STRATIFIED, UserWarning, stacklevel=6)
    return (np.sort(train), np.sort(held_out)) if in_order else (train, held_out)


def make_validator(
    held_out: HeldOut,
    plan: Plan,
    activation: Any,
    loss: Loss,
    score: Callable[[np.ndarray, np.ndarray, np.ndarray | None], float],
) -> Callable[[np.ndarray], tuple[float, float]]:
    """theta -> score on the held-out rows, higher is better, and their mean loss.

    score takes the encoded y, raw predictions and sample weights.
    """
    network = Network(plan.layer_sizes, activation, held_out.X.dtype)
    rows = None if held_out.rows is None else RowOrder(held_out.rows, held_out.X.shape[0])
    y, weight = held_out.selected(held_out.y), held_out.selected(held_out.sample_weight)
    total = len(y) if weight is None else float(weight.sum(dtype=np.float64))
    if total == 0:
        raise ValueError(
            f"the weights of the validation data are all zero in {held_out.X.dtype}, they differ so much: bring "
            "sample_weight and sample_weight_val closer together"
        )

    def validate(theta: np.ndarray) -> tuple[float, float]:
        raw = network.forward(*plan.split(theta), held_out.X, rows)
        value, _ = loss.value_and_gradient(y, raw) if weight is None else loss.value_and_gradient(y, raw, weight)
        with np.errstate(over="ignore", invalid="ignore"):  # where training diverges
            return score(y, raw, weight), value / total

    return validate


def make_scored_validator(
    held_out: HeldOut,
    plan: Plan,
    activation: Any,
    loss: Loss,
    scorer: Callable[..., float],
    fitted: Callable[[list[np.ndarray], list[np.ndarray]], BaseEstimator],
) -> Callable[[np.ndarray], tuple[float, float]]:
    """The same with a scikit-learn scorer, which is called with an estimator that fitted(coefs, intercepts) returns."""
    mean_loss = make_validator(held_out, plan, activation, loss, lambda *_: np.nan)
    X, target = held_out.selected(held_out.X), held_out.selected(held_out.target)
    weight = held_out.selected(held_out.sample_weight)
    keywords = {} if weight is None else {"sample_weight": weight}

    def validate(theta: np.ndarray) -> tuple[float, float]:
        estimator = fitted(*(list(map(np.copy, arrays)) for arrays in plan.split(theta)))
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # where training diverges
                value = float(scorer(estimator, X, target, **keywords))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"validation_scoring, {scorer!r}, cannot score this model: {error}") from error
        return value, mean_loss(theta)[1]

    return validate


def unnamed_copy(estimator: BaseEstimator) -> BaseEstimator:
    """A shallow copy that takes arrays without feature names."""
    bare = copy.copy(estimator)
    vars(bare).pop("feature_names_in_", None)
    return bare
