"""The conformance suite of penalties."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real

import numpy as np

from sknormnet.losses import SquaredError
from sknormnet.objective import Objective
from sknormnet.penalties import Penalty, Sum
from sknormnet.plan import PenaltyTerm, Plan
from sknormnet.testing.case import Case

STEPS = (1e-6, 1.0, 1e6)
ROUNDING = 1e-12  # of sums and differences in float64, relative to their largest term
MOST_BLOCKS = 10  # of each kind are replaced to look for a better point than the prox


def check_penalty(penalty: Penalty, *, shape: tuple[int, int] = (4, 3), random_state: int = 0) -> None:
    """Check that a penalty is fit for training; the built-in penalties pass the same suite.

    Checked are: arguments (not modified, may be read-only and strided), parameters (clone and pickle), that the value
    is 0 at W = 0 and negative nowhere, the subgradient against differences of the value and for being the smallest, the
    prox as a global minimum at steps from 1e-6 to 1e6, the residual, constraints, strength 0, zero, huge and tiny
    weights, float32 against float64, convexity where it is claimed, and that training gets the same numbers.

    Parameters
    ----------
    penalty : Penalty
    shape : (int, int), default=(4, 3)
        Shape of the weight matrices, (fan_in, fan_out). Call the suite for several, (1, 1) among them.
    random_state : int, default=0
        Seed of all that is drawn.

    Raises
    ------
    AssertionError
        A property does not hold. The message names the penalty, the shape and the property.

    Examples
    --------
    >>> from sknormnet.penalties import L1, ElasticNet
    >>> from sknormnet.testing import check_penalty
    >>> check_penalty(ElasticNet(l1_ratio=0.2), shape=(5, 2))

    >>> class ShortStep(L1):
    ...     def prox(self, V, step, strength):
    ...         return super().prox(V, 0.9 * step, strength)
    >>> check_penalty(ShortStep())
    Traceback (most recent call last):
    AssertionError: ShortStep() on weights of shape (4, 3): prox is not the minimum of ...
    """
    if not isinstance(penalty, Penalty):
        raise TypeError(
            f"check_penalty takes an instance of a subclass of sknormnet.penalties.Penalty, got {penalty!r}"
        )
    case = _Case(penalty, shape, np.random.default_rng(random_state))
    with np.errstate(all="ignore"):  # a formula may overflow to infinity
        for check in CHECKS:
            check(case)


@dataclass(frozen=True)
class _Case(Case):
    """A penalty on matrices of one shape."""

    penalty: Penalty
    shape: tuple[int, int]
    rng: np.random.Generator

    def __str__(self) -> str:
        return f"{self.penalty!r} on weights of shape {self.shape}"

    @property
    def has_prox(self) -> bool:
        """Penalties that are smooth may go without, and so may the terms of a sum of such."""
        if isinstance(self.penalty, Sum) and self.penalty.smooth:
            return False
        return type(self.penalty).prox is not Penalty.prox

    @property
    def convex(self) -> bool:
        return getattr(self.penalty, "convex", False)

    def value(self, W: np.ndarray, strength: float) -> float:
        value = self.penalty.value(W, strength)
        if not isinstance(value, Real):
            self.fail(f"the value is no number: {value!r:.100}")
        return float(value)

    def subgradient(self, W: np.ndarray, strength: float) -> np.ndarray:
        return self._like(W, self.penalty.subgradient(W, strength), "subgradient")

    def prox(self, V: np.ndarray, step: float, strength: float) -> np.ndarray:
        """Of a smooth penalty without a prox, V itself."""
        if self.penalty.smooth and not self.has_prox:
            return V
        return self._like(V, self.penalty.prox(V, step, strength), "prox")

    def residual(self, W: np.ndarray, gradient: np.ndarray, strength: float) -> np.ndarray:
        return self._like(W, self.penalty.residual(W, gradient, strength), "residual")

    def _like(self, W: np.ndarray, result: np.ndarray, name: str) -> np.ndarray:
        got, expected = (np.shape(result), getattr(result, "dtype", None)), (W.shape, W.dtype)
        if got != expected:
            self.fail(f"{name} has not its argument's shape and dtype: {got} instead of {expected}")
        return result

    def feasible(self, W: np.ndarray) -> np.ndarray:
        """The nearest point that a constraint allows: at strength 0 nothing else is left of the penalty."""
        return self.prox(W, 1.0, 0.0) if self.penalty.constraint else W

    def interior(self, W: np.ndarray) -> np.ndarray:
        """A point around which the penalty is finite, weights at zero apart."""
        return 0.5 * self.feasible(W) if self.penalty.constraint else W

    def proximal_objective(self, W: np.ndarray, V: np.ndarray, step: float, strength: float) -> float:
        """What the prox of V minimises over W."""
        return 0.5 * float(np.sum((W - V) ** 2)) + step * self.value(W, strength)

    def draw(self, scale: float = 1.0) -> np.ndarray:
        return self.rng.normal(scale=scale, size=self.shape)

    def draw_strength(self) -> float:
        return 10.0 ** self.rng.uniform(-1, 0.5)

    def draw_weights(self, strength: float) -> np.ndarray:
        """No weight is near zero; the sizes are those at which concave shapes bend."""
        return self.rng.choice([-1, 1], self.shape) * self.rng.uniform(0.2, 5, self.shape) * strength

    def draw_sparse(self, strength: float) -> Iterator[np.ndarray]:
        """Weights with single zeros, zero rows, zero columns, and all zero."""
        n_rows, n_columns = self.shape
        for zero in (
            self.rng.random(self.shape) < 0.3,
            np.arange(n_rows)[:, np.newaxis] % 2 == 0,
            np.arange(n_columns) % 2 == 0,
            True,
        ):
            yield np.where(zero, 0.0, self.draw_weights(strength))

    def draw_problems(self, n: int) -> Iterator[tuple[np.ndarray, float, float]]:
        """Arguments of a prox, at sizes near its thresholds and away from them."""
        for _ in range(n):
            step, strength = 10.0 ** self.rng.uniform(-6, 6), self.draw_strength()
            size = strength * self.rng.choice([step, np.sqrt(step), 1.0]) * 10.0 ** self.rng.uniform(-0.5, 0.7)
            yield np.where(self.rng.random(self.shape) < 0.2, 0.0, self.draw(size)), step, strength


def _check_arguments(case: _Case) -> None:
    W, G = case.feasible(case.draw()), case.draw()
    methods = {
        "value": lambda W, G: case.value(W, 0.5),
        "subgradient": lambda W, G: case.subgradient(W, 0.5),
        "prox": lambda W, G: case.prox(W, 0.7, 0.5),
        "residual": lambda W, G: case.residual(W, G, 0.5),
    }
    for name, method in methods.items():
        passed = W.copy(), G.copy()
        expected = method(*passed)
        if not (np.array_equal(passed[0], W) and np.array_equal(passed[1], G)):
            case.fail(f"{name} modifies its argument")
        strided = [np.repeat(array, 2, axis=1)[:, ::2] for array in (W, G)]
        for array in strided:
            array.flags.writeable = False
        fortran = [np.asfortranarray(array) for array in (W, G)]
        for what, arrays in {
            "a second call": (W, G),
            "a strided, read-only view": strided,
            "Fortran order": fortran,
        }.items():
            case.check_close(method(*arrays), expected, ROUNDING, f"{what} gives another {name}")


def _check_parameters(case: _Case) -> None:
    W = case.feasible(case.draw())
    for how, copy in case.copies(case.penalty).items():
        case.check_close(copy.value(W, 0.5), case.value(W, 0.5), 0, f"its {how} has another value")


def _check_value(case: _Case) -> None:
    zero = np.zeros(case.shape)
    for scale in (1e-3, 1.0, 1e3):
        strength = case.draw_strength()
        W, V = case.feasible(case.draw(scale)), case.draw(scale)
        value = case.value(W, strength)
        if not 0 <= value < np.inf:
            remedy = "; a penalty that may be infinite says constraint = True" if value == np.inf else ""
            case.fail(f"the value is {value}{remedy}")
        case.check_close(case.value(zero, strength), 0, 0, "the value at W = 0")
        case.check_close(case.subgradient(zero, strength), 0, 0, "W = 0 has the least value, but its subgradient is")
        case.check_close(case.value(W, 0.0), 0, 0, "the value at strength 0")
        case.check_close(case.subgradient(W, 0.0), 0, 0, "the subgradient at strength 0")
        what = "the prox at strength 0 is not the identity where the value is finite"
        case.check_close(case.prox(W, 0.7, 0.0), W, ROUNDING, what)
        if not case.penalty.constraint:
            case.check_close(
                case.residual(W, V, 0.0), np.abs(V), ROUNDING, "the residual at strength 0 is not |gradient|"
            )


def _check_constraint(case: _Case) -> None:
    """A constraint holds after its prox at any strength and step, 0 included: there it is the projection."""
    for scale, strength, step in itertools.product((1e-3, 1.0, 1e3), (0.0, 1.0), (0.0, 1.0)):
        if case.penalty.constraint:
            P = case.prox(case.draw(scale), step, strength)
            if not case.value(P, strength) < np.inf:
                case.fail(f"the prox with {step=}, {strength=} leads where the value is infinite")


def _check_subgradient(case: _Case) -> None:
    n_settled = n = 0
    for _ in range(5):
        strength = case.draw_strength()
        W = case.interior(case.draw_weights(strength))
        coarse, fine = (_differences(case, W, strength, h) for h in (1e-3, 5e-4))
        settled = np.abs(coarse - fine) <= 1e-8 * np.maximum(1, np.abs(fine))  # no knee in between
        n_settled, n = n_settled + int(settled.sum()), n + int(np.count_nonzero(W))
        text = "the subgradient is not the derivative of the value"
        case.check_close(case.subgradient(W, strength)[settled], fine[settled], 1e-7, text)
    if n_settled < 0.5 * n:
        case.fail("the value is not differentiable at most weights other than 0")


def _differences(case: _Case, W: np.ndarray, strength: float, h: float) -> np.ndarray:
    """Derivative of the value in each weight, by differences of fourth order; h is relative to the weight."""
    slopes = np.empty(case.shape)
    for index in np.ndindex(case.shape):

        def value(steps: int, index: tuple[int, ...] = index) -> float:
            moved = W.copy()
            moved[index] *= 1 + steps * h
            return case.value(moved, strength)

        slopes[index] = (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12 * h * W[index])
    return slopes


def _check_smallest_subgradient(case: _Case) -> None:
    """The value falls along minus the subgradient g by |g|^2 exactly if g is the smallest."""
    h = 1e-5
    for _ in range(3):
        strength = case.draw_strength()
        for W in map(case.interior, case.draw_sparse(strength)):
            g = case.subgradient(W, strength)
            length = float(np.linalg.norm(g))
            if length == 0:
                continue
            values = [case.value(W - t * h * strength * g / length, strength) for t in range(3)]
            fall = (3 * values[0] - 4 * values[1] + values[2]) / (2 * h * strength)
            case.check_close(fall, length, 1e-4, "the subgradient is not the one of smallest norm")


def _check_smooth(case: _Case) -> None:
    smooth = case.penalty.smooth
    if not isinstance(smooth, bool | np.bool_):
        case.fail(f"smooth must be a bool, got {smooth!r}")
    strength, h = case.draw_strength(), 1e-6
    for W in case.draw_sparse(strength) if smooth else ():
        D = case.draw()
        slope = (case.value(W + h * D, strength) - case.value(W - h * D, strength)) / (2 * h)
        expected = float(np.sum(case.subgradient(W, strength) * D))
        case.check_close(slope, expected, 1e-6, "claims to be smooth, but is not differentiable where weights are 0")
        # Two steps, so that curvature, however strong, drops out, and a kink does not.
        long, short = ((case.value(W + t * D, strength) - case.value(W, strength)) / t for t in (h, h / 2))
        one_sided = 2 * short - long
        case.check_close(one_sided, expected, 1e-4, "claims to be smooth, but has a kink where weights are 0")


def _check_convex(case: _Case) -> None:
    for _ in range(20) if case.convex else ():
        step, strength = 10.0 ** case.rng.uniform(-6, 6), case.draw_strength()
        A, B = (case.draw(10.0 ** case.rng.uniform(-0.5, 1) * strength * max(step, 1)) for _ in range(2))
        chord = (case.value(A, strength) + case.value(B, strength)) / 2
        if not case.value((A + B) / 2, strength) <= chord * (1 + ROUNDING):
            case.fail("claims to be convex, but between two points it lies above their chord")
        D = case.prox(A, step, strength) - case.prox(B, step, strength)
        if not np.sum(D**2) <= np.sum(D * (A - B)) + ROUNDING * np.sum(A**2 + B**2):
            case.fail("claims to be convex, but its prox is not firmly non-expansive")


def _check_prox(case: _Case) -> None:
    """The global minimum; where it is convex, by the three-point inequality, which holds for no other point."""
    problems = itertools.chain([(np.zeros(case.shape), 1.0, 1.0)], case.draw_problems(30))
    for V, step, strength in problems if case.has_prox else ():
        P = case.prox(V, step, strength)
        if not np.isfinite(P).all():
            case.fail(f"prox is not finite at {step=:.3g}")
        least = case.proximal_objective(P, V, step, strength)
        for U in _candidates(case, V, P):
            other = case.proximal_objective(U, V, step, strength)
            distance = 0.5 * float(np.sum((U - P) ** 2)) if case.convex else 0.0
            if not least + distance <= other + ROUNDING * max(other, 0.5 * float(np.sum(V**2))):
                text = "prox is not the minimum of |W - V|^2/2 + step * value(W, strength)"
                case.fail(
                    f"{text}: {least:.6g} at {P.tolist()}, {other:.6g} at {U.tolist()}, {step=:.3g}, {strength=:.3g}"
                )


def _candidates(case: _Case, V: np.ndarray, P: np.ndarray) -> Iterator[np.ndarray]:
    """Points that may be better than P: near it, and with entries, rows, columns or all of it from 0, V or between."""
    for size, scale in itertools.product((1e-3, 1e-2, 0.1, 1.0), (P, np.max(np.abs(V)))):
        yield P + size * case.draw() * scale
    rows, columns = np.indices(case.shape)
    blocks = [[np.full(case.shape, True)]]
    blocks.append([rows == i for i in range(case.shape[0])])
    blocks.append([columns == j for j in range(case.shape[1])])
    blocks.append([(rows == i) & (columns == j) for i, j in np.ndindex(case.shape)])
    for masks in blocks:
        for k in case.rng.permutation(len(masks))[:MOST_BLOCKS]:
            for share in (0.0, 0.3, 0.7, 1.0):
                yield np.where(masks[k], share * V, P)


def _check_residual(case: _Case) -> None:
    for V, step, strength in case.draw_problems(30) if case.has_prox else ():
        P = case.prox(V, step, strength)
        residual = case.residual(P, (P - V) / step, strength)
        rounding = ROUNDING * max(strength, float(np.max(np.abs(V))) / step)
        case.check_close(residual / rounding, 0, 1, "at W = prox(V) the residual with gradient (W - V)/step is not 0")
    for _ in range(3):
        strength = case.draw_strength()
        for W in map(case.feasible, [case.draw_weights(strength), *case.draw_sparse(strength)]):
            g, G = case.subgradient(W, strength), case.draw(1.5 * strength)
            text = "the residual with gradient"
            case.check_close(case.residual(W, -g, strength), 0, ROUNDING, f"{text} = -subgradient is not 0")
            case.check_close(case.residual(W, 0 * g, strength), np.abs(g), ROUNDING, f"{text} 0 is not |subgradient|")
            # Where steps of prox(W - step * gradient) lead, as they become short.
            step = 1e-6 * min(1.0, float(np.linalg.norm(W) / np.linalg.norm(G)) or 1.0)  # short beside the weights
            expected = np.abs(W - case.prox(W - step * G, step, strength)) / step
            if not case.has_prox:
                expected = np.abs(G + g)
            text = "the residual is not the smallest of gradient + subdifferential"
            case.check_close(case.residual(W, G, strength), expected, 1e-4, text)


def _check_extremes(case: _Case) -> None:
    """Squares of the largest and of the smallest overflow and underflow."""
    sizes: dict[type, tuple[float, ...]] = {
        np.float64: (0.0, 5e-324, 1e-200, 1e200),
        np.float32: (0.0, 1e-45, 1e-30, 1e30),
    }
    for dtype, step in itertools.product(sizes, STEPS):
        for size in sizes[dtype]:
            V: np.ndarray = (case.rng.choice([-1.0, 0.0, 1.0], case.shape) * size).astype(dtype)
            results = {
                "prox": case.prox(V, step, 1.0),
                "subgradient": case.subgradient(V, 1.0),
                "residual": case.residual(V, np.ones_like(V), 1.0),
            }
            for name, result in results.items():
                if not np.isfinite(result).all():
                    case.fail(f"{name} is not finite for {np.dtype(dtype)} weights of size {size}")
            if size == 0:
                case.check_close(results["prox"], 0, 0, "the prox of 0 is not 0")
            elif dtype == np.float32 and size >= 1e-30:  # subnormal numbers may be taken for 0
                expected = case.prox(V.astype(np.float64), step, 1.0)
                text = f"the prox of float32 weights of size {size} is not that in float64"
                case.check_close(results["prox"] / size, expected / size, 1e-4, text)


def _check_float32(case: _Case) -> None:
    for _ in range(10):
        strength = case.draw_strength()
        for W32 in (case.interior(W).astype(np.float32) for W in case.draw_sparse(strength)):
            G32 = case.draw(1.5 * strength).astype(np.float32)
            W, G = W32.astype(np.float64), G32.astype(np.float64)
            for name, got, expected in [
                ("value", case.value(W32, strength), case.value(W, strength)),
                ("subgradient", case.subgradient(W32, strength), case.subgradient(W, strength)),
                ("residual", case.residual(W32, G32, strength), case.residual(W, G, strength)),
            ]:
                case.check_close(got, expected, 1e-4, f"the {name} in float32 is not that in float64")
        step = 10.0 ** case.rng.uniform(-2, 2)
        V = case.draw(strength * max(step, 1)).astype(np.float32)
        got = case.prox(V, step, strength).astype(np.float64)
        V = V.astype(np.float64)
        expected = case.prox(V, step, strength)
        # By what is minimised, because the prox of a shape that is not convex jumps.
        least, value = (case.proximal_objective(case.feasible(P), V, step, strength) for P in (expected, got))
        if not value <= least + 1e-5 * max(least, 0.5 * float(np.sum(V**2))):
            case.fail(
                f"the prox in float32 is not that in float64: {got.tolist()} where {expected.tolist()} is expected"
            )


def _check_training(case: _Case) -> None:
    """A network without hidden layers takes the penalty of its one weight matrix."""
    step, strength = 0.3, 0.5
    plan = Plan(case.shape, (PenaltyTerm(case.penalty, strength),))
    X, y = np.ones((2, case.shape[0])), np.ones((2, case.shape[1]))
    objective = Objective(plan, "identity", SquaredError(), X, y)
    W = case.feasible(case.draw())
    theta = plan.join([W], [np.ones(case.shape[1])], np.dtype(np.float64))
    value = objective.penalty(theta)
    case.check_close(value, case.value(W, strength), ROUNDING, "training gets another value than value's")
    expected = W if case.penalty.smooth else case.prox(W, step, strength)
    objective.prox(theta, step)
    (got,), (intercepts,) = plan.split(theta)
    case.check_close(got, expected, ROUNDING, "training gets another prox than prox's")
    case.check_close(intercepts, 1, 0, "training penalises the intercepts")


CHECKS = (
    _check_constraint,
    _check_value,
    _check_arguments,
    _check_parameters,
    _check_subgradient,
    _check_smallest_subgradient,
    _check_smooth,
    _check_convex,
    _check_prox,
    _check_residual,
    _check_extremes,
    _check_float32,
    _check_training,
)
