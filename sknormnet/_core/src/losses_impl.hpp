// Losses for regression and what all losses share. Included only by kernels_impl.hpp, inside its anonymous namespace.
//
// A loss takes a block of raw predictions, has its link inside, and returns the weighted sum of its values; see
// LossFunction in kernels.hpp. Formulas are written so that a true overflow gives infinity, and nothing else NaN.

// Sum over units of weight * body(unit, scale * weight), where body writes the gradient. A row has `units` units, an
// output or a pair of outputs each: flat over the block, or row by row where rows have weights. body is a copy, which
// the gradient cannot alias.
template <class T, class Body>
SKNORMNET_FLATTEN double weighted_sum(i64 rows, i64 units, const T* sample_weight, T scale, Body body) {
    if (sample_weight == nullptr || units == 1) {
        const i64 n = rows * units;
        if (sample_weight == nullptr) return sum_in_chunks<T>(n, [=](i64 j) { return body(j, scale); });
        return sum_in_chunks<T>(
            n, [=](i64 j) { return sample_weight[j] * body(j, scale * sample_weight[j]); });
    }
    double total = 0;
    for (i64 i = 0; i < rows; ++i) {
        const T factor = scale * sample_weight[i];
        const T sum = sum_over<T>(i * units, (i + 1) * units, [=](i64 j) { return body(j, factor); });
        total += static_cast<double>(sample_weight[i]) * sum;
    }
    return total;
}

inline const LossParameters& parameters_of(void* context) { return *static_cast<const LossParameters*>(context); }

// A loss that is a sum over outputs, each with a target of its own.
template <class T, class L>
double elementwise_loss(void* context, const T* y, i64, const T* raw, i64 rows, i64 columns, const T* sample_weight,
                        T scale, T* gradient) {
    const L loss(parameters_of(context));
    return weighted_sum(rows, columns, sample_weight, scale, [=](i64 j, T factor) {
        const Evaluation<T> at = loss(y[j], raw[j]);
        gradient[j] = factor * at.slope;
        return at.value;
    });
}

// -------------------------------------------------------------------- piecewise linear or quadratic functions

// The Moreau envelope, with parameter width, of max(lower*t, upper*t): straight with slopes lower <= 0 and upper >= 0,
// and a parabola t^2/(2*width) in between. width = 0 is the function itself, with slope 0 at the kink. Every loss of a
// residual or a margin below is one of these.
template <class T> struct Envelope {
    T lower, upper, half, steep, steeper;  // steep * steeper is 1 / width, or takes even the smallest t beyond a slope
    explicit Envelope(const LossParameters& p)
        : lower(static_cast<T>(p.lower)), upper(static_cast<T>(p.upper)), half(static_cast<T>(0.5 * p.width)),
          steep(static_cast<T>(1 / p.width)), steeper(1) {
        if (lower < -Format<T>::largest) lower = -Format<T>::largest;
        if (upper > Format<T>::largest) upper = Format<T>::largest;
        if (!(steep <= Format<T>::largest)) steep = steeper = Format<T>::largest;
    }
    Evaluation<T> operator()(T t) const {
        const T slope = clamp(t * steep * steeper, lower, upper);
        return {slope * (t - half * slope), slope};
    }
};

template <class T> struct Residual {  // of the part of raw - y that lies outside the tube
    Envelope<T> envelope;
    T tube;
    explicit Residual(const LossParameters& p) : envelope(p), tube(static_cast<T>(p.tube)) {}
    Evaluation<T> operator()(T y, T raw) const {
        const T residual = raw - y;
        return envelope(residual - clamp(residual, -tube, tube));
    }
};

// Several quantiles of each target, in neighbouring columns.
template <class T>
double quantile_loss(void* context, const T* y, i64 y_columns, const T* raw, i64 rows, i64, const T* sample_weight,
                     T scale, T* gradient) {
    const LossParameters& p = parameters_of(context);
    const i64 n_levels = p.n_levels;
    double total = 0;
    for (i64 q = 0; q < n_levels; ++q) {
        LossParameters level = p;
        level.lower = -p.levels[q];
        level.upper = 1 - p.levels[q];
        const Envelope<T> envelope(level);
        total += weighted_sum(rows, y_columns, sample_weight, scale, [=](i64 j, T factor) {
            const Evaluation<T> at = envelope(raw[j * n_levels + q] - y[j]);
            gradient[j * n_levels + q] = factor * at.slope;
            return at.value;
        });
    }
    return total;
}

// The norm of a row's residual, scaled by its largest entry where squares would leave the range.
template <class T> inline T residual_norm(const T* y, const T* raw, i64 columns) {
    T squares = 0;
    for (i64 k = 0; k < columns; ++k) squares += (raw[k] - y[k]) * (raw[k] - y[k]);
    if (squares > Format<T>::tiny && squares < Format<T>::largest) return square_root(squares);
    T top = 0;
    for (i64 k = 0; k < columns; ++k) {
        const T size = absolute(raw[k] - y[k]);
        top = size <= top ? top : size;  // NaN is taken, and stays as long as no number follows
    }
    if (!(top > 0 && top <= Format<T>::largest)) return squares == squares ? top : squares;
    squares = 0;
    for (i64 k = 0; k < columns; ++k) squares += ((raw[k] - y[k]) / top) * ((raw[k] - y[k]) / top);
    return top * square_root(squares);
}

