// The table's functions under names of their own, for Cython, which cannot call through a table of a fused type.
#pragma once
#include "kernels.hpp"

namespace sknormnet {

template <class T> bool keeps_slope(int activation) { return kernels<T>().activations[activation].keeps_slope; }
template <class T>
void activation_forward(int activation, T* z, const T* bias, T* slope, i64 rows, i64 columns) {
    kernels<T>().activations[activation].forward(z, bias, slope, rows, columns);
}
template <class T>
void activation_backward(int activation, const T* a_or_slope, T* delta, T* sums, i64 rows, i64 columns) {
    kernels<T>().activations[activation].backward(a_or_slope, delta, sums, rows, columns);
}

template <class T> void* loss_function(int loss) { return reinterpret_cast<void*>(kernels<T>().losses[loss]); }

template <class T> void logistic(const T* x, T* out, i64 n) { kernels<T>().logistic(x, out, n); }
template <class T> void log_logistic(const T* x, T* out, i64 n) { kernels<T>().log_logistic(x, out, n); }
template <class T> void softmax(const T* x, T* out, i64 rows, i64 columns) {
    kernels<T>().softmax(x, out, rows, columns);
}
template <class T> void log_softmax(const T* x, T* out, i64 rows, i64 columns) {
    kernels<T>().log_softmax(x, out, rows, columns);
}

template <class T> bool all_finite(const T* values, i64 n) { return kernels<T>().all_finite(values, n); }

template <class T> double group_value(const T* w, i64 rows, i64 columns, const GroupPenalty& penalty, T* scratch) {
    return kernels<T>().groups.value(w, rows, columns, penalty, scratch);
}
template <class T>
void group_prox(T* w, i64 rows, i64 columns, const GroupPenalty& penalty, const T* steps, T* scratch) {
    kernels<T>().groups.prox(w, rows, columns, penalty, steps, scratch);
}
template <class T>
void group_subgradient(const T* w, T* out, i64 rows, i64 columns, const GroupPenalty& penalty, T* scratch) {
    kernels<T>().groups.subgradient(w, out, rows, columns, penalty, scratch);
}
template <class T>
void group_residual(const T* w, const T* gradient, T* out, i64 rows, i64 columns, const GroupPenalty& penalty,
                    T* scratch) {
    kernels<T>().groups.residual(w, gradient, out, rows, columns, penalty, scratch);
}

template <class T> double penalty_value(const T* w, i64 n, const Elementwise& penalty) {
    return kernels<T>().penalty_value(w, n, penalty);
}
template <class T> void penalty_prox(const T* v, T* out, i64 n, const Elementwise& penalty, double step) {
    kernels<T>().penalty_prox(v, out, n, penalty, step);
}
template <class T> void penalty_subgradient(const T* w, T* out, i64 n, const Elementwise& penalty) {
    kernels<T>().penalty_subgradient(w, out, n, penalty);
}
template <class T> void penalty_residual(const T* w, const T* gradient, T* out, i64 n, const Elementwise& penalty) {
    kernels<T>().penalty_residual(w, gradient, out, n, penalty);
}

}  // namespace sknormnet
