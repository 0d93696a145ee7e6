// Losses for classification and the inverse links. Included only by kernels_impl.hpp, inside its anonymous namespace.
//
// One column of y and several of raw: classes 0..columns-1. Otherwise a binary loss for each column.

template <class T, sknormnet::LossFunction<T> Binary, sknormnet::LossFunction<T> Classes>
double by_encoding(void* context, const T* y, i64 y_columns, const T* raw, i64 rows, i64 raw_columns,
                   const T* sample_weight, T scale, T* gradient) {
    return (y_columns == raw_columns ? Binary : Classes)(context, y, y_columns, raw, rows, raw_columns, sample_weight,
                                                         scale, gradient);
}

// --------------------------------------------------------------------------------------------- of the margin

// y holds the class, 0..columns-1, in one column: the sum over classes of a binary loss, own class against the others.
template <class T, class L>
SKNORMNET_FLATTEN double one_versus_rest(void* context, const T* y, i64, const T* raw, i64 rows, i64 columns,
                                         const T* sample_weight, T scale, T* gradient) {
    const L loss(parameters_of(context));
    double total = 0;
    for (i64 i = 0; i < rows; ++i) {
        const T weight = sample_weight == nullptr ? T(1) : sample_weight[i];
        const T factor = scale * weight;
        const T own = y[i];
        const T* row = raw + i * columns;
        T* out = gradient + i * columns;
        const T sum = sum_over<T>(0, columns, [=](i64 j) {
            const Evaluation<T> at = loss(static_cast<T>(j) == own ? T(1) : T(0), row[j]);
            out[j] = factor * at.slope;
            return at.value;
        });
        total += static_cast<double>(weight) * sum;
    }
    return total;
}

template <class T> struct Margin {  // of 1 - margin, margin = raw for y = 1 and -raw for y = 0
    Envelope<T> envelope;
    explicit Margin(const LossParameters& p) : envelope(p) {}
    Evaluation<T> operator()(T y, T raw) const {
        const T sign = 2 * y - 1;
        const Evaluation<T> at = envelope(1 - sign * raw);
        return {at.value, -sign * at.slope};
    }
};

// --------------------------------------------------------------------------------- of a binary probability

template <class T> struct BinaryLogLoss {  // log(1 + exp(raw)) - y * raw, y drawn towards 1/2
    T keep, half;
    explicit BinaryLogLoss(const LossParameters& p)
        : keep(static_cast<T>(1 - p.shape)), half(static_cast<T>(0.5 * p.shape)) {}
    Evaluation<T> operator()(T y, T raw) const {
        const T e = exponential(-absolute(raw));
        const T target = y * keep + half;
        const T nearer = e / (1 + e);  // the probability's distance to 0, or to 1 for raw >= 0
        const T slope = raw < 0 ? nearer - target : (1 - target) - nearer;
        return {(raw < 0 ? T(0) : raw) - target * raw + log1p_unit(e), slope};
    }
};

template <class T> struct BinaryBrier {  // (p - y)^2
    explicit BinaryBrier(const LossParameters&) {}
    Evaluation<T> operator()(T y, T raw) const {
        const T sign = 2 * y - 1;
        const T margin = sign * raw;
        const T e = exponential(-absolute(margin));
        const T wrong = (margin < 0 ? T(1) : e) / (1 + e), right = (margin < 0 ? e : T(1)) / (1 + e);
        return {wrong * wrong, -2 * sign * (wrong * wrong * right)};
    }
};

// -(1 - p)^gamma * log(p), p the probability of the right class, and what multiplies 1{k is right} - p_k in its
// gradient. log_p and log_wrong are the logarithms of p and of wrong = 1 - p.
template <class T> inline Evaluation<T> focal_value(T gamma, T p, T log_p, T wrong, T log_wrong) {
    const T weight = gamma == 2 ? wrong * wrong : exponential(gamma * log_wrong);
    const T ratio = wrong > Format<T>::tiny ? log_p / wrong : T(-1);  // its limit as p goes to 1
    return {-weight * log_p, weight * (gamma * p * ratio - 1)};
}

template <class T> struct BinaryFocal {
    T gamma;
    explicit BinaryFocal(const LossParameters& p) : gamma(static_cast<T>(p.shape)) {}
    Evaluation<T> operator()(T y, T raw) const {
        const T sign = 2 * y - 1;
        const T margin = sign * raw;
        const T e = exponential(-absolute(margin));
        const T log_sum = log1p_unit(e);
        const T wrong = (margin < 0 ? T(1) : e) / (1 + e), right = (margin < 0 ? e : T(1)) / (1 + e);
        const T log_p = (margin < 0 ? margin : T(0)) - log_sum, log_wrong = (margin < 0 ? T(0) : -margin) - log_sum;
        const Evaluation<T> at = focal_value(gamma, right, log_p, wrong, log_wrong);
        return {at.value, sign * (at.slope * wrong)};
    }
};

// -------------------------------------------------------------------------------------------- through softmax

