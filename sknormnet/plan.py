"""The plan: where strength meets layer.

From layer sizes, penalties and layer weights to one term, strength * Omega, for each weight matrix.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from sknormnet._core.network import LayerPenalties, aligned_empty
from sknormnet.penalties import PENALTIES, ElasticNet, NoPenalty, Penalty

SCALES = {
    "uniform": lambda fan_in, fan_out: 1.0,
    "size": lambda fan_in, fan_out: 1.0 / (fan_in * fan_out),
    "fan": lambda fan_in, fan_out: (fan_in + fan_out) / (fan_in * fan_out),
}


class PerLayer(BaseEstimator):
    """One value for the first, the hidden and the last weight matrix, whatever the depth.

    For ``layer_weights`` the three are numbers, multiplied by ``scale``; for ``penalty`` they are penalties. In a grid,
    ``layer_weights=PerLayer()`` makes ``layer_weights__first`` a parameter of its own.

    Parameters
    ----------
    first, hidden, last : float >= 0, or penalty, default=1
        For the matrix at the inputs, those between hidden layers, and the one at the outputs. A network of one matrix
        has a first only, a network of two a first and a last.
    scale : {"uniform", "size", "fan"}, default="uniform"
        Factor from the layer's shape: 1, 1 / (fan_in*fan_out), or (fan_in + fan_out) / (fan_in*fan_out). For layer
        weights only.

    Examples
    --------
    >>> from sknormnet import NormRegMLPClassifier, PerLayer
    >>> model = NormRegMLPClassifier(layer_weights=PerLayer(first=10.0))
    >>> model.set_params(layer_weights__first=0.1).layer_weights
    PerLayer(first=0.1)
    """

    def __init__(self, first: Any = 1, hidden: Any = 1, last: Any = 1, scale: str = "uniform"):
        self.first = first
        self.hidden = hidden
        self.last = last
        self.scale = scale

    def for_layers(self, n_layers: int) -> list[Any]:
        """The value of each of n_layers weight matrices."""
        if n_layers == 1:
            return [self.first]
        return [self.first, *[self.hidden] * (n_layers - 2), self.last]


@dataclass(frozen=True)
class PenaltyTerm:
    """strength * Omega on one layer."""

    penalty: Penalty
    strength: float


@dataclass(frozen=True)
class Plan:
    """Layout of theta = [W1, b1, W2, b2, ...] and the penalty of each layer.

    Parameters
    ----------
    layer_sizes : tuple of int
        Inputs, hidden units and raw outputs.
    terms : tuple of PenaltyTerm
        One per weight matrix.
    penalize_intercepts : bool
        Whether b counts as one more row of W.
    """

    layer_sizes: tuple[int, ...]
    terms: tuple[PenaltyTerm, ...]
    penalize_intercepts: bool = False

    @property
    def shapes(self) -> list[tuple[int, int]]:
        return layer_shapes(self.layer_sizes)

    @property
    def n_parameters(self) -> int:
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in self.shapes)

    def weight_slices(self) -> list[slice]:
        """Where each layer's W lies in theta; its b follows."""
        slices, start = [], 0
        for fan_in, fan_out in self.shapes:
            slices.append(slice(start, start + fan_in * fan_out))
            start += (fan_in + 1) * fan_out
        return slices

    def layer_slices(self) -> list[slice]:
        """Where each layer's W and b lie in theta."""
        return [
            slice(s.start, s.stop + fan_out) for s, (_, fan_out) in zip(self.weight_slices(), self.shapes, strict=True)
        ]

    def penalized(self) -> list[tuple[slice, tuple[int, int], PenaltyTerm]]:
        """The penalised part of each layer (W, or W and b as its last row): where, its shape, its term."""
        parts = []
        for s, (fan_in, fan_out), term in zip(self.weight_slices(), self.shapes, self.terms, strict=True):
            rows = fan_in + self.penalize_intercepts
            parts.append((slice(s.start, s.start + rows * fan_out), (rows, fan_out), term))
        return parts

    def layer_penalties(self) -> LayerPenalties:
        """The terms in compiled form, for an epoch."""
        terms = [(term.penalty.kernel(), term.strength) for term in self.terms]
        return LayerPenalties(terms, self.shapes, self.penalize_intercepts)

    def split(self, theta: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Views of the matrices, shape (fan_in, fan_out), and of the intercepts, shape (fan_out,)."""
        coefs, intercepts = [], []
        for (fan_in, fan_out), s in zip(self.shapes, self.weight_slices(), strict=True):
            coefs.append(theta[s].reshape(fan_in, fan_out))
            intercepts.append(theta[s.stop : s.stop + fan_out])
        return coefs, intercepts

    def join(self, coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray:
        """theta from a fitted model's arrays."""
        theta = aligned_empty(self.n_parameters, dtype)
        np.concatenate([a.ravel() for pair in zip(coefs, intercepts, strict=True) for a in pair], out=theta)
        return theta


def layer_shapes(layer_sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(layer_sizes))


def resolve_layer_weights(layer_weights: Any, layer_sizes: tuple[int, ...]) -> list[float]:
    """The factor c_l of each weight matrix.

    Raises
    ------
    ValueError
        If a sequence does not have one number per matrix, a number is negative or not finite, or a name is unknown.
    """
    shapes = layer_shapes(layer_sizes)
    scale = "uniform"
    if layer_weights is None:
        layer_weights = "uniform"
    if isinstance(layer_weights, str):
        scale, numbers = layer_weights, [1.0] * len(shapes)
    elif isinstance(layer_weights, PerLayer):
        scale, numbers = layer_weights.scale, layer_weights.for_layers(len(shapes))
    elif np.ndim(layer_weights) != 1:
        raise ValueError(
            f"layer_weights must be a flat sequence with one number per weight matrix, got {layer_weights!r}"
        )
    else:
        numbers = list(layer_weights)
        _check_one_per_layer("layer_weights", numbers, shapes)
    if not isinstance(scale, str) or scale not in SCALES:
        raise ValueError(
            f"layer_weights must be None, one of {sorted(SCALES)}, a sequence of numbers or a PerLayer with such a "
            f"scale, got {scale!r}"
        )
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, Real) or not np.isfinite(number) or number < 0:
            raise ValueError(
                f"layer_weights must be finite numbers >= 0, got {number!r}; use 0 to leave a layer unpenalised"
            )
    return [float(c) * SCALES[scale](*shape) for c, shape in zip(numbers, shapes, strict=True)]


