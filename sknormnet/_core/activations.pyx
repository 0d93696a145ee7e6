"""Hidden activations on NumPy arrays, by the kernels that training uses."""
import numpy as np

cimport cython
from sknormnet._core cimport kernels

ACTIVATIONS = {
    "identity": kernels.IDENTITY,
    "relu": kernels.RELU,
    "tanh": kernels.TANH,
    "logistic": kernels.LOGISTIC,
}


def instruction_set():
    """Name of the instruction set whose kernels run: 'baseline', 'avx2', 'avx512', or 'portable' from such a build."""
    return kernels.instruction_set().decode()


def activation_value(name, const cython.floating[:, ::1] z):
    """activation(z), a new array."""
    cdef int index = ACTIVATIONS[name]
    out = np.array(z)
    zero = np.zeros(z.shape[1], dtype=out.dtype)
    cdef cython.floating[:, ::1] view = out
    cdef cython.floating[::1] bias = zero
    if out.size:
        kernels.bias_activation(index, &view[0, 0], &bias[0], z.shape[0], z.shape[1])
    return out


def activation_backward(name, const cython.floating[:, ::1] a, const cython.floating[:, ::1] delta):
    """delta * activation'(z) from a = activation(z), and its column sums."""
    cdef int index = ACTIVATIONS[name]
    if a.shape[0] != delta.shape[0] or a.shape[1] != delta.shape[1]:
        raise ValueError("a and delta must have the same shape")
    out = np.array(delta)
    sums = np.zeros(a.shape[1], dtype=out.dtype)
    cdef cython.floating[:, ::1] view = out
    cdef cython.floating[::1] sums_view = sums
    if out.size:
        kernels.activation_backward(
            index, &a[0, 0], &view[0, 0], &sums_view[0], a.shape[0], a.shape[1]
        )
    return out, sums
