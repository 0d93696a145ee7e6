"""Penalties on NumPy arrays, by the kernels that training uses."""
import numpy as np

cimport cython
from sknormnet._core cimport kernels


cdef class ElementwiseKernel:
    """Compiled form of rho(t) = l1*|t| + l2*t**2/2, summed over single weights, at strength 1.

    Arrays of any shape, C-contiguous; strength multiplies both coefficients.
    """

    def __init__(self, *, double l1, double l2):
        self.l1 = l1
        self.l2 = l2
        self.smooth = l1 == 0

    def __reduce__(self):
        return _rebuild, (self.l1, self.l2)

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


def _rebuild(l1, l2):
    return ElementwiseKernel(l1=l1, l2=l2)


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
