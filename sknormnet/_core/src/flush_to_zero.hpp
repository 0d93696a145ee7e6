// Denormal numbers are treated as zero while a FlushToZero lives; the thread's previous mode comes back after it.
// Saturated networks breed denormals, and arithmetic on them is many times slower.
#pragma once

#if !defined(SKNORMNET_PORTABLE) && (defined(__SSE2__) || defined(_M_X64))
#define SKNORMNET_FLUSH_SSE
#include <xmmintrin.h>
#elif !defined(SKNORMNET_PORTABLE) && defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define SKNORMNET_FLUSH_ARM
#include <cstdint>
#endif

namespace sknormnet {

#if defined(SKNORMNET_FLUSH_SSE)

using FloatingPointMode = unsigned int;
constexpr FloatingPointMode FLUSH_BITS = 0x8040;  // flush to zero, denormals are zero
inline FloatingPointMode read_mode() { return _mm_getcsr(); }
inline void write_mode(FloatingPointMode mode) { _mm_setcsr(mode); }

#elif defined(SKNORMNET_FLUSH_ARM)

using FloatingPointMode = std::uint64_t;
constexpr FloatingPointMode FLUSH_BITS = std::uint64_t(1) << 24;
inline FloatingPointMode read_mode() {
    FloatingPointMode mode;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
inline void write_mode(FloatingPointMode mode) { __asm__ __volatile__("msr fpcr, %0" : : "r"(mode)); }

#else

using FloatingPointMode = unsigned int;
constexpr FloatingPointMode FLUSH_BITS = 0;
inline FloatingPointMode read_mode() { return 0; }
inline void write_mode(FloatingPointMode) {}

#endif

class FlushToZero {
  public:
    FlushToZero() : before_(read_mode()) { write_mode(before_ | FLUSH_BITS); }
    ~FlushToZero() { write_mode(before_); }
    FlushToZero(const FlushToZero&) = delete;
    FlushToZero& operator=(const FlushToZero&) = delete;

  private:
    FloatingPointMode before_;
};

// The opposite, around a call into Python from inside the core.
class KeepDenormals {
  public:
    KeepDenormals() : before_(read_mode()) { write_mode(before_ & ~FLUSH_BITS); }
    ~KeepDenormals() { write_mode(before_); }
    KeepDenormals(const KeepDenormals&) = delete;
    KeepDenormals& operator=(const KeepDenormals&) = delete;

  private:
    FloatingPointMode before_;
};

}  // namespace sknormnet
