// Shapes of the norm t >= 0 of a group of weights. Included only by groups_impl.hpp, inside the anonymous namespace of
// kernels_impl.hpp.

using sknormnet::GroupPenalty;

// rho(t) at strength s, its slope, and prox(t, step), the global minimiser of (u - t)^2/2 + step*rho(u) over u >= 0.
// Comparisons are written so that NaN stays NaN.
template <class T> struct Linear {
    static constexpr int OF_ZERO = 0;  // what the prox leaves of a group whose squares underflow
    explicit Linear(const GroupPenalty&) {}
    T value(T t, T s) const { return s * t; }
    T slope(T, T s) const { return s; }
    T prox(T t, T step, T s) const {
        const T shrunk = t - step * s;
        return shrunk < 0 ? T(0) : shrunk;
    }
};

// Concave shapes are bent up to t = gamma*s, with the second derivative -bend, and flat beyond. While step*bend < 1,
// the prox joins straight lines; from there on it jumps, to t, where that costs less than what the first line gives.
template <class T> struct MinimaxConcave {
    static constexpr int OF_ZERO = 0;
    T gamma, bend;
    explicit MinimaxConcave(const GroupPenalty& p)
        : gamma(static_cast<T>(p.gamma)), bend(static_cast<T>(1 / p.gamma)) {}
    T value(T t, T s) const {
        const T u = at_most(gamma * s, t);
        return u * (s - T(0.5) * bend * u);
    }
    T slope(T t, T s) const { return at_least(T(0), s - bend * t); }
    T prox(T t, T step, T s) const {
        const T curvature = 1 - step * bend;
        const T bent = at_most(t, at_least(T(0), t - step * s) / curvature);
        const T jump = t * t > step * gamma * s * s ? t : t - t;
        return curvature > 0 ? bent : jump;
    }
};

template <class T> struct SmoothlyClipped {
    static constexpr int OF_ZERO = 0;
    T gamma, bend;
    explicit SmoothlyClipped(const GroupPenalty& p)
        : gamma(static_cast<T>(p.gamma)), bend(static_cast<T>(1 / (p.gamma - 1))) {}
    T value(T t, T s) const {
        const T u = at_most(gamma * s, t), over = at_least(T(0), u - s);
        return s * u - T(0.5) * bend * over * over;
    }
    T slope(T t, T s) const { return at_most(s, at_least(T(0), bend * (gamma * s - t))); }
    T prox(T t, T step, T s) const {
        const T low = at_least(T(0), t - step * s), curvature = 1 - step * bend;
        const T bent = at_least(low, at_most(t, (t - step * bend * gamma * s) / curvature));
        const T cost = T(0.5) * (low - t) * (low - t) + step * s * low;
        const T jump = cost > T(0.5) * step * (gamma + 1) * s * s ? t : low;
        return curvature > 0 ? bent : jump;
    }
};

// A constraint, t <= limit, at any strength. Rounding may leave a projected group slightly outside, so that "at the
// limit" is a question of half the digits.
template <class T> struct Limit {
    static constexpr int OF_ZERO = 1;
    T limit;
    explicit Limit(const GroupPenalty& p) : limit(static_cast<T>(p.limit)) {}
    static constexpr T rounding = sizeof(T) == 4 ? T(0x1p-12) : T(0x1p-40);  // of norms after projection
    static constexpr T tolerance = sizeof(T) == 4 ? T(0x1p-12) : T(0x1p-26);
    T value(T t, T) const { return t > limit * (1 + rounding) ? T(INFINITY) : t - t; }
    T slope(T t, T) const { return t - t; }
    T prox(T t, T, T) const { return t > limit ? limit : t; }
    bool reached(T t) const { return t >= limit * (1 - tolerance); }
};

// body(shape) with the shape of a penalty that is not custom.
template <class T, class Body> inline auto with_shape(const GroupPenalty& p, const Body& body) {
    switch (p.shape) {
        case sknormnet::MINIMAX_CONCAVE: return body(MinimaxConcave<T>(p));
        case sknormnet::SMOOTHLY_CLIPPED: return body(SmoothlyClipped<T>(p));
        case sknormnet::LIMIT: return body(Limit<T>(p));
        default: return body(Linear<T>(p));
    }
}

// body(strength), a function of the group.
template <class T, class Body> inline auto with_strength(const GroupPenalty& p, const Body& body) {
    const double strength = p.strength, *factors = p.groups.factors;
    const T same = static_cast<T>(strength);
    if (factors == nullptr) return body([=](i64) { return same; });
    return body([=](i64 g) { return static_cast<T>(strength * factors[g]); });
}

// values[g] <- rho or its slope at the norm that was there
template <class T, class Shape, class Strength>
SKNORMNET_FLATTEN void evaluate(const Shape& shape, bool slope, T* values, i64 n, const Strength& strength) {
    if (slope) {
#pragma omp simd
        for (i64 g = 0; g < n; ++g) values[g] = shape.slope(values[g], strength(g));
    } else {
#pragma omp simd
        for (i64 g = 0; g < n; ++g) values[g] = shape.value(values[g], strength(g));
    }
}

inline void* custom_function(const GroupPenalty& p, float) { return p.float_function; }
inline void* custom_function(const GroupPenalty& p, double) { return p.double_function; }

template <class T> void evaluate_custom(const GroupPenalty& p, int request, T* values, const T* steps) {
    const auto function = reinterpret_cast<sknormnet::ShapeFunction<T>>(custom_function(p, T(0)));
    const i64 n = p.groups.n;
    if (function == nullptr || !function(p.context, request, values, steps, n, p.strength, p.groups.factors)) {
        fill(values, n, T(NAN));
    }
}

template <class T> void evaluate_shape(const GroupPenalty& p, int request, T* values) {
    if (p.shape == sknormnet::CUSTOM) return evaluate_custom<T>(p, request, values, nullptr);
    with_shape<T>(p, [&](const auto& shape) {
        with_strength<T>(p, [&](const auto& strength) {
            evaluate(shape, request == sknormnet::SHAPE_SLOPE, values, p.groups.n, strength);
        });
    });
}
