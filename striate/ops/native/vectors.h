/* A vector of numbers at a time, by the compiler's own vector types: the same source is AVX2, AVX-512 or NEON.
 *
 * Numbers are float or bfloat16 in memory (`low` says which, and is a constant wherever it matters) and float in
 * registers. The last block of channels may be shorter than a vector; what is missing is zero and is never stored. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* AVX2 needs two instructions of it, which gcc knows by names of its own: reading all of it takes a fifth of a build. */
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__clang__))
#include <immintrin.h>
#endif

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8 /* of sixteen, sums would not fit into the registers */
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef int32_t signed_words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

INLINE floats everywhere(float v) { return v - (floats){0}; }

/* So many bytes and what fills the last line of the cache. */
INLINE int64_t lines(int64_t bytes) { return (bytes + 63) & -64; }

/* Memory from the beginning of a line of the cache on: vectors across two lines take twice as long. NULL if there is none.
 * Much of it is asked for by the thread that calls, for all: what others give back goes back to the system, and must be
 * cleared again for whoever asks next. */
INLINE void *allocate(int64_t bytes) { return aligned_alloc(64, lines(bytes)); }

INLINE const void *at(const void *start, int64_t index, int low) { return (const char *)start + index * (low ? 2 : 4); }

/* Compilers make four instructions of this conversion where the processor has one. */
INLINE floats widen(halves v) {
#ifdef __AVX512F__
    return (floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)v), 16);
#else
    return (floats)(__builtin_convertvector(v, words) << 16);
#endif
}

/* To the nearest, ties to even; what is no number stays none. The processor's own instruction takes numbers below 1e-38
 * for zero, otherwise it gives the same. Without it nothing is compared: compilers do that number by number. */
INLINE halves narrow(floats v) {
#ifdef __AVX512BF16__
    return (halves)_mm512_cvtneps_pbh((__m512)v);
#else
    words bits = (words)v, nan = (words)((signed_words)(0x7f800000 - (bits & 0x7fffffff)) >> 31);
    words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return __builtin_convertvector((nan & 0x7fc0) | (~nan & rounded), halves);
#endif
}

INLINE floats load(const void *from, int64_t lanes, int low) {
#ifdef __AVX512F__
    if (lanes < LANES) {
        __mmask16 there = (1 << lanes) - 1;
        return low ? widen((halves)_mm256_maskz_loadu_epi16(there, from)) : (floats)_mm512_maskz_loadu_ps(there, from);
    }
#endif
    if (low) {
        halves v = {0};
        memcpy(&v, from, lanes >= LANES ? 2 * LANES : 2 * lanes);
        return widen(v);
    }
    floats v = {0};
    memcpy(&v, from, lanes >= LANES ? 4 * LANES : 4 * lanes);
    return v;
}

#define AHEAD 4096 /* numbers: a few pages of memory, beyond which processors do not look ahead by themselves */

/* The numbers from `i` on, while those that are `ahead` of them (or behind, in a pass that goes backwards) are asked for. */
INLINE floats stream(const void *map, int64_t i, int64_t ahead, int64_t lanes, int low) {
    __builtin_prefetch(at(map, i + ahead, low));
    return load(at(map, i, low), lanes, low);
}

INLINE void store(void *to, floats v, int64_t lanes, int low) {
#ifdef __AVX512F__
    if (lanes < LANES) {
        __mmask16 there = (1 << lanes) - 1;
        if (low) _mm256_mask_storeu_epi16(to, there, (__m256i)narrow(v));
        else _mm512_mask_storeu_ps(to, there, (__m512)v);
        return;
    }
#endif
    if (low) {
        halves h = narrow(v);
        memcpy(to, &h, lanes >= LANES ? 2 * LANES : 2 * lanes);
    } else {
        memcpy(to, &v, lanes >= LANES ? 4 * LANES : 4 * lanes);
    }
}

/* So many lanes of a vector, known when it is used: where the processor has masks (MASKS) as fast as all of them. */
#ifdef __AVX512F__
#define MASKS 1
typedef __mmask16 Lanes;
INLINE Lanes some(int64_t lanes) { return (1 << lanes) - 1; }
INLINE floats load_some(const void *from, Lanes there, int low) {
    if (__builtin_constant_p(there) && there == some(LANES)) return load(from, LANES, low);
    if (low) { /* in one instruction, which compilers do not make of two */
        __m512i wide;
        __asm__("vpmovzxwd %1, %0 %{%2%}%{z%}" : "=v"(wide) : "m"(*(const __m256i_u *)from), "Yk"(there));
        return (floats)_mm512_slli_epi32(wide, 16);
    }
    return (floats)_mm512_maskz_loadu_ps(there, from);
}
INLINE void store_some(void *to, floats v, Lanes there, int low) {
    if (__builtin_constant_p(there) && there == some(LANES)) store(to, v, LANES, low);
    else if (low) _mm256_mask_storeu_epi16(to, there, (__m256i)narrow(v));
    else _mm512_mask_storeu_ps(to, there, (__m512)v);
}
#else
#define MASKS 0
typedef int Lanes;
INLINE Lanes some(int64_t lanes) { return (int)lanes; }
INLINE floats load_some(const void *from, Lanes there, int low) { return load(from, there, low); }
INLINE void store_some(void *to, floats v, Lanes there, int low) { store(to, v, there, low); }
#endif

/* a * b + c, rounded once, whatever the compiler would make of it. */
INLINE floats multiply_add(floats a, floats b, floats c) {
#ifdef __AVX512F__
    return (floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__) && defined(__clang__)
    return (floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FMA__)
    return __builtin_ia32_vfmaddps256(a, b, c);
#else
    return c + a * b; /* compilers fuse it where every processor can */
#endif
}

/* Between floor and ceiling. What is no number stays none: both comparisons are false for it. */
INLINE floats clamp(floats v, floats floor, floats ceiling) {
#ifdef __AVX512F__
    return (floats)_mm512_min_ps((__m512)ceiling, _mm512_max_ps((__m512)floor, (__m512)v));
#else
    words low = (words)(v < floor), high = (words)(v > ceiling);
    return (floats)(((words)floor & low) | ((words)ceiling & high) | ((words)v & ~(low | high)));
#endif
}

/* v where z lies between floor and ceiling or is no number, else zero. */
INLINE floats where_between(floats v, floats z, floats floor, floats ceiling) {
#ifdef __AVX512F__
    __mmask16 open = _mm512_cmp_ps_mask((__m512)z, (__m512)floor, _CMP_NLE_UQ);
    open = _mm512_mask_cmp_ps_mask(open, (__m512)z, (__m512)ceiling, _CMP_NGE_UQ);
    return (floats)_mm512_maskz_mov_ps(open, (__m512)v);
#else
    words shut = (words)(z <= floor) | (words)(z >= ceiling);
    return (floats)((words)v & ~shut);
#endif
}
