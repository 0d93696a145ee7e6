"""Penalties on NumPy arrays, by the kernels that training uses."""
import numpy as np

cimport cython
cimport numpy as cnp
from sknormnet._core cimport kernels
from sknormnet._core.kernels cimport i64

cnp.import_array()


SHAPES = {
    "linear": kernels.LINEAR,
    "mcp": kernels.MINIMAX_CONCAVE,
    "scad": kernels.SMOOTHLY_CLIPPED,
    "limit": kernels.LIMIT,
    "custom": kernels.CUSTOM,
}
GROUPINGS = {
    "weight": kernels.BY_WEIGHT,
    "input": kernels.BY_INPUT,
    "output": kernels.BY_OUTPUT,
    "matrix": kernels.BY_MATRIX,
}


cdef class PenaltyKernel:
    """Compiled form of a penalty."""

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        """Describe the penalty of one layer; returns what must outlive the description."""
        raise NotImplementedError


cdef class ElementwiseKernel(PenaltyKernel):
    """Compiled form of rho(t) = l1*|t| + l2*t**2/2, summed over single weights, at strength 1.

    Arrays of any shape, C-contiguous; strength multiplies the coefficients. decay is no part of it: stochastic steps
    take learning_rate * decay * w off the weights.
    """

    def __init__(self, *, double l1=0.0, double l2=0.0, double decay=0.0):
        self.l1 = l1
        self.l2 = l2
        self.decay = decay

    @property
    def separable(self):
        """Whether the penalty is a sum over single weights of l1*|w| + l2*w**2/2."""
        return True

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        _fill_elementwise(layer.weights, self, strength)
        _fill_elementwise(layer.intercepts, self, strength if penalize_intercepts else 0)
        layer.grouped = False

    def __reduce__(self):
        return _rebuild, (self.l1, self.l2, self.decay)

    def value(self, W, double strength):
        """strength * Omega(W)."""
        return _value(np.ravel(W), strength * self.l1, strength * self.l2)

    def prox(self, V, double step, double strength):
        """argmin_W 0.5*||W - V||^2 + step * strength * Omega(W)."""
        return _prox(np.ravel(V), step * strength * self.l1, step * strength * self.l2).reshape(np.shape(V))

    def subgradient(self, W, double strength):
        """The subgradient of smallest norm."""
        return _subgradient(np.ravel(W), strength * self.l1, strength * self.l2).reshape(np.shape(W))

    def residual(self, W, gradient, double strength):
        """Distance of -gradient to the subdifferential, element by element."""
        if np.shape(W) != np.shape(gradient):
            raise ValueError(f"W has shape {np.shape(W)}, gradient {np.shape(gradient)}")
        return _residual(np.ravel(W), np.ravel(gradient), strength * self.l1, strength * self.l2).reshape(np.shape(W))


cdef void _fill_elementwise(kernels.Elementwise& out, ElementwiseKernel kernel, double strength):
    out.l1 = kernel.l1 * strength
    out.l2 = kernel.l2 * strength
    out.decay = kernel.decay * strength
    out.smooth = out.l1 == 0


NOTHING = ElementwiseKernel()


cdef const void* data_or_null(array):
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray> array)


