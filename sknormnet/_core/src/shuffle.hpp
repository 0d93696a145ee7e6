// The permutation of numpy.random.RandomState.shuffle, from the same draws (its stream is frozen for good by NEP 19):
// for i = n-1, ..., 1 swap rows i and j, j uniform in [0, i] by rejection under a mask.
#pragma once
#include <cstdint>

#include "kernels.hpp"

namespace sknormnet {

inline void shuffle_rows(i64* rows, i64 n, void* state, std::uint32_t (*next)(void*)) {
    i64 i = n - 1;
    std::uint64_t mask = 0;  // all ones up to the highest bit of i
    while (mask < static_cast<std::uint64_t>(i)) mask = 2 * mask + 1;
    for (; i > 0; mask >>= 1) {
        const bool wide = mask > 0xffffffffu;
        while (i > static_cast<i64>(mask >> 1)) {
            std::uint64_t draw = next(state);
            if (wide) draw = (draw << 32) | next(state);
            // Without a branch on the rejection, which no predictor can guess: a rejected draw swaps i with itself.
            const i64 j = static_cast<i64>(draw & mask);
            const i64 accepted = j <= i;
            const i64 other = i + (j - i) * accepted;
            const i64 moved = rows[i];
            rows[i] = rows[other];
            rows[other] = moved;
            i -= accepted;
        }
    }
}

}  // namespace sknormnet
