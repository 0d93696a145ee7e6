"""scikit-learn's MLPClassifier."""

import sklearn
from sklearn.neural_network import MLPClassifier as Classifier

from problems import LEARNING_RATE, SEED, STRENGTH

VERSION = sklearn.__version__


def alpha(strength, batch_size):
    # scikit-learn divides alpha by the batch's rows. Exact for full batches only: the
    # last, shorter batch of an epoch is penalised a little more.
    return strength * batch_size


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
