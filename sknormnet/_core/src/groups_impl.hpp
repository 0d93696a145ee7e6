// Penalties of groups of weights: a shape of the group's norm. Included only by kernels_impl.hpp, inside its anonymous
// namespace.
//
// A matrix of rows x columns is cut into groups: single weights, rows (or rows joined), columns, or all of it.

using sknormnet::Groups;

// one(start, g): the `columns` entries from start on belong to group g; each(start, g): to the groups from g on.
template <class One, class Each>
inline void visit_groups(const Groups& groups, i64 rows, i64 columns, const One& one, const Each& each) {
    for (i64 i = 0; i < rows; ++i) {
        const i64 start = i * columns;
        switch (groups.by) {
            case sknormnet::BY_WEIGHT: each(start, start); break;
            case sknormnet::BY_INPUT: one(start, groups.of_row == nullptr ? i : groups.of_row[i]); break;
            case sknormnet::BY_OUTPUT: each(start, i64(0)); break;
            default: one(start, i64(0));
        }
    }
}

template <class T> inline void fill(T* out, i64 n, T value) {
    for (i64 j = 0; j < n; ++j) out[j] = value;
}

// sums[g] <- sum over group g of body(index)
template <class T, class Body>
SKNORMNET_FLATTEN void group_sums(const Groups& groups, i64 rows, i64 columns, T* sums, Body body) {
    fill(sums, groups.n, T(0));
    visit_groups(
        groups, rows, columns,
        [=](i64 start, i64 g) {
            T sum = 0;
#pragma omp simd reduction(+ : sum)
            for (i64 j = start; j < start + columns; ++j) sum += body(j);
            sums[g] += sum;
        },
        [=](i64 start, i64 g) {
#pragma omp simd
            for (i64 j = 0; j < columns; ++j) sums[g + j] += body(start + j);
        });
}

// body(index, g) for every entry
template <class Body> SKNORMNET_FLATTEN void for_each_weight(const Groups& groups, i64 rows, i64 columns, Body body) {
    visit_groups(
        groups, rows, columns,
        [=](i64 start, i64 g) {
#pragma omp simd
            for (i64 j = start; j < start + columns; ++j) body(j, g);
        },
        [=](i64 start, i64 g) {
#pragma omp simd
            for (i64 j = 0; j < columns; ++j) body(start + j, g + j);
        });
}

#include "shapes_impl.hpp"

// ------------------------------------------------------------------------------------------------- operations

