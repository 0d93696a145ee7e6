"""Every loss of the registry: the conformance suite, its definition, extended precision, scikit-learn, closed forms."""

import functools

import mpmath as mp
import numpy as np
import oracles
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from scipy.stats import norm
from sklearn import metrics
from sklearn._loss import loss as sk
from sklearn.linear_model import SGDClassifier, _sgd_fast

from sknormnet.losses import (
    LOSSES,
    AbsoluteError,
    Brier,
    EpsilonInsensitive,
    Euclidean,
    Focal,
    Gamma,
    GaussianNLL,
    Hinge,
    Huber,
    LogLoss,
    ModifiedHuber,
    Poisson,
    Quantile,
    SquaredEpsilonInsensitive,
    SquaredError,
    SquaredHinge,
    Tweedie,
    loss_names,
)
from sknormnet.testing import check_loss

# Most parameters are numbers that float32 holds exactly: there it rounds the others.
VARIANTS = [
    *(cls() for cls in LOSSES.values()),
    *(Huber(delta) for delta in (0.3, 0.25, 8)),
    *(Quantile(q) for q in (0.9, 0.125, (0.125, 0.5, 0.875), (0.3,))),
    *(EpsilonInsensitive(e) for e in (0, 0.5)),
    *(SquaredEpsilonInsensitive(e) for e in (0, 0.5)),
    *(Tweedie(p) for p in (-1, -0.5, 0, 1, 1.2, 1.25, 1.875, 1.9, 2, 2.5, 3)),
    GaussianNLL(0.125),
    *(LogLoss(s) for s in (0.1, 0.125)),
    *(Focal(g) for g in (0, 0.5, 1, 5)),
]
KINDS = {"regression": [(1, None), (3, None)], "classification": [(1, 2), (1, 3), (3, None)]}
CASES = [(loss, *kind) for loss in VARIANTS for kind in KINDS[loss.task]]
OF_CLASSES = [cls() for cls in LOSSES.values() if cls.task == "classification"]

each_variant = pytest.mark.parametrize("loss", VARIANTS, ids=repr)
each_case = pytest.mark.parametrize(("loss", "n_targets", "n_classes"), CASES, ids=str)


def draw(loss, n_targets=1, n_classes=None, n=25, seed=0):
    rng = np.random.default_rng(seed)
    if loss.task == "classification":
        y = rng.integers(0, n_classes or 2, size=(n, n_targets)).astype(float)
    else:
        y = rng.normal(1, size=(n, n_targets))
        y = y if loss.in_domain(y).all() else np.exp(y)
    return y, rng.normal(scale=2, size=(n, loss.n_raw(n_targets, n_classes))), rng.uniform(0.5, 2, n)


def definition(loss):
    return functools.partial(oracles.LOSSES[loss.name], **loss.get_params())


def test_every_loss_is_here():
    assert {loss.name for loss in VARIANTS} == set(LOSSES) == set(oracles.LOSSES)
    assert loss_names("regression") + loss_names("classification") == list(LOSSES)
    assert {loss.name for loss in VARIANTS if not loss.convex} == {"tweedie", "gaussian_nll", "brier", "focal"}
    assert [p for p in (-1, 0, 1, 1.5, 2, 3) if Tweedie(p).convex] == [1, 1.5, 2]
    kinked = {"absolute_error", "quantile", "epsilon_insensitive", "euclidean", "hinge"}
    assert {loss.name for loss in VARIANTS if loss.kinked} == kinked


@each_variant
def test_conformance(loss):
    check_loss(loss)


@each_case
def test_definition(loss, n_targets, n_classes):
    y, raw, weight = draw(loss, n_targets, n_classes)
    rows = definition(loss)(y, raw)
    assert loss.value_and_gradient(y, raw)[0] == pytest.approx(rows.sum(), rel=1e-12)
    assert loss.value_and_gradient(y, raw, weight)[0] == pytest.approx(weight @ rows, rel=1e-12)


# ------------------------------------------------------------------------------------------ extended precision

