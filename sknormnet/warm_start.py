"""What a fit leaves behind for the next one to go on from: plain arrays and numbers."""

from typing import Any

import numpy as np

# What a fit notes about itself. While it trains there is none, so that models made for callbacks have no other fit's.
RECORDS = (
    "history_",
    "objective_",
    "n_iter_",
    "stop_reason_",
    "t_",
    "loss_curve_",
    "loss_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_training_state",
)


def save_rng(rng: np.random.RandomState) -> dict[str, Any]:
    """State of a random stream."""
    return rng.get_state(legacy=False)


def restore_rng(state: dict[str, Any]) -> np.random.RandomState:
    """A random stream that goes on from a saved state."""
    rng = np.random.RandomState(getattr(np.random, state["bit_generator"])())
    rng.set_state(state)
    return rng


def mean_weight(sample_weight: np.ndarray | None) -> float:
    """Mean of weights, whose sum might overflow; 1 without weights."""
    if sample_weight is None:
        return 1.0
    highest = sample_weight.max()
    return float(highest * (sample_weight / highest).mean())


def normalized_weight(
    sample_weight: np.ndarray | None, dtype: np.dtype, first_mean: float | None = None
) -> np.ndarray | None:
    """Weights divided by their mean, or by that of the first call of partial_fit; None where all are 1."""
    if sample_weight is None:
        if first_mean is None or first_mean == 1.0:
            return None
        raise ValueError("sample_weight was given to the first call of partial_fit: give it to every call")
    if first_mean is None:
        if (sample_weight == sample_weight[0]).all():
            return None
        first_mean = mean_weight(sample_weight)
    return (sample_weight / first_mean).astype(dtype)
