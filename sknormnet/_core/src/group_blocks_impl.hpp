// Groups as a step sees them: sums over each group of body(index, g), totals over all weights, visits. Their number is
// `known` where that makes a step fast, as what belongs to them then stays in registers; 0: any. Included only by
// groups_impl.hpp.

// By the functions that know all groupings.
template <class T> struct AnyGroups {
    static constexpr i64 known = 0;
    const Groups& groups;
    i64 rows, columns;
    i64 n() const { return groups.n; }
    i64 size() const {  // of a group; where rows are joined, Groups::sizes have their numbers besides
        return groups.by == sknormnet::BY_WEIGHT   ? 1
               : groups.by == sknormnet::BY_OUTPUT ? rows
               : groups.by == sknormnet::BY_MATRIX ? rows * columns
                                                   : columns;
    }
    template <class Body> void sums(T* out, const Body& body) const { group_sums(groups, rows, columns, out, body); }
    template <class Body> double total(const Body& body) const {
        return sum_over_weights<T>(groups, rows, columns, body);
    }
    template <class Body> void each(const Body& body) const { for_each_weight(groups, rows, columns, body); }
};

template <class T> struct OneGroup {  // all of the matrix
    static constexpr i64 known = 1;
    i64 weights;
    i64 n() const { return 1; }
    i64 size() const { return weights; }
    template <class Body> void sums(T* out, const Body& body) const {
        out[0] = sum_over<T>(0, weights, [=](i64 j) { return body(j, i64(0)); });
    }
    template <class Body> double total(const Body& body) const {
        return sum_in_chunks<T>(weights, [=](i64 j) { return body(j, i64(0)); });
    }
    template <class Body> void each(const Body& body) const {
        for_columns(weights, [=](i64 j) { body(j, i64(0)); });
    }
};

template <class T> struct VectorOfColumns {  // as many as a vector holds
    static constexpr i64 known = Lanes<T>::N;
    i64 rows, stride;
    i64 n() const { return known; }
    i64 size() const { return rows; }
    template <class Body> Lanes<T> lanes(const Body& body) const {
        Lanes<T> lanes;
        for (i64 i = 0; i < rows; ++i) {
            const i64 start = i * stride;
            lanes.add([=](i64 t) { return body(start + t, t); });
        }
        return lanes;
    }
    template <class Body> void sums(T* out, const Body& body) const { lanes(body).store(out); }
    template <class Body> double total(const Body& body) const { return lanes(body).total(); }
    template <class Body> void each(const Body& body) const {
        for (i64 i = 0; i < rows; ++i) {
            const i64 start = i * stride;
#pragma omp simd
            for (i64 t = 0; t < known; ++t) body(start + t, t);
        }
    }
};

template <class T, i64 fixed> struct Rows {  // of so many columns; 0: any
    static constexpr i64 known = 0;
    i64 rows, some_columns;
    i64 n() const { return rows; }
    i64 size() const { return fixed > 0 ? fixed : some_columns; }
    template <class Body> void sums(T* out, const Body& body) const {
        row_sums<fixed, T>(rows, some_columns, body, [=](i64 first, i64, const T* of_rows) {
#pragma omp simd
            for (i64 t = 0; t < 16; ++t) out[first + t] = of_rows[t];
        });
    }
    template <class Body> double total(const Body& body) const {
        Lanes<T> lanes;
        for (i64 i = 0; i < rows; ++i) {
            lanes.add(i * size(), (i + 1) * size(), [=](i64 j) { return body(j, i); });
        }
        return lanes.total();
    }
    template <class Body> void each(const Body& body) const {
        for (i64 i = 0; i < rows; ++i) {
            const i64 start = i * size();
            for_columns(size(), [=](i64 j) { body(start + j, i); });
        }
    }
};
