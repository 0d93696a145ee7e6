// The elementwise kernels. Compiled once per instruction set by kernels_*.cpp, which define SKNORMNET_TABLE, the
// prefix of the tables' names. Everything but those two tables lives in the anonymous namespace, and no standard
// library template is used: code for a wide instruction set must never be merged with its namesake by the linker.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels.hpp"

#if defined(_MSC_VER)
#define SKNORMNET_RESTRICT __restrict
#else
#define SKNORMNET_RESTRICT __restrict__
#endif

// Inlines all calls inside a function: a loop vectorises only if its whole body is inlined, whatever its size.
// Clang's flatten reaches one call deep; below it, long functions need SKNORMNET_INLINE.
// Where that loop is the last of several in a function that is inlined itself, compilers give up on it: NOINLINE.
#if defined(__GNUC__)
#define SKNORMNET_NOINLINE __attribute__((noinline))
#define SKNORMNET_FLATTEN __attribute__((flatten))
#define SKNORMNET_INLINE __attribute__((always_inline)) inline
#else
#define SKNORMNET_NOINLINE __declspec(noinline)
#define SKNORMNET_FLATTEN
#define SKNORMNET_INLINE inline
#endif

namespace {

using sknormnet::AdamStep;
using sknormnet::Elementwise;
using sknormnet::i64;
using sknormnet::LossParameters;
using sknormnet::SgdStep;

#include "simd_math.hpp"

#include "sums_impl.hpp"

template <class T> struct Evaluation {
    T value, slope;  // of a function of one variable
};

#include "activations_impl.hpp"

template <class T> void column_sums(const T* SKNORMNET_RESTRICT delta, T* SKNORMNET_RESTRICT sums, i64 rows, i64 columns) {
    if (columns == 1) {
        sums[0] += sum_over<T>(0, rows, [=](i64 i) { return delta[i]; });
        return;
    }
    for (i64 i = 0; i < rows; ++i) {
#pragma omp simd
        for (i64 j = 0; j < columns; ++j) sums[j] += delta[i * columns + j];
    }
}

#include "losses_impl.hpp"
#include "classification_impl.hpp"

// ------------------------------------------------------------------------------------------ penalties, rules

template <class T> inline T soft_threshold(T v, T threshold) {  // never -0, and NaN stays NaN
    return v - clamp(v, -threshold, threshold);
}

template <class T> bool all_finite(const T* w, i64 n) {
    i64 bad = 0;
#pragma omp simd reduction(+ : bad)
    for (i64 j = 0; j < n; ++j) bad += !(w[j] - w[j] == 0);
    return bad == 0;
}

// The least value that a weight may have.
template <class T> inline T lowest_of(const Elementwise& penalty) {
    return penalty.non_negative ? T(0) : static_cast<T>(-HUGE_VAL);
}

// Written so that NaN stays NaN.
template <class T> inline T at_least(T lowest, T v) { return v < lowest ? lowest : v; }
template <class T> inline T at_most(T highest, T v) { return v > highest ? highest : v; }

template <class T> double penalty_value(const T* w, i64 n, const Elementwise& penalty) {
    const T l1 = static_cast<T>(penalty.l1), half_l2 = static_cast<T>(0.5 * penalty.l2);
    const T lowest = lowest_of<T>(penalty), infinity = static_cast<T>(HUGE_VAL);
    return sum_in_chunks<T>(n, [=](i64 j) {
        return w[j] < lowest ? infinity : l1 * absolute(w[j]) + half_l2 * w[j] * w[j];
    });
}

template <class T>
double sgd(T* SKNORMNET_RESTRICT w, const T* SKNORMNET_RESTRICT gradient, T* SKNORMNET_RESTRICT state, i64 n,
           const SgdStep& step, const Elementwise& penalty) {
    const T rate = static_cast<T>(step.learning_rate), momentum = static_cast<T>(step.momentum);
    const T l1 = static_cast<T>(penalty.l1), l2 = static_cast<T>(penalty.l2);
    const auto cost = [=](T t) { return l1 * absolute(t) + T(0.5) * l2 * t * t; };
    const T decay = static_cast<T>(step.learning_rate * penalty.decay);
    if (penalty.smooth) {
        // v <- momentum*v - rate*g, then w <- w + v, or with Nesterov's look-ahead w + momentum*v - rate*g.
        if (step.nesterov) {
            return sum_in_chunks<T>(n, [=](i64 j) {
                const T before = w[j];
                const T descent = rate * (gradient[j] + l2 * before);
                const T v = momentum * state[j] - descent;
                state[j] = v;
                w[j] = before + (momentum * v - descent) - decay * before;
                return cost(before);
            });
        }
        return sum_in_chunks<T>(n, [=](i64 j) {
            const T before = w[j];
            const T v = momentum * state[j] - rate * (gradient[j] + l2 * before);
            state[j] = v;
            w[j] = before + v - decay * before;
            return cost(before);
        });
    }
    const T threshold = rate * l1, shrink = 1 / (1 + rate * l2), lowest = lowest_of<T>(penalty);
    const auto prox = [=](T v) { return at_least(lowest, soft_threshold(v, threshold) * shrink); };
    if (step.nesterov) {
        // x+ <- prox(z - rate*g(z)), z+ <- x+ + momentum*(x+ - x)
        return sum_in_chunks<T>(n, [=](i64 j) {
            const T before = state[j];
            const T x = prox(w[j] - rate * gradient[j]);
            w[j] = x + momentum * (x - before);
            state[j] = x;
            return cost(before);
        });
    }
    // x+ <- prox(x + momentum*v - rate*g), v <- x+ - x
    return sum_in_chunks<T>(n, [=](i64 j) {
        const T before = w[j];
        const T after = prox(before + momentum * state[j] - rate * gradient[j]);
        state[j] = after - before;
        w[j] = after;
        return cost(before);
    });
}

template <class T> struct Moments {
    T* SKNORMNET_RESTRICT first;
    T* SKNORMNET_RESTRICT second;
    T beta_1, rest_1, beta_2, rest_2, epsilon;
    Moments(T* first_, T* second_, const AdamStep& step)
        : first(first_), second(second_), beta_1(static_cast<T>(step.beta_1)), rest_1(static_cast<T>(1 - step.beta_1)),
          beta_2(static_cast<T>(step.beta_2)), rest_2(static_cast<T>(1 - step.beta_2)),
          epsilon(static_cast<T>(step.epsilon)) {}
    T update(i64 j, T g) const {  // the second one
        const T v = beta_2 * second[j] + rest_2 * (g * g);
        first[j] = beta_1 * first[j] + rest_1 * g;
        second[j] = v;
        return v;
    }
    T metric(T v) const { return square_root(v) + epsilon; }
};

template <class T>
double adam(T* SKNORMNET_RESTRICT w, const T* SKNORMNET_RESTRICT gradient, T* SKNORMNET_RESTRICT first,
            T* SKNORMNET_RESTRICT second, i64 n, const AdamStep& step, const Elementwise& penalty) {
    const Moments<T> moments(first, second, step);
    const T rate = static_cast<T>(step.rate), metric = static_cast<T>(step.metric);
    const T l1 = static_cast<T>(penalty.l1), l2 = static_cast<T>(penalty.l2);
    const auto cost = [=](T t) { return l1 * absolute(t) + T(0.5) * l2 * t * t; };
    const T decay = static_cast<T>(step.learning_rate * penalty.decay);
    if (penalty.smooth) {
        return sum_in_chunks<T>(n, [=](i64 j) {
            const T before = w[j];
            const T d = moments.metric(moments.update(j, gradient[j] + l2 * before));
            w[j] = before - rate * first[j] / d - decay * before;
            return cost(before);
        });
    }
    // argmin_u 0.5*d*(u - (w - rate*m/d))^2 + metric*(l1*|u| + l2*u^2/2), d = sqrt(v) + epsilon: one division.
    const T threshold = metric * l1, growth = metric * l2, lowest = lowest_of<T>(penalty);
    return sum_in_chunks<T>(n, [=](i64 j) {
        const T before = w[j];
        const T d = moments.metric(moments.update(j, gradient[j]));
        w[j] = at_least(lowest, soft_threshold(before * d - rate * first[j], threshold) / (d + growth));
        return cost(before);
    });
}

#include "groups_impl.hpp"

template <class T> void penalty_prox(const T* v, T* out, i64 n, const Elementwise& penalty, double step) {
    const T threshold = static_cast<T>(step * penalty.l1), shrink = static_cast<T>(1 / (1 + step * penalty.l2));
    const T lowest = lowest_of<T>(penalty);
#pragma omp simd
    for (i64 j = 0; j < n; ++j) out[j] = at_least(lowest, soft_threshold(v[j], threshold) * shrink);
}

template <class T> void penalty_subgradient(const T* w, T* out, i64 n, const Elementwise& penalty) {
    const T l1 = static_cast<T>(penalty.l1), l2 = static_cast<T>(penalty.l2);
#pragma omp simd
    for (i64 j = 0; j < n; ++j) out[j] = l2 * w[j] + (w[j] > 0 ? l1 : (w[j] < 0 ? -l1 : T(0)));
}

// Distance of -gradient to the subdifferential, element by element: at zero that is [-l1, l1], or all up to l1.
template <class T> void penalty_residual(const T* w, const T* gradient, T* out, i64 n, const Elementwise& penalty) {
    const T l1 = static_cast<T>(penalty.l1), l2 = static_cast<T>(penalty.l2);
    const bool non_negative = penalty.non_negative;
#pragma omp simd
    for (i64 j = 0; j < n; ++j) {
        const T g = gradient[j] + l2 * w[j];
        const T excess = (non_negative ? -g : absolute(g)) - l1;
        const T at_zero = excess < 0 ? T(0) : excess;
        const T elsewhere = absolute(g + (w[j] < 0 ? -l1 : l1));
        out[j] = w[j] == 0 ? at_zero : elsewhere;
    }
}

template <class T> void add_scaled(T* SKNORMNET_RESTRICT out, const T* SKNORMNET_RESTRICT x, i64 n, T factor) {
#pragma omp simd
    for (i64 j = 0; j < n; ++j) out[j] += factor * x[j];
}

template <class T> void squared_norms(const T* a, i64 stride, T* SKNORMNET_RESTRICT out, i64 rows, i64 columns) {
    if (columns < 16) {  // too short for sums of whole vectors
#pragma omp simd
        for (i64 i = 0; i < rows; ++i) out[i] = a[i * stride] * a[i * stride];
        for (i64 j = 1; j < columns; ++j) {
#pragma omp simd
            for (i64 i = 0; i < rows; ++i) out[i] += a[i * stride + j] * a[i * stride + j];
        }
        return;
    }
    sums_of_rows(rows, columns, stride, out, [=](i64 k, i64) { return a[k] * a[k]; });
}

template <class T> double sum_of_bounds(const T* inputs, const T* deltas, i64 n) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (i64 i = 0; i < n; ++i) sum += square_root((1.0 + inputs[i]) * static_cast<double>(deltas[i]));
    return sum;
}

