// Branch-free exp, expm1, log, log1p, tanh, logistic and the normal distribution's tail for float and double.
//
// Every function is straight-line code, so that a loop over it vectorises for whatever instruction set its
// translation unit is compiled for. Included only by kernels_impl.hpp, inside an anonymous namespace: nothing here
// may have external linkage (see ../README.md).
//
// Method: x = n*ln(2) + r with |r| <= ln(2)/2 (Cody and Waite's two-part ln(2)), Taylor's polynomial in r, and the
// exponent n put together from bits. Adding `round_magic` rounds to the nearest integer and leaves it in the low bits.

template <class T> struct Format;

template <> struct Format<float> {
    using Bits = int32_t;
    using UnsignedBits = uint32_t;
    static constexpr int mantissa_bits = 23;
    static constexpr Bits exponent_bias = 127;
    static constexpr float round_magic = 12582912.0f;  // 1.5 * 2^23
    static constexpr float log2_e = 1.44269504088896341f;
    static constexpr float ln_2_high = 0.693359375f;  // few mantissa bits: n * ln_2_high is exact
    static constexpr float ln_2_low = -2.12194440054690583e-4f;
    static constexpr float exp_overflow = 89.0f;
    static constexpr float exp_underflow = -104.0f;
    static constexpr float tanh_saturation = 9.5f;     // tanh rounds to 1 from here on
    static constexpr float normal_saturation = 14.5f;  // exp(-x^2 / 2) underflows from here on
    static constexpr int exp_degree = 7;               // Taylor terms for |r| <= ln(2)/2
    static constexpr int atanh_terms = 8;              // series terms for |s| <= 1/3
    static constexpr float largest = 3.40282347e+38f;
    static constexpr float tiny = 1.17549435e-38f;  // the smallest normal number
    static constexpr Bits high_half = ~Bits(0xfff);  // clears the low half of the mantissa
    static constexpr int normal_tail_degree = 10;
    static constexpr float normal_tail[] = {
        0.7552851305f,   0.6078966578f,    0.3871373823f,   0.1865213075f,   0.06039729391f,  0.007545268164f,
        -0.00348807553f, -0.001646295612f, 1.693554583e-4f, 2.346217611e-4f, -5.264564978e-5f};
};

template <> struct Format<double> {
    using Bits = int64_t;
    using UnsignedBits = uint64_t;
    static constexpr int mantissa_bits = 52;
    static constexpr Bits exponent_bias = 1023;
    static constexpr double round_magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double log2_e = 1.44269504088896340736;
    static constexpr double ln_2_high = 6.93145751953125e-1;
    static constexpr double ln_2_low = 1.42860682030941723212e-6;
    static constexpr double exp_overflow = 710.0;
    static constexpr double exp_underflow = -746.0;
    static constexpr double tanh_saturation = 20.0;
    static constexpr double normal_saturation = 38.7;
    static constexpr int exp_degree = 13;
    static constexpr int atanh_terms = 17;
    static constexpr double largest = 1.7976931348623157e+308;
    static constexpr double tiny = 2.2250738585072014e-308;
    static constexpr Bits high_half = ~Bits(0x7ffffff);
    static constexpr int normal_tail_degree = 22;
    static constexpr double normal_tail[] = {
        0.75528513041575148,      0.607896641971891758,     0.38713740074221874,      0.186521857959694349,
        0.0603965748907064495,    0.00754018896558471816,   -0.00347969236237777316,  -0.00163081844172815846,
        1.33344255335844683e-4,   2.31094816658337311e-4,   -1.90787378690424456e-6,  -3.51441712661295079e-5,
        7.15029307656374749e-7,   5.91885675479799388e-6,   -6.25177612722053254e-7,  -1.01972390609658342e-6,
        2.63728551845044621e-7,   1.54153370902797446e-7,   -7.63937849452924571e-8,  -1.44962955879635163e-8,
        1.39086047165493148e-8,   -9.88326679693687314e-11, -9.54840626183118069e-10};
};

template <class T> inline typename Format<T>::Bits to_bits(T x) {
    typename Format<T>::Bits bits;
    memcpy(&bits, &x, sizeof(x));
    return bits;
}

