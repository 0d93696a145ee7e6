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
from sknormnet._core.penalties import NetworkNormKernel
from sknormnet.activations import ACTIVATIONS
from sknormnet.penalties import PENALTIES, ElasticNet, NoPenalty, Penalty
from sknormnet.penalties.base import CompiledPenalty

SCALES = {
    "uniform": lambda fan_in, fan_out: 1.0,
    "size": lambda fan_in, fan_out: 1.0 / (fan_in * fan_out),
    "fan": lambda fan_in, fan_out: (fan_in + fan_out) / (fan_in * fan_out),
}


class PerLayer(BaseEstimator):
    """One value for the first layer, one for those between and one for the last, whatever the depth.

    For ``layer_weights`` the three are numbers, multiplied by ``scale``, for ``penalty`` they are penalties, and the
    layers are the weight matrices: the one at the inputs, those between hidden layers, the one at the outputs. For
    ``activation`` they are names, and the layers are the hidden layers: the one next to the inputs, those between, the
    one next to the outputs. One layer is a first only, two are a first and a last. In a grid,
    ``layer_weights=PerLayer()`` makes ``layer_weights__first`` a parameter of its own.

    Parameters
    ----------
    first, hidden, last : float >= 0, penalty, or name of an activation, default=1
        For the first layer, those between, and the last.
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
        """The value of each of n_layers layers."""
        return [self.first, *[self.hidden] * (n_layers - 2), self.last][:n_layers]


@dataclass(frozen=True)
class PenaltyTerm:
    """strength * Omega on one layer, or on all layers together."""

    penalty: Penalty
    strength: float

    @property
    def active(self) -> bool:
        """Whether it has any effect: constraints hold at strength 0 too."""
        return self.strength > 0 or self.penalty.constraint


@dataclass(frozen=True)
class Plan:
    """Layout of theta = [W1, b1, W2, b2, ...] and the penalty of each layer.

    Parameters
    ----------
    layer_sizes : tuple of int
        Inputs, hidden units and raw outputs.
    terms : tuple of PenaltyTerm
        One per weight matrix; or a single one, network-wide, of all.
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

    @property
    def network_wide(self) -> bool:
        """Whether there is one term for all layers together."""
        return self.terms[0].penalty.network_wide

    def can_be_evaded(self, homogeneous: Sequence[bool]) -> bool:
        """Whether some layers have a penalty and others none, with only homogeneous activations between them.

        Constraints count as neither. `homogeneous` says of each hidden layer whether its activation f has
        f(c*z) = c*f(z) for c > 0: weight can move from one side of it to the other.
        """
        connected: set[bool] = set()
        for layer, term in enumerate(self.terms):
            if layer > 0 and not homogeneous[layer - 1]:
                connected = set()
            if term.penalty.scales or not term.penalty.constraint:
                connected.add(term.strength > 0 and term.penalty.scales)
            if len(connected) == 2:
                return True
        return False

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

    def penalized(self) -> list[tuple[Any, tuple[int, int], PenaltyTerm]]:
        """What each term penalises (W, or W and b as its last row): where in theta, its shape, the term."""
        where, shapes = [], []
        for s, (fan_in, fan_out) in zip(self.weight_slices(), self.shapes, strict=True):
            rows = fan_in + self.penalize_intercepts
            where.append(slice(s.start, s.start + rows * fan_out))
            shapes.append((rows, fan_out))
        if self.network_wide:
            everywhere = np.concatenate([np.arange(s.start, s.stop) for s in where])
            return [(everywhere, (1, everywhere.size), self.terms[0])]
        return list(zip(where, shapes, self.terms, strict=True))

    def layer_penalties(self) -> LayerPenalties:
        """The terms in compiled form, for an epoch."""
        if self.network_wide and self.terms[0].strength > 0:
            terms = [(NetworkNormKernel(), 0.0)] * len(self.shapes)
            return LayerPenalties(terms, self.shapes, self.penalize_intercepts, self.terms[0].strength)
        of_layers = [PenaltyTerm(NoPenalty(), 0.0)] * len(self.shapes) if self.network_wide else self.terms
        terms = [(term.penalty.kernel(), term.strength) for term in of_layers]
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


