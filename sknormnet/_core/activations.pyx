"""Hidden activations on NumPy arrays, by the kernels that training uses."""
import numpy as np

cimport cython
from sknormnet._core cimport kernels

ACTIVATIONS = {
    "identity": kernels.IDENTITY,
    "relu": kernels.RELU,
    "tanh": kernels.TANH,
    "logistic": kernels.LOGISTIC,
    "leaky_relu": kernels.LEAKY_RELU,
    "elu": kernels.ELU,
    "gelu": kernels.GELU,
    "silu": kernels.SILU,
    "softplus": kernels.SOFTPLUS,
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
        kernels.activation_forward(index, &view[0, 0], &bias[0], <cython.floating*> NULL, z.shape[0], z.shape[1])
    return out


def activation_forward(name, const cython.floating[:, ::1] z):
    """activation(z), and what its derivative follows from: the derivative itself where it is kept, else the value."""
    cdef int index = ACTIVATIONS[name]
    out = np.array(z)
    slope = np.empty_like(out) if kernels.keeps_slope[float](index) else out
    zero = np.zeros(z.shape[1], dtype=out.dtype)
    cdef cython.floating[:, ::1] view = out
    cdef cython.floating[:, ::1] slope_view = slope
    cdef cython.floating[::1] bias = zero
    if out.size:
        kernels.activation_forward(
            index, &view[0, 0], &bias[0], &slope_view[0, 0], z.shape[0], z.shape[1]
        )
    return out, slope


def activation_backward(name, const cython.floating[:, ::1] a_or_slope, const cython.floating[:, ::1] delta):
    """delta * activation'(z), and its column sums, from the second array of `activation_forward`."""
    cdef int index = ACTIVATIONS[name]
    if a_or_slope.shape[0] != delta.shape[0] or a_or_slope.shape[1] != delta.shape[1]:
        raise ValueError("a_or_slope and delta must have the same shape")
    out = np.array(delta)
    sums = np.zeros(out.shape[1], dtype=out.dtype)
    cdef cython.floating[:, ::1] view = out
    cdef cython.floating[::1] sums_view = sums
    if out.size:
        kernels.activation_backward(
            index, &a_or_slope[0, 0], &view[0, 0], &sums_view[0], out.shape[0], out.shape[1]
        )
    return out, sums
