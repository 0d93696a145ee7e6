// Penalties of groups of weights: a shape of the group's norm. Included only by kernels_impl.hpp, inside its anonymous
// namespace.
//
// A matrix of rows x columns is cut into groups: single weights, rows (or rows joined), columns, or all of it.

using sknormnet::Groups;

template <class T> inline void fill(T* out, i64 n, T value) {
    for (i64 j = 0; j < n; ++j) out[j] = value;
}

// body(g) for all groups; where their number is not known beforehand, on to the end of a vector.
template <i64 known, class Body> inline void for_groups(i64 n, const Body& body) {
    if (n == 1) return body(0);  // which the processor has in a register, or would wait for
    constexpr i64 width = known > 0 ? known : 16;
    for (i64 first = 0; first < n; first += width) {
#pragma omp simd
        for (i64 g = first; g < first + width; ++g) body(g);
    }
}

template <i64 known, class T> inline double sum_of(const T* values, i64 n) {
    if constexpr (known > 0) return sum_by_halves<known>(values);
    if (n == 1) return values[0];
    return sum_in_chunks<T>(n, [=](i64 g) { return values[g]; });
}

template <class T, class Body, class Done>
inline void row_sums(i64 rows, i64 columns, const Body& body, const Done& done) {
    if (columns == 16) return row_sums<16, T>(rows, columns, body, done);
    if (columns == 32) return row_sums<32, T>(rows, columns, body, done);
    row_sums<0, T>(rows, columns, body, done);
}

// Four rows a pass: the sums are read and written a quarter as often.
template <class T, class Body> inline void column_sums_of(i64 rows, i64 columns, T* sums, const Body& body) {
    i64 i = 0;
    for (; i + 4 <= rows; i += 4) {
        const i64 r0 = i * columns, r1 = r0 + columns, r2 = r1 + columns, r3 = r2 + columns;
        for_columns(columns, [=](i64 j) {
            const T a = body(r0 + j, j), b = body(r1 + j, j), c = body(r2 + j, j), d = body(r3 + j, j);
            sums[j] += (a + b) + (c + d);
        });
    }
    for (; i < rows; ++i) {
        for_columns(columns, [=](i64 j) { sums[j] += body(i * columns + j, j); });
    }
}

// sums[g] <- sum over group g of body(index, g)
template <class T, class Body>
SKNORMNET_FLATTEN SKNORMNET_NOINLINE void group_sums(const Groups& groups, i64 rows, i64 columns, T* sums, Body body) {
    const i64* of_row = groups.of_row;
    if (groups.by == sknormnet::BY_INPUT && of_row == nullptr) {
        return row_sums<T>(rows, columns, body, [=](i64 first, i64, const T* of_rows) {
#pragma omp simd
            for (i64 t = 0; t < 16; ++t) sums[first + t] = of_rows[t];
        });
    }
    fill(sums, groups.n, T(0));
    if (groups.by == sknormnet::BY_INPUT) {
        return row_sums<0, T>(
            rows, columns, [=](i64 j, i64 i) { return body(j, of_row[i]); },
            [=](i64 first, i64 n, const T* of_rows) {
                for (i64 t = 0; t < n; ++t) sums[of_row[first + t]] += of_rows[t];
            });
    }
    if (groups.by == sknormnet::BY_OUTPUT) return column_sums_of(rows, columns, sums, body);
    const i64 n = rows * columns;
    if (groups.by == sknormnet::BY_WEIGHT) {
#pragma omp simd
        for (i64 j = 0; j < n; ++j) sums[j] = body(j, j);
        return;
    }
    sums[0] = sum_over<T>(0, n, [=](i64 j) { return body(j, i64(0)); });
}

// body(index, g) for every entry
template <i64 fixed, class Body>
inline void for_rows(const Groups& groups, i64 rows, i64 some_columns, const Body& body) {
    const i64 columns = fixed > 0 ? fixed : some_columns;
    for (i64 i = 0; i < rows; ++i) {
        const i64 start = i * columns, g = groups.of_row == nullptr ? i : groups.of_row[i];
        if (groups.by == sknormnet::BY_INPUT) {
            for_columns(columns, [=](i64 j) { body(start + j, g); });
        } else {
            for_columns(columns, [=](i64 j) { body(start + j, j); });
        }
    }
}

template <class Body>
SKNORMNET_FLATTEN SKNORMNET_NOINLINE void for_each_weight(const Groups& groups, i64 rows, i64 columns, Body body) {
    if (groups.by == sknormnet::BY_INPUT || groups.by == sknormnet::BY_OUTPUT) {
        if (columns == 16) return for_rows<16>(groups, rows, columns, body);
        if (columns == 32) return for_rows<32>(groups, rows, columns, body);
        return for_rows<0>(groups, rows, columns, body);
    }
    const i64 n = rows * columns;
    if (groups.by == sknormnet::BY_WEIGHT) {
#pragma omp simd
        for (i64 j = 0; j < n; ++j) body(j, j);
    } else {
#pragma omp simd
        for (i64 j = 0; j < n; ++j) body(j, i64(0));
    }
}

