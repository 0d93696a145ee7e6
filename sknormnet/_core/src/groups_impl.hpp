// Penalties of groups of weights: a shape of the group's norm. Included only by kernels_impl.hpp, inside its anonymous
// namespace.
//
// A matrix of rows x columns is cut into groups: single weights, rows (or rows joined), columns, or all of it. `scratch`
// has an entry for each group.

using sknormnet::GroupPenalty;
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

// ---------------------------------------------------------------------------------------------------- shapes

// rho(t) for t >= 0 at strength s, and its slope; prox(t, step) is the global minimiser of (u - t)^2/2 + step*rho(u) over
// u >= 0.
template <class T> struct Linear {
    explicit Linear(T) {}
    T value(T t, T s) const { return s * t; }
    T slope(T, T s) const { return s; }
    T prox(T t, T step, T s) const {
        const T shrunk = t - step * s;
        return shrunk > 0 ? shrunk : T(0);
    }
};

// The one of two candidates that costs less; the first where they tie.
template <class T, class Shape> inline T cheaper(const Shape& shape, T a, T b, T t, T step, T s) {
    const T cost_a = T(0.5) * (a - t) * (a - t) + step * shape.value(a, s);
    const T cost_b = T(0.5) * (b - t) * (b - t) + step * shape.value(b, s);
    return cost_b < cost_a ? b : a;
}

template <class T> struct MinimaxConcave {
    T gamma;
    explicit MinimaxConcave(T gamma_) : gamma(gamma_) {}
    T value(T t, T s) const {
        const T knee = gamma * s;
        const T u = t < knee ? t : knee;
        return s * u - u * u / (2 * gamma);
    }
    T slope(T t, T s) const {
        const T slope = s - t / gamma;
        return slope > 0 ? slope : T(0);
    }
    T prox(T t, T step, T s) const {
        const T knee = gamma * s;
        const T curvature = 1 - step / gamma;
        const T inner = curvature > 0 ? clamp((t - step * s) / curvature, T(0), knee) : T(0);
        return cheaper(*this, inner, t > knee ? t : knee, t, step, s);
    }
};

template <class T> struct SmoothlyClipped {
    T gamma;
    explicit SmoothlyClipped(T gamma_) : gamma(gamma_) {}
    T value(T t, T s) const {
        const T knee = gamma * s;
        const T u = t < knee ? t : knee;
        const T bent = (2 * knee * u - u * u - s * s) / (2 * (gamma - 1));
        return u < s ? s * u : bent;
    }
    T slope(T t, T s) const {
        const T bent = (gamma * s - t) / (gamma - 1);
        return t < s ? s : (bent > 0 ? bent : T(0));
    }
    T prox(T t, T step, T s) const {
        const T knee = gamma * s;
        const T soft = clamp(t - step * s, T(0), s);
        const T curvature = 1 - step / (gamma - 1);
        const T middle =
            curvature > 0 ? clamp((t - step * knee / (gamma - 1)) / curvature, s, knee) : s;
        return cheaper(*this, cheaper(*this, soft, middle, t, step, s), t > knee ? t : knee, t, step, s);
    }
};

// ------------------------------------------------------------------------------------------------- operations