SIZES = np.array([0, 1e-9, 1e-4, 0.05, 0.3, 0.5, 1, 2, 5, 20, 30, 80, 88, 95, 104, 350, 700, 1e4], dtype=np.float32)
SIZES = np.concatenate([-SIZES, SIZES])


def around(points):
    """The points and neighbours so near that float32 just tells their differences apart."""
    return np.add.outer(np.ravel(points), np.float32([-(2**-20), 0, 2**-20])).ravel()


def extreme_rows(loss):
    """Rows (y, raw) with raw predictions of all sizes and next to every place where a formula changes."""
    rng = np.random.default_rng(0)
    if loss.task == "classification":
        margins = np.concatenate([SIZES, around([-1, 1])])
        yield from (([y], [r]) for y in (0, 1) for r in margins)
        yield from (([y], row) for y in range(3) for row in rng.choice(margins, size=(40, 3)))
        return
    steps = np.array([0, *loss.get_params().values()]) if loss.name != "quantile" else np.zeros(1)
    for y in [y for y in (-2.5, 0.0, 1.0, 6.0) if loss.in_domain(np.array(y))]:
        raws = np.concatenate([SIZES, around(y + steps), around(y - steps), y + np.float32([-0.999, 0.999])])
        if loss.name == "euclidean":
            yield from ((np.full(3, y), row) for row in rng.choice(raws, size=(40, 3)))
        elif loss.name == "gaussian_nll":
            log_variances = np.concatenate([SIZES, around(np.log(loss.min_variance))])
            yield from (([y], [mean, s]) for mean in (y, y + 1e-4, -30, 1e4) for s in log_variances)
        elif loss.n_raw(1) == 1:
            yield from (([y], [r]) for r in raws)
        else:
            yield from (([y], row) for row in rng.choice(raws, size=(40, loss.n_raw(1))))


def rounded_exponent(loss, raw):
    """Size of the exponent gamma * log(1 - p), an error of whose rounding the exponential multiplies by it."""
    return loss.gamma * np.ptp(np.append(raw, 0)) if loss.name == "focal" and loss.gamma != 2 else 0


def assert_exact(got, terms, dtype, tolerance, where):
    """Within tolerance times the largest term; a true overflow is an infinity, never NaN."""
    exact, largest, info = mp.fsum(terms), max(map(abs, terms)), np.finfo(dtype)
    if largest > info.max and got == float(mp.sign(exact)) * np.inf:
        return
    error = abs(mp.mpf(float(got)) - exact)
    underflow = 1e10 * float(info.tiny)  # a large factor times one below the normal range, which has few digits
    assert error <= tolerance * largest + underflow, f"{where}: {got!s} instead of {mp.nstr(exact)}"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@each_variant
def test_extremes(loss, dtype):
    parameters = loss.get_params()
    if dtype == np.float32 and any(np.any(np.float64(np.float32(p)) != p) for p in parameters.values()):
        pytest.skip("float32 rounds the parameter, and an exponential multiplies the error")
    with mp.workdps(50):
        for y, raw in extreme_rows(loss):
            y, raw = np.array([y], dtype=dtype), np.array([raw], dtype=dtype)
            tolerance = np.finfo(dtype).eps * (16 + rounded_exponent(loss, raw[0].astype(np.float64)))
            terms, slopes = oracles.exact_terms(loss.name, y[0], raw[0], **parameters)
            value, gradient = loss.value_and_gradient(y, raw)
            assert_exact(value, terms, dtype, tolerance, f"value at y={y}, raw={raw}")
            for column, slope in enumerate(slopes):
                assert_exact(gradient[0, column], slope, dtype, tolerance, f"slope {column} at y={y}, raw={raw}")


