"""Activations of the hidden layers.

=========  ==========================
identity   f(z) = z
relu       f(z) = max(0, z)
tanh       f(z) = tanh(z)
logistic   f(z) = 1 / (1 + exp(-z))
=========  ==========================
"""

from sknormnet._core.activations import ACTIVATIONS as _INDEX

ACTIVATIONS = tuple(_INDEX)

# f(c*z) = c*f(z) for c > 0: such a network can move weight from one layer to another without changing its function.
POSITIVELY_HOMOGENEOUS = frozenset({"identity", "relu"})