// The same, and the sum of what body returns.
template <i64 fixed, class T, class Body>
inline double sum_over_rows(const Groups& groups, i64 rows, i64 some_columns, const Body& body) {
    const i64 columns = fixed > 0 ? fixed : some_columns;
    const i64 most = columns < CHUNK ? CHUNK / columns : 1;
    const bool by_input = groups.by == sknormnet::BY_INPUT;
    double total = 0;
    for (i64 first = 0; first < rows; first += most) {
        Lanes<T> lanes;
        for (i64 i = first; i < smaller(first + most, rows); ++i) {
            const i64 start = i * columns, g = groups.of_row == nullptr ? i : groups.of_row[i];
            if (by_input) {
                lanes.add(start, start + columns, [=](i64 j) { return body(j, g); });
            } else {
                lanes.add(start, start + columns, [=](i64 j) { return body(j, j - start); });
            }
        }
        total += lanes.total();
    }
    return total;
}

template <class T, class Body>
SKNORMNET_FLATTEN SKNORMNET_NOINLINE double sum_over_weights(const Groups& groups, i64 rows, i64 columns, Body body) {
    const i64 n = rows * columns;
    if (groups.by == sknormnet::BY_WEIGHT) return sum_in_chunks<T>(n, [=](i64 j) { return body(j, j); });
    if (groups.by == sknormnet::BY_MATRIX) return sum_in_chunks<T>(n, [=](i64 j) { return body(j, i64(0)); });
    if (columns == 16) return sum_over_rows<16, T>(groups, rows, columns, body);
    if (columns == 32) return sum_over_rows<32, T>(groups, rows, columns, body);
    return sum_over_rows<0, T>(groups, rows, columns, body);
}

#include "shapes_impl.hpp"

// ------------------------------------------------------------------------------------------------- operations

// The k-th of scratch's three numbers per group; each begins with a vector.
template <class T> inline T* part_of(T* scratch, i64 k, i64 n) { return scratch + k * ((n + 15) / 16 * 16); }

