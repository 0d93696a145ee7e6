from libcpp cimport bool
from libcpp.vector cimport vector
from sknormnet._core cimport kernels
from sknormnet._core.kernels cimport i64


cdef extern from "network.hpp" namespace "sknormnet" nogil:
    cdef enum:
        BY_SEGMENTS
        OF_GROUPS
        OF_MATRIX
        OF_NETWORK

    cdef cppclass Segment:
        i64 n
        kernels.Elementwise penalty

    cdef cppclass LayerPenalty:
        int kind
        i64 rows
        kernels.GroupPenalty groups
        kernels.MatrixPenalty matrix
        vector[Segment] segments

    cdef cppclass NetworkPenalty:
        vector[LayerPenalty] layers
        double norm


cdef class PenaltyKernel:
    cdef object fill(self, LayerPenalty& layer, i64 fan_in, i64 fan_out, double strength, bint penalize_intercepts)
    cdef int raise_pending(self) except -1


cdef class _Stretches:
    cdef vector[Segment] c


cdef class ElementwiseKernel(PenaltyKernel):
    cdef readonly double l1
    cdef readonly double l2
    cdef readonly double decay
    cdef readonly bint non_negative
    cdef readonly object row_factors
    cdef kernels.Elementwise times(self, double strength)
    cdef _Stretches over(self, array, double strength)
    cdef int segments(self, vector[Segment]& out, i64 rows, i64 columns, double strength) except -1


cdef int take_matrix(LayerPenalty& layer, int kind, i64 fan_in, i64 fan_out, bint penalize_intercepts) except -1


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
    cdef int check_inputs(self, i64 least, i64 most) except -1
    cdef tuple layout(self, i64 rows, i64 columns)
    cdef int describe(self, kernels.GroupPenalty& c, tuple layout, double strength) except -1


cdef ElementwiseKernel NOTHING