cdef class GroupKernel(PenaltyKernel):
    """Compiled form of a shape of the norms of groups of weights and of terms of single weights, at strength 1.

    Parameters
    ----------
    shape : {"linear", "mcp", "scad", "limit", "custom"}
        Of "custom", a subclass's `describe` sets the functions.
    by : {"weight", "input", "output", "matrix"}
        Groups: single weights, rows, columns, all of the matrix.
    outer : float
        Factor of the groups' strength.
    inner : float
        Strength of the L1 term of single weights.
    l2 : float
        Strength of half their squares.
    non_negative : bool
        Whether they are constrained to be so.
    gamma : float
        Of the concave shapes.
    limit : float
        Of the shape "limit": the largest norm. It holds, as non_negative does, whatever the strength.
    longest_step : float
        Of the shape "custom": the longest step of its prox under adam, which the other shapes know.
    groups : ndarray of int64 or None
        The group of each row; joined rows count with the square root of their number.
    row_factors : ndarray of float64 or None
        Factor of the strength of each row, equal within a group, 0 where it is not penalised.
    """

    def __init__(self, shape, by, *, double outer=1.0, double inner=0.0, double l2=0.0, bint non_negative=False,
                 double gamma=0.0, double limit=np.inf, double longest_step=np.inf, groups=None, row_factors=None):
        SHAPES[shape], GROUPINGS[by]
        self.shape = shape
        self.by = by
        self.outer = outer
        self.inner = inner
        self.l2 = l2
        self.non_negative = non_negative
        self.gamma = gamma
        self.limit = limit
        self.longest_step = {"mcp": gamma, "scad": gamma - 1, "custom": longest_step}.get(shape, np.inf)
        self.groups = None if groups is None else np.unique(groups, return_inverse=True)[1].astype(np.int64)
        self.row_factors = None if row_factors is None else np.array(row_factors, dtype=np.float64)
        if self.groups is not None and by != "input":
            raise ValueError(f"groups join inputs; they need by='input', got by={by!r}")
        if self.row_factors is not None:
            self._check_row_factors()

    def _check_row_factors(self):
        factors = self.row_factors
        if self.by not in ("weight", "input"):
            raise ValueError(f"feature_weights need by='weight' or by='input', got by={self.by!r}")
        if factors.ndim != 1 or not np.all(np.isfinite(factors)) or np.any(factors < 0):
            raise ValueError("feature_weights must be a flat sequence of finite numbers >= 0")
        if self.groups is not None:
            if len(factors) != len(self.groups):
                raise ValueError(f"feature_weights has {len(factors)} entries, groups has {len(self.groups)}")
            if np.any(factors != factors[np.unique(self.groups, return_index=True)[1]][self.groups]):
                raise ValueError("feature_weights differ within a group")

    @property
    def separable(self):
        """Whether the penalty is a sum over single weights of l1*|w| + l2*w**2/2."""
        return False

    cdef tuple layout(self, i64 rows, i64 columns):
        """How groups are formed and their number; the group of each row, factors of the groups' strengths and of their
        inner terms, and sizes of joined rows.
        """
        by, of_row, row_factors = self.by, self.groups, self.row_factors
        for name, entries in (("groups", of_row), ("feature_weights", row_factors)):
            if entries is not None and rows not in (len(entries), len(entries) + 1):
                raise ValueError(f"{name} has {len(entries)} entries, but the layer has {rows} inputs")
        if row_factors is not None and rows > len(row_factors):  # intercepts
            row_factors = np.append(row_factors, 1.0)
        if of_row is not None:
            if rows > len(of_row):
                of_row = np.append(of_row, of_row.max() + 1)
            sizes = np.bincount(of_row).astype(np.float64)
            if row_factors is None:
                return by, len(sizes), of_row, np.sqrt(sizes), None, sizes
            factors = np.zeros(len(sizes))
            factors[of_row] = row_factors
            return by, len(sizes), of_row, np.sqrt(sizes) * factors, factors, sizes
        if (by == "input" and columns == 1) or (by == "output" and rows == 1):
            by = "weight"
        n = {"weight": rows * columns, "input": rows, "output": columns, "matrix": 1}[by]
        factors = row_factors
        if row_factors is not None and by == "weight":
            factors = np.repeat(row_factors, columns)
        return by, n, None, factors, factors, None

    cdef int describe(self, kernels.GroupPenalty& c, tuple layout, double strength) except -1:
        """Write it down for one layer; the pointers are to the layout's arrays."""
        by, n, of_row, factors, inner_factors, sizes = layout
        c.shape = SHAPES[self.shape]
        c.groups.by = GROUPINGS[by]
        c.groups.n = n
        c.groups.of_row = <const i64*> data_or_null(of_row)
        c.groups.factors = <const double*> data_or_null(factors)
        c.groups.inner_factors = <const double*> data_or_null(inner_factors)
        c.groups.sizes = <const double*> data_or_null(sizes)
        c.strength = strength * self.outer
        c.gamma = self.gamma
        c.limit = self.limit
        c.inner_l1 = strength * self.inner
        c.l2 = strength * self.l2
        c.non_negative = self.non_negative
        c.longest_step = self.longest_step
        c.context = NULL
        c.float_function = NULL
        c.double_function = NULL
        return 0

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        for name, entries in (("groups", self.groups), ("feature_weights", self.row_factors)):
            if entries is not None and len(entries) != fan_in:
                raise ValueError(f"{name} has {len(entries)} entries, but the layer has {fan_in} inputs")
        layout = self.layout(fan_in + penalize_intercepts, fan_out)
        if self.shape == "linear" and layout[0] == "weight" and self.row_factors is None and not self.non_negative:
            # The norm of a single weight is its size: L1, whose step is faster.
            single = ElementwiseKernel(l1=self.outer + self.inner, l2=self.l2)
            return (<ElementwiseKernel> single).fill(layer, fan_in, fan_out, strength, penalize_intercepts)
        _fill_elementwise(layer.weights, NOTHING, 0)
        _fill_elementwise(layer.intercepts, NOTHING, 0)
        layer.grouped = strength > 0 or self.shape == "limit" or self.non_negative
        layer.joins_intercepts = penalize_intercepts
        self.describe(layer.groups, layout, strength)
        return layout

    def value(self, const cython.floating[:, ::1] W, double strength):
        """strength * Omega(W)."""
        layout = self.layout(W.shape[0], W.shape[1])
        cdef kernels.GroupPenalty c
        cdef cython.floating[::1] scratch = np.empty(3 * <i64> layout[1], dtype=np.asarray(W).dtype)
        self.describe(c, layout, strength)
        return kernels.group_value(&W[0, 0], W.shape[0], W.shape[1], c, &scratch[0])

    def prox(self, const cython.floating[:, ::1] V, double step, double strength):
        """argmin_W 0.5*||W - V||^2 + step * strength * Omega(W)."""
        layout = self.layout(V.shape[0], V.shape[1])
        result = np.array(V)
        cdef kernels.GroupPenalty c
        cdef cython.floating[:, ::1] out = result
        cdef cython.floating[::1] scratch = np.empty(3 * <i64> layout[1], dtype=result.dtype)
        cdef cython.floating[::1] steps = np.full(layout[1], step, dtype=result.dtype)
        self.describe(c, layout, strength)
        kernels.group_prox(&out[0, 0], V.shape[0], V.shape[1], c, &steps[0], &scratch[0])
        return result

    def subgradient(self, const cython.floating[:, ::1] W, double strength):
        """The subgradient of smallest norm."""
        layout = self.layout(W.shape[0], W.shape[1])
        result = np.empty((W.shape[0], W.shape[1]), dtype=np.asarray(W).dtype)
        cdef kernels.GroupPenalty c
        cdef cython.floating[:, ::1] out = result
        cdef cython.floating[::1] scratch = np.empty(3 * <i64> layout[1], dtype=result.dtype)
        self.describe(c, layout, strength)
        kernels.group_subgradient(&W[0, 0], &out[0, 0], W.shape[0], W.shape[1], c, &scratch[0])
        return result

    def residual(self, const cython.floating[:, ::1] W, const cython.floating[:, ::1] gradient, double strength):
        """Sizes of the entries of the smallest vector in gradient + subdifferential."""
        layout = self.layout(W.shape[0], W.shape[1])
        result = np.empty((W.shape[0], W.shape[1]), dtype=np.asarray(W).dtype)
        cdef kernels.GroupPenalty c
        cdef cython.floating[:, ::1] out = result
        cdef cython.floating[::1] scratch = np.empty(3 * <i64> layout[1], dtype=result.dtype)
        if gradient.shape[0] != W.shape[0] or gradient.shape[1] != W.shape[1]:
            raise ValueError(f"W has shape {np.shape(W)}, gradient {np.shape(gradient)}")
        self.describe(c, layout, strength)
        kernels.group_residual(&W[0, 0], &gradient[0, 0], &out[0, 0], W.shape[0], W.shape[1], c, &scratch[0])
        return result