def resolve_penalties(penalty: Any, l1_ratio: float, layer_sizes: tuple[int, ...]) -> list[Penalty]:
    """The penalty of each weight matrix; l1_ratio serves the name "elasticnet".

    Raises
    ------
    ValueError
        If a name is unknown or a sequence does not have one penalty per matrix.
    TypeError
        If an entry is neither a name, None nor a Penalty.
    """
    shapes = layer_shapes(layer_sizes)
    if isinstance(penalty, PerLayer):
        if penalty.scale != "uniform":
            raise ValueError("a PerLayer of penalties takes no scale; give it to layer_weights=PerLayer(scale=...)")
        entries = penalty.for_layers(len(shapes))
    elif penalty is None or isinstance(penalty, str | Penalty):
        entries = [penalty] * len(shapes)
    else:
        entries = list(penalty)
        _check_one_per_layer("penalty", entries, shapes)
    return [_resolve_penalty(entry, l1_ratio) for entry in entries]


def _resolve_penalty(entry: Any, l1_ratio: float) -> Penalty:
    if entry is None:
        return NoPenalty()
    if isinstance(entry, Penalty):
        entry.kernel()  # its own parameters are checked here
        return entry
    if not isinstance(entry, str):
        raise TypeError(
            f"penalty must be given as a name, None or an object of sknormnet.penalties for each layer, got {entry!r}; "
            "a PerLayer of penalties names all three: PerLayer(first='l1', hidden='l2', last='l2')"
        )
    if entry not in PENALTIES:
        raise ValueError(f"unknown penalty {entry!r}; known are {sorted(PENALTIES)}")
    if entry == "elasticnet":
        return ElasticNet(l1_ratio)
    return PENALTIES[entry]()


def _check_one_per_layer(name: str, entries: list, shapes: list) -> None:
    if len(entries) != len(shapes):
        raise ValueError(
            f"{name} has {len(entries)} entries, but the network has {len(shapes)} weight matrices (one more than "
            "hidden layers); PerLayer(first=..., hidden=..., last=...) fits any depth"
        )
