# What calls from the core into Python share: copies of the core's arrays, and the floating point mode of the caller.
cimport cython
cimport numpy as cnp
from libc.string cimport memcpy
from sknormnet._core.kernels cimport i64


cdef extern from "flush_to_zero.hpp" namespace "sknormnet" nogil:
    ctypedef int FloatingPointMode
    FloatingPointMode FLUSH_BITS
    FloatingPointMode read_mode()
    void write_mode(FloatingPointMode)


cdef inline object new_array(const cython.floating* values, i64 rows, i64 columns):
    # A copy: the method may keep what it is given. A vector where there are no columns.
    cdef cnp.npy_intp[2] shape = [rows, columns]
    array = cnp.PyArray_SimpleNew(
        2 if columns > 0 else 1, shape, cnp.NPY_FLOAT if cython.floating is float else cnp.NPY_DOUBLE)
    memcpy(cnp.PyArray_DATA(<cnp.ndarray> array), values, rows * max(columns, 1) * sizeof(cython.floating))
    return array
