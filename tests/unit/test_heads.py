"""The loss of several columns of classes: the sum of one loss over heads that lie side by side."""

import numpy as np
import oracles
import pytest
import user_losses
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss

from sknormnet.losses import LOSSES, Hinge, LogLoss, loss_names
from sknormnet.losses.heads import Heads

# One column of raw is a head of two classes. The kernel works on blocks of rows: thousands of rows are several, and so
# are few rows of a wide head.
SHAPES = {
    "narrow": (7, (1, 3, 4)),
    "several blocks": (3000, (3, 1, 2, 5)),
    "wide": (70, (300, 2)),
    "a row a block": (3, (9000, 1)),
}


def draw(n, widths, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    y = np.column_stack([rng.integers(0, max(width, 2), n) for width in widths]).astype(dtype)
    raw = rng.normal(scale=2, size=(n, sum(widths))).astype(dtype)
    return y, raw, rng.uniform(0.5, 2, n).astype(dtype)


def by_head(y, raw, widths):
    parts = np.split(raw, np.cumsum(widths)[:-1], axis=1)
    return [(y[:, [h]], part) for h, part in enumerate(parts)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_log_loss_is_the_sum_of_scikit_learns(shape, dtype, weighted):
    n, widths = SHAPES[shape]
    y, raw, weight = draw(n, widths, dtype)
    weight = weight if weighted else None
    value, gradient = Heads(LogLoss(), widths).value_and_gradient(y, raw, weight)
    expected, slopes = 0.0, []
    for (labels, part), width in zip(by_head(y.astype(float), raw.astype(float), widths), widths, strict=True):
        loss = HalfBinomialLoss() if width == 1 else HalfMultinomialLoss(n_classes=width)
        labels, part = np.ascontiguousarray(labels[:, 0]), np.ascontiguousarray(part.ravel() if width == 1 else part)
        losses, slope = loss.loss_gradient(labels, part, None if weight is None else weight.astype(float))
        expected += losses.sum()
        slopes.append(slope.reshape(n, width))
    rtol = 1e-12 if dtype == np.float64 else 1e-5  # a few roundings of a row's terms, of which none cancel
    assert value == pytest.approx(expected, rel=rtol)
    assert_allclose(gradient, np.hstack(slopes), rtol=rtol, atol=rtol)
    assert gradient.dtype == dtype


@pytest.mark.parametrize("name", loss_names("classification"))
def test_every_loss_is_the_sum_of_its_definition(name):
    widths = (1, 3, 2)
    y, raw, weight = draw(25, widths)
    heads = Heads(LOSSES[name](), widths)
    value, gradient = heads.value_and_gradient(y, raw, weight)
    expected = sum(weight @ oracles.LOSSES[name](labels, part) for labels, part in by_head(y, raw, widths))
    assert value == pytest.approx(expected, rel=1e-12)

    def at(step):  # sum of losses with one raw column moved
        columns = [raw + step * np.eye(sum(widths))[k] for k in range(sum(widths))]
        return np.array([heads.value_and_gradient(y, moved, weight)[0] for moved in columns])

    step = 1e-3
    differences = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    # The error is of order step^4 where the loss is smooth; no margin of the draw lies within two steps of a kink.
    assert_allclose(gradient.sum(axis=0), differences, rtol=1e-7, atol=1e-7)


def test_kinked_loss_is_smoothed_head_by_head():
    widths = (1, 3)
    y, raw, weight = draw(40, widths)
    heads = Heads(Hinge(), widths)
    assert heads.kinked and heads.convex
    value, gradient = heads.value_and_gradient(y, raw, weight, smoothing=0.3)
    parts = [Hinge().value_and_gradient(*part, weight, smoothing=0.3) for part in by_head(y, raw, widths)]
    assert value == pytest.approx(sum(part for part, _ in parts), rel=1e-12)
    assert_array_equal(gradient, np.hstack([slope for _, slope in parts]))


def test_link_is_that_of_each_head():
    widths = (1, 3)
    _, raw, _ = draw(10, widths)
    link = Heads(LogLoss(), widths).link(2, 4)
    assert link.name == ("logistic", "softmax") and link.gives_probabilities
    p = link.inverse(raw)
    assert_allclose(p, np.hstack([expit(raw[:, :1]), softmax(raw[:, 1:], axis=1)]), rtol=1e-12)
    assert_allclose(link.inverse(link.link(p)), p, rtol=1e-12)
    assert Heads(LogLoss(), (3, 4)).link(2, 7).name == "softmax"
    assert not Heads(Hinge(), widths).link(2, 4).gives_probabilities


WRONG = {
    "columns of raw": (lambda y, raw: (y, raw[:, :3].copy()), "do not fit heads of"),
    "columns of y": (lambda y, raw: (y[:, :1].copy(), raw), "do not fit heads of"),
    "class number": (lambda y, raw: (y + [0, 1], raw), r"class numbers must lie in \[0, 3\)"),
    "negative class": (lambda y, raw: (y - [0, 1], raw), r"class numbers must lie in \[0, 3\)"),
    "NaN class": (lambda y, raw: (y * np.nan, raw), r"class numbers must lie in \[0, 3\)"),
    "rows": (lambda y, raw: (y[1:], raw), "rows"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_would_index_foreign_memory_is_refused(case):
    change, message = WRONG[case]
    y, raw, _ = draw(10, (1, 3))
    y[:3] = [[0, 0], [1, 1], [1, 2]]
    with pytest.raises(ValueError, match=message):
        Heads(LogLoss(), (1, 3)).value_and_gradient(*change(y, raw))


@pytest.mark.parametrize("widths", [(), (0, 3), (-1,)])
def test_heads_have_columns(widths):
    with pytest.raises(ValueError, match="at least one column"):
        Heads(LogLoss(), widths).kernel()


def test_regression_losses_have_no_such_heads():
    with pytest.raises(ValueError, match="does not fit"):
        Heads(LOSSES["squared_error"](), (1, 3)).kernel()


class Noted(user_losses.NumpyLogLoss):
    """Notes the shapes that it is called with; fails at a column of three."""

    def __init__(self, fail=None):
        self.fail = fail

    def value_and_gradient(self, y, raw, sample_weight=None):
        shapes.append((y.shape, raw.shape, None if sample_weight is None else sample_weight.shape))
        value, gradient = super().value_and_gradient(y, raw, sample_weight)
        if raw.shape[1] == 3 and self.fail is not None:
            return self.fail(value, gradient)
        return value, gradient


shapes = []


@pytest.mark.parametrize("weighted", [False, True])
def test_python_loss_is_called_once_a_head(weighted):
    widths = (1, 3, 2)
    y, raw, weight = draw(30, widths)
    weight = weight if weighted else None
    shapes.clear()
    value, gradient = Heads(Noted(), widths).value_and_gradient(y, raw, weight)
    assert shapes == [((30, 1), (30, width), (30,) if weighted else None) for width in widths]
    expected, slopes = Heads(LogLoss(), widths).value_and_gradient(y, raw, weight)
    assert value == pytest.approx(expected, rel=1e-12)
    assert_allclose(gradient, slopes, rtol=1e-12, atol=1e-12)


def interrupt(value, gradient):
    raise KeyboardInterrupt


FAILURES = {
    "raises": (interrupt, KeyboardInterrupt, None),
    "NaN": (lambda value, gradient: (np.nan, gradient), ValueError, "returned NaN"),
    "shape": (lambda value, gradient: (value, gradient[:, :1]), ValueError, "gradient of raw's shape"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_python_loss_that_fails(case):
    fail, error, message = FAILURES[case]
    y, raw, _ = draw(5, (1, 3, 2))
    shapes.clear()
    with pytest.raises(error, match=message):
        Heads(Noted(fail), (1, 3, 2)).value_and_gradient(y, raw)
    assert len(shapes) == 2  # not called again after the failure
