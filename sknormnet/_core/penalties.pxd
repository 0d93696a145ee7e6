from sknormnet._core cimport kernels


cdef class ElementwiseKernel:
    cdef readonly double l1
    cdef readonly double l2
    cdef readonly bint smooth
