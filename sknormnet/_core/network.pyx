"""The network: forward passes, full gradients and whole epochs in compiled code, with the GIL released."""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint8_t, uint32_t
from libcpp cimport bool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector
from cpython.pycapsule cimport PyCapsule_GetPointer
from numpy.random cimport bitgen_t
from scipy.linalg.cython_blas cimport dgemm, sgemm

from sknormnet._core cimport kernels
from sknormnet._core.kernels cimport i64
from sknormnet._core.losses cimport CLossKernel, LossKernel
from sknormnet._core.penalties cimport LayerPenalty, NetworkPenalty, PenaltyKernel

import threading

from sknormnet._core.activations import ACTIVATIONS
from sknormnet._core.blas_threads import single_thread, small_products_are_faster

cnp.import_array()


cdef extern from *:
    # Declared without "except": the exception that a signal handler raises stays set until the GIL is held again.
    int PyErr_CheckSignals()


cdef extern from "shuffle.hpp" namespace "sknormnet" nogil:
    void shuffle_rows(i64*, i64, void*, uint32_t (*)(void*) noexcept nogil)
    void shuffle_in_blocks(i64*, const i64*, i64, i64*, i64, void*, uint32_t (*)(void*) noexcept nogil)


cdef extern from "network.hpp" namespace "sknormnet" nogil:
    cdef enum:
        FINISHED
        NOT_FINITE
        INTERRUPTED

    cdef enum:
        SGD
        ADAM

    ctypedef int (*Poll)() noexcept nogil

    cdef cppclass FeatureView:
        const void* values
        i64 row_stride
        const void* indices
        const void* row_starts
        bool wide_indices
        const i64* selected

    cdef cppclass Problem:
        FeatureView x
        const i64* rows
        i64 n_rows
        const void* y
        i64 y_columns
        const void* sample_weight
        CLossKernel loss

    cdef cppclass RuleParameters:
        int kind
        double momentum
        bool nesterov
        double beta_1
        double beta_2
        double epsilon

    cdef cppclass EpochPlan:
        const i64* rows
        i64 n
        i64 batch_size
        RuleParameters rule
        void* first
        void* second
        i64 steps_done
        double rate_start
        double rate_end
        const NetworkPenalty* penalty

    cdef cppclass EpochResult:
        double data_loss
        double penalty
        i64 steps

    cdef cppclass NetworkBase:
        void bind(const Problem&) except +
        void hold(const uint8_t*)
        int forward(const void* const*, const void* const*, const FeatureView&, const i64*, i64, void*, Poll) except +
        int value_and_gradient(const void*, void*, double*, Poll, double*) except +
        int run_epoch(void*, const EpochPlan&, Poll, EpochResult*) except +
        double penalty(const void*, const NetworkPenalty&)
        double gemm_seconds(i64, i64) except +

    cdef cppclass CNetwork "sknormnet::Network"[T](NetworkBase):
        CNetwork(const vector[i64]&, const vector[int]&, void*, bool) except +


cdef int check_signals() noexcept with gil:
    return PyErr_CheckSignals()


cdef Poll poll_of_this_thread():
    # Only the main thread runs signal handlers; the others need not stop for the GIL.
    if threading.current_thread() is threading.main_thread():
        return check_signals
    return NULL


cdef int raise_interruption(int status) except -1:  # -1 is INTERRUPTED
    return status


def aligned_empty(i64 n, dtype):
    """Uninitialised vector whose data lie on a cache line, as the core's buffers do."""
    dtype = np.dtype(dtype)
    raw = np.empty(n * dtype.itemsize + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + n * dtype.itemsize].view(dtype)


