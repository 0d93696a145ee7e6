"""Several penalties on one layer."""

import itertools
from numbers import Real
from typing import Any

import numpy as np

from sknormnet._core.penalties import ElementwiseKernel, GroupKernel, PenaltyKernel
from sknormnet._core.python_penalties import PythonPenaltyKernel
from sknormnet.penalties.base import Penalty, floating


class Sum(Penalty):
    """Weighted sum of penalties of one layer, Omega = sum_k weights_k * Omega_k.

    Where the prox of the sum is known, and no other: a sum of smooth penalties; any penalty and `L2`; penalties of
    nested groups (single weights in rows or columns, in joined rows, in the matrix), whose proxes follow one another
    from the smallest groups to the largest. Of the latter may be L1, ElasticNet, GroupLasso, SparseGroupLasso, L2Norm,
    NonNegative, and as the largest groups one MaxNorm. What cannot be combined is refused with the pair named.

    Parameters
    ----------
    penalties : sequence of Penalty
    weights : sequence of float >= 0, default=None
        A factor of the strength for each; None is 1. Constraints have no strength and ignore theirs.

    References
    ----------
    Jenatton, Mairal, Obozinski and Bach (2011), Proximal methods for hierarchical sparse coding, JMLR 12;
    Yu (2013), On decomposing the proximal map, NeurIPS 26.

    Examples
    --------
    Group lasso and L2, the multi-task elastic net:

    >>> import numpy as np
    >>> from sknormnet.penalties import L2, GroupLasso, Sum
    >>> penalty = Sum((GroupLasso("input"), L2()), weights=(0.5, 0.5))
    >>> penalty.value(np.array([[3.0, 4.0]]), strength=1.0)
    8.75
    """

    name = "sum"

    def __init__(self, penalties, weights=None):
        self.penalties = penalties
        self.weights = weights

    @property
    def smooth(self) -> bool:  # type: ignore[override]
        return all(penalty.smooth for penalty, _ in self._terms())

    @property
    def convex(self) -> bool:  # type: ignore[override]
        return all(penalty.convex for penalty, _ in self._terms())

    @property
    def constraint(self) -> bool:  # type: ignore[override]
        return any(penalty.constraint for penalty, _ in self._terms())

    @property
    def scales(self) -> bool:  # type: ignore[override]
        return any(penalty.scales for penalty, _ in self._terms())

    @property
    def decoupled(self) -> bool:  # type: ignore[override]
        return any(penalty.decoupled for penalty, _ in self._terms())

    def kernel(self) -> PenaltyKernel:
        combination = self._combine()
        return combination.compiled() or PythonPenaltyKernel(combination, self)

    def value(self, W: np.ndarray, strength: float) -> float:
        """strength * Omega(W)."""
        return self._combine().value(floating(W), strength)

    def subgradient(self, W: np.ndarray, strength: float) -> np.ndarray:
        """Element of smallest norm of the subdifferential of strength * Omega at W, which is shaped like W."""
        return self._combine().subgradient(floating(W), strength)

    def prox(self, V: np.ndarray, step: float, strength: float) -> np.ndarray:
        """argmin over W of 0.5 * ||W - V||^2 + step * strength * Omega(W)."""
        return self._combine().prox(floating(V), step, strength)

    def residual(self, W: np.ndarray, gradient: np.ndarray, strength: float) -> np.ndarray:
        """Distance of -gradient to the subdifferential of strength * Omega at W, element by element."""
        W = floating(W)
        return self._combine().residual(W, np.ascontiguousarray(gradient, dtype=W.dtype), strength)

    def _terms(self) -> list[tuple[Penalty, float]]:
        """Penalties and weights, those of sums within multiplied out, without those of weight 0."""
        penalties = list(self.penalties) if np.iterable(self.penalties) else []
        if not penalties or not all(isinstance(penalty, Penalty) for penalty in penalties):
            raise TypeError(
                f"Sum takes a sequence of penalties, such as (L1(), GroupLasso('output')); got {self.penalties!r}"
            )
        weights = [1.0] * len(penalties) if self.weights is None else self.weights
        if np.ndim(weights) != 1 or len(weights) != len(penalties) or not all(map(_is_factor, weights)):
            raise ValueError(
                f"weights of Sum must be {len(penalties)} finite numbers >= 0, one for each penalty; got "
                f"{self.weights!r}"
            )
        terms = []
        for penalty, weight in zip(penalties, weights, strict=True):
            if penalty.network_wide:
                raise ValueError(f"{penalty!r} is the penalty of a whole network and no term of a Sum")
            penalty.kernel()  # parameters are checked there
            inner = penalty._terms() if isinstance(penalty, Sum) else [(penalty, 1.0)]
            terms += [(p, weight * w) for p, w in inner if weight * w > 0 or p.constraint]
        return terms

    def _combine(self) -> "_Combination":
        combination = _Combination()
        for penalty, weight in self._terms():
            combination.add(penalty, weight)
        combination.check()
        return combination


