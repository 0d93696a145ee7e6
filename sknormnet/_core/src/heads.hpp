// One loss for several columns of class numbers: each has neighbouring columns of raw predictions of its own, its head,
// and a row's loss is the sum over the heads.
#pragma once
#include <algorithm>
#include <vector>

#include "buffer.hpp"
#include "network_base.hpp"

namespace sknormnet {

class Heads {
  public:
    Heads() = default;

    Heads(const LossKernel& loss, const std::vector<i64>& widths) : loss_(loss), widths_(widths) {
        const i64 widest = *std::max_element(widths_.begin(), widths_.end());
        block_ = std::clamp<i64>(CACHED / (2 * widest + 1), 1, 1024);
        scratch_ = Buffer<double>(block_ * (2 * widest + 1));
    }

    // What LossFunction says. The loss takes whole rows, so a head's columns are copied to scratch, block by block.
    template <class T>
    double evaluate(const T* y, const T* raw, i64 rows, i64 raw_columns, const T* sample_weight, T scale, T* gradient) {
        const auto loss = reinterpret_cast<LossFunction<T>>(function_for<T>(loss_));
        const i64 n_heads = static_cast<i64>(widths_.size());
        T* const labels = reinterpret_cast<T*>(scratch_.data());
        T* const x = labels + block_;
        double total = 0;
        for (i64 start = 0; start < rows; start += block_) {
            const i64 block = std::min(block_, rows - start);
            i64 first = start * raw_columns;
            for (i64 h = 0; h < n_heads; ++h) {
                const i64 width = widths_[h];
                T* const slopes = x + block_ * width;
                for (i64 i = 0; i < block; ++i) labels[i] = y[(start + i) * n_heads + h];
                copy(raw + first, raw_columns, x, width, block, width);
                const T* weight = sample_weight == nullptr ? nullptr : sample_weight + start;
                total += loss(loss_.context, labels, 1, x, block, width, weight, scale, slopes);
                copy(slopes, width, gradient + first, raw_columns, block, width);
                first += width;
            }
        }
        return total;
    }

  private:
    // rows x columns numbers, of which each row begins a stride behind the one before.
    template <class T>
    static void copy(const T* from, i64 from_stride, T* to, i64 to_stride, i64 rows, i64 columns) {
        for (i64 i = 0; i < rows; ++i) {
            for (i64 j = 0; j < columns; ++j) to[i * to_stride + j] = from[i * from_stride + j];
        }
    }

    static constexpr i64 CACHED = i64(1) << 14;  // numbers of scratch, which stay in the cache
    LossKernel loss_;
    std::vector<i64> widths_;
    i64 block_ = 0;
    Buffer<double> scratch_;  // of either type: labels, raw predictions and gradient of a block
};

template <class T>
double heads_loss(void* context, const T* y, i64, const T* raw, i64 rows, i64 raw_columns, const T* sample_weight,
                  T scale, T* gradient) {
    return static_cast<Heads*>(context)->evaluate(y, raw, rows, raw_columns, sample_weight, scale, gradient);
}

}  // namespace sknormnet