def resolve_activation(activation: Any, n_hidden: int) -> str | tuple[str, ...]:
    """The name of the activation of all hidden layers, or, where they differ, a tuple with one name for each.

    Raises
    ------
    ValueError
        If a name is unknown or a sequence does not have one name per hidden layer.
    """
    if isinstance(activation, str):
        names = [activation]
    elif isinstance(activation, PerLayer):
        if activation.scale != "uniform":
            raise ValueError("a PerLayer of activations takes no scale")
        names = activation.for_layers(n_hidden)
    elif np.ndim(activation) != 1:
        raise ValueError(
            f"activation must be a name, or a flat sequence with one name per hidden layer: {activation!r}"
        )
    else:
        names = list(activation)
        if len(names) != n_hidden:
            raise ValueError(
                f"activation has {len(names)} entries, but the network has {n_hidden} hidden layers; "
                "PerLayer(first=..., hidden=..., last=...) fits any depth"
            )
    for name in names:
        if not isinstance(name, str) or name not in ACTIVATIONS:
            raise ValueError(
                f"the activation of a hidden layer must be one of {list(ACTIVATIONS)}, got {name!r}; a PerLayer of "
                "activations names all three: PerLayer(first='tanh', hidden='relu', last='relu')"
            )
    return str(names[0]) if len(set(names)) == 1 else tuple(str(name) for name in names)


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


def make_plan(
    layer_sizes: tuple[int, ...],
    *,
    penalty: Any,
    l1_ratio: float,
    alpha: float,
    layer_weights: Any,
    feature_weights: Any,
    penalize_intercepts: bool,
) -> Plan:
    """The plan of an estimator's parameters; l1_ratio serves the name "elasticnet".

    Raises
    ------
    ValueError
        If a name is unknown, a sequence does not fit the layers or the inputs, or parts do not go together.
    TypeError
        If a penalty is neither a name, None nor a Penalty.
    """
    penalties = resolve_penalties(penalty, l1_ratio, layer_sizes)
    factors = resolve_layer_weights(layer_weights, layer_sizes)
    if len(penalties) == 1 and penalties[0].network_wide:
        if set(factors) != {1.0}:
            raise ValueError(
                f"{penalties[0]!r} is one norm of all layers, which layer_weights cannot tell apart: use "
                "L2Norm('matrix')"
            )
        factors = [1.0]
    if feature_weights is not None:
        weights = resolve_feature_weights(feature_weights, layer_sizes[0])
        penalties[0] = _OfWeightedInputs(penalties[0], weights)
        penalties[0].kernel()  # which may refuse them
    strengths = [float(alpha) * factor for factor in factors]
    if not np.isfinite(strengths).all():
        raise ValueError(
            f"the penalty strengths, alpha times the layer weights, must be finite numbers; they are {strengths}"
        )
    terms = tuple(PenaltyTerm(p, s) for p, s in zip(penalties, strengths, strict=True))
    return Plan(layer_sizes, terms, penalize_intercepts)


def resolve_feature_weights(feature_weights: Any, n_features: int) -> np.ndarray:
    """One factor of the first layer's strength for each input.

    Raises
    ------
    ValueError
        If there is not one for each input, or one is negative or not finite.
    """
    try:
        weights = np.asarray(feature_weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"feature_weights must be numbers, one for each input; got {feature_weights!r}") from error
    if weights.shape != (n_features,):
        raise ValueError(
            f"feature_weights must be one number for each of the {n_features} inputs, got shape {weights.shape}"
        )
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("feature_weights must be finite numbers >= 0; 0 leaves an input unpenalised")
    return weights


class _OfWeightedInputs(CompiledPenalty):
    """A penalty of inputs or single weights whose strength has a factor for each input."""

    def __init__(self, penalty, feature_weights):
        self.penalty = penalty
        self.feature_weights = feature_weights
        for attribute in ("name", "smooth", "convex", "constraint", "decoupled"):
            setattr(self, attribute, getattr(penalty, attribute))
        self.scales = penalty.scales and bool(np.any(feature_weights))

    def __repr__(self) -> str:
        return repr(self.penalty)

    def kernel(self) -> Any:
        kernel = self.penalty.kernel().for_inputs(self.feature_weights)
        if kernel is None:
            raise ValueError(
                f"feature_weights multiply the penalty of each input, and {self.penalty!r} has none: use a "
                "penalty of single weights or one with by='input' on the first layer, alone or in a Sum with L1 and L2"
            )
        return kernel


def resolve_penalties(penalty: Any, l1_ratio: float, layer_sizes: tuple[int, ...]) -> list[Penalty]:
    """The penalty of each weight matrix, or one that is network-wide; l1_ratio serves the name "elasticnet".

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
    elif isinstance(penalty, Penalty) and penalty.network_wide:
        return [_resolve_penalty(penalty, l1_ratio)]
    elif penalty is None or isinstance(penalty, str | Penalty):
        entries = [penalty] * len(shapes)
    else:
        entries = list(penalty)
        _check_one_per_layer("penalty", entries, shapes)
    penalties = [_resolve_penalty(entry, l1_ratio) for entry in entries]
    for resolved in penalties:
        if resolved.network_wide:
            raise ValueError(
                f"{resolved!r} is one norm of all layers and cannot be the penalty of one: give it alone, as penalty="
            )
    return penalties


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