class _Combination:
    """Terms sorted: what belongs to single weights, groups from the smallest to the largest, and others."""

    def __init__(self) -> None:
        self.l1, self.l2, self.decay, self.non_negative = 0.0, 0.0, 0.0, False
        self.groups: list[tuple[Penalty, GroupKernel, float]] = []
        self.others: list[tuple[Penalty, PenaltyKernel, float]] = []
        self._of_elements: list[Penalty] = []  # not smooth
        self._decoupled: list[Penalty] = []

    def add(self, penalty: Penalty, weight: float) -> None:
        kernel = penalty.kernel()
        if isinstance(kernel, ElementwiseKernel):
            self._add_element(penalty, weight, kernel.l1, kernel.l2, kernel.non_negative)
            self.decay += weight * kernel.decay
            if kernel.decay > 0:
                self._decoupled.append(penalty)
        elif isinstance(kernel, GroupKernel) and kernel.composes:
            self._add_element(penalty, weight, kernel.inner, kernel.l2, kernel.non_negative)
            self.groups.append((penalty, kernel.changed(inner=0.0, l2=0.0, non_negative=False), weight))
        else:
            self.others.append((penalty, kernel, weight))

    def _add_element(self, penalty: Penalty, weight: float, l1: float, l2: float, non_negative: bool) -> None:
        self.l1 += weight * l1
        self.l2 += weight * l2
        self.non_negative |= non_negative
        if l1 > 0 or non_negative:
            self._of_elements.append(penalty)

    def check(self) -> None:
        """Raise ValueError for a pair whose prox is not known; sort the groups."""
        rough = self._of_elements + [penalty for penalty, *_ in self.groups]
        if self._decoupled and (rough or self.others):
            other = (rough + [penalty for penalty, *_ in self.others])[0]
            raise _cannot_combine(self._decoupled[0], other, "use L2() instead of decoupled decay")
        for penalty, *_ in self.others:
            partners = rough + [p for p, *_ in self.others if p is not penalty and not (p.smooth and penalty.smooth)]
            if partners:
                raise _cannot_combine(penalty, partners[0], "write them as one Penalty with its own prox")
        self.groups.sort(key=lambda group: _coarseness(group[1]))
        for (p, a, _), (q, b, _) in itertools.combinations(self.groups, 2):
            if not a.nests_in(b):
                raise _cannot_combine(p, q, "their groups overlap; one kind of groups must lie within the other")
        for p, a, _ in self.groups[:-1]:
            q, b, _ = self.groups[-1]
            if a.shape == "limit":
                remedy = "only one MaxNorm" if b.shape == "limit" else "a constraint must be that of the largest groups"
                raise _cannot_combine(p, q, remedy)

    def compiled(self) -> PenaltyKernel | None:
        """The compiled kernel of all, where there is one."""
        kernels = [(kernel, weight) for _, kernel, weight in self.groups + self.others]
        if not kernels:
            return ElementwiseKernel(l1=self.l1, l2=self.l2, decay=self.decay, non_negative=self.non_negative)
        kernel, weight = kernels[0]
        if len(kernels) > 1 or not isinstance(kernel, GroupKernel):
            return None
        return kernel.changed(outer=weight * kernel.outer, inner=self.l1, l2=self.l2, non_negative=self.non_negative)

    def _parts(self) -> list[tuple[Any, float]]:
        """All but L2, in the order of their proxes, and weights."""
        single = ElementwiseKernel(l1=self.l1, non_negative=self.non_negative)
        groups = [(kernel, weight) for _, kernel, weight in self.groups]
        return [(single, 1.0), *groups, *[(kernel, weight) for _, kernel, weight in self.others]]

    def value(self, W: np.ndarray, strength: float) -> float:
        l2 = ElementwiseKernel(l2=self.l2).value(W, strength)
        return l2 + sum(part.value(W, strength * weight) for part, weight in self._parts())

    def subgradient(self, W: np.ndarray, strength: float) -> np.ndarray:
        l2 = ElementwiseKernel(l2=self.l2).subgradient(W, strength)
        return sum((part.subgradient(W, strength * weight) for part, weight in self._parts()), start=l2)

    def prox(self, V: np.ndarray, step: float, strength: float) -> np.ndarray:
        if len(self.others) > 1:
            raise TypeError("the prox of several penalties that are not of groups is not known; they are smooth")
        # L2 completes the square: the prox of the rest at a smaller point with a smaller step.
        shrink = 1 + step * strength * self.l2
        W, step = V / V.dtype.type(shrink), step / shrink
        for part, weight in self._parts():
            W = part.prox(W, step, strength * weight)
        return W

    def residual(self, W: np.ndarray, gradient: np.ndarray, strength: float) -> np.ndarray:
        # Where a group is not zero its penalty has one slope; those come first. A group of zeros then takes up what it
        # can of what is left, the smallest groups first (Moreau's decomposition with the prox of the sum).
        left = gradient + self.subgradient(W, strength)
        for part, weight in self._parts():
            slope = part.subgradient(W, strength * weight)
            left = np.copysign(part.residual(W, left - slope, strength * weight), left)
        return np.abs(left)


def _coarseness(kernel: GroupKernel) -> tuple[int, int, bool]:
    """Sorts groups that are nested from small to large; a constraint comes after a penalty of the same groups."""
    joined = 0 if kernel.groups is None else -len(set(kernel.groups.tolist()))
    level = {"weight": 0, "input": 1, "output": 1, "matrix": 3}[kernel.by]
    return (level if joined == 0 else 2), joined, kernel.shape == "limit"


def _is_factor(weight: Any) -> bool:
    return isinstance(weight, Real) and not isinstance(weight, bool) and 0 <= float(weight) < np.inf


def _cannot_combine(a: Penalty, b: Penalty, remedy: str) -> ValueError:
    return ValueError(f"{a!r} and {b!r} cannot be combined on one layer: {remedy}")
