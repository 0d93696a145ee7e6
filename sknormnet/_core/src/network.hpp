// A multilayer perceptron over one contiguous theta = [W1, b1, W2, b2, ...]: forward, gradient and whole epochs.
// Every buffer is allocated by reserve(); nothing is allocated in a loop over batches.
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "blas.hpp"
#include "buffer.hpp"
#include "features.hpp"
#include "flush_to_zero.hpp"
#include "kernels.hpp"
#include "network_base.hpp"
#include "network_norm.hpp"
#include "rules.hpp"

namespace sknormnet {

template <class T> class Network final : public NetworkBase {
  public:
    // One activation per hidden layer; the outputs have none.
    Network(const std::vector<i64>& layer_sizes, const std::vector<int>& activations, void* gemm, bool in_pieces)
        : sizes_(layer_sizes), n_layers_(static_cast<i64>(layer_sizes.size()) - 1), table_(kernels<T>()),
          products_(reinterpret_cast<Gemm<T>>(gemm), in_pieces, table_), activations_(n_layers_, IDENTITY) {
        std::copy(activations.begin(), activations.end(), activations_.begin());
        i64 offset = 0;
        i64 total_width = sizes_[0];
        for (i64 l = 0; l < n_layers_; ++l) {
            offsets_.push_back(offset);
            offset += (sizes_[l] + 1) * sizes_[l + 1];
            if (l > 0) largest_above_ = std::max(largest_above_, sizes_[l] * sizes_[l + 1]);
            largest_layer_ = std::max(largest_layer_, (sizes_[l] + 1) * sizes_[l + 1]);
            widest_ = std::max(widest_, sizes_[l + 1]);
            total_width += sizes_[l + 1];
        }
        n_parameters_ = offset;
        weights_.resize(n_layers_);
        intercepts_.resize(n_layers_);
        slopes_.resize(n_layers_);
        network_steps_.resize(n_layers_);
        network_norms_.resize(n_layers_);
        // Full passes over the data run in blocks whose activations stay in the second-level cache.
        block_rows_ = std::clamp<i64>((i64(1) << 18) / total_width, 64, 2048);
    }

    void bind(const Problem& problem) override {
        problem_ = problem;
        input_norms_known_ = false;
        reserved_ = 0;  // the buffers of the targets depend on it
        loss_ = reinterpret_cast<LossFunction<T>>(function_for<T>(problem.loss));
    }

    void hold(const std::uint8_t* held) override { held_ = held; }

    void reserve(i64 rows) {
        if (rows <= reserved_) return;
        reserved_ = 0;  // until every allocation has succeeded
        outputs_.clear();
        for (i64 l = 0; l < n_layers_; ++l) outputs_.emplace_back(rows * sizes_[l + 1]);
        for (Buffer<T>& delta : deltas_) delta = Buffer<T>(rows * widest_);
        y_ = Buffer<T>(rows * std::max<i64>(problem_.y_columns, 1));
        weight_ = Buffer<T>(rows);
        gathered_ = Buffer<T>();
        gathered_rows_ = 0;
        for (Buffer<T>& sums : bias_sums_) sums = Buffer<T>(widest_);
        reserved_ = rows;
    }

    int forward(const void* const* weights, const void* const* intercepts, const FeatureView& view, const i64* rows,
                i64 n, void* out, Poll poll) override {
        const FlushToZero flush;
        const Features<T> x(view, sizes_[0], table_);
        const i64 k = sizes_[n_layers_];
        reserve(std::min(n, block_rows_));
        for (i64 l = 0; l < n_layers_; ++l) {
            weights_[l] = static_cast<const T*>(weights[l]);
            intercepts_[l] = static_cast<const T*>(intercepts[l]);
        }
        Clock clock(poll, operations_per_row() * block_rows_);
        for (i64 start = 0; start < n; start += block_rows_) {
            const i64 block = std::min(block_rows_, n - start);
            forward_block(x, rows, start, block, false);
            if (clock.interrupted()) return INTERRUPTED;
            std::memcpy(static_cast<T*>(out) + start * k, outputs_[n_layers_ - 1].data(),
                        static_cast<std::size_t>(block * k) * sizeof(T));
        }
        return FINISHED;
    }

    // Mean loss over the bound data, in blocks of rows; gradient and bounds, unless null, are overwritten.
    int value_and_gradient(const void* theta_, void* gradient_, double* bounds, Poll poll, double* value) override {
        const FlushToZero flush;
        const T* theta = static_cast<const T*>(theta_);
        T* gradient = static_cast<T*>(gradient_);
        point_into(theta);
        const Features<T> x(problem_.x, sizes_[0], table_);
        const i64 n = problem_.n_rows;
        reserve(std::min(n, block_rows_));
        if (gradient != nullptr) reserve_backward();
        if (bounds != nullptr) {
            reserve_norms();
            std::fill_n(bounds, n_layers_, 0.0);
        }
        Clock clock(poll, operations_per_row() * block_rows_);
        double total = 0;
        for (i64 start = 0; start < n; start += block_rows_) {
            const i64 block = std::min(block_rows_, n - start);
            forward_block(x, problem_.rows, start, block, gradient != nullptr);
            total += loss_block(problem_.rows, start, block, T(1) / static_cast<T>(n));
            if (gradient != nullptr) {
                backward_block(x, problem_.rows, start, block, start > 0,
                               [&](i64 l) { return gradient + offsets_[l]; },
                               [&](i64 l, T*, const T* delta) {
                                   if (bounds != nullptr) bounds[l] += gradient_bound(l, x, start, block, delta);
                               });
            }
            if (clock.interrupted()) return INTERRUPTED;
        }
        input_norms_known_ = input_norms_known_ || bounds != nullptr;
        *value = total / static_cast<double>(n);
        return FINISHED;
    }

    int run_epoch(void* theta_, const EpochPlan& plan, Poll poll, EpochResult* result) override {
        const FlushToZero flush;
        T* theta = static_cast<T*>(theta_);
        point_into(theta);
        const Features<T> x(problem_.x, sizes_[0], table_);
        reserve(std::min(plan.n, plan.batch_size));
        if (layer_gradient_.data() == nullptr) layer_gradient_ = Buffer<T>(largest_layer_);
        const NetworkPenalty& penalties = *plan.penalty;
        const bool network_norm = penalties.norm > 0;
        reserve_groups(penalties);
        if (network_norm && ends_.data() == nullptr) ends_ = Buffer<T>(n_parameters_);
        reserve_backward();
        Rule<T> rule(plan.rule, static_cast<T*>(plan.first), static_cast<T*>(plan.second), plan.steps_done, table_);
        Clock clock(poll, operations_per_row() * plan.batch_size);
        const i64 n_batches = (plan.n + plan.batch_size - 1) / plan.batch_size;
        group_costs_.assign(n_layers_, std::numeric_limits<double>::quiet_NaN());
        double penalty = 0;
        double norm = network_norm ? norm_of_network(rule.model(theta), penalties) : 0;
        *result = EpochResult();
        for (i64 i = 0; i < n_batches; ++i) {
            const i64 start = i * plan.batch_size;
            const i64 size = std::min(plan.batch_size, plan.n - start);
            forward_block(x, plan.rows, start, size, true);
            const double loss = loss_block(plan.rows, start, size, T(1) / static_cast<T>(size));
            if (!std::isfinite(loss)) return NOT_FINITE;
            rule.begin_step(plan.rate_start + (plan.rate_end - plan.rate_start) * static_cast<double>(i) /
                                                  static_cast<double>(n_batches));
            double batch_penalty = penalties.norm * norm;
            backward_block(x, plan.rows, start, size, false,
                           [&](i64 l) { return network_norm ? ends_.data() + offsets_[l] : layer_gradient_.data(); },
                           [&](i64 l, T* gradient, const T*) {
                               batch_penalty += update_layer(theta, gradient, l, rule, penalties.layers[l]);
                           });
            if (network_norm) norm = shrink_network(theta, rule, penalties);
            if (!std::isfinite(batch_penalty)) return NOT_FINITE;
            result->data_loss += loss;
            penalty += batch_penalty * static_cast<double>(size);
            ++result->steps;
            if (clock.interrupted()) return INTERRUPTED;
        }
        result->data_loss /= static_cast<double>(plan.n);
        result->penalty = penalty / static_cast<double>(plan.n);
        const bool finite = std::isfinite(result->data_loss + result->penalty) && table_.all_finite(theta, n_parameters_);
        return finite ? FINISHED : NOT_FINITE;
    }

    double penalty(const void* theta_, const NetworkPenalty& penalty) override {
        T* theta = const_cast<T*>(static_cast<const T*>(theta_));  // a penalty in Python is asked for its value only
        reserve_groups(penalty);
        double total = penalty.norm > 0 ? penalty.norm * norm_of_network(theta, penalty) : 0;
        for (i64 l = 0; l < n_layers_; ++l) {
            const LayerPenalty& layer = penalty.layers[l];
            T* w = theta + offsets_[l];
            if (layer.kind == OF_GROUPS) {
                total += table_.groups.value(w, layer.rows, sizes_[l + 1], layer.groups, group_scratch_.data());
            } else if (layer.kind == OF_MATRIX) {
                const auto call = reinterpret_cast<MatrixFunction<T>>(function_for<T>(layer.matrix));
                total += call(layer.matrix.context, PENALTY_VALUE, w, nullptr, layer.rows, sizes_[l + 1], 0,
                              layer.matrix.strength);
            }
            w += layer.rows * sizes_[l + 1];
            for (const Segment& segment : layer.segments) {
                total += table_.penalty_value(w, segment.n, segment.penalty);
                w += segment.n;
            }
        }
        return total;
    }

    // Seconds that the matrix products of one step take by themselves, on warm buffers; for benchmarks.
    double gemm_seconds(i64 rows, i64 repeats) override {
        const FlushToZero flush;
        reserve(rows);
        reserve_backward();
        Buffer<T> theta(n_parameters_), input(rows * sizes_[0]), gradient(2 * largest_layer_);
        std::fill_n(theta.data(), n_parameters_, T(0.01));
        std::fill_n(input.data(), rows * sizes_[0], T(0.5));
        std::fill_n(deltas_[0].data(), rows * widest_, T(0.5));
        std::fill_n(gradient.data(), 2 * largest_layer_, T(0));
        const auto begin = std::chrono::steady_clock::now();
        for (i64 r = 0; r < repeats; ++r) {
            for (i64 l = 0; l < n_layers_; ++l) {
                const T* a = l == 0 ? input.data() : outputs_[l - 1].data();
                products_.forward(a, sizes_[l], theta.data() + offsets_[l], outputs_[l].data(), rows, sizes_[l],
                                  sizes_[l + 1]);
            }
            for (i64 l = n_layers_ - 1; l >= 0; --l) {
                const T* a = l == 0 ? input.data() : outputs_[l - 1].data();
                if (l > 0 && sizes_[l + 1] == 1) {
                    table_.activations[IDENTITY].single_output_backward(
                        a, nullptr, deltas_[0].data(), theta.data() + offsets_[l], deltas_[1].data(), gradient.data(),
                        gradient.data() + sizes_[l], rows, sizes_[l]);
                    continue;
                }
                if (l > 0) {
                    products_.backward(deltas_[0].data(), theta.data() + offsets_[l], deltas_[1].data(), rows,
                                       sizes_[l], sizes_[l + 1]);
                }
                products_.weight_gradient(a, sizes_[l], deltas_[0].data(), gradient.data(), rows, sizes_[l],
                                          sizes_[l + 1], false);
            }
        }
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
        return elapsed.count() / static_cast<double>(repeats);
    }

  private:
    // Asks Python for signals about every 50 ms; looks at the time only after some work, which is cheaper.
    class Clock {
      public:
        Clock(Poll poll, double operations_per_call)
            : poll_(poll), calls_between_looks_(std::max<i64>(1, static_cast<i64>(1e7 / operations_per_call))) {}

        bool interrupted() {
            if (poll_ == nullptr || ++calls_ < calls_between_looks_) return false;
            calls_ = 0;
            const auto now = std::chrono::steady_clock::now();
            if (now - last_ < std::chrono::milliseconds(50)) return false;
            last_ = now;
            const KeepDenormals keep;
            return poll_() != 0;
        }

      private:
        Poll poll_;
        i64 calls_between_looks_, calls_ = 0;
        std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
    };

    // What the backward pass needs besides: a transposed matrix, and the slopes that do not follow from activations.
    void reserve_backward() {
        if (!has_transposed_) products_.reserve(largest_above_);
        has_transposed_ = true;
        if (reserved_slopes_ >= reserved_) return;
        reserved_slopes_ = 0;  // until every allocation has succeeded
        for (i64 l = 0; l < n_layers_; ++l) {
            if (activation_of(l).keeps_slope) slopes_[l] = Buffer<T>(reserved_ * sizes_[l + 1]);
        }
        reserved_slopes_ = reserved_;
    }

    void reserve_norms() {
        if (!input_norms_known_) input_norms_ = Buffer<T>(problem_.n_rows);
        norms_ = Buffer<T>(reserved_);
        delta_norms_ = Buffer<T>(reserved_);
    }

    const ActivationFunctions<T>& activation_of(i64 l) const { return table_.activations[activations_[l]]; }

    void reserve_groups(const NetworkPenalty& penalty) {
        i64 most = 0;
        for (const LayerPenalty& layer : penalty.layers) {
            if (layer.kind == OF_GROUPS) most = std::max(most, layer.groups.groups.n);
        }
        if (most <= reserved_groups_) return;
        group_steps_ = Buffer<T>(most + GROUP_PADDING);
        group_scratch_ = Buffer<T>(3 * (most + GROUP_PADDING));
        reserved_groups_ = most;
    }

    i64 weights_of(i64 l) const { return sizes_[l] * sizes_[l + 1]; }
    double operations_per_row() const { return 6.0 * static_cast<double>(n_parameters_) + 1; }

    void point_into(const T* theta) {
        for (i64 l = 0; l < n_layers_; ++l) {
            weights_[l] = theta + offsets_[l];
            intercepts_[l] = weights_[l] + weights_of(l);
        }
    }

    // with_slopes: a backward pass follows.
    void forward_block(const Features<T>& x, const i64* rows, i64 start, i64 n, bool with_slopes) {
        if (x.needs_gather(rows)) {
            if (gathered_rows_ < n) {
                gathered_ = Buffer<T>(reserved_ * sizes_[0]);
                gathered_rows_ = reserved_;
            }
            x.gather(rows, start, n, gathered_.data());
            input_ = gathered_.data();
            input_stride_ = sizes_[0];
        } else if (!x.sparse()) {
            input_ = x.row(start);
            input_stride_ = x.row_stride();
        }
        for (i64 l = 0; l < n_layers_; ++l) {
            const T* w = weights_[l];
            T* out = outputs_[l].data();
            if (l == 0 && x.sparse()) {
                x.sparse_forward(rows, start, n, w, out, sizes_[1]);
            } else if (l == 0) {
                products_.forward(input_, input_stride_, w, out, n, sizes_[0], sizes_[1]);
            } else {
                products_.forward(outputs_[l - 1].data(), sizes_[l], w, out, n, sizes_[l], sizes_[l + 1]);
            }
            T* slopes = with_slopes ? slopes_[l].data() : nullptr;
            activation_of(l).forward(out, intercepts_[l], slopes, n, sizes_[l + 1]);
        }
    }

    // Weighted sum of losses over the block; leaves scale * gradient in raw in deltas_[0].
    double loss_block(const i64* rows, i64 start, i64 n, T scale) {
        const i64 columns = problem_.y_columns;
        const T* y = static_cast<const T*>(problem_.y);
        const T* weight = static_cast<const T*>(problem_.sample_weight);
        if (rows == nullptr) {
            y += start * columns;
            if (weight != nullptr) weight += start;
        } else {
            for (i64 i = 0; i < n; ++i) {
                for (i64 j = 0; j < columns; ++j) y_.data()[i * columns + j] = y[rows[start + i] * columns + j];
            }
            y = y_.data();
            if (weight != nullptr) {
                for (i64 i = 0; i < n; ++i) weight_.data()[i] = weight[rows[start + i]];
                weight = weight_.data();
            }
        }
        return loss_(problem_.loss.context, y, columns, outputs_[n_layers_ - 1].data(), n, sizes_[n_layers_], weight,
                     scale, deltas_[0].data());
    }

    // From the top layer down: the delta below (with the old weights), then this layer's gradient, then `done`, which
    // may update the layer at once, while its gradient is in the cache.
    template <class Where, class Done>
    void backward_block(const Features<T>& x, const i64* rows, i64 start, i64 n, bool accumulate,
                        const Where& where, const Done& done) {
        T* delta = deltas_[0].data();
        T* below = deltas_[1].data();
        T* sums = bias_sums_[0].data();
        T* sums_below = bias_sums_[1].data();
        std::fill_n(sums, sizes_[n_layers_], T(0));
        table_.column_sums(delta, sums, n, sizes_[n_layers_]);
        for (i64 l = n_layers_ - 1; l >= 0; --l) {
            const i64 fan_in = sizes_[l], fan_out = sizes_[l + 1];
            T* gradient = where(l);
            if (l > 0) std::fill_n(sums_below, fan_in, T(0));
            if (l > 0 && fan_out == 1) {
                if (!accumulate) std::fill_n(gradient, fan_in, T(0));
                activation_of(l - 1).single_output_backward(outputs_[l - 1].data(), slopes_[l - 1].data(), delta,
                                                            weights_[l], below, sums_below, gradient, n, fan_in);
            } else if (l > 0) {
                products_.backward(delta, weights_[l], below, n, fan_in, fan_out);
                const ActivationFunctions<T>& activation = activation_of(l - 1);
                const Buffer<T>& a_or_slope = activation.keeps_slope ? slopes_[l - 1] : outputs_[l - 1];
                activation.backward(a_or_slope.data(), below, sums_below, n, fan_in);
                products_.weight_gradient(outputs_[l - 1].data(), fan_in, delta, gradient, n, fan_in, fan_out, accumulate);
            } else if (x.sparse()) {
                x.sparse_weight_gradient(rows, start, n, delta, gradient, fan_out, accumulate);
            } else {
                products_.weight_gradient(input_, input_stride_, delta, gradient, n, fan_in, fan_out, accumulate);
            }
            T* intercepts = gradient + weights_of(l);
            if (!accumulate) std::fill_n(intercepts, fan_out, T(0));
            table_.add_scaled(intercepts, sums, fan_out, T(1));
            if (held_ != nullptr) clear_held(gradient, l);
            done(l, gradient, delta);
            std::swap(delta, below);
            std::swap(sums, sums_below);
        }
    }

    void clear_held(T* gradient, i64 l) const {
        const std::uint8_t* held = held_ + offsets_[l];
        for (i64 j = 0; j < weights_of(l) + sizes_[l + 1]; ++j) gradient[j] = held[j] ? T(0) : gradient[j];
    }

    // Sum over a block of the bound rows of |input, 1| * |delta|. The norms of the features are kept: they do not change.
    double gradient_bound(i64 l, const Features<T>& x, i64 start, i64 n, const T* delta) {
        T* norms = l == 0 ? input_norms_.data() + start : norms_.data();
        if (l > 0) {
            table_.squared_norms(outputs_[l - 1].data(), sizes_[l], norms, n, sizes_[l]);
        } else if (!input_norms_known_ && x.sparse()) {
            x.sparse_squared_norms(problem_.rows, start, n, norms);
        } else if (!input_norms_known_) {
            table_.squared_norms(input_, input_stride_, norms, n, sizes_[0]);
        }
        table_.squared_norms(delta, sizes_[l + 1], delta_norms_.data(), n, sizes_[l + 1]);
        return table_.sum_of_bounds(norms, delta_norms_.data(), n);
    }

    double update_layer(T* theta, T* gradient, i64 l, const Rule<T>& rule, const LayerPenalty& penalty) {
        const i64 columns = sizes_[l + 1];
        i64 offset = offsets_[l];
        double cost = 0;
        if (penalty.kind == OF_GROUPS) {
            cost = rule.update_groups(theta, gradient, offset, penalty.rows, columns, penalty.groups,
                                      group_steps_.data(), group_scratch_.data(), &group_costs_[l]);
        } else if (penalty.kind == OF_MATRIX) {
            cost = rule.update_matrix(theta, gradient, offset, penalty.rows, columns, penalty.matrix);
        } else if (penalty.kind == OF_NETWORK) {
            network_steps_[l] = rule.advance(theta, gradient, offset, penalty.rows, columns);
        }
        gradient += penalty.rows * columns;
        offset += penalty.rows * columns;
        for (const Segment& segment : penalty.segments) {
            cost += rule.update(theta, gradient, offset, segment.n, segment.penalty);
            gradient += segment.n;
            offset += segment.n;
        }
        return cost;
    }

    double norm_of_layer(const T* w, i64 l, const NetworkPenalty& penalty) const {
        GroupPenalty whole;
        whole.groups.by = BY_MATRIX;
        whole.groups.n = 1;
        whole.strength = 1;
        T scratch[3 * (1 + GROUP_PADDING)];
        return table_.groups.value(w, penalty.layers[l].rows, sizes_[l + 1], whole, scratch);
    }

    double norm_of_network(const T* theta, const NetworkPenalty& penalty) const {
        double norm = 0;
        for (i64 l = 0; l < n_layers_; ++l) norm = std::hypot(norm, norm_of_layer(theta + offsets_[l], l, penalty));
        return norm;
    }

    // The prox of strength * norm of all matrices, each with its own step (under adam; sgd has one), of their ends z in
    // ends_: u_l = z_l * r / (r + step_l * strength), where r = ||u||. Returns r.
    double shrink_network(T* theta, const Rule<T>& rule, const NetworkPenalty& penalty) {
        std::vector<double>& norms = network_norms_;
        for (i64 l = 0; l < n_layers_; ++l) norms[l] = norm_of_layer(ends_.data() + offsets_[l], l, penalty);
        const double r = norm_after_prox(norms, network_steps_, penalty.norm);
        for (i64 l = 0; l < n_layers_; ++l) {
            const i64 n = penalty.layers[l].rows * sizes_[l + 1];
            T* z = ends_.data() + offsets_[l];
            const T factor = static_cast<T>(r == 0 ? 0 : r / (r + network_steps_[l] * penalty.norm));
            for (i64 j = 0; j < n; ++j) z[j] = factor == 0 ? T(0) : factor * z[j];
            rule.accept(theta, z, offsets_[l], n);
        }
        return r;
    }

    std::vector<i64> sizes_, offsets_;
    i64 n_layers_, n_parameters_ = 0, largest_layer_ = 0, largest_above_ = 0, widest_ = 1, block_rows_ = 0, reserved_ = 0;
    const KernelTable<T>& table_;
    Products<T> products_;
    std::vector<int> activations_;  // of each layer
    Problem problem_;
    LossFunction<T> loss_ = nullptr;
    const std::uint8_t* held_ = nullptr;

    std::vector<const T*> weights_, intercepts_;  // of the layers, wherever they lie
    std::vector<Buffer<T>> outputs_;  // activations of each layer; the last holds raw
    std::vector<Buffer<T>> slopes_;   // their derivatives, where they do not follow from the activations
    Buffer<T> deltas_[2], bias_sums_[2], y_, weight_, gathered_, layer_gradient_;
    Buffer<T> group_steps_, group_scratch_, ends_;
    std::vector<double> network_steps_, network_norms_;
    Buffer<T> input_norms_, norms_, delta_norms_;  // squared, of rows
    std::vector<double> group_costs_;  // of each layer before its next step; NaN: not known
    i64 gathered_rows_ = 0, reserved_groups_ = 0, reserved_slopes_ = 0;
    bool has_transposed_ = false, input_norms_known_ = false;
    const T* input_ = nullptr;
    i64 input_stride_ = 0;
};

}  // namespace sknormnet
