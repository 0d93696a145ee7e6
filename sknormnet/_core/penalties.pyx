"""Penalties on NumPy arrays, by the kernels that training uses."""
from numbers import Real

import numpy as np

cimport cython
cimport numpy as cnp
from libc.string cimport memcpy
from sknormnet._core cimport kernels
from sknormnet._core.kernels cimport i64
from sknormnet._core.python_calls cimport FLUSH_BITS, FloatingPointMode, new_array, read_mode, write_mode

cnp.import_array()


SHAPES = {"linear": kernels.LINEAR, "mcp": kernels.MINIMAX_CONCAVE, "scad": kernels.SMOOTHLY_CLIPPED}
GROUPINGS = {
    "weight": kernels.BY_WEIGHT,
    "input": kernels.BY_INPUT,
    "output": kernels.BY_OUTPUT,
    "matrix": kernels.BY_MATRIX,
}


cdef class PenaltyKernel:
    """Compiled form of a penalty."""

    @property
    def separable(self):
        """Whether the penalty is a sum over single weights of l1*|w| + l2*w**2/2."""
        return False

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        """Describe the penalty of one layer; returns what must outlive the description."""
        raise NotImplementedError

    cdef int raise_pending(self) except -1:
        """Raise what was raised during a call; compiled penalties raise nothing."""
        return 0

    def for_inputs(self, factors):
        """The same penalty with one factor of the strength for each input; None where inputs have no part of it."""
        return None


cdef class _Stretches:
    """Of an array's weights, those of equal strength."""


cdef class ElementwiseKernel(PenaltyKernel):
    """Compiled form of rho(w) = l1*|w| + l2*w**2/2, summed over single weights, at strength 1.

    Arrays are C-contiguous and of any shape, strength multiplies the coefficients. decay is no part of it: stochastic
    steps take learning_rate * decay * w off the weights. non_negative allows weights >= 0 only. row_factors, which need
    a matrix, multiply the strength of each row; rows beyond them, intercepts, have the factor 1.
    """

    def __init__(
        self, *, double l1=0.0, double l2=0.0, double decay=0.0, bint non_negative=False, row_factors=None
    ):
        self.l1 = l1
        self.l2 = l2
        self.decay = decay
        self.non_negative = non_negative
        self.row_factors = row_factors

    @property
    def separable(self):
        """Whether the penalty is a sum over single weights of l1*|w| + l2*w**2/2."""
        return True

    def for_inputs(self, factors):
        """The same penalty with one factor of the strength for each input; None where inputs have no part of it."""
        if self.l1 == self.l2 == self.decay == 0:
            return None
        return ElementwiseKernel(l1=self.l1, l2=self.l2, decay=self.decay, non_negative=self.non_negative,
                                 row_factors=np.array(factors, dtype=np.float64))

    def strengths(self, rows, columns, strength):
        """l1 and l2 of every weight of a matrix, flat."""
        factors = np.ones(rows)
        if self.row_factors is not None:
            factors[:len(self.row_factors)] = self.row_factors
        factors = strength * np.repeat(factors, columns)
        return self.l1 * factors, self.l2 * factors

    cdef kernels.Elementwise times(self, double strength):
        cdef kernels.Elementwise out
        out.l1 = self.l1 * strength
        out.l2 = self.l2 * strength
        out.decay = self.decay * strength
        out.non_negative = self.non_negative
        return out

    cdef int segments(self, vector[Segment]& out, i64 rows, i64 columns, double strength) except -1:
        """Append stretches of equal strength; all are taken by the prox if one is."""
        cdef Segment segment
        cdef bint smooth = (self.l1 == 0 or strength == 0) and not self.non_negative
        cdef const double[::1] factors
        cdef i64 i, n, start = 0
        if self.row_factors is not None:
            factors = self.row_factors
            n = factors.shape[0]
            if not n <= rows <= n + 1:
                raise ValueError(f"there are {n} factors for {rows} rows")
            for i in range(1, n + 1):
                if i == n or factors[i] != factors[start]:
                    segment.n = (i - start) * columns
                    segment.penalty = self.times(strength * factors[start])
                    segment.penalty.smooth = smooth
                    out.push_back(segment)
                    start = i
        if start < rows:
            segment.n = (rows - start) * columns
            segment.penalty = self.times(strength)
            segment.penalty.smooth = smooth
            out.push_back(segment)
        return 0

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        layer.kind = BY_SEGMENTS
        layer.rows = 0
        layer.segments.clear()
        self.segments(layer.segments, fan_in + penalize_intercepts, fan_out, strength)
        if not penalize_intercepts:
            NOTHING.segments(layer.segments, 1, fan_out, 0)

    def __reduce__(self):
        return _rebuild, (self.l1, self.l2, self.decay, self.non_negative, self.row_factors)

    cdef _Stretches over(self, array, double strength):
        shape = np.shape(array)
        rows, columns = shape if len(shape) == 2 else (1, np.size(array))
        cdef _Stretches stretches = _Stretches()
        self.segments(stretches.c, rows, columns, strength)
        return stretches

    def value(self, W, double strength):
        """strength * Omega(W)."""
        return _value(np.ravel(W), self.over(W, strength))

    def prox(self, V, double step, double strength):
        """argmin_W 0.5*||W - V||^2 + step * strength * Omega(W)."""
        return _prox(np.ravel(V), self.over(V, strength), step).reshape(np.shape(V))

    def subgradient(self, W, double strength):
        """The subgradient of smallest norm."""
        return _subgradient(np.ravel(W), self.over(W, strength)).reshape(np.shape(W))

    def residual(self, W, gradient, double strength):
        """Distance of -gradient to the subdifferential, element by element."""
        if np.shape(W) != np.shape(gradient):
            raise ValueError(f"W has shape {np.shape(W)}, gradient {np.shape(gradient)}")
        return _residual(np.ravel(W), np.ravel(gradient), self.over(W, strength)).reshape(np.shape(W))


