// Loops over vectors of 16 numbers, and sums. Included only by kernels_impl.hpp, inside its anonymous namespace.

constexpr i64 CHUNK = 1024;  // elements: partial sums of a chunk are added up in double

inline i64 smaller(i64 a, i64 b) { return a < b ? a : b; }

// body(j) for j < n: whole vectors, then fours, then singles. A compiler's own tail of up to 15 single elements would
// cost as much as the whole vectors of a row of 100.
template <class Body> inline void for_columns(i64 n, const Body& body) {
    const i64 whole = n - n % 16;
#pragma omp simd
    for (i64 j = 0; j < whole; ++j) body(j);
    i64 j = whole;
    for (; j + 4 <= n; j += 4) {
#pragma omp simd simdlen(4)
        for (i64 t = 0; t < 4; ++t) body(j + t);
    }
    for (; j < n; ++j) body(j);
}

template <int n, class T> inline T sum_by_halves(const T* x) {
    if constexpr (n == 1) {
        return x[0];
    } else {
        T half[n / 2];
#pragma omp simd
        for (i64 t = 0; t < n / 2; ++t) half[t] = x[t] + x[t + n / 2];
        return sum_by_halves<n / 2>(half);
    }
}

// Sums side by side in a vector of the machine, added up by halves: what an "omp simd reduction" leaves, compilers add up
// one after the other. GCC keeps a vector in a register, but an array in memory.
template <class T> class Lanes {
  public:
#if defined(__AVX512F__)
    static constexpr int N = 64 / sizeof(T);
#elif defined(__AVX__)
    static constexpr int N = 32 / sizeof(T);
#else
    static constexpr int N = 16 / sizeof(T);
#endif

    // sums += body(t) for t < N
    template <class Body> void add(const Body& body) {
        T values[N];
#pragma omp simd
        for (i64 t = 0; t < N; ++t) values[t] = body(t);
#if defined(__GNUC__)
        Vector terms;
        memcpy(&terms, values, sizeof(terms));
        sums_ += terms;
#else
        for (i64 t = 0; t < N; ++t) sums_[t] += values[t];
#endif
    }

    // sums += body(j) for start <= j < stop
    template <class Body> void add(i64 start, i64 stop, const Body& body) {
        const i64 n = stop - start;  // which compilers know, where it is the length of a row
        i64 j = 0;
        for (; j + N <= n; j += N) add([=](i64 t) { return body(start + j + t); });
        for (; j + 4 <= n; j += 4) {
#pragma omp simd simdlen(4)
            for (i64 t = 0; t < 4; ++t) fours_[t] += body(start + j + t);
        }
        for (; j < n; ++j) rest_ += body(start + j);
    }

    void store(T* out) const { memcpy(out, &sums_, sizeof(sums_)); }
    void store_tail(T* fours, T* rest) const {
        memcpy(fours, fours_, sizeof(fours_));
        *rest = rest_;
    }

    T total() const {
        T sums[N];
        store(sums);
        return (sum_by_halves<N>(sums) + sum_by_halves<4>(fours_)) + rest_;
    }

  private:
#if defined(__GNUC__)
    typedef T Vector __attribute__((vector_size(N * sizeof(T))));
    Vector sums_ = {};
#else
    T sums_[N] = {};
#endif
    T fours_[4] = {}, rest_ = 0;
};

// Sum of body(j) for start <= j < stop.
template <class T, class Body> inline T sum_over(i64 start, i64 stop, const Body& body) {
    Lanes<T> lanes;
    lanes.add(start, stop, body);
    return lanes.total();
}

