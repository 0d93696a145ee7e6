"""Activations of the hidden layers.

==========  ===============================================================
identity    f(z) = z
relu        f(z) = max(0, z)
tanh        f(z) = tanh(z)
logistic    f(z) = 1 / (1 + exp(-z))
leaky_relu  f(z) = z for z > 0, else z / 100
elu         f(z) = z for z > 0, else exp(z) - 1
gelu        f(z) = z * Phi(z), Phi the normal distribution function (exact)
silu        f(z) = z / (1 + exp(-z))
softplus    f(z) = log(1 + exp(z))
==========  ===============================================================

Several functions of this package take an `activation` that is either a name, for all hidden layers, or a sequence with
one name for each of them.
"""

from collections.abc import Sequence

from sknormnet._core.activations import ACTIVATIONS as _INDEX

ACTIVATIONS = tuple(_INDEX)

# f(c*z) = c*f(z) for c > 0: such a network can move weight from one layer to another without changing its function.
POSITIVELY_HOMOGENEOUS = frozenset({"identity", "relu", "leaky_relu"})


def activation_of_each(activation: str | Sequence[str], n_hidden: int) -> tuple[str, ...]:
    """The name for each hidden layer."""
    return (activation,) * n_hidden if isinstance(activation, str) else tuple(activation)