template <class T, class Shape> struct GroupOperations {
    static T strength_of(const GroupPenalty& p, i64 g) {
        return static_cast<T>(p.groups.factors == nullptr ? p.strength : p.strength * p.groups.factors[g]);
    }

    static void norms(const T* w, i64 rows, i64 columns, const Groups& groups, T* scratch) {
        // Squares may overflow: then once more, with weights so much smaller. Squares that underflow are zeros.
        const T small = sizeof(T) == 4 ? T(0x1p-80) : T(0x1p-560);
        group_sums(groups, rows, columns, scratch, [=](i64 j) { return w[j] * w[j]; });
        bool finite = true;
        for (i64 g = 0; g < groups.n; ++g) finite = finite && scratch[g] - scratch[g] == 0;
        if (!finite) group_sums(groups, rows, columns, scratch, [=](i64 j) { return (small * w[j]) * (small * w[j]); });
        for (i64 g = 0; g < groups.n; ++g) scratch[g] = finite ? square_root(scratch[g]) : square_root(scratch[g]) / small;
    }

    static double value(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        const Shape shape(static_cast<T>(p.gamma));
        norms(w, rows, columns, p.groups, scratch);
        double total = 0;
        for (i64 g = 0; g < p.groups.n; ++g) total += static_cast<double>(shape.value(scratch[g], strength_of(p, g)));
        if (p.inner_l1 > 0) {
            const T l1 = static_cast<T>(p.inner_l1);
            total += sum_in_chunks<T>(rows * columns, [=](i64 j) { return l1 * absolute(w[j]); });
        }
        return total;
    }

    // In place. The L1 term of single weights, the smaller groups, comes first.
    static void prox(T* w, i64 rows, i64 columns, const GroupPenalty& p, const T* steps, T* scratch) {
        const Shape shape(static_cast<T>(p.gamma));
        if (p.inner_l1 > 0) {
            const T l1 = static_cast<T>(p.inner_l1);
            for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) { w[j] = soft_threshold(w[j], steps[g] * l1); });
        }
        if (p.strength <= 0) return;
        norms(w, rows, columns, p.groups, scratch);
        for (i64 g = 0; g < p.groups.n; ++g) {
            const T norm = scratch[g];
            const T kept = shape.prox(norm, steps[g], strength_of(p, g));
            // Not finite: NaN, which shows, where a threshold would hide it as 0.
            scratch[g] = norm - norm == 0 ? (kept > 0 ? kept / norm : T(0)) : norm - norm;
        }
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) {
            w[j] = scratch[g] == 0 ? T(0) : w[j] * scratch[g];
        });
    }

    static void subgradient(const T* w, T* out, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        slopes(w, rows, columns, p, scratch);
        const T l1 = static_cast<T>(p.inner_l1);
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) {
            out[j] = scratch[g] * w[j] + (w[j] > 0 ? l1 : (w[j] < 0 ? -l1 : T(0)));
        });
    }

    // Of the vector of smallest norm in gradient + subdifferential, the sizes of the entries.
    static void residual(const T* w, const T* gradient, T* out, i64 rows, i64 columns, const GroupPenalty& p,
                         T* scratch) {
        slopes(w, rows, columns, p, scratch);
        const T l1 = static_cast<T>(p.inner_l1);
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) {
            const T inner = w[j] == 0 ? soft_threshold(gradient[j], l1) : gradient[j] + (w[j] < 0 ? -l1 : l1);
            out[j] = inner + scratch[g] * w[j];
        });
        // A group of zeros takes up to its slope at zero off the norm of what is left.
        group_sums(p.groups, rows, columns, scratch, [=](i64 j) { return w[j] == 0 ? T(0) : T(1); });
        for (i64 g = 0; g < p.groups.n; ++g) scratch[g] = scratch[g] > 0 ? T(-1) : T(0);  // -1: not zero
        shrink_zero_groups(out, rows, columns, p, scratch);
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64) { out[j] = absolute(out[j]); });
    }

  private:
    // scratch[g] <- slope / norm, which times w is the group's gradient; 0 for a group of zeros
    static void slopes(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        const Shape shape(static_cast<T>(p.gamma));
        norms(w, rows, columns, p.groups, scratch);
        for (i64 g = 0; g < p.groups.n; ++g) {
            scratch[g] = scratch[g] > 0 ? shape.slope(scratch[g], strength_of(p, g)) / scratch[g] : T(0);
        }
    }

    static void shrink_zero_groups(T* out, i64 rows, i64 columns, const GroupPenalty& p, T* flags) {
        const Shape shape(static_cast<T>(p.gamma));
        // squares of groups of zeros only, so that one array serves as flag and as sum
        visit_groups(
            p.groups, rows, columns,
            [=](i64 start, i64 g) {
                if (flags[g] < 0) return;
                for (i64 j = start; j < start + columns; ++j) flags[g] += out[j] * out[j];
            },
            [=](i64 start, i64 g) {
                for (i64 j = 0; j < columns; ++j) {
                    if (flags[g + j] >= 0) flags[g + j] += out[start + j] * out[start + j];
                }
            });
        for (i64 g = 0; g < p.groups.n; ++g) {
            if (flags[g] < 0) {
                flags[g] = 1;
            } else {
                const T norm = square_root(flags[g]);
                const T left = norm - shape.slope(T(0), strength_of(p, g));
                flags[g] = left > 0 ? left / norm : T(0);
            }
        }
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) { out[j] *= flags[g]; });
    }
};

template <class T, class Shape> constexpr sknormnet::GroupFunctions<T> make_group_functions() {
    using Operations = GroupOperations<T, Shape>;
    return {Operations::value, Operations::prox, Operations::subgradient, Operations::residual};
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