// -------------------------------------------------------------------------------------- products with a vector

template <class T>
void matrix_vector(const T* a, i64 stride, const T* SKNORMNET_RESTRICT w, T* SKNORMNET_RESTRICT out, i64 rows,
                   i64 columns) {
    sums_of_rows(rows, columns, stride, out, [=](i64 k, i64 j) { return a[k] * w[j]; });
}

template <class T>
void vector_matrix(const T* a, i64 stride, const T* SKNORMNET_RESTRICT d, T* SKNORMNET_RESTRICT out, i64 rows,
                   i64 columns, bool accumulate) {
    if (!accumulate) memset(out, 0, static_cast<size_t>(columns) * sizeof(T));
    i64 i = 0;
    for (; i + 4 <= rows; i += 4) {  // four rows a pass: out is read and written a quarter as often
        const T* SKNORMNET_RESTRICT r0 = a + i * stride;
        const T* SKNORMNET_RESTRICT r1 = r0 + stride;
        const T* SKNORMNET_RESTRICT r2 = r1 + stride;
        const T* SKNORMNET_RESTRICT r3 = r2 + stride;
        const T d0 = d[i], d1 = d[i + 1], d2 = d[i + 2], d3 = d[i + 3];
        for_columns(columns, [=](i64 j) { out[j] += (d0 * r0[j] + d1 * r1[j]) + (d2 * r2[j] + d3 * r3[j]); });
    }
    for (; i < rows; ++i) add_scaled(out, a + i * stride, columns, d[i]);
}

