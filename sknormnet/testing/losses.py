"""The conformance suite of losses."""

import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sknormnet.losses import Loss
from sknormnet.objective import Objective
from sknormnet.penalties import NoPenalty
from sknormnet.plan import PenaltyTerm, Plan
from sknormnet.testing.case import Case

N_ROWS = 16


def check_loss(
    loss: Loss, *, y: ArrayLike | None = None, n_classes: Sequence[int] = (2, 3), random_state: int = 0
) -> None:
    """Check that a loss is fit for training; the built-in losses pass the same suite.

    Checked are: arguments (not modified, may be read-only and strided), parameters (clone and pickle), the target's
    domain, the gradient against fourth-order differences of the value, float32 against float64, sample weights, that
    rows do not depend on each other, convexity where it is claimed, the best constant, the link, raw predictions up to
    1e4 in size, the Moreau envelope where the loss is kinked, and that training gets the same numbers.

    Parameters
    ----------
    loss : Loss
        For regression it is checked on one and on three targets, for classification on classes and on three labels. A
        kind of target that its ``n_raw`` refuses with ValueError is left out.
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
    ...     convex = True
    ...
    ...     def value_and_gradient(self, y, raw, sample_weight=None):
    ...         e = raw - y
    ...         weight = 1 if sample_weight is None else sample_weight[:, np.newaxis]
    ...         return np.sum(weight * e**4), weight * 3 * e**3
    >>> check_loss(FourthPower())
    Traceback (most recent call last):
    AssertionError: FourthPower() on 1 target(s): the gradient is not the derivative of the value...
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"check_loss takes an instance of a subclass of sknormnet.losses.Loss, got {loss!r}")
    cases = list(_cases(loss, y, n_classes, np.random.default_rng(random_state)))
    if not cases:
        raise AssertionError(f"{loss!r}: n_raw refuses every kind of target")
    with np.errstate(all="ignore"):  # a formula may overflow to infinity
        for case, check in itertools.product(cases, CHECKS):
            check(case)


@dataclass(frozen=True)
class _Case(Case):
    """A loss and targets of one kind, encoded as an estimator encodes them."""

    loss: Loss
    kind: str
    y: np.ndarray
    n_classes: int | None
    n_raw: int
    rng: np.random.Generator

    def __str__(self) -> str:
        return f"{self.loss!r} on {self.kind}"

    def draw(self, scale: float = 2.0) -> np.ndarray:
        return self.rng.normal(scale=scale, size=(len(self.y), self.n_raw))

    def draw_weights(self) -> np.ndarray:
        return self.rng.uniform(0.5, 2, len(self.y))

    def evaluate(self, raw, y=None, weight=None, smoothing=0.0) -> tuple[float, np.ndarray]:
        """Value and gradient of a block, checked for types and shapes."""
        options = {"smoothing": smoothing} if smoothing else {}
        result = self.loss.value_and_gradient(self.y if y is None else y, raw, weight, **options)
        if not isinstance(result, tuple) or len(result) != 2:
            self.fail(f"value_and_gradient returns no pair: {result!r:.100}")
        value, gradient = result
        if not isinstance(value, Real):
            self.fail(f"the value is no number: {value!r:.100}")
        got, expected = (np.shape(gradient), getattr(gradient, "dtype", None)), (raw.shape, raw.dtype)
        if got != expected:
            self.fail(f"the gradient has not raw's shape and dtype: {got} instead of {expected}")
        return float(value), gradient

    def evaluate_rows(self, raw, smoothing=0.0) -> tuple[np.ndarray, np.ndarray]:
        """Values and gradients of the rows, each a block of its own."""
        y = self.y.astype(raw.dtype)
        rows = [self.evaluate(raw[i : i + 1], y[i : i + 1], None, smoothing) for i in range(len(y))]
        return np.array([value for value, _ in rows]), np.concatenate([gradient for _, gradient in rows])


def _cases(loss: Loss, y: Any, n_classes: Sequence[int], rng: np.random.Generator) -> Iterator[_Case]:
    targets: list[tuple[str, np.ndarray, int | None]]
    if loss.task == "classification":
        targets = [(f"{k} classes", rng.permutation(np.arange(N_ROWS) % k)[:, np.newaxis], k) for k in n_classes]
        targets.append(("3 labels", rng.integers(0, 2, size=(N_ROWS, 3)), None))
    elif np.ndim(y) == 2:
        targets = [("the given y", np.asarray(y), None)]
    else:
        values = _values_in_domain(loss, rng) if y is None else np.asarray(y)
        targets = [(f"{k} target(s)", rng.choice(values, size=(N_ROWS, k)), None) for k in (1, 3)]
    for kind, encoded, k in targets:
        try:
            n_raw = loss.n_raw(encoded.shape[1], k)
        except ValueError:
            continue
        yield _Case(loss, kind, encoded.astype(np.float64), k, n_raw, rng)


def _values_in_domain(loss: Loss, rng: np.random.Generator) -> np.ndarray:
    values = np.concatenate([rng.normal(size=30), rng.gamma(3, size=20), rng.poisson(2, size=20), rng.uniform(size=20)])
    values = values[loss.in_domain(values[:, np.newaxis])[:, 0]]
    if len(values) < 10:
        raise ValueError(f"{loss!r} takes hardly any of the targets that check_loss draws: pass some as y")
    return values


def _check_arguments(case: _Case) -> None:
    given = {"raw": case.draw(), "y": case.y, "sample_weight": case.draw_weights()}
    passed = [array.copy() for array in given.values()]
    value, gradient = case.evaluate(*passed)
    for (name, before), after in zip(given.items(), passed, strict=True):
        if not np.array_equal(before, after):
            case.fail(f"value_and_gradient modifies {name}")
    strided = [np.repeat(array, 2, axis=0)[::2] for array in passed]
    for array in strided:
        array.flags.writeable = False
    fortran = [np.asfortranarray(array) for array in passed]
    layouts = {"a second call": passed, "a strided, read-only view": strided, "Fortran order": fortran}
    for what, arrays in layouts.items():
        again, gradient_again = case.evaluate(*arrays)
        case.check_close(again, value, 1e-10, f"{what} gives another value")
        case.check_close(gradient_again, gradient, 1e-10, f"{what} gives another gradient")


def _check_parameters(case: _Case) -> None:
    loss, raw = case.loss, case.draw()
    loss.check_parameters()
    value, _ = case.evaluate(raw)
    for how, copy in case.copies(loss).items():
        case.check_close(copy.value_and_gradient(case.y, raw)[0], value, 0, f"its {how} has another value")


def _check_domain(case: _Case) -> None:
    inside = np.asarray(case.loss.in_domain(case.y))
    if inside.shape != case.y.shape or inside.dtype != bool:
        case.fail("in_domain gives no array of bool in y's shape")
    case.loss.check_target(case.y)
    for outside in (-1.0, 0.0, 0.5, np.inf):
        y = case.y.copy()
        y[0, 0] = outside
        try:
            case.loss.check_target(y)
        except ValueError:
            continue
        if not np.all(case.loss.in_domain(y)):
            case.fail(f"check_target accepts {outside}, which in_domain does not")


def _check_gradient(case: _Case, smoothing: float = 0.0) -> None:
    raw, direction = case.draw(), case.draw(1.0)

    def difference(h: float) -> np.ndarray:
        above, below = (case.evaluate_rows(raw + step * direction, smoothing)[0] for step in (h, -h))
        return above - below

    coarse, fine = ((8 * difference(h) - difference(2 * h)) / (12 * h) for h in (1e-3, 5e-4))
    settled = np.abs(coarse - fine) <= 1e-8 * np.maximum(1, np.abs(fine))  # no kink in between
    if settled.mean() < 0.5:
        case.fail("the value is not differentiable at most points")
    slopes = np.sum(case.evaluate_rows(raw, smoothing)[1] * direction, axis=1)
    text = f"the gradient is not the derivative of the value, {smoothing=}"
    case.check_close(slopes[settled], fine[settled], 1e-7, text)


def _check_float32(case: _Case) -> None:
    arrays = [array.astype(np.float32) for array in (case.draw(), case.y, case.draw_weights())]
    value, gradient = case.evaluate(*arrays)
    expected, expected_gradient = case.evaluate(*(array.astype(np.float64) for array in arrays))
    case.check_close(value, expected, 1e-4, "the value in float32 is not that in float64")
    case.check_close(gradient, expected_gradient, 1e-4, "the gradient in float32 is not that in float64")


def _check_weights(case: _Case, smoothing: float = 0.0) -> None:
    raw, ones, weight = case.draw(), np.ones(len(case.y)), case.draw_weights()
    values, gradients = case.evaluate_rows(raw, smoothing)
    for text, factor, given in [
        ("a block is not the sum of its rows", ones, None),
        ("weights of 1 are not the same as no weights", ones, ones),
        ("weights do not multiply the rows", weight, weight),
    ]:
        value, gradient = case.evaluate(raw, case.y, given, smoothing)
        case.check_close(value, factor @ values, 1e-10, f"{text}, in the value")
        case.check_close(gradient, factor[:, np.newaxis] * gradients, 1e-10, f"{text}, in the gradient")
    counts = case.rng.integers(1, 4, len(case.y))
    once, _ = case.evaluate(raw, case.y, counts.astype(np.float64), smoothing)
    repeated, _ = case.evaluate(np.repeat(raw, counts, axis=0), np.repeat(case.y, counts, axis=0), None, smoothing)
    case.check_close(once, repeated, 1e-10, "a row of weight 2 is not the row twice")


def _check_convex(case: _Case) -> None:
    for scale in (0.5, 2.0, 8.0) if case.loss.convex else ():
        a, b = case.draw(scale), case.draw(scale)
        chord = (case.evaluate_rows(a)[0] + case.evaluate_rows(b)[0]) / 2
        if not (case.evaluate_rows((a + b) / 2)[0] <= chord + 1e-9 * np.maximum(1, np.abs(chord))).all():
            case.fail("claims to be convex in raw, but between two points it lies above their chord")


def _check_best_constant(case: _Case) -> None:
    for weight in (None, case.draw_weights()):
        best = case.loss.best_constant(case.y, weight, case.n_classes)
        if np.shape(best) != (case.n_raw,) or not np.isfinite(best).all():
            case.fail(f"best_constant gives no {case.n_raw} finite numbers: {best!r}")
        value, _ = case.evaluate(np.tile(best, (len(case.y), 1)), weight=weight)
        steps = np.vstack([np.eye(case.n_raw), -np.eye(case.n_raw), case.draw(1.0)])
        for constant in np.vstack([best + size * steps for size in (1e-3, 1e-2, 0.1, 1.0)]):
            other, _ = case.evaluate(np.tile(constant, (len(case.y), 1)), weight=weight)
            if not value <= other + 1e-7 * max(1, abs(other)):
                case.fail(f"best_constant gives {best}, but {constant} is better")


def _check_link(case: _Case) -> None:
    raw, n_targets = case.draw(), case.y.shape[1]
    link = case.loss.link(n_targets, case.n_raw)
    mean = link.inverse(raw)
    case.check_close(link.inverse(link.link(mean)), mean, 1e-9, "the link's inverse does not undo the link")
    if link.gives_probabilities:
        if not ((mean >= 0) & (mean <= 1)).all():
            case.fail("the link's inverse gives probabilities outside [0, 1]")
        case.check_close(np.exp(link.log_inverse(raw)), mean, 1e-9, "log_inverse is not the logarithm of inverse")
    if case.loss.task == "regression":
        prediction = case.loss.prediction(raw, n_targets)
        if np.ndim(prediction) != 2 or len(prediction) != len(raw):
            case.fail(f"prediction gives no two-dimensional array, a row for each row of raw: {np.shape(prediction)}")
        if not isinstance(case.loss.score(case.y, prediction), Real):
            case.fail("score gives no number")


def _check_large_raw(case: _Case) -> None:
    for dtype, size in itertools.product((np.float64, np.float32), (30.0, 700.0, 1e4)):
        raw = case.rng.choice([-size, size], size=(len(case.y), case.n_raw)).astype(dtype)
        for part, numbers in zip(("value", "gradient"), case.evaluate_rows(raw), strict=True):
            bad = np.isnan(numbers.reshape(len(raw), -1)).any(axis=1)
            if bad.any():
                case.fail(f"the {part} is NaN at the {raw.dtype} raw = {raw[bad][0]}, y = {case.y[bad][0]}")


def _check_envelope(case: _Case) -> None:
    if not case.loss.kinked:
        return
    if "smoothing" not in inspect.signature(case.loss.value_and_gradient).parameters:
        case.fail("is kinked, but value_and_gradient takes no smoothing")
    raw = case.draw()
    for smoothing in (0.05, 1.0):
        text = f"value and gradient are not those of the Moreau envelope, {smoothing=}"
        envelope, gradient = case.evaluate_rows(raw, smoothing)
        nearest = raw - smoothing * gradient  # where the envelope's minimum is attained
        for u in [nearest, raw, *(nearest + case.draw(scale) for scale in (0.01, 0.1, 1.0))]:
            bound = case.evaluate_rows(u)[0] + np.sum((u - raw) ** 2, axis=1) / (2 * smoothing)
            case.check_close(bound if u is nearest else np.minimum(bound, envelope), envelope, 1e-9, text)
        _check_gradient(case, smoothing)
        _check_weights(case, smoothing)


def _check_training(case: _Case) -> None:
    """A network without hidden layers and with an indicator feature for each row has raw predictions as weights."""
    raw, weight, n = case.draw(), case.draw_weights(), len(case.y)
    plan = Plan((n, case.n_raw), (PenaltyTerm(NoPenalty(), 0.0),))
    objective = Objective(plan, "identity", case.loss, np.eye(n), case.y, weight)
    gradient = np.empty(plan.n_parameters)
    value = n * objective.data_loss(np.concatenate([raw.ravel(), np.zeros(case.n_raw)]), gradient)
    expected, expected_gradient = case.evaluate(raw, weight=weight)
    case.check_close(value, expected, 1e-10, "training gets another value than value_and_gradient's")
    got = n * gradient[: raw.size].reshape(raw.shape)
    case.check_close(got, expected_gradient, 1e-10, "training gets another gradient than value_and_gradient's")


CHECKS = (
    _check_arguments,
    _check_parameters,
    _check_domain,
    _check_weights,
    _check_gradient,
    _check_float32,
    _check_convex,
    _check_large_raw,
    _check_envelope,
    _check_training,
    _check_link,
    _check_best_constant,
)