// out[i] <- sum over j < columns of body(index, j), where the rows of the table begin a stride apart. Four rows at once
// hide each other's latency.
template <class T, class Body>
inline void sums_of_rows(i64 rows, i64 columns, i64 stride, T* SKNORMNET_RESTRICT out, const Body& body) {
    i64 i = 0;
    for (; i + 4 <= rows; i += 4) {
        const i64 r0 = i * stride, r1 = r0 + stride, r2 = r1 + stride, r3 = r2 + stride;
        Lanes<T> s0, s1, s2, s3;
        i64 j = 0;
        for (; j + Lanes<T>::N <= columns; j += Lanes<T>::N) {
            s0.add([=](i64 t) { return body(r0 + j + t, j + t); });
            s1.add([=](i64 t) { return body(r1 + j + t, j + t); });
            s2.add([=](i64 t) { return body(r2 + j + t, j + t); });
            s3.add([=](i64 t) { return body(r3 + j + t, j + t); });
        }
        s0.add(j, columns, [=](i64 k) { return body(r0 + k, k); });
        s1.add(j, columns, [=](i64 k) { return body(r1 + k, k); });
        s2.add(j, columns, [=](i64 k) { return body(r2 + k, k); });
        s3.add(j, columns, [=](i64 k) { return body(r3 + k, k); });
        out[i] = s0.total();
        out[i + 1] = s1.total();
        out[i + 2] = s2.total();
        out[i + 3] = s3.total();
    }
    for (; i < rows; ++i) out[i] = sum_over<T>(0, columns, [=](i64 j) { return body(i * stride + j, j); });
}

// Sum of body(j) for j < n, in chunks whose sums are added up in double.
template <class T, class Body> inline double sum_in_chunks(i64 n, const Body& body) {
    double total = 0;
    for (i64 start = 0; start < n; start += CHUNK) total += sum_over<T>(start, smaller(start + CHUNK, n), body);
    return total;
}

// out <- sums of so many neighbours
template <i64 neighbours, i64 n, class T> inline void add_neighbours(const T* x, T* out) {
    if constexpr (neighbours == 1) {
        for (i64 k = 0; k < n; ++k) out[k] = x[k];
    } else {
        T half[n / 2];
#pragma omp simd
        for (i64 k = 0; k < n / 2; ++k) half[k] = x[2 * k] + x[2 * k + 1];
        add_neighbours<neighbours / 2, n / 2>(half, out);
    }
}

// done(first, n, sums) with the sums over n <= 16 rows of body(index, row). The lanes of four rows, and then of
// sixteen, are added up at once: the horizontal sum of a short row would cost more than the row. `fixed` is the number
// of columns where it is known.
template <i64 fixed, class T, class Body, class Done>
inline void row_sums(i64 rows, i64 some_columns, const Body& body, const Done& done) {
    constexpr i64 N = Lanes<T>::N, AT_ONCE = N < 4 ? N : 4;
    constexpr bool whole = fixed > 0 && fixed % N == 0;
    const i64 columns = fixed > 0 ? fixed : some_columns;
    for (i64 first = 0; first < rows; first += 16) {
        const i64 n = smaller(16, rows - first);
        T parts[16 * N / AT_ONCE] = {}, sums[16], fours[64] = {}, rest[16] = {};
        for (i64 i = 0; i < n; i += 4) {
            T lanes[4 * N];
            const auto add = [&](i64 k) {
                Lanes<T> row;
                const i64 r = first + i + k, start = r * columns;
                if (i + k < n) row.add(start, start + columns, [=](i64 j) { return body(j, r); });
                row.store(lanes + k * N);
                if (!whole) row.store_tail(fours + 4 * (i + k), rest + i + k);
            };
            if constexpr (fixed > 0) {  // unrolled, they stay in registers
                add(0);
                add(1);
                add(2);
                add(3);
            } else {
                for (i64 k = 0; k < 4; ++k) add(k);
            }
            add_neighbours<AT_ONCE, 4 * N>(lanes, parts + i * N / AT_ONCE);
        }
        add_neighbours<N / AT_ONCE, 16 * N / AT_ONCE>(parts, sums);
        if (!whole) {
            T tails[16];
            add_neighbours<4, 64>(fours, tails);
#pragma omp simd
            for (i64 i = 0; i < 16; ++i) sums[i] += tails[i] + rest[i];
        }
        done(first, n, sums);
    }
}
