/* Sixteen numbers at a time, by the compiler's own vector types: the same source is AVX2, AVX-512 or NEON.
 *
 * Numbers are float or bfloat16 in memory (`low` says which, and is a constant wherever it matters) and float in
 * registers. The last block of channels may be shorter than sixteen; what is missing is zero and is never stored. */
#include <stdint.h>
#include <string.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

typedef float floats __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

INLINE const void *at(const void *start, int64_t index, int low) { return (const char *)start + index * (low ? 2 : 4); }

INLINE floats widen(halves v) { return (floats)(__builtin_convertvector(v, words) << 16); }

/* To the nearest, ties to even; what is no number stays none. The processor's own instruction takes numbers below 1e-38
 * for zero, otherwise it gives the same. */
INLINE halves narrow(floats v) {
#ifdef __AVX512BF16__
    return (halves)_mm512_cvtneps_pbh((__m512)v);
#else
    words bits = (words)v, nan = (words)(v != v);
    words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return __builtin_convertvector((nan & 0x7fc0) | (~nan & rounded), halves);
#endif
}

INLINE floats load(const void *from, int64_t lanes, int low) {
    if (low) {
        halves v = {0};
        memcpy(&v, from, lanes >= LANES ? 2 * LANES : 2 * lanes);
        return widen(v);
    }
    floats v = {0};
    memcpy(&v, from, lanes >= LANES ? 4 * LANES : 4 * lanes);
    return v;
}

INLINE void store(void *to, floats v, int64_t lanes, int low) {
    if (low) {
        halves h = narrow(v);
        memcpy(to, &h, lanes >= LANES ? 2 * LANES : 2 * lanes);
    } else {
        memcpy(to, &v, lanes >= LANES ? 4 * LANES : 4 * lanes);
    }
}
