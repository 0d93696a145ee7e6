// Activations. Included only by kernels_impl.hpp, inside its anonymous namespace.
//
// An activation is a struct with `value` and `times_derivative`, which is delta times the derivative. That is computed
// from the activation's value a, which the forward pass leaves behind; an activation whose derivative does not follow
// from a has keeps_slope and `evaluate`, and times_derivative is given the slope in place of a.

struct Identity {
    static constexpr bool cheap = true, keeps_slope = false;
    template <class T> static T value(T z) { return z; }
    template <class T> static T times_derivative(T delta, T) { return delta; }
};

struct Relu {
    static constexpr bool cheap = true, keeps_slope = false;
    template <class T> static T value(T z) { return z < 0 ? T(0) : z; }  // NaN stays NaN
    template <class T> static T times_derivative(T delta, T a) { return a == 0 ? T(0) : delta; }
};

struct LeakyRelu {
    static constexpr bool cheap = true, keeps_slope = false;
    static constexpr double below = 0.01;
    template <class T> static T value(T z) { return z < 0 ? T(below) * z : z; }
    template <class T> static T times_derivative(T delta, T a) { return a > 0 ? delta : T(below) * delta; }
};

struct Tanh {
    static constexpr bool cheap = false, keeps_slope = false;
    template <class T> static T value(T z) { return hyperbolic_tangent(z); }
    template <class T> static T times_derivative(T delta, T a) { return delta * (1 - a * a); }
};

struct Logistic {
    static constexpr bool cheap = false, keeps_slope = false;
    template <class T> static T value(T z) { return logistic_function(z); }
    template <class T> static T times_derivative(T delta, T a) { return delta * (a * (1 - a)); }
};

struct Elu {  // below zero exp(z) - 1, with the derivative a + 1
    static constexpr bool cheap = false, keeps_slope = false;
    template <class T> static T value(T z) {
        const T expm1 = exponential_minus_1(clamp(z, -2 * Format<T>::tanh_saturation, T(0)));  // -1 from there on
        return z < 0 ? expm1 : z;
    }
    template <class T> static T times_derivative(T delta, T a) { return a < 0 ? delta * (a + 1) : delta; }
};

// Activations that are max(z, 0) + h(|z|) for a smooth h that goes to zero: their slope is q = -h' at |z| below zero,
// and 1 - q above. Nothing cancels in either tail, and nothing overflows. Values below the smallest normal number may
// come out as zero.
template <class A> struct SmoothRelu {
    static constexpr bool cheap = false, keeps_slope = true;
    template <class T> SKNORMNET_INLINE static Evaluation<T> evaluate(T z) {
        const Evaluation<T> rest = A::rest(absolute(z));  // h and q
        return {(z < 0 ? T(0) : z) + rest.value, z < 0 ? rest.slope : 1 - rest.slope};
    }
    // The slope is not used here, so the compiler leaves it out.
    template <class T> SKNORMNET_INLINE static T value(T z) { return evaluate(z).value; }
    template <class T> static T times_derivative(T delta, T slope) { return delta * slope; }
};

struct Gelu : SmoothRelu<Gelu> {  // z * Phi(z) = max(z, 0) - |z| * (1 - Phi(|z|))
    template <class T> SKNORMNET_INLINE static Evaluation<T> rest(T x) {
        constexpr T density_at_zero = static_cast<T>(0.398942280401432678);  // 1 / sqrt(2 * pi)
        x = x > Format<T>::normal_saturation ? Format<T>::normal_saturation : x;
        const T e = exponential_of_half_square(x), ratio = normal_tail_ratio(x);
        return {-(x * ratio) * e, (ratio - x * density_at_zero) * e};
    }
};

struct Silu : SmoothRelu<Silu> {  // z / (1 + exp(-z)) = max(z, 0) - |z| / (1 + exp(|z|))
    template <class T> SKNORMNET_INLINE static Evaluation<T> rest(T x) {
        x = x > -Format<T>::exp_underflow ? -Format<T>::exp_underflow : x;
        const T e = exponential(-x), inverse = 1 / (1 + e);
        return {-x * (e * inverse), e * inverse * (1 - x * inverse)};
    }
};

struct Softplus : SmoothRelu<Softplus> {  // log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|))
    template <class T> SKNORMNET_INLINE static Evaluation<T> rest(T x) {
        const T e = exponential(-x);
        return {log1p_unit(e), e / (1 + e)};
    }
};

// z[j] <- apply(j, z[j] + bias of j's column)
template <class T, class A, class Apply>
SKNORMNET_FLATTEN void with_bias(T* z, const T* bias, i64 rows, i64 columns, Apply apply) {
    if (columns == 1) {
        const T b = bias[0];
#pragma omp simd
        for (i64 i = 0; i < rows; ++i) z[i] = apply(i, z[i] + b);
        return;
    }
    if (A::cheap || columns >= CHUNK) {
        for (i64 i = 0; i < rows; ++i) {
            T* SKNORMNET_RESTRICT row = z + i * columns;
            for_columns(columns, [=](i64 j) { row[j] = apply(i * columns + j, row[j] + bias[j]); });
        }
        return;
    }
    // Costly functions run over several rows at once: short rows would leave most of their work in a scalar tail.
    const i64 step = CHUNK / columns;
    for (i64 start = 0; start < rows; start += step) {
        const i64 block_rows = smaller(step, rows - start), first = start * columns;
        T* SKNORMNET_RESTRICT block = z + first;
        for (i64 i = 0; i < block_rows; ++i) {
            for_columns(columns, [=](i64 j) { block[i * columns + j] += bias[j]; });
        }
#pragma omp simd
        for (i64 j = 0; j < block_rows * columns; ++j) block[j] = apply(first + j, block[j]);
    }
}