cdef ElementwiseKernel NOTHING = ElementwiseKernel()


cdef class GroupKernel(PenaltyKernel):
    """Compiled form of a shape of the norms of groups of weights, at strength 1.

    Parameters
    ----------
    shape : {"linear", "mcp", "scad"}
    by : {"weight", "input", "output", "matrix"}
        Groups: single weights, rows, columns, all of the matrix.
    outer : float
        Factor of the groups' strength.
    inner : float
        Strength of the L1 term of single weights.
    gamma : float
        Of the concave shapes.
    groups : ndarray of int64 or None
        The group of each row; joined rows count with the square root of their number.
    """

    def __init__(self, shape, by, *, double outer=1.0, double inner=0.0, double gamma=0.0, groups=None):
        SHAPES[shape], GROUPINGS[by]
        self.shape = shape
        self.by = by
        self.outer = outer
        self.inner = inner
        self.gamma = gamma
        self.groups = None if groups is None else np.unique(groups, return_inverse=True)[1].astype(np.int64)

    cdef tuple layout(self, i64 rows, i64 columns):
        """The number of groups; the group of each row, factors and sizes of joined rows."""
        if self.groups is None:
            n = {"weight": rows * columns, "input": rows, "output": columns, "matrix": 1}[self.by]
            return n, None, None, None
        of_row = self.groups
        if rows == len(of_row) + 1:  # intercepts
            of_row = np.append(of_row, of_row.max() + 1)
        if rows != len(of_row):
            raise ValueError(f"groups has {len(self.groups)} entries, but the layer has {rows} inputs")
        sizes = np.bincount(of_row).astype(np.float64)
        return len(sizes), of_row, np.sqrt(sizes), sizes

    cdef int describe(self, kernels.GroupPenalty& c, tuple layout, double strength) except -1:
        n, of_row, factors, sizes = layout
        c.shape = SHAPES[self.shape]
        c.groups.by = GROUPINGS[self.by]
        c.groups.n = n
        c.groups.of_row = NULL
        c.groups.factors = NULL
        c.groups.sizes = NULL
        if of_row is not None:
            c.groups.of_row = <const i64*> cnp.PyArray_DATA(<cnp.ndarray> of_row)
            c.groups.factors = <const double*> cnp.PyArray_DATA(<cnp.ndarray> factors)
            c.groups.sizes = <const double*> cnp.PyArray_DATA(<cnp.ndarray> sizes)
        c.strength = strength * self.outer
        c.gamma = self.gamma
        c.inner_l1 = strength * self.inner
        c.longest_step = self.gamma if self.shape == "mcp" else self.gamma - 1
        return 0

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        if self.groups is not None and len(self.groups) != fan_in:
            raise ValueError(f"groups has {len(self.groups)} entries, but the layer has {fan_in} inputs")
        layout = self.layout(fan_in + penalize_intercepts, fan_out)
        if self.shape == "linear" and layout[0] == (fan_in + penalize_intercepts) * fan_out:
            # Every group is a single weight, whose norm is its size: L1, whose step is faster.
            l1 = ElementwiseKernel(l1=self.outer + self.inner)
            return (<ElementwiseKernel> l1).fill(layer, fan_in, fan_out, strength, penalize_intercepts)
        if strength == 0:
            return NOTHING.fill(layer, fan_in, fan_out, 0, False)
        layer.kind = OF_GROUPS
        layer.rows = fan_in + penalize_intercepts
        layer.segments.clear()
        if not penalize_intercepts:
            NOTHING.segments(layer.segments, 1, fan_out, 0)
        self.describe(layer.groups, layout, strength)
        return layout

    def value(self, const cython.floating[:, ::1] W, double strength):
        """strength * Omega(W)."""
        layout = self.layout(W.shape[0], W.shape[1])
        cdef kernels.GroupPenalty c
        cdef cython.floating[::1] scratch = np.empty(layout[0], dtype=np.asarray(W).dtype)
        self.describe(c, layout, strength)
        return kernels.group_value(&W[0, 0], W.shape[0], W.shape[1], c, &scratch[0])

    def prox(self, const cython.floating[:, ::1] V, double step, double strength):
        """argmin_W 0.5*||W - V||^2 + step * strength * Omega(W)."""
        layout = self.layout(V.shape[0], V.shape[1])
        result = np.array(V)
        cdef kernels.GroupPenalty c
        cdef cython.floating[:, ::1] out = result
        cdef cython.floating[::1] scratch = np.empty(layout[0], dtype=result.dtype)
        cdef cython.floating[::1] steps = np.full(layout[0], step, dtype=result.dtype)
        self.describe(c, layout, strength)
        kernels.group_prox(&out[0, 0], V.shape[0], V.shape[1], c, &steps[0], &scratch[0])
        return result

    def subgradient(self, const cython.floating[:, ::1] W, double strength):
        """The subgradient of smallest norm."""
        layout = self.layout(W.shape[0], W.shape[1])
        result = np.empty((W.shape[0], W.shape[1]), dtype=np.asarray(W).dtype)
        cdef kernels.GroupPenalty c
        cdef cython.floating[:, ::1] out = result
        cdef cython.floating[::1] scratch = np.empty(layout[0], dtype=result.dtype)
        self.describe(c, layout, strength)
        kernels.group_subgradient(&W[0, 0], &out[0, 0], W.shape[0], W.shape[1], c, &scratch[0])
        return result

    def residual(self, const cython.floating[:, ::1] W, const cython.floating[:, ::1] gradient, double strength):
        """Sizes of the entries of the smallest vector in gradient + subdifferential."""
        layout = self.layout(W.shape[0], W.shape[1])
        result = np.empty((W.shape[0], W.shape[1]), dtype=np.asarray(W).dtype)
        cdef kernels.GroupPenalty c
        cdef cython.floating[:, ::1] out = result
        cdef cython.floating[::1] scratch = np.empty(layout[0], dtype=result.dtype)
        if gradient.shape[0] != W.shape[0] or gradient.shape[1] != W.shape[1]:
            raise ValueError(f"W has shape {np.shape(W)}, gradient {np.shape(gradient)}")
        self.describe(c, layout, strength)
        kernels.group_residual(&W[0, 0], &gradient[0, 0], &out[0, 0], W.shape[0], W.shape[1], c, &scratch[0])
        return result