template <class T> struct GroupOperations {
    // Squares that underflow are zeros. Where they overflow, a group's are taken once more, of weights so much smaller.
    static void norms(const T* w, i64 rows, i64 columns, const Groups& groups, T* sums) {
        group_sums(groups, rows, columns, sums, [=](i64 j, i64) { return w[j] * w[j]; });
        const bool finite = all_finite(sums, groups.n);
        for_groups<0>(groups.n, [=](i64 g) { sums[g] = square_root(sums[g]); });
        if (!finite) large_norms(w, rows, columns, groups, sums);
    }

    // body(g, strength times the inner factor of group g)
    template <i64 known = 0, class Body>
    static void inner(const GroupPenalty& p, i64 n, double strength, const Body& body) {
        const double* factors = p.groups.inner_factors;
        if (factors == nullptr) {
            for_groups<known>(n, [=](i64 g) { body(g, static_cast<T>(strength)); });
        } else {
            for_groups<known>(n, [=](i64 g) { body(g, static_cast<T>(strength * factors[g])); });
        }
    }

    // Sum of shapes and of terms of single weights, constraints left out.
    static double cost(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        const i64 n = p.groups.n;
        double total = 0;
        if (p.strength > 0 && p.shape != sknormnet::LIMIT) {
            norms(w, rows, columns, p.groups, scratch);
            evaluate_shape<T>(p, sknormnet::SHAPE_VALUE, scratch);
            total = sum_in_chunks<T>(n, [=](i64 g) { return scratch[g]; });
        }
        return total + inner_cost(w, rows, columns, p, scratch);
    }

    static double inner_cost(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        if (p.inner_l1 <= 0 && p.l2 <= 0) return 0;
        const double* factors = p.groups.inner_factors;
        if (factors == nullptr) return penalty_value(w, rows * columns, Elementwise{p.inner_l1, p.l2});
        const T l1 = static_cast<T>(p.inner_l1), half_l2 = static_cast<T>(0.5 * p.l2);
        group_sums(p.groups, rows, columns, scratch,
                   [=](i64 j, i64) { return l1 * absolute(w[j]) + half_l2 * w[j] * w[j]; });
        return sum_in_chunks<T>(p.groups.n, [=](i64 g) { return static_cast<T>(factors[g]) * scratch[g]; });
    }

    // The same with constraints: infinity outside.
    static double value(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        double total = cost(w, rows, columns, p, scratch);
        if (p.shape == sknormnet::LIMIT) {
            norms(w, rows, columns, p.groups, scratch);
            evaluate_shape<T>(p, sknormnet::SHAPE_VALUE, scratch);
            total += sum_in_chunks<T>(p.groups.n, [=](i64 g) { return scratch[g]; });
        }
        if (p.non_negative) {
            total += sum_in_chunks<T>(rows * columns, [=](i64 j) { return w[j] < 0 ? T(INFINITY) : w[j] - w[j]; });
        }
        return total;
    }

    static void subgradient(const T* w, T* out, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        const i64 n = p.groups.n;
        T *slope = scratch, *l1 = part_of(scratch, 1, n);
        slopes(w, rows, columns, p, slope, l1);
        add_l2(p, slope);
        inner(p, n, p.inner_l1, [=](i64 g, T strength) { l1[g] = strength; });
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) {
            out[j] = slope[g] * w[j] + (w[j] > 0 ? l1[g] : (w[j] < 0 ? -l1[g] : T(0)));
        });
    }

    // Of the vector of smallest norm in gradient + subdifferential, the sizes of the entries.
    static void residual(const T* w, const T* gradient, T* out, i64 rows, i64 columns, const GroupPenalty& p,
                         T* scratch) {
        const i64 n = p.groups.n;
        T *slope = scratch, *l1 = part_of(scratch, 1, n), *at_zero = part_of(scratch, 2, n);
        slopes(w, rows, columns, p, slope, at_zero);
        add_l2(p, slope);
        inner(p, n, p.inner_l1, [=](i64 g, T strength) { l1[g] = strength; });
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

    static constexpr T small = sizeof(T) == 4 ? T(0x1p-80) : T(0x1p-560);  // times any weight: can be squared

  private:
    // Those that are not finite, anew. Until the end they are negative; NaN stays NaN.
    static void large_norms(const T* w, i64 rows, i64 columns, const Groups& groups, T* norms) {
        const T begin = sizeof(T) == 4 ? T(-0x1p-120) : T(-0x1p-1000);  // lost in rounding
        for (i64 g = 0; g < groups.n; ++g) {
            if (!(norms[g] - norms[g] == 0)) norms[g] = begin;
        }
        for (i64 i = 0; i < rows; ++i) {
            const i64 of_row = groups.of_row == nullptr ? i : groups.of_row[i];
            for (i64 j = 0; j < columns; ++j) {
                const i64 g = groups.by == sknormnet::BY_INPUT    ? of_row
                              : groups.by == sknormnet::BY_OUTPUT ? j
                              : groups.by == sknormnet::BY_WEIGHT ? i * columns + j
                                                                  : 0;
                const T v = small * w[i * columns + j];
                if (norms[g] < 0) norms[g] -= v * v;
            }
        }
        for (i64 g = 0; g < groups.n; ++g) {
            if (norms[g] < 0) norms[g] = square_root(-norms[g]) / small;
        }
    }

    // out[g] <- slope / norm, which times w is the group's gradient; 0 for a group of zeros, whose slope is in at_norm
    static void slopes(const T* w, i64 rows, i64 columns, const GroupPenalty& p, T* out, T* at_norm) {
        norms(w, rows, columns, p.groups, out);
        for (i64 g = 0; g < p.groups.n; ++g) at_norm[g] = out[g];
        if (p.strength > 0) {
            evaluate_shape<T>(p, sknormnet::SHAPE_SLOPE, at_norm);
        } else {
            fill(at_norm, p.groups.n, T(0));
        }
#pragma omp simd
        for (i64 g = 0; g < p.groups.n; ++g) out[g] = out[g] > 0 ? at_norm[g] / out[g] : out[g];
    }

    static void add_l2(const GroupPenalty& p, T* slope) {
        if (p.l2 > 0) inner(p, p.groups.n, p.l2, [=](i64 g, T l2) { slope[g] += l2; });
    }

    // A group at its limit has the outward normals: what points inward along w is taken off.
    static void remove_outward(const T* w, T* out, i64 rows, i64 columns, const GroupPenalty& p, T* scratch) {
        const i64 n = p.groups.n;
        const Limit<T> shape(p);
        T *norm = scratch, *along = part_of(scratch, 1, n);
        norms(w, rows, columns, p.groups, norm);
        group_sums(p.groups, rows, columns, along, [=](i64 j, i64) { return out[j] * w[j]; });
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
        T *nonzeros = scratch, *norm = part_of(scratch, 1, n);
        group_sums(p.groups, rows, columns, nonzeros, [=](i64 j, i64) { return w[j] == 0 ? T(0) : T(1); });
        norms(out, rows, columns, p.groups, norm);
#pragma omp simd
        for (i64 g = 0; g < n; ++g) {
            const T left = norm[g] - at_zero[g];
            norm[g] = nonzeros[g] > 0 ? T(1) : (left > 0 ? left / norm[g] : (left <= 0 ? T(0) : left));
        }
        for_each_weight(p.groups, rows, columns, [=](i64 j, i64 g) { out[j] *= norm[g]; });
    }
};

#include "group_blocks_impl.hpp"
#include "group_steps_impl.hpp"
