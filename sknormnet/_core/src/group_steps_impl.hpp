// Steps under penalties of groups. Included only by groups_impl.hpp.
//
// A rule is what happens to one weight: the prox starts from `point`, and `accept` is given its end. `inverse` is one
// over the metric of the weight's group, which only Adam has.

template <class T> struct InPlace {  // the prox alone
    T* w;
    InPlace from(i64 start) const { return {w + start}; }
    T point(i64 j, T) const { return w[j]; }
    void accept(i64 j, T after) const { w[j] = after; }
};

template <class T> struct HeavyBall {
    T *w, *state;
    const T* gradient;
    T rate, momentum;
    HeavyBall from(i64 start) const { return {w + start, state + start, gradient + start, rate, momentum}; }
    T point(i64 j, T) const { return w[j] + momentum * state[j] - rate * gradient[j]; }
    void accept(i64 j, T after) const {
        state[j] = after - w[j];
        w[j] = after;
    }
};

template <class T> struct Nesterov {  // state is x, w looks ahead
    T *w, *state;
    const T* gradient;
    T rate, momentum;
    Nesterov from(i64 start) const { return {w + start, state + start, gradient + start, rate, momentum}; }
    T point(i64 j, T) const { return w[j] - rate * gradient[j]; }
    void accept(i64 j, T after) const {
        w[j] = after + momentum * (after - state[j]);
        state[j] = after;
    }
};

template <class T> struct AdamDirection {
    T* w;
    const T* first;
    T rate;
    AdamDirection from(i64 start) const { return {w + start, first + start, rate}; }
    T point(i64 j, T inverse) const { return w[j] - rate * first[j] * inverse; }
    void accept(i64 j, T after) const { w[j] = after; }
};

// The moments; then done(g, one over the metric of group g). The weights of a group share the mean of their second
// moments: then the prox in Adam's metric has its closed form.
template <class T, class Done>
inline void adam_moments(const T* gradient, T* first, T* second, i64 rows, i64 columns, const Groups& groups,
                         const AdamStep& step, T* means, const Done& done) {
    const Moments<T> moments(first, second, step);
    group_sums(groups, rows, columns, means, [=](i64 j, i64) { return moments.update(j, gradient[j]); });
    const i64 size = groups.by == sknormnet::BY_WEIGHT   ? 1
                     : groups.by == sknormnet::BY_OUTPUT ? rows
                     : groups.by == sknormnet::BY_MATRIX ? rows * columns
                                                         : columns;
    const T share = T(1) / static_cast<T>(size);
    const double* sizes = groups.sizes;
    if (sizes != nullptr) {
        for (i64 g = 0; g < groups.n; ++g) means[g] /= static_cast<T>(sizes[g]);
    }
    for_groups(groups.n, [=](i64 g) { done(g, 1 / moments.metric(means[g] * share)); });
}

// ---------------------------------------------------------------------------------------------- the whole step

// What the prox leaves of a group; of_zero of one whose squares underflow. Not finite: NaN, which shows, where a threshold
// would hide it as 0.
template <class T> inline T factor_of(T kept, T norm, T of_zero) {
    const T factor = kept > 0 && norm > 0 ? kept / norm : of_zero + (kept - kept);
    return norm - norm == 0 ? factor : norm - norm;
}

// values[g] <- the shape at the prox, from the norm of group g, which `factors` hold: overwritten by what is left of the
// group. With c = 1 + step*l2, the prox of rho + l2*t^2/2 is that of rho at (t / c, step / c);
// shrink(g, step) is 1 / c. Where a norm is not finite, neither is its value.
template <class T, class Shape, class Strength, class Shrink>
SKNORMNET_FLATTEN void shrink_groups(const Shape& shape, i64 n, const T* steps, T* factors, T* values,
                                     const Strength& strength, const Shrink& shrink) {
    for_groups(n, [=](i64 g) {
        const T norm = factors[g], s = strength(g), c = shrink(g, steps[g]);
        const T kept = shape.prox(norm * c, steps[g] * c, s);
        factors[g] = factor_of(kept, norm, static_cast<T>(Shape::OF_ZERO));
        values[g] = shape.value(kept, s) + (norm - norm);
    });
}

