// Chooses, once, the widest instruction set that both the build and this machine have. The environment variable
// SKNORMNET_SIMD (baseline, avx2 or avx512) may lower the choice, for tests and for reproducing another machine's bits.
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

#if defined(SKNORMNET_SIMD_X86) && defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace sknormnet {

extern const KernelTable<float> baseline_kernels_float;
extern const KernelTable<double> baseline_kernels_double;
#ifdef SKNORMNET_SIMD_X86
extern const KernelTable<float> avx2_kernels_float, avx512_kernels_float;
extern const KernelTable<double> avx2_kernels_double, avx512_kernels_double;
#endif

namespace {

enum Level { BASELINE, AVX2, AVX512 };
#ifdef SKNORMNET_PORTABLE
const char* const level_names[] = {"portable"};
#else
const char* const level_names[] = {"baseline", "avx2", "avx512"};
#endif

Level machine_level() {
#if !defined(SKNORMNET_SIMD_X86)
    return BASELINE;
#elif defined(_MSC_VER) && !defined(__clang__)
    int r[4];
    __cpuidex(r, 1, 0);
    const bool fma = r[2] & (1 << 12), saves_registers = r[2] & (1 << 27);
    if (!fma || !saves_registers) return BASELINE;
    const unsigned long long enabled = _xgetbv(0);
    __cpuidex(r, 7, 0);
    const bool avx2 = (r[1] & (1 << 5)) && (enabled & 0x6) == 0x6;
    const unsigned wanted = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // avx512 f, dq, bw, vl
    const bool avx512 = (static_cast<unsigned>(r[1]) & wanted) == wanted && (enabled & 0xe6) == 0xe6;
    return avx2 ? (avx512 ? AVX512 : AVX2) : BASELINE;
#else
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return BASELINE;
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return avx512 ? AVX512 : AVX2;
#endif
}

Level chosen_level() {
    const Level machine = machine_level();
    const char* wish = std::getenv("SKNORMNET_SIMD");
    if (wish != nullptr) {
        for (int level = BASELINE; level < machine; ++level) {
            if (std::strcmp(wish, level_names[level]) == 0) return static_cast<Level>(level);
        }
    }
    return machine;
}

Level level() {
    static const Level chosen = chosen_level();
    return chosen;
}

}  // namespace

template <> const KernelTable<float>& kernels<float>() {
#ifdef SKNORMNET_SIMD_X86
    if (level() == AVX512) return avx512_kernels_float;
    if (level() == AVX2) return avx2_kernels_float;
#endif
    return baseline_kernels_float;
}

template <> const KernelTable<double>& kernels<double>() {
#ifdef SKNORMNET_SIMD_X86
    if (level() == AVX512) return avx512_kernels_double;
    if (level() == AVX2) return avx2_kernels_double;
#endif
    return baseline_kernels_double;
}

const char* instruction_set() { return level_names[level()]; }

}  // namespace sknormnet