// scratch has three entries for each group.
template <class T> struct GroupOperations {
    // Sum of shapes and inner terms, constraints left out.
    static double cost(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        const i64 n = p.groups.n;
        double total = 0;
        if (p.strength > 0 && p.shape != sknormnet::LIMIT) {
            norms(w, rows, columns, p.groups, scratch);
            evaluate_shape<T>(p, sknormnet::SHAPE_VALUE, scratch, nullptr);
            total = sum_in_chunks<T>(n, [=](i64 g) { return scratch[g]; });
        }
        if (p.inner_l1 <= 0 && p.l2 <= 0) return total;
        const double* factors = p.groups.inner_factors;
        if (factors == nullptr) return total + penalty_value(w, rows * columns, Elementwise{p.inner_l1, p.l2});
        const T l1 = static_cast<T>(p.inner_l1), half_l2 = static_cast<T>(0.5 * p.l2);
        group_sums(p.groups, rows, columns, scratch,
                   [=](i64 j) { return l1 * absolute(w[j]) + half_l2 * w[j] * w[j]; });
        return total + sum_in_chunks<T>(n, [=](i64 g) { return static_cast<T>(factors[g]) * scratch[g]; });
    }

    // The same with constraints: infinity outside.
    static double value(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        double total = cost(w, rows, columns, p, scratch);
        if (p.shape == sknormnet::LIMIT) {
            norms(w, rows, columns, p.groups, scratch);
            evaluate_shape<T>(p, sknormnet::SHAPE_VALUE, scratch, nullptr);
            total += sum_in_chunks<T>(p.groups.n, [=](i64 g) { return scratch[g]; });
        }
        if (p.non_negative) {
            total += sum_in_chunks<T>(rows * columns, [=](i64 j) { return w[j] < 0 ? T(INFINITY) : w[j] - w[j]; });
        }
        return total;
    }

    // In place. The terms of single weights, the smaller groups, come first. With c = 1 + step*l2, the prox of
    // rho + l2*t^2/2 is that of rho at (t / c, step / c); soft thresholds of all are as much smaller.
    static void prox(T* w, i64 rows, i64 columns, const GroupPenalty& p, const T* steps, T* scratch) {
        const i64 n = p.groups.n;
        T *norm = scratch, *kept = scratch + n, *shorter = scratch + 2 * n;
        if (p.inner_l1 > 0 || p.non_negative) {
            inner(p, p.inner_l1, [=](i64 g, T l1) { kept[g] = steps[g] * l1; });
            threshold(w, rows, columns, p, kept);
        }
        if (p.strength <= 0 && p.l2 <= 0 && p.shape != sknormnet::LIMIT) return;
        norms(w, rows, columns, p.groups, norm);
        inner(p, p.l2, [=](i64 g, T l2) {
            const T c = 1 + steps[g] * l2;
            kept[g] = norm[g] / c;
            shorter[g] = steps[g] / c;
        });
        evaluate_shape<T>(p, sknormnet::SHAPE_PROX, kept, shorter);
        const T of_zero = p.shape == sknormnet::LIMIT ? T(1) : T(0);  // or of squares that underflow
#pragma omp simd
        for (i64 g = 0; g < n; ++g) {
            const T factor = kept[g] > 0 && norm[g] > 0 ? kept[g] / norm[g] : of_zero + (kept[g] - kept[g]);
            // Not finite: NaN, which shows, where a threshold would hide it as 0.
            norm[g] = norm[g] - norm[g] == 0 ? factor : norm[g] - norm[g];
        }
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) { w[j] = norm[g] == 0 ? T(0) : w[j] * norm[g]; });
    }

    static void subgradient(const T* w, T* out, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        const i64 n = p.groups.n;
        T *slope = scratch, *l1 = scratch + n;
        slopes(w, rows, columns, p, slope, l1);
        add_l2(p, slope);
        inner(p, p.inner_l1, [=](i64 g, T strength) { l1[g] = strength; });
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) {
            out[j] = slope[g] * w[j] + (w[j] > 0 ? l1[g] : (w[j] < 0 ? -l1[g] : T(0)));
        });
    }

    // Of the vector of smallest norm in gradient + subdifferential, the sizes of the entries.
    static void residual(const T* w, const T* gradient, T* out, i64 rows, i64 columns, const GroupPenalty& p,
                         T* scratch) {
        const i64 n = p.groups.n;
        T *slope = scratch, *l1 = scratch + n, *at_zero = scratch + 2 * n;
        slopes(w, rows, columns, p, slope, at_zero);
        add_l2(p, slope);
        inner(p, p.inner_l1, [=](i64 g, T strength) { l1[g] = strength; });
        const bool non_negative = p.non_negative;
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) {
            const T up = gradient[j] + l1[g];
            const T zero = non_negative ? (up < 0 ? up : up - up) : soft_threshold(gradient[j], l1[g]);
            out[j] = w[j] == 0 ? zero : (w[j] < 0 ? gradient[j] - l1[g] : up) + slope[g] * w[j];
        });
        if (p.shape == sknormnet::LIMIT) {
            remove_outward(w, out, rows, columns, p, scratch);
        } else {
            shrink_zero_groups(w, out, rows, columns, p, scratch, at_zero);
        }
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64) { out[j] = absolute(out[j]); });
    }

  private:
    static void norms(const T* w, i64 rows, i64 columns, const Groups& groups, T* sums) {
        // Squares may overflow: then once more, with weights so much smaller. Squares that underflow are zeros.
        const T small = sizeof(T) == 4 ? T(0x1p-80) : T(0x1p-560);
        group_sums(groups, rows, columns, sums, [=](i64 j) { return w[j] * w[j]; });
        const bool finite = all_finite(sums, groups.n);
        if (!finite) group_sums(groups, rows, columns, sums, [=](i64 j) { return (small * w[j]) * (small * w[j]); });
        const T back = finite ? T(1) : 1 / small;
#pragma omp simd
        for (i64 g = 0; g < groups.n; ++g) sums[g] = square_root(sums[g]) * back;
    }

    // body(g, strength times the inner factor of group g)
    template <class Body> static void inner(const GroupPenalty& p, double strength, const Body& body) {
        const double* factors = p.groups.inner_factors;
        if (factors == nullptr) {
#pragma omp simd
            for (i64 g = 0; g < p.groups.n; ++g) body(g, static_cast<T>(strength));
        } else {
#pragma omp simd
            for (i64 g = 0; g < p.groups.n; ++g) body(g, static_cast<T>(strength * factors[g]));
        }
    }

    static void threshold(T* w, i64 rows, i64 columns, const GroupPenalty& p, const T* thresholds) {
        if (!p.non_negative) {
            for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) { w[j] = soft_threshold(w[j], thresholds[g]); });
            return;
        }
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) {
            const T left = w[j] - thresholds[g];
            w[j] = left <= 0 ? T(0) : left;
        });
    }

    // out[g] <- slope / norm, which times w is the group's gradient; 0 for a group of zeros, whose slope is in at_norm
    static void slopes(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* out, T* at_norm) {
        norms(w, rows, columns, p.groups, out);
        for (i64 g = 0; g < p.groups.n; ++g) at_norm[g] = out[g];
        if (p.strength > 0) {
            evaluate_shape<T>(p, sknormnet::SHAPE_SLOPE, at_norm, nullptr);
        } else {
            fill(at_norm, p.groups.n, T(0));
        }
#pragma omp simd
        for (i64 g = 0; g < p.groups.n; ++g) out[g] = out[g] > 0 ? at_norm[g] / out[g] : out[g];
    }

    static void add_l2(const GroupPenalty& p, T* slope) {
        if (p.l2 > 0) inner(p, p.l2, [=](i64 g, T l2) { slope[g] += l2; });
    }

    // A group at its limit has the outward normals: what points inward along w is taken off.
    static void remove_outward(const T* w, T* out, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        const i64 n = p.groups.n;
        const Limit<T> shape(p);
        T *norm = scratch, *along = scratch + n;
        norms(w, rows, columns, p.groups, norm);
        group_sums(p.groups, rows, columns, along, [=](i64 j) { return out[j] * w[j]; });
#pragma omp simd
        for (i64 g = 0; g < n; ++g) {
            along[g] = shape.reached(norm[g]) && along[g] < 0 ? along[g] / norm[g] / norm[g] : T(0);
        }
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) { out[j] -= along[g] * w[j]; });
    }

    // A group of zeros takes up to its slope at zero off the norm of what is left.
    static void shrink_zero_groups(const T* w, T* out, i64 rows, i64 columns, const GroupPenalty& p, T* scratch,
                                   const T* at_zero) {
        const i64 n = p.groups.n;
        T *nonzeros = scratch, *norm = scratch + n;
        group_sums(p.groups, rows, columns, nonzeros, [=](i64 j) { return w[j] == 0 ? T(0) : T(1); });
        norms(out, rows, columns, p.groups, norm);
#pragma omp simd
        for (i64 g = 0; g < n; ++g) {
            const T left = norm[g] - at_zero[g];
            norm[g] = nonzeros[g] > 0 ? T(1) : (left > 0 ? left / norm[g] : left - left);
        }
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) { out[j] *= norm[g]; });
    }
};

