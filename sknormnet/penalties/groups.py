"""Penalties on the norms of groups of weights: rows, columns, joined rows, or a whole matrix."""

from typing import Any

import numpy as np

from sknormnet._core.penalties import GroupKernel
from sknormnet.parameters import check_number
from sknormnet.penalties.base import Penalty


class _OfGroups(Penalty):
    """Penalties of inputs or outputs, whose parameters `by` and `groups` say which weights belong together."""

    smooth = False
    convex = True
    by: str
    groups: Any

    def _checked_groups(self) -> np.ndarray | None:
        if self.by not in ("input", "output"):
            raise ValueError(f"by of {type(self).__name__} must be 'input' or 'output', got {self.by!r}")
        if self.groups is None:
            return None
        if self.by != "input":
            raise ValueError(f"groups of {type(self).__name__} join inputs; they need by='input', got by={self.by!r}")
        groups = np.asarray(self.groups)
        if groups.ndim != 1 or not groups.size or groups.dtype.kind not in "iu" or groups.min() < 0:
            raise ValueError(
                f"groups of {type(self).__name__} must be a flat sequence of whole numbers >= 0, the group of each "
                f"input; got {self.groups!r}"
            )
        return groups


class GroupLasso(_OfGroups):
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

    def __init__(self, by="input", groups=None):
        self.by = by
        self.groups = groups

    def kernel(self) -> GroupKernel:
        return GroupKernel("linear", self.by, groups=self._checked_groups())


class SparseGroupLasso(_OfGroups):
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

    def __init__(self, l1_ratio=0.5, by="input", groups=None):
        self.l1_ratio = l1_ratio
        self.by = by
        self.groups = groups

    def kernel(self) -> GroupKernel:
        check_number(self, "l1_ratio", "in [0, 1]", lambda ratio: 0 <= ratio <= 1)
        groups = self._checked_groups()
        return GroupKernel("linear", self.by, outer=1.0 - self.l1_ratio, inner=float(self.l1_ratio), groups=groups)


class L2Norm(Penalty):
    """Norm of the whole matrix, not squared, Omega(W) = ||W||_F: all of it vanishes at once or nothing.

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

    def kernel(self) -> GroupKernel:
        return GroupKernel("linear", "matrix")


class _Concave(Penalty):
    """Concave shapes of the sizes of single weights or of the norms of groups."""

    smooth = False
    convex = False
    by: str
    gamma: float

    def _kernel(self, shape: str, least: float) -> GroupKernel:
        check_number(self, "gamma", f"> {least}", lambda gamma: gamma > least)
        if self.by not in ("weight", "input", "output", "matrix"):
            raise ValueError(
                f"by of {type(self).__name__} must be 'weight', 'input', 'output' or 'matrix', got {self.by!r}"
            )
        return GroupKernel(shape, self.by, gamma=float(self.gamma))


class MCP(_Concave):
    """Minimax concave penalty: like L1 near zero, constant for large weights, which it does not shrink.

    With t the size of a weight or the norm of a group and s the strength: s*t - t^2 / (2*gamma) for t <= gamma*s,
    gamma * s^2 / 2 beyond. It does not scale with the strength. Not convex: a fit is a local minimum.

    Parameters
    ----------
    gamma : float > 1, default=3.0
        Large values approach L1, values near 1 hard thresholding.
    by : {"weight", "input", "output", "matrix"}, default="weight"

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

    def __init__(self, gamma=3.0, by="weight"):
        self.gamma = gamma
        self.by = by

    def kernel(self) -> GroupKernel:
        return self._kernel("mcp", 1)


class SCAD(_Concave):
    """Smoothly clipped absolute deviation: like L1 near zero, constant for large weights.

    With t the size of a weight or the norm of a group and s the strength: s*t for t <= s, (2*gamma*s*t - t^2 - s^2) /
    (2*(gamma - 1)) for t <= gamma*s, s^2 * (gamma + 1) / 2 beyond. It does not scale with the strength. Not convex: a
    fit is a local minimum.

    Parameters
    ----------
    gamma : float > 2, default=3.7
    by : {"weight", "input", "output", "matrix"}, default="weight"

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

    def __init__(self, gamma=3.7, by="weight"):
        self.gamma = gamma
        self.by = by

    def kernel(self) -> GroupKernel:
        return self._kernel("scad", 2)
