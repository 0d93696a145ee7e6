"""What a loss costs: its kernel alone, its share of a step, and what a loss written in NumPy adds to a batch."""

from statistics import median
from time import perf_counter

import numpy as np
from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.losses import LOSSES, Loss, Quantile

from problems import LEARNING_RATE, SEED, SHAPES, STRENGTH
from report import print_table
from steps import CLOCKS, TURN, turn

LARGEST_SHARE = 0.10  # of a step, for a built-in loss
LARGEST_ADDITION = 20  # microseconds a batch, for a user's loss
REPEATS = 3  # turns at most, and short ones: there are nineteen losses to each shape
SHORTEST = 0.03  # seconds of such a turn
SLICE = 1e-3  # seconds of one measurement of a kernel


class Linex(Loss):
    """exp(e) - e - 1, e = raw - y, written straight down."""

    name = "linex"
    convex = True

    def value_and_gradient(self, y, raw, sample_weight=None):
        error = raw - y
        gradient = np.exp(error) - 1
        value = gradient - error
        if sample_weight is not None:
            weight = sample_weight[:, np.newaxis]
            value *= weight
            gradient *= weight
        return float(value.sum(dtype=np.float64)), gradient


class TimedLinex(Linex):
    """Knows how long it ran within training, where caches are cold."""

    seconds, calls = 0.0, 0

    def value_and_gradient(self, y, raw, sample_weight=None):
        start = perf_counter()
        result = super().value_and_gradient(y, raw, sample_weight)
        self.seconds += perf_counter() - start
        self.calls += 1
        return result


class Nothing(Loss):
    """What calling Python costs by itself."""

    def value_and_gradient(self, y, raw, sample_weight=None):
        return 0.0, raw


def run(dtypes, repeats, clock):
    """One record per dtype, shape and loss."""
    records = []
    for dtype in dtypes:
        for shape in SHAPES:
            new = measure(shape, dtype, repeats, CLOCKS[clock])
            records += new
            report(new)
    print_table("Losses against their bounds", summary(records))
    return records


def measure(shape, dtype, repeats, clock):
    X, classes = shape.data(dtype)
    # Every loss for regression takes positive targets.
    amounts = np.random.default_rng(SEED).gamma(2, size=(len(X), shape.layer_sizes[-1])).astype(dtype)
    turns = []
    for loss in [*(cls() for cls in LOSSES.values()), Quantile((0.1, 0.5, 0.9))]:
        y = classes if loss.task == "classification" else amounts
        train = trainer(loss, shape, X, y)
        train(1)  # warms up
        turns.append((loss, y.reshape(len(X), -1).astype(dtype), train, [], []))
    for _ in range(min(repeats, REPEATS)):
        for loss, y, train, kernels, steps in turns:
            kernels.append(kernel_seconds(loss, y, shape))
            steps.append(step_seconds(train, shape, clock, SHORTEST))
    records = [
        {
            "loss": repr(loss),
            "microseconds": 1e6 * median(kernels),
            "step_microseconds": 1e6 * median(steps),
            "share": median(kernels) / median(steps),
        }
        for loss, _, _, kernels, steps in turns
    ]
    records.append(numpy_loss(shape, X, amounts, repeats, clock))
    return [{"shape": shape.name, "dtype": dtype, **record} for record in records]


def numpy_loss(shape, X, y, repeats, clock):
    """Its own time within training and that of the call into Python: a difference of steps would be lost in noise."""
    timed = TimedLinex()
    train = trainer(timed, shape, X, y)
    train(1)  # warms up
    timed.seconds, timed.calls = 0.0, 0
    steps = [step_seconds(train, shape, clock) for _ in range(min(repeats, REPEATS))]
    return {
        "loss": "Linex() in NumPy",
        "step_microseconds": 1e6 * median(steps),
        "adds": 1e6 * (timed.seconds / timed.calls + kernel_seconds(Nothing(), y, shape)),
    }


def step_seconds(train, shape, clock, shortest=TURN):
    return turn(train, shape.epochs, clock, shortest)[0] / len(shape.batches)


def trainer(loss, shape, X, y):
    Estimator = NormRegMLPRegressor if y.ndim == 2 else NormRegMLPClassifier

    def train(epochs):
        Estimator(
            shape.hidden,
            loss=loss,
            alpha=STRENGTH,
            batch_size=shape.batch_size,
            learning_rate_init=LEARNING_RATE,
            max_iter=epochs,
            tol=0,
            n_iter_no_change=epochs + 1,
            random_state=SEED,
        ).fit(X, y)

    return train


def kernel_seconds(loss, y, shape):
    """The compiled loss alone, on the batches of an epoch and warm buffers: the mean over batches."""
    kernel = loss.kernel()
    rng = np.random.default_rng(SEED)

    def shortest(rows):
        raw = rng.standard_normal((rows, loss.n_raw(y.shape[1], shape.n_classes)), dtype=y.dtype)
        repeats = max(1, int(SLICE / kernel.seconds(y[:rows], raw, None, 10)))
        return min(kernel.seconds(y[:rows], raw, None, repeats) for _ in range(5))

    batches = shape.batches
    seconds = {rows: shortest(rows) for rows in set(batches)}
    return sum(seconds[rows] for rows in batches) / len(batches)


def report(records):
    rows = [
        {
            "loss": record["loss"],
            "kernel us": record.get("microseconds"),
            "us/step": record["step_microseconds"],
            "share": record.get("share"),
            "adds us": record.get("adds"),
        }
        for record in records
    ]
    print_table("losses on {shape} {dtype}".format(**records[0]), rows)


def summary(records):
    """The most expensive built-in loss and the user's loss of each dtype and shape."""
    rows = []
    for dtype, shape in dict.fromkeys((record["dtype"], record["shape"]) for record in records):
        here = [record for record in records if (record["dtype"], record["shape"]) == (dtype, shape)]
        largest = max((record for record in here if "share" in record), key=lambda record: record["share"])
        adds = next(record["adds"] for record in here if "adds" in record)
        rows.append(
            {
                "shape": shape,
                "dtype": dtype,
                "largest share": largest["share"],
                "of": largest["loss"],
                "NumPy loss adds us": adds,
                "reached": "yes" if largest["share"] <= LARGEST_SHARE and adds <= LARGEST_ADDITION else "no",
            }
        )
    return rows