// out <- exp(x - rowmax(x)), tops[i] <- rowmax, rest[i] <- the row's sum without its largest term (which is 1): the
// logarithm of the sum is then log1p(rest), exact also where one class dominates.
// The exponential would multiply what x - rowmax loses by rounding, so that is carried along.
template <class T> void shifted_exponentials(const T* x, T* out, T* tops, T* rest, i64 rows, i64 columns) {
    T lost[CHUNK];
    for (i64 i = 0; i < rows; ++i) {
        const T* row = x + i * columns;
        T top = row[0];
        for (i64 j = 1; j < columns; ++j) top = row[j] > top ? row[j] : top;
        tops[i] = top;
    }
    // Several rows at once, or a part of one that is longer.
    const i64 step = columns < CHUNK ? CHUNK / columns : 1, width = smaller(columns, CHUNK);
    for (i64 start = 0; start < rows; start += step) {
        for (i64 first = 0; first < columns; first += width) {
            const i64 block = smaller(step, rows - start), part = smaller(width, columns - first);
            T* piece = out + start * columns + first;
            for (i64 i = 0; i < block; ++i) {
                const T* row = x + (start + i) * columns + first;
                const T top = tops[start + i];
                for (i64 j = 0; j < part; ++j) {
                    const T difference = row[j] - top, taken = row[j] - difference;
                    piece[i * part + j] = difference;
                    lost[i * part + j] = (row[j] - (difference + taken)) + (taken - top);
                }
            }
#pragma omp simd
            for (i64 j = 0; j < block * part; ++j) piece[j] = exponential(piece[j], lost[j]);
        }
    }
    for (i64 i = 0; i < rows; ++i) {
        T sum = -1;
        for (i64 j = 0; j < columns; ++j) sum += out[i * columns + j];
        // Of a dominated row, add the small terms alone.
        if (sum < T(0.5)) {
            sum = 0;
            bool skipped = false;
            for (i64 j = 0; j < columns; ++j) {
                const T e = out[i * columns + j];
                if (!skipped && e == 1) {
                    skipped = true;
                } else {
                    sum += e;
                }
            }
        }
        rest[i] = sum;
    }
}

constexpr i64 SOFTMAX_ROWS = 64;  // rows that are worked on while they lie in the first-level cache


template <class T>
double softmax_log_loss(void* context, const T* y, i64, const T* raw, i64 rows, i64 columns, const T* sample_weight,
                        T scale, T* gradient) {
    const double smoothing = parameters_of(context).shape;
    const T each = static_cast<T>(smoothing / static_cast<double>(columns)), keep = static_cast<T>(1 - smoothing);
    T tops[SOFTMAX_ROWS], rest[SOFTMAX_ROWS];
    double total = 0;
    for (i64 start = 0; start < rows; start += SOFTMAX_ROWS) {
        const i64 block = smaller(SOFTMAX_ROWS, rows - start);
        const T* x = raw + start * columns;
        T* out = gradient + start * columns;
        shifted_exponentials(x, out, tops, rest, block, columns);
        for (i64 i = 0; i < block; ++i) {
            const T weight = sample_weight == nullptr ? T(1) : sample_weight[start + i];
            const T factor = scale * weight / (1 + rest[i]);
            const i64 own = static_cast<i64>(y[start + i]);
            const double top = static_cast<double>(tops[i]);
            double below_top = (1 - smoothing) * (top - static_cast<double>(x[i * columns + own]));
            for (i64 j = 0; j < columns; ++j) out[i * columns + j] *= factor;
            out[i * columns + own] -= scale * weight * keep;
            if (smoothing > 0) {
                double sum = 0;
                for (i64 j = 0; j < columns; ++j) {
                    sum += top - static_cast<double>(x[i * columns + j]);
                    out[i * columns + j] -= scale * weight * each;
                }
                below_top += smoothing / static_cast<double>(columns) * sum;
            }
            total += static_cast<double>(weight) * (log1p(static_cast<double>(rest[i])) + below_top);
        }
    }
    return total;
}