def _rebuild(l1, l2, decay):
    return ElementwiseKernel(l1=l1, l2=l2, decay=decay)


def _value(const cython.floating[::1] w, double l1, double l2):
    if w.shape[0] == 0:
        return 0.0
    return kernels.penalty_value(&w[0], w.shape[0], l1, l2)


def _prox(const cython.floating[::1] v, double l1, double l2):
    result = np.empty(v.shape[0], dtype=np.asarray(v).dtype)
    cdef cython.floating[::1] out = result
    if v.shape[0]:
        kernels.penalty_prox(&v[0], &out[0], v.shape[0], l1, l2)
    return result


def _subgradient(const cython.floating[::1] w, double l1, double l2):
    result = np.empty(w.shape[0], dtype=np.asarray(w).dtype)
    cdef cython.floating[::1] out = result
    if w.shape[0]:
        kernels.penalty_subgradient(&w[0], &out[0], w.shape[0], l1, l2)
    return result


def _residual(const cython.floating[::1] w, const cython.floating[::1] gradient, double l1, double l2):
    result = np.empty(w.shape[0], dtype=np.asarray(w).dtype)
    cdef cython.floating[::1] out = result
    if w.shape[0]:
        kernels.penalty_residual(&w[0], &gradient[0], &out[0], w.shape[0], l1, l2)
    return result