// The same for a shape that is written in Python; `shorter` is scratch.
template <class T, class Shrink>
void shrink_custom(const GroupPenalty& p, const T* steps, T* factors, T* values, T* shorter,
                   const Shrink& shrink) {
    const i64 n = p.groups.n;
    for (i64 g = 0; g < n; ++g) {
        values[g] = factors[g] * shrink(g, steps[g]);
        shorter[g] = steps[g] * shrink(g, steps[g]);
    }
    if (p.strength > 0) evaluate_custom(p, sknormnet::SHAPE_PROX, values, shorter);
    for (i64 g = 0; g < n; ++g) {
        shorter[g] = factors[g] - factors[g];
        factors[g] = factor_of(values[g], factors[g], T(0));
    }
    if (p.strength > 0) {
        evaluate_custom<T>(p, sknormnet::SHAPE_VALUE, values, nullptr);
    } else {
        fill(values, n, T(0));
    }
    for (i64 g = 0; g < n; ++g) values[g] += shorter[g];
}

template <class T> double shrink_by_penalty(const GroupPenalty& p, const T* steps, T* factors, T* values, T* shorter) {
    const auto run = [&](const auto& shrink) {
        if (p.shape == sknormnet::CUSTOM) return shrink_custom(p, steps, factors, values, shorter, shrink);
        with_shape<T>(p, [&](const auto& shape) {
            with_strength<T>(p, [&](const auto& strength) {
                shrink_groups(shape, p.groups.n, steps, factors, values, strength, shrink);
            });
        });
    };
    const double l2 = p.l2, *inner = p.groups.inner_factors;
    if (l2 <= 0) {
        run([](i64, T) { return T(1); });
    } else if (inner == nullptr) {
        run([=](i64, T step) { return 1 / (1 + step * static_cast<T>(l2)); });
    } else {
        run([=](i64 g, T step) { return 1 / (1 + step * static_cast<T>(l2 * inner[g])); });
    }
    return sum_in_chunks<T>(p.groups.n, [=](i64 g) { return values[g]; });
}

// Whether a step sums the cost of single weights in its last pass; vectors of four make that slower than a pass of its
// own.
template <class T> inline bool sums_cost_of_weights(const GroupPenalty& p) {
    return Lanes<T>::N >= 8 && (p.inner_l1 > 0 || p.l2 > 0) && p.groups.inner_factors == nullptr;
}

// From `point` to `accept`, through z, which may be the gradient. What thresholds single weights, the smaller groups,
// comes first. The last part of scratch holds the inverse metric. Returned is the cost at the end of the step, that of
// single weights only as `sums_cost_of_weights` says.
template <class T, class Rule>
double take_step(const Rule& rule, T* z, i64 rows, i64 columns, const GroupPenalty& p, const T* steps, T* scratch) {
    const i64 n = p.groups.n;
    T *factors = scratch, *values = part_of(scratch, 1, n), *inverse = part_of(scratch, 2, n);
    if (p.inner_l1 > 0 || p.non_negative) {
        const T negative = p.non_negative ? -T(INFINITY) : T(0);
        GroupOperations<T>::inner(p, p.inner_l1, [=](i64 g, T l1) { values[g] = steps[g] * l1; });
        group_sums(p.groups, rows, columns, factors, [=](i64 j, i64 g) {
            const T v = rule.point(j, inverse[g]);
            const T left = v - clamp(v, negative - values[g], values[g]);
            z[j] = left;
            return left * left;
        });
    } else {
        group_sums(p.groups, rows, columns, factors, [=](i64 j, i64 g) {
            const T v = rule.point(j, inverse[g]);
            z[j] = v;
            return v * v;
        });
    }
    for_groups(n, [=](i64 g) { factors[g] = square_root(factors[g]); });
    double cost = shrink_by_penalty(p, steps, factors, values, inverse);
    if (!(cost - cost == 0)) {  // squares may have overflowed
        GroupOperations<T>::norms(z, rows, columns, p.groups, factors);
        cost = shrink_by_penalty(p, steps, factors, values, inverse);
    }
    const auto end_of = [=](i64 j, i64 g) { return factors[g] == 0 ? T(0) : z[j] * factors[g]; };
    if (!sums_cost_of_weights<T>(p)) {
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) { rule.accept(j, end_of(j, g)); });
        return cost;
    }
    const T l1 = static_cast<T>(p.inner_l1), half_l2 = static_cast<T>(0.5 * p.l2);
    return cost + sum_over_weights<T>(p.groups, rows, columns, [=](i64 j, i64 g) {
        const T end = end_of(j, g);
        rule.accept(j, end);
        return l1 * absolute(end) + half_l2 * end * end;
    });
}