@pytest.mark.parametrize(
    ("size", "dtype"), [(1e-200, np.float64), (1e200, np.float64), (1e-30, np.float32), (1e30, np.float32)]
)
def test_euclidean_where_squares_leave_the_range(size, dtype):
    raw = np.array([[3 * size, -4 * size]], dtype=dtype)
    value, gradient = Euclidean().value_and_gradient(np.zeros((1, 2)), raw)
    assert value == pytest.approx(5 * size, rel=1e-6)
    np.testing.assert_allclose(gradient, [[0.6, -0.8]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("loss", "y", "raw"),
    [
        (AbsoluteError(), [1, -2], [1, -2]),
        (Quantile(0.9), [1, -2], [1, -2]),
        (Quantile((0.25, 0.5)), [3], [3, 3]),
        (EpsilonInsensitive(0.125), [1, 1], [1.125, 0.875]),
        (EpsilonInsensitive(0), [1], [1]),
        (Euclidean(), [1, -2], [1, -2]),
        (Hinge(), [1, 0], [1, -1]),
        (Hinge(), [1], [-1, 1, -1]),
    ],
    ids=repr,
)
def test_gradient_is_zero_at_a_kink(loss, y, raw, dtype):
    value, gradient = loss.value_and_gradient(np.array([y], dtype=dtype), np.array([raw], dtype=dtype))
    assert value == 0
    assert not gradient.any()


@each_case
def test_nan_is_not_hidden(loss, n_targets, n_classes):
    y, raw, _ = draw(loss, n_targets, n_classes)
    for column in range(raw.shape[1]):
        at = raw.copy()
        at[3, column] = np.nan
        value, gradient = loss.value_and_gradient(y, at)
        assert np.isnan(value)
        assert np.isnan(gradient[3]).any()


# ------------------------------------------------------------------------------------------------ scikit-learn


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (SquaredError(), sk.HalfSquaredError()),
        (AbsoluteError(), sk.AbsoluteError()),
        (Huber(0.3), sk.HuberLoss(delta=0.3)),
        *((Quantile(q), sk.PinballLoss(quantile=q)) for q in (0.1, 0.5, 0.9)),
        (Poisson(), sk.HalfPoissonLoss()),
        (Gamma(), sk.HalfGammaLoss()),
        *((Tweedie(p), sk.HalfTweedieLoss(power=p)) for p in (-1, 0, 1, 1.2, 1.5, 1.9, 2, 3)),
        (LogLoss(), sk.HalfBinomialLoss()),
        (LogLoss(), sk.HalfMultinomialLoss(n_classes=4)),
    ],
    ids=lambda part: type(part).__name__,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_module_of_scikit_learn(loss, reference, weighted):
    n_classes = reference.n_classes if loss.task == "classification" else None
    y, raw, weight = draw(loss, 1, n_classes, n=300)
    weight = weight if weighted else None
    value, gradient = loss.value_and_gradient(y, raw, weight)
    squeezed = raw if raw.shape[1] > 1 else raw[:, 0].copy()
    values, slopes = reference.loss_gradient(y[:, 0].copy(), squeezed, sample_weight=weight)
    assert value == pytest.approx(values.sum(), rel=1e-12)
    np.testing.assert_allclose(gradient, slopes.reshape(gradient.shape), rtol=1e-12, atol=1e-12)
    if not loss.kinked and loss.name != "huber":  # their best constants are compared as medians and minima
        best = loss.best_constant(y, weight, n_classes)
        expected = np.atleast_1d(reference.fit_intercept_only(y[:, 0].copy(), weight))
        np.testing.assert_allclose(best - best.mean() * (best.size > 1), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (Hinge(), _sgd_fast.Hinge(1.0)),
        (SquaredHinge(), _sgd_fast.SquaredHinge(1.0)),
        (ModifiedHuber(), _sgd_fast.ModifiedHuber()),
        (EpsilonInsensitive(0.3), _sgd_fast.EpsilonInsensitive(0.3)),
        (SquaredEpsilonInsensitive(0.3), _sgd_fast.SquaredEpsilonInsensitive(0.3)),
    ],
    ids=lambda part: type(part).__name__,
)
def test_sgd_losses_of_scikit_learn(loss, reference):
    y, raw, _ = draw(loss, 1, 2 if loss.task == "classification" else None, n=100)
    signed = 2 * y - 1 if loss.task == "classification" else y
    value, gradient = loss.value_and_gradient(y, raw)
    pairs = list(zip(signed[:, 0], raw[:, 0], strict=True))
    assert value == pytest.approx(sum(reference.py_loss(r, t) for t, r in pairs), rel=1e-12)
    np.testing.assert_allclose(gradient[:, 0], [reference.py_dloss(r, t) for t, r in pairs], rtol=1e-12)


