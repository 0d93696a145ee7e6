"""Penalties on NumPy arrays, by the kernels that training uses."""
import numpy as np

cimport cython
cimport numpy as cnp
from sknormnet._core cimport kernels
from sknormnet._core.kernels cimport i64

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

    @property
    def separable(self):
        """Whether the penalty is a sum over single weights of l1*|w| + l2*w**2/2."""
        return False

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
        _fill_elementwise(layer.weights, NOTHING, 0)
        _fill_elementwise(layer.intercepts, NOTHING, 0)
        layer.grouped = strength > 0
        layer.joins_intercepts = penalize_intercepts
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
