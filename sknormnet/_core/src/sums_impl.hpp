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

// Sixteen sums side by side, added up by halves: what an "omp simd reduction" leaves, compilers add up one after the
// other. GCC keeps a vector in a register, but an array in memory.
template <class T> class Lanes {
  public:
    // sums += body(t) for t < 16
    template <class Body> void add(const Body& body) {
        T values[16];
#pragma omp simd
        for (i64 t = 0; t < 16; ++t) values[t] = body(t);
#if defined(__GNUC__)
        Vector terms;
        memcpy(&terms, values, sizeof(terms));
        sums_ += terms;
#else
        for (i64 t = 0; t < 16; ++t) sums_[t] += values[t];
#endif
    }

    // sums += body(j) for start <= j < stop
    template <class Body> void add(i64 start, i64 stop, const Body& body) {
        i64 j = start;
        for (; j + 16 <= stop; j += 16) add([=](i64 t) { return body(j + t); });
        for (; j + 4 <= stop; j += 4) {
#pragma omp simd simdlen(4)
            for (i64 t = 0; t < 4; ++t) fours_[t] += body(j + t);
        }
        for (; j < stop; ++j) rest_ += body(j);
    }

    void copy_to(T* out) const { memcpy(out, &sums_, sizeof(sums_)); }

    T total() const {
        T sixteen[16], eight[8], four[4];
        copy_to(sixteen);
#pragma omp simd
        for (i64 t = 0; t < 8; ++t) eight[t] = sixteen[t] + sixteen[t + 8];
#pragma omp simd simdlen(4)
        for (i64 t = 0; t < 4; ++t) four[t] = fours_[t] + (eight[t] + eight[t + 4]);
        return ((four[0] + four[2]) + (four[1] + four[3])) + rest_;
    }

  private:
#if defined(__GNUC__)
    typedef T Vector __attribute__((vector_size(16 * sizeof(T))));
    Vector sums_ = {};
#else
    T sums_[16] = {};
#endif
    T fours_[4] = {}, rest_ = 0;
};

// Sum of body(j) for start <= j < stop.
template <class T, class Body> inline T sum_over(i64 start, i64 stop, const Body& body) {
    Lanes<T> lanes;
    lanes.add(start, stop, body);
    return lanes.total();
}

// The same for all j < n, in chunks whose sums are added up in double.
template <class T, class Body> inline double sum_in_chunks(i64 n, const Body& body) {
    double total = 0;
    for (i64 start = 0; start < n; start += CHUNK) total += sum_over<T>(start, smaller(start + CHUNK, n), body);
    return total;
}

template <i64 n, class T> inline void add_neighbours(const T* SKNORMNET_RESTRICT x, T* SKNORMNET_RESTRICT out) {
#pragma omp simd
    for (i64 k = 0; k < n; ++k) out[k] = x[2 * k] + x[2 * k + 1];
}

// done(first, n, sums) with the sums over n <= 16 rows of body(index, row), where rows begin a stride apart. Sixteen sums
// to a row, which are added up for sixteen rows at once: the horizontal sum of a short row would cost more than the row.
// `fixed` is the number of columns where it is known.
template <i64 fixed, class T, class Body, class Done>
inline void row_sums(i64 rows, i64 some_columns, i64 stride, const Body& body, const Done& done) {
    constexpr i64 N = 16;
    const i64 columns = fixed > 0 ? fixed : some_columns;
    const i64 whole = columns - columns % N;
    for (i64 first = 0; first < rows; first += N) {
        const i64 n = smaller(N, rows - first);
        T sums[N * N], half[N * N / 2], rest[N] = {};
        for (i64 i = 0; i < n; ++i) {
            const i64 row = first + i, start = row * stride;
            Lanes<T> lanes;
            for (i64 j = start; j < start + whole; j += N) lanes.add([=](i64 t) { return body(j + t, row); });
            lanes.copy_to(sums + i * N);
            if (fixed % N != 0 || fixed == 0) {
                T tail = 0;
                for (i64 j = start + whole; j < start + columns; ++j) tail += body(j, row);
                rest[i] = tail;
            }
        }
        for (i64 i = n; i < N; ++i) {
#pragma omp simd
            for (i64 t = 0; t < N; ++t) sums[i * N + t] = 0;
        }
        add_neighbours<N * N / 2>(sums, half);
        add_neighbours<N * N / 4>(half, sums);
        add_neighbours<N * N / 8>(sums, half);
        add_neighbours<N * N / 16>(half, sums);
#pragma omp simd
        for (i64 i = 0; i < N; ++i) sums[i] += rest[i];
        done(first, n, sums);
    }
}
