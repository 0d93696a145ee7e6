// Row-major matrix products through Fortran's gemm, and their vector forms for layers of one output.
#pragma once
#include <algorithm>

#include "blas_int.hpp"
#include "buffer.hpp"
#include "kernels.hpp"

namespace sknormnet {

template <class T>
using Gemm = void (*)(char*, char*, blas_int*, blas_int*, blas_int*, T*, T*, blas_int*, T*, blas_int*, T*, T*, blas_int*);

// A: (rows, fan_in) with row stride `stride`, W: (fan_in, fan_out), D: (rows, fan_out); all row-major, which Fortran
// reads as their transposes.
//
// OpenBLAS's kernels for AVX-512 multiply small matrices (m*n*k <= SMALL) without packing them, and faster than large
// ones. With `in_pieces`, large products are made of small ones (docs/decisions/0002).
template <class T> class Products {
  public:
    Products(Gemm<T> gemm, bool in_pieces, const KernelTable<T>& table)
        : gemm_(gemm), in_pieces_(in_pieces), table_(&table) {}

    // Scratch memory for `backward` through matrices of up to so many weights.
    void reserve(i64 weights) {
        if (in_pieces_) transposed_ = Buffer<T>(weights);
    }

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
        if (in_pieces_ && rows >= 8) {  // the transposed form is slow among the small kernels
            transpose(w, transposed_.data(), fan_in, fan_out);
            multiply('N', 'N', fan_in, rows, fan_out, transposed_.data(), fan_in, d, fan_out, out, fan_in, false);
        } else {
            multiply('T', 'N', fan_in, rows, fan_out, w, fan_out, d, fan_out, out, fan_in, false);
        }
    }

  private:
    static constexpr i64 SMALL = 1000000;
    static constexpr i64 DEPTH = 400, WIDTH = 256;  // of a piece: k and m at most
    static constexpr i64 ROWS = 12;                 // n of a piece is a multiple of it, as the kernels like it

    static void transpose(const T* w, T* out, i64 rows, i64 columns) {
        constexpr i64 side = 16;
        for (i64 i = 0; i < rows; i += side) {
            const i64 end = std::min(i + side, rows);
            for (i64 j = 0; j < columns; ++j) {
                for (i64 k = i; k < end; ++k) out[j * rows + k] = w[k * columns + j];
            }
        }
    }

    // C = op(A) op(B) or C += ..., in Fortran's order: C is (m, n).
    void multiply(char transpose_a, char transpose_b, i64 m, i64 n, i64 k, const T* a, i64 lda, const T* b, i64 ldb,
                  T* c, i64 ldc, bool accumulate) const {
        i64 piece_m = m, piece_n = n, piece_k = k;
        if (in_pieces_ && m * n * k > SMALL) {
            piece_k = even_part(k, DEPTH);
            piece_m = even_part(m, WIDTH);
            piece_n = std::clamp<i64>(SMALL / (piece_m * piece_k) / ROWS * ROWS, std::min<i64>(ROWS / 2, n), n);
        }
        for (i64 p = 0; p < k; p += piece_k) {
            for (i64 i = 0; i < m; i += piece_m) {
                for (i64 j = 0; j < n; j += piece_n) {
                    const T* a_piece = a + (transpose_a == 'N' ? i + p * lda : p + i * lda);
                    const T* b_piece = b + (transpose_b == 'N' ? p + j * ldb : j + p * ldb);
                    call(transpose_a, transpose_b, std::min(piece_m, m - i), std::min(piece_n, n - j),
                         std::min(piece_k, k - p), a_piece, lda, b_piece, ldb, c + i + j * ldc, ldc, accumulate || p > 0);
                }
            }
        }
    }

    static i64 even_part(i64 n, i64 most) {  // n in equal parts of at most about `most`, multiples of 16
        const i64 parts = (n + most - 1) / most;
        return ((n + parts - 1) / parts + 15) / 16 * 16;
    }

    void call(char transpose_a, char transpose_b, i64 m, i64 n, i64 k, const T* a, i64 lda, const T* b, i64 ldb, T* c,
              i64 ldc, bool accumulate) const {
        blas_int m_ = static_cast<blas_int>(m), n_ = static_cast<blas_int>(n), k_ = static_cast<blas_int>(k);
        blas_int lda_ = static_cast<blas_int>(lda), ldb_ = static_cast<blas_int>(ldb), ldc_ = static_cast<blas_int>(ldc);
        T one = 1, beta = accumulate ? T(1) : T(0);
        gemm_(&transpose_a, &transpose_b, &m_, &n_, &k_, &one, const_cast<T*>(a), &lda_, const_cast<T*>(b), &ldb_,
              &beta, c, &ldc_);
    }

    Gemm<T> gemm_;
    bool in_pieces_;
    const KernelTable<T>* table_;
    Buffer<T> transposed_;
};

}  // namespace sknormnet
