// The prox of the norm of all layers together.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace sknormnet {

// Root r of sum_l (t_l / (r + step_l * s))^2 = 1, 0 where the sum is at most 1 at r = 0; NaN where a norm is.
inline double norm_after_prox(const std::vector<double>& norms, const std::vector<double>& steps, double s) {
    double total = 0;
    for (const double t : norms) total = std::hypot(total, t);
    if (total == 0) return 0;
    double r = 0;  // none of these bounds is above the root; where a step is 0, its layer's norm is one
    for (std::size_t l = 0; l < norms.size(); ++l) r = std::max(r, norms[l] - s * steps[l]);
    r = std::max(r, total - s * *std::max_element(steps.begin(), steps.end()));
    for (int i = 0; i < 100; ++i) {
        double sum = 0, slope = 0;
        for (std::size_t l = 0; l < norms.size(); ++l) {
            if (norms[l] == 0) continue;
            const double d = r + steps[l] * s, share = norms[l] / d * (norms[l] / d);
            sum += share;
            slope += share / d;
        }
        if (!std::isfinite(sum)) return std::numeric_limits<double>::quiet_NaN();
        // Newton on 1 / sqrt(sum) - 1, which is concave and rises: from below it never goes beyond the root.
        const double move = (std::sqrt(sum) - 1) * sum / slope;
        if (!(move > 1e-14 * r)) break;
        r += move;
    }
    return r;
}

}  // namespace sknormnet