template <class T> inline T from_bits(typename Format<T>::UnsignedBits bits) {
    T x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

inline float square_root(float x) { return sqrtf(x); }
inline double square_root(double x) { return sqrt(x); }

inline float absolute(float x) { return fabsf(x); }
inline double absolute(double x) { return fabs(x); }

template <class T> inline T clamp(T x, T low, T high) {  // NaN stays NaN
    x = x < low ? low : x;
    return x > high ? high : x;
}

template <class T> inline T power_of_two(typename Format<T>::Bits n) {
    using F = Format<T>;
    return from_bits<T>(static_cast<typename F::UnsignedBits>(n + F::exponent_bias) << F::mantissa_bits);
}

constexpr double inverse_factorial(int k) { return k <= 1 ? 1.0 : inverse_factorial(k - 1) / k; }

// sum_{j >= k} r^(j - k) / j!
template <class T, int k> inline T exp_series(T r) {
    constexpr T coefficient = static_cast<T>(inverse_factorial(k));
    if constexpr (k == Format<T>::exp_degree) {
        return coefficient;
    } else {
        return exp_series<T, k + 1>(r) * r + coefficient;
    }
}

// sum_{j >= k} u^(j - k) / (2j + 1)
template <class T, int k> inline T atanh_series(T u) {
    constexpr T coefficient = static_cast<T>(1.0 / (2 * k + 1));
    if constexpr (k == Format<T>::atanh_terms - 1) {
        return coefficient;
    } else {
        return atanh_series<T, k + 1>(u) * u + coefficient;
    }
}

// exp(x + rest), rest being far smaller than 1.
template <class T> inline T exponential(T x, T rest = 0) {
    using F = Format<T>;
    const T within = clamp(x, F::exp_underflow, F::exp_overflow);
    rest = within == x ? rest : T(0);
    x = within;
    const T n_shifted = x * F::log2_e + F::round_magic;
    const T n = n_shifted - F::round_magic;
    const T r = ((x - n * F::ln_2_high) - n * F::ln_2_low) + rest;
    const T series = exp_series<T, 1>(r) * r + 1;
    // Two factors, so that results below the normal range and overflow to infinity come out right.
    const T half_shifted = n * T(0.5) + F::round_magic;
    const auto n_bits = to_bits(n_shifted) - to_bits(F::round_magic);
    const auto half_bits = to_bits(half_shifted) - to_bits(F::round_magic);
    return series * power_of_two<T>(half_bits) * power_of_two<T>(n_bits - half_bits);
}

template <class T> inline T high_half(T x) {
    return from_bits<T>(static_cast<typename Format<T>::UnsignedBits>(to_bits(x) & Format<T>::high_half));
}

template <class T> struct Factor {
    T high, low, inverse;  // the factor is high + low, high of half a mantissa
    explicit Factor(double a)
        : high(high_half(static_cast<T>(a))), low(static_cast<T>(a - static_cast<double>(high))),
          inverse(static_cast<T>(1 / a)) {}
};

// exp((high + low) * x) without the rounding error of the product, which the exponential would multiply by the product
// itself: that of two halves is exact.
template <class T> inline T exponential_of_product(T high, T low, T x) {
    const T x_high = high_half(x);
    return exponential(high * x_high, high * (x - x_high) + low * x);
}

// log(1 + e) for e in [0, 1]: 2 atanh(e / (2 + e)).
template <class T> inline T log1p_unit(T e) {
    const T s = e / (2 + e);
    return 2 * s * atanh_series<T, 0>(s * s);
}

// For normal x > 0: x = 2^n * m, sqrt(1/2) <= m < sqrt(2), log(m) = 2 atanh((m - 1) / (m + 1)). 0 counts as the
// smallest normal number.
template <class T> inline T logarithm(T x) {
    using F = Format<T>;
    constexpr T sqrt_half = static_cast<T>(0.707106781186547524);
    const auto bits = to_bits(x < F::tiny ? F::tiny : x);
    const auto n_bits = (bits - to_bits(sqrt_half)) >> F::mantissa_bits;
    const T n = static_cast<T>(n_bits);
    const T m = from_bits<T>(static_cast<typename F::UnsignedBits>(bits) -
                             (static_cast<typename F::UnsignedBits>(n_bits) << F::mantissa_bits));
    const T s = (m - 1) / (m + 1);
    return (2 * s * atanh_series<T, 0>(s * s) + n * F::ln_2_low) + n * F::ln_2_high;
}

// log(1 + x) for x >= 0; the second term makes up for the rounding of 1 + x.
template <class T> inline T log1p_positive(T x) {
    const T u = 1 + x;
    return logarithm(u) + (x - (u - 1)) / u;
}

// exp(y) - 1 = 2^n * expm1(r) + (2^n - 1), for |y| <= 2 * tanh_saturation.
template <class T> inline T exponential_minus_1(T y) {
    using F = Format<T>;
    const T n_shifted = y * F::log2_e + F::round_magic;
    const T n = n_shifted - F::round_magic;
    const T r = (y - n * F::ln_2_high) - n * F::ln_2_low;
    const T scale = power_of_two<T>(to_bits(n_shifted) - to_bits(F::round_magic));
    return exp_series<T, 1>(r) * r * scale + (scale - 1);
}

// expm1(2|x|) / (expm1(2|x|) + 2)
template <class T> inline T hyperbolic_tangent(T x) {
    using F = Format<T>;
    const T size = absolute(x);
    const T expm1 = exponential_minus_1(2 * (size > F::tanh_saturation ? F::tanh_saturation : size));  // NaN stays NaN
    const T magnitude = expm1 / (expm1 + 2);
    return x < 0 ? -magnitude : magnitude;
}

template <class T> inline T logistic_function(T x) {
    const T e = exponential(-absolute(x));
    return (x < 0 ? e : T(1)) / (1 + e);
}

// sum_{j >= k} normal_tail[j] * u^(j - k)
template <class T, int k> inline T normal_tail_series(T u) {
    constexpr T coefficient = Format<T>::normal_tail[k];
    if constexpr (k == Format<T>::normal_tail_degree) {
        return coefficient;
    } else {
        return normal_tail_series<T, k + 1>(u) * u + coefficient;
    }
}

// R(x) = exp(x^2/2) * (1 - Phi(x)) for 0 <= x <= normal_saturation, Phi the standard normal distribution function: a
// polynomial in u = (4 - x) / (4 + x), divided by 4 + x. The polynomial interpolates (4 + x) * R(x) at the Chebyshev
// nodes of that range of u (computed from erfc with mpmath, 60 digits); its relative error is below 3e-9 for float and
// 4e-17 for double.
template <class T> inline T normal_tail_ratio(T x) {
    const T inverse = 1 / (4 + x);
    return normal_tail_series<T, 0>((4 - x) * inverse) * inverse;
}

// exp(-x^2/2): the square of half of the mantissa is exact, and its error would be multiplied by the square itself.
template <class T> inline T exponential_of_half_square(T x) {
    const T high = high_half(x);
    return exponential(T(-0.5) * high * high, T(-0.5) * (x - high) * (x + high));
}
