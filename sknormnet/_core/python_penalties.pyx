"""Penalties that are written in Python: what lets the core call them."""
from numbers import Real

import numpy as np

cimport cython
cimport numpy as cnp
from libc.string cimport memcpy
from sknormnet._core cimport kernels
from sknormnet._core.kernels cimport i64
from sknormnet._core.penalties cimport NOTHING, OF_MATRIX, GroupKernel, LayerPenalty, PenaltyKernel, take_matrix
from sknormnet._core.python_calls cimport FLUSH_BITS, FloatingPointMode, new_array, read_mode, write_mode

cnp.import_array()

ctypedef double (*float_penalty)(void*, int, float*, float*, i64, i64, double, double) noexcept nogil
ctypedef double (*double_penalty)(void*, int, double*, double*, i64, i64, double, double) noexcept nogil
ctypedef bint (*float_shape)(void*, int, float*, const float*, i64, double, const double*) noexcept nogil
ctypedef bint (*double_shape)(void*, int, double*, const double*, i64, double, const double*) noexcept nogil


def checked_array(owner, method, result, like):
    """What a method of the owner returned, checked: an array of the argument's shape and dtype."""
    name = f"{type(owner).__name__}.{method}"
    if not isinstance(result, np.ndarray) or result.dtype.kind != "f":
        kind = result.dtype if isinstance(result, np.ndarray) else type(result).__name__
        raise TypeError(f"{name} must return an array of {like.dtype}; got {kind}")
    if result.shape != like.shape:
        raise ValueError(f"{name} must return an array of its argument's shape, {like.shape}; got {result.shape}")
    if np.isnan(result).any() and np.isfinite(like).all():
        raise ValueError(f"{name} returned NaN for finite arguments; its formula must give finite numbers")
    return np.ascontiguousarray(result, dtype=like.dtype)


cdef class PythonPenaltyKernel(PenaltyKernel):
    """Adapter of a penalty whose methods are written in Python: takes the GIL once or twice per step.

    The core cannot raise, so what a method raises is kept, NaN is returned, and `raise_pending` raises it when the core
    has returned.
    """

    cdef object penalty
    cdef object owner
    cdef object exception

    def __init__(self, penalty, owner=None):
        """owner, if it is another object, is the penalty that users see, and that errors name."""
        self.penalty = penalty
        self.owner = penalty if owner is None else owner
        self.exception = None

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        if strength == 0 and not self.owner.constraint:
            return NOTHING.fill(layer, fan_in, fan_out, 0, False)
        take_matrix(layer, OF_MATRIX, fan_in, fan_out, penalize_intercepts)
        layer.matrix.float_function = <void*> <float_penalty> call_python_penalty[float]
        layer.matrix.double_function = <void*> <double_penalty> call_python_penalty[double]
        layer.matrix.context = <void*> self
        layer.matrix.strength = strength
        layer.matrix.smooth = self.owner.smooth

    cdef int raise_pending(self) except -1:
        exception, self.exception = self.exception, None
        if exception is not None:
            raise exception
        return 0

    def number(self, W, double strength):
        """The penalty's value, checked."""
        value = self.penalty.value(W, strength)
        if not isinstance(value, Real) and not (isinstance(value, np.ndarray) and value.ndim == 0):
            described = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)[:200]
            raise TypeError(f"{type(self.owner).__name__}.value must return a number; got {described}")
        return float(value)

    def array(self, method, W, *arguments):
        """What the method returns, checked."""
        return checked_array(self.owner, method, getattr(self.penalty, method)(W, *arguments), W)

    # The methods are given copies, as in training: they may keep or change what they are given.

    def value(self, W, double strength):
        """strength * Omega(W)."""
        return self.number(W.copy(), strength)

    def subgradient(self, W, double strength):
        """The subgradient of smallest norm."""
        return self.array("subgradient", W.copy(), strength)

    def prox(self, V, double step, double strength):
        """argmin_W 0.5*||W - V||^2 + step * strength * Omega(W)."""
        return self.array("prox", V.copy(), step, strength)

    def residual(self, W, gradient, double strength):
        """Sizes of the entries of the smallest vector in gradient + subdifferential."""
        return self.array("residual", W.copy(), gradient.copy(), strength)


