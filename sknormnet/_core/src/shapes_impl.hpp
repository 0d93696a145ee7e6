// Shapes of the norm t >= 0 of a group of weights. Included only by groups_impl.hpp, inside the anonymous namespace of
// kernels_impl.hpp.

using sknormnet::GroupPenalty;

// rho(t) at strength s, its slope, and prox(t, step), the global minimiser of (u - t)^2/2 + step*rho(u) over u >= 0.
// Comparisons are written so that NaN stays NaN.
template <class T> struct Linear {
    explicit Linear(const GroupPenalty&) {}
    T value(T t, T s) const { return s * t; }
    T slope(T, T s) const { return s; }
    T prox(T t, T step, T s) const {
        const T shrunk = t - step * s;
        return shrunk < 0 ? T(0) : shrunk;
    }
};

// The one of two candidates that costs less; the first where they tie.
template <class T, class Shape> inline T cheaper(const Shape& shape, T a, T b, T t, T step, T s) {
    const T cost_a = T(0.5) * (a - t) * (a - t) + step * shape.value(a, s);
    const T cost_b = T(0.5) * (b - t) * (b - t) + step * shape.value(b, s);
    return cost_b < cost_a ? b : a;
}

template <class T> struct MinimaxConcave {
    T gamma;
    explicit MinimaxConcave(const GroupPenalty& p) : gamma(static_cast<T>(p.gamma)) {}
    T value(T t, T s) const {
        const T knee = gamma * s;
        const T u = t > knee ? knee : t;
        return s * u - u * u / (2 * gamma);
    }
    T slope(T t, T s) const {
        const T slope = s - t / gamma;
        return slope < 0 ? T(0) : slope;
    }
    T prox(T t, T step, T s) const {
        const T knee = gamma * s;
        const T curvature = 1 - step / gamma;
        const T inner = curvature > 0 ? clamp((t - step * s) / curvature, T(0), knee) : T(0);
        return cheaper(*this, inner, t < knee ? knee : t, t, step, s);
    }
};

template <class T> struct SmoothlyClipped {
    T gamma;
    explicit SmoothlyClipped(const GroupPenalty& p) : gamma(static_cast<T>(p.gamma)) {}
    T value(T t, T s) const {
        const T knee = gamma * s;
        const T u = t > knee ? knee : t;
        const T bent = (2 * knee * u - u * u - s * s) / (2 * (gamma - 1));
        return u < s ? s * u : bent;
    }
    T slope(T t, T s) const {
        const T bent = (gamma * s - t) / (gamma - 1);
        return t < s ? s : (bent < 0 ? T(0) : bent);
    }
    T prox(T t, T step, T s) const {
        const T knee = gamma * s;
        const T soft = clamp(t - step * s, T(0), s);
        const T curvature = 1 - step / (gamma - 1);
        const T middle =
            curvature > 0 ? clamp((t - step * knee / (gamma - 1)) / curvature, s, knee) : s;
        return cheaper(*this, cheaper(*this, soft, middle, t, step, s), t < knee ? knee : t, t, step, s);
    }
};

// A constraint, t <= limit, at any strength. Rounding may leave a projected group slightly outside, so that "at the
// limit" is a question of half the digits.
template <class T> struct Limit {
    T limit;
    explicit Limit(const GroupPenalty& p) : limit(static_cast<T>(p.limit)) {}
    static constexpr T rounding = sizeof(T) == 4 ? T(0x1p-17) : T(0x1p-46);  // of a norm after its projection
    static constexpr T tolerance = sizeof(T) == 4 ? T(0x1p-12) : T(0x1p-26);
    T value(T t, T) const { return t > limit * (1 + rounding) ? T(INFINITY) : t - t; }
    T slope(T t, T) const { return t - t; }
    T prox(T t, T, T) const { return t > limit ? limit : t; }
    bool reached(T t) const { return t >= limit * (1 - tolerance); }
};

// values[g] <- what is requested of the shape, from the norm that was there
template <class T, class Shape>
SKNORMNET_FLATTEN void evaluate(const Shape& shape, int request, T* values, const T* steps, i64 n, double strength,
                                const double* factors) {
    const auto for_each_group = [=](const auto& body) {
        const T same = static_cast<T>(strength);
        if (factors == nullptr) {
#pragma omp simd
            for (i64 g = 0; g < n; ++g) values[g] = body(g, same);
        } else {
#pragma omp simd
            for (i64 g = 0; g < n; ++g) values[g] = body(g, static_cast<T>(strength * factors[g]));
        }
    };
    switch (request) {
        case sknormnet::SHAPE_VALUE: for_each_group([=](i64 g, T s) { return shape.value(values[g], s); }); break;
        case sknormnet::SHAPE_SLOPE: for_each_group([=](i64 g, T s) { return shape.slope(values[g], s); }); break;
        default: for_each_group([=](i64 g, T s) { return shape.prox(values[g], steps[g], s); });
    }
}

inline void* custom_function(const GroupPenalty& p, float) { return p.float_function; }
inline void* custom_function(const GroupPenalty& p, double) { return p.double_function; }

// The same for the shape of a penalty; steps count for the prox only.
template <class T> void evaluate_shape(const GroupPenalty& p, int request, T* values, const T* steps) {
    const i64 n = p.groups.n;
    const double* factors = p.groups.factors;
    switch (p.shape) {
        case sknormnet::LINEAR: evaluate(Linear<T>(p), request, values, steps, n, p.strength, factors); break;
        case sknormnet::MINIMAX_CONCAVE:
            evaluate(MinimaxConcave<T>(p), request, values, steps, n, p.strength, factors);
            break;
        case sknormnet::SMOOTHLY_CLIPPED:
            evaluate(SmoothlyClipped<T>(p), request, values, steps, n, p.strength, factors);
            break;
        case sknormnet::LIMIT: evaluate(Limit<T>(p), request, values, steps, n, p.strength, factors); break;
        default:
            const auto function = reinterpret_cast<sknormnet::ShapeFunction<T>>(custom_function(p, T(0)));
            if (function == nullptr || !function(p.context, request, values, steps, n, p.strength, factors)) {
                fill(values, n, T(NAN));
            }
    }
}
