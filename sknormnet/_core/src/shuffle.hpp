// The permutation of numpy.random.RandomState.shuffle, from the same draws (its stream is frozen for good by NEP 19):
// for i = n-1, ..., 1 swap rows i and j, j uniform in [0, i] by rejection under a mask.
#pragma once
#include <algorithm>
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

// Blocks of block_rows neighbours among `sorted` in a random order, and the rows of each block shuffled: one shuffle of
// the blocks' numbers, for which `blocks` has room, then one of each block in its turn.
inline void shuffle_in_blocks(i64* rows, const i64* sorted, i64 n, i64* blocks, i64 block_rows, void* state,
                              std::uint32_t (*next)(void*)) {
    const i64 n_blocks = (n - 1) / block_rows + 1;
    for (i64 b = 0; b < n_blocks; ++b) blocks[b] = b;
    shuffle_rows(blocks, n_blocks, state, next);
    for (i64 b = 0; b < n_blocks; ++b) {
        const i64 start = blocks[b] * block_rows, size = std::min(block_rows, n - start);
        std::copy_n(sorted + start, size, rows);
        shuffle_rows(rows, size, state, next);
        rows += size;
    }
}

}  // namespace sknormnet