cdef class NetworkNormKernel(PenaltyKernel):
    """A layer's part in the norm of all weights of the network, whose strength `LayerPenalties` has."""

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        layer.kind = OF_NETWORK
        layer.rows = fan_in + penalize_intercepts
        layer.segments.clear()
        if not penalize_intercepts:
            NOTHING.segments(layer.segments, 1, fan_out, 0)


cdef class PythonPenaltyKernel(PenaltyKernel):
    """Adapter of a penalty whose methods are written in Python: takes the GIL once or twice per step.

    The core cannot raise, so what a method raises is kept, NaN is returned, and `raise_pending` raises it when the core
    has returned.
    """

    cdef object penalty
    cdef object exception

    def __init__(self, penalty):
        self.penalty = penalty
        self.exception = None

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        if strength == 0 and not self.penalty.constraint:
            return NOTHING.fill(layer, fan_in, fan_out, 0, False)
        layer.kind = OF_MATRIX
        layer.rows = fan_in + penalize_intercepts
        layer.segments.clear()
        if not penalize_intercepts:
            NOTHING.segments(layer.segments, 1, fan_out, 0)
        layer.matrix.float_function = <void*> <float_penalty> call_python_penalty[float]
        layer.matrix.double_function = <void*> <double_penalty> call_python_penalty[double]
        layer.matrix.context = <void*> self
        layer.matrix.strength = strength
        layer.matrix.smooth = self.penalty.smooth

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
            raise TypeError(f"{type(self.penalty).__name__}.value must return a number; got {described}")
        return float(value)

    def array(self, method, W, *arguments):
        """What the method returns, checked: an array of W's shape and dtype."""
        name = f"{type(self.penalty).__name__}.{method}"
        result = getattr(self.penalty, method)(W, *arguments)
        if not isinstance(result, np.ndarray) or result.dtype.kind != "f":
            kind = result.dtype if isinstance(result, np.ndarray) else type(result).__name__
            raise TypeError(f"{name} must return an array of {W.dtype}; got {kind}")
        if result.shape != W.shape:
            raise ValueError(f"{name} must return an array of the shape of its matrix, {W.shape}; got {result.shape}")
        if np.isnan(result).any() and np.isfinite(W).all():
            raise ValueError(f"{name} returned NaN for finite weights; its formula must give finite numbers")
        return np.ascontiguousarray(result, dtype=W.dtype)


