from sknormnet._core cimport kernels


cdef extern from "network.hpp" namespace "sknormnet" nogil:
    cdef cppclass CLossKernel "sknormnet::LossKernel":
        void* float_function
        void* double_function
        void* context


cdef class LossKernel:
    cdef CLossKernel c
    cdef kernels.LossParameters parameters
    cdef object levels
    cdef readonly bint takes_classes
    cdef readonly int raw_per_target
    cdef int raise_pending(self) except -1
