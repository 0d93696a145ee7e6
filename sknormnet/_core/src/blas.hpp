// Row-major matrix products through Fortran's gemm, and their vector forms for layers of one output.
#pragma once
#include "blas_int.hpp"
#include "kernels.hpp"

namespace sknormnet {

template <class T>
using Gemm = void (*)(char*, char*, blas_int*, blas_int*, blas_int*, T*, T*, blas_int*, T*, blas_int*, T*, T*, blas_int*);

// A: (rows, fan_in) with row stride `stride`, W: (fan_in, fan_out), D: (rows, fan_out); all row-major, which Fortran
// reads as their transposes.
template <class T> class Products {
  public:
    Products(Gemm<T> gemm, const KernelTable<T>& table) : gemm_(gemm), table_(&table) {}

    void forward(const T* a, i64 stride, const T* w, T* out, i64 rows, i64 fan_in, i64 fan_out) const {  // A W
        if (fan_out == 1) return table_->matrix_vector(a, stride, w, out, rows, fan_in);
        multiply('N', 'N', fan_out, rows, fan_in, w, fan_out, a, stride, out, fan_out, false);
    }

    void weight_gradient(const T* a, i64 stride, const T* d, T* out, i64 rows, i64 fan_in, i64 fan_out,
                         bool accumulate) const {  // A' D
        if (fan_out == 1) return table_->vector_matrix(a, stride, d, out, rows, fan_in, accumulate);
        multiply('N', 'T', fan_out, fan_in, rows, d, fan_out, a, stride, out, fan_out, accumulate);
    }

    void backward(const T* d, const T* w, T* out, i64 rows, i64 fan_in, i64 fan_out) const {  // D W'
        multiply('T', 'N', fan_in, rows, fan_out, w, fan_out, d, fan_out, out, fan_in, false);
    }

  private:
    void multiply(char transpose_a, char transpose_b, i64 m, i64 n, i64 k, const T* a, i64 lda, const T* b, i64 ldb,
                  T* c, i64 ldc, bool accumulate) const {
        blas_int m_ = static_cast<blas_int>(m), n_ = static_cast<blas_int>(n), k_ = static_cast<blas_int>(k);
        blas_int lda_ = static_cast<blas_int>(lda), ldb_ = static_cast<blas_int>(ldb), ldc_ = static_cast<blas_int>(ldc);
        T one = 1, beta = accumulate ? T(1) : T(0);
        gemm_(&transpose_a, &transpose_b, &m_, &n_, &k_, &one, const_cast<T*>(a), &lda_, const_cast<T*>(b), &ldb_,
              &beta, c, &ldc_);
    }

    Gemm<T> gemm_;
    const KernelTable<T>* table_;
};

}  // namespace sknormnet