template <class T, class A> void activation_forward(T* z, const T* bias, T* slope, i64 rows, i64 columns) {
    if constexpr (A::keeps_slope) {
        if (slope != nullptr) {
            with_bias<T, A>(z, bias, rows, columns, [=](i64 j, T x) {
                const Evaluation<T> at = A::evaluate(x);
                slope[j] = at.slope;
                return at.value;
            });
            return;
        }
    }
    with_bias<T, A>(z, bias, rows, columns, [](i64, T x) { return A::value(x); });
}

// Four rows a pass: the sums are read and written a quarter as often.
template <class T, class A>
void activation_backward(const T* a, T* delta, T* SKNORMNET_RESTRICT sums, i64 rows, i64 columns) {
    i64 i = 0;
    for (; i + 4 <= rows; i += 4) {
        const T* SKNORMNET_RESTRICT a0 = a + i * columns;
        T* SKNORMNET_RESTRICT row0 = delta + i * columns;
        for_columns(columns, [=](i64 j) {
            const T d0 = A::times_derivative(row0[j], a0[j]);
            const T d1 = A::times_derivative(row0[j + columns], a0[j + columns]);
            const T d2 = A::times_derivative(row0[j + 2 * columns], a0[j + 2 * columns]);
            const T d3 = A::times_derivative(row0[j + 3 * columns], a0[j + 3 * columns]);
            row0[j] = d0;
            row0[j + columns] = d1;
            row0[j + 2 * columns] = d2;
            row0[j + 3 * columns] = d3;
            sums[j] += (d0 + d1) + (d2 + d3);
        });
    }
    for (; i < rows; ++i) {
        const T* SKNORMNET_RESTRICT a_row = a + i * columns;
        T* SKNORMNET_RESTRICT row = delta + i * columns;
        for_columns(columns, [=](i64 j) {
            const T d = A::times_derivative(row[j], a_row[j]);
            row[j] = d;
            sums[j] += d;
        });
    }
}

// What one output d = d loss / d raw does to the hidden layer a below it, in one pass over a: its weights' gradient
// a' d, the hidden layer's delta (d w') * activation'(.), and that delta's column sums.
template <class T, class A>
void single_output_backward(const T* a, const T* slope, const T* d, const T* SKNORMNET_RESTRICT w, T* delta,
                            T* SKNORMNET_RESTRICT sums, T* SKNORMNET_RESTRICT gradient, i64 rows, i64 columns) {
    i64 i = 0;
    for (; i + 4 <= rows; i += 4) {
        const T* SKNORMNET_RESTRICT a0 = a + i * columns;
        const T* SKNORMNET_RESTRICT s0 = (A::keeps_slope ? slope : a) + i * columns;
        T* SKNORMNET_RESTRICT row0 = delta + i * columns;
        const T d0 = d[i], d1 = d[i + 1], d2 = d[i + 2], d3 = d[i + 3];
        for_columns(columns, [=](i64 j) {
            const T h0 = a0[j], h1 = a0[j + columns], h2 = a0[j + 2 * columns], h3 = a0[j + 3 * columns];
            const T e0 = A::times_derivative(d0 * w[j], s0[j]);
            const T e1 = A::times_derivative(d1 * w[j], s0[j + columns]);
            const T e2 = A::times_derivative(d2 * w[j], s0[j + 2 * columns]);
            const T e3 = A::times_derivative(d3 * w[j], s0[j + 3 * columns]);
            row0[j] = e0;
            row0[j + columns] = e1;
            row0[j + 2 * columns] = e2;
            row0[j + 3 * columns] = e3;
            gradient[j] += (d0 * h0 + d1 * h1) + (d2 * h2 + d3 * h3);
            sums[j] += (e0 + e1) + (e2 + e3);
        });
    }
    for (; i < rows; ++i) {
        const T* SKNORMNET_RESTRICT a_row = a + i * columns;
        const T* SKNORMNET_RESTRICT s_row = (A::keeps_slope ? slope : a) + i * columns;
        T* SKNORMNET_RESTRICT row = delta + i * columns;
        const T di = d[i];
        for_columns(columns, [=](i64 j) {
            const T e = A::times_derivative(di * w[j], s_row[j]);
            row[j] = e;
            gradient[j] += di * a_row[j];
            sums[j] += e;
        });
    }
}

template <class T, class A> constexpr sknormnet::ActivationFunctions<T> activation_functions() {
    return {A::keeps_slope, activation_forward<T, A>, activation_backward<T, A>, single_output_backward<T, A>};
}