cdef double call_python_penalty(
    void* context, int request, cython.floating* w, cython.floating* gradient, i64 rows, i64 columns, double step,
    double strength
) noexcept with gil:
    # gradient is the end of the step without the penalty where its prox is asked for.
    cdef PythonPenaltyKernel kernel = <PythonPenaltyKernel> context
    cdef FloatingPointMode mode = read_mode()
    cdef const cython.floating* result
    cdef double value = 0
    cdef i64 j
    if kernel.exception is not None:
        return <double> float("nan")
    write_mode(mode & ~FLUSH_BITS)
    try:
        W = new_array(w, rows, columns)
        if request != kernels.PENALTY_PROX:
            value = kernel.number(W, strength)
        if request == kernels.PENALTY_GRADIENT:
            array = kernel.array("subgradient", W, strength)
            result = <const cython.floating*> cnp.PyArray_DATA(<cnp.ndarray> array)
            for j in range(rows * columns):
                gradient[j] += result[j]
        if request == kernels.PENALTY_PROX:
            array = kernel.array("prox", W, step, strength)
            memcpy(w, cnp.PyArray_DATA(<cnp.ndarray> array), rows * columns * sizeof(cython.floating))
    except BaseException as error:
        kernel.exception = error
        value = float("nan")
    finally:
        write_mode(mode)
    return value


cdef class ShapeKernel(GroupKernel):
    """The functions of a `ShapePenalty`, which is written in Python, lifted to groups by the core."""

    cdef object penalty
    cdef object exception

    def __init__(self, penalty, **parameters):
        super().__init__("custom", **parameters)
        self.penalty = penalty
        self.exception = None

    def changed(self, **parameters):
        """A copy with other parameters."""
        merged = self.parameters() | parameters
        del merged["shape"]
        return ShapeKernel(self.penalty, **merged)

    def __reduce__(self):
        parameters = self.parameters()
        del parameters["shape"]
        return _rebuild, (self.penalty, parameters)

    cdef int describe(self, kernels.GroupPenalty& c, tuple layout, double strength) except -1:
        GroupKernel.describe(self, c, layout, strength)
        c.context = <void*> self
        c.float_function = <void*> <float_shape> call_python_shape[float]
        c.double_function = <void*> <double_shape> call_python_shape[double]
        return 0

    cdef int raise_pending(self) except -1:
        exception, self.exception = self.exception, None
        if exception is not None:
            raise exception
        return 0

    def call(self, int request, t, steps, strength):
        """What the function that is asked for returns, checked."""
        if request == kernels.SHAPE_VALUE:
            return checked_array(self.penalty, "shape_value", self.penalty.shape_value(t, strength), t)
        if request == kernels.SHAPE_SLOPE:
            return checked_array(self.penalty, "shape_slope", self.penalty.shape_slope(t, strength), t)
        return checked_array(self.penalty, "shape_prox", self.penalty.shape_prox(t, steps, strength), t)


def _rebuild(penalty, parameters):
    return ShapeKernel(penalty, **parameters)


cdef bint call_python_shape(
    void* context, int request, cython.floating* norms, const cython.floating* steps, i64 n, double strength,
    const double* factors
) noexcept with gil:
    cdef ShapeKernel kernel = <ShapeKernel> context
    cdef FloatingPointMode mode = read_mode()
    if kernel.exception is not None:
        return False
    write_mode(mode & ~FLUSH_BITS)
    try:
        t = new_array(norms, n, 0)
        s = strength if factors == NULL else (strength * new_array(factors, n, 0)).astype(t.dtype)
        result = kernel.call(request, t, None if steps == NULL else new_array(steps, n, 0), s)
        memcpy(norms, cnp.PyArray_DATA(<cnp.ndarray> result), n * sizeof(cython.floating))
        return True
    except BaseException as error:
        kernel.exception = error
        return False
    finally:
        write_mode(mode)
