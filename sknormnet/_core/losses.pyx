"""Losses and inverse links on NumPy arrays, by the kernels that training uses."""
from numbers import Real
from time import perf_counter

import numpy as np

cimport cython
cimport numpy as cnp
from libc.math cimport isnan
from libcpp.utility cimport move
from libcpp.vector cimport vector
from sknormnet._core cimport kernels
from sknormnet._core.kernels cimport i64
from sknormnet._core.python_calls cimport FLUSH_BITS, FloatingPointMode, new_array, read_mode, write_mode

cnp.import_array()

cdef extern from "heads.hpp" namespace "sknormnet" nogil:
    cdef cppclass Heads:
        Heads() except +
        Heads(const CLossKernel&, const vector[i64]&) except +
    double heads_loss[T](void*, const T*, i64, const T*, i64, i64, const T*, T, T*)

ctypedef double (*float_loss)(void*, const float*, i64, const float*, i64, i64, const float*, float,
                              float*) noexcept nogil
ctypedef double (*double_loss)(void*, const double*, i64, const double*, i64, i64, const double*, double,
                               double*) noexcept nogil

FORMULAS = {
    "residual": kernels.RESIDUAL_LOSS,
    "margin": kernels.MARGIN_LOSS,
    "log_cosh": kernels.LOG_COSH,
    "euclidean": kernels.EUCLIDEAN,
    "quantile": kernels.QUANTILE,
    "poisson": kernels.POISSON,
    "gamma": kernels.GAMMA,
    "tweedie": kernels.TWEEDIE,
    "gaussian_nll": kernels.GAUSSIAN_NLL,
    "log_loss": kernels.LOG_LOSS,
    "brier": kernels.BRIER,
    "focal": kernels.FOCAL,
}
OF_CLASSES = {"margin", "log_loss", "brier", "focal"}  # y may be one column of class numbers


cdef class LossKernel:
    """Compiled form of a loss, called once per block of rows.

    Parameters
    ----------
    formula : str
        A key of `FORMULAS`.
    lower, upper, width : float
        Slopes of the straight parts of a residual's, a margin's or a norm's loss, and the width of the parabola between
        them, t**2 / (2*width).
    tube : float
        Residuals up to here cost nothing.
    shape : float
        Tweedie's power, focal's gamma, gaussian_nll's smallest variance, log_loss's share of smoothed labels.
    levels : sequence of float
        Quantiles.
    """

    def __init__(self, formula, *, lower=-np.inf, upper=np.inf, width=0.0, tube=0.0, shape=0.0, levels=()):
        cdef int index = FORMULAS[formula]
        self.takes_classes = formula in OF_CLASSES
        self.raw_per_target = 2 if formula == "gaussian_nll" else max(len(levels), 1)
        self.levels = np.array(levels, dtype=np.float64)
        self.parameters.lower = lower
        self.parameters.upper = upper
        self.parameters.width = width
        self.parameters.tube = tube
        self.parameters.shape = shape
        self.parameters.levels = <const double*> cnp.PyArray_DATA(<cnp.ndarray> self.levels)
        self.parameters.n_levels = len(self.levels)
        self.c.float_function = kernels.loss_function[float](index)
        self.c.double_function = kernels.loss_function[double](index)
        self.c.context = &self.parameters

    @property
    def smoothing(self):
        """Parameter of the Moreau envelope that a kinked loss is replaced by; 0 is the loss itself."""
        return self.parameters.width

    @smoothing.setter
    def smoothing(self, double smoothing):
        self.parameters.width = smoothing

    def check_columns(self, y_columns, raw_columns):
        """Raise ValueError where y and raw do not belong together."""
        classes = self.takes_classes and y_columns == 1
        if raw_columns < 1 or not (classes or y_columns * self.raw_per_target == raw_columns):
            raise ValueError(f"y with {y_columns} columns does not fit raw predictions with {raw_columns}")

    def check_classes(self, y, raw_columns):
        """Raise ValueError where y names classes, which index memory, that there are none of."""
        if self.takes_classes and y.shape[1] != raw_columns and not (y.min() >= 0 and y.max() < raw_columns):
            raise ValueError(f"class numbers must lie in [0, {raw_columns})")

    cdef int raise_pending(self) except -1:
        """Raise what was raised during a call; compiled losses raise nothing."""
        return 0

    def value_and_gradient(
        self, const cython.floating[:, ::1] y, const cython.floating[:, ::1] raw, sample_weight=None
    ):
        """Weighted sum of losses, and the gradient in raw: (float, array of raw's shape)."""
        gradient = np.empty((raw.shape[0], raw.shape[1]), dtype=np.asarray(raw).dtype)
        return self._evaluate(y, raw, sample_weight, gradient, 1), gradient

    def seconds(
        self, const cython.floating[:, ::1] y, const cython.floating[:, ::1] raw, sample_weight, int repeats
    ):
        """Seconds that one call takes on these arrays (for benchmarks)."""
        gradient = np.empty((raw.shape[0], raw.shape[1]), dtype=np.asarray(raw).dtype)
        self._evaluate(y, raw, sample_weight, gradient, 3)
        start = perf_counter()
        self._evaluate(y, raw, sample_weight, gradient, repeats)
        return (perf_counter() - start) / repeats

    def _evaluate(
        self,
        const cython.floating[:, ::1] y,
        const cython.floating[:, ::1] raw,
        sample_weight,
        cython.floating[:, ::1] gradient,
        int repeats,
    ):
        cdef const cython.floating[::1] weight
        cdef const cython.floating* weight_pointer = NULL
        cdef double value = 0
        cdef int i
        if y.shape[0] != raw.shape[0]:
            raise ValueError(f"y has {y.shape[0]} rows, raw has {raw.shape[0]}")
        self.check_columns(y.shape[1], raw.shape[1])
        if raw.shape[0] == 0:
            return 0.0
        self.check_classes(np.asarray(y), raw.shape[1])
        if sample_weight is not None:
            weight = sample_weight
            if weight.shape[0] != raw.shape[0]:
                raise ValueError(f"sample_weight has {weight.shape[0]} rows, raw has {raw.shape[0]}")
            weight_pointer = &weight[0]
        for i in range(repeats):
            if cython.floating is float:
                value = (<float_loss> self.c.float_function)(
                    self.c.context, &y[0, 0], y.shape[1], &raw[0, 0], raw.shape[0], raw.shape[1], weight_pointer, 1,
                    &gradient[0, 0])
            else:
                value = (<double_loss> self.c.double_function)(
                    self.c.context, &y[0, 0], y.shape[1], &raw[0, 0], raw.shape[0], raw.shape[1], weight_pointer, 1,
                    &gradient[0, 0])
        self.raise_pending()
        return value


