"""Penalties and constraints on the norms of groups of weights: rows, columns, joined rows, or a whole matrix."""

from typing import Any, ClassVar

import numpy as np

from sknormnet._core.penalties import ElementwiseKernel, GroupKernel
from sknormnet.parameters import check_number
from sknormnet.penalties.base import CompiledPenalty


class OfGroups(CompiledPenalty):
    """Penalties whose parameters `by` and `groups` say which weights belong together."""

    smooth = False
    convex = True
    groupings: ClassVar[tuple[str, ...]] = ("weight", "input", "output", "matrix")
    by: str
    groups: Any = None

    def _checked_groups(self) -> np.ndarray | None:
        if self.by not in self.groupings:
            *first, last = map(repr, self.groupings)
            raise ValueError(f"by of {type(self).__name__} must be {', '.join(first)} or {last}, got {self.by!r}")
        if self.groups is None:
            return None
        if self.by != "input":
            raise ValueError(f"groups of {type(self).__name__} join inputs; they need by='input', got by={self.by!r}")
        try:
            groups = np.asarray(self.groups)
        except ValueError:  # lists of different lengths
            groups = np.zeros(0)
        if groups.ndim != 1 or not groups.size or groups.dtype.kind not in "iu" or groups.min() < 0:
            raise ValueError(
                f"groups of {type(self).__name__} must be a flat sequence of whole numbers >= 0, the group of each "
                f"input; got {self.groups!r}"
            )
        return groups


class GroupLasso(OfGroups):
    """Sum of the norms of groups of weights, which vanish together: all weights of an input, or of a unit.

    Omega(W) = sum_g sqrt(n_g) * ||W_g||_2, over rows of W (``by="input"``: features in the first layer, units above)
    or columns (``by="output"``: units). n_g is the number of rows that `groups` joins, 1 elsewhere.

    Parameters
    ----------
    by : {"input", "output"}, default="input"
    groups : array-like of int of shape (fan_in,), default=None
        The group of each input, for example of the one-hot columns of one variable; None keeps them apart.

    References
    ----------
    Yuan and Lin (2006), Model selection and estimation in regression with grouped variables, JRSS B 68(1).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import GroupLasso
    >>> GroupLasso("input").prox(np.array([[3.0, 4.0], [0.3, 0.4]]), step=1.0, strength=1.0)
    array([[2.4, 3.2],
           [0. , 0. ]])
    """

    name = "group_lasso"
    groupings = ("input", "output")

    def __init__(self, by="input", groups=None):
        self.by = by
        self.groups = groups

    def kernel(self) -> GroupKernel:
        return GroupKernel("linear", self.by, groups=self._checked_groups())


class SparseGroupLasso(OfGroups):
    """Mixture of the L1 norm of single weights and the group lasso.

    Omega(W) = l1_ratio * sum |w| + (1 - l1_ratio) * (the group lasso of W). Its prox takes the single weights first.

    Parameters
    ----------
    l1_ratio : float in [0, 1], default=0.5
        1 is `L1`, 0 is `GroupLasso`.
    by : {"input", "output"}, default="input"
    groups : array-like of int of shape (fan_in,), default=None

    References
    ----------
    Simon, Friedman, Hastie and Tibshirani (2013), A sparse-group lasso, J. Comput. Graph. Stat. 22(2).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import SparseGroupLasso
    >>> SparseGroupLasso(l1_ratio=0.5).value(np.array([[3.0, 4.0]]), strength=1.0)
    6.0
    """

    name = "sparse_group_lasso"
    groupings = ("input", "output")

    def __init__(self, l1_ratio=0.5, by="input", groups=None):
        self.l1_ratio = l1_ratio
        self.by = by
        self.groups = groups

    def kernel(self) -> GroupKernel | ElementwiseKernel:
        check_number(self, "l1_ratio", "in [0, 1]", lambda ratio: 0 <= ratio <= 1)
        groups = self._checked_groups()
        if self.l1_ratio == 1:  # single weights, which lbfgs takes too
            return ElementwiseKernel(l1=1.0)
        return GroupKernel("linear", self.by, outer=1.0 - self.l1_ratio, inner=float(self.l1_ratio), groups=groups)


