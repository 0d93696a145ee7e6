// The table of features: dense rows with any row stride, or CSR. All offsets are 64-bit.
#pragma once
#include <cstdint>
#include <cstring>
#include <limits>

#include "blas.hpp"
#include "buffer.hpp"

namespace sknormnet {

struct FeatureView {  // what Python hands over, untyped
    const void* values = nullptr;
    i64 row_stride = 0;  // elements; dense only
    const void* indices = nullptr;
    const void* row_starts = nullptr;  // CSR's indptr; null for a dense table
    bool wide_indices = false;         // 64-bit indices and row_starts
    const i64* selected = nullptr;     // the rows that make up the table; null: all
};

template <class T> class Features {
  public:
    Features() = default;
    Features(const FeatureView& view, i64 columns, const KernelTable<T>& table)
        : view_(view), values_(static_cast<const T*>(view.values)), columns_(columns), table_(&table) {}

    bool sparse() const { return view_.row_starts != nullptr; }

    // Whether `forward` and `weight_gradient` would need a gathered copy of these rows.
    bool needs_gather(const i64* rows) const {
        return !sparse() && (rows != nullptr || view_.selected != nullptr ||
                             view_.row_stride > std::numeric_limits<blas_int>::max() ||
                             view_.row_stride < columns_);
    }

    const T* row(i64 i) const { return values_ + place(i) * view_.row_stride; }
    i64 row_stride() const { return view_.row_stride; }

    void gather(const i64* rows, i64 start, i64 n, T* out) const {
        const std::size_t bytes = static_cast<std::size_t>(columns_) * sizeof(T);
        for (i64 i = 0; i < n; ++i) {
            std::memcpy(out + i * columns_, row(rows == nullptr ? start + i : rows[start + i]), bytes);
        }
    }

    // CSR products cost a multiply-add per non-zero and output.
    void sparse_forward(const i64* rows, i64 start, i64 n, const T* w, T* out, i64 fan_out) const {
        std::memset(out, 0, static_cast<std::size_t>(n * fan_out) * sizeof(T));
        each_nonzero(rows, start, n, [&](i64 i, i64 column, T x) {
            if (fan_out == 1) {
                out[i] += x * w[column];
            } else {
                table_->add_scaled(out + i * fan_out, w + column * fan_out, fan_out, x);
            }
        });
    }

    void sparse_weight_gradient(const i64* rows, i64 start, i64 n, const T* d, T* out, i64 fan_out,
                                bool accumulate) const {
        if (!accumulate) std::memset(out, 0, static_cast<std::size_t>(columns_ * fan_out) * sizeof(T));
        each_nonzero(rows, start, n, [&](i64 i, i64 column, T x) {
            if (fan_out == 1) {
                out[column] += x * d[i];
            } else {
                table_->add_scaled(out + column * fan_out, d + i * fan_out, fan_out, x);
            }
        });
    }

    void sparse_squared_norms(const i64* rows, i64 start, i64 n, T* out) const {
        std::memset(out, 0, static_cast<std::size_t>(n) * sizeof(T));
        each_nonzero(rows, start, n, [&](i64 i, i64, T x) { out[i] += x * x; });
    }

  private:
    i64 place(i64 row) const { return view_.selected == nullptr ? row : view_.selected[row]; }

    template <class Visit> void each_nonzero(const i64* rows, i64 start, i64 n, const Visit& visit) const {
        if (view_.wide_indices) {
            each_nonzero_of<std::int64_t>(rows, start, n, visit);
        } else {
            each_nonzero_of<std::int32_t>(rows, start, n, visit);
        }
    }

    template <class Index, class Visit>
    void each_nonzero_of(const i64* rows, i64 start, i64 n, const Visit& visit) const {
        const Index* indices = static_cast<const Index*>(view_.indices);
        const Index* row_starts = static_cast<const Index*>(view_.row_starts);
        for (i64 i = 0; i < n; ++i) {
            const i64 r = place(rows == nullptr ? start + i : rows[start + i]);
            for (i64 p = row_starts[r]; p < row_starts[r + 1]; ++p) visit(i, indices[p], values_[p]);
        }
    }

    FeatureView view_;
    const T* values_ = nullptr;
    i64 columns_ = 0;
    const KernelTable<T>* table_ = nullptr;
};

}  // namespace sknormnet
