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

// ---------------------------------------------------------------------------------------------- the whole step

// What the prox leaves of a group; of_zero of one whose squares underflow. Not finite: NaN, which shows, where a
// threshold would hide it as 0.
template <class T> inline T factor_of(T kept, T norm, T of_zero) {
    const T factor = kept > 0 && norm > 0 ? kept / norm : of_zero + (kept - kept);
    return norm - norm == 0 ? factor : norm - norm;
}

// values[g] <- the shape at the prox, from the norm of group g, which `factors` hold: overwritten by what is left of
// the group. With c = 1 / (1 + step*l2), which `values` hold, the prox of rho + l2*t^2/2 is that of rho at
// (t * c, step * c). Where a norm is not finite, neither is its value.
template <i64 known, class T>
inline void shrink(const GroupPenalty& p, i64 n, const T* steps, T* factors, T* values) {
    with_shape<T>(p, [&](const auto& shape) {
        with_strength<T>(p, [&](const auto& strength) {
            for_groups<known>(n, [=](i64 g) {
                const T norm = factors[g], s = strength(g), c = values[g];
                const T kept = shape.prox(norm * c, steps[g] * c, s);
                factors[g] = factor_of(kept, norm, static_cast<T>(shape.OF_ZERO));
                values[g] = shape.value(kept, s) + (norm - norm);
            });
        });
    });
}