template <class T>
void group_prox(T* w, i64 rows, i64 columns, const GroupPenalty& p, const T* steps, T* scratch) {
    take_step(InPlace<T>{w}, w, rows, columns, p, steps, scratch);
}

// body(start, rows, columns, penalty) for parts of the matrix that stay in the cache through all passes, where groups
// are rows or single weights; for all of it elsewhere. A custom shape is asked once.
template <class Body> void for_parts(i64 rows, i64 columns, const GroupPenalty& p, const Body& body) {
    constexpr i64 SIZE = 2 * CHUNK;
    const bool single = p.groups.by == sknormnet::BY_WEIGHT;
    const bool by_row = p.groups.by == sknormnet::BY_INPUT && p.groups.of_row == nullptr;
    if (p.shape == sknormnet::CUSTOM || rows * columns <= SIZE || !(single || by_row)) {
        body(i64(0), rows, columns, p);
        return;
    }
    const i64 width = single ? 1 : columns;
    const i64 most = width < SIZE ? SIZE / width : 1;
    GroupPenalty part = p;
    for (i64 g = 0; g < p.groups.n; g += most) {
        part.groups.n = smaller(most, p.groups.n - g);
        if (p.groups.factors != nullptr) part.groups.factors = p.groups.factors + g;
        if (p.groups.inner_factors != nullptr) part.groups.inner_factors = p.groups.inner_factors + g;
        body(g * width, part.groups.n, width, part);
    }
}

// Single weights under a compiled shape alone, in one pass: point(j, step) also gives the step of the prox.
template <class T, class Shape, class Strength, class Point, class Accept>
SKNORMNET_FLATTEN double step_of_weights(const Shape& shape, i64 n, const Strength& strength, const Point& point,
                                         const Accept& accept) {
    return sum_in_chunks<T>(n, [=](i64 j) {
        T step;
        const T z = point(j, step), t = absolute(z), s = strength(j);
        const T kept = shape.prox(t, step, s) + (t - t);  // not finite: NaN
        accept(j, z < 0 ? T(0) - kept : kept);
        return shape.value(kept, s);
    });
}

template <class T, class Point, class Accept>
double step_of_weights(const GroupPenalty& p, const Point& point, const Accept& accept) {
    return with_shape<T>(p, [&](const auto& shape) {
        return with_strength<T>(
            p, [&](const auto& strength) { return step_of_weights<T>(shape, p.groups.n, strength, point, accept); });
    });
}

inline bool is_shape_of_weights(const GroupPenalty& p) {
    return p.groups.by == sknormnet::BY_WEIGHT && p.shape != sknormnet::CUSTOM && p.inner_l1 <= 0 && p.l2 <= 0 &&
           !p.non_negative;
}

template <class T, class Rule>
double sgd_groups_by(const Rule& rule, const T* x, T* gradient, i64 rows, i64 columns, const GroupPenalty& p, T rate,
                     T* steps, T* scratch) {
    if (is_shape_of_weights(p)) {
        const auto point = [=](i64 j, T& step) {
            step = rate;
            return rule.point(j, T(1));
        };
        return step_of_weights<T>(p, point, [=](i64 j, T after) { rule.accept(j, after); });
    }
    double cost = 0;
    fill(steps, p.groups.n, rate);
    for_parts(rows, columns, p, [&](i64 start, i64 n_rows, i64 n_columns, const GroupPenalty& part) {
        cost += take_step(rule.from(start), gradient + start, n_rows, n_columns, part, steps, scratch);
    });
    return sums_cost_of_weights<T>(p) ? cost : cost + GroupOperations<T>::inner_cost(x, rows, columns, p, scratch);
}

template <class T>
double sgd_groups(T* w, T* gradient, T* state, i64 rows, i64 columns, const GroupPenalty& p, const SgdStep& step,
                  T* steps, T* scratch) {
    const T rate = static_cast<T>(step.learning_rate), momentum = static_cast<T>(step.momentum);
    if (step.nesterov) {
        const Nesterov<T> rule{w, state, gradient, rate, momentum};
        return sgd_groups_by(rule, state, gradient, rows, columns, p, rate, steps, scratch);
    }
    const HeavyBall<T> rule{w, state, gradient, rate, momentum};
    return sgd_groups_by(rule, w, gradient, rows, columns, p, rate, steps, scratch);
}

