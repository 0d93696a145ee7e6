from libcpp cimport bool
from sknormnet._core cimport kernels
from sknormnet._core.kernels cimport i64


cdef extern from "network.hpp" namespace "sknormnet" nogil:
    cdef cppclass LayerPenalty:
        kernels.Elementwise weights
        kernels.Elementwise intercepts
        bool grouped
        bool joins_intercepts
        kernels.GroupPenalty groups


cdef class PenaltyKernel:
    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts)


cdef class ElementwiseKernel(PenaltyKernel):
    cdef readonly double l1
    cdef readonly double l2
    cdef readonly double decay


cdef class GroupKernel(PenaltyKernel):
    cdef readonly str shape
    cdef readonly str by
    cdef readonly double outer
    cdef readonly double inner
    cdef readonly double l2
    cdef readonly bint non_negative
    cdef readonly double gamma
    cdef readonly double limit
    cdef readonly double longest_step
    cdef readonly object groups
    cdef readonly object row_factors
    cdef tuple layout(self, i64 rows, i64 columns)
    cdef int describe(self, kernels.GroupPenalty& c, tuple layout, double strength) except -1
