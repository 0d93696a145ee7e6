"""The problems: six training shapes, and the two tables that scikit-learn carries."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

SEED = 0
STRENGTH = 1e-4  # of the penalty, as in F = data loss + strength * sum of 0.5*||W||^2
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Shape:
    """One training problem, and the floor it must reach in float32."""

    n_samples: int
    n_features: int
    hidden: tuple
    n_classes: int
    batch_size: int
    epochs: int  # of one timed fit: some hundred steps
    floor: float  # times faster than scikit-learn

    @property
    def name(self):
        hidden = ",".join(map(str, self.hidden))
        sizes = (self.n_samples, self.n_features, f"({hidden})", self.n_classes)
        return "x".join(map(str, sizes)) + f"/{self.batch_size}"

    @property
    def layer_sizes(self):
        n_outputs = 1 if self.n_classes == 2 else self.n_classes
        return (self.n_features, *self.hidden, n_outputs)

    @property
    def batches(self):
        """Rows of every batch of an epoch; the last one may be shorter."""
        n_full, rest = divmod(self.n_samples, self.batch_size)
        return (self.batch_size,) * n_full + (rest,) * (rest > 0)

    @property
    def epoch_flops(self):
        """Multiplications and additions of an epoch's matrix products.

        Forward, weight gradient and input gradient cost the same; the first layer
        needs no input gradient.
        """
        products = [fan_in * fan_out for fan_in, fan_out in pairwise(self.layer_sizes)]
        return 2 * self.n_samples * (3 * sum(products) - products[0])

    def data(self, dtype):
        """Gaussian rows, labelled by a noisy linear teacher."""
        rng = np.random.default_rng(SEED)
        X = rng.standard_normal((self.n_samples, self.n_features))
        scores = X @ rng.standard_normal((self.n_features, self.n_classes))
        scores += np.sqrt(self.n_features) * rng.standard_normal(scores.shape)
        return X.astype(dtype), scores.argmax(axis=1)

    def start(self, dtype, activation):
        """Initial weights and the epochs' row orders as scikit-learn draws them.

        Every library trains from these weights on these batches, so that all of them
        compute the same thing.
        """
        if activation not in ("relu", "tanh"):
            raise ValueError(f"no initial weights for activation={activation!r}")
        rng = np.random.RandomState(SEED)
        coefs, intercepts = [], []
        for fan_in, fan_out in pairwise(self.layer_sizes):
            bound = np.sqrt(6 / (fan_in + fan_out))
            coefs.append(rng.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype))
            intercepts.append(rng.uniform(-bound, bound, fan_out).astype(dtype))
        return coefs, intercepts, self._orders(rng)

    def _orders(self, rng):
        order = np.arange(self.n_samples)
        while True:
            shuffled = np.arange(self.n_samples)
            rng.shuffle(shuffled)
            order = order[shuffled]
            yield order

    def objective(self, activation, coefs, intercepts):
        """F at the given weights, in float64: what all libraries minimise."""
        raw, y = self.data(np.float64)
        for W, b in zip(coefs[:-1], intercepts[:-1], strict=True):
            raw = raw @ W.astype(float) + b
            raw = np.maximum(raw, 0) if activation == "relu" else np.tanh(raw)
        raw = raw @ coefs[-1].astype(float) + intercepts[-1]
        if self.n_classes == 2:
            raw = np.column_stack([np.zeros(len(raw)), raw])
        log_total = np.logaddexp.reduce(raw, axis=1)
        data_loss = np.mean(log_total - raw[np.arange(len(y)), y])
        penalty = 0.5 * sum(np.sum(W.astype(float) ** 2) for W in coefs)
        return data_loss + STRENGTH * penalty


SHAPES = (
    Shape(2000, 20, (100,), 2, 200, epochs=50, floor=10),
    Shape(2000, 20, (32,), 2, 32, epochs=20, floor=45),
    Shape(569, 30, (16,), 2, 16, epochs=40, floor=60),
    Shape(1797, 64, (100,), 10, 200, epochs=30, floor=5),
    Shape(10000, 54, (128, 128), 7, 256, epochs=3, floor=3.3),
    Shape(10000, 784, (256, 128), 10, 128, epochs=2, floor=2.6),
)

TABLES = {"digits": load_digits, "breast cancer": load_breast_cancer}