template <class T>
double adam_groups(T* w, T* gradient, T* first, T* second, i64 rows, i64 columns, const GroupPenalty& p,
                   const AdamStep& step, T* steps, T* scratch) {
    const T rate = static_cast<T>(step.rate), metric = static_cast<T>(step.metric);
    // Where gradients vanish, the second moments do, and the steps grow without bound.
    const T longest = static_cast<T>(p.longest_step);
    const auto length = [=](T inverse) { return metric * inverse > longest ? longest : metric * inverse; };
    const AdamDirection<T> rule{w, first, rate};
    if (is_shape_of_weights(p)) {
        const Moments<T> moments(first, second, step);
        const auto point = [=](i64 j, T& length_of_step) {
            const T inverse = 1 / moments.metric(moments.update(j, gradient[j]));
            length_of_step = length(inverse);
            return rule.point(j, inverse);
        };
        return step_of_weights<T>(p, point, [=](i64 j, T after) { rule.accept(j, after); });
    }
    double cost = 0;
    for_parts(rows, columns, p, [&](i64 start, i64 n_rows, i64 n_columns, const GroupPenalty& part) {
        T* inverses = part_of(scratch, 2, part.groups.n);
        adam_moments(gradient + start, first + start, second + start, n_rows, n_columns, part.groups, step, inverses,
                     [=](i64 g, T inverse) {
                         inverses[g] = inverse;
                         steps[g] = length(inverse);
                     });
        cost += take_step(rule.from(start), gradient + start, n_rows, n_columns, part, steps, scratch);
    });
    return sums_cost_of_weights<T>(p) ? cost : cost + GroupOperations<T>::inner_cost(w, rows, columns, p, scratch);
}

// ------------------------------------------- its parts, for what is no shape of norms: advance, a prox, and accept

// z <- the point whose prox is the step's end, in place of the gradient; steps[g] <- the step of that prox.
template <class T>
void sgd_advance(T* w, T* gradient, T* state, i64 rows, i64 columns, const Groups& groups, const SgdStep& step,
                 T* steps) {
    const T rate = static_cast<T>(step.learning_rate), momentum = static_cast<T>(step.momentum);
    fill(steps, groups.n, rate);
    const auto run = [=](const auto& rule) {
#pragma omp simd
        for (i64 j = 0; j < rows * columns; ++j) gradient[j] = rule.point(j, T(1));
    };
    step.nesterov ? run(Nesterov<T>{w, state, gradient, rate, momentum})
                  : run(HeavyBall<T>{w, state, gradient, rate, momentum});
}

// The end z of the step becomes the parameters, and the state what belongs to it.
template <class T> void sgd_accept(T* w, const T* z, T* state, i64 n, const SgdStep& step) {
    const T rate = static_cast<T>(step.learning_rate), momentum = static_cast<T>(step.momentum);
    const auto run = [=](const auto& rule) {
#pragma omp simd
        for (i64 j = 0; j < n; ++j) rule.accept(j, z[j]);
    };
    step.nesterov ? run(Nesterov<T>{w, state, z, rate, momentum}) : run(HeavyBall<T>{w, state, z, rate, momentum});
}

template <class T>
void adam_advance(T* w, T* gradient, T* first, T* second, i64 rows, i64 columns, const Groups& groups,
                  const AdamStep& step, T* steps) {
    const T metric = static_cast<T>(step.metric);
    const AdamDirection<T> rule{w, first, static_cast<T>(step.rate)};
    adam_moments(gradient, first, second, rows, columns, groups, step, steps, [=](i64 g, T own) { steps[g] = own; });
    for_each_weight(groups, rows, columns, [=](i64 j, i64 g) { gradient[j] = rule.point(j, steps[g]); });
    for (i64 g = 0; g < groups.n; ++g) steps[g] *= metric;
}

template <class T> constexpr sknormnet::GroupFunctions<T> make_group_functions() {
    using Operations = GroupOperations<T>;
    return {Operations::cost, Operations::value, group_prox<T>, Operations::subgradient, Operations::residual,
            sgd_groups<T>, adam_groups<T>};
}