cdef class PythonLossKernel(LossKernel):
    """Adapter of a loss whose value_and_gradient is written in Python: takes the GIL once per block.

    The core cannot raise, so what the method raises is kept, NaN is returned, and `raise_pending` raises it when the
    core has returned.
    """

    cdef object loss
    cdef object exception

    def __init__(self, loss):
        self.loss = loss
        self.exception = None
        self.parameters.width = 0
        self.c.float_function = <void*> <float_loss> call_python_loss[float]
        self.c.double_function = <void*> <double_loss> call_python_loss[double]
        self.c.context = <void*> self

    def check_columns(self, y_columns, raw_columns):
        """Any number of columns: the loss's n_raw says how many there are."""

    cdef int raise_pending(self) except -1:
        exception, self.exception = self.exception, None
        if exception is not None:
            raise exception
        return 0

    def call(self, y, raw, sample_weight):
        """What the method returns, checked: (float, array of raw's shape and dtype)."""
        arguments = (y, raw) if sample_weight is None else (y, raw, sample_weight)
        if self.parameters.width > 0:
            result = self.loss.value_and_gradient(*arguments, smoothing=self.parameters.width)
        else:
            result = self.loss.value_and_gradient(*arguments)
        name = f"{type(self.loss).__name__}.value_and_gradient"
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"{name} must return a pair, the sum of the losses and its gradient; got {result!r:.200}")
        value, gradient = result
        if not isinstance(value, Real) and not (isinstance(value, np.ndarray) and value.ndim == 0):
            described = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)[:200]
            raise TypeError(f"{name} must return the weighted sum of the losses as a number; got {described}")
        if not isinstance(gradient, np.ndarray) or gradient.dtype.kind != "f":
            kind = gradient.dtype if isinstance(gradient, np.ndarray) else type(gradient).__name__
            raise TypeError(f"{name} must return the gradient as an array of {raw.dtype}; got {kind}")
        if gradient.shape != raw.shape:
            raise ValueError(
                f"{name} must return a gradient of raw's shape, {raw.shape}; got one of shape {gradient.shape}"
            )
        return float(value), np.ascontiguousarray(gradient, dtype=raw.dtype)


