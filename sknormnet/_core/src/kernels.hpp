// The table of elementwise kernels that each instruction set fills in; data only, so that nothing leaks to the linker.
#pragma once
#include <cstdint>

namespace sknormnet {

using i64 = std::int64_t;

enum Activation : int { IDENTITY, RELU, TANH, LOGISTIC, LEAKY_RELU, ELU, GELU, SILU, SOFTPLUS, N_ACTIVATIONS };
enum LossId : int {
    RESIDUAL_LOSS,  // piecewise linear or quadratic in raw - y
    MARGIN_LOSS,    // the same in 1 - margin
    LOG_COSH,
    EUCLIDEAN,
    QUANTILE,
    POISSON,
    GAMMA,
    TWEEDIE,
    GAUSSIAN_NLL,
    LOG_LOSS,
    BRIER,
    FOCAL,
    N_LOSSES
};

// What the built-in losses' context points to.
struct LossParameters {
    double lower, upper, width;  // slopes of the straight parts, and how wide the parabola between them is
    double tube;                 // residuals up to here cost nothing
    double shape;                // power, gamma, min_variance or label_smoothing
    const double* levels;        // quantiles
    i64 n_levels;
};

// Sum over the rows of sample_weight * loss, and gradient = scale * sample_weight * d loss / d raw. y has y_columns
// columns, raw and gradient have raw_columns; sample_weight may be null (all ones). context is a LossParameters, or what belongs to a loss that is written in Python.
template <class T>
using LossFunction = double (*)(void* context, const T* y, i64 y_columns, const T* raw, i64 rows, i64 raw_columns,
                                const T* sample_weight, T scale, T* gradient);

// rho(t) = l1*|t| + l2*t^2/2 with the strength multiplied in, for t >= 0 alone if non_negative; smooth: l2 joins the
// gradient, otherwise all is taken by the prox. decay is outside the objective: after a step, learning_rate * decay * w
// is taken off.
struct Elementwise {
    double l1 = 0, l2 = 0, decay = 0;
    bool non_negative = false, smooth = true;
};

// A penalty of a matrix that is written in Python. VALUE returns it, GRADIENT also adds its gradient to `gradient`, PROX
// overwrites w; NaN is returned where an exception waits to be raised.
enum PenaltyRequest : int { PENALTY_VALUE, PENALTY_GRADIENT, PENALTY_PROX };
template <class T>
using MatrixFunction = double (*)(void* context, int request, T* w, T* gradient, i64 rows, i64 columns, double step,
                                  double strength);
struct MatrixPenalty {
    void* float_function = nullptr;
    void* double_function = nullptr;
    void* context = nullptr;
    double strength = 0;
    bool smooth = false;
};

enum GroupBy : int { BY_WEIGHT, BY_INPUT, BY_OUTPUT, BY_MATRIX };
enum Shape : int { LINEAR, MINIMAX_CONCAVE, SMOOTHLY_CLIPPED, LIMIT, CUSTOM };
enum ShapeRequest : int { SHAPE_VALUE, SHAPE_SLOPE, SHAPE_PROX };

// Arrays of one number per group have so many entries more, whatever they hold: loops over groups go on to the end of a
// vector. Their tails, of up to 15 single divisions and roots, would cost more than the vectors before.
enum : int { GROUP_PADDING = 15 };

// How a matrix is cut into n groups: single weights, rows (joined where of_row names a row's group), columns, or all of
// it. One number per group, or null: factors multiply the strengths of the groups, inner_factors those of the terms of
// single weights; of joined rows, sizes are the numbers of rows.
struct Groups {
    int by = BY_WEIGHT;
    i64 n = 0;
    const i64* of_row = nullptr;
    const double* factors = nullptr;
    const double* inner_factors = nullptr;
    const double* sizes = nullptr;
};

// Overwrites n norms t_g with rho(t_g, s_g), its slope, or prox(t_g, steps_g, s_g), where s_g = strength * factors[g]
// (null: ones). False: it failed, and an exception is pending.
template <class T>
using ShapeFunction = bool (*)(void* context, int request, T* norms, const T* steps, i64 n, double strength,
                               const double* factors);

// Sum over groups of shape(norm) at strength; and over single weights of inner_l1 * |w| + l2 * w^2 / 2, with
// non_negative also infinity for w < 0. A LIMIT is a constraint, and holds whatever the strength, as non_negative does.
struct GroupPenalty {
    int shape = LINEAR;
    Groups groups;
    double strength = 0, gamma = 0, limit = 0;
    double inner_l1 = 0, l2 = 0;
    bool non_negative = false;
    double longest_step = 0;  // under adam: beyond, the prox of a concave shape would remove weights of any size
    void *context = nullptr, *float_function = nullptr, *double_function = nullptr;  // CUSTOM: a ShapeFunction
};

struct SgdStep {
    double learning_rate, momentum;
    bool nesterov;
};

struct AdamStep {
    double rate;    // learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t): multiplies the first moment
    double metric;  // learning_rate * sqrt(1 - beta_2^t): the prox's step times (sqrt(v) + epsilon)
    double learning_rate;
    double beta_1, beta_2, epsilon;
};

// Of a matrix of rows x columns; steps have one padded array of numbers per group, scratch has three.
template <class T> struct GroupFunctions {
    double (*cost)(const T* w, i64 rows, i64 columns, const GroupPenalty& penalty, T* scratch);  // without constraints
    double (*value)(const T* w, i64 rows, i64 columns, const GroupPenalty& penalty, T* scratch);
    void (*prox)(T* w, i64 rows, i64 columns, const GroupPenalty& penalty, const T* steps, T* scratch);
    void (*subgradient)(const T* w, T* out, i64 rows, i64 columns, const GroupPenalty& penalty, T* scratch);
    void (*residual)(const T* w, const T* gradient, T* out, i64 rows, i64 columns, const GroupPenalty& penalty,
                     T* scratch);
    // A step with the prox inside, which overwrites the gradient. They return the cost of w as it is then, or for
    // Nesterov's step of x, which is the state.
    double (*sgd)(T* w, T* gradient, T* state, i64 rows, i64 columns, const GroupPenalty& penalty, const SgdStep& step,
                  T* steps, T* scratch);
    double (*adam)(T* w, T* gradient, T* first, T* second, i64 rows, i64 columns, const GroupPenalty& penalty,
                   const AdamStep& step, T* steps, T* scratch);
};

template <class T> struct ActivationFunctions {
    bool keeps_slope;  // whether the derivative is kept by the forward pass; otherwise it follows from the value a
    // z <- activation(z + bias), row by row; slope <- activation'(z + bias) where it is kept, unless null
    void (*forward)(T* z, const T* bias, T* slope, i64 rows, i64 columns);
    // delta <- delta * activation'(.), from the slope if it is kept, otherwise from a; column sums of the result are
    // added to sums
    void (*backward)(const T* a_or_slope, T* delta, T* sums, i64 rows, i64 columns);
    // of a layer of one output, in one pass: gradient += a' d, delta <- (d w') * activation'(.), sums += column sums
    void (*single_output_backward)(const T* a, const T* slope, const T* d, const T* w, T* delta, T* sums, T* gradient,
                                   i64 rows, i64 columns);
};

template <class T> struct KernelTable {
    ActivationFunctions<T> activations[N_ACTIVATIONS];
    void (*column_sums)(const T* delta, T* sums, i64 rows, i64 columns);  // added to sums

    LossFunction<T> losses[N_LOSSES];
    void (*logistic)(const T* x, T* out, i64 n);
    void (*log_logistic)(const T* x, T* out, i64 n);
    void (*softmax)(const T* x, T* out, i64 rows, i64 columns);
    void (*log_softmax)(const T* x, T* out, i64 rows, i64 columns);

    // One pass over a segment of theta: gradient of a smooth penalty, update, prox. They return the penalty of the model
    // as it was before, constraints apart. state is the velocity, or for Nesterov's step with a prox the model x (theta
    // holds z).
    double (*sgd)(T* w, const T* gradient, T* state, i64 n, const SgdStep& step, const Elementwise& penalty);
    double (*adam)(T* w, const T* gradient, T* first, T* second, i64 n, const AdamStep& step,
                   const Elementwise& penalty);

    // The same step in three parts, for penalties that are no shape of norms: z in place of the gradient with the steps
    // of its prox, the prox, and z accepted.
    void (*sgd_advance)(T* w, T* gradient, T* state, i64 rows, i64 columns, const Groups& groups,
                        const SgdStep& step, T* steps);
    void (*sgd_accept)(T* w, const T* z, T* state, i64 n, const SgdStep& step);
    void (*adam_advance)(T* w, T* gradient, T* first, T* second, i64 rows, i64 columns, const Groups& groups,
                         const AdamStep& step, T* steps);
    GroupFunctions<T> groups;

    double (*penalty_value)(const T* w, i64 n, const Elementwise& penalty);
    void (*penalty_prox)(const T* v, T* out, i64 n, const Elementwise& penalty, double step);
    void (*penalty_subgradient)(const T* w, T* out, i64 n, const Elementwise& penalty);
    void (*penalty_residual)(const T* w, const T* gradient, T* out, i64 n, const Elementwise& penalty);
    void (*add_scaled)(T* out, const T* x, i64 n, T factor);  // out += factor * x
    bool (*all_finite)(const T* w, i64 n);
    void (*squared_norms)(const T* a, i64 stride, T* out, i64 rows, i64 columns);  // of each row
    double (*sum_of_bounds)(const T* inputs, const T* deltas, i64 n);  // of sqrt((1 + inputs) * deltas)

    // Products with a vector, for layers of one output, where a matrix product does not pay.
    void (*matrix_vector)(const T* a, i64 stride, const T* w, T* out, i64 rows, i64 columns);
    void (*vector_matrix)(const T* a, i64 stride, const T* d, T* out, i64 rows, i64 columns, bool accumulate);
};

template <class T> const KernelTable<T>& kernels();  // the widest instruction set that this machine has
const char* instruction_set();

}  // namespace sknormnet
