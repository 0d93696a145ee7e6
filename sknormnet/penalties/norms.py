"""Penalties and constraints on single weights."""

from sknormnet._core.penalties import ElementwiseKernel
from sknormnet.parameters import check_number
from sknormnet.penalties.base import CompiledPenalty


class NoPenalty(CompiledPenalty):
    """Omega(W) = 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import NoPenalty
    >>> NoPenalty().value(np.ones((2, 3)), strength=1.0)
    0.0
    """

    name = "none"
    smooth = True
    convex = True
    scales = False

    def kernel(self) -> ElementwiseKernel:
        return ElementwiseKernel()


class L2(CompiledPenalty):
    """Half the squared Frobenius norm, Omega(W) = 0.5 * ||W||_F^2.

    References
    ----------
    Hoerl and Kennard (1970), Ridge regression, Technometrics 12(1).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import L2
    >>> L2().value(np.ones((2, 3)), strength=1.0)
    3.0
    """

    name = "l2"
    smooth = True
    convex = True

    def kernel(self) -> ElementwiseKernel:
        return ElementwiseKernel(l2=1.0)


class L1(CompiledPenalty):
    """Sum of absolute values, Omega(W) = sum |w|. Its prox is soft thresholding.

    References
    ----------
    Tibshirani (1996), Regression shrinkage and selection via the lasso, JRSS B 58(1).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import L1
    >>> L1().prox(np.array([[3.0, -0.5]]), step=1.0, strength=1.0)
    array([[2., 0.]])
    """

    name = "l1"
    smooth = False
    convex = True

    def kernel(self) -> ElementwiseKernel:
        return ElementwiseKernel(l1=1.0)


class ElasticNet(CompiledPenalty):
    """Mixture of both, Omega(W) = l1_ratio * sum |w| + (1 - l1_ratio) * 0.5 * ||W||_F^2.

    Parameters
    ----------
    l1_ratio : float in [0, 1], default=0.5
        1 is `L1`, 0 is `L2`.

    References
    ----------
    Zou and Hastie (2005), Regularization and variable selection via the elastic net, JRSS B 67(2).

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import ElasticNet
    >>> ElasticNet(l1_ratio=0.5).value(np.full((2, 3), 2.0), strength=1.0)
    12.0
    """

    name = "elasticnet"
    convex = True

    def __init__(self, l1_ratio: float = 0.5):
        self.l1_ratio = l1_ratio

    @property
    def smooth(self) -> bool:  # type: ignore[override]
        return self.l1_ratio == 0

    def kernel(self) -> ElementwiseKernel:
        check_number(self, "l1_ratio", "in [0, 1]", lambda ratio: 0 <= ratio <= 1)
        return ElementwiseKernel(l1=float(self.l1_ratio), l2=1.0 - self.l1_ratio)


class WeightDecay(CompiledPenalty):
    """Decoupled weight decay: every step of sgd and adam takes learning_rate * strength * W off the weights.

    No part of the objective: Omega(W) = 0. Under adam it differs from `L2`, whose gradient the second moment divides.
    lbfgs and fista refuse it.

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled weight decay regularization.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import WeightDecay
    >>> WeightDecay().value(np.ones((2, 3)), strength=1.0)
    0.0
    """

    name = "weight_decay"
    smooth = True
    convex = True
    decoupled = True

    def kernel(self) -> ElementwiseKernel:
        return ElementwiseKernel(decay=1.0)


class NonNegative(CompiledPenalty):
    """Constraint: no weight is negative, whatever alpha and the layer's weight.

    Omega(W) = 0 where all weights are >= 0, infinity elsewhere. Together with another penalty it is part of a `Sum`.

    References
    ----------
    Parikh and Boyd (2014), Proximal algorithms, section 6.2: the prox is the projection.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.penalties import NonNegative
    >>> NonNegative().prox(np.array([[3.0, -0.5]]), step=1.0, strength=0.0)
    array([[3., 0.]])
    """

    name = "non_negative"
    smooth = False
    convex = True
    constraint = True
    scales = False

    def kernel(self) -> ElementwiseKernel:
        return ElementwiseKernel(non_negative=True)