cdef class HeadsKernel(LossKernel):
    """Compiled form of the sum over columns of class numbers of one loss, each with raw columns of its own, its head.

    Parameters
    ----------
    loss : LossKernel
        Of one column.
    widths : sequence of int
        Raw columns of each head.
    """

    cdef LossKernel loss
    cdef tuple widths
    cdef Heads heads

    def __init__(self, LossKernel loss not None, widths):
        if not widths or min(widths) < 1:
            raise ValueError(f"every head needs at least one column, got {widths}")
        for width in widths:
            loss.check_columns(1, width)
        self.loss = loss
        self.widths = tuple(widths)
        self.heads = move(Heads(loss.c, widths))
        self.c.float_function = <void*> <float_loss> heads_loss[float]
        self.c.double_function = <void*> <double_loss> heads_loss[double]
        self.c.context = &self.heads

    @property
    def smoothing(self):
        return self.loss.smoothing

    @smoothing.setter
    def smoothing(self, double smoothing):
        self.loss.smoothing = smoothing

    def check_columns(self, y_columns, raw_columns):
        if (y_columns, raw_columns) != (len(self.widths), sum(self.widths)):
            raise ValueError(
                f"y with {y_columns} columns and raw predictions with {raw_columns} do not fit heads of {self.widths} "
                "columns")

    def check_classes(self, y, raw_columns):
        for h, width in enumerate(self.widths):
            self.loss.check_classes(y[:, h:h + 1], width)

    cdef int raise_pending(self) except -1:
        return self.loss.raise_pending()


cdef double call_python_loss(
    void* context, const cython.floating* y, i64 y_columns, const cython.floating* raw, i64 rows, i64 raw_columns,
    const cython.floating* sample_weight, cython.floating scale, cython.floating* gradient
) noexcept with gil:
    cdef PythonLossKernel kernel = <PythonLossKernel> context
    cdef FloatingPointMode mode = read_mode()
    cdef const cython.floating* slopes
    cdef double value
    cdef i64 j, n = rows * raw_columns
    if kernel.exception is not None:
        return <double> float("nan")
    write_mode(mode & ~FLUSH_BITS)
    try:
        weight = None if sample_weight == NULL else new_array(sample_weight, rows, 0)
        value, result = kernel.call(new_array(y, rows, y_columns), new_array(raw, rows, raw_columns), weight)
        slopes = <const cython.floating*> cnp.PyArray_DATA(<cnp.ndarray> result)
        for j in range(n):
            gradient[j] = scale * slopes[j]
        # NaN for NaN means that training diverged, which the solver says.
        if isnan(value) or (not kernels.all_finite(gradient, n) and np.isnan(result).any()):
            if not kernels.all_finite(raw, n):
                return value
            raise ValueError(
                f"{type(kernel.loss).__name__}.value_and_gradient returned NaN for finite raw predictions; its formula "
                "must give finite numbers, or infinity where it overflows")
    except BaseException as error:
        kernel.exception = error
        value = float("nan")
    finally:
        write_mode(mode)
    return value


def logistic(const cython.floating[:, ::1] raw, bint log=False):
    """1 / (1 + exp(-raw)), or its logarithm."""
    result = np.empty((raw.shape[0], raw.shape[1]), dtype=np.asarray(raw).dtype)
    cdef cython.floating[:, ::1] out = result
    if result.size and log:
        kernels.log_logistic(&raw[0, 0], &out[0, 0], raw.shape[0] * raw.shape[1])
    elif result.size:
        kernels.logistic(&raw[0, 0], &out[0, 0], raw.shape[0] * raw.shape[1])
    return result


def softmax(const cython.floating[:, ::1] raw, bint log=False):
    """exp(raw) over its row's sum, or the logarithm of that."""
    result = np.empty((raw.shape[0], raw.shape[1]), dtype=np.asarray(raw).dtype)
    cdef cython.floating[:, ::1] out = result
    if result.size and log:
        kernels.log_softmax(&raw[0, 0], &out[0, 0], raw.shape[0], raw.shape[1])
    elif result.size:
        kernels.softmax(&raw[0, 0], &out[0, 0], raw.shape[0], raw.shape[1])
    return result
