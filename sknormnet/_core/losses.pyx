"""Losses and inverse links on NumPy arrays, by the kernels that training uses."""
import numpy as np

cimport cython
from sknormnet._core cimport kernels

ctypedef double (*float_loss)(void*, const float*, kernels.i64, const float*, kernels.i64, kernels.i64, const float*,
                              float, float*) noexcept nogil
ctypedef double (*double_loss)(void*, const double*, kernels.i64, const double*, kernels.i64, kernels.i64,
                               const double*, double, double*) noexcept nogil

LOSSES = {"squared_error": kernels.SQUARED_ERROR, "log_loss": kernels.LOG_LOSS}


cdef class LossKernel:
    """Compiled form of a loss, called once per block of rows."""

    def __init__(self, name):
        cdef int index = LOSSES[name]
        self.takes_classes = name == "log_loss"
        self.c.float_function = kernels.loss_function[float](index)
        self.c.double_function = kernels.loss_function[double](index)
        self.c.context = NULL

    def check_columns(self, y_columns, raw_columns):
        """Raise ValueError where y and raw do not belong together."""
        if raw_columns < 1 or not (y_columns == raw_columns or (self.takes_classes and y_columns == 1)):
            raise ValueError(f"y with {y_columns} columns does not fit raw predictions with {raw_columns}")

    def value_and_gradient(
        self, const cython.floating[:, ::1] y, const cython.floating[:, ::1] raw, sample_weight=None
    ):
        """Weighted sum of losses, and the gradient in raw: (float, array of raw's shape)."""
        gradient = np.empty((raw.shape[0], raw.shape[1]), dtype=np.asarray(raw).dtype)
        cdef cython.floating[:, ::1] out = gradient
        cdef const cython.floating[::1] weight
        cdef const cython.floating* weight_pointer = NULL
        cdef double value
        if y.shape[0] != raw.shape[0]:
            raise ValueError(f"y has {y.shape[0]} rows, raw has {raw.shape[0]}")
        self.check_columns(y.shape[1], raw.shape[1])
        if raw.shape[0] == 0:
            return 0.0, gradient
        if sample_weight is not None:
            weight = sample_weight
            if weight.shape[0] != raw.shape[0]:
                raise ValueError(f"sample_weight has {weight.shape[0]} rows, raw has {raw.shape[0]}")
            weight_pointer = &weight[0]
        if cython.floating is float:
            value = (<float_loss> self.c.float_function)(
                self.c.context, &y[0, 0], y.shape[1], &raw[0, 0], raw.shape[0], raw.shape[1], weight_pointer, 1,
                &out[0, 0])
        else:
            value = (<double_loss> self.c.double_function)(
                self.c.context, &y[0, 0], y.shape[1], &raw[0, 0], raw.shape[0], raw.shape[1], weight_pointer, 1,
                &out[0, 0])
        return value, gradient


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