def test_metrics_of_scikit_learn():
    y, raw, weight = draw(Brier(), 1, 3, n=50)
    value = Brier().value_and_gradient(y, raw, weight)[0] / weight.sum()
    p = softmax(raw, axis=1)
    assert value == pytest.approx(metrics.brier_score_loss(y[:, 0], p, sample_weight=weight, scale_by_half=True))
    y, raw, weight = draw(Brier(), 1, 2, n=50)
    value = Brier().value_and_gradient(y, raw, weight)[0] / weight.sum()
    assert value == pytest.approx(metrics.brier_score_loss(y[:, 0], expit(raw[:, 0]), sample_weight=weight))
    y, raw, weight = draw(Quantile(), 3, n=50)
    value = Quantile(0.2).value_and_gradient(y, raw, weight)[0] / weight.sum()
    pinball = metrics.mean_pinball_loss(y, raw, alpha=0.2, sample_weight=weight, multioutput="raw_values")
    assert value == pytest.approx(pinball.sum())


def test_gaussian_nll_is_a_log_density():
    loss = GaussianNLL(0.1)
    y, raw, weight = draw(loss, 3)
    mean, std = loss.prediction(raw, 3), loss.standard_deviation(raw, 3)
    expected = -weight @ (norm.logpdf(y, mean, std) + np.log(2 * np.pi) / 2).sum(axis=1)
    assert loss.value_and_gradient(y, raw, weight)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_of_modified_huber(n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 3)), rng.integers(0, n_classes, 200)
    model = SGDClassifier(loss="modified_huber", random_state=0).fit(X, y)
    raw, expected = model.decision_function(X).reshape(200, -1), model.predict_proba(X)
    assert (raw < -1).all(axis=1).any()  # no class has a probability above zero there
    got = ModifiedHuber().link(1, raw.shape[1]).inverse(raw)
    np.testing.assert_allclose(got, expected if n_classes > 2 else expected[:, 1:], rtol=1e-12)


# ---------------------------------------------------------------------------------------------- best constants


@pytest.mark.parametrize("loss", [loss for loss in VARIANTS if loss.n_raw(1, 2) == 1], ids=repr)
def test_best_constant_minimises(loss):
    y, _, weight = draw(loss, 1, 2)

    def total(constant):
        return weight @ definition(loss)(y, np.full_like(y, constant))

    lowest = minimize_scalar(total, bounds=(-6, 6), method="bounded", options={"xatol": 1e-10}).fun
    assert total(loss.best_constant(y, weight, 2)[0]) <= lowest + 1e-8 * max(1, abs(lowest))