template <class T>
double euclidean_loss(void* context, const T* y, i64 columns, const T* raw, i64 rows, i64, const T* sample_weight,
                      T scale, T* gradient) {
    const Envelope<T> envelope(parameters_of(context));
    double total = 0;
    for (i64 i = 0; i < rows; ++i) {
        const i64 start = i * columns;
        const T weight = sample_weight == nullptr ? T(1) : sample_weight[i];
        const T norm = residual_norm(y + start, raw + start, columns);
        const Evaluation<T> at = envelope(norm);
        const T factor = norm == 0 ? T(0) : at.slope / norm;
        for (i64 k = start; k < start + columns; ++k) gradient[k] = scale * weight * ((raw[k] - y[k]) * factor);
        total += static_cast<double>(weight) * static_cast<double>(at.value);
    }
    return total;
}

// ------------------------------------------------------------------------------------------------ regression

template <class T> struct LogCosh {
    explicit LogCosh(const LossParameters&) {}
    // With t = tanh(|e|/2): log cosh e = 2*atanh(t^2), exact for small e; |e| - log(2) + log(1 + exp(-2|e|)) beyond,
    // where log(1 + q) = 2*atanh(q/(2 + q)).
    Evaluation<T> operator()(T y, T raw) const {
        constexpr T log_2 = static_cast<T>(0.693147180559945309417232);
        const T residual = raw - y;
        const T size = absolute(residual);
        const T t = hyperbolic_tangent(T(0.5) * size);
        const T q = exponential(-2 * size);
        const bool small = size < 1;
        const T s = small ? t * t : q / (2 + q);
        const T slope = small ? 2 * t / (1 + t * t) : (1 - q) / (1 + q);
        return {(small ? T(0) : size - log_2) + 2 * s * atanh_series<T, 0>(s * s), residual < 0 ? -slope : slope};
    }
};

template <class T> struct Poisson {
    explicit Poisson(const LossParameters&) {}
    Evaluation<T> operator()(T y, T raw) const {
        const T mean = exponential(raw);
        return {mean - y * raw, mean - y};
    }
};

template <class T> struct Gamma {
    explicit Gamma(const LossParameters&) {}
    Evaluation<T> operator()(T y, T raw) const {
        const T root = exponential(T(-0.5) * raw);  // its square may overflow where y times it does not
        const T ratio = (y * root) * root;
        return {raw + ratio, 1 - ratio};
    }
};

template <class T> struct Tweedie {  // any power but 0, 1 and 2
    Factor<T> one_less, two_less;    // half of 1 - power and of 2 - power
    explicit Tweedie(const LossParameters& p) : one_less(0.5 * (1 - p.shape)), two_less(0.5 * (2 - p.shape)) {}
    // exp(two_less*raw)/two_less - y*exp(one_less*raw)/one_less, the larger exponential factored out.
    Evaluation<T> operator()(T y, T raw) const {
        const bool low = raw < 0 && y != 0;
        const T e = exponential(-absolute(raw));
        const T root =
            exponential_of_product(low ? one_less.high : two_less.high, low ? one_less.low : two_less.low, raw);
        const T mean_part = low ? e : T(1), y_part = low ? y : y * e;
        const T sum = T(0.5) * (mean_part * two_less.inverse - y_part * one_less.inverse);
        return {(sum * root) * root, ((mean_part - y_part) * root) * root};
    }
};

template <class T> struct SquaredErrorOfExponential {  // Tweedie's loss at power 0
    explicit SquaredErrorOfExponential(const LossParameters&) {}
    Evaluation<T> operator()(T y, T raw) const {
        const T mean = exponential(raw);
        return {T(0.5) * (mean - y) * (mean - y), mean == 0 ? T(0) : (mean - y) * mean};
    }
};

template <class T>
double tweedie_loss(void* context, const T* y, i64 y_columns, const T* raw, i64 rows, i64 raw_columns,
                    const T* sample_weight, T scale, T* gradient) {
    const double power = parameters_of(context).shape;
    const auto loss = power == 0   ? elementwise_loss<T, SquaredErrorOfExponential<T>>
                      : power == 1 ? elementwise_loss<T, Poisson<T>>
                      : power == 2 ? elementwise_loss<T, Gamma<T>>
                                   : elementwise_loss<T, Tweedie<T>>;
    return loss(context, y, y_columns, raw, rows, raw_columns, sample_weight, scale, gradient);
}

// Mean and s in neighbouring columns, variance = exp(s) + floor: (log(variance) + (mean - y)^2 / variance) / 2.
template <class T>
double gaussian_nll(void* context, const T* y, i64 y_columns, const T* raw, i64 rows, i64, const T* sample_weight,
                    T scale, T* gradient) {
    const double min_variance = parameters_of(context).shape;
    const T least = 4 * Format<T>::tiny;  // has a finite inverse
    const T floor = min_variance > least ? static_cast<T>(min_variance) : least, inverse_floor = 1 / floor;
    const T log_floor = static_cast<T>(log(static_cast<double>(floor)));
    return weighted_sum(rows, y_columns, sample_weight, scale, [=](i64 j, T factor) {
        const T residual = raw[2 * j] - y[j], s = raw[2 * j + 1];
        // variance = (1 + d) * the larger of exp(s) and floor
        const bool below = s < log_floor;
        const T e = exponential(below ? s : -s);
        const T d = e * (below ? inverse_floor : floor);
        const T precision = (below ? inverse_floor : e) / (1 + d);
        const T ratio = residual * (residual * precision);
        const T share = (below ? d : T(1)) / (1 + d);  // of exp(s) in the variance
        gradient[2 * j] = factor * (residual * precision);
        gradient[2 * j + 1] = factor * (share == 0 ? T(0) : T(0.5) * (1 - ratio) * share);
        return T(0.5) * (((below ? log_floor : s) + log1p_unit(d)) + ratio);
    });
}
