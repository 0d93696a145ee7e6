cdef extern from "network.hpp" namespace "sknormnet" nogil:
    cdef cppclass CLossKernel "sknormnet::LossKernel":
        void* float_function
        void* double_function
        void* context


cdef class LossKernel:
    cdef CLossKernel c
    cdef bint takes_classes
