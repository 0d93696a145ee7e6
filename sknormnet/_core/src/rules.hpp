// Update rules: what a step does to a segment of theta, with the prox inside the iteration.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels.hpp"

namespace sknormnet {

// That function for T of a penalty's or a loss's two.
template <class T, class Holder> void* function_for(const Holder& holder) {
    return sizeof(T) == sizeof(float) ? holder.float_function : holder.double_function;
}

enum RuleKind : int { SGD, ADAM };

struct RuleParameters {
    int kind = SGD;
    double momentum = 0;
    bool nesterov = false;
    double beta_1 = 0, beta_2 = 0, epsilon = 0;
};

template <class T> class Rule {
  public:
    // first and second have theta's length: velocity (or Nesterov's x) for sgd, the moments for adam.
    Rule(const RuleParameters& p, T* first, T* second, i64 steps_done, const KernelTable<T>& table)
        : p_(p), first_(first), second_(second), power_1_(std::pow(p.beta_1, static_cast<double>(steps_done))),
          power_2_(std::pow(p.beta_2, static_cast<double>(steps_done))), table_(&table) {}

    void begin_step(double learning_rate) {
        if (p_.kind == SGD) {
            sgd_ = {learning_rate, p_.momentum, p_.nesterov};
            return;
        }
        power_1_ *= p_.beta_1;
        power_2_ *= p_.beta_2;
        const double metric = learning_rate * std::sqrt(1 - power_2_);
        // Never below the normal numbers of T: 0 / 0 where a gradient is always zero.
        const double epsilon = std::max(p_.epsilon, static_cast<double>(std::numeric_limits<T>::min()));
        adam_ = {metric / (1 - power_1_), metric, learning_rate, p_.beta_1, p_.beta_2, epsilon};
    }

    double update(T* theta, const T* gradient, i64 offset, i64 n, const Elementwise& penalty) const {
        if (p_.kind == SGD) return table_->sgd(theta + offset, gradient, first_ + offset, n, sgd_, penalty);
        return table_->adam(theta + offset, gradient, first_ + offset, second_ + offset, n, adam_, penalty);
    }

    // For penalties of groups of a matrix; the gradient is overwritten. `cost` is the penalty, its constraints left out,
    // before the step and then after it: the norms are known there, which would have to be computed afresh for w. NaN:
    // not known yet. Returned is that before the step. In Nesterov's form it is that of x, the model, not of w.
    double update_groups(T* theta, T* gradient, i64 offset, i64 rows, i64 columns, const GroupPenalty& penalty,
                         T* steps, T* scratch, double* cost) const {
        const GroupFunctions<T>& functions = table_->groups;
        T *w = theta + offset, *first = first_ + offset;
        double before = *cost;
        if (std::isnan(before)) {
            const bool looks_ahead = p_.kind == SGD && p_.nesterov;
            before = functions.cost(looks_ahead ? first : w, rows, columns, penalty, scratch);
        }
        if (p_.kind == SGD) {
            *cost = functions.sgd(w, gradient, first, rows, columns, penalty, sgd_, steps, scratch);
        } else {
            T* second = second_ + offset;
            *cost = functions.adam(w, gradient, first, second, rows, columns, penalty, adam_, steps, scratch);
        }
        return before;
    }

    // For penalties of a matrix that are written in Python: all weights share one step of the prox.
    double update_matrix(T* theta, T* gradient, i64 offset, i64 rows, i64 columns, const MatrixPenalty& penalty) const {
        const auto call = reinterpret_cast<MatrixFunction<T>>(function_for<T>(penalty));
        const auto ask = [&](int request, T* w, double step) {
            return call(penalty.context, request, w, gradient, rows, columns, step, penalty.strength);
        };
        if (penalty.smooth) {
            const double cost = ask(PENALTY_GRADIENT, theta + offset, 0);
            return cost + update(theta, gradient, offset, rows * columns, Elementwise());
        }
        const double cost = ask(PENALTY_VALUE, model(theta) + offset, 0);
        const double step = advance(theta, gradient, offset, rows, columns);
        const double failed = ask(PENALTY_PROX, gradient, step);
        accept(theta, gradient, offset, rows * columns);
        return cost + failed;
    }

    // A step without the penalty, whose end z overwrites the gradient, of a matrix whose weights share the step of the
    // prox that is to follow, which is returned.
    double advance(T* theta, T* gradient, i64 offset, i64 rows, i64 columns) const {
        Groups whole;
        whole.by = BY_MATRIX;
        whole.n = 1;
        T step;
        if (p_.kind == SGD) {
            table_->sgd_advance(theta + offset, gradient, first_ + offset, rows, columns, whole, sgd_, &step);
        } else {
            table_->adam_advance(theta + offset, gradient, first_ + offset, second_ + offset, rows, columns, whole,
                                 adam_, &step);
        }
        return static_cast<double>(step);
    }

    // z, after its prox, becomes the model.
    void accept(T* theta, const T* z, i64 offset, i64 n) const {
        if (p_.kind == SGD) {
            table_->sgd_accept(theta + offset, z, first_ + offset, n, sgd_);
        } else {
            std::copy_n(z, n, theta + offset);
        }
    }

    // Where penalties are not smooth, Nesterov's theta looks ahead, and the model is the rule's state.
    T* model(T* theta) const { return p_.kind == SGD && p_.nesterov ? first_ : theta; }

  private:
    RuleParameters p_;
    T *first_, *second_;
    double power_1_, power_2_;
    const KernelTable<T>* table_;
    SgdStep sgd_{};
    AdamStep adam_{};
};

}  // namespace sknormnet
