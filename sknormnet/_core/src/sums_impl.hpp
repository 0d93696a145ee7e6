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

// Sum of body(j) for start <= j < stop. Sixteen sums, added up by halves: what an "omp simd reduction" leaves, compilers
// add up one after the other.
template <class T, class Body> inline T sum_over(i64 start, i64 stop, const Body& body) {
    T lanes[16] = {}, fours[4] = {}, rest = 0;
    i64 j = start;
    for (; j + 16 <= stop; j += 16) {
#pragma omp simd
        for (i64 t = 0; t < 16; ++t) lanes[t] += body(j + t);
    }
    for (; j + 4 <= stop; j += 4) {
#pragma omp simd simdlen(4)
        for (i64 t = 0; t < 4; ++t) fours[t] += body(j + t);
    }
    for (; j < stop; ++j) rest += body(j);
    T eights[8];
#pragma omp simd
    for (i64 t = 0; t < 8; ++t) eights[t] = lanes[t] + lanes[t + 8];
#pragma omp simd simdlen(4)
    for (i64 t = 0; t < 4; ++t) fours[t] += eights[t] + eights[t + 4];
    return ((fours[0] + fours[2]) + (fours[1] + fours[3])) + rest;
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

// done(first, n, sums) with the sums over n <= 16 rows of body(index, row), where rows begin a stride apart. Sixteen sums to a row, which are added up for
// sixteen rows at once: the horizontal sum of a short row would cost more than the row. `fixed` is the number of columns
// where it is known.
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
            T lanes[N] = {};
            for (i64 j = start; j < start + whole; j += N) {
#pragma omp simd
                for (i64 t = 0; t < N; ++t) lanes[t] += body(j + t, row);
            }
#pragma omp simd
            for (i64 t = 0; t < N; ++t) sums[i * N + t] = lanes[t];
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
