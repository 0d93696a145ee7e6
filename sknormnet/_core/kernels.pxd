# C++ declarations that the compiled modules share.
from libc.stdint cimport int64_t
from libcpp cimport bool


cdef extern from "kernels.hpp" namespace "sknormnet" nogil:
    ctypedef int64_t i64

    cdef enum:
        IDENTITY
        RELU
        TANH
        LOGISTIC
        LEAKY_RELU
        ELU
        GELU
        SILU
        SOFTPLUS

    cdef enum:
        RESIDUAL_LOSS
        MARGIN_LOSS
        LOG_COSH
        EUCLIDEAN
        QUANTILE
        POISSON
        GAMMA
        TWEEDIE
        GAUSSIAN_NLL
        LOG_LOSS
        BRIER
        FOCAL

    cdef cppclass LossParameters:
        double lower
        double upper
        double width
        double tube
        double shape
        const double* levels
        i64 n_levels

    cdef enum:
        GROUP_PADDING

    cdef enum:
        BY_WEIGHT
        BY_INPUT
        BY_OUTPUT
        BY_MATRIX

    cdef enum:
        LINEAR
        MINIMAX_CONCAVE
        SMOOTHLY_CLIPPED
        LIMIT
        CUSTOM

    cdef enum:
        SHAPE_VALUE
        SHAPE_SLOPE
        SHAPE_PROX

    cdef cppclass Groups:
        int by
        i64 n
        const i64* of_row
        const double* factors
        const double* inner_factors
        const double* sizes

    cdef cppclass GroupPenalty:
        int shape
        Groups groups
        double strength
        double gamma
        double limit
        double inner_l1
        double l2
        bool non_negative
        double longest_step
        void* context
        void* float_function
        void* double_function

    cdef cppclass Elementwise:
        double l1
        double l2
        double decay
        bool non_negative
        bool smooth

    cdef enum:
        PENALTY_VALUE
        PENALTY_GRADIENT
        PENALTY_PROX

    cdef cppclass MatrixPenalty:
        void* float_function
        void* double_function
        void* context
        double strength
        bool smooth

    const char* instruction_set()


cdef extern from "array_functions.hpp" namespace "sknormnet" nogil:
    bint keeps_slope[T](int)
    void activation_forward[T](int, T*, const T*, T*, i64, i64)
    void activation_backward[T](int, const T*, T*, T*, i64, i64)
    void* loss_function[T](int)
    void logistic[T](const T*, T*, i64)
    void log_logistic[T](const T*, T*, i64)
    void softmax[T](const T*, T*, i64, i64)
    void log_softmax[T](const T*, T*, i64, i64)
    bint all_finite[T](const T*, i64)
    double group_value[T](const T*, i64, i64, const GroupPenalty&, T*)
    void group_prox[T](T*, i64, i64, const GroupPenalty&, const T*, T*)
    void group_subgradient[T](const T*, T*, i64, i64, const GroupPenalty&, T*)
    void group_residual[T](const T*, const T*, T*, i64, i64, const GroupPenalty&, T*)
    double penalty_value[T](const T*, i64, const Elementwise&)
    void penalty_prox[T](const T*, T*, i64, const Elementwise&, double)
    void penalty_subgradient[T](const T*, T*, i64, const Elementwise&)
    void penalty_residual[T](const T*, const T*, T*, i64, const Elementwise&)