// ||p - onehot(y)||^2 / 2
template <class T>
double softmax_brier(void*, const T* y, i64, const T* raw, i64 rows, i64 columns, const T* sample_weight, T scale,
                     T* gradient) {
    T tops[SOFTMAX_ROWS], rest[SOFTMAX_ROWS];
    double total = 0;
    for (i64 start = 0; start < rows; start += SOFTMAX_ROWS) {
        const i64 block = smaller(SOFTMAX_ROWS, rows - start);
        shifted_exponentials(raw + start * columns, gradient + start * columns, tops, rest, block, columns);
        for (i64 i = 0; i < block; ++i) {
            const T weight = sample_weight == nullptr ? T(1) : sample_weight[start + i];
            const i64 own = static_cast<i64>(y[start + i]);
            T* p = gradient + (start + i) * columns;
            const bool sure = p[own] == 1;  // the largest: its complement is the sum of the others
            const T inverse = 1 / (1 + rest[i]);
            T squares = 0;
            for (i64 j = 0; j < columns; ++j) {
                p[j] *= inverse;
                squares += p[j] * p[j];
            }
            const T wrong = sure ? rest[i] * inverse : 1 - p[own];
            T others = 0;
            if (wrong > T(0.25)) {
                others = squares - p[own] * p[own];
            } else {
                for (i64 j = 0; j < columns; ++j) others += j == own ? T(0) : p[j] * p[j];
            }
            total += static_cast<double>(weight) * (0.5 * (static_cast<double>(wrong) * wrong + others));
            const T mean = others - p[own] * wrong;  // of p_k - 1{k is right} under p
            const T factor = scale * weight;
            const T own_gradient = factor * (p[own] * (-wrong - mean));
            for (i64 j = 0; j < columns; ++j) p[j] = factor * (p[j] * (p[j] - mean));
            p[own] = own_gradient;
        }
    }
    return total;
}

template <class T>
double softmax_focal(void* context, const T* y, i64, const T* raw, i64 rows, i64 columns, const T* sample_weight,
                     T scale, T* gradient) {
    const T gamma = static_cast<T>(parameters_of(context).shape);
    T tops[SOFTMAX_ROWS], rest[SOFTMAX_ROWS], below_top[SOFTMAX_ROWS], values[SOFTMAX_ROWS], slopes[SOFTMAX_ROWS];
    double total = 0;
    for (i64 start = 0; start < rows; start += SOFTMAX_ROWS) {
        const i64 block = smaller(SOFTMAX_ROWS, rows - start);
        const T* x = raw + start * columns;
        T* out = gradient + start * columns;
        shifted_exponentials(x, out, tops, rest, block, columns);
        for (i64 i = 0; i < block; ++i) {
            below_top[i] = x[i * columns + static_cast<i64>(y[start + i])] - tops[i];
            values[i] = out[i * columns + static_cast<i64>(y[start + i])];
        }
#pragma omp simd
        for (i64 i = 0; i < block; ++i) {
            const T wrong = (below_top[i] == 0 ? rest[i] : 1 + rest[i] - values[i]) / (1 + rest[i]);
            const Evaluation<T> at =
                focal_value(gamma, values[i] / (1 + rest[i]), below_top[i] - log1p_positive(rest[i]), wrong,
                            logarithm(wrong));
            values[i] = at.value;
            slopes[i] = at.slope;
            tops[i] = 1 / (1 + rest[i]);
            rest[i] = wrong;
        }
        for (i64 i = 0; i < block; ++i) {
            const T weight = sample_weight == nullptr ? T(1) : sample_weight[start + i];
            T* p = out + i * columns;
            const T factor = -scale * weight * slopes[i] * tops[i];
            for (i64 j = 0; j < columns; ++j) p[j] *= factor;
            p[static_cast<i64>(y[start + i])] = scale * weight * (slopes[i] * rest[i]);
            total += static_cast<double>(weight) * static_cast<double>(values[i]);
        }
    }
    return total;
}

// ---------------------------------------------------------------------------------------------------- links

template <class T> void logistic(const T* x, T* out, i64 n) {
#pragma omp simd
    for (i64 j = 0; j < n; ++j) out[j] = logistic_function(x[j]);
}

template <class T> void log_logistic(const T* x, T* out, i64 n) {
#pragma omp simd
    for (i64 j = 0; j < n; ++j) out[j] = (x[j] < 0 ? x[j] : T(0)) - log1p_unit(exponential(-absolute(x[j])));
}

template <class T> void softmax(const T* x, T* out, i64 rows, i64 columns) {
    T tops[SOFTMAX_ROWS], rest[SOFTMAX_ROWS];
    for (i64 start = 0; start < rows; start += SOFTMAX_ROWS) {
        const i64 block = smaller(SOFTMAX_ROWS, rows - start);
        T* p = out + start * columns;
        shifted_exponentials(x + start * columns, p, tops, rest, block, columns);
        for (i64 i = 0; i < block; ++i) {
            for (i64 j = 0; j < columns; ++j) p[i * columns + j] /= 1 + rest[i];
        }
    }
}

template <class T> void log_softmax(const T* x, T* out, i64 rows, i64 columns) {
    T tops[SOFTMAX_ROWS], rest[SOFTMAX_ROWS];
    for (i64 start = 0; start < rows; start += SOFTMAX_ROWS) {
        const i64 block = smaller(SOFTMAX_ROWS, rows - start);
        const T* raw = x + start * columns;
        T* log_p = out + start * columns;
        shifted_exponentials(raw, log_p, tops, rest, block, columns);
        for (i64 i = 0; i < block; ++i) {
            const T log_sum = static_cast<T>(log1p(static_cast<double>(rest[i])));
            for (i64 j = 0; j < columns; ++j) log_p[i * columns + j] = (raw[i * columns + j] - tops[i]) - log_sum;
        }
    }
}