// ---------------------------------------------------------------------------------------------------- table

template <class T> constexpr sknormnet::KernelTable<T> make_table() {
    return {
        {activation_functions<T, Identity>(), activation_functions<T, Relu>(), activation_functions<T, Tanh>(),
         activation_functions<T, Logistic>(), activation_functions<T, LeakyRelu>(), activation_functions<T, Elu>(),
         activation_functions<T, Gelu>(), activation_functions<T, Silu>(), activation_functions<T, Softplus>()},
        column_sums<T>,
        {elementwise_loss<T, Residual<T>>,
         by_encoding<T, elementwise_loss<T, Margin<T>>, one_versus_rest<T, Margin<T>>>,
         elementwise_loss<T, LogCosh<T>>, euclidean_loss<T>, quantile_loss<T>, elementwise_loss<T, Poisson<T>>,
         elementwise_loss<T, Gamma<T>>, tweedie_loss<T>, gaussian_nll<T>,
         by_encoding<T, elementwise_loss<T, BinaryLogLoss<T>>, softmax_log_loss<T>>,
         by_encoding<T, elementwise_loss<T, BinaryBrier<T>>, softmax_brier<T>>,
         by_encoding<T, elementwise_loss<T, BinaryFocal<T>>, softmax_focal<T>>},
        logistic<T>,
        log_logistic<T>,
        softmax<T>,
        log_softmax<T>,
        sgd<T>,
        adam<T>,
        sgd_advance<T>,
        sgd_accept<T>,
        adam_advance<T>,
        make_group_functions<T>(),
        penalty_value<T>,
        penalty_prox<T>,
        penalty_subgradient<T>,
        penalty_residual<T>,
        add_scaled<T>,
        all_finite<T>,
        squared_norms<T>,
        sum_of_bounds<T>,
        matrix_vector<T>,
        vector_matrix<T>,
    };
}

}  // namespace

namespace sknormnet {
extern const KernelTable<float> SKNORMNET_TABLE(float);
extern const KernelTable<double> SKNORMNET_TABLE(double);
const KernelTable<float> SKNORMNET_TABLE(float) = make_table<float>();
const KernelTable<double> SKNORMNET_TABLE(double) = make_table<double>();
}  // namespace sknormnet