def test_best_constants_in_closed_form():
    rng = np.random.default_rng(0)
    y, counts = rng.normal(size=(51, 2)), rng.integers(1, 4, 51)
    counts[0] += 1 - counts.sum() % 2  # an odd number has one median
    repeated = np.repeat(y, counts, axis=0)
    np.testing.assert_allclose(SquaredError().best_constant(y, counts), repeated.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(AbsoluteError().best_constant(y, counts), np.median(repeated, axis=0))
    np.testing.assert_array_equal(EpsilonInsensitive(0).best_constant(y, counts), np.median(repeated, axis=0))
    levels = (0.23, 0.5, 0.87)
    expected = np.quantile(repeated, levels, axis=0, method="inverted_cdf").T.ravel()
    np.testing.assert_array_equal(Quantile(levels).best_constant(y, counts), expected)
    mean_and_s = GaussianNLL(0.1).best_constant(y, counts).reshape(2, 2)
    expected = [repeated.mean(axis=0), np.log(repeated.var(axis=0) - 0.1)]
    np.testing.assert_allclose(mean_and_s.T, expected, rtol=1e-12)


def test_best_constant_of_a_single_class_is_finite():
    for y, n_classes in [(np.ones((9, 1)), 2), (np.ones((9, 1)), 3), (np.ones((9, 3)), None)]:
        for loss in OF_CLASSES:
            best = loss.best_constant(y, None, n_classes)
            assert np.isfinite(best).all()
            assert np.abs(best).max() < 40


# ------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("loss", OF_CLASSES, ids=repr)
def test_class_numbers_are_checked(loss):  # they index memory
    for wrong in (3, -1, 0.5, 2**40, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"class numbers 0 to 2 .* the first is {float(wrong)}"):
            loss.value_and_gradient(np.array([[0.0], [wrong]]), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="class numbers 0 to 1 .* the first is 2"):
        loss.value_and_gradient(np.array([[2]]), np.zeros((1, 1)))


@each_variant
def test_shapes_are_checked(loss):
    wide = np.zeros((4, 7))
    for y, raw, weight in [
        (np.ones((4, 2)), wide, None),
        (np.ones((3, 1)), wide[:, : loss.n_raw(1, 2)], None),
        (np.ones((4, 1)), wide[:, : loss.n_raw(1, 2)], np.ones(3)),
    ]:
        with pytest.raises(ValueError, match=r"columns|rows"):
            loss.value_and_gradient(y, raw, weight)


@pytest.mark.parametrize(
    ("loss", "parameter", "range_"),
    [
        *((Huber(d), "delta", "> 0") for d in (0, -1, np.nan, np.inf, "1", None, True)),
        *((cls(e), "epsilon", ">= 0") for cls in (EpsilonInsensitive, SquaredEpsilonInsensitive) for e in (-0.1, "a")),
        *((Quantile(q), "quantile", "in (0, 1)") for q in (0, 1, -0.1, 1.5, np.nan, "0.5", None, (), [0.5, "a"])),
        *((Quantile(q), "quantile", "strictly increasing") for q in ((0.5, 0.5), (0.9, 0.1), (0.1, np.nan), [[0.1]])),
        *((Tweedie(p), "power", "<= 0 or >= 1") for p in (0.5, 1e-9, np.nan, np.inf, "1.5")),
        *((GaussianNLL(v), "min_variance", "> 0") for v in (0, -1, np.nan, "a")),
        *((LogLoss(s), "label_smoothing", "in [0, 1)") for s in (-0.1, 1, np.nan, "a")),
        *((Focal(g), "gamma", ">= 0") for g in (-1, np.nan, np.inf, None)),
    ],
    ids=str,
)
def test_parameters_out_of_range(loss, parameter, range_):
    for call in (loss.check_parameters, lambda: loss.value_and_gradient(np.ones((1, 1)), np.ones((1, 1)))):
        with pytest.raises((ValueError, TypeError), match=parameter) as raised:
            call()
        assert range_ in str(raised.value)
        assert type(loss).__name__ in str(raised.value)


@pytest.mark.parametrize(
    ("loss", "y", "text"),
    [
        (Poisson(), [[1.0, -2.0], [-3.0, 0.0]], "Poisson() .* y >= 0: 2 of 4 values lie outside, the first is -2.0"),
        (Gamma(), [[1.0], [0.0]], "Gamma() .* y > 0: 1 of 2 values lie outside, the first is 0.0"),
        (Tweedie(1.2), [[1.0], [-1.0]], "Tweedie(power=1.2) .* y >= 0: 1 of 2 values lie outside, the first is -1.0"),
        (Tweedie(3), [[0.0], [-1.0]], "Tweedie(power=3) .* y > 0: 2 of 2 values lie outside, the first is 0.0"),
        (Tweedie(0), [[np.nan], [-1.0]], "Tweedie(power=0) .* finite y: 1 of 2 values lie outside, the first is nan"),
        (Huber(), [[np.inf]], "Huber() .* finite y: 1 of 1 values lie outside, the first is inf"),
    ],
    ids=repr,
)
def test_targets_outside_the_domain(loss, y, text):
    with pytest.raises(ValueError, match=text.replace("(", r"\(").replace(")", r"\)")):
        loss.check_target(np.array(y))


@pytest.mark.parametrize("name", LOSSES)
def test_documentation(name):
    blocks = ("Domain", "Link", "Formula", "Constants dropped", "Reference", "Examples")
    lines = [line.strip() for line in LOSSES[name].__doc__.splitlines()]
    assert [line for line in lines if line in blocks] == list(blocks)