template <class T> constexpr sknormnet::GroupFunctions<T> make_group_functions() {
    using Operations = GroupOperations<T>;
    return {Operations::cost, Operations::value, Operations::prox, Operations::subgradient, Operations::residual};
}

// -------------------------------------------------------------------------------- steps without the penalty

// z <- the point whose prox is the step's end, in place of the gradient; steps[g] <- the step of that prox.
template <class T>
void sgd_advance(const T* w, T* gradient, const T* state, i64 rows, i64 columns, const Groups& groups,
                 const SgdStep& step, T* steps) {
    const T rate = static_cast<T>(step.learning_rate), momentum = static_cast<T>(step.momentum);
    fill(steps, groups.n, rate);
    if (step.nesterov) {
#pragma omp simd
        for (i64 j = 0; j < rows * columns; ++j) gradient[j] = w[j] - rate * gradient[j];
        return;
    }
#pragma omp simd
    for (i64 j = 0; j < rows * columns; ++j) gradient[j] = w[j] + momentum * state[j] - rate * gradient[j];
}

// The end z of the step becomes the parameters, and the state what belongs to it.
template <class T> void sgd_accept(T* w, const T* z, T* state, i64 n, const SgdStep& step) {
    const T momentum = static_cast<T>(step.momentum);
    if (step.nesterov) {
#pragma omp simd
        for (i64 j = 0; j < n; ++j) {
            w[j] = z[j] + momentum * (z[j] - state[j]);
            state[j] = z[j];
        }
        return;
    }
#pragma omp simd
    for (i64 j = 0; j < n; ++j) {
        state[j] = z[j] - w[j];
        w[j] = z[j];
    }
}

// The weights of a group share the mean of their second moments: then the prox in Adam's metric has its closed form.
template <class T>
void adam_advance(const T* w, T* gradient, T* first, T* second, i64 rows, i64 columns, const Groups& groups,
                  const AdamStep& step, T* steps) {
    const T rate = static_cast<T>(step.rate), metric = static_cast<T>(step.metric);
    const T beta_1 = static_cast<T>(step.beta_1), beta_2 = static_cast<T>(step.beta_2);
    const T rest_1 = static_cast<T>(1 - step.beta_1), rest_2 = static_cast<T>(1 - step.beta_2);
    const T epsilon = static_cast<T>(step.epsilon);
    group_sums(groups, rows, columns, steps, [=](i64 j) {
        const T g = gradient[j];
        const T v = beta_2 * second[j] + rest_2 * (g * g);
        first[j] = beta_1 * first[j] + rest_1 * g;
        second[j] = v;
        return v;
    });
    const double columns_ = static_cast<double>(columns), rows_ = static_cast<double>(rows);
    for (i64 g = 0; g < groups.n; ++g) {
        const double size = groups.by == sknormnet::BY_WEIGHT   ? 1
                            : groups.by == sknormnet::BY_OUTPUT ? rows_
                            : groups.by == sknormnet::BY_MATRIX ? rows_ * columns_
                            : groups.sizes == nullptr           ? columns_
                                                                : columns_ * groups.sizes[g];
        steps[g] = 1 / (square_root(steps[g] / static_cast<T>(size)) + epsilon);
    }
    for_each_weight(groups, rows, columns, [=](i64 j, i64 g) { gradient[j] = w[j] - rate * first[j] * steps[g]; });
    for (i64 g = 0; g < groups.n; ++g) steps[g] *= metric;
}
