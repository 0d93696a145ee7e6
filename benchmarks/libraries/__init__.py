"""One file per library, all with the same two names:

``VERSION``
    the installed version, or None: such a library is reported as absent.
``trainer(shape, dtype, activation)``
    everything that is done once (data, model, compilation), and returns
    ``train(epochs)``, which trains from the shape's initial weights with Adam on the
    shape's batches and returns ``(coefs, intercepts)``.

Those with an estimator also have its class, ``Classifier``, and
``alpha(strength, batch_size)``, the value of its parameter that solves the same problem.
"""

from importlib import import_module

FILES = {
    "sknormnet": "sknormnet_",
    "scikit-learn": "scikit_learn",
    "pytorch": "pytorch",
    "jax": "jax_scan",
}


def load(name):
    """The library's module; imported here, for a rival costs memory and seconds."""
    return import_module(f"libraries.{FILES[name]}")
