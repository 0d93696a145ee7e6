"""What a part of a model must satisfy: conformance suites for the built-in parts and for users' own."""

import inspect
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from joblib.externals import cloudpickle
from numpy.typing import ArrayLike
from sklearn.base import clone

from sknormnet.losses import Loss
from sknormnet.objective import Objective
from sknormnet.penalties import NoPenalty
from sknormnet.plan import PenaltyTerm, Plan

__all__ = ["check_loss"]

N_ROWS = 16
EXTREMES = (30.0, 700.0, 1e4)
SMOOTHINGS = (0.05, 1.0)


def check_loss(
    loss: Loss, *, y: ArrayLike | None = None, n_classes: Sequence[int] = (2, 3), random_state: int = 0
) -> None:
    """Check that a loss is fit for training; the built-in losses pass the same suite.

    Checked are: parameters (clone, pickle, ``check_parameters``), the target's domain, shapes and dtypes, the gradient
    against fourth-order differences of the value, float32 against float64, sample weights, that rows do not depend on
    each other, that arguments are not modified and may be read-only and strided, convexity where it is claimed, the best
    constant, the link, raw predictions up to 1e4 in size, the Moreau envelope where the loss is kinked, and that the
    solvers see the same numbers.

    Parameters
    ----------
    loss : Loss
        For regression it is checked on one and on three targets, for classification on two classes, on several, and on
        three labels. A kind of target that its ``n_raw`` refuses with ValueError is left out.
    y : array-like of shape (n_values,) or (n, n_targets), default=None
        For regression: values that targets are drawn from, or targets to be taken as they are. None draws real,
        positive and whole numbers and keeps those in the loss's domain.
    n_classes : sequence of int, default=(2, 3)
        For classification: the numbers of classes to check.
    random_state : int, default=0
        Seed of all that is drawn.

    Raises
    ------
    AssertionError
        A property does not hold. The message names the loss, the kind of target and the property.

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet.losses import Huber, Loss
    >>> from sknormnet.testing import check_loss
    >>> check_loss(Huber(delta=0.5))

    >>> class FourthPower(Loss):
    ...     name = "fourth_power"
    ...     convex = True
    ...
    ...     def value_and_gradient(self, y, raw, sample_weight=None):
    ...         e = raw - y
    ...         weight = 1 if sample_weight is None else sample_weight[:, np.newaxis]
    ...         return float(np.sum(weight * e**4, dtype=np.float64)), weight * 4 * e**3
    >>> check_loss(FourthPower())
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"check_loss takes an instance of a subclass of sknormnet.losses.Loss, got {loss!r}")
    cases = list(_cases(loss, y, n_classes, np.random.default_rng(random_state)))
    if not cases:
        raise AssertionError(f"{loss!r}: n_raw refuses every kind of target")
    for case in cases:
        for check in CHECKS:
            check(case)


@dataclass(frozen=True)
class _Case:
    """A loss and targets of one kind, encoded as an estimator would."""

    loss: Loss
    kind: str
    y: np.ndarray
    n_classes: int | None
    n_raw: int
    rng: np.random.Generator

    def require(self, holds: Any, text: str) -> None:
        if not holds:
            raise AssertionError(f"{self.loss!r} on {self.kind}: {text}")

    def require_close(self, got: Any, expected: Any, tolerance: float, text: str) -> None:
        """Entry by entry, relative to the larger of 1 and the expected size; NaN is close to nothing."""
        got, expected = np.asarray(got), np.asarray(expected)
        far = ~(np.abs(got - expected) <= tolerance * np.maximum(1, np.abs(expected)))
        if far.any():
            worst = tuple(np.argwhere(far)[0])
            self.require(False, f"{text}: {got[worst]!s} where {expected[worst]!s} is expected")

    def draw_raw(self, scale: float = 2.0) -> np.ndarray:
        return self.rng.normal(scale=scale, size=(len(self.y), self.n_raw))

    def evaluate(
        self, raw: np.ndarray, y: np.ndarray | None = None, weight: np.ndarray | None = None, **smoothing: float
    ) -> tuple[float, np.ndarray]:
        """Value and gradient of a block, of the right types and shapes."""
        with np.errstate(all="ignore"):  # overflow to infinity is allowed
            result = self.loss.value_and_gradient(self.y if y is None else y, raw, weight, **smoothing)
        self.require(isinstance(result, tuple) and len(result) == 2, "value_and_gradient does not return a pair")
        value, gradient = result
        self.require(isinstance(value, Real), f"the value is not a number but {value!r:.100}")
        self.require(isinstance(gradient, np.ndarray), f"the gradient is not an array but {gradient!r:.100}")
        self.require(gradient.shape == raw.shape, f"the gradient's shape is {gradient.shape}, that of raw {raw.shape}")
        self.require(gradient.dtype == raw.dtype, f"the gradient's dtype is {gradient.dtype}, that of raw {raw.dtype}")
        return float(value), gradient

    def evaluate_rows(self, raw: np.ndarray, **smoothing: float) -> tuple[np.ndarray, np.ndarray]:
        """Values and gradients of the rows, each of which is a block of its own."""
        y = self.y.astype(raw.dtype)
        rows = [self.evaluate(raw[i : i + 1], y[i : i + 1], **smoothing) for i in range(len(y))]
        return np.array([value for value, _ in rows]), np.concatenate([gradient for _, gradient in rows])


def _cases(loss: Loss, y: Any, n_classes: Sequence[int], rng: np.random.Generator) -> Iterator[_Case]:
    kinds: list[tuple[str, np.ndarray, int | None]] = []
    if loss.task == "classification":
        for k in n_classes:
            kinds.append((f"{k} classes", rng.permutation(np.arange(N_ROWS) % k)[:, np.newaxis], k))
        kinds.append(("3 labels", rng.integers(0, 2, size=(N_ROWS, 3)), None))
    elif y is not None and np.ndim(y) == 2:
        kinds.append((f"targets of shape {np.shape(y)}", np.asarray(y), None))
    else:
        values = _target_values(loss, y, rng)
        kinds += [(f"{k} target(s)", rng.choice(values, size=(N_ROWS, k)), None) for k in (1, 3)]
    for kind, targets, k in kinds:
        try:
            n_raw = loss.n_raw(targets.shape[1], k)
        except ValueError:
            continue
        yield _Case(loss, kind, targets.astype(np.float64), k, n_raw, rng)


def _target_values(loss: Loss, y: Any, rng: np.random.Generator) -> np.ndarray:
    if y is not None:
        return np.asarray(y, dtype=np.float64)
    candidates = [rng.normal(scale=2, size=20), rng.gamma(3, size=20), rng.poisson(2, size=20), rng.uniform(size=20)]
    values = np.concatenate(candidates)
    values = values[np.asarray(loss.in_domain(values[:, np.newaxis]))[:, 0]]
    if len(values) < 5:
        raise ValueError(f"{loss!r} takes hardly any of the targets that check_loss draws: pass some as y")
    return values


def _check_parameters(case: _Case) -> None:
    loss = case.loss
    loss.check_parameters()
    raw = case.draw_raw()
    expected = case.evaluate(raw)[0]
    # cloudpickle is what joblib's workers get; it takes classes from __main__, too.
    for how, copy in [("clone", clone(loss)), ("pickle", pickle.loads(cloudpickle.dumps(loss)))]:
        case.require(repr(copy) == repr(loss), f"its {how} is {copy!r}")
        value = copy.value_and_gradient(case.y, raw)[0]
        case.require(value == expected, f"the value of its {how} differs: {value} from {expected}")


def _check_domain(case: _Case) -> None:
    case.loss.check_target(case.y)
    for outside in (-1.0, 0.0, 0.5, 1e9):
        y = case.y.copy()
        y[0, 0] = outside
        inside = np.asarray(case.loss.in_domain(y))
        case.require(inside.shape == y.shape and inside.dtype == bool, "in_domain gives no boolean array of y's shape")
        if inside.all():
            continue
        try:
            case.loss.check_target(y)
        except ValueError:
            continue
        case.require(False, f"check_target accepts {outside}, which in_domain does not")


def _check_gradient(case: _Case, **smoothing: float) -> None:
    raw = case.draw_raw()
    gradient = case.evaluate_rows(raw, **smoothing)[1]
    for column in range(case.n_raw):

        def moved(step: float, column: int = column) -> np.ndarray:
            return case.evaluate_rows(raw + step * (np.arange(case.n_raw) == column), **smoothing)[0]

        def differences(h: float, moved: Callable = moved) -> np.ndarray:
            return (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)

        coarse, fine = differences(1e-3), differences(5e-4)
        settled = np.abs(coarse - fine) <= 1e-8 * np.maximum(1, np.abs(fine))  # no kink in between
        case.require(settled.mean() > 0.5, f"differences of the value in column {column} of raw do not converge")
        text = f"the gradient is not the value's derivative in column {column} of raw"
        case.require_close(gradient[settled, column], fine[settled], 1e-7, f"{text} ({smoothing or 'no smoothing'})")


def _check_float32(case: _Case) -> None:
    y, raw = case.y.astype(np.float32), case.draw_raw().astype(np.float32)
    value, gradient = case.evaluate(raw, y)
    expected, expected_gradient = case.evaluate(raw.astype(np.float64), y.astype(np.float64))
    size = max(1.0, np.abs(case.evaluate_rows(raw.astype(np.float64))[0]).sum())
    case.require_close(value / size, expected / size, 1e-5, "the value in float32 is not that in float64")
    case.require_close(gradient, expected_gradient, 1e-4, "the gradient in float32 is not that in float64")


def _check_weights(case: _Case) -> None:
    raw, weight, counts = case.draw_raw(), case.rng.uniform(0.5, 2, len(case.y)), case.rng.integers(1, 4, len(case.y))
    for smoothing in [{}, {"smoothing": 0.3}] if case.loss.kinked else [{}]:
        values, gradients = case.evaluate_rows(raw, **smoothing)
        size = max(1.0, np.abs(values).sum())

        def require(what: str, result: tuple, expected: float, expected_gradient: np.ndarray, size: float = size):
            case.require_close(result[0] / size, expected / size, 1e-12, f"value: {what}")
            case.require_close(result[1], expected_gradient, 1e-12, f"gradient: {what}")

        result = case.evaluate(raw, **smoothing)
        require("a block is not the sum of its rows", result, values.sum(), gradients)
        result = case.evaluate(raw, weight=weight, **smoothing)
        require("weights do not multiply the rows", result, weight @ values, weight[:, np.newaxis] * gradients)
        result = case.evaluate(raw, weight=np.ones(len(raw)), **smoothing)
        require("weights of 1 do not equal None", result, values.sum(), gradients)
        repeated = [np.repeat(a, counts, axis=0) for a in (raw, case.y)]
        result = case.evaluate(*repeated, **smoothing)
        require("a row twice is not a row of weight 2", result, counts @ values, np.repeat(gradients, counts, axis=0))


def _check_arguments(case: _Case) -> None:
    given = [case.draw_raw(), case.y.copy(), case.rng.uniform(0.5, 2, len(case.y))]
    passed = [array.copy() for array in given]
    value, gradient = case.evaluate(*passed)
    for name, before, after in zip(("raw", "y", "sample_weight"), given, passed, strict=True):
        case.require(np.array_equal(before, after), f"value_and_gradient modifies {name}")
    strided = [np.repeat(array, 2, axis=0)[::2] for array in given]
    for array in strided:
        array.setflags(write=False)
    for arrays in (strided, [np.asfortranarray(array) for array in given]):
        again, gradient_again = case.evaluate(*arrays)
        case.require_close(again / max(1.0, abs(value)), value / max(1.0, abs(value)), 1e-12, "value of strided arrays")
        case.require_close(gradient_again, gradient, 1e-12, "gradient of strided arrays")


def _check_convex(case: _Case) -> None:
    for scale in (1.0, 3.0, 10.0) if case.loss.convex else ():
        a, b = case.draw_raw(scale), case.draw_raw(scale)
        ends = (case.evaluate_rows(a)[0] + case.evaluate_rows(b)[0]) / 2
        excess = case.evaluate_rows((a + b) / 2)[0] - ends
        case.require((excess <= 1e-9 * np.maximum(1, np.abs(ends))).all(), "not convex in raw, as it claims")


def _check_best_constant(case: _Case) -> None:
    for weight in (None, case.rng.uniform(0.5, 2, len(case.y))):
        best = case.loss.best_constant(case.y, weight, case.n_classes)
        case.require(np.shape(best) == (case.n_raw,), f"best_constant has the shape {np.shape(best)}, not (n_raw,)")
        case.require(np.isfinite(best).all(), f"best_constant is not finite: {best}")

        def total(constant: np.ndarray, weight: np.ndarray | None = weight) -> float:
            return case.evaluate(np.tile(constant, (len(case.y), 1)), weight=weight)[0]

        lowest = total(best)
        for distance in (1e-3, 1e-2, 0.1, 1.0):
            for direction in np.vstack([np.eye(case.n_raw), -np.eye(case.n_raw), case.draw_raw(1.0)]):
                excess = lowest - total(best + distance * direction)
                beaten = f"best_constant {best} is beaten by {best + distance * direction}"
                case.require(excess <= 1e-7 * max(1.0, abs(lowest)), beaten)


def _check_link(case: _Case) -> None:
    loss, raw, n_targets = case.loss, case.draw_raw(), case.y.shape[1]
    link = loss.link(n_targets, case.n_raw)
    mean = link.inverse(raw)
    case.require_close(link.inverse(link.link(mean)), mean, 1e-9, "the inverse of the link does not take the link back")
    if link.gives_probabilities:
        case.require(((mean >= 0) & (mean <= 1)).all(), "probabilities lie outside [0, 1]")
        case.require_close(np.exp(link.log_inverse(raw)), mean, 1e-9, "log_inverse is not the logarithm of inverse")
    if loss.task == "regression":
        prediction = loss.prediction(raw, n_targets)
        case.require(np.ndim(prediction) == 2 and len(prediction) == len(raw), "prediction is not two-dimensional")
        score = loss.score(case.y, prediction)
        case.require(isinstance(score, Real), f"score is not a number but {score!r:.100}")


def _check_large_raw(case: _Case) -> None:
    for dtype in (np.float64, np.float32):
        for size in EXTREMES:
            raw = case.rng.choice([-size, size], size=(len(case.y), case.n_raw)).astype(dtype)
            for part, numbers in zip(("value", "gradient"), case.evaluate_rows(raw), strict=True):
                bad = np.isnan(numbers.reshape(len(raw), -1)).any(axis=1)
                text = f"the {part} is NaN at raw = {raw[bad.argmax()]}, y = {case.y[bad.argmax()]}"
                case.require(not bad.any(), f"{text} ({raw.dtype})")


def _check_envelope(case: _Case) -> None:
    if not case.loss.kinked:
        return
    accepted = inspect.signature(case.loss.value_and_gradient).parameters
    case.require("smoothing" in accepted, "kinked, but value_and_gradient takes no smoothing")
    raw = case.draw_raw()
    values = case.evaluate_rows(raw)[0]
    case.require_close(case.evaluate_rows(raw, smoothing=0.0)[0], values, 1e-12, "smoothing=0 changes the value")
    for smoothing in SMOOTHINGS:
        envelope, gradient = case.evaluate_rows(raw, smoothing=smoothing)

        def bound(u: np.ndarray, smoothing: float = smoothing) -> np.ndarray:
            return case.evaluate_rows(u)[0] + np.sum((u - raw) ** 2, axis=1) / (2 * smoothing)

        minimiser = raw - smoothing * gradient
        text = f"with smoothing={smoothing} value and gradient are not those of the Moreau envelope"
        case.require_close(envelope, bound(minimiser), 1e-9, text)
        for other in [raw, *(minimiser + case.draw_raw(scale) for scale in (0.01, 0.1, 1.0))]:
            case.require((envelope <= bound(other) + 1e-9 * np.maximum(1, values)).all(), text)
        _check_gradient(case, smoothing=smoothing)


def _check_training(case: _Case) -> None:
    """A network without hidden layers, on one indicator feature per row: its weights are the raw predictions."""
    raw, n = case.draw_raw(), len(case.y)
    weight = case.rng.uniform(0.5, 2, n)
    plan = Plan((n, case.n_raw), (PenaltyTerm(NoPenalty(), 0.0),))
    gradient = np.empty(plan.n_parameters)
    value = Objective(plan, "identity", case.loss, np.eye(n), case.y, weight).data_loss(
        np.concatenate([raw.ravel(), np.zeros(case.n_raw)]), gradient
    )
    expected, expected_gradient = case.evaluate(raw, weight=weight)
    size = max(1.0, np.abs(expected))
    case.require_close(value * n / size, expected / size, 1e-12, "the loss in training is not value_and_gradient's")
    got = gradient[: raw.size].reshape(raw.shape) * n
    case.require_close(got, expected_gradient, 1e-12, "the gradient in training is not value_and_gradient's")


CHECKS = (
    _check_parameters,
    _check_domain,
    _check_gradient,
    _check_float32,
    _check_weights,
    _check_arguments,
    _check_convex,
    _check_best_constant,
    _check_link,
    _check_large_raw,
    _check_envelope,
    _check_training,
)
