"""This package."""

from importlib.metadata import version
from importlib.util import find_spec

from problems import LEARNING_RATE, SEED, STRENGTH

VERSION = None
if find_spec("sknormnet"):  # an installation that does not import is an error, not an absence
    from sknormnet import NormRegMLPClassifier as Classifier

    VERSION = version("sknormnet")


def alpha(strength, batch_size):
    return strength


def trainer(shape, dtype, activation):
    X, y = shape.data(dtype)

    def train(epochs):
        model = Classifier(
            shape.hidden,
            activation,
            alpha=alpha(STRENGTH, shape.batch_size),
            batch_size=shape.batch_size,
            learning_rate_init=LEARNING_RATE,
            max_iter=epochs,
            tol=0,
            n_iter_no_change=epochs + 1,
            random_state=SEED,
        ).fit(X, y)
        return model.coefs_, model.intercepts_

    return train