cdef class LayerPenalties:
    """Penalties of every layer, strengths multiplied in.

    Parameters
    ----------
    terms : list of (kernel, strength)
        One pair per weight matrix.
    shapes : list of (fan_in, fan_out)
    penalize_intercepts : bool
        Whether intercepts count as one more row of their matrix.
    network_norm : float, default=0.0
        Strength of the norm of all weights of the layers that have a `NetworkNormKernel`.
    """

    cdef NetworkPenalty c
    cdef list kernels, kept

    def __init__(self, terms, shapes, bint penalize_intercepts, double network_norm=0.0):
        cdef LayerPenalty layer
        cdef PenaltyKernel kernel
        self.kernels, self.kept = [], []
        self.c.norm = network_norm
        for (kernel, strength), (fan_in, fan_out) in zip(terms, shapes, strict=True):
            if kernel is None:
                raise TypeError("a penalty's kernel() must return a kernel, got None")
            self.kept.append(kernel.fill(layer, fan_in, fan_out, strength, penalize_intercepts))
            self.kernels.append(kernel)
            self.c.layers.push_back(layer)

    cdef int raise_pending(self) except -1:
        for kernel in self.kernels:
            (<PenaltyKernel> kernel).raise_pending()
        return 0


cdef class UpdateRule:
    """Update rule with its state: velocity or moments, each of theta's length, and the number of steps done."""

    cdef RuleParameters parameters
    cdef readonly object first
    cdef readonly object second
    cdef public i64 steps_done

    @staticmethod
    def sgd(n_parameters, dtype, *, momentum, nesterov):
        """w <- w + v, v <- momentum*v - learning_rate*gradient; Nesterov's form looks ahead."""
        cdef UpdateRule rule = UpdateRule.__new__(UpdateRule)
        rule.parameters.kind = SGD
        rule.parameters.momentum = momentum
        rule.parameters.nesterov = nesterov
        rule.first = _zeros(n_parameters, dtype)
        return rule

    @staticmethod
    def adam(n_parameters, dtype, *, beta_1, beta_2, epsilon):
        """Adam, with the prox taken in the metric of its second moment."""
        cdef UpdateRule rule = UpdateRule.__new__(UpdateRule)
        rule.parameters.kind = ADAM
        rule.parameters.beta_1 = beta_1
        rule.parameters.beta_2 = beta_2
        rule.parameters.epsilon = epsilon
        rule.first = _zeros(n_parameters, dtype)
        rule.second = _zeros(n_parameters, dtype)
        return rule


def _zeros(n, dtype):
    out = aligned_empty(n, dtype)
    out[:] = 0
    return out


