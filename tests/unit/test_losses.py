"""The conformance suite of losses, over the registry: a new loss inherits it."""

import mpmath
import numpy as np
import pytest
from sklearn._loss.loss import HalfBinomialLoss, HalfMultinomialLoss, HalfSquaredError
from sklearn.base import clone

from sknormnet.losses import LOSSES, loss_names

# (loss, columns of y, columns of raw)
CASES = [
    ("squared_error", 1, 1),
    ("squared_error", 3, 3),
    ("log_loss", 1, 1),
    ("log_loss", 3, 3),
    ("log_loss", 1, 3),
    ("log_loss", 1, 2),
]


def draw(name, y_columns, raw_columns, n=25, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    raw = rng.normal(scale=2, size=(n, raw_columns)).astype(dtype)
    if name == "squared_error":
        y = rng.normal(size=(n, y_columns))
    else:
        y = rng.integers(0, 2 if y_columns == raw_columns else raw_columns, size=(n, y_columns))
    return y.astype(dtype), raw, rng.uniform(0.5, 2, n).astype(dtype)


def test_every_loss_is_here():
    assert {name for name, _, _ in CASES} == set(LOSSES)
    assert sorted(loss_names("regression") + loss_names("classification")) == sorted(LOSSES)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "y_columns", "raw_columns"), CASES)
def test_gradient_against_differences(name, y_columns, raw_columns, weighted):
    y, raw, weight = draw(name, y_columns, raw_columns)
    loss, weight = LOSSES[name](), weight if weighted else None
    _, gradient = loss.value_and_gradient(y, raw, weight)
    h = 1e-3
    for i, j in [(0, 0), (7, raw_columns - 1), (24, 0)]:

        def value(step, i=i, j=j):
            moved = raw.copy()
            moved[i, j] += step
            return loss.value_and_gradient(y, moved, weight)[0]

        expected = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
        assert gradient[i, j] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "y_columns", "raw_columns"), CASES)
def test_float32_follows_float64(name, y_columns, raw_columns, weighted):
    y, raw, weight = draw(name, y_columns, raw_columns, n=200, dtype=np.float32)
    weight = weight if weighted else None
    loss = LOSSES[name]()
    value, gradient = loss.value_and_gradient(y, raw, weight)
    wide = [a if a is None else a.astype(np.float64) for a in (y, raw, weight)]
    expected, expected_gradient = loss.value_and_gradient(*wide)
    assert gradient.dtype == np.float32
    assert value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_against_scikit_learn(weighted):
    for name, y_columns, raw_columns, oracle in [
        ("squared_error", 1, 1, HalfSquaredError()),
        ("log_loss", 1, 1, HalfBinomialLoss()),
        ("log_loss", 1, 3, HalfMultinomialLoss(n_classes=3)),
    ]:
        y, raw, weight = draw(name, y_columns, raw_columns, n=300)
        weight = weight if weighted else None
        value, gradient = LOSSES[name]().value_and_gradient(y, raw, weight)
        sk_raw = raw if raw_columns > 1 else raw[:, 0]
        sk_values, sk_gradient = oracle.loss_gradient(y[:, 0].copy(), sk_raw.copy(), sample_weight=weight)
        if name == "squared_error":
            sk_values = 0.5 * (raw[:, 0] - y[:, 0]) ** 2 * (1 if weight is None else weight)
        assert value == pytest.approx(sk_values.sum(), rel=1e-12)
        np.testing.assert_allclose(gradient, np.reshape(sk_gradient, gradient.shape), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("raw", [0.0, 1e-9, 30.0, -30.0, 700.0, -700.0, 1e4, -1e4])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_log_loss_at_extremes(y, raw):
    with mpmath.workdps(60):
        exact_value = mpmath.log1p(mpmath.exp(raw)) - mpmath.mpf(y) * raw
        exact_gradient = 1 / (1 + mpmath.exp(-mpmath.mpf(raw))) - y
        value, gradient = LOSSES["log_loss"]().value_and_gradient(np.array([[y]]), np.array([[raw]]))
        largest = max(abs(raw), 1)
        assert abs(value - exact_value) <= 16 * np.finfo(float).eps * largest
        assert abs(gradient.item() - exact_gradient) <= 16 * np.finfo(float).eps
        two = np.array([[0.0, raw]])
        value, gradient = LOSSES["log_loss"]().value_and_gradient(np.array([[y]]), two)
        assert abs(value - exact_value) <= 16 * np.finfo(float).eps * largest
        assert abs(gradient[0, 1] - exact_gradient) <= 16 * np.finfo(float).eps


@pytest.mark.parametrize(("name", "y_columns", "raw_columns"), CASES)
def test_convex(name, y_columns, raw_columns):
    loss = LOSSES[name]()
    for seed in range(50):
        y, a, _ = draw(name, y_columns, raw_columns, n=1, seed=seed)
        b = draw(name, y_columns, raw_columns, n=1, seed=1000 + seed)[1]
        ends = loss.value_and_gradient(y, a)[0] + loss.value_and_gradient(y, b)[0]
        assert loss.value_and_gradient(y, (a + b) / 2)[0] <= ends / 2 + 1e-12


@pytest.mark.parametrize(("name", "y_columns", "raw_columns"), CASES)
def test_non_contiguous_and_read_only(name, y_columns, raw_columns):
    y, raw, weight = draw(name, y_columns, raw_columns, n=40)
    loss = LOSSES[name]()
    expected = loss.value_and_gradient(y[::2].copy(), raw[::2].copy(), weight[::2].copy())
    for array in (y, raw, weight):
        array.setflags(write=False)
    got = loss.value_and_gradient(y[::2], raw[::2], weight[::2])
    assert got[0] == expected[0]
    np.testing.assert_array_equal(got[1], expected[1])


def test_nan_gives_nan():
    for name, y_columns, raw_columns in CASES:
        y, raw, _ = draw(name, y_columns, raw_columns)
        raw[3, 0] = np.nan
        assert np.isnan(LOSSES[name]().value_and_gradient(y, raw)[0])


def test_class_numbers_are_checked():
    with pytest.raises(ValueError, match="class numbers 0 to 2"):
        LOSSES["log_loss"]().value_and_gradient(np.array([[3.0]]), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="the first is 0.5"):
        LOSSES["log_loss"]().value_and_gradient(np.array([[0.5]]), np.zeros((1, 1)))


@pytest.mark.parametrize("name", LOSSES)
def test_parameters_and_documentation(name):
    cls = LOSSES[name]
    assert clone(cls()).get_params() == cls().get_params()
    for block in ("Domain", "Link", "Formula", "Constants dropped", "Reference", "Examples"):
        assert block in cls.__doc__
