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


NOTHING = ElementwiseKernel()


cdef int take_matrix(
    LayerPenalty& layer, int kind, i64 fan_in, i64 fan_out, bint penalize_intercepts
) except -1:
    """The layer's matrix, with the intercepts where they belong to it, is penalised as one."""
    layer.kind = kind
    layer.rows = fan_in + penalize_intercepts
    layer.segments.clear()
    if not penalize_intercepts:
        NOTHING.segments(layer.segments, 1, fan_out, 0)
    return 0


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
        if self.groups is not None:
            if len(factors) != len(self.groups):
                raise ValueError(f"feature_weights has {len(factors)} entries, groups has {len(self.groups)}")
            if np.any(factors != factors[np.unique(self.groups, return_index=True)[1]][self.groups]):
                raise ValueError("feature_weights differ within a group; the inputs that `groups` joins need one weight")

    def for_inputs(self, factors):
        """The same penalty with one factor of the strength for each input; None where inputs have no part of it."""
        if self.by not in ("weight", "input") or self.shape == "limit":
            return None
        return self.changed(row_factors=factors)

    def changed(self, **parameters):
        """A copy with other parameters."""
        return GroupKernel(**(self.parameters() | parameters))

    def parameters(self):
        """All parameters by name."""
        names = ("shape", "by", "outer", "inner", "l2", "non_negative", "gamma", "limit", "longest_step", "groups",
                 "row_factors")
        return {name: getattr(self, name) for name in names}

    @property
    def composes(self):
        """Whether its prox may follow that of smaller groups: it scales groups, by a function of their norms alone."""
        return self.shape in ("linear", "limit")

    def nests_in(self, GroupKernel other):
        """Whether each of its groups lies in one of the other's."""
        if self.by == "weight" or other.by == "matrix":
            return True
        if self.by != other.by or (self.groups is not None and other.groups is None):
            return False
        if self.groups is None:
            return True
        pairs = set(zip(self.groups.tolist(), other.groups.tolist()))
        return len(pairs) == len(set(self.groups.tolist()))

    cdef int check_inputs(self, i64 least, i64 most) except -1:
        """Raise ValueError unless groups and factors are for that many inputs."""
        for name, entries in (("groups", self.groups), ("feature_weights", self.row_factors)):
            if entries is not None and not least <= len(entries) <= most:
                raise ValueError(
                    f"{name} has {len(entries)} entries, but the layer has {most} inputs; groups are for one layer, "
                    "as in penalty=PerLayer(first=GroupLasso('input', groups=...), hidden='l2', last='l2')")
        return 0

    cdef tuple layout(self, i64 rows, i64 columns):
        """How groups are formed and their number; the group of each row, factors of the groups' strengths and of their
        inner terms, and sizes of joined rows.
        """
        by, of_row, row_factors = self.by, self.groups, self.row_factors
        self.check_inputs(rows - 1, rows)  # the last row may be the intercepts
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
        self.check_inputs(fan_in, fan_in)
        layout = self.layout(fan_in + penalize_intercepts, fan_out)
        if self.shape == "linear" and layout[0] == "weight":
            # The norm of a single weight is its size: L1, whose step is faster.
            single = ElementwiseKernel(l1=self.outer + self.inner, l2=self.l2, non_negative=self.non_negative,
                                       row_factors=self.row_factors)
            return (<ElementwiseKernel> single).fill(layer, fan_in, fan_out, strength, penalize_intercepts)
        if strength == 0 and self.shape != "limit" and not self.non_negative:
            return NOTHING.fill(layer, fan_in, fan_out, 0, False)
        take_matrix(layer, OF_GROUPS, fan_in, fan_out, penalize_intercepts)
        self.describe(layer.groups, layout, strength)
        return layout

    def value(self, const cython.floating[:, ::1] W, double strength):
        """strength * Omega(W)."""
        layout = self.layout(W.shape[0], W.shape[1])
        cdef kernels.GroupPenalty c
        cdef cython.floating[::1] scratch = np.empty(3 * <i64> layout[1], dtype=np.asarray(W).dtype)
        self.describe(c, layout, strength)
        value = kernels.group_value(&W[0, 0], W.shape[0], W.shape[1], c, &scratch[0])
        self.raise_pending()
        return value

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
        self.raise_pending()
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
        self.raise_pending()
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
        self.raise_pending()
        return result


cdef class NetworkNormKernel(PenaltyKernel):
    """A layer's part in the norm of all weights of the network, whose strength `LayerPenalties` has."""

    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts):
        take_matrix(layer, OF_NETWORK, fan_in, fan_out, penalize_intercepts)


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