cdef class RowOrder:
    """Rows of a table in the order in which they are visited.

    Row numbers are checked once, here, and can then only change places.

    Parameters
    ----------
    rows : ndarray of int64
    n_rows : int
        Rows of the table; all numbers lie in [0, n_rows).
    block_rows : int or None
        How many neighbours among `rows` `shuffle` keeps together; None is none.
    """

    cdef readonly i64 n_rows
    cdef i64[::1] rows
    cdef i64[::1] in_order, blocks  # as given, and scratch; where rows are shuffled in blocks
    cdef i64 block_rows

    def __cinit__(self, rows, i64 n_rows, block_rows=None):
        rows = np.array(rows, dtype=np.int64)
        if rows.ndim != 1 or rows.shape[0] == 0 or rows.min() < 0 or rows.max() >= n_rows:
            raise ValueError(f"rows must be a vector, not empty, with numbers in [0, {n_rows})")
        self.rows = rows
        self.n_rows = n_rows
        self.block_rows = 0 if block_rows is None else block_rows
        if block_rows is not None:
            if block_rows < 1:
                raise ValueError(f"block_rows must be at least 1, got {block_rows}")
            self.in_order = rows.copy()
            self.blocks = np.empty((len(rows) - 1) // block_rows + 1, dtype=np.int64)

    def __len__(self):
        return self.rows.shape[0]

    def to_array(self):
        """A copy of the row numbers."""
        return np.array(self.rows)

    def shuffle(self, rng):
        """The permutation that ``rng.shuffle`` of a numpy RandomState gives, with the same draws, several times faster.

        In blocks: the blocks' numbers 0, 1, ... are shuffled so, then the rows of each block in that order. What is
        shuffled are the rows as they were given, whatever their order is now.
        """
        bit_generator = rng._bit_generator
        cdef bitgen_t* bits = <bitgen_t*> PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
        cdef i64 n = self.rows.shape[0]
        with bit_generator.lock, nogil:
            if self.block_rows == 0:
                shuffle_rows(&self.rows[0], n, bits.state, bits.next_uint32)
            else:
                shuffle_in_blocks(&self.rows[0], &self.in_order[0], n, &self.blocks[0], self.block_rows, bits.state,
                                  bits.next_uint32)


cdef class SelectedRows:
    """Some rows of a table as a table of its own, without a copy of them.

    Parameters
    ----------
    table : ndarray or CSR
    rows : ndarray of int64
    """

    cdef readonly object table
    cdef RowOrder order

    def __cinit__(self, table, rows):
        self.table = table
        self.order = RowOrder(rows, table.shape[0])

    @property
    def shape(self):
        return len(self.order), self.table.shape[1]

    @property
    def dtype(self):
        return self.table.dtype

    @property
    def rows(self):
        """Their numbers in the table, read-only."""
        rows = np.asarray(self.order.rows)
        rows.flags.writeable = False
        return rows

    def copy(self, rows=None):
        """The rows, or some of them, in new memory."""
        return self.table[self.rows if rows is None else self.rows[rows]]


cdef class Network:
    """Multilayer perceptron over one vector theta = [W1, b1, W2, b2, ...], matrices (fan_in, fan_out) row by row.

    An object owns its scratch memory and must not be used by two threads at once.

    Parameters
    ----------
    layer_sizes : sequence of int
        Number of inputs, hidden units and raw outputs.
    activation : str or sequence of str
        Name of the activation of all hidden layers, or one name for each.
    dtype : numpy dtype
        float32 or float64: of theta, the data and the arithmetic.
    """

    cdef unique_ptr[NetworkBase] c
    cdef readonly tuple layer_sizes
    cdef readonly i64 n_parameters
    cdef readonly i64 n_outputs
    cdef readonly object dtype
    cdef tuple bound  # keeps the arrays of the problem alive
    cdef object held
    cdef i64 n_rows, n_bound

    def __init__(self, layer_sizes, activation, dtype):
        cdef vector[i64] sizes = layer_sizes
        cdef vector[int] activations
        cdef bool in_pieces = small_products_are_faster()
        n_hidden = len(layer_sizes) - 2
        names = [activation] * n_hidden if isinstance(activation, str) else list(activation)
        if len(names) != n_hidden:
            raise ValueError(f"expected an activation for each of {n_hidden} hidden layers, got {len(names)}")
        for name in names:
            activations.push_back(ACTIVATIONS[name])
        self.layer_sizes = tuple(layer_sizes)
        self.dtype = np.dtype(dtype)
        self.n_outputs = sizes.back()
        self.n_parameters = sum((i + 1) * o for i, o in zip(layer_sizes[:-1], layer_sizes[1:]))
        if self.dtype == np.float32:
            self.c.reset(new CNetwork[float](sizes, activations, <void*> sgemm, in_pieces))
        elif self.dtype == np.float64:
            self.c.reset(new CNetwork[double](sizes, activations, <void*> dgemm, in_pieces))
        else:
            raise ValueError(f"dtype must be float32 or float64, got {self.dtype}")

    def bind(self, X, cnp.ndarray y not None, sample_weight, LossKernel loss not None, RowOrder rows=None):
        """Set the training data: X dense or CSR, y of shape (n, columns), sample_weight of shape (n,) or None.

        rows names those to train on; None is all.
        """
        cdef Problem problem
        self._view(X, &problem.x)
        problem.rows = NULL
        problem.n_rows = X.shape[0]
        if rows is not None:
            problem.rows = self._rows(rows, X.shape[0])
            problem.n_rows = len(rows)
        problem.y = self._data(y, (X.shape[0], y.shape[1]))
        problem.y_columns = y.shape[1]
        loss.check_columns(y.shape[1], self.n_outputs)
        loss.check_classes(y, self.n_outputs)
        problem.sample_weight = NULL
        if sample_weight is not None:
            problem.sample_weight = self._data(sample_weight, (X.shape[0],))
        problem.loss = loss.c
        self.c.get().bind(problem)
        self.n_rows = X.shape[0]
        self.n_bound = problem.n_rows
        self.bound = (X, y, sample_weight, loss, rows)

    def hold(self, where):
        """Count the gradient of the parameters as zero where `where`, an array of n_parameters bools, is True.

        What is zero there, and allowed by the constraints, stays exactly zero under every solver. None holds nothing.
        """
        if where is None:
            self.c.get().hold(NULL)
            return
        if where.shape != (self.n_parameters,):
            raise ValueError(f"expected {self.n_parameters} bools, one for each parameter; got shape {where.shape}")
        cdef cnp.ndarray held = np.array(where, dtype=np.uint8, order="C")
        self.held = held
        self.c.get().hold(<const uint8_t*> cnp.PyArray_DATA(held))

    def forward(self, weights, intercepts, X, RowOrder rows=None):
        """Raw predictions, shape (n, layer_sizes[-1]), of all rows or of those named.

        weights and intercepts are lists of C-contiguous arrays, one of each per layer.
        """
        cdef FeatureView view
        cdef const i64* rows_pointer = NULL
        cdef i64 n = X.shape[0]
        cdef vector[const void*] weight_pointers, intercept_pointers
        if not len(weights) == len(intercepts) == len(self.layer_sizes) - 1:
            raise ValueError("expected one matrix and one vector per layer")
        for i, (w, b) in enumerate(zip(weights, intercepts)):
            weight_pointers.push_back(self._data(w, self.layer_sizes[i:i + 2]))
            intercept_pointers.push_back(self._data(b, self.layer_sizes[i + 1:i + 2]))
        self._view(X, &view)
        if rows is not None:
            rows_pointer = self._rows(rows, X.shape[0])
            n = len(rows)
        out = np.empty((n, self.n_outputs), dtype=self.dtype)
        cdef void* out_pointer = cnp.PyArray_DATA(<cnp.ndarray> out)
        cdef Poll poll = poll_of_this_thread()
        cdef int status
        with nogil:
            status = self.c.get().forward(weight_pointers.data(), intercept_pointers.data(), view, rows_pointer, n,
                                          out_pointer, poll)
        raise_interruption(status)
        return out

    def value_and_gradient(self, theta, gradient, double[::1] bounds=None):
        """Mean loss over the bound data; its gradient in theta is written to gradient, unless that is None.

        bounds, with a gradient only, receives for each layer the sum over rows of |input, 1| * |delta|, delta being the
        mean loss's gradient in the row's pre-activations: the norm of the layer's gradient cannot exceed it.
        """
        cdef void* theta_pointer = self._data(theta, (self.n_parameters,))
        cdef void* gradient_pointer = NULL if gradient is None else self._writable(gradient)
        cdef double* bounds_pointer = NULL
        if bounds is not None:
            if gradient is None or bounds.shape[0] != len(self.layer_sizes) - 1:
                raise ValueError("bounds need a gradient and one number per layer")
            bounds_pointer = &bounds[0]
        cdef Poll poll = poll_of_this_thread()
        cdef double value = 0
        cdef int status
        self._require_bound()
        with nogil:
            status = self.c.get().value_and_gradient(theta_pointer, gradient_pointer, bounds_pointer, poll,
                                                     &value)
        self._raise_pending(status)
        return value

    def run_epoch(self, theta, RowOrder rows, i64 batch_size, UpdateRule rule not None, double rate_start,
                  double rate_end, LayerPenalties penalties not None):
        """One pass over the bound data in batches, updating theta in place.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
        rows : RowOrder or None
            None is the order that they were bound in.
        batch_size : int
        rule : UpdateRule
            Its state is updated in place.
        rate_start, rate_end : float
            The learning rate moves linearly from the one to the other over the batches.
        penalties : LayerPenalties

        Returns
        -------
        data_loss, penalty : float
            Means over the epoch, each batch taken at its own theta.
        finite : bool
            False if a loss or a parameter became infinite or NaN; the epoch then ended there.
        """
        cdef EpochPlan plan
        cdef EpochResult result
        cdef Poll poll = poll_of_this_thread()
        cdef int status
        cdef void* theta_pointer = self._writable(theta)
        self._require_bound()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._require_one_per_layer(penalties)
        plan.rows = NULL
        plan.n = self.n_bound
        if rows is not None:
            plan.rows = self._rows(rows, self.n_rows)
            plan.n = len(rows)
        elif self.n_bound != self.n_rows:
            raise ValueError("rows must be given where only some of them are bound")
        plan.batch_size = min(batch_size, plan.n)
        plan.rule = rule.parameters
        plan.first = self._writable(rule.first)
        plan.second = NULL if rule.second is None else self._writable(rule.second)
        plan.steps_done = rule.steps_done
        plan.rate_start = rate_start
        plan.rate_end = rate_end
        plan.penalty = &penalties.c
        with nogil:
            status = self.c.get().run_epoch(theta_pointer, plan, poll, &result)
        self._raise_pending(status)
        penalties.raise_pending()
        rule.steps_done += result.steps
        return result.data_loss, result.penalty, status == FINISHED

    def penalty(self, theta, LayerPenalties penalties not None):
        """Sum over the layers of strength * Omega."""
        self._require_one_per_layer(penalties)
        value = self.c.get().penalty(self._data(theta, (self.n_parameters,)), penalties.c)
        penalties.raise_pending()
        return value

    cdef const i64* _rows(self, RowOrder rows, i64 n_rows) except NULL:
        if rows.n_rows != n_rows:
            raise ValueError(f"rows were made for a table of {rows.n_rows} rows, this one has {n_rows}")
        return &rows.rows[0]

    cdef int _raise_pending(self, int status) except -1:
        raise_interruption(status)
        return (<LossKernel> self.bound[3]).raise_pending()

    cdef int _require_one_per_layer(self, LayerPenalties penalties) except -1:
        if <i64> penalties.c.layers.size() != len(self.layer_sizes) - 1:
            raise ValueError("penalties must have one term per weight matrix")
        return 0

    cdef int _require_bound(self) except -1:
        if self.bound is None:
            raise RuntimeError("bind the training data first")
        return 0

    cdef void* _data(self, array, shape) except NULL:
        if not isinstance(array, np.ndarray) or array.dtype != self.dtype or array.shape != shape:
            raise ValueError(f"expected a {self.dtype} array of shape {shape}")
        if not (array.flags.c_contiguous and array.flags.aligned):
            raise ValueError("expected an aligned C-contiguous array")
        return cnp.PyArray_DATA(<cnp.ndarray> array)

    cdef void* _writable(self, array) except NULL:
        cdef void* pointer = self._data(array, (self.n_parameters,))
        if not array.flags.writeable:
            raise ValueError("expected a writable array")
        return pointer

    cdef int _view(self, X, FeatureView* view) except -1:
        if isinstance(X, SelectedRows):
            self._view((<SelectedRows> X).table, view)
            view.selected = &(<SelectedRows> X).order.rows[0]
            return 0
        if X.ndim != 2 or X.shape[1] != self.layer_sizes[0] or X.dtype != self.dtype:
            raise ValueError(f"X must be {self.dtype} with {self.layer_sizes[0]} columns")
        itemsize = self.dtype.itemsize
        if isinstance(X, np.ndarray):
            if (X.shape[1] > 1 and X.strides[1] != itemsize) or X.strides[0] % itemsize or not X.flags.aligned:
                raise ValueError("the elements of a row of X must be aligned and contiguous")
            view.values = cnp.PyArray_DATA(<cnp.ndarray> X)
            view.row_stride = X.strides[0] // itemsize
            return 0
        if X.indices.dtype != X.indptr.dtype or X.indices.dtype not in (np.int32, np.int64):
            raise ValueError("indices and indptr of X must both be int32 or both int64")
        for part in (X.data, X.indices, X.indptr):
            if not (part.flags.c_contiguous and part.flags.aligned):
                raise ValueError("the arrays of X must be aligned and contiguous")
        view.values = cnp.PyArray_DATA(<cnp.ndarray> X.data)
        view.indices = cnp.PyArray_DATA(<cnp.ndarray> X.indices)
        view.row_starts = cnp.PyArray_DATA(<cnp.ndarray> X.indptr)
        view.wide_indices = X.indices.dtype == np.int64
        return 0


def gemm_seconds(layer_sizes, i64 batch_size, dtype, i64 repeats):
    """Seconds that the matrix products of one training step take by themselves, on warm buffers (for benchmarks)."""
    cdef Network network = Network(tuple(layer_sizes), "relu", dtype)
    cdef double seconds
    with single_thread:
        seconds = network.c.get().gemm_seconds(batch_size, repeats)
    return seconds