ctypedef double (*float_penalty)(void*, int, float*, float*, i64, i64, double, double) noexcept nogil
ctypedef double (*double_penalty)(void*, int, double*, double*, i64, i64, double, double) noexcept nogil


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


def _rebuild(l1, l2, decay, non_negative, row_factors):
    return ElementwiseKernel(l1=l1, l2=l2, decay=decay, non_negative=non_negative, row_factors=row_factors)


def _value(const cython.floating[::1] w, _Stretches stretches):
    cdef double total = 0
    cdef i64 start = 0
    for segment in stretches.c:
        if segment.n:
            total += kernels.penalty_value(&w[start], segment.n, segment.penalty)
        start += segment.n
    return total


def _prox(const cython.floating[::1] v, _Stretches stretches, double step):
    result = np.empty(v.shape[0], dtype=np.asarray(v).dtype)
    cdef cython.floating[::1] out = result
    cdef i64 start = 0
    for segment in stretches.c:
        if segment.n:
            kernels.penalty_prox(&v[start], &out[start], segment.n, segment.penalty, step)
        start += segment.n
    return result


def _subgradient(const cython.floating[::1] w, _Stretches stretches):
    result = np.empty(w.shape[0], dtype=np.asarray(w).dtype)
    cdef cython.floating[::1] out = result
    cdef i64 start = 0
    for segment in stretches.c:
        if segment.n:
            kernels.penalty_subgradient(&w[start], &out[start], segment.n, segment.penalty)
        start += segment.n
    return result


def _residual(const cython.floating[::1] w, const cython.floating[::1] gradient, _Stretches stretches):
    result = np.empty(w.shape[0], dtype=np.asarray(w).dtype)
    cdef cython.floating[::1] out = result
    cdef i64 start = 0
    for segment in stretches.c:
        if segment.n:
            kernels.penalty_residual(&w[start], &gradient[start], &out[start], segment.n, segment.penalty)
        start += segment.n
    return result