class L2Norm(CompiledPenalty):
    """Norm of all weights, not squared: they vanish together or not at all.

    Omega(W) = ||W||_F, or with ``by="network"`` the one norm of all matrices, sqrt(sum_l ||W_l||_F^2). That is the
    penalty of the whole network, and has no layer weights.

    Parameters
    ----------
    by : {"matrix", "network"}, default="matrix"

    References
    ----------
    Yuan and Lin (2006), Model selection and estimation in regression with grouped variables, JRSS B 68(1): one group.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import L2Norm
    >>> L2Norm().prox(np.array([[3.0, 4.0]]), step=1.0, strength=1.0)
    array([[2.4, 3.2]])
    """

    name = "l2_norm"
    smooth = False
    convex = True

    def __init__(self, by="matrix"):
        self.by = by

    @property
    def network_wide(self) -> bool:  # type: ignore[override]
        return self.by == "network"

    def kernel(self) -> GroupKernel:
        if self.by not in ("matrix", "network"):
            raise ValueError(f"by of L2Norm must be 'matrix' or 'network', got {self.by!r}")
        return GroupKernel("linear", "matrix")


class MaxNorm(OfGroups):
    """Constraint: the norm of no group is larger than `limit`, whatever alpha and the layer's weight.

    Omega(W) = 0 where ||W_g||_2 <= limit for all groups, infinity elsewhere. What a step leads further out is scaled
    back. Together with another penalty it is part of a `Sum`.

    Parameters
    ----------
    limit : float > 0, default=1.0
    by : {"output", "input", "matrix"}, default="output"
        Columns: all weights that enter a unit.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), Dropout, JMLR 15, section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import MaxNorm
    >>> MaxNorm(limit=1.0).prox(np.array([[3.0, 0.3], [4.0, 0.4]]), step=1.0, strength=0.0)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """

    name = "max_norm"
    groupings = ("output", "input", "matrix")
    constraint = True
    scales = False

    def __init__(self, limit=1.0, by="output"):
        self.limit = limit
        self.by = by

    def kernel(self) -> GroupKernel:
        check_number(self, "limit", "> 0", lambda limit: limit > 0)
        self._checked_groups()
        return GroupKernel("limit", self.by, limit=float(self.limit))


class _Concave(OfGroups):
    """Concave shapes of the sizes of single weights or of the norms of groups."""

    convex = False
    gamma: float

    def _kernel(self, shape: str, least: float) -> GroupKernel:
        check_number(self, "gamma", f"> {least}", lambda gamma: gamma > least)
        return GroupKernel(shape, self.by, gamma=float(self.gamma), groups=self._checked_groups())


class MCP(_Concave):
    """Minimax concave penalty: like L1 near zero, constant for large weights, which it does not shrink.

    With t the size of a weight or the norm of a group and s the strength, s * Omega(W) = sum of s*t - t^2 / (2*gamma)
    for t <= gamma*s, gamma * s^2 / 2 beyond. It does not scale with the strength. Not convex: a fit is a local minimum.

    Parameters
    ----------
    gamma : float > 1, default=3.0
        Large values approach L1, values near 1 hard thresholding.
    by : {"weight", "input", "output", "matrix"}, default="weight"
    groups : array-like of int of shape (fan_in,), default=None
        With ``by="input"``, the group of each input, as in `GroupLasso`: s becomes s * sqrt(n_g).

    References
    ----------
    Zhang (2010), Nearly unbiased variable selection under minimax concave penalty, Annals of Statistics 38(2).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import MCP
    >>> MCP(gamma=3.0).prox(np.array([[0.5, 2.0, 4.0]]), step=1.0, strength=1.0)
    array([[0. , 1.5, 4. ]])
    """

    name = "mcp"

    def __init__(self, gamma=3.0, by="weight", groups=None):
        self.gamma = gamma
        self.by = by
        self.groups = groups

    def kernel(self) -> GroupKernel:
        return self._kernel("mcp", 1)


class SCAD(_Concave):
    """Smoothly clipped absolute deviation: like L1 near zero, constant for large weights.

    With t the size of a weight or the norm of a group and s the strength, s * Omega(W) = sum of s*t for t <= s,
    (2*gamma*s*t - t^2 - s^2) / (2*(gamma - 1)) for t <= gamma*s, s^2 * (gamma + 1) / 2 beyond. It does not scale with
    the strength. Not convex: a fit is a local minimum.

    Parameters
    ----------
    gamma : float > 2, default=3.7
    by : {"weight", "input", "output", "matrix"}, default="weight"
    groups : array-like of int of shape (fan_in,), default=None
        With ``by="input"``, the group of each input, as in `GroupLasso`: s becomes s * sqrt(n_g).

    References
    ----------
    Fan and Li (2001), Variable selection via nonconcave penalized likelihood and its oracle properties, JASA 96(456).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import SCAD
    >>> SCAD(gamma=3.0).prox(np.array([[0.5, 2.0, 4.0]]), step=1.0, strength=1.0)
    array([[0., 1., 4.]])
    """

    name = "scad"

    def __init__(self, gamma=3.7, by="weight", groups=None):
        self.gamma = gamma
        self.by = by
        self.groups = groups

    def kernel(self) -> GroupKernel:
        return self._kernel("scad", 2)