// The same for a shape that is written in Python; `shorter` is scratch.
template <class T> void shrink_custom(const GroupPenalty& p, const T* steps, T* factors, T* values, T* shorter) {
    const i64 n = p.groups.n;
    for (i64 g = 0; g < n; ++g) {
        shorter[g] = steps[g] * values[g];
        values[g] *= factors[g];
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

// Whether a step sums the cost of single weights in its last pass; vectors of four make that slower than a pass of its
// own.
template <class T> inline bool sums_cost_of_weights(const GroupPenalty& p) {
    return Lanes<T>::N >= 8 && (p.inner_l1 > 0 || p.l2 > 0) && p.groups.inner_factors == nullptr;
}

// From the norms in `factors` to what is left of the groups; the cost of all.
template <class Block, class T>
inline double shrink_groups(const Block& block, const GroupPenalty& p, const T* steps, T* factors, T* values,
                            T* scratch) {
    const i64 n = block.n();
    constexpr i64 known = Block::known;
    if (p.l2 > 0) {
        const auto set = [=](i64 g, T l2) { values[g] = 1 / (1 + steps[g] * l2); };
        GroupOperations<T>::template inner<known>(p, n, p.l2, set);
    } else {
        for_groups<known>(n, [=](i64 g) { values[g] = 1; });
    }
    if (known == 0 && p.shape == sknormnet::CUSTOM) {
        shrink_custom(p, steps, factors, values, scratch);
    } else {
        shrink<known>(p, n, steps, factors, values);
    }
    return sum_of<known>(values, n);
}

// From `point` to `accept`, through z, which may be the gradient. What thresholds single weights, the smaller groups,
// comes first. All arrays are of groups; `inverse` is scratch once the points are known. Returned is the cost at the end
// of the step, that of single weights only as `sums_cost_of_weights` says.
template <class T, class Block, class Rule>
inline double take_step(const Block& block, const Rule& rule, T* z, const GroupPenalty& p, const T* steps, T* factors,
                        T* values, T* inverse) {
    constexpr i64 known = Block::known;
    const i64 n = block.n();
    if (p.inner_l1 > 0 || p.non_negative) {
        const T negative = p.non_negative ? -T(INFINITY) : T(0);
        GroupOperations<T>::template inner<known>(p, n, p.inner_l1, [=](i64 g, T l1) { values[g] = steps[g] * l1; });
        block.sums(factors, [=](i64 j, i64 g) {
            const T v = rule.point(j, inverse[g]);
            const T left = v - clamp(v, negative - values[g], values[g]);
            z[j] = left;
            return left * left;
        });
    } else {
        block.sums(factors, [=](i64 j, i64 g) {
            const T v = rule.point(j, inverse[g]);
            z[j] = v;
            return v * v;
        });
    }
    const double all = sum_of<known>(factors, n);
    for_groups<known>(n, [=](i64 g) { factors[g] = square_root(factors[g]); });
    if (!(all - all == 0)) {  // squares have overflowed: once more, those of weights so much smaller
        constexpr T small = GroupOperations<T>::small;
        block.sums(values, [=](i64 j, i64) { return small * z[j] * (small * z[j]); });
        for_groups<known>(n, [=](i64 g) {
            factors[g] = factors[g] - factors[g] == 0 ? factors[g] : square_root(values[g]) / small;
        });
    }
    const double cost = shrink_groups(block, p, steps, factors, values, inverse);
    const auto end_of = [=](i64 j, i64 g) { return z[j] * factors[g] + T(0); };  // never -0
    if (!sums_cost_of_weights<T>(p)) {
        block.each([=](i64 j, i64 g) { rule.accept(j, end_of(j, g)); });
        return cost;
    }
    const T l1 = static_cast<T>(p.inner_l1), half_l2 = static_cast<T>(0.5 * p.l2);
    return cost + block.total([=](i64 j, i64 g) {
        const T end = end_of(j, g);
        rule.accept(j, end);
        return l1 * absolute(end) + half_l2 * end * end;
    });
}

template <class T>
void group_prox(T* w, i64 rows, i64 columns, const GroupPenalty& p, const T* steps, T* scratch) {
    const AnyGroups<T> block{p.groups, rows, columns};
    const i64 n = p.groups.n;
    take_step(block, InPlace<T>{w}, w, p, steps, scratch, part_of(scratch, 1, n), part_of(scratch, 2, n));
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

// body(start, block, penalty) for those parts, as the blocks that suit them.
template <class T, class Body> void for_blocks(i64 rows, i64 columns, const GroupPenalty& p, const Body& body) {
    for_parts(rows, columns, p, [&](i64 start, i64 n_rows, i64 n_columns, const GroupPenalty& part) {
        const Groups& groups = part.groups;
        const bool apart = part.shape != sknormnet::CUSTOM && groups.of_row == nullptr;
        constexpr i64 N = VectorOfColumns<T>::known;
        if (apart && groups.by == sknormnet::BY_MATRIX) {
            body(start, OneGroup<T>{n_rows * n_columns}, part);
        } else if (apart && groups.by == sknormnet::BY_OUTPUT && n_columns % N == 0 &&
                   n_rows * n_columns <= 2 * CHUNK) {  // all passes are in the cache
            for (i64 j = 0; j < n_columns; j += N) body(start + j, VectorOfColumns<T>{n_rows, n_columns}, part);
        } else if (apart && groups.by == sknormnet::BY_INPUT && n_columns == 16) {
            body(start, Rows<T, 16>{n_rows, n_columns}, part);
        } else if (apart && groups.by == sknormnet::BY_INPUT && n_columns == 32) {
            body(start, Rows<T, 32>{n_rows, n_columns}, part);
        } else if (apart && groups.by == sknormnet::BY_INPUT) {
            body(start, Rows<T, 0>{n_rows, n_columns}, part);
        } else {
            body(start, AnyGroups<T>{groups, n_rows, n_columns}, part);
        }
    });
}

// Single weights under a compiled shape alone, in one pass: point(j, step) also gives the step of the prox.
template <class T, class Shape, class Point, class Accept>
inline double step_of_weights(const Shape& shape, const GroupPenalty& p, const Point& point, const Accept& accept) {
    return with_strength<T>(p, [&](const auto& strength) {
        return sum_in_chunks<T>(p.groups.n, [=](i64 j) {
            T step;
            const T z = point(j, step), t = absolute(z), s = strength(j);
            const T kept = shape.prox(t, step, s) + (t - t);  // not finite: NaN
            accept(j, z < 0 ? T(0) - kept : kept);
            return shape.value(kept, s);
        });
    });
}

inline bool is_shape_of_weights(const GroupPenalty& p) {
    return p.groups.by == sknormnet::BY_WEIGHT && p.shape != sknormnet::CUSTOM && p.inner_l1 <= 0 && p.l2 <= 0 &&
           !p.non_negative;
}

template <class T, class Shape, class Rule>
SKNORMNET_FLATTEN SKNORMNET_NOINLINE double sgd_weights(const Shape& shape, const Rule& rule, const GroupPenalty& p,
                                                        T rate) {
    const Rule own = rule;
    const auto point = [=](i64 j, T& step) {
        step = rate;
        return own.point(j, T(1));
    };
    return step_of_weights<T>(shape, p, point, [=](i64 j, T after) { own.accept(j, after); });
}

template <class T, class Rule>
double sgd_groups_by(const Rule& rule, const T* x, T* gradient, i64 rows, i64 columns, const GroupPenalty& p, T rate,
                     T* steps, T* scratch) {
    if (is_shape_of_weights(p)) {
        return with_shape<T>(p, [&](const auto& shape) { return sgd_weights<T>(shape, rule, p, rate); });
    }
    double cost = 0;
    fill(steps, p.groups.n, rate);
    for_parts(rows, columns, p, [&](i64 start, i64 n_rows, i64 n_columns, const GroupPenalty& part) {
        const AnyGroups<T> block{part.groups, n_rows, n_columns};
        const i64 n = part.groups.n;
        cost += take_step(block, rule.from(start), gradient + start, part, steps, scratch, part_of(scratch, 1, n),
                          part_of(scratch, 2, n));
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

// inverse[g] <- one over the metric of group g, after the moments' update. The weights of a group share the mean of
// their second moments: then the prox in Adam's metric has its closed form.
template <class T, class Block>
inline void adam_moments(const Block& block, const Groups& groups, const T* gradient, T* first, T* second,
                         const AdamStep& step, T* inverse) {
    const Moments<T> moments(first, second, step);
    const i64 n = block.n();
    block.sums(inverse, [=](i64 j, i64) { return moments.update(j, gradient[j]); });
    const T share = T(1) / static_cast<T>(block.size());
    const double* sizes = groups.sizes;
    if (Block::known == 0 && sizes != nullptr) {  // rows are joined
        for (i64 g = 0; g < n; ++g) inverse[g] /= static_cast<T>(sizes[g]);
    }
    for_groups<Block::known>(n, [=](i64 g) { inverse[g] = 1 / moments.metric(inverse[g] * share); });
}

template <class T, class Shape>
SKNORMNET_FLATTEN SKNORMNET_NOINLINE double adam_weights(const Shape& shape, T* w, const T* gradient, T* first,
                                                         T* second, const GroupPenalty& p, const AdamStep& step) {
    const Moments<T> moments(first, second, step);
    const AdamDirection<T> rule{w, first, static_cast<T>(step.rate)};
    const T metric = static_cast<T>(step.metric), longest = static_cast<T>(p.longest_step);
    // Where gradients vanish, the second moments do, and the steps would grow without bound.
    const auto point = [=](i64 j, T& length) {
        const T inverse = 1 / moments.metric(moments.update(j, gradient[j]));
        length = at_most(longest, metric * inverse);
        return rule.point(j, inverse);
    };
    return step_of_weights<T>(shape, p, point, [=](i64 j, T after) { rule.accept(j, after); });
}

// The step of a block; where its number of groups is not known beforehand, in the scratch that is given.
template <class T, class Block>
SKNORMNET_FLATTEN SKNORMNET_NOINLINE double adam_block(const Block& block, T* w, T* gradient, T* first, T* second,
                                                       const GroupPenalty& p, const AdamStep& step, T* steps,
                                                       T* scratch) {
    const Block own = block;
    const i64 n = own.n();
    T *factors = scratch, *values = part_of(scratch, 1, n), *inverse = part_of(scratch, 2, n);
    constexpr i64 known = Block::known > 0 ? Block::known : 1;
    T own_steps[known], own_factors[known], own_values[known], own_inverse[known];  // apart: GCC finds them registers
    if constexpr (Block::known > 0) {
        steps = own_steps;
        factors = own_factors;
        values = own_values;
        inverse = own_inverse;
    }
    adam_moments(own, p.groups, gradient, first, second, step, inverse);
    const T metric = static_cast<T>(step.metric), longest = static_cast<T>(p.longest_step);
    for_groups<Block::known>(n, [=](i64 g) { steps[g] = at_most(longest, metric * inverse[g]); });
    const AdamDirection<T> rule{w, first, static_cast<T>(step.rate)};
    return take_step(own, rule, gradient, p, steps, factors, values, inverse);
}

template <class T>
double adam_groups(T* w, T* gradient, T* first, T* second, i64 rows, i64 columns, const GroupPenalty& p,
                   const AdamStep& step, T* steps, T* scratch) {
    if (is_shape_of_weights(p)) {
        return with_shape<T>(
            p, [&](const auto& shape) { return adam_weights(shape, w, gradient, first, second, p, step); });
    }
    double cost = 0;
    for_blocks<T>(rows, columns, p, [&](i64 start, const auto& block, const GroupPenalty& part) {
        cost += adam_block(block, w + start, gradient + start, first + start, second + start, part, step, steps,
                           scratch);
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
    adam_moments(AnyGroups<T>{groups, rows, columns}, groups, gradient, first, second, step, steps);
    for_each_weight(groups, rows, columns, [=](i64 j, i64 g) { gradient[j] = rule.point(j, steps[g]); });
    for_groups<0>(groups.n, [=](i64 g) { steps[g] *= metric; });
}

template <class T> constexpr sknormnet::GroupFunctions<T> make_group_functions() {
    using Operations = GroupOperations<T>;
    return {Operations::cost, Operations::value, group_prox<T>, Operations::subgradient, Operations::residual,
            sgd_groups<T>, adam_groups<T>};
}
